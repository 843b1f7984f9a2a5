//! What is refused, and why.

use super::super::crafted::{Crafted, MEDIA, table};
use super::*;
use crate::container::isobmff::boxed;

#[test]
fn what_would_be_wrong_is_refused() {
    let new = || Crafted::new(b"vide");
    let other_file = boxed(b"url ", &[&[0; 4], b"http://x\0"]);
    let enca = boxed(b"enca", &[&[0; 8]]);
    let [compressed, fragments] = [b"cmov", b"mvex"];
    let inconsistent = "the sample tables contradict each other";
    let order = "the samples are not stored in decoding order";
    let nowhere = "samples lie outside the media data (mdat)";
    let behind = "samples lie past the end of the file";
    let at = MEDIA as u32;
    let count = (8 << 20) + 1u32;
    let sizes = [&[0, 0, 0, 8][..], &count.to_be_bytes(), &vec![1; count as usize]].concat();
    let many = boxed(b"stz2", &[&[0; 4], &sizes]);
    let cases = [
        (
            Crafted { ftyp: boxed(b"ftyp", &[b"qt  ", &[0; 12]]), ..new() }
                .with(boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &boxed(b"cvid", &[&[0; 78]])])),
            "the QuickTime file has a video codec that is not allowed in MP4",
        ),
        (Crafted { more: boxed(compressed, &[]), ..new() }, "the index (moov) is compressed"),
        (Crafted { more: boxed(fragments, &[]), ..new() }, "the file has samples in fragments"),
        (Crafted { handler: *b"soun", ..new() }, "the file has no track of the expected kind"),
        (Crafted { scale: 0, ..new() }, "the index (moov) is malformed"),
        (Crafted { movie_scale: 0, ..new() }, "the index (moov) is malformed"),
        (
            Crafted {
                dinf: boxed(b"dinf", &[&boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &other_file])]),
                ..new()
            },
            "the media data is in another file",
        ),
        (new().with(boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &enca])), "the file is encrypted"),
        (
            new().with(table(b"saio", &[0])),
            "the samples have auxiliary information (saiz, saio, senc)",
        ),
        (new().without(b"stts"), "the index (moov) lacks a required box"),
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
        (new().with(table(b"stsz", &[10, 0])), "the track has no samples"),
        (new().with(table(b"stsz", &[0, 6, 10])), inconsistent),
        (new().with(table(b"stsz", &[1, u32::MAX])), inconsistent),
        (new().without(b"stsz").with(many), "the track has too many samples"),
        (new().with(table(b"stco", &[2, at + 30, at])), order),
        (new().with(table(b"stco", &[2, at, at + 29])), order),
        (new().with(table(b"stco", &[2, at, at + 31])), nowhere),
        (new().with(table(b"stco", &[2, at - 1, at + 30])), nowhere),
        (new().with(table(b"stco", &[2, at, u32::MAX])), behind),
        (new().without(b"stco").with(table(b"co64", &[2, 0, at, u32::MAX, u32::MAX])), behind),
    ];
    for (number, (crafted, why)) in cases.iter().enumerate() {
        assert_eq!(refusal(only_track(crafted)), *why, "case {number}");
    }
}

#[test]
fn a_part_of_a_film_with_several_edits_is_refused() {
    for edits in [&[(500, 0), (500, 1500)][..], &[(500, -1), (500, -1), (500, 0)], &[(5, -1)]] {
        let crafted = Crafted::new(b"vide").edited(edits);
        assert!(only_track(&crafted).is_ok(), "as a whole it is no problem");
        let plan = plan_of(&[(TrackKind::Video, &crafted)], part(0, Some(1000)));
        assert_eq!(refusal(plan), "the edit list is not a single edit", "{edits:?}");
    }
    // A few bytes tell of as many samples as one likes, which are not shown in their order.
    let count = (2 << 20) + 1;
    let mut many = Crafted::new(b"vide")
        .with(table(b"stts", &[1, count, 1]))
        .with(table(b"ctts", &[2, 1, 5, count - 1, 2]))
        .with(table(b"stsc", &[1, 1, count, 1]))
        .with(table(b"stsz", &[1, count]))
        .with(table(b"stco", &[1, MEDIA as u32]));
    many.media = count.into();
    assert!(only_track(&many).is_ok());
    let plan = plan_of(&[(TrackKind::Video, &many)], part(0, Some(1000)));
    assert_eq!(refusal(plan), "the track has too many samples to be trimmed");
    assert!(plan_of(&[(TrackKind::Video, &many.without(b"ctts"))], part(0, Some(1000))).is_ok());
    let unknown = Crafted::new(b"vide").with(table(b"csgp", &[0]));
    let plan = plan_of(&[(TrackKind::Video, &unknown)], part(0, Some(1000)));
    assert_eq!(refusal(plan), "the index has a table that cannot be trimmed");
}
