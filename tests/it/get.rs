//! `ytcanal get` and `ytcanal info`: the same bytes as from a server, or a failure that cannot be overlooked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::daemon::{LOOPBACK, binary};
use crate::support::{PATIENCE, eventually, run};

mod ends;
mod faults;
mod matrix;
mod page;
mod resume;
mod same;
mod unwritable;

/// An empty directory in which commands run, with a configuration and a runtime directory of its own elsewhere.
struct Shell {
    directory: TempDir,
    own: TempDir,
}

/// What a command has left behind.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Shell {
    fn new() -> Shell {
        Shell::with(LOOPBACK)
    }

    /// With this configuration.
    fn with(config: &str) -> Shell {
        let shell =
            Shell { directory: tempfile::tempdir().unwrap(), own: tempfile::tempdir().unwrap() };
        fs::write(shell.own.path().join("c.toml"), config).unwrap();
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names of the files, in order.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// `get` or `info` with the configuration and these arguments.
    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut ytcanal = Command::new(binary());
        ytcanal
            .args([command, "--config"])
            .arg(self.own.path().join("c.toml"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("RUNTIME_DIRECTORY")
            .env("XDG_RUNTIME_DIR", self.own.path())
            .stdin(Stdio::null());
        ytcanal
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Ran {
        let output = run(&mut self.command(command, arguments));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { status: output.status.code(), stdout: output.stdout, stderr }
    }

    fn get(&self, arguments: &[&str]) -> Ran {
        self.run("get", arguments)
    }

    /// Starts `get`, and leaves it running.
    fn start(&self, arguments: &[&str]) -> Running {
        let mut get = self.command("get", arguments);
        Running(get.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Whether something is left of the private directories of the commands.
    fn has_leftovers(&self) -> bool {
        let base = self.own.path().join("ytcanal");
        fs::read_dir(base).is_ok_and(|mut entries| entries.next().is_some())
    }
}

/// A command that runs; it is killed with the test.
struct Running(Child);

impl Running {
    /// Waits for its end.
    fn ended(mut self) -> Ran {
        eventually("get ends", PATIENCE, || self.0.try_wait().unwrap());
        let mut child = std::mem::replace(&mut self.0, Command::new("true").spawn().unwrap());
        let status = child.wait().unwrap().code();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { status, stdout: output.stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}
