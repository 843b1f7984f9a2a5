//! ISO base media files (ISO/IEC 14496-12): where the index is, and what it says of the tracks.

use std::time::Duration;

use super::{Codec, Format, Head, LOOK_AT_MOST, Verdict, View, from_ticks};
use crate::error::Unusable;
use crate::mux::splice::boxes;

/// Boxes that a file may begin with.
const FIRST: [&[u8; 4]; 8] =
    [b"ftyp", b"styp", b"moov", b"free", b"skip", b"wide", b"pdin", b"mdat"];

const EMPTY: Unusable =
    Unusable::NotMedia("it is the initialisation of fragments, and none are behind it");

/// Whether this looks like an ISO base media file.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.get(4..8).is_some_and(|kind| FIRST.iter().any(|first| *first == kind))
}

/// How far boxes are followed: a file has no more of them in front of its media.
const MOST_BOXES: usize = 64;
/// A moof is read as far as the time of its first track, which stands near its beginning.
const MOOF_FRONT: usize = 256;

pub(super) fn sniff(view: &View<'_>) -> Result<Head, Verdict> {
    let (mut at, mut cmaf) = (0u64, false);
    let mut index: Option<Index> = None;
    for _ in 0..MOST_BOXES {
        let bytes = view.want(at, 16)?;
        let Some(boxes::Header { kind, header, len }) = boxes::header(bytes) else { break };
        let end = len.map_or(u64::MAX, |len| at.saturating_add(len));
        let long = usize::try_from(end - at).unwrap_or(usize::MAX);
        let here = view.want(at, 0)?;
        let payload = here.get(header..long.min(here.len())).unwrap_or(&[]);
        let is_whole = here.len() >= long;
        match (&kind, &mut index) {
            (b"ftyp", None) if !is_whole && long < LOOK_AT_MOST => {
                let ftyp = view.want(at, long)?;
                cmaf = has_negative_offsets(ftyp.get(header..).unwrap_or(&[]));
            }
            (b"ftyp", None) => cmaf = has_negative_offsets(payload),
            (b"moov", None) => index = Some(moov(view, at, header, end, cmaf)?),
            (b"sidx", Some(found)) => {
                let sidx = view.want(at, long.min(LOOK_AT_MOST))?;
                let sidx = sidx.get(header..long.min(sidx.len())).unwrap_or(&[]);
                found.has_media = true;
                if found.head.duration.is_none() {
                    found.head.duration = sidx_duration(sidx, end, view.len);
                }
                if sidx_earliest(sidx) == Some(0) {
                    return Ok(found.head);
                }
                // When it begins stands in its first fragment.
                found.head.shifted |= end.saturating_add(MOOF_FRONT as u64) > LOOK_AT_MOST as u64;
            }
            (b"moof", Some(found)) => {
                let moof = view.want(at, long.min(MOOF_FRONT))?;
                let first = moof.get(header..).and_then(first_time);
                found.head.shifted |= first != Some(0);
                return Ok(found.head);
            }
            (b"mdat", Some(found)) => return Ok(found.head),
            (b"mdat", None) => {
                return Ok(Head { index_first: false, ..Head::of(Format::Mp4) });
            }
            (b"moof", None) => {
                return Err(not_media("it is a fragment without its initialisation (no moov)"));
            }
            _ => {}
        }
        let is_last = |index: Index| !index.is_fragmented || end > LOOK_AT_MOST as u64;
        if index.is_some_and(|index| index.is_enough && is_last(index)) {
            break;
        }
        at = end;
        if view.len.is_some_and(|len| at >= len) {
            break;
        }
    }
    let ends = view.len.is_some_and(|len| at >= len);
    match index {
        Some(index) if ends && !index.has_media => Err(Verdict::Refused(EMPTY)),
        // When its fragments begin was not seen.
        Some(Index { head, is_fragmented, is_enough, .. }) if is_enough || view.all || ends => {
            Ok(Head { shifted: head.shifted || is_fragmented, ..head })
        }
        None if view.all || ends => Err(not_media("it is an mp4 without an index (no moov)")),
        _ => Err(Verdict::More),
    }
}

