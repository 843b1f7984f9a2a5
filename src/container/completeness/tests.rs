//! What is complete and what is cut, in every format, at every byte.

use super::*;

/// Whether all of `bytes` is complete, as of a file of known length, of one of unknown length, and in
/// pieces of one byte.
fn outcomes(format: Format, bytes: &[u8]) -> [bool; 3] {
    let known = Completeness::new(format, Some(bytes.len() as u64)).see(bytes);
    let mut unknown = Completeness::new(format, None);
    let unknown = unknown.see(bytes).and_then(|()| unknown.end());
    let mut bytewise = Completeness::new(format, Some(bytes.len() as u64));
    let bytewise = bytes.iter().try_for_each(|byte| bytewise.see(&[*byte]));
    [known.is_ok(), unknown.is_ok(), bytewise.is_ok()]
}

/// Holds that `bytes` are complete, and no beginning of them is but those of these lengths.
fn is_complete_alone(format: Format, bytes: &[u8], but: &[usize]) {
    assert_eq!(outcomes(format, bytes), [true; 3], "{format:?}");
    for len in 4..bytes.len() {
        // The first bytes of a length may be padding.
        let zeros = bytes[..len].iter().rev().take_while(|byte| **byte == 0).count();
        let padding = if format == Format::Mp4 { zeros.min(3) } else { 0 };
        let expected = (len - padding..=len).any(|len| but.contains(&len));
        assert_eq!(outcomes(format, &bytes[..len]), [expected; 3], "{format:?}, {len} bytes");
    }
}

fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len() + 8).unwrap();
    [&len.to_be_bytes()[..], kind, payload].concat()
}

#[test]
fn boxes_and_the_fragments_that_an_index_names() {
    let (ftyp, moov) = (boxed(b"ftyp", b"isom\0\0\0\0"), boxed(b"moov", &[7; 40]));
    let mdat = boxed(b"mdat", &[9; 30]);
    let progressive = [&ftyp[..], &moov, &mdat].concat();
    is_complete_alone(Format::Mp4, &progressive, &[ftyp.len()]);
    let index_last = [&ftyp[..], &mdat, &moov].concat();
    is_complete_alone(Format::Mp4, &index_last, &[ftyp.len()]);
    let wide = [&ftyp[..], &moov, &[0, 0, 0, 1], b"mdat", &20u64.to_be_bytes(), b"1234"].concat();
    is_complete_alone(Format::Mp4, &wide, &[ftyp.len()]);
    // A box without a length reaches to the end, wherever that is.
    let open = [&ftyp[..], &moov, &[0; 4], b"mdat", &[1; 9]].concat();
    assert_eq!(outcomes(Format::Mp4, &open), [true; 3]);

    let fragment = [boxed(b"moof", &[3; 20]), mdat].concat();
    let plain = [&ftyp[..], &moov, &fragment, &fragment].concat();
    // The missing second one leaves no trace.
    let between = plain.len() - fragment.len();
    is_complete_alone(Format::Mp4, &plain, &[ftyp.len(), between]);
    let size = u32::try_from(fragment.len()).unwrap().to_be_bytes();
    for version in [0u8, 1] {
        let times = vec![0; if version == 0 { 8 } else { 16 }];
        let head = [&[version, 0, 0, 0][..], &[0; 8], &times, &[0, 0, 0, 2]].concat();
        let reference = [&size[..], &[0; 8]].concat();
        let sidx = boxed(b"sidx", &[head, reference.clone(), reference].concat());
        let indexed = [&ftyp[..], &moov, &sidx, &fragment, &fragment].concat();
        is_complete_alone(Format::Mp4, &indexed, &[ftyp.len()]);
    }
    // Zeros and other leftovers after the last box are ignored.
    assert_eq!(outcomes(Format::Mp4, &[&progressive[..], &[0; 5]].concat()), [true; 3]);
    assert_eq!(outcomes(Format::Mp4, &[&progressive[..], &[0xff; 50]].concat()), [true; 3]);
}

