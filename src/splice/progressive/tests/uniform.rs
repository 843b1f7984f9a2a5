//! Audio without compression: samples that are all alike, and far more than anyone could go through.

use super::*;

/// Ten hours at 96 kHz, of 6 bytes each, in chunks of a second.
fn ten_hours() -> Crafted {
    let (rate, seconds) = (96_000u32, 36_000u32);
    let (size, count) = (6, rate * seconds);
    let chunks = (0..seconds).map(|at| MEDIA + u64::from(at) * u64::from(rate * size));
    let offsets: Vec<u32> = chunks.flat_map(|at| [(at >> 32) as u32, at as u32]).collect();
    let mut crafted = Crafted::new(b"soun")
        .with(table(b"stts", &[1, count, 1]))
        .with(table(b"stsc", &[1, 1, rate, 1]))
        .with(table(b"stsz", &[size, count]))
        .without(b"stco")
        .with(table(b"co64", &[&[seconds][..], &offsets].concat()));
    crafted.scale = rate;
    crafted.media = u64::from(size) * u64::from(count);
    crafted
}

#[test]
fn it_takes_as_long_as_its_index() {
    let crafted = ten_hours();
    let whole = plan_of(&[(TrackKind::Audio, &crafted)], TimeRange::default()).unwrap();
    assert_eq!(whole.duration, Duration::from_secs(36_000));
    assert_eq!(whole.extents().len(), 1);
    assert!(whole.len() > crafted.media && whole.len() < crafted.media + (1 << 20));
    let cut = part(10_000_333, Some(20_000_777));
    let cut = plan_of(&[(TrackKind::Audio, &crafted)], cut).unwrap();
    assert_eq!(cut.duration, Duration::from_micros(10_000_444_000));
    let pieces: Vec<_> = cut.extents().map(|piece| (piece.from - MEDIA, piece.len)).collect();
    // 10000.333 s and 10000.444 s, in samples of 6 bytes.
    assert_eq!(pieces, [(960_031_968 * 6, 960_042_624 * 6)]);
}