fn not_media(what: &'static str) -> Verdict {
    Verdict::Refused(Unusable::NotMedia(what))
}

/// What a moov says, and what it leaves open.
#[derive(Clone, Copy)]
struct Index {
    head: Head,
    /// Whether nothing behind it tells more.
    is_enough: bool,
    is_fragmented: bool,
    /// Whether there are samples, or fragments.
    has_media: bool,
}

/// Reads the moov at `at`. One of a progressive film may be megabytes long: of that, what is in front
/// is read.
fn moov(view: &View<'_>, at: u64, header: usize, end: u64, cmaf: bool) -> Result<Index, Verdict> {
    let len = usize::try_from(end - at).unwrap_or(usize::MAX);
    let bytes = view.want(at, 0)?;
    let bytes = bytes.get(header..len.min(bytes.len())).unwrap_or(&[]);
    let is_whole = bytes.len() == len - header;
    let is_long = end > LOOK_AT_MOST as u64;
    let may_come = !view.all && at < view.front.len() as u64;
    let mut index = read_moov(bytes);
    let head = &mut index.head;
    head.shifted |= cmaf || !is_whole;
    index.is_fragmented |= !is_whole && head.duration.is_none();
    if is_whole {
        index.is_enough = head.duration.is_some() && !index.is_fragmented;
        return Ok(index);
    }
    // What is not there yet may be a picture.
    head.has_picture = head.has_picture.filter(|there| *there);
    index.has_media = true;
    let is_told = head.duration.is_some() && (head.video.is_some() || head.audio.is_some());
    if may_come && !(is_long && is_told) {
        return Err(Verdict::More);
    }
    index.is_enough = true;
    Ok(index)
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
        Some(Found { kind, payload })
    }
}

/// What a moov, or as much of it as is there, says of the whole film.
fn read_moov(moov: &[u8]) -> Index {
    let mut head = Head { shifted: false, has_picture: Some(false), ..Head::of(Format::Mp4) };
    let (mut in_mvhd, mut in_mehd, mut timescale) = (None, None, 0);
    let (mut fragmented, mut has_samples) = (false, false);
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
                let track = track(child.payload, &mut head);
                head.has_picture = head.has_picture.map(|any| any || track.is_picture);
                has_samples |= track.samples.is_some_and(|count| count > 0);
            }
            _ => {}
        }
    }
    // With samples of its own and fragments behind it, a moov tells of its own samples only.
    let of_all = in_mvhd.filter(|_| !(fragmented && has_samples));
    head.duration = in_mehd.or(of_all);
    head.pre_skip = opus_pre_skip(moov);
    head.in_fragments = fragmented && !has_samples;
    Index { head, is_enough: false, is_fragmented: fragmented, has_media: has_samples }
}

/// A track, as far as its container cares.
struct Track {
    is_picture: bool,
    samples: Option<u32>,
}

/// Reads a track, or as much of it as is there, and notes in `head` what it says.
fn track(trak: &[u8], head: &mut Head) -> Track {
    let edits = descend(trak, b"edts");
    head.shifted |= edits.is_some_and(|edits| !is_plain(edits));
    let handler = descend(trak, b"mdia").and_then(|mdia| descend(mdia, b"hdlr"));
    let handler = handler.and_then(|hdlr| hdlr.get(8..12));
    let is_picture = handler == Some(b"vide");
    let way: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];
    let stsd = way.into_iter().try_fold(trak, descend).and_then(|stsd| stsd.get(8..));
    let entry = stsd.and_then(|stsd| Boxes { bytes: stsd, at: 0 }.next());
    let codec = entry.map(|entry| Codec::of_sample_entry(entry.kind, entry.payload));
    match handler {
        Some(b"vide") => head.video = head.video.or(codec),
        Some(b"soun") => head.audio = head.audio.or(codec),
        _ => return Track { is_picture, samples: sample_count(trak) },
    }
    let mut entries = stsd.into_iter().flat_map(|stsd| Boxes { bytes: stsd, at: 0 });
    head.is_encrypted |= entries.any(|entry| is_encrypted(&entry));
    Track { is_picture, samples: sample_count(trak) }
}

