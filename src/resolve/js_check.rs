//! Whether YouTube's scripts can be run: tried out, as for a page.
//!
//! yt-dlp is called in the way in which the daemon calls it, with the same environment and limits,
//! for a link that only an extractor of ours knows. Must never leave this machine.

use std::fs;
use std::io;
use std::time::Instant;

use serde_json::Value;
use url::Url;

use super::{Output, Resolver, backend};
use crate::cancel::CancelToken;

const EXTRACTOR: &str = include_str!("trial.py");
const LINK: &str = "http://trial.invalid/js";
/// How its error begins if there was a runtime.
const FAILED: &str = "failed: ";

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Javascript {
    /// This runtime ran a script.
    Runs(String),
    /// It was there, and did not: what went wrong.
    Fails(String),
    /// yt-dlp finds none that it takes.
    Missing,
    /// This yt-dlp cannot be asked, and why.
    Untried(String),
}

impl Resolver {
    /// Has a line of JavaScript run by whatever yt-dlp would have YouTube's scripts run by.
    pub fn try_javascript(&self) -> Javascript {
        match self.run_check() {
            Ok(said) => interpret(&said),
            Err(why) => Javascript::Fails(why),
        }
    }

    /// What the command says when it is called with these arguments and comes to its end.
    pub fn run_tool(&self, arguments: &[&str]) -> Option<String> {
        let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
        let until = Instant::now() + self.config.resolver.timeout.0;
        // The command is the last way, and there always.
        let said = self.backends.last()?.run(&arguments, until, &CancelToken::new().ok()?).ok()?;
        Some(String::from_utf8_lossy(&said.stdout).into_owned() + &said.stderr)
    }

    fn run_check(&self) -> Result<Output, String> {
        let dir = self.runtime_dir.pages().join("trial");
        let package = dir.join("ytcanal/yt_dlp_plugins/extractor");
        let failed = |error: io::Error| format!("cannot write to {}: {error}", dir.display());
        fs::create_dir_all(&package).map_err(failed)?;
        fs::write(package.join("trial.py"), EXTRACTOR).map_err(failed)?;
        let mut config = self.config.clone();
        let plugins = dir.to_string_lossy().into_owned();
        config.resolver.extra_args.extend(["--plugin-dirs".into(), plugins]);
        config.resolver.extractors = vec!["ytcanal-trial".into()];
        let link = Url::parse(LINK).map_err(|error| error.to_string())?;
        let arguments = backend::arguments(&config, &self.runtime_dir.pages(), &link);
        let until = Instant::now() + self.config.resolver.timeout.0;
        let cancel = CancelToken::new().map_err(|error| error.to_string())?;
        self.run_backends(&arguments, until, &cancel).map_err(|error| error.to_string())
    }
}

fn interpret(said: &Output) -> Javascript {
    if said.code == 0 {
        let page: Option<Value> = serde_json::from_slice(&said.stdout).ok();
        let runtime = page.as_ref().and_then(|page| page["title"].as_str());
        return match runtime {
            Some(runtime) => Javascript::Runs(printable(runtime)),
            None => Javascript::Untried("it says nothing of it".into()),
        };
    }
    let error =
        said.stderr.split_once("ERROR: [ytcanal-trial] js: ").map(|(_, error)| error.trim());
    match error {
        Some("none") => Javascript::Missing,
        Some(error) if error.starts_with(FAILED) => {
            Javascript::Fails(printable(&error[FAILED.len()..]))
        }
        Some(error) => Javascript::Untried(printable(error)),
        None => Javascript::Untried(printable(&said.stderr)),
    }
}

/// In one line, and not too long.
fn printable(said: &str) -> String {
    let words: Vec<&str> = said
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").chars().take(300).collect()
}
