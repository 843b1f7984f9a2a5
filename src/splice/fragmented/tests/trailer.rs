//! The bytes after the last fragment: an index, padding, or fragments that the index omits.

use super::*;
use crate::container::isobmff::boxed;

/// Returns the index (mfra) of `count` fragments, as ffmpeg writes it, of which is read only its
/// beginning.
fn as_long_as_mfra(kind: &[u8; 4], fragments: usize) -> Vec<u8> {
    boxed(kind, &[&vec![0; 24 + 19 * fragments + 16]])
}

#[test]
fn what_may_be_an_index_is_seen_while_the_last_fragment_goes_out() {
    for kind in [b"mfra", b"free"] {
        let pair = pair(|fixture| fixture.behind = as_long_as_mfra(kind, 5));
        let track = pair[0].read_index(TimeRange::default()).unwrap();
        assert_eq!(track.unverified.end - track.unverified.start, 48 + 19 * 5);
        joined(&pair);
        // A range at the beginning needs no bytes of the end.
        let end = pair[0].bytes().len() as u64 - (48 + 19 * 5);
        let (plan, _) = planned(&pair, TimeRange::default());
        let needs = |part| plan.source_range(0, &part).unwrap();
        assert_eq!(needs(0..plan.len()).end, end + 8);
        assert!(needs(0..plan.len() / 2).end <= end);
        // It is not needed either for a time range that ends before it.
        let (plan, _) = planned(&pair, part(0, Some(1500)));
        assert!(plan.source_range(0, &(0..plan.len())).unwrap().end < end);
        cut_and_joined(&pair, part(1500, None));
    }
    let otherwise = pair(|fixture| fixture.behind = as_long_as_mfra(b"mfra", 4));
    assert!(
        otherwise[0].read_index(TimeRange::default()).unwrap().unverified.is_empty(),
        "it was looked at"
    );
}

#[test]
fn fragments_that_are_left_out_fail_before_the_last_byte() {
    let pair = pair(|fixture| fixture.behind = as_long_as_mfra(b"mfra", 5));
    for (place, kind) in [(4, b"moof"), (4, b"mdat"), (0, &[0, 0, 0, 100])] {
        let spoil = |bytes: &mut Vec<u8>| {
            let at = bytes.len() - (48 + 19 * 5) + place;
            bytes[at..at + 4].copy_from_slice(kind);
        };
        assert_eq!(contradiction_in(&pair, spoil), "there are fragments that the index omits");
        let (plan, mut files) = planned(&pair, TimeRange::default());
        spoil(&mut files[0].1);
        let last = plan.extents().rfind(|piece| piece.track == 0).unwrap();
        let end = last.at + last.len;
        assert!(emit(&plan, 0..end - 1, &files).is_ok());
        assert!(emit(&plan, end - 1..end, &files).is_err());
    }
}

#[test]
fn what_is_behind_the_media() {
    let behind = |bytes: Vec<u8>| {
        let pair = pair(|fixture| fixture.behind = bytes);
        pair[0].read_index(TimeRange::default()).map(|track| track.fragments.len())
    };
    assert_eq!(behind(boxed(b"free", &[])), Ok(5));
    assert_eq!(behind(boxed(b"mfra", &[])), Ok(5));
    assert!(behind(boxed(b"free", &[])[..7].to_vec()).is_err());
    assert!(behind(boxed(b"what", &[])).is_err());
    assert!(behind(boxed(b"free", &[]).repeat(50)).is_err());
}
