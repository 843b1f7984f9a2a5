//! An update on a disk that is full, which is one in memory, of a mount namespace.

use std::io::{self, Write};
use std::process::Command;

use super::command;
use crate::support::run;

/// Mounts a small file system at $1, with a release that is in use, and leaves one page of it. The update needs more.
const STEPS: &str = r#"
set -eu
dir=$1 release=$1/releases/2099.10.01
mount -t tmpfs -o size=4m none "$dir"
mkdir -p "$release/bin" "$release/lib/python3/site-packages/yt_dlp"
echo "__version__ = '2099.10.01'" > "$release/lib/python3/site-packages/yt_dlp/version.py"
printf '#!/bin/sh\necho still 2099.10.01\n' > "$release/bin/yt-dlp"
chmod 755 "$release/bin/yt-dlp"
ln -s releases/2099.10.01 "$dir/current"
dd if=/dev/zero of="$dir/filler" bs=64K 2> /dev/null || truncate -s -4096 "$dir/filler"
"$YTCANAL" update-resolver --dir "$dir" 2>&1 || echo "code $?"
"$dir/current/bin/yt-dlp"
ls "$dir" "$dir/releases"
"#;

#[test]
fn a_full_disk_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(namespaces) = ["-Urm", "-m"].into_iter().find(|namespaces| {
        let mount = [*namespaces, "mount", "-t", "tmpfs", "none"];
        run(Command::new("unshare").args(mount).arg(directory.path())).status.success()
    }) else {
        let skipped = "\nSKIPPED: a_full_disk_changes_nothing; this system lets us mount nothing (unshare -Urm)\n";
        io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    // It does not come as far as the index.
    let update = command(directory.path(), "http://127.0.0.1:9/simple/");
    let variables = update.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = run(Command::new("unshare")
        .args([namespaces, "sh", "-c", STEPS, "sh"])
        .arg(directory.path())
        .env_clear()
        .envs(variables)
        .env("YTCANAL", update.get_program()));
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!(
        "ytcanal: yt-dlp was not updated: the disk is full; 2099.10.01 stays in use\ncode 1\n\
         still 2099.10.01\n{dir}:\ncurrent\nfiller\nlock\nreleases\n\n{dir}/releases:\n2099.10.01\n",
        dir = directory.path().display()
    );
    assert_eq!(said, expected, "{output:?}");
}
