//! Looks at a process from outside, through /proc: threads, descriptors, children, memory,
//! and the files it left.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What a daemon holds at one moment; two of them compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    threads: Vec<String>,
    descriptors: Vec<String>,
    children: Vec<String>,
    files: Vec<String>,
}

/// A process as /proc describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// `R`, `S`, `T` (stopped) and so on (proc(5)).
    pub(crate) state: String,
    parent: u32,
}

impl Snapshot {
    pub(super) fn of(pid: u32, runtime_dir: &Path) -> Self {
        // Nothing seen would look like nothing held.
        if let Err(error) = fs::read_dir(format!("/proc/{pid}/fd")) {
            let is_hidden = error.kind() == ErrorKind::PermissionDenied;
            assert!(
                !is_hidden,
                "without Landlock in the kernel, the daemon shows what it holds to root only"
            );
        }
        let mut snapshot = Self {
            threads: entries(format!("/proc/{pid}/task").as_ref())
                .iter()
                .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
                .map(|name| name.trim().to_owned())
                .collect(),
            descriptors: entries(format!("/proc/{pid}/fd").as_ref())
                .iter()
                .filter_map(|link| fs::read_link(link.path()).ok())
                .map(|target| undrawn(&kind(&target.to_string_lossy())))
                .collect(),
            children: children(pid).into_iter().map(|child| child.name).collect(),
            files: Vec::new(),
        };
        walk(runtime_dir, &mut snapshot.files);
        snapshot.files = snapshot.files.iter().map(|file| undrawn(file)).collect();
        snapshot.threads.sort();
        snapshot.descriptors.sort();
        snapshot.children.sort();
        snapshot.files.sort();
        snapshot
    }

    /// How much of everything, for a table.
    pub(crate) fn counts(&self) -> String {
        format!(
            "{} threads, {} descriptors, {} children, {} files",
            self.threads.len(),
            self.descriptors.len(),
            self.children.len(),
            self.files.len()
        )
    }

    /// Says what the other has more and what it has less.
    pub(super) fn difference(&self, now: &Self) -> String {
        let lines = [
            ("threads", &self.threads, &now.threads),
            ("descriptors", &self.descriptors, &now.descriptors),
            ("children", &self.children, &now.children),
            ("files", &self.files, &now.files),
        ]
        .map(|(what, before, now)| {
            let (more, less) = (missing_in(before, now), missing_in(now, before));
            format!(
                "{what}: {} before, {} now, more {more:?}, less {less:?}\n",
                before.len(),
                now.len()
            )
        });
        lines.concat()
    }
}

/// The children of a process, those not yet waited for included.
pub(crate) fn children(parent: u32) -> Vec<Process> {
    entries(Path::new("/proc"))
        .iter()
        .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
        .filter(|process| process.parent == parent)
        .collect()
}

/// Everything that descends from a process.
pub(crate) fn descendants(pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            if found.insert(child.pid) {
                parents.push(child.pid);
            }
        }
    }
    found
}

/// A size from /proc/PID/status (`VmRSS`, `VmHWM`) in bytes; 0 for a process that is gone.
pub(crate) fn memory(pid: u32, field: &str) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// One process, if it is there.
pub(crate) fn process(pid: u32) -> Option<Process> {
    // The name stands in parentheses and may hold any character, so it is cut at the last one.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    Some(Process {
        pid,
        name: before.split_once('(')?.1.to_owned(),
        state: fields.next()?.to_owned(),
        parent: fields.next()?.parse().ok()?,
    })
}

/// `socket:[123]` and the like without the number that differs each time.
fn kind(target: &str) -> String {
    match target.split_once(":[") {
        Some((kind, number)) if number.trim_end_matches(']').parse::<u64>().is_ok() => {
            kind.to_owned()
        }
        _ => target.to_owned(),
    }
}

/// A path without the letters that were drawn for the name of a daemon's directory: one that was
/// made anew is as good as the first.
fn undrawn(path: &str) -> String {
    let name = |part: &str| if part.starts_with("run-") { "run-*".into() } else { part.to_owned() };
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

fn walk(directory: &Path, found: &mut Vec<String>) {
    for entry in entries(directory) {
        found.push(entry.path().to_string_lossy().into_owned());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}

fn entries(directory: &Path) -> Vec<fs::DirEntry> {
    // What vanishes while it is read is not there.
    fs::read_dir(directory).map(|entries| entries.flatten().collect()).unwrap_or_default()
}

/// The items of `b` that `a` lacks, counted.
fn missing_in<T: PartialEq + Debug>(a: &[T], b: &[T]) -> Vec<String> {
    let mut rest: Vec<&T> = a.iter().collect();
    b.iter()
        .filter(|item| match rest.iter().position(|other| other == item) {
            Some(at) => {
                rest.swap_remove(at);
                false
            }
            None => true,
        })
        .map(|item| format!("{item:?}"))
        .collect()
}
