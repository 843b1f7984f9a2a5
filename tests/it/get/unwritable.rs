//! Files that cannot be written, or not as their own any more.

use std::fs;

use super::{Shell, len};
use crate::support::barrier::Gate;
use crate::support::film::track_file;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually};

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
