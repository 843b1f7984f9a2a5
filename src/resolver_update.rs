//! `ytcanal update-resolver`: keeps yt-dlp, and a JavaScript runtime for it, up to date in a directory of its own.
//!
//! A new release is installed beside the one in use, tried on a page of this program's, and takes its place by the
//! change of a link, which a running server notices with the next page. The release before stays for going back.
//!
//! **Invariant:** whatever fails, what is in use stays in use.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::config::{self, RESOLVER_UNIT};
use crate::resolve::{MAX_AGE, YtdlpVersion};
use crate::sys;

mod install;
mod releases;
mod self_test;

use install::{Installer, PackageList, explain};
use releases::{Release, Releases};

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateOptions {
    /// The directory, instead of the one that systemd or the default names.
    pub dir: Option<PathBuf>,
    /// Whether to go back to the release before.
    pub rollback: bool,
}

/// What an update has done.
enum Outcome {
    /// This release took the place of the one in use.
    Updated(Release),
    /// There is nothing newer.
    Newest,
    /// The newest release is one that was taken back.
    RolledBack(YtdlpVersion),
}

/// Updates, or goes back; prints one line to `out`, or returns an error of one line.
pub fn update_resolver(options: &UpdateOptions, out: &mut impl Write) -> io::Result<()> {
    let dir = options.dir.clone().or_else(config::state_dir);
    let dir = dir.unwrap_or_else(|| config::RESOLVER_DIR.into());
    leave_root(&dir, options)?;
    sys::make_new_files_readable();
    let releases = Releases::open(&dir).map_err(|error| unusable(&dir, &error))?;
    if options.rollback {
        let (now, before) = releases.roll_back()?;
        return writeln!(
            out,
            "yt-dlp {} is in use again, instead of {}",
            name(&now),
            name(&before)
        );
    }
    let before = releases.current();
    match update(&releases, before.as_ref()) {
        Ok(Outcome::Updated(release)) => {
            let instead = match before.as_ref().map(name) {
                None => String::new(),
                Some(before) if before == name(&release) => " again, with other packages".into(),
                Some(before) => format!(", instead of {before}"),
            };
            let hint = age_hint(&release);
            writeln!(out, "yt-dlp {} is installed{instead}{hint}", name(&release))
        }
        Ok(Outcome::Newest) => {
            let release = before.as_ref();
            let (name, hint) =
                (release.map(name).unwrap_or_default(), release.map(age_hint).unwrap_or_default());
            writeln!(out, "yt-dlp {name} is the newest{hint}")
        }
        Ok(Outcome::RolledBack(version)) => {
            writeln!(out, "yt-dlp {version} was taken back (--rollback); waiting for a newer one")
        }
        Err(why) => {
            let before = before.map(|before| format!("; {} stays in use", name(&before)));
            let before = before.unwrap_or_default();
            Err(io::Error::other(format!("yt-dlp was not updated: {why}{before}")))
        }
    }
}

/// Installs the newest release and puts it into use, if it is another one.
fn update(releases: &Releases, before: Option<&Release>) -> Result<Outcome, String> {
    let system = |error: io::Error| explain(&error.to_string());
    let work = releases.work_dir().map_err(system)?;
    let installer = Installer::new(work.path(), releases.lock())?;
    let packages = installer.newest()?;
    let version = packages.version.clone();
    if before.is_some_and(|before| before.packages() == packages.text) {
        return Ok(Outcome::Newest);
    }
    if releases.was_rolled_back(&packages.text) {
        return Ok(Outcome::RolledBack(version));
    }
    // pip silently takes an older one where the newest does not fit what else the index has.
    if before.and_then(Release::version).is_some_and(|before| version.is_before(&before)) {
        return Err(format!("the newest that the package index offers is {version}"));
    }
    let release = releases.new_release(&version);
    let installed = install(&installer, &packages, &release, before, work.path());
    if let Err(why) = installed.and_then(|()| releases.switch_to(&release).map_err(system)) {
        // Else the next update removes it.
        if releases.current().as_ref() != Some(&release) {
            fs::remove_dir_all(&release.path).ok();
        }
        return Err(why);
    }
    Ok(Outcome::Updated(release))
}

/// Installs a release, and tries it.
fn install(
    installer: &Installer<'_>,
    packages: &PackageList,
    release: &Release,
    before: Option<&Release>,
    work: &Path,
) -> Result<(), String> {
    installer.install(packages, &release.path)?;
    release.set_packages(&packages.text).map_err(|error| explain(&error.to_string()))?;
    let before = before.map(Release::command);
    self_test::self_test(&release.command(), before.as_deref(), work)
        .map_err(|why| format!("{} failed its self-test: {why}", packages.version))
}

/// Has root become the user to whom the directory belongs: what the package index offers does not run as root, unless
/// root has named a directory of its own.
fn leave_root(dir: &Path, options: &UpdateOptions) -> io::Result<()> {
    if sys::user_id() != 0 {
        return Ok(());
    }
    match fs::metadata(dir) {
        Ok(meta) if meta.uid() != 0 => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("update-resolver").arg("--dir").arg(dir.canonicalize()?);
            command.args(options.rollback.then_some("--rollback"));
            // Its own directory is one that another user may not see.
            command.uid(meta.uid()).gid(meta.gid()).current_dir("/").env("HOME", dir);
            Err(command.exec())
        }
        // In a container, say, where there is no other user.
        _ if options.dir.is_some() => Ok(()),
        _ => Err(io::Error::other(format!(
            "root does not update yt-dlp; start {RESOLVER_UNIT}.service, whose user owns {}, or name a directory by \
             --dir",
            dir.display()
        ))),
    }
}

fn unusable(dir: &Path, error: &io::Error) -> io::Error {
    let dir = dir.display();
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("; start {RESOLVER_UNIT}.service, or name a directory by --dir")
        }
        _ => String::new(),
    };
    io::Error::new(error.kind(), format!("cannot use {dir}: {error}{hint}"))
}

/// Returns the version of a release, for messages.
fn name(release: &Release) -> String {
    release.version().map_or_else(|| "of an unknown version".into(), |version| version.to_string())
}

/// Returns what is to be said of an old release.
fn age_hint(release: &Release) -> String {
    match release.version().and_then(|version| version.age()) {
        Some(days) if days > MAX_AGE => {
            format!(" and {days} days old; newer ones may need a newer Python")
        }
        _ => String::new(),
    }
}
