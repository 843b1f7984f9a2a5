//! ISO base media files (ISO/IEC 14496-12): is the index in front, and how long do they play?

use std::time::Duration;

use super::{Format, Head, LOOK_AT_MOST, Verdict, from_ticks};
use crate::error::Unusable;

/// Boxes that a file may begin with.
const FIRST: [&[u8; 4]; 8] =
    [b"ftyp", b"styp", b"moov", b"free", b"skip", b"wide", b"pdin", b"mdat"];

const EMPTY: Unusable =
    Unusable::NotMedia("it is the initialisation of fragments, and none are behind it");

/// Whether this looks like an ISO base media file.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.get(4..8).is_some_and(|kind| FIRST.iter().any(|first| *first == kind))
}

pub(super) fn sniff(bytes: &[u8], len: Option<u64>, all: bool) -> Verdict {
    let mut cmaf = false;
    let mut index: Option<Head> = None;
    for found in (Boxes { bytes, at: 0 }) {
        match (&found.kind, index) {
            (b"ftyp", None) => cmaf = has_negative_offsets(found.payload),
            (b"moov", None) => {
                let mut head = read_moov(found.payload);
                head.shifted |= cmaf || !found.whole;
                if head.in_fragments && found.whole && len == Some(found.end) {
                    return Verdict::Refused(EMPTY);
                }
                // What is not there yet may be a picture.
                head.has_picture = head.has_picture.filter(|there| *there || found.whole);
                // A progressive file's moov may be megabytes long; mvhd comes first in it.
                let long = found.end > LOOK_AT_MOST as u64;
                if head.duration.is_some() && (found.whole || long || all) {
                    return Verdict::Known(head);
                }
                index = Some(head);
            }
            (b"sidx", Some(_)) if !found.whole && !all => return Verdict::More,
            (b"sidx", Some(head)) => {
                let duration = sidx_duration(found.payload, found.end, len);
                return Verdict::Known(Head { duration, ..head });
            }
            (b"moof" | b"mdat", Some(head)) => return Verdict::Known(head),
            (b"mdat", None) => {
                let head = Head { index_first: false, ..Head::of(Format::Mp4) };
                return Verdict::Known(head);
            }
            (b"moof", None) => {
                return Verdict::Refused(Unusable::NotMedia(
                    "it is a fragment without its initialisation (no moov)",
                ));
            }
            _ => {}
        }
        if !found.whole {
            break;
        }
    }
    match index {
        _ if !all => Verdict::More,
        Some(head) if head.in_fragments && len == Some(bytes.len() as u64) => {
            Verdict::Refused(EMPTY)
        }
        Some(head) => Verdict::Known(head),
        None => Verdict::Refused(Unusable::NotMedia("it is an mp4 without an index (no moov)")),
    }
}

/// CMAF files may shift their pictures by negative composition offsets (ISO/IEC 23000-19
/// §7.5.17), which stand in the fragments.
fn has_negative_offsets(ftyp: &[u8]) -> bool {
    ftyp.chunks_exact(4).any(|brand| matches!(brand, b"cmfc" | b"cmf2"))
}

/// One box, of which perhaps only the beginning is there.
struct Found<'a> {
    kind: [u8; 4],
    payload: &'a [u8],
    whole: bool,
    /// Where the next one begins.
    end: u64,
}

struct Boxes<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let rest = self.bytes.get(usize::try_from(self.at).ok()?..)?;
        let kind = *rest.get(4..)?.first_chunk()?;
        let (size, header) = match u32::from_be_bytes(*rest.first_chunk()?) {
            // To the end of the file.
            0 => (u64::MAX - self.at, 8),
            1 => (u64::from_be_bytes(*rest.get(8..)?.first_chunk()?), 16),
            size => (u64::from(size), 8),
        };
        if size < header as u64 {
            return None;
        }
        let end = self.at.checked_add(size)?;
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        let payload = rest.get(header..there).unwrap_or(&[]);
        self.at = end;
        Some(Found { kind, payload, whole: there as u64 == size, end })
    }
}