#[test]
fn elements_with_and_without_sizes() {
    use crate::container::ebml::{element, opening};
    let head = element(0x1a45_dfa3, &[&[0; 20]]);
    let cluster = element(0x1f43_b675, &[&element(0xa3, &[&[5; 200]])]);
    let children = [element(0x1549_a966, &[&[0; 9]]), cluster.clone(), cluster.clone()].concat();
    let known = [head.clone(), element(0x1853_8067, &[&children])].concat();
    is_complete_alone(Format::Webm, &known, &[head.len()]);
    let unknown = [0x18, 0x53, 0x80, 0x67, 0xff];
    let live = [&head[..], &unknown, &children].concat();
    let after = |count: usize| live.len() - count * cluster.len();
    let info = head.len() + unknown.len();
    is_complete_alone(Format::Matroska, &live, &[head.len(), info, after(1), after(2)]);
    // Clusters without sizes: their blocks are parsed.
    let opened = [&opening(0x1f43_b675, 0, 1)[..4], &[0xff], &element(0xa3, &[&[5; 200]])].concat();
    let live = [&head[..], &unknown, &opened].concat();
    is_complete_alone(Format::Webm, &live, &[head.len(), info, info + 5]);
}

#[test]
fn pages_up_to_the_last_one_of_each_stream() {
    let page = |flags: u8, serial: u8| {
        let head = [&b"OggS\0"[..], &[flags], &[0; 8], &[serial, 0, 0, 0], &[0; 8], &[2, 255, 9]];
        [&head.concat()[..], &[1; 264]].concat()
    };
    let one = [page(2, 1), page(0, 1), page(4, 1)].concat();
    is_complete_alone(Format::Ogg, &one, &[]);
    let two = [page(2, 1), page(2, 2), page(4, 1), page(4, 2)].concat();
    is_complete_alone(Format::Ogg, &two, &[]);
    let chained = [&one[..], &two].concat();
    assert_eq!(outcomes(Format::Ogg, &chained), [true; 3]);
    assert_eq!(outcomes(Format::Ogg, &chained[..one.len() + 30]), [false; 3]);
    // Bytes between pages, or after the last one, are no pages.
    for between in [&b"x"[..], b"OgOgg", &[0; 40], &[b'O'; 700]] {
        let gap = [&page(2, 1), between, &page(0, 1), between, &page(4, 1), b"end"].concat();
        assert_eq!(outcomes(Format::Ogg, &gap), [true; 3], "{between:?}");
        let cut = [&page(2, 1), between, &page(0, 1), between].concat();
        assert_eq!(outcomes(Format::Ogg, &cut), [false; 3], "{between:?}");
    }
}

#[test]
fn chunks_with_sizes_that_are_known() {
    let wave = |data: u32, len: usize| {
        let fmt = [&b"fmt "[..], &16u32.to_le_bytes(), &[1; 16]].concat();
        [b"RIFF\0\0\0\0WAVE", &fmt[..], b"data", &data.to_le_bytes(), &vec![3; len]].concat()
    };
    is_complete_alone(Format::Wav, &wave(40, 40), &[12, 36]);
    // The padding byte after an odd length is often missing.
    assert_eq!(outcomes(Format::Wav, &wave(41, 41)), [true; 3]);
    assert_eq!(outcomes(Format::Wav, &wave(41, 42)), [true; 3]);
    for unknown in [0, u32::MAX, 0x7fff_ffff, 0x8000_0000] {
        assert_eq!(outcomes(Format::Wav, &wave(unknown, 40)), [true; 3], "{unknown:#x}");
    }
    let ds64 = [&b"ds64"[..], &28u32.to_le_bytes(), &[0; 8], &40u64.to_le_bytes(), &[0; 12]];
    let plain = wave(u32::MAX, 40);
    let long = [&b"RF64\xff\xff\xff\xffWAVE"[..], &ds64.concat(), &plain[12..]].concat();
    is_complete_alone(Format::Wav, &long, &[12, 48, 72]);
}

#[test]
fn frames_and_how_many_there_are() {
    let mut frame = vec![0u8; 417];
    frame[..3].copy_from_slice(&[0xff, 0xfb, 0x90]);
    let tag = [&b"ID3\x04\0\0\0\0\x01\x00"[..], &[8; 128]].concat();
    let three = [&tag[..], &frame, &frame, &frame].concat();
    let frames: Vec<usize> = (0..3).map(|count| tag.len() + count * frame.len()).collect();
    is_complete_alone(Format::Mp3, &three, &frames);
    let mut xing = frame.clone();
    xing[36..52]
        .copy_from_slice(&[&b"Xing\0\0\0\x03\0\0\0\x03"[..], &1251u32.to_be_bytes()].concat());
    let told = [&tag[..], &xing, &frame, &frame].concat();
    is_complete_alone(Format::Mp3, &told, &[tag.len()]);
    let old = [&told[..], b"TAG", &[b' '; 125]].concat();
    assert_eq!(outcomes(Format::Mp3, &old), [true; 3]);
    let mut adts = [0u8; 100];
    adts[..7].copy_from_slice(&[0xff, 0xf1, 0x50, 0x80, 100 >> 3, (100 & 7) << 5, 0xfc]);
    is_complete_alone(Format::Adts, &adts.repeat(3), &[100, 200]);
}

