//! The clock of transport streams, and how fragments are written.

use super::fragment::{Fragment, Run, Sample};
use super::*;
use crate::container::isobmff::{children, find, u32_at, u64_at};

#[test]
fn timestamps_are_those_nearest_to_what_is_expected() {
    let clock = Clock { origin: WRAP - 90_000 };
    assert_eq!(clock.ticks(WRAP - 90_000, 0), 0);
    assert_eq!(clock.ticks(WRAP - 90_001, 0), -1);
    assert_eq!(clock.ticks(0, 0), 90_000, "it wraps within a segment");
    assert_eq!(clock.ticks(0, WRAP + 80_000), WRAP.cast_signed() + 90_000, "after a day");
    assert_eq!(clock.ticks(WRAP - 1, 89_000), 89_999);
    assert_eq!(clock.ticks(5, 3 * WRAP), 3 * WRAP.cast_signed() + 90_005);
    assert_eq!(Clock { origin: 0 }.ticks(WRAP / 2 - 1, 0), WRAP.cast_signed() / 2 - 1);
}

#[test]
fn what_all_samples_share_is_written_once() {
    let sample = |time, duration, offset, is_sync| Sample { time, duration, offset, is_sync };
    let fragment = |samples: &[(Sample, &[u8])]| {
        let mut run = Run::default();
        for (sample, bytes) in samples {
            let write = |data: &mut Vec<u8>| {
                data.extend_from_slice(bytes);
                Ok(())
            };
            run.push(write, |()| *sample).unwrap();
        }
        let fragment = Fragment::of([(7, &mut run)].into_iter(), 3).unwrap();
        assert_eq!(run.len(), 0);
        let out = fragment.pieces().collect::<Vec<_>>().concat();
        assert_eq!(fragment.len(), out.len() as u64);
        let boxes = children(&out).unwrap();
        assert_eq!([boxes[0].kind, boxes[1].kind], [*b"moof", *b"mdat"]);
        let traf = find(boxes[0].payload(), &[b"traf"]).unwrap();
        let of = |kind| find(traf, &[kind]).unwrap().to_vec();
        let trun = of(b"trun");
        assert_eq!(u32_at(&trun, 8), Some(boxes[0].bytes.len() as u32 + 8));
        assert_eq!(u64_at(&of(b"tfdt"), 4), Some(samples[0].0.time));
        let content: Vec<u8> = samples.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        assert_eq!(boxes[1].payload(), content);
        (of(b"tfhd"), trun)
    };
    let (tfhd, trun) =
        fragment(&[(sample(5, 10, 0, true), b"abc"), (sample(15, 10, 0, true), b"def")]);
    assert_eq!((tfhd.len(), trun.len()), (8 + 12, 12), "nothing differs");
    assert_eq!(u32_at(&tfhd, 8), Some(10));
    let (tfhd, trun) =
        fragment(&[(sample(5, 10, 20, true), b"abc"), (sample(15, 11, 0, false), b"defg")]);
    assert_eq!((tfhd.len(), trun.len()), (8, 12 + 2 * 16));
    assert_eq!(u32_at(&trun, 0), Some(0x0f01));
    let (_, early) =
        fragment(&[(sample(5, 10, -4, true), b"abc"), (sample(15, 10, 0, true), b"abc")]);
    assert_eq!([0, 12].map(|at| u32_at(&early, at)), [0x100_0801, 0xffff_fffc].map(Some));
    assert_eq!([12, 16, 24, 28, 32].map(|at| u32_at(&trun, at)), [10, 3, 20, 11, 4].map(Some));
}

#[test]
fn a_fragment_has_the_samples_of_all_tracks() {
    let mut runs = [Run::default(), Run::default(), Run::default()];
    for (run, bytes) in runs[1..].iter_mut().zip([&b"video"[..], b"audio!"]) {
        let write = |data: &mut Vec<u8>| {
            data.extend_from_slice(bytes);
            Ok(())
        };
        let sample = Sample { time: 9, duration: 1, offset: 0, is_sync: true };
        run.push(write, |()| sample).unwrap();
    }
    let mut fragment = Fragment::of((1..).zip(&mut runs), 1).unwrap();
    assert!(fragment.extend(1000) && !fragment.extend(u64::from(u32::MAX)));
    let bytes = [fragment.pieces().collect::<Vec<_>>().concat(), vec![0; 1000]].concat();
    let boxes = children(&bytes).unwrap();
    assert_eq!(boxes[1].payload(), [&b"videoaudio!"[..], &[0; 1000]].concat());
    let trafs = children(boxes[0].payload()).unwrap();
    let trafs: Vec<_> = trafs.into_iter().filter(|part| part.kind == *b"traf").collect();
    assert_eq!(trafs.len(), 2, "an empty run is left out");
    let moof = boxes[0].bytes.len() as u32;
    for (traf, (track, offset)) in trafs.iter().zip([(2, moof + 8), (3, moof + 13)]) {
        let of = |kind| find(traf.payload(), &[kind]).unwrap().to_vec();
        assert_eq!(u32_at(&of(b"tfhd"), 4), Some(track));
        assert_eq!(u32_at(&of(b"trun"), 8), Some(offset));
    }
    assert!(Fragment::of((1..).zip(&mut runs), 2).is_none(), "nothing is left to be written");
}
