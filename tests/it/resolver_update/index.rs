//! Package indexes (PEP 503) on loopback, with wheels that the tests make.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::{run, ytdlp};

const WHEEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/resolver_update/wheel.py");

/// Several indexes on one server.
pub(super) struct Indexes {
    origin: Origin,
    wheels: TempDir,
}

impl Indexes {
    pub(super) fn start() -> Self {
        Self { origin: Origin::start(), wheels: tempfile::tempdir().unwrap() }
    }

    /// Adds an index that has this yt-dlp and an empty deno, and says its URL.
    pub(super) fn put(&self, name: &str, version: &str, content: &str) -> String {
        let dir = self.wheels.path().join(name);
        fs::create_dir(&dir).unwrap();
        self.put_package(name, &dir, "yt-dlp", &[version, content]);
        self.put_package(name, &dir, "deno", &["2.9.8"]);
        self.origin.url(&format!("{name}/simple/"))
    }

    fn put_package(&self, index: &str, dir: &Path, package: &str, arguments: &[&str]) {
        let python = ytdlp::command().with_file_name("python3");
        let made = run(Command::new(python).arg(WHEEL).arg(dir).arg(package).args(arguments));
        assert!(made.status.success(), "{made:?}");
        let prefix = format!("{}-", package.replace('-', "_"));
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names = fs::read_dir(dir).unwrap().map(|entry| name(entry.unwrap()));
        let file = names.find(|name| name.starts_with(&prefix)).unwrap();
        let wheel = fs::read(dir.join(&file)).unwrap();
        let url = self.origin.put(&format!("{index}/{file}"), Resource::bytes(wheel));
        let page = format!("<!DOCTYPE html><html><body><a href=\"{url}\">{file}</a></body></html>");
        let page = Resource::bytes("").fault(Fault::Words(200, "text/html", page.leak()));
        self.origin.put(&format!("{index}/simple/{package}/"), page);
    }
}
