use super::*;

fn sniff(bytes: &[u8], len: Option<u64>, all: bool) -> Probe {
    crate::container::probe::probe(&View::front(bytes, len, all))
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

fn known(millis: Option<u64>) -> Probe {
    let end = millis.map(Duration::from_millis);
    let has_video = Some(false);
    Probe::Recognised(ProbeInfo {
        end,
        needs_edit_list: false,
        has_video,
        ..ProbeInfo::of(Format::Mp4)
    })
}

/// The same of a file whose samples are in fragments.
fn fragmented(verdict: Probe) -> Probe {
    let Probe::Recognised(head) = verdict else { panic!() };
    Probe::Recognised(ProbeInfo { in_fragments: true, ..head })
}

#[test]
fn an_initialisation_without_fragments_is_refused() {
    let mvex = boxed(b"mvex", &[]);
    for duration in [0, 5] {
        let init = boxed(b"moov", &[mvhd(1000, duration), mvex.clone()].concat());
        let len = Some(init.len() as u64);
        assert_eq!(sniff(&init, len, true), Probe::Unsupported(EMPTY));
        let padded = [init.clone(), boxed(b"free", &[])].concat();
        let all = Some(padded.len() as u64);
        assert!(matches!(sniff(&init, all, false), Probe::Recognised(_) | Probe::NeedMore));
        let more = [init, boxed(b"moof", &[])].concat();
        assert!(matches!(sniff(&more, Some(9999), true), Probe::Recognised(_)));
    }
}

#[test]
fn mvhd_tells_the_duration_before_the_rest_of_a_long_moov() {
    let moov = boxed(b"moov", &[mvhd(600, 900), vec![0; PROBE_SIZE]].concat());
    let file = [boxed(b"ftyp", b"isom"), moov].concat();
    let Probe::Recognised(head) = sniff(&file[..200], None, true) else { panic!() };
    assert_eq!(head.end, Some(Duration::from_millis(1500)));
    assert!(head.needs_edit_list, "the edit lists may still come");
}

#[test]
fn mehd_and_sidx_tell_it_when_mvhd_does_not() {
    let mehd = boxed(b"mvex", &boxed(b"mehd", &[0, 0, 0, 0, 0, 0, 0x0b, 0xb8]));
    let moov = boxed(b"moov", &[mvhd(1000, 0), mehd].concat());
    let file = [&moov[..], &moof(0)].concat();
    assert_eq!(sniff(&file, None, false), fragmented(known(Some(3000))));
    let Probe::Recognised(late) = sniff(&[&moov[..], &moof(7)].concat(), None, false) else {
        panic!()
    };
    assert!(late.needs_edit_list);

    let moov = boxed(b"moov", &mvhd(1000, 0));
    let file = [moov, sidx(&[(400, 2000), (300, 1500)])].concat();
    let len = file.len() as u64 + 700;
    assert_eq!(sniff(&file, Some(len), false), known(Some(3500)));
    assert_eq!(sniff(&file[..file.len() - 1], Some(len), false), Probe::NeedMore);
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
    for (media_time, needs_edit_list) in [(0, false), (1024, true)] {
        let moov = boxed(b"moov", &[mvhd(1000, 5), trak(media_time)].concat());
        let Probe::Recognised(head) = sniff(&moov, None, false) else { panic!() };
        assert_eq!(head.needs_edit_list, needs_edit_list, "{media_time}");
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
        // A file with samples in its moov needs no fragments.
        let expected = if count == 0 { fragmented(known(millis)) } else { known(millis) };
        assert_eq!(sniff(&file, None, false), expected);
    }
}

#[test]
fn an_index_behind_the_media_is_refused() {
    let file = [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[0; 64])].concat();
    let Probe::Recognised(head) = sniff(&file, None, false) else { panic!("not known") };
    assert!(!head.is_faststart);
    let fragment = [boxed(b"styp", b"msdh"), boxed(b"moof", &[0; 64])].concat();
    assert!(matches!(sniff(&fragment, None, false), Probe::Unsupported(_)));
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
fn tracks_far_behind_the_front_are_looked_at() {
    let clear = trak(b"vide", &boxed(b"avc1", &[0; 78]));
    let tables = boxed(b"free", &vec![0; 2 * PROBE_SIZE]);
    let locked = trak(b"soun", &boxed(b"enca", &[0; 28]));
    for (boxes, before) in [([&clear, &tables, &locked], 0), ([&tables, &clear, &locked], 1)] {
        let moov = boxed(b"moov", &[mvhd(1000, 5), boxes.map(|one| &one[..]).concat()].concat());
        let file = [&moov[..], &boxed(b"mdat", &[1; 9])].concat();
        let front = View::front(&file[..PROBE_SIZE], Some(file.len() as u64), true);
        let Probe::Recognised(head) = super::super::probe(&front) else { panic!() };
        assert_eq!(head.is_encrypted, None);
        let mut far = Vec::new();
        let head = loop {
            let view = View { far: &far, may_look: true, is_thorough: true, ..front };
            match super::super::probe(&view) {
                Probe::Recognised(head) => break head,
                Probe::At(at) => {
                    far.push((at, file[usize::try_from(at).unwrap()..].to_vec()));
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(head.is_encrypted, Some(true));
        assert_eq!((head.video, head.has_video), (Some(Codec::H264), Some(true)));
        assert_eq!(far.len(), 1, "looks, {before} tables in front of all");
    }
}

#[test]
fn encrypted_samples_are_told_by_their_descriptions() {
    let of = |entries: &[u8]| {
        let moov = boxed(b"moov", &[mvhd(1000, 5), trak(b"vide", entries)].concat());
        let file = [moov, boxed(b"mdat", &[1; 9])].concat();
        let Probe::Recognised(head) = sniff(&file, None, false) else { panic!() };
        head.is_encrypted == Some(true)
    };
    let clear = boxed(b"avc1", &[0; 78]);
    let scheme = boxed(b"sinf", &boxed(b"schm", b"\0\0\0\0cbcs\0\0\0\0"));
    assert!(!of(&clear));
    assert!(of(&boxed(b"encv", &[0; 78])));
    assert!(of(&[clear, boxed(b"encv", &[0; 78])].concat()), "some of them");
    assert!(of(&boxed(b"avc1", &[&[0; 78][..], &scheme].concat())));
    assert!(of(&boxed(b"drms", &[0; 20])));
}

/// A trak with an ID, a time scale of its media, how long it plays in that of the pair, and edits.
fn timed(handler: &[u8; 4], id: u32, scale: u32, long: u32, edits: &[(u32, i32)]) -> Vec<u8> {
    let be =
        |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_be_bytes()).collect() };
    let tkhd = boxed(b"tkhd", &be(&[0, 0, 0, id, 0, long]));
    let entries = edits.iter().flat_map(|(long, at)| [*long, at.cast_unsigned(), 0x1_0000]);
    let numbers: Vec<u32> = [0, edits.len() as u32].into_iter().chain(entries).collect();
    let edts = boxed(b"edts", &boxed(b"elst", &be(&numbers)));
    let hdlr = boxed(b"hdlr", &[&[0; 8], &handler[..], &[0; 12]].concat());
    let mdhd = boxed(b"mdhd", &be(&[0, 0, 0, scale, 0, 0]));
    let stsz = boxed(b"minf", &boxed(b"stbl", &boxed(b"stsz", &be(&[0, 0, 1]))));
    let stsz = if long > 0 { stsz } else { Vec::new() };
    boxed(b"trak", &[tkhd, edts, boxed(b"mdia", &[mdhd, hdlr, stsz].concat())].concat())
}

fn seconds(head: ProbeInfo) -> [Option<u64>; 4] {
    let ProbeInfo { begin, end, video_end, audio_end, .. } = head;
    [Some(begin), end, video_end, audio_end].map(|time| time.map(|time| time.as_secs()))
}

#[test]
fn tracks_tell_when_they_begin_and_end() {
    let pair = |video: &[(u32, i32)], audio: &[(u32, i32)]| {
        let tracks =
            [timed(b"vide", 1, 90_000, 4000, video), timed(b"soun", 2, 48_000, 6000, audio)];
        let moov = boxed(b"moov", &[mvhd(1000, 6000), tracks.concat()].concat());
        let file = [moov, boxed(b"mdat", &[1; 9])].concat();
        let Probe::Recognised(head) = sniff(&file, None, false) else { panic!() };
        seconds(head)
    };
    let ends = [Some(6), Some(4), Some(6)];
    let begins = |begin, ends: [Option<u64>; 3]| [&[Some(begin)][..], &ends].concat();
    assert_eq!(pair(&[(0, 0)], &[(0, 1024)])[..], begins(0, ends));
    assert_eq!(pair(&[(3000, -1), (0, 0)], &[(0, 0)])[..], begins(0, ends));
    assert_eq!(pair(&[(3000, -1), (0, 0)], &[(2000, -1), (0, 0)])[..], begins(2, ends));
}

#[test]
fn each_track_may_have_an_index_of_segments() {
    let mvex = boxed(b"mvex", &[]);
    let tracks = [timed(b"vide", 1, 1000, 0, &[]), timed(b"soun", 2, 1000, 0, &[])].concat();
    let moov = boxed(b"moov", &[mvhd(1000, 0), tracks, mvex].concat());
    let index = |track: u8, seconds: u32, earliest: u32, first_offset: u32| {
        let mut sidx = sidx(&[(400, seconds * 1000)]);
        sidx[15] = track;
        sidx[20..24].copy_from_slice(&earliest.to_be_bytes());
        sidx[24..28].copy_from_slice(&first_offset.to_be_bytes());
        sidx
    };
    let file = |earliest| {
        let second = index(2, 5, earliest, 0);
        [&moov[..], &index(1, 4, earliest, second.len() as u32), &second].concat()
    };
    let of = |file: &[u8]| {
        let verdict = sniff(file, Some(file.len() as u64 + 400), false);
        let Probe::Recognised(head) = verdict else { panic!("{verdict:?}") };
        (seconds(head), head.needs_edit_list)
    };
    assert_eq!(of(&file(0)), ([Some(0), Some(5), Some(4), Some(5)], true));
    let late = [file(10_000), boxed(b"moof", &[0; 300])].concat();
    let (times, _) = of(&late);
    assert_eq!(times, [Some(10), Some(15), Some(14), Some(15)]);
    // The second is waited for.
    let whole = file(0);
    let len = Some(whole.len() as u64 + 400);
    assert_eq!(sniff(&whole[..whole.len() - 1], len, false), Probe::NeedMore);
}
