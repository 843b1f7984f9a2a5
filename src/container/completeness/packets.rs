//! MPEG transport streams: packets of one length.

use super::{Structure, Unit};
use crate::container::mpeg_ts::packet::{PACKET_SIZE, count_synced};

#[derive(Debug, Default)]
pub(super) struct Packets;

impl Structure for Packets {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        match count_synced(bytes) {
            0 => Unit::Open,
            count => Unit::Len((count * PACKET_SIZE) as u64),
        }
    }
}
