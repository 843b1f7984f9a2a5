//! A part of the film.

use std::collections::HashSet;
use std::time::Duration;

use ytcanal::media::{Metadata, TrackKind};
use ytcanal::options::TimeRange;
use ytcanal::splice::Options;

use super::{decoded, joined, kinds};
use crate::support::framemd5::{Packet, packets};
use crate::support::spliced::{Film, as_it_is};

const MILLISECOND: i64 = 1_000_000;

fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

fn options(tags: &Metadata, start: f64, end: Option<f64>) -> Options<'_> {
    let trim =
        TimeRange { start: Duration::from_secs_f64(start), end: end.map(Duration::from_secs_f64) };
    Options { time_range: trim, ..as_it_is(tags) }
}

/// Which packets of the source these are, without a gap.
fn part<'a>(source: &'a [Packet], after: &[Packet], what: &str) -> &'a [Packet] {
    let same = |part: &&[Packet]| part.iter().zip(after).all(|(a, b)| a.md5 == b.md5);
    source.windows(after.len()).find(same).unwrap_or_else(|| panic!("{what}: not in the source"))
}

#[test]
fn picture_and_sound_stay_together() {
    let wishes =
        [(0.0, Some(4.0)), (3.3, None), (4.0, Some(6.1)), (6.9, Some(6.95)), (2.0, Some(99.0))];
    for kind in kinds::all() {
        let film = Film::of(&kind.video, &kind.audio);
        let sources = [packets(&kind.video, "v"), packets(&kind.audio, "a")];
        for (start, end) in wishes {
            let what = format!("{}, {start} to {end:?}", kind.name);
            let tags = Metadata::default();
            let joined = joined(&film, &options(&tags, start, end));
            let after = ["v", "a"].map(|stream| packets(&joined.path, stream));
            let [video, audio] = [0, 1].map(|of| part(&sources[of], &after[of], &what));
            let zeros = [(video, &after[0]), (audio, &after[1])].map(|(part, after)| {
                let zero = part[0].pts - after[0].pts;
                for (before, after) in part.iter().zip(after) {
                    assert!((before.pts - after.pts - zero).abs() < MILLISECOND, "{what}");
                    assert!((before.dts - after.dts - zero).abs() < MILLISECOND, "{what}");
                }
                zero
            });
            assert!((zeros[0] - zeros[1]).abs() < MILLISECOND, "{what}: {zeros:?}");
            assert!(zeros[0] <= nanos(start) + MILLISECOND, "{what}: {zeros:?}");
            let end = end.map_or(i64::MAX, nanos);
            for (source, part) in sources.iter().zip([video, audio]) {
                let over = |packets: &[Packet]| {
                    packets.iter().map(|packet| packet.pts + packet.duration).max().unwrap()
                };
                assert!(over(part) + MILLISECOND >= end.min(over(source)), "{what}: it ends early");
            }
            let streams: HashSet<_> = decoded(&[], &joined.path, "")
                .iter()
                .filter_map(|line| line.split(',').next().map(str::to_owned))
                .collect();
            assert_eq!(streams.len(), 2, "{what}");
        }
    }
}

#[test]
fn cuts_fall_where_they_are_due() {
    let kind = kinds::plain();
    let film = Film::of(&kind.video, &kind.audio);
    let tags = Metadata::default();
    let joined = joined(&film, &options(&tags, 4.7, Some(6.0)));
    let video = packets(&joined.path, "v");
    // The key frames are 2 seconds from each other, the pictures 40 ms.
    assert_eq!(video[0].md5, packets(&kind.video, "v")[100].md5);
    assert_eq!(video[0].pts, 0);
    let pictures = decoded(&[], &joined.path, "v");
    assert_eq!(pictures.len(), 50, "from 4 to 6 seconds");
    let md5 = |line: &String| line.rsplit(',').next().unwrap().trim().to_owned();
    let before: Vec<_> = decoded(&[], &kind.video, "v").iter().map(md5).collect();
    assert_eq!(pictures.iter().map(md5).collect::<Vec<_>>(), before[100..150]);
}

#[test]
fn a_lone_file_is_cut_too() {
    let kind = kinds::plain();
    let film = Film {
        files: vec![(TrackKind::Audio, std::fs::read(&kind.audio).unwrap())],
        ..Film::default()
    };
    let tags = Metadata::default();
    let plan = film.plan(&options(&tags, 5.0, Some(7.0)));
    assert!((plan.duration.as_secs_f64() - 2.0).abs() < 0.05, "{:?}", plan.duration);
    let needed = plan.source_range(0, &(0..plan.len())).unwrap();
    let len = film.files[0].1.len() as u64;
    assert!(needed.end - needed.start < len / 4, "only what is wanted: {needed:?} of {len}");
    let joined = joined(&film, &options(&tags, 5.0, Some(7.0)));
    let after = packets(&joined.path, "a");
    let source = packets(&kind.audio, "a");
    let zero = part(&source, &after, "sound")[0].pts - after[0].pts;
    assert!((nanos(4.97)..=nanos(5.0)).contains(&zero), "{zero}");
}

#[test]
fn what_is_not_there_is_refused() {
    let kind = kinds::plain();
    let film = Film::of(&kind.video, &kind.audio);
    let tags = Metadata::default();
    let refusal = |start, end| film.try_plan(&options(&tags, start, end)).unwrap_err().0;
    assert_eq!(refusal(10.1, None), "the track ends before the requested start");
    assert_eq!(refusal(5.0, Some(5.0)), "the requested end is not after the start");
}
