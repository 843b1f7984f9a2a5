//! Archives whose files are sent one after the other: what stands before, between and behind their bytes. Pure.
//!
//! **Invariant:** how long that is depends on the names and lengths of the files alone, so that the length of an archive,
//! and the place of each of its bytes, are known before the first one is sent.

use std::ops::Range;

mod checksum;
mod tar;
mod zip;

pub use checksum::Checksum;

/// The format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// tar (POSIX.1-2001, pax). Its files must have known lengths.
    Tar,
    /// ZIP with 64-bit lengths, whose files are stored as they are.
    Zip,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, which is safe on every file system.
    pub name: String,
    /// Its length, if it is known before its bytes are sent.
    pub len: Option<u64>,
    /// When it was made, in seconds since 1970.
    pub modified: u64,
}

/// A file of an archive that is sent, or that is left out of a byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its length.
    pub len: u64,
    /// Its CRC-32; 0 in a tar, which has none.
    pub crc: u32,
}

impl ArchiveFormat {
    /// All formats.
    pub const ALL: [ArchiveFormat; 2] = [ArchiveFormat::Tar, ArchiveFormat::Zip];

    /// Parses a value of the parameter `as`.
    pub fn from_name(name: &str) -> Option<ArchiveFormat> {
        Self::ALL.into_iter().find(|format| format.extension() == name)
    }

    /// Returns the file extension, which is also the value of the parameter.
    pub fn extension(self) -> &'static str {
        match self {
            ArchiveFormat::Tar => "tar",
            ArchiveFormat::Zip => "zip",
        }
    }

    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            ArchiveFormat::Tar => "application/x-tar",
            ArchiveFormat::Zip => "application/zip",
        }
    }

    /// Returns what stands before the bytes of a file.
    pub fn header(self, member: &Member) -> Vec<u8> {
        match self {
            ArchiveFormat::Tar => tar::header(member),
            ArchiveFormat::Zip => zip::local_header(member),
        }
    }

    /// Returns what stands behind the bytes of a file.
    pub fn footer(self, sent: Sent) -> Vec<u8> {
        match self {
            ArchiveFormat::Tar => tar::padding(sent.len),
            ArchiveFormat::Zip => zip::data_descriptor(sent),
        }
    }

    /// Returns what stands behind all files.
    pub fn trailer(self, files: &[(Member, Sent)]) -> Vec<u8> {
        match self {
            ArchiveFormat::Tar => tar::end(),
            ArchiveFormat::Zip => zip::directory(files),
        }
    }
}

/// Where everything is in an archive of files of known lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    format: ArchiveFormat,
    members: Vec<Member>,
    /// Where the header of each file begins.
    starts: Vec<u64>,
    /// Where the trailer begins.
    end: u64,
    len: u64,
}

/// A part of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// These bytes of the header of a file.
    Header(usize, Range<u64>),
    /// These bytes of a file.
    Content(usize, Range<u64>),
    /// These bytes of what stands behind a file.
    Footer(usize, Range<u64>),
    /// These bytes of the trailer.
    Trailer(Range<u64>),
}

impl Layout {
    /// Computes the layout; `None` unless the lengths of all files are known.
    pub fn new(format: ArchiveFormat, members: Vec<Member>) -> Option<Layout> {
        let (mut starts, mut at) = (Vec::with_capacity(members.len()), 0_u64);
        let mut files = Vec::with_capacity(members.len());
        for member in &members {
            let sent = Sent { len: member.len?, crc: 0 };
            starts.push(at);
            let around = format.header(member).len() + format.footer(sent).len();
            at = at.checked_add(sent.len)?.checked_add(around as u64)?;
            files.push((member.clone(), sent));
        }
        let len = at.checked_add(format.trailer(&files).len() as u64)?;
        Some(Layout { format, members, starts, end: at, len })
    }

    /// Returns the length of the archive.
    pub fn total_len(&self) -> u64 {
        self.len
    }

    /// Returns the files.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the format.
    pub fn format(&self) -> ArchiveFormat {
        self.format
    }

    /// Returns the parts of a byte range, in order; none of them is empty.
    pub fn parts(&self, range: &Range<u64>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut add = |at: u64, len: u64, part: &dyn Fn(Range<u64>) -> Part| {
            let (start, end) = (range.start.max(at), range.end.min(at + len));
            if start < end {
                parts.push(part(start - at..end - at));
            }
        };
        for (index, (member, start)) in self.members.iter().zip(&self.starts).enumerate() {
            let header = self.format.header(member).len() as u64;
            let content = member.len.unwrap_or(0);
            let next = self.starts.get(index + 1).copied().unwrap_or(self.end);
            let footer = start + header + content;
            add(*start, header, &|bytes| Part::Header(index, bytes));
            add(start + header, content, &|bytes| Part::Content(index, bytes));
            add(footer, next - footer, &|bytes| Part::Footer(index, bytes));
        }
        add(self.end, self.len - self.end, &Part::Trailer);
        parts
    }
}

#[cfg(test)]
mod tests;
