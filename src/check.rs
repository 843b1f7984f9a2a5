//! `ytcanal check`: is everything there to run the server, and what is to be done if not?

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::config::{self, Config};
use crate::http_client::UpstreamClient;
use crate::runtime_dir::RuntimeDir;

mod reader;

/// Looks at everything, says what it found, and returns whether all is well.
pub fn check(file: Option<&Path>, out: &mut impl Write) -> io::Result<bool> {
    let config = match file.map_or(Ok(Config::default()), Config::read) {
        Ok(config) => config,
        Err(error) => {
            writeln!(out, "config   FAILED  {error}")?;
            return Ok(false);
        }
    };
    let from = file.map_or("the defaults".into(), |file| file.display().to_string());
    writeln!(out, "config   ok      {from}")?;
    let upstream = UpstreamClient::new(&config.upstream);
    if let Err(error) = &upstream {
        writeln!(out, "upstream FAILED  {error}")?;
    }
    let ffmpeg = look_for("ffmpeg", &config.muxer.ffmpeg, "-version", out, |program| {
        format!(
            "cannot run {program}; install ffmpeg (apt install ffmpeg) or set muxer.ffmpeg to \
             where it is"
        )
    })?;
    let base = config.runtime_dir();
    let runtime = RuntimeDir::claim(&base);
    match &runtime {
        Ok(_) => writeln!(out, "runtime  ok      {}", base.display())?,
        Err(error) => writeln!(
            out,
            "runtime  FAILED  cannot use {}: {error}; set runtime_dir to a directory that this \
             user may write to",
            base.display()
        )?,
    }
    let is_there = runtime.is_ok();
    if let (Ok(runtime), Ok(_)) = (runtime, &upstream) {
        // Without it there are no page links, but all the rest: no failure.
        reader::look(&config, runtime, out)?;
    }
    Ok(upstream.is_ok() && ffmpeg && is_there)
}

fn look_for(
    label: &str,
    program: &Path,
    flag: &str,
    out: &mut impl Write,
    hint: impl FnOnce(String) -> String,
) -> io::Result<bool> {
    match version(program, flag) {
        Some(line) => {
            let place = config::find_in_path(program).unwrap_or_else(|| program.to_owned());
            writeln!(out, "{label:<8} ok      {} ({line})", place.display())?;
            Ok(true)
        }
        None => {
            writeln!(out, "{label:<8} FAILED  {}", hint(program.display().to_string()))?;
            Ok(false)
        }
    }
}

/// The first line of what a program says of its version.
fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).output().ok()?;
    let line = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    let line = line.split(" Copyright").next()?.to_owned();
    output.status.success().then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_ffmpeg_is_said_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        let runtime = dir.path().join("run");
        let text = format!(
            "runtime_dir = {:?}\n[muxer]\nffmpeg = \"/nonexistent/ffmpeg\"\n",
            runtime.display()
        );
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        assert!(!check(Some(&file), &mut out).unwrap());
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("FAILED  cannot run /nonexistent/ffmpeg; install ffmpeg"), "{out}");
        assert!(out.contains("runtime  ok"), "{out}");
    }
}
