//! Checks whether YouTube's scripts can be run, by running one as for a page.
//!
//! yt-dlp runs as it does for the daemon, with the same environment and limits, for a URL that only
//! the extractor in `trial.py` knows.
//!
//! **Invariant:** nothing leaves this machine.

use std::fs;
use std::io;
use std::time::Instant;

use serde_json::Value;
use url::Url;

use super::Resolver;
use super::backend::{self, Call, Output};
use super::classify::MAX_MESSAGE;
use crate::cancel::CancelToken;
use crate::text::one_line;

const EXTRACTOR: &str = include_str!("trial.py");
const LINK: &str = "http://trial.invalid/js";
/// Prefix of the error message if there was a runtime.
const FAILED: &str = "failed: ";

/// The result of the check.
#[derive(Debug, PartialEq, Eq)]
pub enum Javascript {
    /// This runtime ran a script.
    Runs(String),
    /// A runtime was found and failed; the reason.
    Fails(String),
    /// yt-dlp finds no runtime that it accepts.
    Missing,
    /// This yt-dlp does not support the check; the reason.
    Untried(String),
}

impl Resolver {
    /// Runs a line of JavaScript in the runtime that yt-dlp would use for YouTube's scripts.
    pub fn try_javascript(&self) -> Javascript {
        match self.run_check() {
            Ok(output) => interpret(&output),
            Err(why) => Javascript::Fails(why),
        }
    }

    /// Runs the command with these arguments, and returns both outputs if it ends in time.
    pub fn run_tool(&self, arguments: &[&str]) -> Option<String> {
        let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
        let deadline = Instant::now() + self.reader.config.resolver.timeout.0;
        let (cancel, mut memory) = (CancelToken::new().ok()?, self.reader.memory.reservation());
        let call = Call { arguments: &arguments, cookies: None, deadline, cancel: &cancel };
        // The subprocess is the last backend, and always available.
        let output = self.reader.backends.last()?.run(call, &mut memory).ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr)
    }

    fn run_check(&self) -> Result<Output, String> {
        let dir = self.reader.runtime_dir.pages().join("trial");
        let package = dir.join("ytcanal/yt_dlp_plugins/extractor");
        let failed = |error: io::Error| format!("cannot write to {}: {error}", dir.display());
        fs::create_dir_all(&package).map_err(failed)?;
        fs::write(package.join("trial.py"), EXTRACTOR).map_err(failed)?;
        let mut config = self.reader.config.clone();
        let plugins = dir.to_string_lossy().into_owned();
        config.resolver.extra_args.extend(["--plugin-dirs".into(), plugins]);
        config.resolver.extractors = vec!["ytcanal-trial".into()];
        let page_url = Url::parse(LINK).map_err(|error| error.to_string())?;
        let arguments = backend::arguments(&config, &self.reader.runtime_dir.pages(), &page_url, 0);
        let deadline = Instant::now() + self.reader.config.resolver.timeout.0;
        let cancel = CancelToken::new().map_err(|error| error.to_string())?;
        let mut memory = self.reader.memory.reservation();
        let call = Call { arguments: &arguments, cookies: None, deadline, cancel: &cancel };
        self.reader.run_backends(call, &mut memory).map_err(|error| error.to_string())
    }
}

fn interpret(output: &Output) -> Javascript {
    if output.code == 0 {
        let page: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let runtime = page.as_ref().and_then(|page| page["title"].as_str());
        return match runtime {
            Some(runtime) => Javascript::Runs(one_line(runtime, MAX_MESSAGE)),
            None => Javascript::Untried("yt-dlp did not report the runtime".into()),
        };
    }
    let error =
        output.stderr.split_once("ERROR: [ytcanal-trial] js: ").map(|(_, error)| error.trim());
    match error {
        Some("none") => Javascript::Missing,
        Some(error) if error.starts_with(FAILED) => {
            Javascript::Fails(one_line(&error[FAILED.len()..], MAX_MESSAGE))
        }
        Some(error) => Javascript::Untried(one_line(error, MAX_MESSAGE)),
        None => Javascript::Untried(one_line(&output.stderr, MAX_MESSAGE)),
    }
}
