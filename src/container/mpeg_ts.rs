//! MPEG transport streams (ISO/IEC 13818-1): packets, the tables that list the streams, and the packets
//! of elementary streams. Pure.
//!
//! **Invariant:** nothing is allocated by a length that a stream claims.

pub mod packet;
pub mod pes;
pub mod psi;

pub use packet::{PACKET_SIZE, Packet};
pub use pes::PesHeader;
pub use psi::{ElementaryStream, Program, StreamKind, Tables};
