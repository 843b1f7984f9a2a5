//! What names lead to, for one daemon: a stand-in for the C library's look-up, so that a test needs
//! neither a name server nor root, and can answer differently each time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::NamedTempFile;

use super::run;

/// The names that there are, and no others.
pub(crate) struct Names {
    table: String,
    log: NamedTempFile,
}

impl Names {
    /// Each with its answers, one for each look-up; the last one stays. An answer is
    /// `"address"`, `"address+address"`, or `"hangs"` for one that never comes.
    pub(crate) fn new(names: &[(&str, &[&str])]) -> Self {
        let entry = |(name, answers): &(&str, &[&str])| format!("{name} {}", answers.join(" "));
        let table: Vec<String> = names.iter().map(entry).collect();
        Self { table: table.join(";"), log: NamedTempFile::new().unwrap() }
    }

    /// What makes a daemon use them.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let log = self.log.path().to_str().unwrap();
        let library = library().to_str().unwrap();
        [("LD_PRELOAD", library), ("TEST_NAMES", &self.table), ("TEST_NAMES_LOG", log)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// All names that were looked up so far.
    pub(crate) fn looked_up(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

/// The stand-in, built by the C compiler that the build needs anyway.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/names.c");
        let built = directory.join(format!("names-{}.so", std::process::id()));
        let output = run(Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o"])
            .args([&built, &source])
            .arg("-ldl"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Under its name it is always whole, whoever else runs the tests.
        let library = directory.join("names.so");
        std::fs::rename(&built, &library).unwrap();
        library
    })
}
