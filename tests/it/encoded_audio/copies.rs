//! Sound that fits its container is copied.

use super::recipes::{self, Kind};
use super::{Site, length, served, stored};
use crate::support::framemd5::packets;
use crate::support::media::{self, generate};
use crate::support::resource::Resource;

fn mp3(tagged: bool) -> std::path::PathBuf {
    let more = if tagged { "-id3v2_version 3 -metadata title=Own" } else { "-id3v2_version 0" };
    let coded = format!(
        "-f lavfi -i sine=frequency=500:sample_rate=44100:duration=7 -c:a libmp3lame -b:a 96k -write_xing 0 {more}"
    );
    let arguments: Vec<_> = coded.split(' ').map(String::from).collect();
    generate(if tagged { "sound-tagged" } else { "sound-bare" }, "mp3", &arguments)
}

/// An MP3 without a tag gets one; one that has a tag stays as it is. Both have their length.
#[test]
fn an_mp3_gets_a_tag_in_front() {
    let site = Site::start();
    let image = Resource::file(&super::tags::cover("jpg"));
    let (bare, tagged) = (mp3(false), mp3(true));
    site.put("bare", served(&bare), "mp3", Some(image.clone()));
    site.put("tagged", served(&tagged), "mp3", Some(image));
    let answer = site.good("bare", "container=mp3");
    let source = std::fs::read(&bare).unwrap();
    assert!(answer.body.starts_with(b"ID3") && answer.body.ends_with(&source));
    assert_eq!(length(&answer), Some(answer.body.len() as u64));
    let from = answer.body.len() - source.len() - 10;
    let part = site.part("bare", "container=mp3", &format!("Range: bytes={from}-\r\n"));
    assert_eq!((part.head.status, &part.body[..]), (206, &answer.body[from..]));
    let answer = site.good("tagged", "container=mp3");
    assert!(answer.body == std::fs::read(&tagged).unwrap());
    // Who wants less gets it.
    let small = site.good("tagged", "container=mp3&bitrate=32&cover=0").body;
    assert!(small.len() < source.len() / 2, "{} bytes", small.len());
}

/// An MP3 that lacks its end is passed through, where that is found out.
#[test]
fn an_mp3_without_its_end_never_looks_complete() {
    let site = Site::start();
    let cut = media::derive("sound-cut", "mp3", &mp3(false), |mut bytes| {
        bytes.truncate(bytes.len() - 100);
        bytes
    });
    site.put("cut", served(&cut), "mp3", None);
    let answer = site.get("cut", "container=mp3");
    let is_refused = answer.head.status == 502 && answer.code() == "upstream-cut";
    assert!(is_refused || answer.ending != crate::support::answer::Ending::Complete);
}

#[test]
fn packets_are_copied_where_the_codec_fits() {
    let site = Site::start();
    let find = |kind| recipes::all().into_iter().find(|recipe| recipe.kind == kind).unwrap();
    let opus = media::webm().audio.clone();
    let [vorbis, flac] = [Kind::Vorbis, Kind::FlacMp4].map(|kind| find(kind).source());
    for (name, source, codec, container) in [
        ("a", &opus, "opus", "opus"),
        ("b", &opus, "opus", "ogg"),
        ("c", &vorbis, "vorbis", "ogg"),
        ("d", &flac, "flac", "flac"),
    ] {
        site.put(name, served(source), codec, None);
        let answer = site.good(name, &format!("container={container}"));
        let directory = tempfile::tempdir().unwrap();
        let file = stored(&answer, directory.path(), container);
        let bytes = |file| packets(file, "a").into_iter().map(|packet| packet.md5);
        assert!(bytes(source).eq(bytes(&file)), "{container} of {codec}: the packets differ");
    }
}

/// Files that already are what is requested.
#[test]
fn files_of_the_requested_kind_are_passed_through() {
    let site = Site::start();
    let of = |kind| recipes::all().into_iter().find(|recipe| recipe.kind == kind).unwrap().source();
    let wav =
        generate("sound-pcm", "wav", &["-f", "lavfi", "-i", "sine=duration=3"].map(String::from));
    for (name, source, codec, container) in [
        ("opus", of(Kind::OpusOgg), "opus", "opus"),
        ("vorbis", of(Kind::Vorbis), "vorbis", "ogg"),
        ("flac", of(Kind::Flac), "flac", "flac"),
        ("wav", wav, "pcm", "wav"),
    ] {
        site.put(name, served(&source), codec, None);
        let answer = site.good(name, &format!("container={container}"));
        assert!(answer.body == std::fs::read(&source).unwrap(), "{name}");
        let named = answer.head.header("Content-Disposition").unwrap();
        assert!(named.contains(&format!(".{container}")), "{named}");
    }
}