/// Whether samples of this description are encrypted: it is called so (common encryption, ISO/IEC
/// 23001-7 §4.2, PIFF likewise, FairPlay), or says how.
fn is_encrypted(entry: &Found<'_>) -> bool {
    const SCHEMES: [&[u8; 4]; 7] = [b"cenc", b"cbc1", b"cens", b"cbcs", b"piff", b"itun", b"adkm"];
    let scheme = entry.payload.windows(12).find(|window| window.starts_with(b"schm"));
    entry.kind.starts_with(b"enc")
        || entry.kind.starts_with(b"drm")
        || scheme.is_some_and(|scheme| SCHEMES.iter().any(|known| scheme[8..] == known[..]))
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

/// When a segment index begins (§8.16.3).
fn sidx_earliest(sidx: &[u8]) -> Option<u64> {
    match sidx.first()? {
        0 => u32_at(sidx, 12).map(u64::from),
        _ => u64_at(sidx, 12),
    }
}

/// When the first track of a fragment begins (§8.8.12), in its ticks.
fn first_time(moof: &[u8]) -> Option<u64> {
    let tfdt = descend(descend(moof, b"traf")?, b"tfdt")?;
    match tfdt.first()? {
        0 => u32_at(tfdt, 4).map(u64::from),
        _ => u64_at(tfdt, 4),
    }
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

    fn sniff(bytes: &[u8], len: Option<u64>, all: bool) -> Verdict {
        super::super::sniff(&View::front(bytes, len, all))
    }

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

    fn moof(time: u32) -> Vec<u8> {
        let tfdt = boxed(b"tfdt", &[[0; 4], time.to_be_bytes()].concat());
        boxed(b"moof", &boxed(b"traf", &tfdt))
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
        let Verdict::Known(head) = sniff(&file[..200], None, true) else { panic!() };
        assert_eq!(head.duration, Some(Duration::from_millis(1500)));
        assert!(head.shifted, "the edit lists may still come");
    }

    #[test]
    fn mehd_and_sidx_tell_it_when_mvhd_does_not() {
        let mehd = boxed(b"mvex", &boxed(b"mehd", &[0, 0, 0, 0, 0, 0, 0x0b, 0xb8]));
        let moov = boxed(b"moov", &[mvhd(1000, 0), mehd].concat());
        let file = [&moov[..], &moof(0)].concat();
        assert_eq!(sniff(&file, None, false), fragmented(known(Some(3000))));
        let Verdict::Known(late) = sniff(&[&moov[..], &moof(7)].concat(), None, false) else {
            panic!()
        };
        assert!(late.shifted);

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
            let file = [moov, moof(0)].concat();
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
        let file = [moov, moof(0)].concat();
        assert_eq!(sniff(&file, None, false), known(None));
    }

    /// A trak of this handler with a sample entry.
    fn trak(handler: &[u8; 4], entry: &[u8]) -> Vec<u8> {
        let hdlr = boxed(b"hdlr", &[&[0; 8], &handler[..], &[0; 12]].concat());
        let stsd = boxed(b"stsd", &[&[0; 8], entry].concat());
        let minf = boxed(b"minf", &boxed(b"stbl", &stsd));
        boxed(b"trak", &boxed(b"mdia", &[hdlr, minf].concat()))
    }

    #[test]
    fn encrypted_samples_are_told_by_their_descriptions() {
        let of = |entries: &[u8]| {
            let moov = boxed(b"moov", &[mvhd(1000, 5), trak(b"vide", entries)].concat());
            let file = [moov, boxed(b"mdat", &[1; 9])].concat();
            let Verdict::Known(head) = sniff(&file, None, false) else { panic!() };
            head.is_encrypted
        };
        let clear = boxed(b"avc1", &[0; 78]);
        let scheme = boxed(b"sinf", &boxed(b"schm", b"\0\0\0\0cbcs\0\0\0\0"));
        assert!(!of(&clear));
        assert!(of(&boxed(b"encv", &[0; 78])));
        assert!(of(&[clear, boxed(b"encv", &[0; 78])].concat()), "some of them");
        assert!(of(&boxed(b"avc1", &[&[0; 78][..], &scheme].concat())));
        assert!(of(&boxed(b"drms", &[0; 20])));
    }
}
