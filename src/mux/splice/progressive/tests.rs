//! Files made by hand, from their survey to the layout of the joined file.

use proptest::prelude::*;

use super::crafted::{Crafted, MEDIA, table};
use super::*;
use crate::media::Tags;
use crate::mux::splice::boxes::{boxed, children, u32_at, u64_at};
use crate::mux::splice::{Piece, What};
use crate::mux::{Trim, Wanted};

fn plan_of(tracks: &[(Kind, &Crafted)], trim: Trim) -> Result<Plan, Halt> {
    let mut surveys = Vec::new();
    for (kind, crafted) in tracks {
        surveys.push((*kind, survey(&mut crafted.file())?));
    }
    let tracks: Vec<_> = surveys.iter().map(|(kind, track)| (*kind, track)).collect();
    let tags = Tags::default();
    Ok(plan(&tracks, &Options { container: Wanted::Auto, trim, tags: &tags })?)
}

fn lone(crafted: &Crafted) -> Result<Plan, Halt> {
    plan_of(&[(Kind::Video, crafted)], Trim::default())
}

fn refusal(plan: Result<Plan, Halt>) -> &'static str {
    match plan {
        Err(Halt::Refused(Refusal(why))) => why,
        other => panic!("{other:?}"),
    }
}

fn part(start: u64, end: Option<u64>) -> Trim {
    Trim { start: Duration::from_millis(start), end: end.map(Duration::from_millis) }
}

/// The bytes in front of the first sample.
fn head(plan: &Plan) -> Vec<u8> {
    let mut head = Vec::new();
    let end = plan.pieces()[1].at;
    let mut send = |bytes: &[u8]| {
        head.extend_from_slice(bytes);
        Ok(())
    };
    plan.emit(&(0..end), &mut [], &mut send).unwrap();
    head
}

/// What is in the box that this way leads to.
fn inside(bytes: &[u8], way: &[(&[u8; 4], usize)]) -> Vec<u8> {
    way.iter().fold(bytes.to_vec(), |bytes, (kind, nth)| {
        let boxes = children(&bytes).unwrap();
        let mut of_kind = boxes.iter().filter(|found| found.kind == **kind);
        of_kind.nth(*nth).unwrap_or_else(|| panic!("no {kind:?}")).payload().to_vec()
    })
}

/// What is in a box of the sample table of the track at this place.
fn in_stbl(plan: &Plan, place: usize, kind: &[u8; 4]) -> Vec<u8> {
    let head = head(plan);
    let moov = &head[..head.windows(4).position(|window| window == b"mdat").unwrap() - 4];
    let way: [(&[u8; 4], usize); 5] =
        [(b"moov", 0), (b"trak", place), (b"mdia", 0), (b"minf", 0), (b"stbl", 0)];
    inside(&inside(moov, &way), &[(kind, 0)])
}

#[test]
fn samples_beyond_four_gibibytes_have_wide_offsets() {
    // Six samples of 1 GiB; the last chunks of both tracks are beyond 4 GiB.
    let gib = 1u32 << 30;
    let mut crafted = Crafted::new(b"vide")
        .with(table(b"stsz", &[gib, 6]))
        .without(b"stco")
        .with(table(b"co64", &[2, 0, MEDIA as u32, 0, 3 * gib + MEDIA as u32]));
    crafted.media = 6 << 30;
    let plan = plan_of(&[(Kind::Video, &crafted)], Trim::default()).unwrap();
    let head = head(&plan);
    assert_eq!(plan.len(), head.len() as u64 + (6 << 30));
    let mdat = &head[head.len() - 16..];
    assert_eq!(
        (u32_at(mdat, 0), &mdat[4..8], u64_at(mdat, 8)),
        (Some(1), &b"mdat"[..], Some((6 << 30) + 16))
    );
    let co64 = in_stbl(&plan, 0, b"co64");
    let first = head.len() as u64;
    // Each sample lasts as long as a chunk.
    assert_eq!(u32_at(&co64, 4), Some(6));
    for chunk in 0..6 {
        assert_eq!(u64_at(&co64, 8 + chunk * 8), Some(first + ((chunk as u64) << 30)));
    }
    let needed = plan.needs(0, &(plan.len() - 1..plan.len())).unwrap();
    assert_eq!(needed, MEDIA + (6 << 30) - 1..MEDIA + (6 << 30));
}

#[test]
fn offsets_are_narrow_as_long_as_they_fit() {
    for (size, kind, mdat_header) in
        [((1 << 30) - 200, b"stco", 8), ((1 << 30) - 3, b"co64", 8), (1 << 30, b"co64", 16)]
    {
        let mut crafted = Crafted::new(b"vide")
            .with(table(b"stts", &[1, 4, 500]))
            .with(table(b"stsz", &[size, 4]))
            .with(table(b"stsc", &[1, 1, 4, 1]))
            .with(table(b"stco", &[1, MEDIA as u32]));
        crafted.media = 4 << 30;
        let plan = lone(&crafted).unwrap();
        in_stbl(&plan, 0, kind);
        let head = head(&plan);
        assert_eq!(&head[head.len() - mdat_header + 4..][..4], b"mdat", "{size}");
    }
}

