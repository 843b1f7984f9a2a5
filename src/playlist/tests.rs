//! Playlists as packagers write them, and as they should not.

use std::io::Write;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::media::segments::SegmentKey;

mod keys;
mod master;

fn base() -> Url {
    Url::parse("https://cdn.example/films/1/list.m3u8?token=a%2Fb").unwrap()
}

fn with_hints(text: &str, hints: &PlaylistHints) -> Result<Playlist, PlaylistError> {
    parse(text.as_bytes(), &base(), hints)
}

fn read(text: &str) -> Result<SegmentList, PlaylistError> {
    match with_hints(text, &PlaylistHints::default())? {
        Playlist::Media(list) => Ok(list),
        Playlist::Master(_) => panic!("a master playlist"),
    }
}

/// Reads a playlist with this body between the tags that each one has.
fn body(lines: &str) -> Result<SegmentList, PlaylistError> {
    read(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{lines}\n#EXT-X-ENDLIST\n"))
}

fn problem(lines: &str) -> String {
    body(lines).unwrap_err().to_string()
}

fn urls(list: &SegmentList) -> Vec<&str> {
    list.segments.iter().map(|segment| segment.location.url.as_str()).collect()
}

const PLAIN: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n\
    #EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-UNKNOWN:a\n#EXTINF:6.006,A title, with a comma\n0.ts\n\
    # a comment\n#EXTINF:5,\n../2/1.ts?x=1\n#EXTINF:1\nhttp://other.example/2.ts\n#EXT-X-ENDLIST\n";

#[test]
fn a_plain_list() {
    let list = read(PLAIN).unwrap();
    assert_eq!(
        urls(&list),
        [
            "https://cdn.example/films/1/0.ts",
            "https://cdn.example/films/2/1.ts?x=1",
            "http://other.example/2.ts",
        ]
    );
    assert!(list.is_complete);
    assert_eq!((list.media_sequence, list.target_duration), (7, Duration::from_secs(6)));
    assert_eq!(list.duration(), Duration::from_millis(12_006));
    assert_eq!(list.segments[0].duration, Duration::from_millis(6006));
}

#[test]
fn the_same_list_in_other_clothes() {
    let list = read(PLAIN).unwrap();
    for text in [
        PLAIN.replace('\n', "\r\n"),
        PLAIN.replace('\n', "\r"),
        PLAIN.replace('\n', "\n\n  "),
        format!("\u{feff}{PLAIN}"),
        PLAIN.trim_end().to_owned(),
    ] {
        assert_eq!(read(&text).unwrap(), list, "{text:?}");
        assert!(is_playlist(text.as_bytes()));
    }
    let latin1 = [PLAIN.as_bytes(), b"# caf\xe9"].concat();
    assert_eq!(parse(&latin1, &base(), &PlaylistHints::default()), Ok(Playlist::Media(list)));
}

#[test]
fn a_list_that_is_stored_compressed() {
    let gzip = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let parse = |bytes: &[u8]| super::parse(bytes, &base(), &PlaylistHints::default());
    let bytes = gzip(PLAIN.as_bytes());
    assert!(is_gzip(&bytes));
    assert_eq!(parse(&bytes), Ok(Playlist::Media(read(PLAIN).unwrap())));
    let cut = parse(&bytes[..bytes.len() - 9]).unwrap_err().to_string();
    assert_eq!(cut, "the playlist is invalid: its compressed data is damaged");
    // A megabyte of it is a gigabyte of nothing.
    let bomb = gzip(&[PLAIN.as_bytes(), &vec![b'\n'; MAX_SIZE]].concat());
    assert!(bomb.len() < MAX_SIZE / 100);
    assert_eq!(parse(&bomb).unwrap_err(), too_long());
}

#[test]
fn a_list_without_its_end_is_live() {
    let list = read(&PLAIN.replace("#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:EVENT")).unwrap();
    assert!(!list.is_complete);
    let cut = read(&PLAIN.replace("#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:VOD"));
    assert!(cut.unwrap_err().to_string().contains("EXT-X-ENDLIST"), "it cannot change");
    let list = read(&PLAIN.replace("#EXT-X-ENDLIST", "")).unwrap();
    assert!(!list.is_complete);
    let list = read("#EXTM3U\n#EXT-X-TARGETDURATION:2\n").unwrap();
    assert!(!list.is_complete && list.segments.is_empty());
}

#[test]
fn dates_and_discontinuities_of_a_list() {
    let seconds = |lines: &str| {
        let end = body(lines).unwrap().end_date;
        end.map(|end| end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64())
    };
    let dated = "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00Z\n#EXTINF:1.5\na\n#EXTINF:2\nb";
    assert_eq!(seconds(dated), Some(63.5));
    assert_eq!(seconds(&format!("#EXTINF:9\nx\n{dated}")), Some(63.5));
    assert_eq!(seconds("#EXT-X-PROGRAM-DATE-TIME:now\n#EXTINF:1.5\na"), None);
    let list = body("#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXTINF:1\na").unwrap();
    assert_eq!(list.discontinuity_sequence, 3);
}

#[test]
fn an_initialisation_segment_holds_until_the_next() {
    let list = body(
        "#EXT-X-MAP:URI=\"a.mp4\"\n#EXTINF:1\n1\n#EXTINF:1\n2\n#EXT-X-DISCONTINUITY\n\
         #EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"100@50\"\n#EXTINF:1\n3\n\
         #EXT-X-MAP:URI=\"unused.mp4\"\n#EXT-X-MAP:URI=\"a.mp4\"\n#EXTINF:1\n4\n\
         #EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"100\"\n#EXTINF:1\n5",
    )
    .unwrap();
    let inits: Vec<_> = list.segments.iter().map(|segment| segment.init.unwrap()).collect();
    assert_eq!(inits, [0, 0, 1, 0, 2]);
    let ranges: Vec<_> = list.inits.iter().map(|init| init.location.range.clone()).collect();
    assert_eq!(ranges, [None, Some(50..150), Some(0..100)]);
    let discontinuous: Vec<_> = list.segments.iter().map(|s| s.is_discontinuous).collect();
    assert_eq!(discontinuous, [false, false, true, false, false]);
}

#[test]
fn ranges_go_on_behind_a_range_of_the_same_file() {
    let list = body(
        "#EXTINF:1\n#EXT-X-BYTERANGE:10@5\na\n#EXT-X-BYTERANGE:20\n#EXTINF:1\na\n\
         #EXTINF:1\n#EXT-X-BYTERANGE:1@0\nb\n#EXTINF:1\nb",
    );
    let ranges = list.unwrap().segments.into_iter().map(|segment| segment.location.range);
    assert_eq!(ranges.collect::<Vec<_>>(), [Some(5..15), Some(15..35), Some(0..1), None]);
    for lines in [
        "#EXTINF:1\n#EXT-X-BYTERANGE:10\na",
        "#EXTINF:1\n#EXT-X-BYTERANGE:10@5\na\n#EXTINF:1\n#EXT-X-BYTERANGE:10\nb",
        "#EXTINF:1\na\n#EXTINF:1\n#EXT-X-BYTERANGE:10\na",
    ] {
        assert!(problem(lines).contains("has no offset, and no range precedes it"), "{lines}");
    }
    for range in ["", "0@0", "-1@0", "1@-1", "1@18446744073709551615", "+1@0", "x@0", "1@0x1"] {
        let problem = problem(&format!("#EXTINF:1\n#EXT-X-BYTERANGE:{range}\na"));
        assert!(problem.starts_with("the playlist is invalid: "), "{range}: {problem}");
    }
}

#[test]
fn variables() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-DEFINE:NAME=\"dir\",VALUE=\"x\"\n\
        #EXT-X-DEFINE:IMPORT=\"host\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n\
        #EXT-X-MAP:URI=\"{$dir}/{$dir}.mp4\"\n#EXTINF:1\nhttps://{$host}.example/{$dir}?{$token}&a\n";
    let variables = vec![("host".to_owned(), "other".to_owned())];
    let hints = PlaylistHints { variables, ..PlaylistHints::default() };
    let Ok(Playlist::Media(list)) = with_hints(text, &hints) else { panic!() };
    assert_eq!(urls(&list), ["https://other.example/x?a/b&a"]);
    assert_eq!(list.inits[0].location.url.as_str(), "https://cdn.example/films/1/x/x.mp4");
    for (line, told) in [
        ("#EXT-X-DEFINE:IMPORT=\"host\"", "EXT-X-DEFINE: the master playlist has no \"host\""),
        ("#EXT-X-DEFINE:QUERYPARAM=\"q\"", "EXT-X-DEFINE: the URL of the playlist has no \"q\""),
        ("#EXT-X-DEFINE:NAME=\"a\"", "EXT-X-DEFINE lacks VALUE"),
        ("#EXTINF:1\n{$dir}/1", "{$dir} is not defined"),
        ("#EXTINF:1\n{$dir/1", "a variable reference is open"),
    ] {
        assert_eq!(problem(line), format!("the playlist is invalid: {told}"));
    }
    let define = |index| format!("#EXT-X-DEFINE:NAME=\"{index}\",VALUE=\"{}\"\n", "x".repeat(99));
    let many: String = (0..101).map(define).collect();
    assert!(problem(&many).contains("more than 100 variables"));
    let long = "{$0}".repeat(1000);
    assert!(problem(&format!("{}#EXTINF:1\n{long}", define(0))).contains("too long"));
}

