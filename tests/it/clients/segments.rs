//! Films in segments: every case that has a length, with each program.

use std::thread;

use serde_json::json;

use super::*;
use crate::support::client::any_path;
use crate::support::hls::{DASH, named};
use crate::support::segmented::SegmentedFilm;
use crate::support::ytdlp;

/// All cases with a length. Packed audio comes beside a transport stream.
const CASES: [&str; 10] = [
    "fragments",
    "fragments in one file",
    "fragments, apart",
    "transport stream",
    "transport stream in one file",
    "transport stream, apart",
    "transport stream, encrypted",
    PACKED,
    ENCRYPTED,
    DASH_CASE,
];
const ENCRYPTED: &str = "fragments, encrypted";
/// Behind a link, through yt-dlp.
const DASH_CASE: &str = "DASH";
const PACKED: &str = "transport stream, packed audio";
/// Bytes a second that each connection to the origin brings while eight connections are awaited.
const LINE: u64 = 1_000_000;

/// Twelve seconds of 8 Mbit/s: what eight connections share, and a program can be killed in.
fn source() -> PathBuf {
    let noise = "testsrc=size=320x180:rate=25:duration=12,noise=alls=30:allf=t";
    let coded = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 8M -g 25 -bf 2 -c:a aac";
    let words = ["-f", "lavfi", "-i", noise].map(str::to_owned).into_iter();
    let words = words.chain(media::sound(48_000, 12));
    let words: Vec<_> = words.chain(coded.split(' ').map(str::to_owned)).collect();
    media::generate("clients-source", "mp4", &words)
}

fn film(case: &str) -> SegmentedFilm {
    let of = |name| SegmentedFilm::of(named(name), &source());
    match case {
        PACKED => of("transport stream, apart").with_packed_audio(),
        ENCRYPTED => of("fragments").encrypted(),
        DASH_CASE => SegmentedFilm::of(DASH, &source()),
        _ => of(case),
    }
}

fn settings(case: &str) -> String {
    match case {
        DASH_CASE => ytdlp::config(&[], "[limits]\nstreams = 16\nstreams_per_client = 16\n"),
        _ => SETTINGS.to_owned(),
    }
}

/// The name of the last segment, of video if it is apart.
fn last_segment(case: &str, film: &SegmentedFilm) -> String {
    let numbered = (1..).map(|number| format!("chunk-stream0-{number:05}.m4s"));
    match case {
        DASH_CASE => numbered.take_while(|name| film.has(name)).last(),
        _ => film.segments().pop(),
    }
    .expect("it has segments")
}

fn put(
    case: &str,
    film: &SegmentedFilm,
    origin: &Origin,
    change: impl Fn(&str, Resource) -> Resource,
) -> String {
    let url = film.put_with(origin, "f/film", change);
    let length = [("length", "wait")];
    if case != DASH_CASE {
        return any_path(Some(&url), None, &length);
    }
    let page = json!({"formats": {}, "manifests": ["dash.mpd"]});
    origin.put("page/film", Resource::bytes(page.to_string()));
    ytdlp::download_path(&origin.url("watch?v=film"), &length)
}

/// A shop whose segments are changed like this for programs.
fn shop(case: &str, film: &SegmentedFilm, change: impl Fn(&str, Resource) -> Resource) -> Shop {
    let healthy = |origin: &Origin| put(case, film, origin, |_, it| it);
    Shop::of(case, &settings(case), healthy, |origin| put(case, film, origin, &change))
}

impl Shop {
    fn heads(&self) -> String {
        printed(&run(Command::new("curl").args(["-sI", "--noproxy", "*"]).arg(&self.url)))
    }

    /// Has another instance in the place of the daemon, to which the film is the same.
    fn moves(&mut self, case: &str) {
        let before = self.heads();
        let length = format!("Content-Length: {}", self.whole.len());
        for line in [&length, "Accept-Ranges: bytes", "ETag: \""] {
            assert!(before.contains(line), "{case}: no {line} in {before}");
        }
        let request = self.url.splitn(4, '/').last().unwrap();
        let next = Daemon::start(&self.settings);
        self.url = next.url(&format!("/{request}"));
        self.daemon = next;
        let told = |text: &str, name: &str| {
            text.lines().find(|line| line.starts_with(name)).expect("it is told").to_owned()
        };
        let after = self.heads();
        for name in ["ETag", "Content-Length"] {
            assert_eq!(told(&before, name), told(&after, name), "{case}");
        }
    }
}

/// Killed before its end, it goes on with another instance.
fn goes_on(
    case: &str,
    film: &SegmentedFilm,
    program: fn(&Shop) -> Command,
    proof: &dyn Fn(u64) -> String,
) {
    let gate = Gate::default();
    let last = last_segment(case, film);
    let mut shop = shop(
        case,
        film,
        |name, resource| {
            if name == last { held(resource, &gate) } else { resource }
        },
    );
    let mut first = program(&shop);
    shop.kill(&mut first);
    gate.open();
    shop.moves(case);
    let missing = shop.whole.len() as u64 - shop.has();
    assert!(missing > 0, "{case}");
    let output = run(&mut program(&shop));
    let text = printed(&output);
    shop.assert_whole(output.status, &text);
    assert!(text.contains(&proof(missing)), "{case}: only what was missing: {text}");
}

fn curl_with_report(shop: &Shop) -> Command {
    let mut command = curl(shop);
    command.args(["-w", "%{http_code} %{size_download}"]);
    command
}

fn wget_with_report(shop: &Shop) -> Command {
    wget(&["-c", "--progress=dot:giga"], &shop.url, &shop.file())
}

/// Eight connections at the same time.
fn comes_in_parts(case: &str, film: &SegmentedFilm) {
    let shop = shop(case, film, |_, resource| resource.pace(LINE));
    let log = File::create(shop.directory.path().join("log")).unwrap();
    let child = start(aria2c(&shop).stdin(Stdio::null()).stdout(log).stderr(Stdio::null()));
    let mut child = Running(child);
    eventually("eight connections", PATIENCE, || {
        let ended = child.0.try_wait().unwrap();
        assert!(ended.is_none(), "{case}: it came to its end without them: {ended:?}");
        (shop.daemon.metric("ytcanal_streams_active") >= 8.0).then_some(())
    });
    let status = child.0.wait().unwrap();
    let log = std::fs::read_to_string(shop.directory.path().join("log")).unwrap();
    shop.assert_whole(status, &log);
}

#[test]
fn films_in_segments_are_files_to_all_programs() {
    thread::scope(|scope| {
        for case in CASES {
            scope.spawn(move || {
                let film = film(case);
                goes_on(case, &film, curl_with_report, &|missing| format!("206 {missing}"));
                goes_on(case, &film, wget_with_report, &|missing| format!(", {missing} ("));
                comes_in_parts(case, &film);
            });
        }
    });
}