/// What a moov, or as much of it as is there, says of the whole film.
fn read_moov(moov: &[u8]) -> Head {
    let (mut in_mvhd, mut in_mehd, mut shifted, mut timescale) = (None, None, false, 0);
    let (mut fragmented, mut has_samples, mut has_picture) = (false, false, false);
    for child in (Boxes { bytes: moov, at: 0 }) {
        match &child.kind {
            b"mvhd" => {
                if let Some((ticks, scale)) = mvhd_duration(child.payload) {
                    timescale = scale;
                    in_mvhd = meaningful(ticks, timescale);
                }
            }
            b"mvex" => {
                fragmented = true;
                let mehd = descend(child.payload, b"mehd").and_then(mehd_duration);
                in_mehd = mehd.and_then(|ticks| meaningful(ticks, timescale));
            }
            b"trak" => {
                let edits = descend(child.payload, b"edts");
                shifted |= edits.is_some_and(|edits| !is_plain(edits));
                has_picture |= is_picture(child.payload);
                has_samples |= sample_count(child.payload).is_some_and(|count| count > 0);
            }
            _ => {}
        }
    }
    // With samples of its own and fragments behind it, a moov tells of its own samples only.
    let of_all = in_mvhd.filter(|_| !(fragmented && has_samples));
    let duration = in_mehd.or(of_all);
    let (pre_skip, has_picture) = (opus_pre_skip(moov), Some(has_picture));
    let in_fragments = fragmented && !has_samples;
    Head { duration, shifted, pre_skip, has_picture, in_fragments, ..Head::of(Format::Mp4) }
}

/// Whether a track's handler is the one for pictures (§8.4.3).
fn is_picture(trak: &[u8]) -> bool {
    let handler = descend(trak, b"mdia").and_then(|mdia| descend(mdia, b"hdlr"));
    handler.is_some_and(|hdlr| hdlr.get(8..12) == Some(b"vide"))
}

/// How many samples a track has in the moov itself (§8.7.3).
fn sample_count(trak: &[u8]) -> Option<u32> {
    let way: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsz"];
    let stsz = way.into_iter().try_fold(trak, descend)?;
    u32_at(stsz, 8)
}

/// The pre-skip of an Opus track, from the box that stands for its head ("Encapsulation of Opus
/// in ISO Base Media File Format" §4.3.2). Its way down is long (trak, mdia, minf, stbl, stsd,
/// Opus) and its name a word of its own, so it is looked for.
fn opus_pre_skip(moov: &[u8]) -> Option<Duration> {
    let at = moov.windows(4).position(|window| window == b"dOps")?;
    super::pre_skip(u16::from_be_bytes(*moov.get(at + 6..)?.first_chunk()?))
}

fn descend<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    Boxes { bytes: parent, at: 0 }.find(|found| found.kind == *kind).map(|found| found.payload)
}

/// Duration and timescale (§8.2.2): version and flags, then times of 4 or 8 bytes.
fn mvhd_duration(mvhd: &[u8]) -> Option<(u64, u64)> {
    Some(match mvhd.first()? {
        0 => (u64::from(u32_at(mvhd, 16)?), u64::from(u32_at(mvhd, 12)?)),
        _ => (u64_at(mvhd, 24)?, u64::from(u32_at(mvhd, 20)?)),
    })
}

fn mehd_duration(mehd: &[u8]) -> Option<u64> {
    match mehd.first()? {
        0 => u32_at(mehd, 4).map(u64::from),
        _ => u64_at(mehd, 4),
    }
}