#[test]
fn hints_of_the_page() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-KEY:METHOD=AES-128,URI=\"k?b=2\",IV=0x1\n\
        #EXTINF:1\n1.ts?a=0&%62=%2f\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1\n2.ts\n";
    let read = |hints: &PlaylistHints| match with_hints(text, hints) {
        Ok(Playlist::Media(list)) => list,
        other => panic!("{other:?}"),
    };
    let segment_query = Some("a=1&c=%2F".into());
    let mut hints = PlaylistHints { segment_query, ..PlaylistHints::default() };
    let list = read(&hints);
    let key = |list: &SegmentList| list.segments[0].encryption.clone().unwrap().key;
    assert_eq!(
        urls(&list),
        [
            "https://cdn.example/films/1/1.ts?%62=%2f&a=1&c=%2F",
            "https://cdn.example/films/1/2.ts?a=1&c=%2F"
        ]
    );
    // As yt-dlp does, unless keys have a query of their own.
    let remote = |path: &str| SegmentKey::Remote(base().join(path).unwrap());
    assert!(*key(&list) == remote("k?b=2&a=1&c=%2F"));
    hints.key_query = Some("?b=3".into());
    assert!(*key(&read(&hints)) == remote("k?b=3"));
    hints.key = Some(SegmentKey::Inline([7; 16]));
    hints.iv = Some([9; 16]);
    let list = read(&hints);
    assert!(*key(&list) == SegmentKey::Inline([7; 16]));
    assert!(list.segments[0].encryption.as_ref().unwrap().iv == [9; 16]);
    assert!(list.segments[1].encryption.is_none());
}

