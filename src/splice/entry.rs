//! Converts sample descriptions (stsd, ISO/IEC 14496-12 §8.5.2) for the joined file.
//!
//! They are copied, with two exceptions. Apple's players take HEVC only where its parameter sets are
//! in the description alone and its type says so; mostly they are there. And QuickTime's
//! descriptions have other fields ("QuickTime File Format Specification", "Sample Description
//! Atoms"). A description that would have to be guessed is refused.

use super::Unsupported;
use super::trak::{MALFORMED, boxes_of};
use crate::container::isobmff::{Header, Mp4Box, boxed, header, u32_at, u64_at};
use crate::container::parameter_sets::sample_entry;

/// The length of the common fields: reserved bytes, and data_reference_index.
const COMMON_LEN: usize = 8;
/// The length of a VisualSampleEntry without its boxes, common fields included (§12.1.3).
const VISUAL_LEN: usize = COMMON_LEN + 70;
/// The length of an AudioSampleEntry without its boxes, common fields included (§12.2.3).
const AUDIO_LEN: usize = COMMON_LEN + 20;

/// The QuickTime video codecs that are registered for MP4 with the same type and fields.
const VIDEO_CODECS: [&[u8; 4]; 18] = [
    b"avc1", b"avc3", b"hvc1", b"hev1", b"dvh1", b"dvhe", b"dva1", b"dvav", b"av01", b"vp08",
    b"vp09", b"mp4v", b"apch", b"apcn", b"apcs", b"apco", b"ap4h", b"ap4x",
];
/// The boxes of such a description that mean the same in MP4.
const VIDEO_BOXES: [&[u8; 4]; 15] = [
    b"avcC", b"hvcC", b"lhvC", b"dvcC", b"dvvC", b"dvwC", b"av1C", b"vpcC", b"esds", b"pasp",
    b"clap", b"colr", b"btrt", b"mdcv", b"clli",
];
/// The audio codecs, each with the box that configures its decoder.
const AUDIO_CODECS: [(&[u8; 4], &[u8; 4]); 6] = [
    (b"mp4a", b"esds"),
    (b"ac-3", b"dac3"),
    (b"ec-3", b"dec3"),
    (b"alac", b"alac"),
    (b"Opus", b"dOps"),
    (b"fLaC", b"dfLa"),
];

/// Windows Media, which old fragmented files of Microsoft's have: players of MP4 find nothing in a
/// file that contains it.
const WINDOWS_MEDIA: [&[u8; 4]; 2] = [b"wma ", b"owma"];

/// Returns the stsd for a track with this handler in the joined file.
pub(super) fn stsd(
    found: &Mp4Box<'_>,
    handler: &[u8; 4],
    is_quicktime: bool,
) -> Result<Vec<u8>, Unsupported> {
    let payload = found.payload();
    let entries = boxes_of(payload.get(8..).ok_or(MALFORMED)?)?;
    let mut parts = vec![[&[0; 4], &payload[4..8]].concat()];
    for entry in &entries {
        parts.push(match (handler, is_quicktime) {
            (b"vide", false) => with_canonical_type(entry.bytes, entry),
            (b"vide", true) => convert_quicktime_video(entry)?,
            (_, true) => convert_quicktime_audio(entry)?,
            (_, false) if WINDOWS_MEDIA.contains(&&entry.kind) => {
                return Err(Unsupported("the audio codec is not allowed in MP4"));
            }
            (_, false) => entry.bytes.to_vec(),
        });
    }
    let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
    Ok(boxed(b"stsd", &parts))
}

/// Returns a video description, `bytes`, with the sample entry type that promises complete parameter
/// sets, if they are complete (ISO/IEC 14496-15 §5.4.2, §8.4.1).
fn with_canonical_type(bytes: &[u8], entry: &Mp4Box<'_>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let boxes = leading_boxes(entry.payload().get(VISUAL_LEN..).unwrap_or_default());
    let record = |kind: &[u8; 4]| boxes.iter().find(|found| found.kind == *kind);
    let name = sample_entry(&entry.kind, |kind| record(kind).map(Mp4Box::payload));
    let name = name.map_or(&entry.kind[..], |name| name.name().as_bytes());
    bytes[4..8].copy_from_slice(name);
    bytes
}

