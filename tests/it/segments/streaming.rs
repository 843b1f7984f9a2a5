//! Transport streams, and fragments apart, whose lengths are not known are joined while they arrive: the same
//! packets as where they are known.

use super::*;
use crate::support::client::Client;
use crate::support::framemd5::packets;

const NONE: (&str, &str) = ("length", "none");

/// Requires of both answers the same packets, and of `streamed` that nothing tells its length. Returns the times by
/// which packets of `streamed` are presented later, in milliseconds, each with the number of the first one.
fn compare(exact: &Answer, streamed: &Answer, what: &str) -> [Vec<(usize, i64)>; 2] {
    assert_whole(exact, what);
    assert_whole(streamed, what);
    let timing = streamed.head.header("Server-Timing").unwrap_or_default();
    assert!(timing.contains("splice") && !timing.contains("ffmpeg"), "{what}: {timing}");
    let head = &streamed.head;
    assert!(exact.head.header("Content-Length").is_some(), "{what}: {:?}", exact.head);
    assert_eq!(head.header("Accept-Ranges"), Some("none"), "{what}");
    assert!(["Content-Length", "ETag"].iter().all(|name| head.header(name).is_none()), "{what}");
    let directory = tempfile::tempdir().unwrap();
    let files = [("exact.mp4", exact), ("streamed.mp4", streamed)].map(|(name, answer)| {
        let file = directory.path().join(name);
        std::fs::write(&file, &answer.body).unwrap();
        let duration = media::file_duration(&file).unwrap();
        assert!((duration - 30.0).abs() < 0.25, "{what}: {duration}");
        file
    });
    let decoded = files.each_ref().map(|file| frames(file, "v"));
    assert!(decoded[0] == decoded[1], "{what}: decoded");
    ["v", "a"].map(|stream| {
        let [exact, streamed] = files.each_ref().map(|file| packets(file, stream));
        assert_eq!(exact.len(), streamed.len(), "{what}");
        let mut later = Vec::new();
        for (number, (exact, streamed)) in exact.iter().zip(&streamed).enumerate() {
            assert_eq!(exact.md5, streamed.md5, "{what}: {stream} {number}");
            let milliseconds = (streamed.pts - exact.pts) / 1_000_000;
            if later.last().is_none_or(|(_, before)| milliseconds != *before) {
                later.push((number, milliseconds));
            }
        }
        later
    })
}

#[test]
fn all_kinds_have_the_packets_of_the_exact_file() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let is_joined = |name: &str| name.starts_with("transport stream") || name == "fragments, apart";
    let kinds = KINDS.into_iter().filter(|kind| is_joined(kind.name));
    let films = kinds.map(|kind| (kind.name, SegmentedFilm::new(kind)));
    let packed = SegmentedFilm::new(named("transport stream, apart")).with_packed_audio();
    let others = [("packed audio", packed), ("wrapping", SegmentedFilm::of(WRAPPING, &source()))];
    for (number, (name, film)) in films.chain(others).enumerate() {
        let url = film.put(&origin, &number.to_string());
        let [exact, streamed] = [("length", "auto"), NONE]
            .map(|length| daemon.get(&any_path(Some(&url), None, &[length])));
        assert_eq!(compare(&exact, &streamed, name), [vec![(0, 0)], vec![(0, 0)]], "{name}");
    }
}

/// What a segment begins with, and what its timestamps are, may change from one to the next.
#[test]
fn segments_of_other_encoders_follow_one_another() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let late = SegmentedFilm::of(WRAPPING, &source());
    let film = SegmentedFilm::new(named("transport stream"));
    let names = film.segments();
    let image = [&b"\x89PNG\r\n\x1a\n"[..], &b"G".repeat(400), &[0; 100]].concat();
    // The second half has timestamps that wrap around, counters of its own, and images in front.
    let edit = |text: String| {
        let at = text.match_indices("#EXTINF").nth(7).unwrap().0;
        format!("{}#EXT-X-DISCONTINUITY\n{}", &text[..at], &text[at..])
    };
    let film = film.edit(edit);
    let disguise = |name: &str, resource: Resource| {
        let place = names.iter().position(|segment| segment == name);
        match place.filter(|place| *place >= 7) {
            Some(_) => {
                let bytes = [&image[..], &late.content(name)].concat();
                Resource::bytes(bytes).ranges().etag("\"1\"").keep_alive()
            }
            None => resource,
        }
    };
    let url = film.put_with(&origin, "x", disguise);
    let [exact, streamed] =
        [("length", "auto"), NONE].map(|length| daemon.get(&any_path(Some(&url), None, &[length])));
    // The parts follow one another by another one of their timestamps.
    let [video, audio] = compare(&exact, &streamed, "another encoder");
    let [(0, 0), (350, later)] = video[..] else { panic!("{video:?}") };
    let [(0, 0), (_, sound_later)] = audio[..] else { panic!("{audio:?}") };
    assert!(later.abs() < 60 && later.abs_diff(sound_later) <= 1, "{later} ms, {sound_later} ms");
}