#[test]
fn what_is_refused_is_named() {
    for (lines, told) in [
        ("#EXTINF:1\n#EXT-X-GAP\n1", "the playlist has missing segments (EXT-X-GAP)"),
        ("#EXT-X-SKIP:SKIPPED-SEGMENTS=3", "the playlist needs what is not supported: EXT-X-SKIP"),
        ("#EXT-X-I-FRAMES-ONLY", "the playlist needs what is not supported: EXT-X-I-FRAMES-ONLY"),
        ("1.ts", "the playlist is invalid: segment 1 lacks EXTINF"),
        ("#EXTINF:-1,Radio\n1", "the playlist is invalid: EXTINF has a malformed number"),
        ("#EXTINF:1e9\n1", "the playlist is invalid: EXTINF has an impossible duration"),
        ("#EXTINF:inf\n1", "the playlist is invalid: EXTINF has a malformed number"),
        ("#EXTINF:1\n1\n#EXTINF:1", "the playlist is invalid: its last segment has no URL"),
        (
            "#EXTINF:1\nfile:///etc/passwd",
            "the playlist is invalid: segment 1 has a URL that is neither http nor https",
        ),
        ("#EXTINF:1\nhttp://[", "the playlist is invalid: segment 1 has a malformed URL"),
        (
            "#EXTINF:1\n1\n#EXT-X-MEDIA-SEQUENCE:1",
            "the playlist is invalid: EXT-X-MEDIA-SEQUENCE is behind the first segment",
        ),
        ("", "the playlist is invalid: it has no segments"),
        (
            "#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8",
            "the playlist is invalid: it lists both segments and other playlists",
        ),
    ] {
        assert_eq!(problem(lines), told, "{lines}");
    }
    let list_of_songs = "#EXTM3U\n#EXTINF:123,A song\na.mp3\n#EXTINF:321,Another\nb.mp3\n";
    for bytes in [list_of_songs, "", "#EXTM3", "<!DOCTYPE html>", "#EXTM3U8", "EXTM3U"] {
        assert_eq!(read(bytes), Err(PlaylistError::NotPlaylist), "{bytes}");
        assert!(bytes == list_of_songs || !is_playlist(bytes.as_bytes()));
    }
    assert!(is_playlist(b"#EXTM3U") && is_playlist(b"#EXTM3U,x") && is_playlist(b"#EXTM3U x\n"));
}

