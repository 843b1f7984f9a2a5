//! An index in front of the media, but behind something else that is long: what a program has to say of
//! itself (XMP in a uuid), or room that it has left.

use super::{Formats, contents, read};
use crate::support::client::any_path;
use crate::support::daemon::Daemon;
use crate::support::framemd5::packets;
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::Resource;

const FRAGMENTS: &str = "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";

fn sources() -> [(std::path::PathBuf, &'static str); 4] {
    let picture = media::picture("160x90", 25, 15).to_vec();
    let sound = media::sound(48_000, 15).to_vec();
    let make = |input: &[String], coded: &[&str], flags: &str| {
        let coded = [coded, &["-movflags", flags]].concat();
        let coded = coded.into_iter().map(String::from);
        media::generate("far", "mp4", &[input, &coded.collect::<Vec<_>>()].concat())
    };
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"];
    let aac = ["-c:a", "aac", "-frag_duration", "1000000"];
    [
        (make(&picture, &h264, "+faststart"), "v"),
        (make(&picture, &h264, FRAGMENTS), "v"),
        (make(&sound, &aac[..2], "+faststart"), "a"),
        (make(&sound, &aac, FRAGMENTS), "a"),
    ]
}

/// A box of this type and length behind the ftyp, with which everything else moves.
fn with_box(file: &[u8], kind: [u8; 4], len: u32) -> Vec<u8> {
    let ftyp = u32::from_be_bytes(*file.first_chunk().unwrap()) as usize;
    let mut rest = file[ftyp..].to_vec();
    let stco = rest.windows(4).position(|window| window == b"stco").unwrap();
    let number = |bytes: &[u8], at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
    for chunk in 0..number(&rest, stco + 8) as usize {
        let at = stco + 12 + chunk * 4;
        let moved = number(&rest, at) + len;
        rest[at..at + 4].copy_from_slice(&moved.to_be_bytes());
    }
    let before = [&len.to_be_bytes()[..], &kind, &vec![b'x'; len as usize - 8]].concat();
    [&file[..ftyp], &before, &rest].concat()
}

#[test]
fn whatever_is_in_front_of_the_index_may_be_long() {
    let formats = Formats::new();
    let sources = sources();
    let [video, audio] = [1, 3].map(|place: usize| read(&sources[place].0));
    for (source, stream) in &sources {
        let (before, plain) = (packets(source, stream), read(source));
        let part = [("start", "5"), ("end", "9")];
        let pair = match *stream {
            "v" => (Some(&plain[..]), Some(&audio[..])),
            _ => (Some(&video[..]), Some(&plain[..])),
        };
        let of_part = packets(&formats.file(pair.0, pair.1, &part, "a part").0, stream);
        for (kind, len) in [(*b"free", 70_000), (*b"uuid", 3_000_000)] {
            let bytes = with_box(&plain, kind, len);
            let is_video = *stream == "v";
            let (lone, pair) = match is_video {
                true => ((Some(&bytes[..]), None), (Some(&bytes[..]), Some(&audio[..]))),
                false => ((None, Some(&bytes[..])), (Some(&video[..]), Some(&bytes[..]))),
            };
            for ((video, audio), extra) in [
                (lone, &[][..]),
                (lone, &[("container", "mkv")]),
                (pair, &[]),
                (pair, &[("engine", "ffmpeg")]),
            ] {
                let what = format!("{source:?} with {len} bytes of {kind:?}, {extra:?}");
                let (file, _) = formats.file(video, audio, extra, &what);
                assert_eq!(contents(&before), contents(&packets(&file, stream)), "{what}");
            }
            let (file, _) = formats.file(pair.0, pair.1, &part, "a part");
            assert_eq!(contents(&of_part), contents(&packets(&file, stream)), "{source:?} cut");
        }
    }
}

/// Where parts cannot be asked for, it is read on to.
#[test]
fn it_is_found_without_parts_too() {
    let (source, _) = &sources()[0];
    let bytes = with_box(&read(source), *b"uuid", 300_000);
    let (origin, daemon) = (Origin::start(), Daemon::start(super::LOOPBACK));
    let url = origin.put("v", Resource::bytes(bytes));
    let answer = daemon.get(&any_path(Some(&url), None, &[("container", "mkv")]));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    let before = packets(source, "v");
    assert_eq!(contents(&before), contents(&packets(file.path(), "v")));
}
