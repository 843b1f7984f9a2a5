//! Probes Matroska and WebM (RFC 8794, RFC 9559): DocType, tracks and duration.

use std::time::Duration;

use super::{Codec, Format, PROBE_SIZE, Probe, ProbeInfo, View, from_ticks, not_media, opus_head};
use crate::container::ebml::partial::{PartialElement, elements};
use crate::container::ebml::{float_of, ids, text_of, uint_of};
use crate::container::parameter_sets::{SampleEntry, has_hevc};

const NANOS: u64 = 1_000_000_000;

/// The default of TimestampScale, in nanoseconds per tick (§5.1.2.9).
const DEFAULT_SCALE: u64 = 1_000_000;
/// How far the first cluster is awaited once the tracks are known.
const MAX_CLUSTER_WAIT: u64 = 16 << 10;
/// How much of a cluster is read, to reach its timestamp, which is near its beginning (§5.1.3.1).
const CLUSTER_READ: usize = 64;
/// The maximum number of elements between the tracks and the first cluster.
const MAX_ELEMENTS: usize = 16;

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let seen = view.front.len().min(PROBE_SIZE);
    let all = view.all || seen == PROBE_SIZE;
    let Parsed { mut info, scale, next_at } =
        read(&view.front[..seen], all, view.len == Some(seen as u64))?;
    if let Some(at) = next_at {
        info.begin = begin(view, at, scale)?.unwrap_or_default();
        // Duration may mean the duration or the end.
        let begin = info.begin;
        for end in [&mut info.end, &mut info.video_end, &mut info.audio_end] {
            *end = end.map(|end| if end > begin { end } else { begin.saturating_add(end) });
        }
    }
    Ok(info)
}

/// The result of parsing the first bytes of a file.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    info: ProbeInfo,
    /// Nanoseconds per tick.
    scale: u64,
    /// The offset after the parsed part of the segment; `None` if that does not matter.
    next_at: Option<u64>,
}

/// Returns the timestamp of the first cluster at or after `at`. It is searched nearby, or, with a thorough
/// view, everywhere.
fn begin(view: &View<'_>, mut at: u64, scale: u64) -> Result<Option<Duration>, Probe> {
    for _ in 0..MAX_ELEMENTS {
        if !view.is_thorough && at + CLUSTER_READ as u64 > MAX_CLUSTER_WAIT {
            break;
        }
        let Some(element) = elements(view.want(at, CLUSTER_READ)?, at).next() else {
            break;
        };
        if element.id == ids::CLUSTER {
            let timestamp = element.child(ids::TIMESTAMP);
            let ticks = timestamp
                .filter(|field| field.is_complete)
                .and_then(|field| uint_of(field.payload));
            return Ok(ticks.and_then(|ticks| from_ticks(ticks.checked_mul(scale)?, NANOS)));
        }
        let Some(end) = element.end else { break };
        at = end;
    }
    Ok(None)
}

/// Parses the first bytes of a file. `all` means that no more are available, `ends` that the file has no
/// more.
fn read(bytes: &[u8], all: bool, ends: bool) -> Result<Parsed, Probe> {
    let mut top = elements(bytes, 0);
    let header = top.next().filter(|header| header.is_complete).ok_or(Probe::NeedMore)?;
    let mut fields = header.children();
    let format = match fields.find(|e| e.id == ids::DOC_TYPE).map(|e| text_of(e.payload)) {
        Some(b"webm") => Format::Webm,
        Some(b"matroska") => Format::Matroska,
        _ => return Err(not_media("it is EBML, but neither WebM nor Matroska")),
    };
    let mut found = Parsed { info: ProbeInfo::of(format), scale: DEFAULT_SCALE, next_at: None };
    let Some(segment) = top.next().filter(|segment| segment.id == ids::SEGMENT) else {
        return if all { Ok(found) } else { Err(Probe::NeedMore) };
    };
    let (mut has_info, mut uids) = (false, None);
    // Truncation is reported elsewhere.
    let mut is_cut = segment.is_truncated;
    for child in segment.children() {
        is_cut |= child.is_truncated;
        match child.id {
            ids::INFO if child.is_complete => {
                (found.info.end, found.scale) = info(child.payload);
                has_info = true;
            }
            ids::TRACKS if child.is_complete && has_other_tracks_only(child.payload) => {
                return Err(Probe::Unsupported(super::NEITHER));
            }
            ids::TRACKS if child.is_complete => uids = Some(tracks(&mut found.info, child.payload)),
            ids::TAGS if child.is_complete => {
                tags(&mut found.info, child.payload, uids.unwrap_or_default());
            }
            ids::CLUSTER => {
                // Tracks after the clusters can be found in a complete file, but not while downloading.
                found.info.is_faststart = uids.is_some();
                return Ok(Parsed { next_at: Some(child.at), ..found });
            }
            _ => {}
        }
        found.next_at = child.end;
    }
    // Nothing after the first cluster is needed.
    let is_enough = has_info && uids.is_some() && !ends;
    match () {
        () if is_enough => Ok(found),
        () if !all && !ends => Err(Probe::NeedMore),
        () if ends && !is_cut => Err(not_media("it has no media (no clusters)")),
        () => Ok(Parsed { next_at: None, ..found }),
    }
}

