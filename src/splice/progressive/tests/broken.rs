//! No file causes a panic.

use proptest::prelude::*;

use super::super::crafted::{Crafted, MEDIA, Sparse, table};
use super::*;
use crate::options::ContainerChoice;

/// A file of which some boxes are broken, at random.
fn broken() -> impl Strategy<Value = (Crafted, Vec<(usize, u8)>, bool)> {
    let numbers = prop::collection::vec(
        prop_oneof![0u32..10, Just(u32::MAX), Just(MEDIA as u32), any::<u32>()],
        0..12,
    );
    let kind = prop::sample::select(vec![
        b"stts", b"ctts", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"stss", b"sdtp", b"sbgp",
    ]);
    let tables = prop::collection::vec((kind, numbers), 0..3);
    let edits = prop::collection::vec((any::<u32>(), any::<i32>()), 0..3);
    let flips = prop::collection::vec((0usize..900, any::<u8>()), 0..6);
    (tables, edits, flips, any::<bool>(), 0u32..3, 0u32..3).prop_map(
        |(tables, edits, flips, has_edits, scale, movie)| {
            let mut crafted = Crafted::new(b"vide");
            for (kind, numbers) in tables {
                crafted = crafted.with(table(kind, &numbers));
            }
            if has_edits {
                crafted = crafted.edited(&edits);
            }
            crafted.scale = [1000, 1, u32::MAX][scale as usize];
            crafted.movie_scale = [1000, 1, u32::MAX][movie as usize];
            (crafted, flips, has_edits)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics((crafted, flips, both) in broken(), start in 0u64..4000, len in 1u64..4000) {
        let mut file = crafted.file();
        for (at, byte) in flips {
            let moov = &mut file.runs[1].1;
            if let Some(at) = moov.get_mut(at) {
                *at = byte;
            }
        }
        if let Ok(track) = read_index(&mut file) {
            let tags = Metadata::default();
            let mut tracks = vec![(TrackKind::Video, &track)];
            let audio = Crafted::new(b"soun");
            let audio = read_index(&mut audio.file()).unwrap();
            if both {
                tracks.push((TrackKind::Audio, &audio));
            }
            for trim in [TimeRange::default(), part(start, Some(start + len)), part(start, None)] {
                let options = Options { container: ContainerChoice::Auto, time_range: trim, metadata: &tags };
                if let Ok(plan) = plan(&tracks, &options) {
                    let lens = [file.len, 1000];
                    for (place, len) in lens.into_iter().enumerate().take(tracks.len()) {
                        if let Some(needs) = plan.source_range(place, &(0..plan.len())) {
                            prop_assert!(needs.start <= needs.end && needs.end <= len);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), len in any::<u64>()) {
        let len = len.max(bytes.len() as u64);
        let mut file = Sparse { len, runs: vec![(0, bytes)], looks: 0 };
        prop_assert!(read_index(&mut file).is_err());
    }
}
