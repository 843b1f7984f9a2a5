//! Files that cannot be written, or not as their own any more.

use std::fs;
use std::process::{Command, Stdio};

use super::{Shell, len};
use crate::support::barrier::Gate;
use crate::support::film::track_file;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, run};

/// A part that somebody removes while it grows, for another download to begin it anew.
#[test]
fn a_part_of_another_download_gets_no_name() {
    let (origin, shell, gate) = (Origin::start(), Shell::new(), Gate::default());
    let film = Resource::file(track_file("video")).ranges().etag("\"film\"");
    let half = film.len() / 2;
    let video = origin.put("video", film.gate(half, &gate));
    let get = shell.start(&["--video", &video, "-o", "a.mp4"]);
    gate.reached();
    let part = shell.path("a.mp4.part");
    eventually("something is there", PATIENCE, || (len(&part) > 0).then_some(()));
    fs::remove_file(&part).unwrap();
    fs::write(&part, "a beginning").unwrap();
    gate.open();
    let ran = get.ended();
    assert_eq!((ran.status, ran.stdout.as_slice()), (Some(7), &b""[..]), "{ran:?}");
    assert!(ran.stderr.contains("a.mp4.part was removed or replaced meanwhile"), "{ran:?}");
    assert!(!ran.stderr.contains("continue"), "{ran:?}");
    assert!(!shell.path("a.mp4").exists());
    assert_eq!(shell.read("a.mp4.part"), b"a beginning");
}

/// The system sends a signal there that ends programs (`ulimit -f`).
#[test]
fn a_limit_of_the_size_of_files_is_an_error() {
    let (origin, shell) = (Origin::start(), Shell::new());
    let film = Resource::file(track_file("video")).ranges().etag("\"film\"");
    let video = origin.put("video", film);
    for output in ["a.mp4", "-"] {
        let get = shell.command("get", &["--video", &video, "-o", output]);
        let limited = ["-c", "ulimit -f 16; exec \"$@\"", "sh"];
        let stdout = fs::File::create(shell.path("stdout")).unwrap();
        let mut limited_get = Command::new("sh");
        limited_get.args(limited).arg(get.get_program()).args(get.get_args());
        limited_get.envs(get.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited_get.current_dir(shell.directory.path()).stdin(Stdio::null()).stdout(stdout);
        let ran = run(&mut limited_get);
        assert_eq!(ran.status.code(), Some(7), "{output}: {ran:?}");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(said.contains("File too large"), "{output}: {said}");
    }
    assert!(!shell.path("a.mp4").exists());
    assert!(!shell.has_leftovers());
}
