//! A headless Firefox under its Marionette protocol, with one page: JSON messages over TCP on loopback, each
//! after its length in decimal digits and a colon.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, start};

/// It plays without a click, sounds into nothing, and asks nobody for anything. The port is any.
const PREFERENCES: [(&str, &str); 9] = [
    ("marionette.port", "0"),
    ("media.autoplay.default", "0"),
    ("media.autoplay.blocking_policy", "0"),
    ("media.volume_scale", "\"0.0\""),
    ("app.update.enabled", "false"),
    ("browser.shell.checkDefaultBrowser", "false"),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
];

/// A running Firefox; dropping it ends and reaps it.
pub(crate) struct Firefox {
    child: Child,
    connection: BufReader<TcpStream>,
    calls: u64,
    /// It goes last, for Firefox writes to it until its end.
    directory: TempDir,
}

impl Firefox {
    /// Starts with an empty profile.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let set = PREFERENCES.map(|(name, value)| format!("user_pref(\"{name}\", {value});\n"));
        fs::write(directory.path().join("user.js"), set.concat()).unwrap();
        let errors = File::create(directory.path().join("errors")).unwrap();
        let child = start(
            Command::new("firefox-esr")
                .args(["--headless", "--marionette", "--no-remote", "--profile"])
                .arg(directory.path())
                .env("HOME", directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(errors),
        );
        let deadline = Instant::now() + PATIENCE;
        let port = loop {
            let written = fs::read_to_string(directory.path().join("MarionetteActivePort"));
            if let Some(port) = written.ok().and_then(|port| port.trim().parse::<u16>().ok()) {
                break port;
            }
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for Firefox");
            thread::sleep(Duration::from_millis(20));
        };
        let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let connection = BufReader::new(connection);
        let mut firefox = Self { child, connection, calls: 0, directory };
        // It introduces itself.
        firefox.message();
        firefox.call("WebDriver:NewSession", &json!({}));
        let patience = PATIENCE.as_millis() as u64;
        let timeouts = json!({"script": patience, "pageLoad": patience});
        firefox.call("WebDriver:SetTimeouts", &timeouts);
        firefox
    }

    /// Opens a URL in the page and waits until it has loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("WebDriver:Navigate", &json!({"url": url}));
    }

    /// What the body of an asynchronous function returns in the page.
    pub(crate) fn evaluate(&mut self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})()\
             .then(value => done([value ?? null]), error => done(`${{error}} ${{error.stack}}`));"
        );
        let params = json!({"script": script, "args": [], "sandbox": null});
        let mut answer = self.call("WebDriver:ExecuteAsyncScript", &params)["value"].take();
        assert!(answer.is_array(), "{body}: {answer}");
        answer[0].take()
    }

    fn call(&mut self, command: &str, params: &Value) -> Value {
        self.calls += 1;
        let message = json!([0, self.calls, command, params]).to_string();
        write!(self.connection.get_mut(), "{}:{message}", message.len()).unwrap();
        let mut answer = self.message();
        assert_eq!((&answer[1], &answer[2]), (&self.calls.into(), &Value::Null), "{command}");
        answer[3].take()
    }

    fn message(&mut self) -> Value {
        let mut length = Vec::new();
        self.connection.read_until(b':', &mut length).unwrap();
        length.pop();
        let length = String::from_utf8(length).unwrap().parse().expect("it is a length");
        let mut message = vec![0; length];
        self.connection.read_exact(&mut message).unwrap();
        serde_json::from_slice(&message).expect("a message is JSON")
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // Asked, it takes its helpers with it.
        let quit = json!([0, self.calls + 1, "Marionette:Quit", {"flags": ["eForceQuit"]}]);
        let quit = quit.to_string();
        drop(write!(self.connection.get_mut(), "{}:{quit}", quit.len()));
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            let errors = fs::read(self.directory.path().join("errors")).unwrap_or_default();
            eprintln!("--- what firefox said\n{}---", String::from_utf8_lossy(&errors));
        }
    }
}