fn convert_quicktime_video(entry: &Mp4Box<'_>) -> Result<Vec<u8>, Unsupported> {
    if !VIDEO_CODECS.contains(&&entry.kind) {
        return Err(Unsupported("the QuickTime file has a video codec that is not allowed in MP4"));
    }
    let payload = entry.payload();
    let mut parts = vec![payload.get(..VISUAL_LEN).ok_or(MALFORMED)?.to_vec()];
    for found in leading_boxes(&payload[VISUAL_LEN..]) {
        match &found.kind {
            b"colr" => parts.push(colr(&found)),
            kind if VIDEO_BOXES.contains(&kind) => parts.push(found.bytes.to_vec()),
            _ => {}
        }
    }
    let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
    Ok(with_canonical_type(&boxed(&entry.kind, &parts), entry))
}

/// Converts colour information from QuickTime's form to MP4's (§12.1.5), which has a full_range flag
/// in addition; QuickTime never uses the full range.
fn colr(found: &Mp4Box<'_>) -> Vec<u8> {
    match found.payload().strip_prefix(b"nclc").and_then(|rest| rest.first_chunk::<6>()) {
        Some(colours) => boxed(b"colr", &[b"nclx", colours, &[0]]),
        None => found.bytes.to_vec(),
    }
}

/// Converts any of the three versions of a QuickTime sound description (§12.2.3 and "Sound Sample
/// Description Version 2") to version 0, the one that MP4 has.
fn convert_quicktime_audio(entry: &Mp4Box<'_>) -> Result<Vec<u8>, Unsupported> {
    const UNKNOWN: Unsupported =
        Unsupported("the QuickTime file has an audio codec that is not allowed in MP4");
    let payload = entry.payload();
    let kind = AUDIO_CODECS.iter().find(|(kind, _)| **kind == entry.kind);
    let (kind, wanted) = kind.ok_or(UNKNOWN)?;
    let fields = payload.get(..AUDIO_LEN).ok_or(MALFORMED)?;
    let [version, mut channels, compression] = [0, 8, 12].map(|at| {
        let at = COMMON_LEN + at;
        u16::from_be_bytes([fields[at], fields[at + 1]])
    });
    // The rate is fixed-point (16.16).
    let mut rate = u32_at(fields, COMMON_LEN + 16).ok_or(MALFORMED)?;
    let more = &payload[AUDIO_LEN..];
    let (len, is_packets) = match version {
        0 => (0, true),
        // This compression ID means packets of variable size.
        1 => (16, compression == 0xfffe),
        2 => {
            let hertz = f64::from_bits(u64_at(more, 4).ok_or(MALFORMED)?);
            let count = u32_at(more, 12).and_then(|count| u16::try_from(count).ok());
            channels = count.ok_or(MALFORMED)?;
            // A rate that does not fit is in the decoder's configuration (§12.2.3.2).
            rate = if (1.0..65_536.0).contains(&hertz) { (hertz as u32) << 16 } else { 0 };
            (36, u32_at(more, 28) == Some(0))
        }
        _ => return Err(UNKNOWN),
    };
    if !is_packets {
        return Err(UNKNOWN);
    }
    let boxes = leading_boxes(more.get(len..).ok_or(MALFORMED)?);
    let wave = boxes.iter().find(|found| found.kind == *b"wave");
    let inner = wave.map(|wave| leading_boxes(wave.payload())).unwrap_or_default();
    let config = boxes.iter().chain(&inner).find(|found| found.kind == **wanted);
    let config = config.ok_or(UNKNOWN)?;
    let numbers = [channels.to_be_bytes(), 16u16.to_be_bytes(), [0; 2], [0; 2]];
    Ok(boxed(
        kind,
        &[
            &fields[..COMMON_LEN],
            &[0; 8],
            numbers.as_flattened(),
            &rate.to_be_bytes(),
            config.bytes,
        ],
    ))
}

