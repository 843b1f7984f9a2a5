//! [`Demuxer`] takes the packets of a transport stream and returns the bytes of selected elementary
//! streams.
//!
//! **Invariant:** no bytes of a selected stream are left out after its first PES packet.

use super::{Malformed, PACKET_SIZE, Packet, PesHeader, Program, Tables};

/// The maximum length of the payload of a packet.
const MAX_PAYLOAD: usize = PACKET_SIZE - 4;

/// What a selected stream has next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A PES packet begins.
    Begin(PesHeader),
    /// The next bytes of the payload of the PES packet.
    Data(&'a [u8]),
}

/// Collects the bytes of selected streams.
#[derive(Debug, Clone, Default)]
pub struct Demuxer {
    tables: Tables,
    streams: Vec<Stream>,
}

#[derive(Debug, Clone)]
struct Stream {
    pid: u16,
    /// The counter and payload of the packet before.
    last: Option<(u8, Payload)>,
    state: State,
    /// The first bytes of a PES packet whose header is still incomplete.
    header: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Payload {
    bytes: [u8; MAX_PAYLOAD],
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No PES packet has begun yet.
    Idle,
    Header,
    /// Within a payload with this number of remaining bytes, if it is known.
    Payload(Option<usize>),
}

impl Demuxer {
    /// Selects the streams with these PIDs; events refer to them by index.
    pub fn new(pids: &[u16]) -> Demuxer {
        let mut demuxer = Demuxer::default();
        demuxer.select(pids);
        demuxer
    }

    /// Selects streams anew.
    pub fn select(&mut self, pids: &[u16]) {
        let stream = |pid| Stream { pid, last: None, state: State::Idle, header: Vec::new() };
        self.streams = pids.iter().copied().map(stream).collect();
    }

    /// Takes a packet. Returns the program, if its list of streams ends in the packet; passes what it has
    /// of a selected stream to `sink`.
    pub fn push(
        &mut self,
        bytes: &[u8; PACKET_SIZE],
        sink: &mut dyn FnMut(usize, Event<'_>) -> Result<(), Malformed>,
    ) -> Result<Option<Program>, Malformed> {
        let packet = Packet::parse(bytes).ok_or(Malformed("a packet is malformed"))?;
        let selected = self.streams.iter_mut().enumerate();
        let selected = selected.into_iter().find(|(_, stream)| stream.pid == packet.pid);
        match selected {
            Some((index, stream)) => {
                stream.push(&packet, &mut |event| sink(index, event)).map(|()| None)
            }
            None => Ok(self.tables.push(&packet)),
        }
    }

    /// Begins another segment: its packets are counted anew.
    pub fn begin_segment(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.last = None);
    }

    /// Returns whether exactly the streams with these PIDs are selected.
    pub fn has(&self, pids: &[u16]) -> bool {
        self.streams.iter().map(|stream| stream.pid).eq(pids.iter().copied())
    }

    /// Returns whether the end of a PES packet of the stream is missing.
    pub fn is_cut(&self, index: usize) -> bool {
        matches!(self.streams[index].state, State::Header | State::Payload(Some(1..)))
    }

    /// Returns whether a PES packet of the stream may continue.
    pub fn is_open(&self, index: usize) -> bool {
        !matches!(self.streams[index].state, State::Idle | State::Payload(Some(0)))
    }
}

impl Stream {
    fn push(
        &mut self,
        packet: &Packet<'_>,
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if packet.is_damaged {
            return Err(Malformed("a packet is marked as damaged"));
        }
        let Some(mut payload) = packet.payload else { return Ok(()) };
        if packet.is_scrambled {
            return Err(Malformed::SCRAMBLED);
        }
        if self.is_repeated(packet, payload)? {
            return Ok(());
        }
        if packet.is_start {
            if !matches!(self.state, State::Idle | State::Payload(None | Some(0))) {
                return Err(Malformed("a PES packet is cut"));
            }
            self.state = State::Header;
        }
        if self.state == State::Header {
            let before = self.header.len();
            let room = PesHeader::MAX_LEN - before;
            self.header.extend_from_slice(payload.get(..room).unwrap_or(payload));
            let needed = self.header.get(8).map(|optional| 9 + usize::from(*optional));
            let Some(needed) = needed.filter(|needed| *needed <= self.header.len()) else {
                return Ok(());
            };
            let header = PesHeader::parse(&self.header)
                .ok_or(Malformed("the header of a PES packet is malformed"))?;
            if header.is_scrambled {
                return Err(Malformed::SCRAMBLED);
            }
            // The header ended in this packet, and not in the one before.
            payload = &payload[needed - before..];
            self.header.clear();
            self.state = State::Payload(header.payload_len);
            sink(Event::Begin(header))?;
        }
        match &mut self.state {
            // The rest of a PES packet whose begin is not here.
            State::Idle | State::Header => return Ok(()),
            State::Payload(None) => {}
            State::Payload(Some(left)) => {
                *left = left
                    .checked_sub(payload.len())
                    .ok_or(Malformed("a PES packet is longer than it declares"))?;
            }
        }
        if payload.is_empty() { Ok(()) } else { sink(Event::Data(payload)) }
    }

    /// Returns whether the packet is the one before, sent again; checks that none is missing.
    fn is_repeated(&mut self, packet: &Packet<'_>, payload: &[u8]) -> Result<bool, Malformed> {
        if let Some((counter, last)) = &self.last
            && !packet.is_discontinuous
        {
            let is_next = packet.counter == (counter + 1) & 0xf;
            if packet.counter == *counter && last.bytes[..last.len] == *payload {
                return Ok(true);
            }
            if !is_next {
                return Err(Malformed("packets are missing"));
            }
        }
        let none = (0, Payload { bytes: [0; MAX_PAYLOAD], len: 0 });
        let (counter, last) = self.last.get_or_insert(none);
        *counter = packet.counter;
        last.len = payload.len();
        last.bytes[..payload.len()].copy_from_slice(payload);
        Ok(false)
    }
}