/// Whatever is sent is complete up to there, and nobody waits for the end of a segment.
#[test]
fn the_first_segment_is_sent_while_it_arrives() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::new(named("transport stream"));
    let names = film.segments();
    let url = film.put_with(&origin, "x", |name, resource| {
        if name == names[0] { resource.fault(Fault::StallAt(110_000)) } else { resource }
    });
    let mut client = Client::get(daemon.address(), &any_path(Some(&url), None, &[NONE]));
    client.first_byte();
}

/// A client that has the beginning of a file without a length must not get the rest of another one.
#[test]
fn an_instance_that_knows_nothing_sends_all_of_it() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let other = Daemon::start(LOOPBACK);
    let told = |resource: Resource| resource;
    // Neither ranges nor a length.
    let untold = |resource: Resource| Resource::bytes(resource.read()).fault(Fault::Chunked);
    let untold: (&str, fn(Resource) -> Resource) = ("auto", untold);
    let by_ffmpeg = [("container", "mkv")];
    let mut places = 0..;
    for (name, container) in [
        ("transport stream", &[][..]),
        ("fragments", &[][..]),
        ("fragments, apart", &[][..]),
        ("fragments, apart", &by_ffmpeg[..]),
    ] {
        let film = SegmentedFilm::new(named(name));
        for (length, change) in [("none", told as fn(Resource) -> Resource), untold] {
            let what = format!("{name} {container:?} {length}");
            let is_list = |name: &str| name.ends_with(".m3u8");
            let change =
                |name: &str, resource| if is_list(name) { resource } else { change(resource) };
            let url = film.put_with(&origin, &places.next().unwrap().to_string(), change);
            let path = any_path(Some(&url), None, &[&[("length", length)], container].concat());
            let whole = daemon.get(&path);
            assert_whole(&whole, &what);
            for fields in
                ["Range: bytes=100000-\r\n", "Range: bytes=-500\r\n", "Range: bytes=0-0\r\n"]
            {
                let answer = ask(other.address(), "GET", &path, fields);
                assert_whole(&answer, &what);
                let head = &answer.head;
                assert_eq!(head.header("Accept-Ranges"), Some("none"), "{what}: {head:?}");
                for name in ["Content-Range", "Content-Length", "ETag"] {
                    assert_eq!(head.header(name), None, "{what}: {head:?}");
                }
                assert!(container.len() == 1 || answer.body == whole.body, "{what}: {fields}");
            }
        }
    }
}

type Damage = fn(&mut Vec<u8>);

/// A packet that is missing, or cut.
#[test]
fn damage_is_visible() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::new(named("transport stream"));
    let names = film.segments();
    let damages: [(&str, Damage); 6] = [
        ("nothing", |bytes| bytes.clear()),
        ("packets without media", |bytes| {
            bytes.as_chunks_mut::<188>().0.iter_mut().for_each(|packet| {
                packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
            });
        }),
        ("a packet is missing", |bytes| drop(bytes.drain(188 * 50..188 * 51))),
        ("a packet is cut", |bytes| bytes.truncate(188 * 50 + 100)),
        ("no packets", |bytes| bytes.fill(7)),
        ("a web page", |bytes| *bytes = b"<html>gone</html>".to_vec()),
    ];
    for (place, (what, damage)) in damages.into_iter().enumerate() {
        for segment in [0, 6, names.len() - 1] {
            let url = film.put_with(&origin, &format!("{place}-{segment}"), |name, resource| {
                if name != names[segment] {
                    return resource;
                }
                let mut bytes = resource.read();
                damage(&mut bytes);
                Resource::bytes(bytes).ranges().etag("\"1\"").keep_alive()
            });
            let answer = daemon.get(&any_path(Some(&url), None, &[NONE]));
            let is_whole = answer.head.status == 200 && answer.ending == Ending::Complete;
            assert!(!is_whole, "{what}, segment {segment}: it looks whole");
        }
    }
}