/// The UIDs of the first tracks, by which tags refer to them.
#[derive(Debug, Clone, Copy, Default)]
struct Uids {
    video: Option<u64>,
    audio: Option<u64>,
}

/// Reads Tracks (RFC 9559 §5.1.4) into `info`, and returns the UIDs of the first tracks.
fn tracks(info: &mut ProbeInfo, tracks: &[u8]) -> Uids {
    let (mut has_video, mut has_audio, mut uids) = (false, false, Uids::default());
    for entry in elements(tracks, 0).filter(|entry| entry.id == ids::TRACK_ENTRY) {
        let field = |id| entry.child(id);
        let codec = field(ids::CODEC_ID).map(|id| Codec::of_codec_id(text_of(id.payload)));
        let kind = field(ids::TRACK_TYPE).and_then(|kind| kind.payload.last().copied());
        match kind {
            Some(1) if !has_video => {
                has_video = true;
                info.video = codec;
                // CodecPrivate is the same record as in MP4.
                let sets =
                    field(ids::CODEC_PRIVATE).is_some_and(|private| has_hevc(private.payload));
                info.sample_entry =
                    (codec == Some(Codec::Hevc) && sets).then_some(SampleEntry::Hvc1);
                uids.video = field(ids::TRACK_UID).and_then(|uid| uint_of(uid.payload));
            }
            Some(2) if !has_audio => {
                has_audio = true;
                info.audio = codec;
                info.pre_skip =
                    field(ids::CODEC_PRIVATE).and_then(|private| opus_head(private.payload));
                uids.audio = field(ids::TRACK_UID).and_then(|uid| uint_of(uid.payload));
            }
            _ => {}
        }
        let is_played = matches!(kind, Some(1 | 2));
        if is_played && field(ids::CONTENT_ENCODINGS).is_some_and(is_encryption) {
            info.is_encrypted = Some(true);
        }
    }
    info.has_video = Some(has_video);
    uids
}

/// Returns whether all tracks are of other kinds than video and audio.
fn has_other_tracks_only(tracks: &[u8]) -> bool {
    let entries = || elements(tracks, 0).filter(|entry| entry.id == ids::TRACK_ENTRY);
    let is_other = |entry: PartialElement<'_>| {
        let kind = entry.child(ids::TRACK_TYPE);
        kind.is_some_and(|kind| !matches!(kind.payload.last(), Some(1 | 2)))
    };
    entries().next().is_some() && entries().all(is_other)
}

/// Reads the end of each track, which many writers store in a tag (RFC 9559 §5.1.8): "DURATION", as
/// "00:00:04.223000000".
fn tags(info: &mut ProbeInfo, tags: &[u8], uids: Uids) {
    for tag in elements(tags, 0).filter(|tag| tag.id == ids::TAG) {
        let uid = tag.child(ids::TARGETS).and_then(|targets| targets.child(ids::TAG_TRACK_UID));
        let uid = uid.and_then(|uid| uint_of(uid.payload));
        let end = tag.children().filter(|field| field.id == ids::SIMPLE_TAG).find_map(|tag| {
            tag.child(ids::TAG_NAME).filter(|name| text_of(name.payload) == b"DURATION")?;
            clock(text_of(tag.child(ids::TAG_STRING)?.payload))
        });
        if uid.is_some() && uid == uids.video {
            info.video_end = end;
        }
        if uid.is_some() && uid == uids.audio {
            info.audio_end = end;
        }
    }
}

/// Parses hours, minutes and seconds.
fn clock(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let [hours, minutes] = [hours, minutes].map(|text| text.parse::<u32>().ok());
    let seconds = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    let minutes = u64::from(hours?) * 60 + u64::from(minutes?);
    let is_complete = Duration::from_secs(minutes * 60).checked_add(seconds)?;
    Some(is_complete).filter(|is_complete| !is_complete.is_zero())
}

/// Returns whether one of these encodings is an encryption (§5.1.4.1.31); the others are compressions.
fn is_encryption(encodings: PartialElement<'_>) -> bool {
    let mut encodings = encodings.children().filter(|e| e.id == ids::CONTENT_ENCODING);
    encodings.any(|encoding| {
        encoding.children().any(|field| match field.id {
            ids::CONTENT_ENCODING_TYPE => field.payload.last() == Some(&1),
            id => id == ids::CONTENT_ENCRYPTION,
        })
    })
}