#[test]
fn chunks_are_interleaved_and_gaps_left_out() {
    let picture = Crafted::new(b"vide");
    // The sound's second chunk lies 5 bytes behind its first, and has another description.
    let entries = [boxed(b"mp4a", &[&[0; 8]]), boxed(b"mp4a", &[&[1; 8]])].concat();
    let mut sound = Crafted::new(b"soun")
        .with(boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 2], &entries]))
        .with(table(b"stts", &[1, 6, 250]))
        .with(table(b"stsc", &[2, 1, 3, 1, 2, 3, 2]))
        .with(table(b"stco", &[2, MEDIA as u32, MEDIA as u32 + 35]));
    sound.media = 65;
    let plan = plan_of(&[(Kind::Video, &picture), (Kind::Audio, &sound)], Trim::default()).unwrap();
    let copies: Vec<_> = plan.pieces()[1..]
        .iter()
        .map(|Piece { what, .. }| match what {
            What::Copied { track, from } => (*track, from - MEDIA),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [(0, 0), (1, 0), (0, 10), (1, 20), (1, 35), (0, 20), (1, 45), (0, 30)];
    assert_eq!(copies, expected);
    let number = |bytes: &[u8], at: usize| u32_at(bytes, at * 4).unwrap();
    let stsc = in_stbl(&plan, 1, b"stsc");
    let entries: Vec<_> = (2..stsc.len() / 4).map(|at| number(&stsc, at)).collect();
    assert_eq!(entries, [1, 2, 1, 2, 1, 1, 3, 1, 2, 4, 2, 2]);
    assert_eq!(in_stbl(&plan, 0, b"stsc")[4..], [[0, 0, 0, 1]; 4].concat());
}

#[test]
fn a_part_has_tables_of_its_own() {
    let crafted = Crafted::new(b"vide")
        .with(table(b"stts", &[2, 2, 500, 4, 400]))
        .with(table(b"ctts", &[3, 1, 500, 3, 0, 2, 500]))
        .with(table(b"stss", &[3, 1, 2, 4]))
        .with(boxed(b"sdtp", &[&[0; 4], &[1, 2, 3, 4, 5, 6]]))
        .with(table(b"sbgp", &[u32::from_be_bytes(*b"roll"), 2, 3, 1, 1, 2]))
        .with(table(b"cslg", &[0, 0, 0, 0, 0]));
    let plan = plan_of(&[(Kind::Video, &crafted)], part(700, Some(1700))).unwrap();
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
fn what_would_be_wrong_is_refused() {
    let new = || Crafted::new(b"vide");
    let other_file = boxed(b"url ", &[&[0; 4], b"http://x\0"]);
    let enca = boxed(b"enca", &[&[0; 8]]);
    let [brand, compressed, fragments] = [b"qt  ", b"cmov", b"mvex"];
    let inconsistent = "the tables of its index contradict each other";
    let order = "its samples are not in the order of their file";
    let nowhere = "samples are where no media is";
    let at = MEDIA as u32;
    let cases = [
        (Crafted { ftyp: boxed(b"ftyp", &[brand, &[0; 12]]), ..new() }, "it is a QuickTime file"),
        (Crafted { more: boxed(compressed, &[]), ..new() }, "its index is compressed"),
        (Crafted { more: boxed(fragments, &[]), ..new() }, "it has samples in fragments"),
        (Crafted { more: boxed(b"trak", &[]), ..new() }, "it has more than one track"),
        (
            Crafted { handler: *b"soun", ..new() },
            "it is not the kind of track that it was named for",
        ),
        (Crafted { scale: 0, ..new() }, "its index is malformed"),
        (Crafted { movie_scale: 0, ..new() }, "its index is malformed"),
        (
            Crafted {
                dinf: boxed(b"dinf", &[&boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &other_file])]),
                ..new()
            },
            "its media are in another file",
        ),
        (new().with(boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &enca])), "it is encrypted"),
        (new().with(table(b"saio", &[0])), "its samples have auxiliary information"),
        (new().without(b"stts"), "its index lacks a box"),
        (new().without(b"stco"), inconsistent),
        (new().with(table(b"co64", &[0])), inconsistent),
        (new().with(table(b"stts", &[1, 5, 500])), inconsistent),
        (new().with(table(b"stts", &[u32::MAX, 6, 500])), inconsistent),
        (new().with(table(b"ctts", &[1, 7, 0])), inconsistent),
        (new().with(table(b"stss", &[2, 3, 3])), inconsistent),
        (new().with(table(b"stss", &[1, 7])), inconsistent),
        (new().with(table(b"stsc", &[1, 1, 2, 1])), inconsistent),
        (new().with(table(b"stsc", &[1, 1, 3, 2])), inconsistent),
        (new().with(table(b"stsc", &[1, 2, 3, 1])), inconsistent),
        (new().with(table(b"stsc", &[2, 1, 3, 1, 1, 3, 1])), inconsistent),
        (new().with(table(b"stsc", &[2, 1, 6, 1, 2, 0, 1])), inconsistent),
        (new().with(table(b"stsz", &[10, 0])), "it has no samples"),
        (new().with(table(b"stsz", &[0, 6, 10])), inconsistent),
        (new().with(table(b"stsz", &[1, u32::MAX])), "it has too many samples"),
        (new().with(table(b"stco", &[2, at + 30, at])), order),
        (new().with(table(b"stco", &[2, at, at + 29])), order),
        (new().with(table(b"stco", &[2, at, at + 31])), nowhere),
        (new().with(table(b"stco", &[2, at - 1, at + 30])), nowhere),
        (new().with(table(b"stco", &[2, at, u32::MAX])), nowhere),
        (
            new().without(b"stco").with(table(b"co64", &[2, 0, at, u32::MAX, u32::MAX])),
            inconsistent,
        ),
    ];
    for (number, (crafted, why)) in cases.iter().enumerate() {
        assert_eq!(refusal(lone(crafted)), *why, "case {number}");
    }
}

