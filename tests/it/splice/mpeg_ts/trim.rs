//! Time ranges: from the first key frame of a segment on, audio to match.

use super::packed::aac;
use super::*;
use crate::support::framemd5::packets_of_adts;

fn range(start: u64, end: Option<u64>) -> TimeRange {
    TimeRange { start: Duration::from_millis(start), end: end.map(Duration::from_millis) }
}

/// Holds that the frames are some of those of the source, in one piece; returns where that begins, and by
/// how much their times are less.
fn piece_of(source: &[Packet], piece: &[Packet], what: &str) -> (usize, i64) {
    let first = source.iter().position(|frame| frame.md5 == piece[0].md5);
    let first = first.unwrap_or_else(|| panic!("{what}: another frame"));
    let by = source[first].pts - piece[0].pts;
    for (own, other) in source[first..].iter().zip(piece) {
        assert_eq!(own.md5, other.md5, "{what}");
        let apart = own.pts - other.pts - by;
        assert!(apart.abs() <= 2 * MILLISECOND, "{what}: {own:?} became {other:?}");
    }
    assert!(source.len() - first >= piece.len(), "{what}: more frames than there are");
    (first, by)
}

#[test]
fn time_ranges_begin_with_a_key_frame() {
    let inputs = [media::picture("320x180", 25, 13), media::sound(48_000, 13)];
    let whole = [&X264[..], &["-bf", "2", "-c:a", "aac", "-output_ts_offset", "36000"]].concat();
    let muxed = hls(&coded(&inputs, &whole));
    let common = ["-output_ts_offset", "95438"];
    let video = [&["-map", "0:v", "-bf", "2"][..], &X264, &common].concat();
    let audio = ["-map", "1:a", "-c:a", "aac", "-output_ts_offset", "95438", "-hls_time", "3"];
    let (video, audio) = (hls(&coded(&inputs, &video)), hls(&coded(&inputs, &audio)));
    for (files, what) in [
        (&[(TrackKind::Video, &muxed)][..], "in one"),
        (&[(TrackKind::Video, &video), (TrackKind::Audio, &audio)], "apart"),
    ] {
        let source =
            |stream: &str| &files.iter().rfind(|_| stream == "a").unwrap_or(&files[0]).1.file;
        let (pictures, sounds) = (frames(source("v"), "v"), packets_of_adts(source("a"), "a"));
        for (start, end, first, until) in [
            (0, Some(3000), 0, 4),
            (5300, Some(8200), 4, 10),
            (3999, Some(6000), 2, 6),
            (12_000, Some(20_000), 12, 13),
        ] {
            let what = format!("{what}, {start} to {end:?}");
            let (_directory, joined) = join_range(files, range(start, end));
            let (shown, heard) = (frames(&joined, "v"), packets(&joined, "a"));
            let (from, moved) = piece_of(&pictures, &shown, &what);
            assert_eq!((from, from + shown.len()), (first * 25, until * 25), "{what}");
            assert!(shown[0].pts.abs() <= 30 * MILLISECOND, "{what}: {:?}", shown[0]);
            let (_, with) = piece_of(&sounds, &heard, &what);
            assert!((moved - with).abs() <= 2 * MILLISECOND, "{what}: {moved} and {with}");
            // What precedes the video is hidden by an edit list.
            assert!(heard[0].pts <= 30 * MILLISECOND, "{what}: {:?}", heard[0]);
            assert!(heard[0].pts >= -150 * MILLISECOND, "{what}: {:?}", heard[0]);
            let end = heard[heard.len() - 1].pts;
            let seconds = (until - first) as i64 * 1000 * MILLISECOND;
            let over = (end - seconds) / MILLISECOND;
            assert!(over > -250 && over < 3100, "{what}: audio is longer by {over} ms");
            let duration = media::file_duration(&joined).unwrap();
            let most = if files.len() == 1 { 0.3 } else { 3.2 };
            let over = duration - (until - first) as f64;
            assert!(over > -0.2 && over < most, "{what} lasts {duration} s");
        }
    }
}

#[test]
fn packed_audio_is_cut_where_it_is_due() {
    for begin in [Some((1 << 33) - 3 * 90_000), None] {
        let source = aac(begin);
        let sounds = packets_of_adts(&source.file, "a");
        let (_directory, joined) =
            join_range(&[(TrackKind::Audio, &source)], range(3500, Some(5000)));
        let heard = packets(&joined, "a");
        let (from, _) = piece_of(&sounds, &heard, "packed audio");
        // The frame before is hidden.
        let first = sounds[from].pts - 3500 * MILLISECOND;
        assert!(first <= 0 && first > -60 * MILLISECOND, "{begin:?}: {first}");
        assert!(heard[0].pts == first || (heard[0].pts - first).abs() <= MILLISECOND, "{heard:?}");
    }
}

/// Only the needed segments are read.
#[test]
fn a_time_range_across_a_discontinuity() {
    let ([first, second], whole) = two_parts();
    for (start, end, from, until) in
        [(5000, Some(8900), 2, 5), (9500, Some(10_800), 5, 6), (8000, None, 4, 8)]
    {
        let files = [(TrackKind::Video, &whole)];
        let (_directory, joined) = join_range(&files, range(start, end));
        let shown = frames(&joined, "v");
        let pictures = [&first.file, &second.file].map(|file| frames(file, "v")).concat();
        let starts = [0, 50, 100, 150, 175, 225, 275, 325, 350];
        let expected = &pictures[starts[from]..starts[until]];
        assert!(expected.iter().map(|frame| &frame.md5).eq(shown.iter().map(|frame| &frame.md5)));
        for (index, frame) in shown.iter().enumerate() {
            let apart = frame.pts - shown[0].pts - index as i64 * 40 * MILLISECOND;
            assert!(apart.abs() <= 60 * MILLISECOND, "{start}: {frame:?}");
        }
        let plan = film(&files)
            .plan(&Options { time_range: range(start, end), ..as_it_is(&Metadata::default()) });
        let needed = plan.source_range(0, &(0..plan.len())).unwrap();
        assert_eq!(needed.start, whole.segments[from].offset, "{start}");
        let next = whole.segments.get(until).map_or(whole.bytes.len() as u64, |next| next.offset);
        assert!(needed.end >= next && needed.end <= next + (256 << 10), "{start}");
    }
}