/// Returns the duration, and the nanoseconds per tick (RFC 9559 §5.1.2).
fn info(info: &[u8]) -> (Option<Duration>, u64) {
    let (mut scale, mut ticks) = (DEFAULT_SCALE, None);
    for field in elements(info, 0) {
        match (field.id, field.payload) {
            (ids::TIMESTAMP_SCALE, bytes) if !bytes.is_empty() => {
                scale = uint_of(bytes).unwrap_or(scale);
            }
            (ids::DURATION, bytes) => ticks = float_of(bytes),
            _ => {}
        }
    }
    // Also false for NaN, and for more than a century.
    let nanos = ticks.map(|ticks| ticks * scale as f64).filter(|nanos| *nanos > 0.0);
    let nanos = nanos.filter(|nanos| *nanos < 3.2e18);
    (nanos.and_then(|nanos| from_ticks(nanos as u64, NANOS)), scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], payload: &[u8]) -> Vec<u8> {
        let size = 0x4000 | u16::try_from(payload.len()).unwrap();
        [id, &size.to_be_bytes()[..], payload].concat()
    }

    fn file(doc_type: &str, info: &[u8]) -> Vec<u8> {
        let doc_type = element(&[0x42, 0x82], doc_type.as_bytes());
        let info = element(&[0x15, 0x49, 0xa9, 0x66], info);
        let opus = [&b"OpusHead\x01\x02"[..], &312u16.to_le_bytes(), &[0; 7]].concat();
        let fields = [element(&[0x83], &[2]), element(&[0x63, 0xa2], &opus)].concat();
        let entry = element(&[0xae], &fields);
        let segment = [info, element(&[0x16, 0x54, 0xae, 0x6b], &entry)].concat();
        let header = element(&[0x1a, 0x45, 0xdf, 0xa3], &doc_type);
        [header, element(&[0x18, 0x53, 0x80, 0x67], &segment)].concat()
    }

    #[test]
    fn duration_in_ticks_of_the_timestamp_scale() {
        let scale = element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40]);
        let ticks = element(&[0x44, 0x89], &2500f64.to_be_bytes());
        let bytes = file("webm", &[scale, ticks].concat());
        let info = ProbeInfo {
            end: Some(Duration::from_millis(2500)),
            pre_skip: std::num::NonZeroU16::new(312),
            has_video: Some(false),
            ..ProbeInfo::of(Format::Webm)
        };
        assert_eq!(read(&bytes, false, false).map(|found| found.info), Ok(info));
        assert_eq!(read(&bytes[..bytes.len() - 1], false, false), Err(Probe::NeedMore));
    }

    #[test]
    fn senseless_durations_are_none() {
        for ticks in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            let bytes = file("matroska", &element(&[0x44, 0x89], &ticks.to_be_bytes()));
            let Ok(Parsed { info, .. }) = read(&bytes, false, false) else { panic!() };
            assert_eq!(info.end, None, "{ticks}");
        }
    }

    #[test]
    fn other_ebml_is_refused() {
        let verdict = read(&file("ebml-something", b""), true, false);
        assert!(matches!(verdict, Err(Probe::Unsupported(_))));
    }

    /// RFC 8794 §7.4 and §7.5: a text ends at its first zero.
    #[test]
    fn texts_may_be_padded_with_zeros() {
        for doc_type in ["webm\0", "matroska\0\0\0"] {
            assert!(read(&file(doc_type, b""), true, false).is_ok());
        }
    }

    fn track(fields: &[Vec<u8>]) -> ProbeInfo {
        let mut info = ProbeInfo::of(Format::Matroska);
        tracks(&mut info, &element(&[0xae], &fields.concat()));
        info
    }

    #[test]
    fn tracks_tell_their_codecs() {
        let id = |id: &str| element(&[0x86], id.as_bytes());
        let kind = |kind| element(&[0x83], &[kind]);
        let info = track(&[kind(1), id("V_MPEG4/ISO/AVC\0")]);
        assert_eq!((info.video, info.has_video), (Some(Codec::H264), Some(true)));
        assert_eq!(track(&[kind(2), id("A_AC3/BSID9")]).audio, Some(Codec::Ac3));
        assert_eq!(track(&[kind(17), id("S_TEXT/UTF8")]).audio, None);
    }

    #[test]
    fn encryption_is_told_from_compression() {
        let encoding = |field: &[u8]| element(&[0x6d, 0x80], &element(&[0x62, 0x40], field));
        let kind = element(&[0x83], &[1]);
        let is_encrypted =
            |field: &[u8]| track(&[kind.clone(), encoding(field)]).is_encrypted == Some(true);
        assert!(is_encrypted(&element(&[0x50, 0x33], &[1])));
        assert!(is_encrypted(&element(&[0x50, 0x35], b"")));
        let stripping = element(&[0x50, 0x34], &element(&[0x42, 0x54], &[3]));
        assert!(!is_encrypted(&[element(&[0x50, 0x33], &[0]), stripping].concat()));
    }

    /// A file with a picture, a sound, what `more` is, and a cluster at 10 s; it says that it ends at 14 s.
    fn late(more: &[u8]) -> Vec<u8> {
        let ticks = element(&[0x44, 0x89], &14_000f64.to_be_bytes());
        let track = |uid, kind| {
            let fields = [element(&[0x73, 0xc5], &[uid]), element(&[0x83], &[kind])].concat();
            element(&[0xae], &fields)
        };
        let tracks = [track(7, 1), track(9, 2)].concat();
        let cluster = element(&[0xe7], &10_000u16.to_be_bytes());
        let segment = [
            element(&[0x15, 0x49, 0xa9, 0x66], &ticks),
            element(&[0x16, 0x54, 0xae, 0x6b], &tracks),
            more.to_vec(),
            element(&[0x1f, 0x43, 0xb6, 0x75], &[&cluster[..], &[0xa3; 90]].concat()),
        ];
        let header = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"webm"));
        [header, element(&[0x18, 0x53, 0x80, 0x67], &segment.concat())].concat()
    }

    #[test]
    fn the_first_cluster_tells_when_a_file_begins() {
        let seconds = |info: ProbeInfo| (info.begin.as_secs(), info.end.map(|end| end.as_secs()));
        let bytes = late(&[]);
        let view = View::front(&bytes, Some(1 << 30), false);
        assert_eq!(sniff(&view).map(seconds), Ok((10, Some(14))));
        let early = View { front: &bytes[..bytes.len() - 100], ..view };
        assert_eq!(sniff(&early), Err(Probe::NeedMore));
        // It is not waited for behind a long attachment, but looked for if that is worth it.
        let bytes = late(&element(&[0x19, 0x41, 0xa4, 0x69], &[0; 0x3ff0]));
        let front = &bytes[..bytes.len() - 150];
        let view = View { front, may_look: true, ..view };
        assert_eq!(sniff(&view).map(seconds), Ok((0, Some(14))));
        let thorough = View { is_thorough: true, ..view };
        assert_eq!(sniff(&thorough), Err(Probe::NeedMore));
        assert_eq!(sniff(&View { front: &bytes, ..thorough }).map(seconds), Ok((10, Some(14))));
    }

    #[test]
    fn a_duration_is_not_over_before_it_begins() {
        let mut bytes = late(&[]);
        let ticks = bytes.windows(8).position(|at| at == 14_000f64.to_be_bytes()).unwrap();
        bytes[ticks..ticks + 8].copy_from_slice(&4_000f64.to_be_bytes());
        let info = sniff(&View::front(&bytes, None, false)).unwrap();
        assert_eq!(info.end, Some(Duration::from_secs(14)));
    }

    #[test]
    fn tags_tell_of_each_track() {
        let tag = |uid: u8, text: &[u8]| {
            let targets = element(&[0x63, 0xc0], &element(&[0x63, 0xc5], &[uid]));
            let name = element(&[0x45, 0xa3], b"DURATION");
            let simple = element(&[0x67, 0xc8], &[name, element(&[0x44, 0x87], text)].concat());
            element(&[0x73, 0x73], &[targets, simple].concat())
        };
        let of = |tags: &[Vec<u8>]| {
            let tags = element(&[0x12, 0x54, 0xc3, 0x67], &tags.concat());
            let info = sniff(&View::front(&late(&tags), None, false)).unwrap();
            (info.video_end, info.audio_end)
        };
        let tags = [tag(9, b"00:00:13.5000000\0"), tag(7, b"0:01:00"), tag(8, b"0:09:00")];
        let (video, audio) = (Duration::from_secs(60), Duration::from_millis(13_500));
        assert_eq!(of(&tags), (Some(video), Some(audio)));
        for text in ["", "x", "1:2", "1:2:-3", "1:2:nan", "1:2:1e300", "0:0:0", "99999999999:0:0"] {
            assert_eq!(of(&[tag(9, text.as_bytes())]).1, None, "{text}");
        }
    }

    #[test]
    fn tracks_behind_the_media_are_told() {
        let header = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska"));
        let cluster = element(&[0x1f, 0x43, 0xb6, 0x75], &[0; 9]);
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[]);
        let segment = element(&[0x18, 0x53, 0x80, 0x67], &[cluster, tracks].concat());
        let info = read(&[header.clone(), segment].concat(), false, true);
        assert!(!info.unwrap().info.is_faststart);
        let empty = [header, element(&[0x18, 0x53, 0x80, 0x67], b"")].concat();
        assert!(matches!(read(&empty, false, true), Err(Probe::Unsupported(_))));
    }
}
