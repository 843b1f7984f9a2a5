//! Frames that are spread over packets in every way, and bytes that are no stream.

use proptest::prelude::*;

use super::pes::WRAP;
use super::psi::tests::packet;
use super::*;
use crate::container::probe::Codec;

const TIMES: Times = Times { pts: 90_000, dts: 87_000 };

/// A header of a PES packet, without a length if that is 0.
fn header(times: Times, len: usize) -> Vec<u8> {
    let time = |prefix: u8, time: u64| {
        [
            prefix << 4 | (time >> 29) as u8 & 0xe | 1,
            (time >> 22) as u8,
            (time >> 14) as u8 | 1,
            (time >> 7) as u8,
            (time << 1) as u8 | 1,
        ]
    };
    let len = if len == 0 { 0 } else { len as u16 + 13 };
    let [a, b] = len.to_be_bytes();
    let fixed = [0, 0, 1, 0xe0, a, b, 0x80, 0xc0, 10];
    [&fixed[..], &time(3, times.pts), &time(1, times.dts)].concat()
}

/// The packets of a PES packet, with payloads of this length.
fn packets(pid: u16, bytes: &[u8], counter: &mut u8, each: usize) -> Vec<[u8; PACKET_SIZE]> {
    let chunks = bytes.chunks(each).enumerate();
    let packets = chunks.map(|(index, chunk)| {
        *counter = (*counter + 1) & 0xf;
        *packet(pid, index == 0, *counter, chunk).first_chunk().unwrap()
    });
    packets.collect()
}

/// Everything that comes of these packets, or the first error.
fn demuxed(packets: &[[u8; PACKET_SIZE]]) -> Result<(usize, Vec<u8>), Malformed> {
    let mut demuxer = Demuxer::new(&[0x100]);
    let (mut begins, mut data) = (0, Vec::new());
    for bytes in packets {
        demuxer.push(bytes, &mut |_, event| {
            match event {
                Event::Begin(header) => {
                    assert_eq!(header.pts, Some(TIMES.pts));
                    begins += 1;
                }
                Event::Data(bytes) => data.extend_from_slice(bytes),
            }
            Ok(())
        })?;
    }
    if demuxer.is_cut(0) { Err(Malformed("cut")) } else { Ok((begins, data)) }
}

#[test]
fn payloads_are_collected_whatever_packets_they_are_in() {
    let content: Vec<u8> = (0..=255).cycle().take(1000).collect();
    for len in [0, content.len()] {
        for each in [1, 7, 20, 100, 183] {
            let mut counter = 3;
            let pes = [header(TIMES, len), content.clone()].concat();
            let mut all = packets(0x100, &pes, &mut counter, each);
            all.extend(packets(0x100, &pes, &mut counter, each));
            let twice = content.repeat(2);
            assert_eq!(demuxed(&all), Ok((2, twice)), "{each} bytes each");
            let repeated: Vec<_> = all.iter().flat_map(|packet| [*packet, *packet]).collect();
            assert_eq!(demuxed(&repeated), demuxed(&all));
            // What was begun before is left out.
            let (_, rest) = demuxed(&all[1..]).unwrap_or_default();
            assert!(rest.is_empty() || rest == content);
        }
    }
}

#[test]
fn missing_packets_are_missed() {
    let content = [5; 1000];
    let pes = [header(TIMES, content.len()), content.to_vec()].concat();
    let all = packets(0x100, &pes, &mut 0, 100);
    for lost in 1..all.len() {
        let some = [&all[..lost], &all[lost + 1..]].concat();
        assert!(demuxed(&some).is_err(), "packet {lost}");
    }
    // Sixteen of them, as the counter has it; but the length tells.
    let many = packets(0x100, &pes, &mut 0, 50);
    assert!(demuxed(&[&many[..2], &many[18..]].concat()).is_err());
    let longer = [&pes[..], &[5]].concat();
    assert!(demuxed(&packets(0x100, &longer, &mut 0, 100)).is_err(), "longer than declared");
}

/// An access unit of AVC in the byte stream format.
fn avc_unit(slices: u8, fill: u8) -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 1, 9, 0xf0];
    for slice in 0..slices {
        let first = if slice == 0 { 0x80 } else { 0x40 };
        unit.extend([0, 0, 1, 0x41, first, fill, 1, 2, 3, fill, 0, 0, 3]);
    }
    unit
}

#[test]
fn access_units_are_found_wherever_they_begin() {
    let units = [avc_unit(1, 7), avc_unit(3, 8), avc_unit(2, 9)];
    let stream = units.concat();
    let time = |index: u64| Times { pts: index, dts: index };
    // The packets begin in the units before them, by this many bytes.
    for early in 0..12 {
        let mut parser = VideoUnits::new(Codec::H264).unwrap();
        let mut found = Vec::new();
        let mut sink = |unit: VideoUnit<'_>, _| {
            found.push((unit.times, unit.bytes.to_vec()));
            Ok(())
        };
        let mut begins: Vec<usize> = vec![0];
        begins.extend([units[0].len() - early, units[0].len() + units[1].len() - early]);
        begins.push(stream.len());
        for (index, range) in begins.windows(2).enumerate() {
            parser.begin_packet(Some(time(index as u64)));
            for byte in &stream[range[0]..range[1]] {
                parser.push(&[*byte], &mut sink).unwrap();
            }
        }
        parser.finish(&mut |unit| sink(unit, TIMES)).unwrap();
        let expected = units.iter().zip(0..).map(|(unit, index)| (time(index), unit));
        for ((times, bytes), (own, unit)) in found.iter().zip(expected) {
            let strip = |bytes: &[u8]| nal::units(bytes).map(<[u8]>::to_vec).collect::<Vec<_>>();
            assert_eq!((*times, strip(bytes)), (own, strip(unit)), "{early} bytes early");
        }
        assert_eq!(found.len(), 3, "{early} bytes early");
    }
}

