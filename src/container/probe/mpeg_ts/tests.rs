use super::super::{probe, tests::refusal};
use super::*;
use crate::container::mpeg_ts::psi::tests::{packet, tables};

/// The start of a PES packet with this presentation time.
fn pes(pts: u64, payload: &[u8]) -> Vec<u8> {
    let time = [
        0x21 | (pts >> 29) as u8 & 0xe,
        (pts >> 22) as u8,
        (pts >> 14) as u8 | 1,
        (pts >> 7) as u8,
        (pts << 1) as u8 | 1,
    ];
    [&[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5][..], &time, payload].concat()
}

fn stream(kinds: [u8; 2]) -> Vec<u8> {
    let [video, audio] = kinds;
    [
        tables(&[(video, 0x100, &[]), (audio, 0x101, &[])]),
        packet(0x100, true, 0, &pes(3_600_000, b"")),
        packet(0x100, false, 1, b"more"),
        packet(0x101, true, 0, &pes(3_555_000, &[0xff, 0xfd, 0xa4, 0])),
        packet(0x100, false, 2, b"more"),
    ]
    .concat()
}

fn seen(bytes: &[u8]) -> ProbeInfo {
    match probe(&View::front(bytes, Some(bytes.len() as u64), true)) {
        Probe::Recognised(info) => info,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_packets_tell_codecs_and_begin() {
    let info = seen(&stream([0x1b, 0x0f]));
    assert_eq!((info.format, info.skip), (Format::MpegTs, 0));
    assert_eq!((info.video, info.audio), (Some(Codec::H264), Some(Codec::Aac)));
    assert_eq!((info.begin, info.end), (Duration::from_millis(39_500), None));
    assert_eq!((info.has_video, info.is_encrypted), (Some(true), Some(false)));
    assert_eq!(seen(&stream([0x24, 0x03])).audio, Some(Codec::Mp2));
    assert_eq!(seen(&stream([0x06, 0x0f])).has_video, Some(false));
    assert_eq!(seen(&stream([0xdb, 0x0f])).is_encrypted, Some(true));
    let mut scrambled = stream([0x1b, 0x0f]);
    scrambled[2 * PACKET_SIZE + 3] |= 0x80;
    assert_eq!(seen(&scrambled).is_encrypted, Some(true));
    // No more is awaited than necessary.
    let bytes = stream([0x1b, 0x0f]);
    let needed = 5 * PACKET_SIZE;
    assert_eq!(probe(&View::front(&bytes[..needed - 1], None, false)), Probe::NeedMore);
    assert_eq!(probe(&View::front(&bytes[..needed], None, false)), Probe::Recognised(seen(&bytes)));
}

#[test]
fn an_image_in_front_is_no_disguise() {
    let plain = seen(&stream([0x1b, 0x0f]));
    // Syncs of packets that are none.
    let decoy = [&[SYNC_BYTE][..], &[0; PACKET_SIZE - 1]].concat().repeat(6);
    for image in [
        &b"\x89PNG\r\n\x1a\n some picture"[..],
        b"GIF89a G some picture",
        b"BM\0\0\0\0 some picture",
        b"\xff\xd8\xff\xe0 some picture",
        &[&b"\x89PNG\r\n\x1a\n"[..], &decoy, b"12345"].concat(),
    ] {
        let disguised = [image, &stream([0x1b, 0x0f])].concat();
        assert_eq!(seen(&disguised), ProbeInfo { skip: image.len() as u64, ..plain });
    }
    let picture = [&b"\x89PNG\r\n\x1a\n"[..], &decoy, &[7; 9000]].concat();
    assert!(refusal(&picture).contains("no supported container"));
}

#[test]
fn packets_without_tables_are_named() {
    let packets = packet(0x100, true, 0, b"").repeat(9);
    assert!(refusal(&packets).contains("without a list of its streams"));
    assert!(refusal(b"G is a letter, and this is text").contains("no supported container"));
    let short = &stream([0x1b, 0x0f])[..3 * PACKET_SIZE];
    assert_eq!(seen(short).begin, Duration::from_secs(40), "a file of three packets");
}
