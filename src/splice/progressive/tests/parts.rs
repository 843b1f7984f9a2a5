//! Time ranges.

use super::super::crafted::{Crafted, table};
use super::*;
use crate::container::isobmff::boxed;

#[test]
fn a_part_has_tables_of_its_own() {
    let crafted = Crafted::new(b"vide")
        .with(table(b"stts", &[2, 2, 500, 4, 400]))
        .with(table(b"ctts", &[3, 1, 500, 3, 0, 2, 500]))
        .with(table(b"stss", &[3, 1, 2, 4]))
        .with(boxed(b"sdtp", &[&[0; 4], &[1, 2, 3, 4, 5, 6]]))
        .with(table(b"sbgp", &[u32::from_be_bytes(*b"roll"), 2, 3, 1, 1, 2]))
        .with(table(b"cslg", &[0, 0, 0, 0, 0]));
    let plan = plan_of(&[(TrackKind::Video, &crafted)], part(700, Some(1700))).unwrap();
    let numbers = |kind| {
        let table = in_stbl(&plan, 0, kind);
        (1..table.len() / 4).map(|at| u32_at(&table, at * 4).unwrap()).collect::<Vec<_>>()
    };
    // From the second sample, shown at 500, to the one that is shown at 1800.
    assert_eq!(numbers(b"stts"), [2, 1, 500, 2, 400]);
    assert_eq!(numbers(b"ctts"), [1, 3, 0]);
    assert_eq!(numbers(b"stss"), [2, 1, 3]);
    assert_eq!(numbers(b"stsz"), [10, 3]);
    assert_eq!(in_stbl(&plan, 0, b"sdtp")[4..], [2, 3, 4]);
    assert_eq!(numbers(b"sbgp"), [u32::from_be_bytes(*b"roll"), 2, 2, 1, 1, 2]);
    assert_eq!(plan.duration, Duration::from_millis(1300 + 500));
}

#[test]
fn an_edit_list_says_where_a_part_begins() {
    let edts = |trim, of: usize| {
        // The video comes 250 ms late; of the audio, the first 100 ticks are not heard.
        let video =
            Crafted { movie_scale: 600, ..Crafted::new(b"vide").edited(&[(150, -1), (1800, 0)]) };
        let audio = Crafted { scale: 2000, ..Crafted::new(b"soun") }.edited(&[(0, 100)]);
        let tracks = [(TrackKind::Video, &video), (TrackKind::Audio, &audio)];
        let head = head(&plan_of(&tracks, trim).unwrap());
        let moov = &head[..head.windows(4).position(|window| window == b"mdat").unwrap() - 4];
        let way: [(&[u8; 4], usize); 4] = [(b"moov", 0), (b"trak", of), (b"edts", 0), (b"elst", 0)];
        let elst = inside(moov, &way);
        let numbers: Vec<_> =
            (2..elst.len() / 4).map(|at| u32_at(&elst, at * 4).unwrap()).collect();
        numbers.chunks(3).map(|edit| (edit[0], edit[1].cast_signed())).collect::<Vec<_>>()
    };
    // The joined file counts in 3000ths.
    assert_eq!(edts(TimeRange::default(), 0), [(750, -1), (9000, 0)]);
    assert_eq!(edts(TimeRange::default(), 1), [(0, 100)]);
    // Half of the empty edit is left, and 200 more ticks of the audio are not presented.
    assert_eq!(edts(part(100, None), 0), [(450, -1), (9000, 0)]);
    assert_eq!(edts(part(100, None), 1), [(4050, 300)]);
    // The video that is shown at 750; the audio at 1600, 100 ticks within its fourth sample.
    assert_eq!(edts(part(900, None), 0), [(7500, 0)]);
    assert_eq!(edts(part(900, None), 1), [(2100, 100)]);
}

#[test]
fn nothing_that_is_left_out_is_shown_before_what_is_kept() {
    // Shown at 0, 1500, 500, 1000, 3000, 2000: the second sample is needed for the two after it.
    let crafted = Crafted::new(b"vide")
        .edited(&[(3500, 1000)])
        .with(table(b"ctts", &[5, 1, 1000, 1, 2000, 2, 500, 1, 2000, 1, 500]))
        .with(table(b"stss", &[1, 1]));
    let plan = plan_of(&[(TrackKind::Video, &crafted)], part(0, Some(600))).unwrap();
    assert_eq!(in_stbl(&plan, 0, b"stsz")[4..], [0, 0, 0, 10, 0, 0, 0, 4]);
    assert_eq!(plan.duration, Duration::from_millis(2000));
}

#[test]
fn what_is_shown_late_is_waited_for() {
    // Every sample is shown 160 ticks after it is decoded, and no edit list takes that away.
    let crafted = Crafted::new(b"vide").with(table(b"ctts", &[1, 6, 160]));
    for (trim, expected) in [
        (part(0, Some(1000)), &[(160, -1), (1000, 160)][..]),
        (part(100, None), &[(60, -1), (3000, 160)]),
        (part(700, None), &[(2500, 160)]),
    ] {
        let head = head(&plan_of(&[(TrackKind::Video, &crafted)], trim).unwrap());
        assert_eq!(edits_of(&head), expected, "{trim:?}");
    }
    let whole = head(&only_track(&crafted).unwrap());
    assert!(!whole.windows(4).any(|window| window == b"elst"), "as it was");
}

#[test]
fn what_is_fed_keeps_its_times() {
    let crafted = Crafted::new(b"vide").with(table(b"stss", &[2, 1, 4]));
    let movie = read_index(&mut crafted.file()).unwrap();
    let fed = |trim| for_streaming(TrackKind::Video, &movie, true, trim).unwrap();
    let late = fed(part(1700, Some(2200)));
    assert_eq!(edits_of(&head(&late)), [(1500, -1), (1000, 0)]);
    assert_eq!(late.duration, Duration::from_millis(2500));
    assert_eq!(late.extents().map(|piece| piece.len).sum::<u64>(), 20);
    // What cannot be cut is fed whole.
    let crafted = Crafted::new(b"vide").edited(&[(500, 0), (500, 1500)]);
    let movie = read_index(&mut crafted.file()).unwrap();
    let whole = for_streaming(TrackKind::Video, &movie, true, part(700, None)).unwrap();
    assert_eq!(whole.extents().map(|piece| piece.len).sum::<u64>(), 60);
}

/// The edit list of the first track: durations and times of the media.
fn edits_of(head: &[u8]) -> Vec<(u32, i32)> {
    let moov = &head[..head.windows(4).position(|window| window == b"mdat").unwrap() - 4];
    let way: [(&[u8; 4], usize); 4] = [(b"moov", 0), (b"trak", 0), (b"edts", 0), (b"elst", 0)];
    let elst = inside(moov, &way);
    let numbers: Vec<_> = (2..elst.len() / 4).map(|at| u32_at(&elst, at * 4).unwrap()).collect();
    numbers.chunks(3).map(|edit| (edit[0], edit[1].cast_signed())).collect()
}
