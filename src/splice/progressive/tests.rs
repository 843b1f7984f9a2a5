//! Files made by hand, from their survey to the layout of the joined file.

use super::crafted::{Crafted, MEDIA, table};
use super::*;
use crate::container::completeness::Incomplete;
use crate::container::isobmff::{boxed, children, u32_at, u64_at};
use crate::container::probe::Format;
use crate::media::Metadata;
use crate::options::{ContainerChoice, TimeRange};
use crate::splice::golden::{self, Case};
use crate::splice::{Extent, ReadAt};

mod broken;
mod parts;
mod refusals;
mod uniform;

/// The survey from the beginning of a file on.
fn read_index(reader: &mut dyn ReadAt) -> Result<Movie, SurveyError> {
    let mut top = TopLevelBoxes::new(reader);
    let moov = top.moov()?;
    super::read_index(top, moov)
}

fn plan_of(tracks: &[(TrackKind, &Crafted)], trim: TimeRange) -> Result<Plan, SurveyError> {
    let mut indexes = Vec::new();
    for (kind, crafted) in tracks {
        indexes.push((*kind, read_index(&mut crafted.file())?));
    }
    let tracks: Vec<_> = indexes.iter().map(|(kind, track)| (*kind, track)).collect();
    let tags = Metadata::default();
    Ok(plan(
        &tracks,
        &Options { container: ContainerChoice::Auto, time_range: trim, metadata: &tags },
    )?)
}

fn only_track(crafted: &Crafted) -> Result<Plan, SurveyError> {
    plan_of(&[(TrackKind::Video, crafted)], TimeRange::default())
}

fn refusal(plan: Result<Plan, SurveyError>) -> &'static str {
    match plan {
        Err(SurveyError::Refused(Unsupported(why)) | SurveyError::Incomplete(Incomplete(why))) => {
            why
        }
        other => panic!("{other:?}"),
    }
}

fn part(start: u64, end: Option<u64>) -> TimeRange {
    TimeRange { start: Duration::from_millis(start), end: end.map(Duration::from_millis) }
}

/// The bytes in front of the first sample.
fn head(plan: &Plan) -> Vec<u8> {
    let mut head = Vec::new();
    let end = plan.extents().next().unwrap().at;
    let mut send = |bytes: &[u8]| {
        head.extend_from_slice(bytes);
        Ok(())
    };
    plan.write_range(&(0..end), &mut [], &mut send).unwrap();
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
    let plan = plan_of(&[(TrackKind::Video, &crafted)], TimeRange::default()).unwrap();
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
    let needed = plan.source_range(0, &(plan.len() - 1..plan.len())).unwrap();
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
        let plan = only_track(&crafted).unwrap();
        in_stbl(&plan, 0, kind);
        let head = head(&plan);
        assert_eq!(&head[head.len() - mdat_header + 4..][..4], b"mdat", "{size}");
    }
}

#[test]
fn chunks_are_interleaved_and_gaps_left_out() {
    let video = Crafted::new(b"vide");
    // The audio's second chunk begins 5 bytes after its first, and has another sample description.
    let entries = [boxed(b"mp4a", &[&[0; 8]]), boxed(b"mp4a", &[&[1; 8]])].concat();
    let mut audio = Crafted::new(b"soun")
        .with(boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 2], &entries]))
        .with(table(b"stts", &[1, 6, 250]))
        .with(table(b"stsc", &[2, 1, 3, 1, 2, 3, 2]))
        .with(table(b"stco", &[2, MEDIA as u32, MEDIA as u32 + 35]));
    audio.media = 65;
    let plan =
        plan_of(&[(TrackKind::Video, &video), (TrackKind::Audio, &audio)], TimeRange::default())
            .unwrap();
    let copies: Vec<_> =
        plan.extents().map(|Extent { track, from, .. }| (track, from - MEDIA)).collect();
    let expected = [(0, 0), (1, 0), (0, 10), (1, 20), (1, 35), (0, 20), (1, 45), (0, 30)];
    assert_eq!(copies, expected);
    let number = |bytes: &[u8], at: usize| u32_at(bytes, at * 4).unwrap();
    let stsc = in_stbl(&plan, 1, b"stsc");
    let entries: Vec<_> = (2..stsc.len() / 4).map(|at| number(&stsc, at)).collect();
    assert_eq!(entries, [1, 2, 1, 2, 1, 1, 3, 1, 2, 4, 2, 2]);
    assert_eq!(in_stbl(&plan, 0, b"stsc")[4..], [[0, 0, 0, 1]; 4].concat());
}

