//! Parses request targets: paths and their query parameters. Pure.

use std::fmt;
use std::time::Duration;

use url::Url;

use crate::archive::ArchiveFormat;
use crate::media::page_list::Items;
use crate::media::removal::Removal;
use crate::media::selection::FormatRequest;
use crate::media::{Media, Metadata, TrackKind};
use crate::options::{ContainerChoice, Engine, LengthPolicy, OutputOptions, TimeRange};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::text::one_line;

mod account;
mod page;
mod prefill;
mod query;
mod rights;
mod subtitles;
mod timestamp;
mod tracks;

use query::Query;

pub use account::{has_form, target_after_login};
pub use prefill::Prefill;

/// The maximum length of a text for the metadata of a file, in characters.
const MAX_METADATA: usize = 500;

/// Where the media of a download come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaSource {
    /// From these media URLs (`/mux`).
    Urls(Media),
    /// From a page link (`/download`).
    Page {
        /// The page link.
        page_url: Url,
        /// The requested format.
        choice: FormatRequest,
    },
}

/// The media of several pages, as the files of one archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArchiveRequest {
    /// A link to a list, or the links of pages.
    pub links: Vec<Url>,
    /// Which entries of the list are requested.
    pub items: Items,
    /// The format of the archive.
    pub format: ArchiveFormat,
    /// The requested format of each file.
    pub choice: FormatRequest,
    /// The options of each file.
    pub options: OutputOptions,
}

/// A parsed request target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The web page, with its forms prefilled.
    Page(Prefill),
    /// The description of the API.
    OpenApi,
    /// The web app manifest.
    Manifest,
    /// The icon.
    Icon,
    /// A script of the web page.
    Player,
    /// Media as one file.
    Download {
        /// The source of the media.
        source: MediaSource,
        /// The requested container, engine and time range.
        options: OutputOptions,
    },
    /// The media of several pages as one archive.
    Archive(Box<ArchiveRequest>),
    /// The available formats of a page, or the entries of a list.
    Info {
        /// The page link.
        page_url: Url,
        /// Which part of the list is requested, from 0 on.
        part: u32,
    },
    /// The thumbnail of a page.
    Thumbnail(Url),
    /// A link that others may use: this target, signed.
    Sign {
        /// The target.
        target: String,
        /// Its route.
        route: Box<Route>,
    },
    /// The page to sign in; or its form, which leads to this target.
    Login(String),
    /// The form to sign out.
    Logout,
    /// Liveness: 200 while the process runs.
    Healthz,
    /// Readiness: 200 while the server accepts downloads.
    Readyz,
    /// Metrics for Prometheus.
    Metrics,
}

impl fmt::Display for ArchiveRequest {
    /// Formats for the log, like a [`MediaSource`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.links.first().and_then(Url::host_str).unwrap_or("no host");
        match self.links.len() {
            1 => write!(f, "a {} of {host}", self.format.extension()),
            count => write!(f, "a {} of {count} pages of {host}", self.format.extension()),
        }
    }
}

impl fmt::Display for MediaSource {
    /// Formats for the log: only the host of a link, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MediaSource::Urls(media) => write!(f, "{:?}", media.tracks),
            MediaSource::Page { page_url, .. } => {
                write!(f, "a page of {}", page_url.host_str().unwrap_or("no host"))
            }
        }
    }
}

/// Parses a request target: `/path?query`, percent-encoded.
pub fn route(target: &str) -> Result<Route, Problem> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let found = ROUTES.iter().find(|(known, _)| *known == path);
    let (_, parse) = found.ok_or_else(|| {
        Problem::new(
            ProblemCode::NotFound,
            "unknown path; the web page is at /, downloads are at /download?url=LINK and \
             /mux?video=URL&audio=URL",
        )
    })?;
    parse(query)
}

/// Parses the query of a path.
type Parser = fn(&str) -> Result<Route, Problem>;

