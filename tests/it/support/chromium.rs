//! A headless Chromium under the DevTools protocol, with one page.
//!
//! The protocol runs over two pipes (`--remote-debugging-pipe`), JSON messages that end with a
//! zero byte; so there is no port to be found and no one else can connect.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, start};

mod person;

pub(crate) use person::View;

/// It sounds into nothing, asks nobody for updates, and plays without a click. What would move on a
/// page stands still: without a graphics card that takes the processor from all others, and a
/// picture may be taken half-way.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-proxy-server",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-component-update",
    "--disable-background-networking",
    "--mute-audio",
    "--force-prefers-reduced-motion",
    "--autoplay-policy=no-user-gesture-required",
];

/// So long it may take to leave when it is asked to.
const FAREWELL: Duration = Duration::from_secs(10);

/// A running Chromium; dropping it ends and reaps it, and prints what it said if the test failed.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    reader: Option<JoinHandle<()>>,
    /// Events that nobody has asked for yet.
    events: VecDeque<Value>,
    calls: u64,
    /// Of the page.
    session: String,
    /// It goes last, for Chromium writes to it until its end.
    directory: TempDir,
}

impl Chromium {
    /// Starts with an empty profile and an empty page.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As `start`, with these flags, too.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let errors = File::create(directory.path().join("errors")).unwrap();
        // Its pipes must be descriptors 3 and 4, which a shell can arrange.
        let exec = "command -v chromium > /dev/null || exit 127\n\
             exec chromium \"$@\" 3<&0 4>&1 < /dev/null > /dev/null";
        let mut child = start(
            Command::new("sh")
                .args(["-c", exec, "sh"])
                .args(FLAGS)
                .args(flags)
                .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
                // Its launcher tidies up in the home, which must not be that of a person.
                .env("HOME", directory.path())
                // In the C locale, names of files that are not ASCII are replaced by `download`.
                .env("LC_ALL", "C.UTF-8")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(errors),
        );
        let to = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, from) = mpsc::channel();
        let reader = thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("a message is JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut chromium = Self {
            child,
            to,
            from,
            reader: Some(reader),
            events: VecDeque::new(),
            calls: 0,
            session: String::new(),
            directory,
        };
        let page = chromium.browser("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = chromium.browser("Target.attachToTarget", &attach);
        chromium.session = session["sessionId"].as_str().unwrap().to_owned();
        chromium.page("Page.enable", &json!({}));
        chromium
    }

    /// Calls a method of the browser.
    pub(crate) fn browser(&mut self, method: &str, params: &Value) -> Value {
        self.call(json!({"method": method, "params": params}))
    }

    /// Calls a method of the page.
    pub(crate) fn page(&mut self, method: &str, params: &Value) -> Value {
        let session = self.session.clone();
        self.call(json!({"method": method, "params": params, "sessionId": session}))
    }

    /// Opens a URL in the page and waits until it has loaded.
    pub(crate) fn open(&mut self, url: &str) {
        // What has loaded before is not what is waited for.
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        let answer = self.page("Page.navigate", &json!({"url": url}));
        assert_eq!(answer["errorText"], Value::Null, "{url}: {answer}");
        self.event("Page.loadEventFired", |_| true);
    }

    /// The value of a script in the page, or what it promises.
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.page("Runtime.evaluate", &params);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{script}");
        answer["result"]["value"].take()
    }

    /// The first event of this kind, past or to come, that is wanted; it is not met again.
    pub(crate) fn event(&mut self, method: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let meant = |event: &Value| event["method"] == method && wanted(&event["params"]);
        let (mut seen, deadline) = (0, Instant::now() + PATIENCE);
        loop {
            if let Some(at) = self.events.iter().skip(seen).position(meant) {
                return self.events.remove(seen + at).unwrap()["params"].take();
            }
            seen = self.events.len();
            let message = self.message(method, deadline);
            self.events.push_back(message);
        }
    }

    /// Takes a picture of the page and says where it is.
    pub(crate) fn screenshot(&mut self, name: &str) -> PathBuf {
        let picture = self.page("Page.captureScreenshot", &json!({"format": "png"}));
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join(format!("{name}.png"));
        std::fs::write(&file, picture).unwrap();
        file
    }

    fn call(&mut self, mut message: Value) -> Value {
        self.calls += 1;
        let method = message["method"].as_str().unwrap();
        let what = message["params"]["expression"].as_str().unwrap_or(method).to_owned();
        message["id"] = self.calls.into();
        // If it has gone, the answer will be missed.
        drop(write!(self.to, "{message}\0").and_then(|()| self.to.flush()));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.message(&what, deadline);
            if message["id"] == self.calls {
                assert_eq!(message["error"], Value::Null, "{what}");
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }

    /// The next message; what is waited for is said if there is none.
    fn message(&mut self, what: &str, deadline: Instant) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        self.from.recv_timeout(left).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => panic!("waited {PATIENCE:?} in vain: {what}"),
            RecvTimeoutError::Disconnected => {
                let status = self.child.wait().unwrap();
                if status.code() == Some(127) {
                    super::missing(&Command::new("chromium"), &"it is not there");
                }
                panic!("chromium ended, {status}: {what}")
            }
        })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Asked, it takes its helpers with it. A broken pipe means that it has gone.
        drop(write!(self.to, "{}\0", json!({"id": 0, "method": "Browser.close"})));
        let deadline = Instant::now() + FAREWELL;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
        if thread::panicking() {
            let errors = std::fs::read(self.directory.path().join("errors")).unwrap_or_default();
            eprintln!("--- what chromium said\n{}---", String::from_utf8_lossy(&errors));
        }
    }
}
