//! mpv without a screen and a loudspeaker, under its JSON protocol: a line each way over a socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, eventually, start};

/// A running mpv; dropping it ends and reaps it.
pub(crate) struct Mpv {
    child: Child,
    connection: BufReader<UnixStream>,
    /// Since the last command.
    events: Vec<String>,
    _directory: TempDir,
}

impl Mpv {
    /// Starts with its own defaults, and plays nothing yet.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let child = start(
            Command::new("mpv")
                .args(["--no-config", "--idle", "--no-terminal", "--ytdl=no"])
                .args(["--vo=null", "--ao=null"])
                .arg(format!("--input-ipc-server={}", socket.display()))
                .env("HOME", directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let connection = eventually("mpv listens", PATIENCE, || UnixStream::connect(&socket).ok());
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let connection = BufReader::new(connection);
        Self { child, connection, events: Vec::new(), _directory: directory }
    }

    /// Plays this; how long it takes until picture and sound are there.
    pub(crate) fn open(&mut self, url: &str) -> Duration {
        self.until_it_plays(&json!(["loadfile", url]))
    }

    /// Seeks to this second; how long it takes until picture and sound are there.
    pub(crate) fn seek(&mut self, second: f64) -> Duration {
        let took = self.until_it_plays(&json!(["seek", second, "absolute"]));
        let at = self.number("time-pos");
        assert!((at - second).abs() < 1.0, "mpv is at {at}, not at {second}");
        took
    }

    pub(crate) fn duration(&mut self) -> f64 {
        self.number("duration")
    }

    /// A second goes by, with picture and sound.
    pub(crate) fn assert_plays(&mut self) {
        let begin = self.number("time-pos");
        let heard = self.number("audio-pts");
        // Of the pictures of a second, some lean on others.
        let mut kinds = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while self.number("time-pos") < begin + 1.0 {
            let picture = self.get("video-frame-info/picture-type");
            kinds.extend(picture.as_str().map(str::to_owned));
            assert!(Instant::now() < deadline, "mpv stands at {begin}");
            thread::sleep(Duration::from_millis(20));
        }
        kinds.sort();
        kinds.dedup();
        assert!(kinds.len() > 1, "mpv shows no picture, but {kinds:?}");
        let heard = self.number("audio-pts") - heard;
        assert!(heard > 0.5, "mpv played {heard} s of sound");
    }

    /// The audio tracks that it offers: language and name, and whether it plays them.
    pub(crate) fn audio_tracks(&mut self) -> Vec<(String, String, bool)> {
        let list = self.get("track-list");
        let tracks = list.as_array().into_iter().flatten();
        let audios = tracks.filter(|track| track["type"] == "audio");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let listed = audios
            .map(|track| (text(&track["lang"]), text(&track["title"]), track["selected"] == true));
        listed.collect()
    }

    fn until_it_plays(&mut self, command: &Value) -> Duration {
        let since = Instant::now();
        self.events.clear();
        self.call(command);
        while self.events.iter().all(|event| event != "playback-restart") {
            assert!(self.events.iter().all(|event| event != "end-file"), "mpv does not play it");
            self.receive();
        }
        since.elapsed()
    }

    /// Waits for a property that may be there a little later.
    fn number(&mut self, property: &str) -> f64 {
        eventually(property, PATIENCE, || self.get(property).as_f64())
    }

    /// Sets a property.
    pub(crate) fn set(&mut self, property: &str, value: &Value) {
        let answer = self.call(&json!(["set_property", property, value]));
        assert_eq!(answer["error"], "success", "{property}");
    }

    /// The value of a property.
    pub(crate) fn get(&mut self, property: &str) -> Value {
        self.call(&json!(["get_property", property]))["data"].clone()
    }

    fn call(&mut self, command: &Value) -> Value {
        let line = format!("{}\n", json!({"command": command, "request_id": 1}));
        self.connection.get_mut().write_all(line.as_bytes()).unwrap();
        loop {
            let message = self.receive();
            if message["request_id"] == 1 {
                return message;
            }
        }
    }

    /// The next message; an event is noted, too.
    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.connection.read_line(&mut line).expect("mpv answers");
        let message: Value = serde_json::from_str(&line).expect("mpv speaks JSON");
        self.events.extend(message["event"].as_str().map(str::to_owned));
        message
    }
}

impl Drop for Mpv {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
