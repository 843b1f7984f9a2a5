//! What the tests stand on: an origin, proxies to it, a client, a daemon under observation, sample media.

pub(crate) mod aes_128;
pub(crate) mod answer;
pub(crate) mod barrier;
pub(crate) mod chromium;
pub(crate) mod client;
mod connection;
pub(crate) mod connection_detector;
pub(crate) mod curl;
pub(crate) mod daemon;
pub(crate) mod film;
pub(crate) mod films;
pub(crate) mod firefox;
pub(crate) mod framemd5;
pub(crate) mod generated_table;
pub(crate) mod hls;
pub(crate) mod live;
pub(crate) mod media;
pub(crate) mod mpv;
pub(crate) mod names;
pub(crate) mod namespace;
pub(crate) mod origin;
pub(crate) mod packed_audio;
mod path_state;
mod player;
pub(crate) mod process_snapshot;
pub(crate) mod proxy;
pub(crate) mod raw_server;
mod request;
pub(crate) mod resource;
mod response_range;
pub(crate) mod segmented;
mod self_tests;
pub(crate) mod served;
mod server;
pub(crate) mod shaka;
pub(crate) mod spliced;
mod stop;
pub(crate) mod synchrony;
pub(crate) mod test_ca;
pub(crate) mod tongues;
mod transport;
pub(crate) mod vlc;
pub(crate) mod webms;
pub(crate) mod youtube;
pub(crate) mod ytdlp;

use std::fmt::Display;
use std::process::{Child, Command, Output};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// A bound that only a hang exceeds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Does something for each item, for `count` of them at a time: most of them do nothing but wait.
pub(crate) fn abreast<T: Send>(
    count: usize,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) + Sync,
) {
    let mut items: Vec<T> = items.into_iter().collect();
    items.reverse();
    let items = Mutex::new(items);
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while let Some(item) = { items.lock().unwrap().pop() } {
                    work(item);
                }
            });
        }
    });
}

/// Runs a tool to its end; a missing one fails the test and says what to install.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| missing(command, &error))
}

/// Starts a tool; a missing one fails the test and says what to install.
pub(crate) fn start(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| missing(command, &error))
}

fn missing(command: &Command, error: &dyn Display) -> ! {
    let program = command.get_program().to_string_lossy().into_owned();
    let package = match program.as_str() {
        "ffmpeg" | "ffprobe" => "ffmpeg",
        "aria2c" => "aria2",
        "cc" => "build-essential",
        "chromium" => "chromium",
        "curl" => "curl",
        "kill" => "procps",
        "nginx" => "nginx-light",
        "prlimit" | "setpriv" | "unshare" => "util-linux",
        "vlc" => "vlc-bin vlc-plugin-base",
        "wget" => "wget",
        other => other,
    };
    panic!("cannot run {program}: {error}; install it: apt-get install {package}")
}

/// Sends a signal (`TERM`, `INT`, `KILL`) to one process.
pub(crate) fn signal(pid: u32, name: &str) {
    let output = run(Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]));
    assert!(output.status.success(), "kill -{name} {pid}: {output:?}");
}

/// Polls until `probe` yields something; panics with `what` when the time is over.
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {within:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The bytes that a request asks for, which must be a bounded range.
pub(crate) fn request_range(request: &origin::Request) -> std::ops::Range<u64> {
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
    let (first, last) = range.and_then(|range| range.split_once('-')).expect("a bounded range");
    first.parse().unwrap()..last.parse::<u64>().unwrap() + 1
}

/// A number from the environment; `None` if it is not set.
pub(crate) fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is no number")))
}