/// Returns the bytes per sample of all channels together, if the first description is of
/// uncompressed QuickTime audio in version 0 or 1.
pub(super) fn pcm_size(stsd: &Mp4Box<'_>) -> Option<u32> {
    let entry = *leading_boxes(stsd.payload().get(8..)?).first()?;
    let field = |at: usize| {
        let bytes = entry.payload().get(COMMON_LEN + at..)?.first_chunk()?;
        Some(u32::from(u16::from_be_bytes(*bytes)))
    };
    let (version, channels, bits) = (field(0)?, field(8)?, field(10)?);
    let width = match &entry.kind {
        b"sowt" | b"twos" | b"raw " | b"NONE" => bits / 8,
        b"in24" => 3,
        b"in32" | b"fl32" => 4,
        b"fl64" => 8,
        _ => return None,
    };
    Some(channels * width).filter(|size| version < 2 && *size > 0)
}

/// Returns the boxes up to the first bytes that are none: QuickTime ends some lists with four zeros.
fn leading_boxes(bytes: &[u8]) -> Vec<Mp4Box<'_>> {
    /// A sample description has a handful of boxes.
    const MAX_BOXES: usize = 64;
    let (mut found, mut at) = (Vec::new(), 0);
    while found.len() < MAX_BOXES {
        let rest = &bytes[at..];
        let Some(Header { kind, header, len: Some(len) }) = header(rest) else { break };
        let Some(bytes) = usize::try_from(len).ok().and_then(|len| rest.get(..len)) else { break };
        found.push(Mp4Box { kind, at, header, bytes });
        at += bytes.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::isobmff::children;
    use proptest::prelude::*;

    fn stsd_of(entry: &[u8]) -> Vec<u8> {
        boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], entry])
    }

    fn converted(entry: &[u8], handler: &[u8; 4], quicktime: bool) -> Result<Vec<u8>, Unsupported> {
        let stsd = stsd_of(entry);
        let found = children(&stsd).unwrap()[0];
        let new = super::stsd(&found, handler, quicktime)?;
        assert_eq!(new[..16], stsd_of(&new[16..])[..16], "its head");
        Ok(new[16..].to_vec())
    }

    fn video(kind: &[u8; 4], boxes: &[u8]) -> Vec<u8> {
        boxed(kind, &[&[0, 0, 0, 0, 0, 0, 0, 1], &[7; 70], boxes])
    }

    fn hvcc(sets: &[u8]) -> Vec<u8> {
        let arrays = sets.iter().flat_map(|kind| [0x80 | *kind, 0, 1, 0, 2, 9, 9]);
        let arrays: Vec<u8> = arrays.collect();
        boxed(b"hvcC", &[&[1; 22], &[sets.len() as u8], &arrays])
    }

    #[test]
    fn the_type_says_that_all_parameter_sets_are_there() {
        let converted_type = |kind: &[u8; 4], boxes: &[u8]| {
            let entry = video(kind, boxes);
            let new = converted(&entry, b"vide", false).unwrap();
            assert_eq!(new[8..], entry[8..], "nothing else changes");
            new[4..8].to_vec()
        };
        assert_eq!(converted_type(b"hev1", &hvcc(&[32, 33, 34])), b"hvc1");
        assert_eq!(converted_type(b"hev1", &hvcc(&[32, 33])), b"hev1");
        assert_eq!(converted_type(b"hev1", &[]), b"hev1");
    }

    #[test]
    fn the_video_of_quicktime_has_the_same_fields() {
        let colr = boxed(b"colr", &[b"nclc", &[0, 1, 0, 1, 0, 1]]);
        let boxes = [&hvcc(&[32, 33, 34])[..], &boxed(b"gama", &[&[0; 4]]), &colr, &[0; 4]];
        let new = converted(&video(b"hev1", &boxes.concat()), b"vide", true).unwrap();
        let nclx = boxed(b"colr", &[b"nclx", &[0, 1, 0, 1, 0, 1, 0]]);
        assert_eq!(new, video(b"hvc1", &[hvcc(&[32, 33, 34]), nclx].concat()));
        let cinepak = converted(&video(b"cvid", &[]), b"vide", true);
        assert!(cinepak.unwrap_err().0.contains("video"));
    }

    fn audio(kind: &[u8; 4], version: u16, compression: u16, more: &[u8]) -> Vec<u8> {
        let [version, compression] = [version, compression].map(u16::to_be_bytes);
        let fields = [&version[..], &[0; 6], &[0, 2, 0, 16], &compression, &[0; 2]].concat();
        let rate = (48_000u32 << 16).to_be_bytes();
        boxed(kind, &[&[0, 0, 0, 0, 0, 0, 0, 1], &fields, &rate, more])
    }

    #[test]
    fn the_audio_of_quicktime_becomes_the_plain_kind() {
        let esds = boxed(b"esds", &[&[0, 0, 0, 0, 3, 4, 5]]);
        let wave = [&boxed(b"frma", &[b"mp4a"])[..], &esds, &[0, 0, 0, 8, 0, 0, 0, 0]].concat();
        let wave = boxed(b"wave", &[&wave]);
        let mp4 = audio(b"mp4a", 0, 0, &esds);
        let of = |version, compression, more: &[u8]| {
            converted(&audio(b"mp4a", version, compression, more), b"soun", true)
        };
        assert_eq!(of(0, 0xffff, &esds).as_ref(), Ok(&mp4));
        assert_eq!(of(1, 0xfffe, &[&[9; 16], &wave[..]].concat()).as_ref(), Ok(&mp4));
        assert_eq!(of(1, 0xfffe, &[&[9; 16], &esds[..]].concat()).as_ref(), Ok(&mp4));
        let second = |hertz: f64, packet: u32| {
            let head = [&[0; 4][..], &hertz.to_bits().to_be_bytes(), &6u32.to_be_bytes()].concat();
            let rest = [0x7f00_0000u32, 0, 0, packet, 1024].map(u32::to_be_bytes);
            [&head[..], rest.as_flattened(), &wave].concat()
        };
        let six = of(2, 0xfffe, &second(48_000.0, 0)).unwrap();
        assert_eq!((six[24..26].to_vec(), &six[32..]), (vec![0, 6], &mp4[32..]));
        let fast = of(2, 0xfffe, &second(96_000.0, 0)).unwrap();
        assert_eq!(fast[32..36], [0; 4], "the decoder's settings tell it");
        for refused in [
            of(0, 0, &[]),
            of(1, 0, &[&[9; 16], &wave[..]].concat()),
            of(1, 0xfffe, &[9; 3]),
            of(2, 0xfffe, &second(48_000.0, 4)),
            of(3, 0, &esds),
            converted(&audio(b"sowt", 0, 0, &[]), b"soun", true),
            converted(&audio(b"wma ", 0, 0, &[]), b"soun", false),
        ] {
            assert!(refused.is_err(), "{refused:?}");
        }
        // Elsewhere nothing is touched.
        let odd = audio(b"mp4a", 1, 0, &[1, 2, 3]);
        assert_eq!(converted(&odd, b"soun", false), Ok(odd));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            kind in prop::sample::select(vec![b"hev1", b"avc3", b"mp4a", b"colr"]),
            inner in prop::sample::select(vec![b"hvcC", b"avcC", b"wave", b"esds", b"colr"]),
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            fields in prop::collection::vec(any::<u8>(), 0..90),
        ) {
            let entry = boxed(kind, &[&fields, &boxed(inner, &[&bytes]), &bytes]);
            for (handler, quicktime) in [(b"vide", false), (b"vide", true), (b"soun", true)] {
                drop(converted(&entry, handler, quicktime));
            }
        }
    }
}
