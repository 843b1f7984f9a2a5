//! Files that cannot be joined, and bytes that are not what the cues of their file say.

use std::path::PathBuf;

use ytcanal::error::{Error, UpstreamError};
use ytcanal::media::TrackKind;
use ytcanal::options::ContainerChoice;
use ytcanal::splice::Options;

use super::*;
use crate::support::media::generate;
use crate::support::webms::remuxed;

fn refusal(video: &Path, audio: &Path) -> &'static str {
    Film::of(video, audio).try_plan(&as_it_is(&Metadata::default())).unwrap_err().0
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let pair = media::webm();
    let (video, audio) = (&pair.video, &pair.audio);
    let live = remuxed("live", video, &["-live", "1"]);
    assert!(refusal(&live, audio).contains("no index"));
    let (picture, sound) = (video.to_str().unwrap(), audio.to_str().unwrap());
    let both = ["-i", picture, "-i", sound, "-map", "0", "-map", "1", "-c", "copy"];
    let both = generate("both", "webm", &both.map(String::from));
    assert!(refusal(&both, audio).contains("several tracks"));
    assert!(refusal(audio, video).contains("reverse"));
    // A key frame at the beginning, and no other: nothing to be found by.
    let rare = ["libvpx-vp9", "-g", "9999", "-deadline", "realtime", "-cpu-used", "8"];
    assert!(refusal(&coded_picture(&rare, 65), audio).contains("too coarse"));
    let film = Film::of(video, audio);
    let tags = Metadata::default();
    let options = Options { container: ContainerChoice::Mp4, ..as_it_is(&tags) };
    assert!(film.try_plan(&options).unwrap_err().0.contains("requested container"));
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let pair = media::webm();
    let mut film = Film::of(&pair.video, &pair.audio);
    film.files[0].1.pop();
    let refusal = film.try_plan(&as_it_is(&Metadata::default())).unwrap_err();
    assert!(refusal.0.contains("shorter than its Segment"));
    film.files[0].1.extend([0xec, 0x80, 0xec, 0x80]);
    let refusal = film.try_plan(&as_it_is(&Metadata::default())).unwrap_err();
    assert!(refusal.0.contains("after its Segment"));
}

/// Where the clusters of a file are.
fn clusters(bytes: &[u8]) -> Vec<usize> {
    let id = [0x1f, 0x43, 0xb6, 0x75];
    (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == id).collect()
}

#[test]
fn bytes_that_contradict_the_cues_are_never_passed_on() {
    let pair = media::webm();
    let film = Film::of(&pair.video, &pair.audio);
    let plan = film.plan(&as_it_is(&Metadata::default()));
    // A cluster's header is its ID and a size of 3 bytes; its time follows (ID, size, two bytes),
    // then a block: ID, size of two bytes, track, time.
    let second = clusters(&film.files[1].1)[1];
    let (time, block) = (second + 7, second + 11);
    let changes: [(usize, u8, &str); 8] = [
        (second + 3, 0x01, "not point to a cluster"),
        (second + 4, 0x20, "do not add up"),
        (second + 6, 0x01, "do not add up"),
        (time, 0x04, "unexpected"),
        (time + 2, 0x20, "the time of its cue"),
        (time + 3, 0x01, "the time of its cue"),
        (block + 3, 0x02, "another track"),
        (block + 5, 0x01, "the time of its cue"),
    ];
    for (offset, flip, why) in changes {
        let mut film = Film { files: film.files.clone(), ..Film::default() };
        film.files[1].1[offset] ^= flip;
        let error = film.emit(&plan, 0..plan.len()).unwrap_err();
        let Error::Upstream { track: TrackKind::Audio, fault: UpstreamError::IndexMismatch(said) } =
            error
        else {
            panic!("{error}");
        };
        assert!(said.contains(why), "{}: {said}", offset - second);
    }
}

#[test]
fn sums_and_places_of_the_old_file_are_left_out() {
    let (directory, pair) = (tempfile::tempdir().unwrap(), media::webm());
    // Without its name the muxer of WebM writes no sums; as Matroska, renamed, it does.
    let summed: PathBuf = directory.path().join("summed.mkv");
    let (from, to) = (pair.audio.to_str().unwrap(), summed.to_str().unwrap());
    silently(&["-i", from, "-c", "copy", "-write_crc32", "1", to]);
    let mut bytes = std::fs::read(&summed).unwrap();
    // The shorter name and a Void take the room of the longer one, its size in front of it.
    let at = bytes.windows(8).position(|window| window == b"matroska").unwrap();
    bytes[at - 1..at + 8].copy_from_slice(b"\x84webm\xec\x82\0\0");
    let crc = |bytes: &[u8]| clusters(bytes).into_iter().filter(|at| bytes[at + 7] == 0xbf).count();
    assert!(crc(&bytes) > 2, "clusters with a sum");
    let video = std::fs::read(&pair.video).unwrap();
    let film = Film {
        files: vec![(TrackKind::Video, video), (TrackKind::Audio, bytes)],
        ..Film::default()
    };
    let plan = film.plan(&as_it_is(&Metadata::default()));
    let (_directory, file) = written(&film, &plan);
    let (before, after) = (packets(&summed, "a"), packets(&file, "a"));
    assert_same(&before, &after, Exactness::Every, "sound");
    let said = run(Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&file).args([
        "-err_detect",
        "crccheck",
        "-f",
        "null",
        "-",
    ]));
    assert_eq!(String::from_utf8_lossy(&said.stderr), "");
}
