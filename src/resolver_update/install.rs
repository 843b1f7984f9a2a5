//! Installs packages from the package index, by Python's own `venv` and `pip`.
//!
//! **Invariant:** only wheels are installed: no code of a package runs before it is tried in its sandbox.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::child_group::ChildGroup;
use crate::config::RESOLVER_PACKAGES;
use crate::resolve::YtdlpVersion;
use crate::sys;
use crate::text::one_line;

const YTDLP: &str = "yt-dlp";
/// Maximum time of a step: 60 MB over a slow line.
const MAX_TIME: Duration = Duration::from_secs(3600);
/// Seconds that pip waits for a response, and how often it tries again.
const PIP_NETWORK: [&str; 4] = ["--timeout", "30", "--retries", "3"];
/// Variables that would have Python or pip look or install elsewhere.
const MISLEADING: [&str; 6] =
    ["PYTHONHOME", "PYTHONPATH", "PIP_PREFIX", "PIP_REQUIREMENT", "PIP_TARGET", "PIP_USER"];
/// Maximum length of a quoted message.
const MAX_MESSAGE: usize = 300;
/// Maximum number of bytes of output that are looked at; the end is.
const MAX_OUTPUT: u64 = 1 << 20;

/// A pip to install with.
pub(super) struct Installer<'w> {
    work: &'w Path,
    lock: &'w File,
    python: PathBuf,
}

/// Packages with their versions, as pip has chosen them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PackageList {
    /// The version of yt-dlp.
    pub(super) version: YtdlpVersion,
    /// `name==version`, one a line, in alphabetical order, behind a comment with the version of Python: packages that
    /// were installed for another one are not found.
    pub(super) text: String,
}

impl<'w> Installer<'w> {
    /// Makes a pip in the directory `work`. That of the system may be absent, and that of a release gone with it.
    /// `lock`, an empty file, stays locked for as long as a process that was started here runs.
    pub(super) fn new(work: &'w Path, lock: &'w File) -> Result<Installer<'w>, String> {
        let python = work.join("pip/bin/python3");
        let installer = Installer { work, lock, python };
        installer.make_environment(Command::new("python3"), &work.join("pip"))?;
        // By itself: `venv` hides what it says of a failure.
        installer.run(Command::new(&installer.python).args(["-m", "ensurepip"]))?;
        Ok(installer)
    }

    fn make_environment(&self, mut python: Command, path: &Path) -> Result<(), String> {
        self.run(python.args(["-m", "venv", "--without-pip"]).arg(path))
    }

    /// Asks the index for the newest packages that fit together and this machine.
    pub(super) fn newest(&self) -> Result<PackageList, String> {
        let report = self.work.join("report.json");
        let mut command = self.pip(&["install", "--dry-run", "--ignore-installed", "--report"]);
        self.run(command.arg(&report).args(RESOLVER_PACKAGES))?;
        let report = fs::read(&report).map_err(|error| error.to_string())?;
        package_list(&report).ok_or_else(|| "the report of pip has another form".into())
    }

    /// Makes a virtual environment at `path` with these packages.
    pub(super) fn install(&self, packages: &PackageList, path: &Path) -> Result<(), String> {
        let list = self.work.join("packages.txt");
        fs::write(&list, &packages.text).map_err(|error| explain(&error.to_string()))?;
        self.make_environment(Command::new(&self.python), path)?;
        let mut command = Command::new(&self.python);
        command.args(["-m", "pip", "--python"]).arg(path.join("bin/python3"));
        command.args([
            "install",
            "--quiet",
            "--only-binary",
            ":all:",
            "--no-deps",
            "--requirement",
        ]);
        self.run(command.arg(&list).args(PIP_NETWORK))
    }

    fn pip(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "pip", arguments[0], "--quiet", "--only-binary", ":all:"]);
        command.args(PIP_NETWORK).args(&arguments[1..]);
        command
    }

    /// Runs a command to its end; if it fails, returns why.
    fn run(&self, command: &mut Command) -> Result<(), String> {
        let program = command.get_program().to_string_lossy().into_owned();
        // In memory: a full disk is what it may have to report.
        let mut output = sys::memory_file(b"").map_err(|error| error.to_string())?;
        let ended = output.try_clone().and_then(|out| {
            let err = out.try_clone()?;
            // An empty file. The processes that pip starts have it, too, and may outlive this one, if that is killed.
            command.stdin(self.lock.try_clone()?).stdout(out).stderr(err);
            command.current_dir(self.work).env("TMPDIR", self.work).env("PIP_NO_CACHE_DIR", "1");
            command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_NO_INPUT", "1");
            MISLEADING.iter().for_each(|name| {
                command.env_remove(name);
            });
            sys::kill_on_parent_exit(command);
            let mut child = ChildGroup::spawn(command)?;
            let in_time = child.has_exited_within(MAX_TIME)?;
            Ok((in_time, child.kill_and_wait()?))
        });
        match ended {
            Ok((true, status)) if status.success() => Ok(()),
            Ok((true, _)) => Err(explain(&end_of(&mut output).unwrap_or_default())),
            Ok((false, _)) => Err(format!("{program} did not end within {MAX_TIME:?}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("{program} was not found; install it (apt install python3-venv)"))
            }
            Err(error) => Err(format!("cannot run {program}: {error}")),
        }
    }
}