/// All paths; `src/openapi.json` describes each.
const ROUTES: [(&str, Parser); 16] = [
    ("/mux", |query| mux(Query::without_signature(query)?)),
    ("/download", |query| page::download(Query::without_signature(query)?)),
    ("/info", |query| page::info(Query::without_signature(query)?)),
    ("/thumbnail", |query| page::lone_link(Query::without_signature(query)?).map(Route::Thumbnail)),
    ("/sign", |query| account::sign(Query::parse(query)?)),
    ("/login", |query| account::login(Query::parse(query)?)),
    ("/logout", |query| Query::parse(query)?.reject_unknown().map(|()| Route::Logout)),
    ("/watch", |query| page::watch(Query::parse(query)?)),
    ("/", |query| page::front(Query::parse(query)?)),
    ("/openapi.json", |_| Ok(Route::OpenApi)),
    ("/manifest.webmanifest", |_| Ok(Route::Manifest)),
    ("/icon.svg", |_| Ok(Route::Icon)),
    ("/player.js", |_| Ok(Route::Player)),
    ("/healthz", |_| Ok(Route::Healthz)),
    ("/readyz", |_| Ok(Route::Readyz)),
    ("/metrics", |_| Ok(Route::Metrics)),
];

/// Returns all paths.
#[cfg(test)]
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|(path, _)| *path)
}

/// Returns the names of the parameters that the parser of a target asks for.
#[cfg(test)]
pub(crate) fn parameters_of(target: &str) -> std::collections::BTreeSet<String> {
    query::ASKED.take();
    assert!(route(target).is_ok(), "{target}");
    query::ASKED.take()
}

fn mux(mut query: Query) -> Result<Route, Problem> {
    let (tracks, labels) = tracks::tracks(&mut query)?;
    let name = query.text("name");
    let mut text = |name: &str| query.text(name).map(|text| one_line(&text, MAX_METADATA));
    let metadata = Metadata {
        title: text("title").or_else(|| name.as_deref().map(|name| one_line(name, MAX_METADATA))),
        artist: text("artist"),
        date: text("date"),
        cover: None,
        labels,
        chapters: Vec::new(),
        subtitles: Vec::new(),
        removal: Removal::NONE,
    };
    let container = container(&mut query)?;
    if container.is_audio() {
        return Err(bad_parameter("container must be auto, mp4, webm or mkv"));
    }
    let options = options(&mut query, container)?;
    query.reject_unknown()?;
    if tracks.is_empty() {
        return Err(Problem::new(
            ProblemCode::MissingParameter,
            "the parameters video and audio are missing; give at least one, each a percent-encoded \
             media URL",
        ));
    }
    Ok(Route::Download { source: MediaSource::Urls(Media { name, tracks, metadata }), options })
}

/// Returns the problem `bad-parameter`: the name of a parameter and what is wrong with it.
fn bad_parameter(what: &str) -> Problem {
    Problem::new(ProblemCode::BadParameter, format!("the parameter {what}"))
}

fn container(query: &mut Query) -> Result<ContainerChoice, Problem> {
    let Some(name) = query.text("container") else { return Ok(ContainerChoice::Auto) };
    ContainerChoice::from_name(&name).ok_or_else(|| {
        bad_parameter(
            "container must be auto, mp4, webm, mkv, m4a, mp3, opus, ogg, flac or wav, or vtt or srt for \
             subtitles alone",
        )
    })
}

fn options(query: &mut Query, container: ContainerChoice) -> Result<OutputOptions, Problem> {
    let engine = query.text("engine");
    let engine = engine.map_or(Some(Engine::Auto), |name| Engine::from_name(&name));
    let engine = engine.ok_or_else(|| bad_parameter("engine must be auto, splice or ffmpeg"))?;
    let mut time = |name: &str| match query.text(name) {
        None => Ok(None),
        Some(text) => timestamp::time(&text).map(Some).ok_or_else(|| {
            bad_parameter(&format!(
                "{name} must be a time in seconds or as h:m:s, such as 90.5 or 1:02:03"
            ))
        }),
    };
    let (start, end) = (time("start")?, time("end")?);
    let from_oldest = start == Some(Duration::ZERO);
    let start = start.unwrap_or_default();
    if end.is_some_and(|end| end <= start) {
        return Err(bad_parameter("end must be later than start"));
    }
    let length = query.text("length");
    let length = length.map_or(Some(LengthPolicy::Auto), |name| LengthPolicy::from_name(&name));
    let length = length.ok_or_else(|| bad_parameter("length must be auto, wait or none"))?;
    let time_range = TimeRange { start, end };
    let (bitrate, text_only) = (None, None);
    Ok(OutputOptions { container, engine, time_range, length, from_oldest, bitrate, text_only })
}