#[test]
fn tags_of_flash_and_other_chunks() {
    let tag = |kind: u8| [&[kind, 0, 0, 50][..], &[0; 7], &[1; 50], &[0, 0, 0, 61]].concat();
    let head = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
    let flv = [&head[..], &tag(18), &tag(9), &tag(8)].concat();
    is_complete_alone(Format::Flv, &flv, &[13, 78, 143]);
    // A header that declares less than its own length is ignored, however the bytes arrive.
    assert_eq!(outcomes(Format::Flv, b"FLV\x01\x05\0\0\0\x02\0\0\0\0"), [true; 3]);
    let aiff = [&b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12"[..], &[1; 18], b"SSND\0\0\0\x28", &[3; 40]];
    is_complete_alone(Format::Aiff, &aiff.concat(), &[12, 38]);
    for unknown in [0, u32::MAX, 0x7fff_f000] {
        let size = u32::to_be_bytes(unknown);
        let unknown = [&aiff[..2].concat()[..], b"SSND", &size, &[3; 40]].concat();
        assert_eq!(outcomes(Format::Aiff, &unknown), [true; 3]);
    }
    let named = |name: &[u8; 4], size: u64| {
        let rest = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
        [&name[..], rest, &size.to_le_bytes()].concat()
    };
    let wave64 = |size: u64| {
        let opening = [&[b'r'; 16][..], &[0; 8], &named(b"wave", 0)[..16]].concat();
        [opening, named(b"fmt ", 42), vec![1; 18 + 6], named(b"data", size), vec![3; 40]].concat()
    };
    is_complete_alone(Format::Wave64, &wave64(64), &[40, 82, 88]);
    assert_eq!(outcomes(Format::Wave64, &wave64(i64::MAX as u64)), [true; 3]);
    let au = |size: u32| [&b".snd\0\0\0\x1c"[..], &size.to_be_bytes(), &[1; 16], &[3; 41]].concat();
    is_complete_alone(Format::Au, &au(41), &[]);
    assert_eq!(outcomes(Format::Au, &au(u32::MAX)), [true; 3]);
    let mut ac3 = [0x55u8; 768];
    ac3[..6].copy_from_slice(&[0x0b, 0x77, 0, 0, 0x14, 0x40]);
    is_complete_alone(Format::Ac3, &ac3.repeat(3), &[768, 1536]);
}

#[test]
fn packets_of_one_length() {
    let packet = [&[0x47][..], &[5; 187]].concat();
    is_complete_alone(Format::MpegTs, &packet.repeat(3), &[188, 376]);
    // Of what is no packet nothing is known.
    assert_eq!(outcomes(Format::MpegTs, &[&packet[..], &[0; 30]].concat()), [true; 3]);
}

#[test]
fn what_may_be_skipped_never_has_the_last_byte_in_it() {
    let file = [boxed(b"moov", &[7; 40]), boxed(b"mdat", &[9; 3000])].concat();
    let mut completeness = Completeness::new(Format::Mp4, Some(file.len() as u64));
    completeness.see(&file[..60]).unwrap();
    let skippable = completeness.skippable();
    assert_eq!(skippable, file.len() as u64 - 61);
    completeness.skip(skippable).unwrap();
    assert_eq!(completeness.skippable(), 0);
    completeness.see(&file[file.len() - 1..]).unwrap();
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_hold_much(
        format in proptest::sample::select(vec![
            Format::Mp4, Format::Webm, Format::Ogg, Format::Wav, Format::Flac, Format::Mp3, Format::Adts,
            Format::Aiff, Format::Wave64, Format::Au, Format::Flv, Format::MpegTs,
        ]),
        start in proptest::sample::select(vec![
            &b""[..], b"\0\0\0\x08moov", b"\0\0\0\x30sidx", b"OggS", b"fLaC\x80\0\0\x22", b"ID3\x04\0\0",
        ]),
        pieces in proptest::collection::vec(
            proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), 0..20),
        len in proptest::prelude::any::<Option<u64>>(),
    ) {
        let mut completeness = Completeness::new(format, len);
        for piece in [start.to_vec()].iter().chain(&pieces) {
            if completeness.see(piece).is_err() {
                break;
            }
            assert!(completeness.header.len() <= MAX_HEADER);
        }
        completeness.end().ok();
    }
}
