//! VLC without a screen and a loudspeaker, under its HTTP interface, and what it says meanwhile.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, eventually, start};

/// What it says when its clock starts, with what is decoded by then. Its counters would tell of pictures, but stand
/// still while it waits for a fragment.
const STARTS: &str = "Decoder wait done";
/// So many pictures, and as many frames of audio, show that it plays.
const PLAYED: u64 = 10;
/// Seconds by which its place may be further on: it counts when it has read a fragment, which it does at once.
const AHEAD: f64 = 15.0;

/// A running VLC; dropping it ends and reaps it.
pub(crate) struct Vlc {
    child: Child,
    address: SocketAddr,
    starts: Arc<AtomicUsize>,
    reader: Option<JoinHandle<()>>,
    _directory: TempDir,
}

/// What it has done so far.
#[derive(Clone, Copy, Debug)]
struct Status {
    second: f64,
    duration: f64,
    pictures: u64,
    sounds: u64,
}

impl Vlc {
    /// Plays this; how long it takes until its clock starts, its own start included.
    pub(crate) fn open(url: &str) -> (Self, Duration) {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let since = Instant::now();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = start(
            command(directory.path().metadata().unwrap().uid())
                .args(["-I", "http", "--http-host", "127.0.0.1", "--http-password", "x"])
                .args(["--http-port", &port.to_string()])
                .args(["--vout", "vdummy", "--aout", "adummy", "--verbose", "2"])
                .args(["--no-osd", "--no-media-library", "--no-video-title-show", url])
                .env("HOME", directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        );
        let lines = BufReader::new(child.stderr.take().unwrap()).split(b'\n');
        let starts = Arc::new(AtomicUsize::new(0));
        let reader = thread::spawn({
            let starts = Arc::clone(&starts);
            move || {
                for line in lines.map_while(Result::ok) {
                    let is_start = String::from_utf8_lossy(&line).contains(STARTS);
                    starts.fetch_add(usize::from(is_start), Ordering::SeqCst);
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let vlc = Self { child, address, starts, reader: Some(reader), _directory: directory };
        vlc.until_it_starts(0);
        (vlc, since.elapsed())
    }

    pub(crate) fn duration(&self) -> f64 {
        self.status("").duration
    }

    /// Seeks to this second, of which VLC takes no parts; how long it takes until its clock starts.
    pub(crate) fn seek(&self, second: f64) -> Duration {
        let (since, before) = (Instant::now(), self.starts.load(Ordering::SeqCst));
        self.status(&format!("?command=seek&val={second:.0}"));
        self.until_it_starts(before);
        since.elapsed()
    }

    /// Goes on from this second, with picture and sound.
    pub(crate) fn assert_plays(&self, second: f64) {
        let mut there = (second + 0.6..second + AHEAD, None);
        eventually("VLC plays", PATIENCE, || {
            let status = self.status("");
            if !there.0.contains(&status.second) {
                return None;
            }
            let first = there.1.get_or_insert(status);
            let has_played = |now: u64, before: u64| now >= before + PLAYED;
            (has_played(status.pictures, first.pictures) && has_played(status.sounds, first.sounds))
                .then_some(())
        });
    }

    /// The languages of the audio tracks that it offers, in its words.
    pub(crate) fn languages(&self) -> Vec<String> {
        let status = eventually("VLC answers", PATIENCE, || self.ask(""));
        let streams = status["information"]["category"].as_object().unwrap();
        let mut streams: Vec<_> = streams
            .iter()
            .filter(|(name, stream)| name.starts_with("Stream") && stream["Type"] == "Audio")
            .map(|(name, stream)| (name, stream["Language"].as_str().unwrap_or_default()))
            .collect();
        streams.sort();
        streams.into_iter().map(|(_, language)| language.to_owned()).collect()
    }

    fn until_it_starts(&self, before: usize) {
        eventually("VLC starts to play", PATIENCE, || {
            (self.starts.load(Ordering::SeqCst) > before).then_some(())
        });
    }

    fn status(&self, command: &str) -> Status {
        eventually("VLC answers", PATIENCE, || self.try_status(command))
    }

    fn ask(&self, command: &str) -> Option<Value> {
        let mut connection = TcpStream::connect(self.address).ok()?;
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        // No name, and the password `x`.
        let fields = "Authorization: Basic Ong=\r\nConnection: close\r\n\r\n";
        let request = format!("GET /requests/status.json{command} HTTP/1.0\r\n{fields}");
        connection.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    fn try_status(&self, command: &str) -> Option<Status> {
        let status = self.ask(command)?;
        let duration = status["length"].as_f64()?;
        Some(Status {
            // Its `time` has whole seconds.
            second: status["position"].as_f64()? * duration,
            duration,
            pictures: status["stats"]["displayedpictures"].as_u64()?,
            sounds: status["stats"]["playedabuffers"].as_u64()?,
        })
    }
}

/// It does not run as root.
fn command(user: u32) -> Command {
    if user != 0 {
        return Command::new("vlc");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "vlc"]);
    command
}

impl Drop for Vlc {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