#[derive(Deserialize)]
struct Report {
    install: Vec<Installation>,
    environment: Environment,
}

#[derive(Deserialize)]
struct Environment {
    python_version: String,
}

#[derive(Deserialize)]
struct Installation {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

/// Reads the installation report of pip (version 1 of its format).
fn package_list(report: &[u8]) -> Option<PackageList> {
    let report: Report = serde_json::from_slice(report).ok()?;
    let mut packages: Vec<_> = report.install.into_iter().map(|package| package.metadata).collect();
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    let ytdlp = packages.iter().find(|package| package.name == YTDLP)?;
    let version = YtdlpVersion::from_index(&ytdlp.version);
    let mut text = format!("# Python {}\n", report.environment.python_version);
    for Metadata { name, version } in &packages {
        writeln!(text, "{name}=={version}").ok()?;
    }
    Some(PackageList { version, text })
}

fn end_of(output: &mut File) -> io::Result<String> {
    let len = output.metadata()?.len();
    output.seek(io::SeekFrom::Start(len.saturating_sub(MAX_OUTPUT)))?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns in one line what the output of a failed command means.
pub(super) fn explain(output: &str) -> String {
    const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];
    if FULL.iter().any(|text| output.contains(text)) {
        return "the disk is full".into();
    }
    if output.contains("No module named ensurepip") || output.contains("No module named venv") {
        return "python3 cannot make virtual environments; apt install python3-venv".into();
    }
    if output.contains("no such option") {
        return "this python3 is too old; yt-dlp needs Python 3.11 or later".into();
    }
    // What pip says at the end, that there is no such package, is not the cause.
    // A retry that is not the last one may have worked.
    if output.contains("Retrying (Retry(total=0") || output.contains("Max retries exceeded") {
        let cause = output.split_once("[Errno ").and_then(|(_, rest)| rest.split_once("] "));
        let cause = cause.and_then(|(_, rest)| rest.split(['\'', '"', ')', '\n']).next());
        let cause = cause.map(|cause| format!(": {}", one_line(cause, MAX_MESSAGE)));
        return format!("the package index cannot be reached{}", cause.unwrap_or_default());
    }
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().rfind(|line| line.starts_with("ERROR:")).or_else(|| lines().next_back());
    let error = error.unwrap_or("it failed without a message");
    one_line(error.trim_start_matches("ERROR:"), MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_are_those_of_the_report() {
        let report = br#"{"version": "1", "install": [
            {"download_info": {"url": "u"}, "metadata": {"name": "yt-dlp", "version": "2026.1.5", "summary": "s"}},
            {"metadata": {"name": "deno", "version": "2.9.8"}}], "environment": {"python_version": "3.11"}}"#;
        let list = package_list(report).unwrap();
        assert_eq!(list.text, "# Python 3.11\ndeno==2.9.8\nyt-dlp==2026.1.5\n");
        assert_eq!(list.version.to_string(), "2026.01.05");
        assert_eq!(
            package_list(br#"{"install": [], "environment": {"python_version": "3.11"}}"#),
            None
        );
    }

    /// So the directory is locked until the last of its processes ends.
    #[test]
    fn what_it_starts_has_the_lock_and_reads_nothing_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        let installer = Installer { work: dir.path(), lock: &lock, python: "python3".into() };
        let script = "sh -c 'test /dev/stdin -ef lock && test -z \"$(cat)\"'";
        assert_eq!(installer.run(Command::new("sh").args(["-c", script])), Ok(()));
    }

    #[test]
    fn a_failure_is_one_clear_line() {
        let down = "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by \
             'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to \
             establish a new connection: [Errno 111] Connection refused')': /simple/yt-dlp/\n\
             ERROR: Could not find a version that satisfies the requirement yt-dlp (from versions: none)\n\
             ERROR: No matching distribution found for yt-dlp\n";
        for (output, line) in [
            (down, "the package index cannot be reached: Connection refused"),
            (
                "WARNING: Retrying (Retry(total=0)) after 503\n",
                "the package index cannot be reached",
            ),
            (
                "WARNING: Retrying (Retry(total=2)) after 503\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n",
                "THESE PACKAGES DO NOT MATCH THE HASHES",
            ),
            ("Traceback\nOSError: [Errno 28] No space left on device\n", "the disk is full"),
            (
                "ERROR: No matching distribution found for deno\nmore\n",
                "No matching distribution found for deno",
            ),
            ("a\nValueError: b\n\n", "ValueError: b"),
            ("", "it failed without a message"),
        ] {
            assert_eq!(explain(output), line);
        }
    }
}