fn adts(len: usize, fill: u8) -> Vec<u8> {
    let [a, b] = (len as u16).to_be_bytes();
    let head = [0xff, 0xf1, 0x50, 0x80 | a >> 3, a << 5 | b >> 3, b << 5 | 0x1f, 0xfc];
    [&head[..], &vec![fill; len - 7]].concat()
}

#[test]
fn audio_frames_may_begin_in_the_packet_before() {
    let frames: Vec<_> = (0..9).map(|index| adts(50 + index * 10, index as u8)).collect();
    let stream = frames.concat();
    for each in [3, 60, 100, stream.len()] {
        let mut parser = AudioFrames::new(Codec::Aac).unwrap();
        let mut found = Vec::new();
        for (index, chunk) in stream.chunks(each).enumerate() {
            parser.begin_packet(Some(index as u64));
            let mut sink = |frame: AudioFrame<'_>| {
                found.push((frame.pts, frame.bytes.to_vec()));
                Ok(())
            };
            parser.push(chunk, &mut sink).unwrap();
        }
        assert!(!parser.is_within_frame());
        assert!(found.iter().map(|(_, bytes)| bytes).eq(&frames), "{each} bytes each");
        // The time is that of the packet in which the frame is the first to begin.
        let mut at = 0;
        let mut last = None;
        for ((pts, bytes), frame) in found.iter().zip(&frames) {
            let packet = Some((at / each) as u64);
            assert_eq!(*pts, packet.filter(|_| packet != last), "{each} bytes each, {at}");
            (last, at) = (packet, at + frame.len());
            assert_eq!(bytes, frame);
        }
    }
}

/// Both segments find the same frames: the one in which a frame ends, and the one after.
#[test]
fn a_frame_across_segments_belongs_to_the_first() {
    let frames: Vec<_> = (0..6).map(|index| adts(60, index)).collect();
    let stream = frames.concat();
    for cut in [120, 121, 150, 179, 180] {
        let (mut own, mut other) = (Vec::new(), Vec::new());
        let mut first = AudioFrames::new(Codec::Aac).unwrap();
        first.begin_packet(Some(0));
        let mut collect = |frame: AudioFrame<'_>| {
            own.push(frame.bytes.to_vec());
            Ok(())
        };
        first.push(&stream[..cut], &mut collect).unwrap();
        first.end_segment();
        for byte in &stream[cut..] {
            if first.is_settled().unwrap() {
                break;
            }
            first.push(&[*byte], &mut collect).unwrap();
        }
        assert!(first.is_settled().unwrap(), "cut at {cut}");
        let mut second = AudioFrames::new(Codec::Aac).unwrap();
        second.begin_packet(Some(1));
        let mut collect = |frame: AudioFrame<'_>| {
            other.push(frame.bytes.to_vec());
            Ok(())
        };
        second.push(&stream[cut..], &mut collect).unwrap();
        assert_eq!([own, other].concat(), frames, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..1200),
        start in prop::sample::select(vec![
            &b""[..], b"\0\0\x01\x67\x64\0\x1e\xac", b"\0\0\x01\x42\x01\x01", b"\xff\xf1\x50\x80\x0c\x9f\xfc",
            b"\x0b\x77\x01\x7f\x3f\x80", b"\x0b\x77\0\0\x1c\x40\xe1",
        ]),
        step in 1_usize..300,
    ) {
        let bytes = [start, &bytes].concat();
        let times = Times { pts: WRAP - 1, dts: 0 };
        for codec in [Codec::H264, Codec::Hevc] {
            let unit = VideoUnit { times, bytes: &bytes };
            if let Some(config) = VideoConfig::read(codec, &unit) {
                config.record();
                config.convert(&unit, &mut Vec::new()).ok();
            }
            let mut units = VideoUnits::new(codec).unwrap();
            for chunk in bytes.chunks(step) {
                units.begin_packet(Some(times));
                units.push(chunk, &mut |_, _| Ok(())).ok();
            }
            units.finish(&mut |_| Ok(())).ok();
        }
        for codec in [Codec::Aac, Codec::Ac3, Codec::Eac3, Codec::Mp3] {
            AudioConfig::read(codec, &bytes).ok();
            let mut frames = AudioFrames::new(codec).unwrap();
            for chunk in bytes.chunks(step) {
                frames.begin_packet(Some(1));
                frames.push(chunk, &mut |_| Ok(())).ok();
                frames.is_settled().ok();
            }
            frames.end_segment();
            frames.is_settled().ok();
        }
        let mut demuxer = Demuxer::new(&[0x100]);
        for packet in bytes.as_chunks().0 {
            let mut packet: [u8; PACKET_SIZE] = *packet;
            let flags = packet[1] & 0xe0;
            packet[..3].copy_from_slice(&[0x47, flags | 1, 0]);
            demuxer.push(&packet, &mut |_, _| Ok(())).ok();
        }
        super::PesHeader::parse(&bytes);
    }
}
