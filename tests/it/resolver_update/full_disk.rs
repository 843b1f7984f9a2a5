//! An update on a disk that is full, which is one in memory, of a mount namespace.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use super::{Indexes, command};
use crate::support::run;

/// Mounts a small file system at $1, and updates there from two indexes; the second time without space, then with it.
const STEPS: &str = r#"
set -u
dir=$1 old=$2 new=$3; shift 3
mount -t tmpfs -o size=400m none "$dir" || exit 77
update() { PIP_INDEX_URL=$1 "$YTCANAL" update-resolver --dir "$dir/resolver" 2>&1; echo "code $?"; }
update "$old"
# One page is left.
dd if=/dev/zero of="$dir/filler" bs=1M status=none 2> /dev/null
truncate -s -4096 "$dir/filler"
update "$new"
"$dir/resolver/current/bin/yt-dlp" --version
rm "$dir/filler"
update "$new"
"$dir/resolver/current/bin/yt-dlp" --version
ls "$dir/resolver/releases"
"#;

#[test]
fn a_full_disk_changes_nothing() {
    let indexes = Indexes::start();
    let old = indexes.put("old", "2026.10.1", "working");
    let new = indexes.put("new", "2026.11.2", "working");
    let directory = tempfile::tempdir().unwrap();
    let Some(namespaces) = ["-Urm", "-m"].into_iter().find(|namespaces| {
        let mount = [*namespaces, "mount", "-t", "tmpfs", "none"];
        run(Command::new("unshare").args(mount).arg(directory.path())).status.success()
    }) else {
        let skipped = "\nSKIPPED: a_full_disk_changes_nothing; this system lets us mount nothing (unshare -Urm)\n";
        io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    // The variables of an update.
    let update = command(Path::new("/"), "");
    let variables = update.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = run(Command::new("unshare")
        .args([namespaces, "sh", "-c", STEPS, "sh"])
        .arg(directory.path())
        .args([old, new])
        .env_clear()
        .envs(variables)
        .env("YTCANAL", update.get_program()));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said,
        "yt-dlp 2026.10.01 is installed\ncode 0\n\
         ytcanal: yt-dlp was not updated: the disk is full; 2026.10.01 stays in use\ncode 1\n\
         2026.10.01\n\
         yt-dlp 2026.11.02 is installed, instead of 2026.10.01\ncode 0\n\
         2026.11.02\n2026.10.01\n2026.11.02\n",
        "{output:?}"
    );
}