/// Whether an edit list (§8.6.6) only says "from the start": one edit at media time 0.
fn is_plain(edts: &[u8]) -> bool {
    let Some(elst) = descend(edts, b"elst") else { return true };
    let media_time = match elst.first() {
        Some(0) => u32_at(elst, 12).map(u64::from),
        _ => u64_at(elst, 16),
    };
    u32_at(elst, 4) == Some(1) && media_time == Some(0)
}

/// A duration of all ones means "unknown", in either width (§8.2.2.3).
fn meaningful(ticks: u64, timescale: u64) -> Option<Duration> {
    if ticks == u64::MAX || ticks == u64::from(u32::MAX) {
        return None;
    }
    from_ticks(ticks, timescale)
}

/// The sum of a segment index (§8.16.3), if it covers the file to its end: some files have one
/// index for each fragment, which tells nothing of the whole.
fn sidx_duration(sidx: &[u8], end: u64, len: Option<u64>) -> Option<Duration> {
    let timescale = u64::from(u32_at(sidx, 8)?);
    let (first_offset, references) = match sidx.first()? {
        0 => (u64::from(u32_at(sidx, 16)?), 20),
        _ => (u64_at(sidx, 20)?, 28),
    };
    let count = usize::from(u16::from_be_bytes(*sidx.get(references + 2..)?.first_chunk()?));
    let entries = sidx.get(references + 4..)?;
    let (mut bytes, mut ticks) = (0u64, 0u64);
    for entry in entries.chunks_exact(12).take(count) {
        bytes += u64::from(u32_at(entry, 0)? & 0x7fff_ffff);
        ticks += u64::from(u32_at(entry, 4)?);
    }
    let covered = end.checked_add(first_offset)?.checked_add(bytes)?;
    let whole = match len {
        // Behind the last fragment there may be a random access index (mfra), a small thing.
        Some(len) => covered <= len && len - covered <= len / 64,
        // An index of each fragment would have one reference.
        None => count > 1,
    };
    whole.then(|| from_ticks(ticks, timescale))?
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, payload].concat()
    }

    fn mvhd(timescale: u32, duration: u32) -> Vec<u8> {
        let mut payload = vec![0; 100];
        payload[12..16].copy_from_slice(&timescale.to_be_bytes());
        payload[16..20].copy_from_slice(&duration.to_be_bytes());
        boxed(b"mvhd", &payload)
    }

    fn sidx(references: &[(u32, u32)]) -> Vec<u8> {
        let mut payload = vec![0; 20];
        payload[8..12].copy_from_slice(&1000u32.to_be_bytes());
        payload.extend([0, 0, 0, u8::try_from(references.len()).unwrap()]);
        for (size, duration) in references {
            payload.extend(size.to_be_bytes());
            payload.extend(duration.to_be_bytes());
            payload.extend(0x9000_0000u32.to_be_bytes());
        }
        boxed(b"sidx", &payload)
    }

    fn known(millis: Option<u64>) -> Verdict {
        let duration = millis.map(Duration::from_millis);
        let has_picture = Some(false);
        Verdict::Known(Head { duration, shifted: false, has_picture, ..Head::of(Format::Mp4) })
    }

    /// The same of a file whose samples are in fragments.
    fn fragmented(verdict: Verdict) -> Verdict {
        let Verdict::Known(head) = verdict else { panic!() };
        Verdict::Known(Head { in_fragments: true, ..head })
    }

    #[test]
    fn an_initialisation_without_fragments_is_refused() {
        let mvex = boxed(b"mvex", &[]);
        for duration in [0, 5] {
            let init = boxed(b"moov", &[mvhd(1000, duration), mvex.clone()].concat());
            let len = Some(init.len() as u64);
            assert_eq!(sniff(&init, len, true), Verdict::Refused(EMPTY));
            let padded = [init.clone(), boxed(b"free", &[])].concat();
            let all = Some(padded.len() as u64);
            assert!(matches!(sniff(&init, all, false), Verdict::Known(_) | Verdict::More));
            let more = [init, boxed(b"moof", &[])].concat();
            assert!(matches!(sniff(&more, Some(9999), true), Verdict::Known(_)));
        }
    }

    #[test]
    fn mvhd_tells_the_duration_before_the_rest_of_a_long_moov() {
        let moov = boxed(b"moov", &[mvhd(600, 900), vec![0; LOOK_AT_MOST]].concat());
        let file = [boxed(b"ftyp", b"isom"), moov].concat();
        let Verdict::Known(head) = sniff(&file[..200], None, false) else { panic!() };
        assert_eq!(head.duration, Some(Duration::from_millis(1500)));
        assert!(head.shifted, "the edit lists may still come");
    }

    #[test]
    fn mehd_and_sidx_tell_it_when_mvhd_does_not() {
        let mehd = boxed(b"mvex", &boxed(b"mehd", &[0, 0, 0, 0, 0, 0, 0x0b, 0xb8]));
        let moov = boxed(b"moov", &[mvhd(1000, 0), mehd].concat());
        assert_eq!(sniff(&moov, None, false), fragmented(known(Some(3000))));

        let moov = boxed(b"moov", &mvhd(1000, 0));
        let file = [moov, sidx(&[(400, 2000), (300, 1500)])].concat();
        let len = file.len() as u64 + 700;
        assert_eq!(sniff(&file, Some(len), false), known(Some(3500)));
        assert_eq!(sniff(&file[..file.len() - 1], Some(len), false), Verdict::More);
        assert_eq!(sniff(&file, None, false), known(Some(3500)));
        // An index of one fragment out of many is not the whole.
        assert_eq!(sniff(&file, Some(len * 2), false), known(None));
    }

    #[test]
    fn edit_lists_that_move_a_track_are_seen() {
        let trak = |media_time: u32| {
            let entry = [1u32, 5000, media_time, 0x1_0000].map(u32::to_be_bytes).concat();
            let elst = boxed(b"elst", &[&[0; 4], &entry[..]].concat());
            boxed(b"trak", &boxed(b"edts", &elst))
        };
        for (media_time, shifted) in [(0, false), (1024, true)] {
            let moov = boxed(b"moov", &[mvhd(1000, 5), trak(media_time)].concat());
            let Verdict::Known(head) = sniff(&moov, None, false) else { panic!() };
            assert_eq!(head.shifted, shifted, "{media_time}");
        }
    }

    #[test]
    fn a_moov_with_samples_does_not_speak_for_its_fragments() {
        for (count, millis) in [(0, Some(5)), (1, None)] {
            let stsz = boxed(b"stsz", &[0, 0, count].map(u32::to_be_bytes).concat());
            let stbl = boxed(b"stbl", &stsz);
            let trak = boxed(b"trak", &boxed(b"mdia", &boxed(b"minf", &stbl)));
            let moov = boxed(b"moov", &[mvhd(1000, 5), trak, boxed(b"mvex", &[])].concat());
            let file = [moov, boxed(b"moof", &[])].concat();
            // What has samples in its moov is nothing that anything can be made of.
            let expected = if count == 0 { fragmented(known(millis)) } else { known(millis) };
            assert_eq!(sniff(&file, None, false), expected);
        }
    }

    #[test]
    fn an_index_behind_the_media_is_refused() {
        let file = [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[0; 64])].concat();
        let Verdict::Known(head) = sniff(&file, None, false) else { panic!("not known") };
        assert!(!head.index_first);
        let fragment = [boxed(b"styp", b"msdh"), boxed(b"moof", &[0; 64])].concat();
        assert!(matches!(sniff(&fragment, None, false), Verdict::Refused(_)));
    }

    #[test]
    fn unknown_durations_are_not_taken_for_long_ones() {
        let moov = boxed(b"moov", &mvhd(1000, u32::MAX));
        let file = [moov, boxed(b"moof", &[])].concat();
        assert_eq!(sniff(&file, None, false), known(None));
    }
}
