//! `ytcanal check`: verifies configuration and dependencies, and prints the remedy for what is missing.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::config::{self, Config, ListenAddress, SandboxConfig};
use crate::ffmpeg;
use crate::http_client::UpstreamClient;
use crate::runtime_dir::RuntimeDir;
use crate::sandbox::Support;

mod access;
mod cookies;
mod ytdlp;

/// Runs all checks, prints one line for each, and returns whether all mandatory ones passed. The server listens on
/// these addresses instead of those of the file, if there are any: who may use it depends on that.
pub fn check(
    file: Option<&Path>,
    listen: Vec<ListenAddress>,
    out: &mut impl Write,
) -> io::Result<bool> {
    let mut config = match file.map_or(Ok(Config::default()), Config::read) {
        Ok(config) => config,
        Err(error) => {
            writeln!(out, "config   FAILED  {error}")?;
            return Ok(false);
        }
    };
    if !listen.is_empty() {
        config.listen = listen;
    }
    let source = file.map_or("the defaults".into(), |file| file.display().to_string());
    writeln!(out, "config   ok      {source}")?;
    if let Some(file) = file.filter(|file| shows_password(file, &config)) {
        writeln!(
            out,
            "config   open    other users of this machine can read {}, which contains the password of \
             upstream.proxy; take the permission away from them (chmod o= {}) and give it to a group of the \
             service, as docs/operations.md shows",
            file.display(),
            file.display()
        )?;
    }
    let upstream = UpstreamClient::new(&config.upstream);
    if let Err(error) = &upstream {
        writeln!(out, "upstream FAILED  {error}")?;
    }
    let access = access::check(&config, out)?;
    let cookies = cookies::check(&config, out)?;
    check_sandbox(&config, out)?;
    let ffmpeg = check_ffmpeg(&config, out)?;
    let base = config.runtime_dir();
    let runtime_dir = RuntimeDir::try_out(&base);
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
    Ok(upstream.is_ok() && access && cookies && ffmpeg && has_runtime_dir)
}

/// Returns whether others than its owner may read a file with a password.
fn shows_password(file: &Path, config: &Config) -> bool {
    let has_password = config.upstream.proxy.as_ref().is_some_and(|proxy| proxy.login.is_some());
    has_password && fs::metadata(file).is_ok_and(|meta| meta.mode() & 0o004 != 0)
}

/// Prints what the kernel confines child processes by. Not mandatory.
fn check_sandbox(config: &Config, out: &mut impl Write) -> io::Result<()> {
    if !config.sandbox.enabled {
        return writeln!(
            out,
            "sandbox  off     sandbox.enabled = false: ffmpeg and yt-dlp run with the rights of this user"
        );
    }
    let support = Support::detect();
    match support.missing() {
        None => writeln!(out, "sandbox  ok      {support}")?,
        Some(missing) => writeln!(out, "sandbox  partial {support}: {missing}")?,
    }
    let SandboxConfig { read, write, .. } = &config.sandbox;
    for (key, paths) in [("read", read), ("write", write)] {
        for path in paths.iter().filter(|path| !path.exists()) {
            writeln!(
                out,
                "sandbox  note    sandbox.{key} names {}, which is not there or hidden from this user",
                path.display()
            )?;
        }
    }
    Ok(())
}

/// Prints whether ffmpeg runs in its sandbox, with its path and version or a remedy.
fn check_ffmpeg(config: &Config, out: &mut impl Write) -> io::Result<bool> {
    let program = &config.muxer.ffmpeg;
    if let Some(line) = ffmpeg::command(config, None, false).ok().and_then(version) {
        let path = config::find_in_path(program).unwrap_or_else(|| program.to_owned());
        writeln!(out, "ffmpeg   ok      {} ({line})", path.display())?;
        return Ok(true);
    }
    let program = program.display();
    if config.sandbox.enabled && version(Command::new(&config.muxer.ffmpeg)).is_some() {
        writeln!(
            out,
            "ffmpeg   FAILED  {program} runs, but not in its sandbox; name in sandbox.read the directories \
             of its libraries, or install another ffmpeg (apt install ffmpeg); as a last resort set \
             sandbox.enabled = false"
        )?;
    } else {
        writeln!(
            out,
            "ffmpeg   FAILED  cannot run {program}; install ffmpeg (apt install ffmpeg) or set \
             muxer.ffmpeg to its path"
        )?;
    }
    Ok(false)
}

/// Returns the first line of a program's version output.
fn version(mut command: Command) -> Option<String> {
    let output = command.arg("-version").stdin(Stdio::null()).output().ok()?;
    let line = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    let line = line.split(" Copyright").next()?.to_owned();
    output.status.success().then_some(line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_password_that_everybody_can_read_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        let runtime = dir.path().join("run");
        for (proxy, mode, is_open) in [
            ("http://me:secret@127.0.0.1:1", 0o644, true),
            ("http://me:secret@127.0.0.1:1", 0o600, false),
            ("http://127.0.0.1:1", 0o644, false),
        ] {
            let text = format!(
                "runtime_dir = {:?}\n[upstream]\nproxy = {proxy:?}\n[resolver]\ncommand = \"/nowhere\"\n",
                runtime.display()
            );
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let mut out = Vec::new();
            check(Some(&file), Vec::new(), &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out.contains("config   open "), is_open, "{proxy} {mode:o}: {out}");
            assert!(!out.contains("secret"), "{out}");
        }
    }

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
        let everywhere = vec!["0.0.0.0:8080".parse().unwrap()];
        assert!(!check(Some(&file), everywhere, &mut out).unwrap());
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("access   ok      local:"), "{out}");
        assert!(out.contains("FAILED  cannot run /nonexistent/ffmpeg; install ffmpeg"), "{out}");
        assert!(out.contains("runtime  ok"), "{out}");
    }
}
