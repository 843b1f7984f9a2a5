//! The real curl, whose exit code is what scripts rely on.

use std::path::Path;
use std::process::Command;

use super::run;

/// What curl says about a download.
#[derive(Debug)]
pub(crate) struct Curl {
    pub(crate) exit: i32,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Runs curl with these arguments, bounded in time.
pub(crate) fn curl(arguments: &[&str]) -> Curl {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = run(curl_command(file.path()).args(arguments));
    Curl {
        exit: output.status.code().expect("curl was not killed"),
        status: String::from_utf8_lossy(&output.stdout).trim().parse().unwrap(),
        body: std::fs::read(file.path()).unwrap(),
    }
}

/// A curl that writes the body to a file as it comes and the status to its output.
pub(crate) fn curl_command(body: &Path) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-N", "--noproxy", "*", "--max-time", "60"])
        .args(["-w", "%{http_code}", "-o"])
        .arg(body);
    command
}