fn media_url(kind: TrackKind, text: &str) -> Result<Url, Problem> {
    let bad = |why: String| {
        let mut problem = Problem::new(ProblemCode::BadUrl, format!("the parameter {kind} {why}"));
        problem.track = Some(kind);
        problem
    };
    let url = Url::parse(text).map_err(|error| bad(format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("must be an http or https URL".into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("must not have a user name or password in it".into()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::instruments::Label;
    use crate::labels::RouteName;
    use proptest::prelude::*;

    fn code(target: &str) -> &'static str {
        route(target).unwrap_err().code.as_str()
    }

    #[test]
    fn a_pair_of_urls() {
        let target = "/mux?video=https%3A%2F%2Fa%2Fv%3Fx%3D1%26y%3D2&audio=http://b/a&name=A+b";
        let Ok(Route::Download { source: MediaSource::Urls(media), options }) = route(target)
        else {
            panic!()
        };
        assert_eq!(media.name.as_deref(), Some("A b"));
        assert_eq!(media.tracks[0].location.url.as_str(), "https://a/v?x=1&y=2");
        assert_eq!(media.tracks[1].kind, TrackKind::Audio);
        assert_eq!(options, OutputOptions::default());
        let one = route("/mux?video=&audio=http://b/a&container=webm").unwrap();
        assert!(
            matches!(one, Route::Download { source: MediaSource::Urls(media), .. } if media.tracks.len() == 1)
        );
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(code("/nothing"), "not-found");
        assert_eq!(code("/mux"), "missing-parameter");
        assert_eq!(code("/mux?video=http://a/&b=2"), "unknown-parameter");
        assert_eq!(code("/mux?video=http://a/&video=http://a/"), "duplicate-parameter");
        for wrong in
            ["container=avi", "container=mp3", "engine=x", "start=1:60", "end=-1", "start=5&end=5"]
        {
            assert_eq!(code(&format!("/mux?video=http://a/&{wrong}")), "bad-parameter", "{wrong}");
        }
        assert_eq!(code("/mux?video=http://a/%zz"), "bad-parameter");
        assert_eq!(code("/mux?video=http://a/%ff"), "bad-parameter");
        for url in ["file:///etc/passwd", "data:,x", "a/b", "http://", "ftp://a/", "//a/b"] {
            assert_eq!(code(&format!("/mux?video={url}")), "bad-url", "{url}");
        }
        assert_eq!(code("/mux?audio=http://u:p@a/"), "bad-url");
        assert_eq!(code("/?x=1"), "unknown-parameter");
        let shown = route("/mux?a%0d%0ab=1").unwrap_err().detail;
        assert!(shown.contains("a\\r\\nb"), "{shown}");
    }

    /// The log and the metrics name each path, and no other.
    #[test]
    fn every_path_has_a_name() {
        let paths: BTreeSet<_> = paths().collect();
        let named = RouteName::ALL.iter().filter(|name| **name != RouteName::Other);
        assert_eq!(named.map(|name| name.as_str()).collect::<BTreeSet<_>>(), paths);
    }

    #[test]
    fn a_signature_changes_nothing() {
        for target in ["/mux?video=http://a/", "/download?url=https://a/b", "/info?url=https://a/b"]
        {
            let signed = format!("{target}&by=eve&exp=1&sig=x");
            assert_eq!(route(&signed).unwrap(), route(target).unwrap());
            assert_eq!(code(&format!("{signed}&sig=y")), "duplicate-parameter");
        }
        assert_eq!(code("/?by=eve"), "unknown-parameter");
        assert_eq!(code("/sign?target=%2Fmux%3Fvideo%3Dhttp://a/&sig=x"), "unknown-parameter");
    }

    #[test]
    fn every_spelling_of_an_address_is_normalised() {
        for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "%31%32%37.0.0.1"] {
            let url = media_url(TrackKind::Video, &format!("http://{host}/")).unwrap();
            assert_eq!(url.host_str(), Some("127.0.0.1"), "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_target_makes_it_panic(target in "/(mux|download|info|watch)?\\?[ -~]{0,80}") {
            route(&target).ok();
        }
    }
}