#[test]
fn there_is_a_limit_to_all() {
    let told = |lines: &str| match body(lines) {
        Err(PlaylistError::LimitExceeded(limit)) => limit,
        other => panic!("{other:?}"),
    };
    assert!(told(&"#EXTINF:1\na\n".repeat(MAX_SEGMENTS + 1)).contains("20000 segments"));
    assert!(body(&"#EXTINF:1\na\n".repeat(MAX_SEGMENTS)).is_ok());
    let hosts = |count: usize| -> String {
        (0..count).map(|host| format!("#EXTINF:1\nhttp://h{host}.example/\n")).collect()
    };
    assert!(told(&hosts(5)).contains("more than 4 hosts"));
    assert!(body(&hosts(4)).is_ok());
    let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"http://k.example/\"\n#EXTINF:1\na\n";
    assert!(told(&format!("{}{key}", hosts(4))).contains("more than 4 hosts"));
    let long = "x".repeat(8200);
    assert!(told(&format!("#EXTINF:1\n{long}")).contains("longer than 8192"));
    assert!(told(&format!("#EXT-X-KEY:URI=\"{long}{long}\"")).contains("longer than 16384"));
    // A short URL grows by a long base.
    let directory = format!("https://cdn.example/{}/list", "x".repeat(8000));
    let directory = Url::parse(&directory).unwrap();
    let many = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n".to_owned() + &"#EXTINF:1\na\n".repeat(3000);
    let outcome = parse(many.as_bytes(), &directory, &PlaylistHints::default());
    assert!(outcome.unwrap_err().to_string().contains("its URLs are longer than 16 MiB"));
    let maps: String =
        (0..1001).map(|map| format!("#EXT-X-MAP:URI=\"{map}\"\n#EXTINF:1\na\n")).collect();
    assert!(told(&maps).contains("more than 1000 initialisation segments"));
    assert_eq!(read(&"\n".repeat(MAX_SIZE + 1)), Err(too_long()));
}

#[test]
fn nothing_secret_is_printed() {
    let list = body("#EXT-X-KEY:METHOD=AES-128,URI=\"k?sig=1\"\n#EXTINF:1\na?sig=1").unwrap();
    assert!(!format!("{list:?} {:?}", list.segments).contains("sig"));
    assert!(list.memory_size() > 2 * "https://cdn.example/films/1/a?sig=1".len());
}

proptest! {
    /// No line makes it panic, and what it returns can be requested.
    #[test]
    fn lines_of_any_kind(
        tags in proptest::collection::vec((0..LINES.len(), "[ -~]{0,12}", any::<u64>()), 0..12),
    ) {
        let mut text = "#EXTM3U\n".to_owned();
        for (line, value, number) in tags {
            let line = LINES[line].replace("{}", &value).replace("{#}", &number.to_string());
            text.push_str(&line);
            text.push('\n');
        }
        if let Ok(Playlist::Media(list)) = with_hints(&text, &PlaylistHints::default()) {
            for segment in &list.segments {
                prop_assert!(segment.location.range.as_ref().is_none_or(|r| r.start < r.end));
                prop_assert!(segment.init.is_none_or(|init| (init as usize) < list.inits.len()));
            }
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        parse(&[b"#EXTM3U\n", &*bytes].concat(), &base(), &PlaylistHints::default()).ok();
        parse(&[b"\x1f\x8b\x08", &*bytes].concat(), &base(), &PlaylistHints::default()).ok();
    }
}

const LINES: [&str; 14] = [
    "#EXT-X-TARGETDURATION:6",
    "#EXTINF:1",
    "#EXTINF:{}",
    "{}",
    "a",
    "#EXT-X-BYTERANGE:{#}@{}",
    "#EXT-X-BYTERANGE:{#}",
    "#EXT-X-MAP:URI=\"{}\",BYTERANGE=\"{#}@{#}\"",
    "#EXT-X-KEY:METHOD=AES-128,URI=\"{}\",IV=0x{#}",
    "#EXT-X-KEY:{}",
    "#EXT-X-DEFINE:NAME=\"{}\",VALUE=\"{}\"",
    "#EXT-X-MEDIA-SEQUENCE:{#}",
    "#EXT-X-STREAM-INF:{}",
    "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\",{}",
];
