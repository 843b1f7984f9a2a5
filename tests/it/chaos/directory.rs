//! What becomes of the directory of the pipes: gone, replaced, read-only, full.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::TestSetup;
use crate::support::answer::Answer;
use crate::support::daemon::{LOOPBACK, Setup, script};
use crate::support::{PATIENCE, eventually, run};

/// It says what is wrong and where to mend it, but not where we keep our files.
fn is_told(scene: &TestSetup, answer: &Answer) {
    let text = answer.text();
    assert_eq!((answer.head.status, answer.code().as_str()), (500, "internal"), "{text}");
    let problem = answer.problem();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("runtime_dir"), "{detail}");
    let directory = scene.daemon.runtime_dir().parent().unwrap().to_str().unwrap();
    assert!(!text.contains('/') && !text.contains(directory), "{text}");
    println!("{detail}");
}

/// The daemon's own directory within the one that it was given.
fn own(scene: &TestSetup) -> PathBuf {
    let mut entries = fs::read_dir(scene.daemon.runtime_dir()).unwrap();
    let own = entries.next().expect("it has a directory of its own").unwrap().path();
    assert!(entries.next().is_none(), "it has another one");
    own
}

#[test]
fn a_directory_that_is_removed_is_made_anew() {
    let scene = TestSetup::new("");
    let held = scene.held();
    fs::remove_dir_all(scene.daemon.runtime_dir()).unwrap();
    // The pipes of a running stream are open and need no names any more.
    scene.goes_on(held);
    scene.is_as_before();
    fs::remove_dir_all(scene.daemon.runtime_dir()).unwrap();
    scene.is_as_before();
    fs::remove_dir_all(own(&scene)).unwrap();
    scene.is_as_before();
}

/// The one moment in which a running stream needs the names of its pipes.
#[test]
fn a_directory_that_vanishes_before_ffmpeg_has_opened_its_pipes_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (flag, runtime) = (directory.path().join("flag"), directory.path().join("run"));
    let stand_in = script(
        directory.path(),
        &format!("[ -e {flag:?} ] && rm -r {flag:?} {runtime:?}\nexec ffmpeg \"$@\""),
    );
    // It removes what is not its own, which a sandbox does not permit.
    let muxer = format!(
        "[muxer]\nffmpeg = {stand_in:?}\nstall_timeout = \"30s\"\n[sandbox]\nenabled = false\n"
    );
    let scene = TestSetup::with(&Setup {
        config: format!("{LOOPBACK}{muxer}"),
        runtime_dir: Some(runtime),
        ..Setup::default()
    });
    for _ in 0..3 {
        fs::write(&flag, "").unwrap();
        let answer = scene.daemon.get(&scene.path);
        println!("{} {}", answer.head.status, answer.text());
        assert_eq!(answer.head.status, 500, "{}", answer.text());
        assert!(answer.text().contains("runtime_dir"), "{}", answer.text());
        assert!(!answer.text().contains('/'), "{}", answer.text());
        assert!(!flag.exists(), "the directory was not removed");
        scene.is_as_before();
    }
}

#[test]
fn a_directory_that_has_become_a_file_is_told_and_got_over() {
    let scene = TestSetup::new("");
    let runtime = scene.daemon.runtime_dir();
    let aside = runtime.with_extension("aside");
    // It comes back as it was, or not at all.
    for comes_back in [true, false] {
        let held = scene.held();
        fs::rename(runtime, &aside).unwrap();
        fs::write(runtime, "").unwrap();
        is_told(&scene, &scene.daemon.get(&scene.path));
        fs::remove_file(runtime).unwrap();
        if comes_back {
            fs::rename(&aside, runtime).unwrap();
        }
        scene.goes_on(held);
        scene.is_as_before();
    }
}

/// Root may write anywhere, but for a capability that can be taken from it.
#[test]
fn a_read_only_directory_is_told_and_got_over() {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"].map(String::from);
    let scene = TestSetup::with(&Setup {
        config: LOOPBACK.to_owned(),
        through: if is_root { without.into() } else { vec![] },
        ..Setup::default()
    });
    let own = own(&scene);
    let set_mode = |mode| fs::set_permissions(&own, fs::Permissions::from_mode(mode)).unwrap();
    let held = scene.held();
    set_mode(0o500);
    for _ in 0..3 {
        is_told(&scene, &scene.daemon.get(&scene.path));
    }
    set_mode(0o700);
    scene.goes_on(held);
    scene.is_as_before();
}

/// The daemon's own directory with that of what reads pages, and the pipes of one stream with theirs
/// take these, with the root of the file system.
const INODES_OF_ONE_STREAM: usize = 6;
/// The same without a stream.
const INODES_AT_REST: usize = 3;

/// A pipe takes no room, but an inode. The second stream finds none left: for its directory, for
/// its first pipe, for its second one.
#[test]
fn a_full_directory_is_told_and_got_over() {
    for spare in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let inodes = INODES_OF_ONE_STREAM + spare;
        let Some(through) = small_file_system(directory.path(), inodes) else { return };
        let scene = TestSetup::with(&Setup {
            config: LOOPBACK.to_owned(),
            runtime_dir: Some(directory.path().to_owned()),
            through,
            ..Setup::default()
        });
        // The kernel forgets the directory that an ffmpeg was confined to a moment after that has ended.
        let at_rest = spare + INODES_OF_ONE_STREAM - INODES_AT_REST;
        let is_at_rest = || {
            eventually("no inode of a stream is left", PATIENCE, || {
                (free_inodes(&scene, directory.path()) == at_rest).then_some(())
            });
        };
        is_at_rest();
        let held = scene.held();
        for _ in 0..3 {
            is_told(&scene, &scene.daemon.get(&scene.path));
        }
        scene.goes_on(held);
        is_at_rest();
        scene.is_as_before();
        is_at_rest();
        // Nothing was left of the failures, or there would be no room for this one.
        let held = scene.held();
        scene.goes_on(held);
    }
}

/// The free inodes of the file system that only the daemon sees.
fn free_inodes(scene: &TestSetup, place: &Path) -> usize {
    let seen = format!("/proc/{}/root{}", scene.daemon.pid(), place.display());
    let output = run(Command::new("stat").args(["--file-system", "--format=%d", &seen]));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// What starts a program that sees, at this place, a file system with so many inodes; nobody else
/// sees it, and it goes with that program. Some systems let nobody make one.
fn small_file_system(place: &Path, inodes: usize) -> Option<Vec<String>> {
    let mount = format!("mount -t tmpfs -o nr_inodes={inodes},mode=0700 none {place:?}");
    for namespaces in ["-Urm", "-m"] {
        let then = |rest: &str| ["unshare", namespaces, "sh", "-c", rest].map(String::from);
        let probe = then(&mount);
        if run(Command::new(&probe[0]).args(&probe[1..])).status.success() {
            let through = then(&format!("{mount} && exec \"$0\" \"$@\"")).to_vec();
            return Some(through);
        }
    }
    // Not by a macro: the harness would keep it to itself.
    let skipped =
        "\nSKIPPED: a full runtime_dir; this system lets us mount nothing (unshare -Urm)\n";
    io::stderr().write_all(skipped.as_bytes()).unwrap();
    None
}
