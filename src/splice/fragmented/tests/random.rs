//! No bytes cause a panic, and an output has the planned length.

use proptest::prelude::*;
use proptest::sample::Index as Place;

use super::fixture::{Index, Mdat};
use super::*;
use crate::container::isobmff::boxed;
use crate::container::probe::Format;
use crate::splice::{TrackIndex, read_index as splice_survey};

/// Generates videos of many shapes.
fn odd(shape: u8) -> Fixture {
    let mut fixture = fixture(TrackKind::Video);
    fixture.index = match shape % 4 {
        0 => Index::None,
        1 => Index::Mfra,
        2 => Index::Sidx(1000, 0),
        _ => Index::Sidx(12_800, 0),
    };
    if shape & 4 != 0 {
        fixture.edits = vec![(100, -1), (0, 1280)];
    }
    if shape & 8 != 0 {
        fixture.runs[1].front = boxed(b"prft", &[&[0; 20]]);
        fixture.runs[3].fragments[0].foreign = Some(true);
        fixture.runs[4].fragments[0].mdat = Mdat::ToTheEnd;
    }
    fixture
}

fn changed(bytes: &mut [u8], changes: &[(Place, u8)]) {
    for (at, value) in changes {
        // Small numbers and large ones do most.
        let value = match value % 8 {
            0 => 0,
            1 => 0xff,
            2 => 0x80,
            3 => 1,
            _ => *value,
        };
        let at = at.index(bytes.len());
        bytes[at] = value;
    }
}

/// Metadata of media of which the time between two of these milliseconds each is left out.
fn without(millis: &[u64]) -> Metadata {
    let intervals = millis.chunks_exact(2).map(|pair| {
        let [from, to] = [pair[0].min(pair[1]), pair[0].max(pair[1])];
        from * 1_000_000..to * 1_000_000
    });
    Metadata { removal: Removal::new(intervals), ..Metadata::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_bytes_make_it_panic(
        shape: u8,
        changes in prop::collection::vec((any::<Place>(), any::<u8>()), 0..5),
        later in prop::collection::vec((any::<Place>(), any::<u8>()), 0..3),
        cut in any::<Option<(Place, bool)>>(),
        start in 0u64..6000,
        length in any::<Option<u16>>(),
        begin: Place,
        gone in prop::collection::vec(0u64..6000, 0..5),
    ) {
        let metadata = without(&gone);
        let mut bytes = odd(shape).bytes();
        changed(&mut bytes, &changes);
        if let Some((cut, true)) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let trim = part(
            if start % 2 == 0 { 0 } else { start },
            length.map(|length| start + 1 + u64::from(length)),
        );
        let Ok(video) = splice_survey(Format::Mp4, &mut File::of(bytes.clone()), trim, &metadata.removal) else { return Ok(()) };
        let audio = fixture(TrackKind::Audio);
        let Ok(index) = audio.read_index(trim) else { return Ok(()) };
        let tracks = [(TrackKind::Video, video), (TrackKind::Audio, TrackIndex::Fragmented(Box::new(index)))];
        let Ok(plan) = crate::splice::plan(&tracks, &Options { metadata: &metadata, ..options(trim) }) else { return Ok(()) };
        changed(&mut bytes, &later);
        let files = vec![(TrackKind::Video, bytes), (TrackKind::Audio, audio.bytes())];
        let whole = emit(&plan, 0..plan.len(), &files);
        if let Ok(made) = &whole {
            prop_assert_eq!(made.len() as u64, plan.len());
        }
        let begin = begin.index(plan.len() as usize);
        let tail = emit(&plan, begin as u64..plan.len(), &files);
        if let (Ok(whole), Ok(tail)) = (whole, tail) {
            prop_assert_eq!(&whole[begin..], tail);
        }
    }

    /// In any time range the tracks are in step, and the requested media is there.
    #[test]
    fn parts_are_in_bounds_and_in_step(
        start in 0u64..4999,
        length in any::<Option<u16>>(),
        video_late in 0u64..3 * 12_800,
        audio_late in 0u64..3 * 48_000,
        media_time in 0i32..20_000,
        delay in 0u32..1200,
        who in 0usize..2,
    ) {
        let mut pair = pair(|_| {});
        for (fixture, late) in pair.iter_mut().zip([video_late, audio_late]) {
            fixture.fragments_mut().for_each(|fragment| fragment.time += late);
        }
        pair[who].edits = match delay % 3 {
            0 => vec![],
            1 => vec![(0, media_time)],
            _ => vec![(delay, -1), (0, media_time)],
        };
        let trim = part(start, length.map(|length| start + 1 + u64::from(length)));
        let indexes: Vec<_> = pair.iter().map(|fixture| (fixture.kind, fixture.read_index(trim))).collect();
        if indexes.iter().any(|(_, index)| index.is_err()) {
            return Ok(());
        }
        let tracks: Vec<_> = indexes.iter().map(|(kind, s)| (*kind, s.as_ref().unwrap())).collect();
        if plan(&tracks, &options(trim)).is_err() {
            return Ok(());
        }
        // The requested times are those of the complete file.
        let whole = times::shown(&cut_and_joined(&pair, TimeRange::default()), &pair)[0].moved;
        let start = start + whole.cast_unsigned();
        let seen = cut_and_joined(&pair, trim);
        let shown = times::shown(&seen, &pair);
        prop_assert!((shown[0].moved - shown[1].moved).abs() <= 2, "{shown:?}");
        // The video that is shown at the start is there, and what is shown first begins at 0.
        prop_assert!(shown[0].from <= start.cast_signed() || shown[0].is_first, "{shown:?}");
        prop_assert!(shown[0].to > start.cast_signed(), "{shown:?}");
    }
}
