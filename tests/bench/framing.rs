//! Where a body over HTTP begins and how its end is told (RFC 9112 §6).
//!
//! It must never take the end of a connection for the end of a body that has a length.

use crate::Outcome;

/// How the end of a body is told (RFC 9112 §6.3), and how much of it is still to come.
pub(crate) enum Framing {
    UntilClose,
    Length(u64),
    Chunked(Chunk),
}

/// Where in a chunked body we are (RFC 9112 §7.1).
pub(crate) enum Chunk {
    Size { line: Vec<u8> },
    Data { left: u64 },
    DataEnd { left: u8 },
    Trailer { line: usize },
    Done,
}

impl Framing {
    pub(crate) fn complete(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Gives the body's part of `piece` to `sink`, without copying it.
    pub(crate) fn feed(&mut self, mut piece: &[u8], mut sink: impl FnMut(&[u8])) -> Outcome<()> {
        match self {
            Self::UntilClose => sink(piece),
            Self::Length(left) => {
                *left = left
                    .checked_sub(piece.len() as u64)
                    .ok_or("more bytes than Content-Length said")?;
                sink(piece);
            }
            Self::Chunked(chunk) => {
                while let Some((first, rest)) = piece.split_first() {
                    if let Chunk::Data { left } = chunk {
                        let (data, after) =
                            piece.split_at((*left).min(piece.len() as u64) as usize);
                        sink(data);
                        *left -= data.len() as u64;
                        piece = after;
                        if *left == 0 {
                            *chunk = Chunk::DataEnd { left: 2 };
                        }
                    } else {
                        chunk.step(*first)?;
                        piece = rest;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Chunk {
    /// One byte between the data of one chunk and that of the next.
    fn step(&mut self, byte: u8) -> Outcome<()> {
        match self {
            Self::Size { line } if byte == b'\n' => {
                let digits =
                    line.split(|byte| matches!(byte, b';' | b'\r')).next().unwrap_or_default();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
                *self = match size.ok_or("a chunk without a size")? {
                    0 => Self::Trailer { line: 0 },
                    left => Self::Data { left },
                };
            }
            Self::Size { line } if line.len() < 64 => line.push(byte),
            Self::Size { .. } => return Err("a chunk size without an end".into()),
            Self::DataEnd { left: 1 } => *self = Self::Size { line: Vec::new() },
            Self::DataEnd { left } => *left -= 1,
            Self::Trailer { line: 0 | 1 } if byte == b'\n' => *self = Self::Done,
            Self::Trailer { line } => *line = if byte == b'\n' { 0 } else { *line + 1 },
            Self::Data { .. } | Self::Done => return Err("bytes after the last chunk".into()),
        }
        Ok(())
    }
}

/// What a response head says.
pub(crate) struct Head {
    /// Its length in bytes.
    pub(crate) len: usize,
    pub(crate) framing: Framing,
    /// The muxer that made the body, where the server tells (`Server-Timing`).
    pub(crate) engine: Option<String>,
    /// How many milliseconds passed until the page was read, from the same field.
    pub(crate) resolved: Option<f64>,
}

/// Reads a response head, once it is whole.
pub(crate) fn parse_head(bytes: &[u8]) -> Outcome<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = response.parse(bytes)? else {
        return Ok(None);
    };
    if response.code != Some(200) {
        let body = String::from_utf8_lossy(&bytes[len..]);
        return Err(format!("answered {}: {}", response.code.unwrap_or(0), body.trim()).into());
    }
    let value = |name: &str| {
        let header =
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let framing = match (value("transfer-encoding"), value("content-length")) {
        (Some("chunked"), _) => Framing::Chunked(Chunk::Size { line: Vec::new() }),
        (Some(other), _) => return Err(format!("unexpected transfer encoding {other}").into()),
        (None, Some(len)) => Framing::Length(len.parse()?),
        (None, None) => Framing::UntilClose,
    };
    let timing = value("server-timing").unwrap_or_default();
    let between = |before, after| Some(timing.split_once(before)?.1.split_once(after)?.0);
    let engine = between("engine;desc=\"", "\"").map(str::to_owned);
    let resolved = between("resolve;dur=", ",").and_then(|millis| millis.parse().ok());
    Ok(Some(Head { len, framing, engine, resolved }))
}
