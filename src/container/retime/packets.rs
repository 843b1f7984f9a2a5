//! The timestamps of transport streams (ISO/IEC 13818-1 §2.4.3.5 and §2.4.3.6).

use std::collections::HashMap;

use super::Shift;
use crate::container::mpeg_ts::packet::{PACKET_SIZE, Packet, SYNC_BYTE};
use crate::container::mpeg_ts::pes::{PesHeader, WRAP};
use crate::container::mpeg_ts::psi::{ElementaryStream, StreamKind, Tables};

/// Packets of a transport stream, as they come.
#[derive(Default)]
pub(super) struct Packets {
    /// A packet that is not complete.
    partial: Vec<u8>,
    tables: Tables,
    /// The video and audio of the first part.
    streams: Option<Vec<ElementaryStream>>,
    /// The continuity counters, by PID.
    counters: HashMap<u16, Counter>,
}

/// The continuity counter of the packets of one PID.
#[derive(Default)]
struct Counter {
    /// What is added to those of the current part; `None` until its first packet.
    shift: Option<u8>,
    /// The last one, shifted.
    last: u8,
}

impl Packets {
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        shift: &mut Shift,
        output: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        self.partial.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.partial);
        let mut rest = &bytes[..];
        loop {
            // What is no packet stays as it is, such as an image before a segment.
            let count = rest.iter().position(|byte| *byte == SYNC_BYTE).unwrap_or(rest.len());
            output.extend_from_slice(&rest[..count]);
            rest = &rest[count..];
            let Some((packet, behind)) = rest.split_first_chunk::<PACKET_SIZE>() else { break };
            let mut packet = *packet;
            self.mend(&mut packet, shift)?;
            output.extend_from_slice(&packet);
            rest = behind;
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// Begins another part: its counters go on, too, or its first packets would count as damaged.
    pub(super) fn restart(&mut self) {
        self.counters.values_mut().for_each(|counter| counter.shift = None);
    }

    pub(super) fn finish(self, output: &mut Vec<u8>) {
        output.extend(self.partial);
    }

    fn mend(
        &mut self,
        bytes: &mut [u8; PACKET_SIZE],
        shift: &mut Shift,
    ) -> Result<(), &'static str> {
        let copy = *bytes;
        let Some(packet) = Packet::parse(&copy) else { return Ok(()) };
        bytes[3] = bytes[3] & 0xf0 | self.counter(&packet);
        if self.tables.holds(packet.pid) {
            return self.compare_streams(&packet);
        }
        let header = packet.payload.filter(|_| packet.is_start && !packet.is_scrambled);
        let header = header.and_then(|payload| {
            let at = PACKET_SIZE - payload.len();
            Some((at, PesHeader::parse(payload)?))
        });
        if let Some((at, PesHeader { pts: Some(pts), dts, .. })) = header {
            let ticks = shift.at(dts.unwrap_or(pts) as i64)?;
            write_timestamp(&mut bytes[at + 9..], shifted(pts, ticks));
            if let Some(dts) = dts {
                write_timestamp(&mut bytes[at + 14..], shifted(dts, ticks));
            }
        }
        mend_clock(bytes, shift.ticks);
        Ok(())
    }

    /// Returns the continuity counter of a packet. It counts those with a payload.
    fn counter(&mut self, packet: &Packet<'_>) -> u8 {
        let next = u8::from(packet.payload.is_some());
        let first = || Counter { shift: Some(0), last: 0 };
        let counter = self.counters.entry(packet.pid).or_insert_with(first);
        let expected = counter.last.wrapping_add(next);
        let shift = *counter.shift.get_or_insert(expected.wrapping_sub(packet.counter) & 0xf);
        counter.last = packet.counter.wrapping_add(shift) & 0xf;
        counter.last
    }

    /// Checks that the streams are those of the first part: other ones would be left out.
    fn compare_streams(&mut self, packet: &Packet<'_>) -> Result<(), &'static str> {
        let Some(program) = self.tables.push(packet) else { return Ok(()) };
        let is_media = |stream: &ElementaryStream| stream.kind != StreamKind::Other;
        let streams: Vec<_> = program.streams.into_iter().filter(is_media).collect();
        if *self.streams.get_or_insert_with(|| streams.clone()) == streams {
            Ok(())
        } else {
            Err("its streams have become other ones (codec or PID)")
        }
    }
}

fn shifted(time: u64, ticks: i64) -> u64 {
    (time as i64).wrapping_add(ticks).rem_euclid(WRAP as i64) as u64
}

/// Writes a timestamp into its 5 bytes, between the bits that are there.
fn write_timestamp(bytes: &mut [u8], time: u64) {
    let Some([a, b, c, d, e]) = bytes.first_chunk_mut::<5>() else { return };
    *a = *a & 0xf1 | (time >> 29) as u8 & 0x0e;
    *b = (time >> 22) as u8;
    *c = (time >> 14) as u8 | 1;
    *d = (time >> 7) as u8;
    *e = (time << 1) as u8 | 1;
}

/// Shifts the clock reference of a packet (PCR), if it has any.
fn mend_clock(bytes: &mut [u8; PACKET_SIZE], ticks: i64) {
    let has_field = bytes[3] & 0x20 != 0 && bytes[4] >= 7 && bytes[5] & 0x10 != 0;
    if !has_field {
        return;
    }
    let base = bytes[6..11].iter().fold(0, |base, byte| base << 8 | u64::from(*byte));
    let base = shifted(base >> 7, ticks);
    bytes[6..10].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
    bytes[10] = bytes[10] & 0x7f | ((base & 1) as u8) << 7;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{LiveClock, Restart, Retimer};
    use super::*;
    use crate::container::probe::Format;

    /// A packet in which a PES packet begins, with a clock reference of the same time.
    fn packet(counter: u8, pts: u64, dts: u64) -> Vec<u8> {
        let mut bytes = vec![0x47, 0x41, 0x00, 0x30 | counter, 7, 0x10];
        bytes.extend((((dts << 7) | 0x7e) << 8).to_be_bytes()[2..].iter());
        bytes.extend([0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10]);
        for (mark, time) in [(0x31, pts), (0x11, dts)] {
            let mut field = [mark, 0, 1, 0, 1];
            write_timestamp(&mut field, time);
            bytes.extend(field);
        }
        bytes.resize(PACKET_SIZE, 0xff);
        bytes
    }

    #[test]
    fn timestamps_go_on_whatever_the_steps() {
        let first = [packet(14, WRAP - 50, WRAP - 100), packet(15, 3600, 3500)].concat();
        let then = [packet(3, 90_100, 90_000), packet(5, 93_700, 93_600)].concat();
        // It ends 40 ms later than it begins.
        let start = WRAP - 100 + 3600;
        let expected = [
            first.clone(),
            packet(0, (start + 100) % WRAP, start % WRAP),
            // One is missing, as it was.
            packet(2, (start + 3700) % WRAP, (start + 3600) % WRAP),
            vec![0x47; 5],
        ];
        for step in [1, 100, 188, 1000] {
            let mut retimer =
                Retimer::new(Format::MpegTs, &Arc::new(LiveClock::default())).unwrap();
            let mut output = Vec::new();
            first.chunks(step).for_each(|bytes| retimer.push(bytes, &mut output).unwrap());
            retimer.restart(Restart { number: 1, after: Duration::from_millis(40) });
            then.chunks(step).for_each(|bytes| retimer.push(bytes, &mut output).unwrap());
            retimer.push(&[0x47; 5], &mut output).unwrap();
            retimer.finish(&mut output);
            assert!(output == expected.concat(), "{step}");
        }
    }
}