#[test]
fn headers_tell_of_the_joined_film() {
    let video = Crafted { movie_scale: 600, ..Crafted::new(b"vide") };
    // So long that milliseconds do not fit into 32 bits.
    let audio = Crafted::new(b"soun").with(table(b"stts", &[1, 6, 1 << 31]));
    let of = |pair: &[(TrackKind, &Crafted)]| {
        let head = head(&plan_of(pair, TimeRange::default()).unwrap());
        head[..head.windows(4).position(|window| window == b"mdat").unwrap() - 4].to_vec()
    };
    let pair = [(TrackKind::Video, &video), (TrackKind::Audio, &audio)];
    let moov = of(&pair);
    let mvhd = inside(&moov, &[(b"moov", 0), (b"mvhd", 0)]);
    assert_eq!((mvhd.len(), mvhd[0], u32_at(&mvhd, 20)), (112, 1, Some(3000)));
    assert_eq!(u64_at(&mvhd, 24), Some(18 << 31));
    assert_eq!(u32_at(&mvhd, 108), Some(3), "the next track");
    let [first, second] =
        [0, 1].map(|of| inside(&moov, &[(b"moov", 0), (b"trak", of), (b"tkhd", 0)]));
    assert_eq!([12, 20].map(|at| u32_at(&first, at)), [Some(1), Some(9000)], "track, duration");
    assert_eq!((first.len(), u32_at(&first, 0)), (84, Some(3)), "enabled, in the presentation");
    assert_eq!(first[24..], [&[7; 10][..], &[0; 2], &[7; 48]].concat(), "no alternative");
    assert_eq!((second.len(), u32_at(&second, 0)), (96, Some((1 << 24) | 3)));
    assert_eq!((u32_at(&second, 20), u64_at(&second, 28)), (Some(2), Some(18 << 31)));
    assert!(!moov.windows(4).any(|window| window == b"udta"), "what they said of themselves");
    let moov = of(&pair[..1]);
    let mvhd = inside(&moov, &[(b"moov", 0), (b"mvhd", 0)]);
    assert_eq!(
        (mvhd.len(), mvhd[0], u32_at(&mvhd, 16), u32_at(&mvhd, 96)),
        (100, 0, Some(9000), Some(2))
    );
}

#[test]
fn media_may_stand_in_several_boxes() {
    let crafted = Crafted::new(b"vide");
    let front = crafted.ftyp.len() + crafted.moov().len() + 8;
    let [first, second] = [front + 8, front + 8 + 30 + 12 + 8].map(|at| at as u32);
    let file = |offsets: [u32; 2], last: u32| {
        let moov = crafted.clone().with(table(b"stco", &[2, offsets[0], offsets[1]])).moov();
        let mdat = boxed(b"mdat", &[&[0; 30]]);
        let rest = [&last.to_be_bytes(), &b"mdat"[..], &[0; 30]].concat();
        let bytes = [
            &crafted.ftyp[..],
            &boxed(b"moov", &[&moov]),
            &mdat,
            &boxed(b"free", &[&[0; 4]]),
            &rest,
        ];
        let bytes = bytes.concat();
        super::crafted::Sparse { len: bytes.len() as u64, runs: vec![(0, bytes)], looks: 0 }
    };
    let is_laid_out = |offsets, last| {
        let tags = Metadata::default();
        let options = Options {
            container: ContainerChoice::Auto,
            time_range: TimeRange::default(),
            metadata: &tags,
        };
        let movie = read_index(&mut file(offsets, last));
        movie.is_ok_and(|movie| plan(&[(TrackKind::Video, &movie)], &options).is_ok())
    };
    for last in [38, 0] {
        assert!(is_laid_out([first, second], last), "{last}");
        for offsets in [[first, second - 1], [first + 1, second], [first, second + 1]] {
            assert!(!is_laid_out(offsets, last), "{offsets:?}");
        }
    }
    for last in [39, 7] {
        assert!(!is_laid_out([first, second], last), "{last}");
    }
}

#[test]
fn golden_files() {
    let file = |crafted: &Crafted| {
        let mut file = crafted.file();
        file.read_at(0..file.len).unwrap().into_owned()
    };
    let video = Crafted::new(b"vide").with(table(b"stss", &[2, 1, 4]));
    let audio = Crafted::new(b"soun").edited(&[(3000, 250)]);
    let pair = [(TrackKind::Video, file(&video)), (TrackKind::Audio, file(&audio))];
    let check = |files: &[_], how, expected| golden::check(Format::Mp4, files, how, expected);
    check(
        &pair,
        Case::default(),
        ("2f0ecbf8fb7b916ce61c158dda128a6a", "4753a1165a7d2cc99bbe9a63bcdc5106"),
    );
    check(
        &pair,
        Case { is_tagged: true, ..Case::default() },
        ("25f4eceaa659ae05c707afd6a03cee96", "f3b428e2d174157283185d72e516e920"),
    );
    check(
        &pair,
        Case { trim: (1600, Some(2400)), ..Case::default() },
        ("eff6acfab9a5b14f0227cd38c0e478cb", "064b7d91c97edba0e110e66748ef5d6f"),
    );
    check(
        &pair[..1],
        Case::default(),
        ("610082fe881cc4d812f88d3f9080308b", "a99318d6a4f5eb409cd4c58ab11a2c31"),
    );
    check(
        &pair[1..],
        Case { is_tagged: true, ..Case::default() },
        ("a5b3906ebbcfc65525211c5eaf8ee075", "1509ccefe75725c414605b0c02403fc4"),
    );
}