#[test]
fn a_part_of_a_film_with_several_edits_is_refused() {
    for edits in [&[(500, 0), (500, 1500)][..], &[(500, -1), (500, -1), (500, 0)], &[(5, -1)]] {
        let crafted = Crafted::new(b"vide").edited(edits);
        assert!(lone(&crafted).is_ok(), "as a whole it is no problem");
        let plan = plan_of(&[(Kind::Video, &crafted)], part(0, Some(1000)));
        assert_eq!(refusal(plan), "its edit list is not simple", "{edits:?}");
    }
    let unknown = Crafted::new(b"vide").with(table(b"csgp", &[0]));
    let plan = plan_of(&[(Kind::Video, &unknown)], part(0, Some(1000)));
    assert_eq!(refusal(plan), "its index has a table that cannot be cut");
}

#[test]
fn an_edit_list_says_where_a_part_begins() {
    let edts = |trim, of: usize| {
        // The picture comes 250 ms late; of the sound, the first 100 ticks are not heard.
        let picture =
            Crafted { movie_scale: 600, ..Crafted::new(b"vide").edited(&[(150, -1), (1800, 0)]) };
        let sound = Crafted { scale: 2000, ..Crafted::new(b"soun") }.edited(&[(0, 100)]);
        let tracks = [(Kind::Video, &picture), (Kind::Audio, &sound)];
        let head = head(&plan_of(&tracks, trim).unwrap());
        let moov = &head[..head.windows(4).position(|window| window == b"mdat").unwrap() - 4];
        let way: [(&[u8; 4], usize); 4] = [(b"moov", 0), (b"trak", of), (b"edts", 0), (b"elst", 0)];
        let elst = inside(moov, &way);
        let numbers: Vec<_> =
            (2..elst.len() / 4).map(|at| u32_at(&elst, at * 4).unwrap()).collect();
        numbers.chunks(3).map(|edit| (edit[0], edit[1].cast_signed())).collect::<Vec<_>>()
    };
    // The joined film counts in 3000ths.
    assert_eq!(edts(Trim::default(), 0), [(750, -1), (9000, 0)]);
    assert_eq!(edts(Trim::default(), 1), [(0, 100)]);
    // Still nothing to be seen: half of the wait is left. Of the sound 200 ticks more are not heard.
    assert_eq!(edts(part(100, None), 0), [(450, -1), (9000, 0)]);
    assert_eq!(edts(part(100, None), 1), [(4050, 300)]);
    // The picture that is shown at 750; the sound at 1600, 100 ticks within its fourth sample.
    assert_eq!(edts(part(900, None), 0), [(7500, 0)]);
    assert_eq!(edts(part(900, None), 1), [(2100, 100)]);
}

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
        if let Ok(track) = survey(&mut file) {
            let tags = Tags::default();
            let mut tracks = vec![(Kind::Video, &track)];
            let sound = Crafted::new(b"soun");
            let sound = survey(&mut sound.file()).unwrap();
            if both {
                tracks.push((Kind::Audio, &sound));
            }
            for trim in [Trim::default(), part(start, Some(start + len)), part(start, None)] {
                let options = Options { container: Wanted::Auto, trim, tags: &tags };
                if let Ok(plan) = plan(&tracks, &options) {
                    let lens = [file.len, 1000];
                    for (place, len) in lens.into_iter().enumerate().take(tracks.len()) {
                        if let Some(needs) = plan.needs(place, &(0..plan.len())) {
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
        let mut file = super::crafted::Sparse { len, runs: vec![(0, bytes)], looks: 0 };
        prop_assert!(survey(&mut file).is_err());
    }
}
