//! `ytcanal check`: verifies configuration and dependencies, and prints the remedy for what is missing.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::config::{self, Config};
use crate::http_client::UpstreamClient;
use crate::runtime_dir::RuntimeDir;

mod ytdlp;

/// Runs all checks, prints one line for each, and returns whether all mandatory ones passed.
pub fn check(file: Option<&Path>, out: &mut impl Write) -> io::Result<bool> {
    let config = match file.map_or(Ok(Config::default()), Config::read) {
        Ok(config) => config,
        Err(error) => {
            writeln!(out, "config   FAILED  {error}")?;
            return Ok(false);
        }
    };
    let source = file.map_or("the defaults".into(), |file| file.display().to_string());
    writeln!(out, "config   ok      {source}")?;
    let upstream = UpstreamClient::new(&config.upstream);
    if let Err(error) = &upstream {
        writeln!(out, "upstream FAILED  {error}")?;
    }
    let ffmpeg = check_program("ffmpeg", &config.muxer.ffmpeg, "-version", out, |program| {
        format!(
            "cannot run {program}; install ffmpeg (apt install ffmpeg) or set muxer.ffmpeg to \
             its path"
        )
    })?;
    let base = config.runtime_dir();
    let runtime_dir = RuntimeDir::claim(&base);
    match &runtime_dir {
        Ok(_) => writeln!(out, "runtime  ok      {}", base.display())?,
        Err(error) => writeln!(
            out,
            "runtime  FAILED  cannot use {}: {error}; set runtime_dir to a directory that this \
             user may write to",
            base.display()
        )?,
    }
    let has_runtime_dir = runtime_dir.is_ok();
    if let (Ok(runtime_dir), Ok(_)) = (runtime_dir, &upstream) {
        // Not mandatory: without yt-dlp everything but page links works.
        ytdlp::check(&config, runtime_dir, out)?;
    }
    Ok(upstream.is_ok() && ffmpeg && has_runtime_dir)
}

/// Prints whether a program runs, with its path and version or a hint.
fn check_program(
    label: &str,
    program: &Path,
    flag: &str,
    out: &mut impl Write,
    hint: impl FnOnce(String) -> String,
) -> io::Result<bool> {
    match version(program, flag) {
        Some(line) => {
            let path = config::find_in_path(program).unwrap_or_else(|| program.to_owned());
            writeln!(out, "{label:<8} ok      {} ({line})", path.display())?;
            Ok(true)
        }
        None => {
            writeln!(out, "{label:<8} FAILED  {}", hint(program.display().to_string()))?;
            Ok(false)
        }
    }
}

/// Returns the first line of a program's version output.
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
    fn a_missing_ffmpeg_is_reported_with_its_remedy() {
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
