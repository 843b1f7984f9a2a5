//! The machine and the tools, without which no figure means anything.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use crate::Outcome;

/// One line: processor, cores, kernel, versions.
pub(crate) fn describe() -> Outcome<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown CPU", |(_, name)| name.trim());
    let cores = thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let ffmpeg = version("ffmpeg", "-version", "ffmpeg version ");
    let nginx = version("nginx", "-v", "nginx version: nginx/");
    Ok(format!(
        "{model}, {cores} cores · Linux {} · ffmpeg {ffmpeg} · nginx {nginx}",
        kernel.trim()
    ))
}

/// The word after `before` in what a program says of itself.
fn version(program: &str, flag: &str, before: &str) -> String {
    // Debian has nginx where only root's PATH leads.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).arg(flag).env("PATH", path).stdin(Stdio::null()).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let version = said.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
    version.unwrap_or("of unknown version").to_owned()
}
