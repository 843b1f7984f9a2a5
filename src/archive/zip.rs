//! The records of a ZIP archive (APPNOTE.TXT 6.3.10), whose files are stored, with 64-bit lengths. The checksum of a
//! file stands behind it: before it was sent, nobody knows it.

use time::OffsetDateTime;

use super::{Member, Sent};

/// Version 4.5 has 64-bit lengths.
const VERSION: u16 = 45;
/// The version, made on Unix: the external attributes are a mode.
const MADE_BY: u16 = 3 << 8 | VERSION;
/// The lengths and the checksum stand behind the file; the name is UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
const STORED: u16 = 0;
/// A regular file that others may read.
const MODE: u32 = 0o100_644 << 16;
/// In place of a length that stands in the 64-bit field.
const IN_ZIP64: u32 = u32::MAX;
/// The id of the field with 64-bit lengths.
const ZIP64: u16 = 1;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DATA_DESCRIPTOR: u32 = 0x0807_4b50;
const DIRECTORY_HEADER: u32 = 0x0201_4b50;
const DIRECTORY_END_64: u32 = 0x0606_4b50;
const DIRECTORY_LOCATOR: u32 = 0x0706_4b50;
const DIRECTORY_END: u32 = 0x0605_4b50;

/// Bytes, little-endian.
#[derive(Default)]
struct Record(Vec<u8>);

impl Record {
    fn u16(mut self, value: u16) -> Record {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Record {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Record {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Record {
        self.0.extend(bytes);
        self
    }

    /// Adds version, flags, method, time and date.
    fn kind(self, member: &Member) -> Record {
        let (time, date) = dos_time(member.modified);
        self.u16(VERSION).u16(FLAGS).u16(STORED).u16(time).u16(date)
    }

    /// Adds the length of a name. Names of files are shorter than 64 KiB.
    fn name_len(self, member: &Member) -> Record {
        self.u16(u16::try_from(member.name.len()).unwrap_or(u16::MAX))
    }
}

/// Returns what stands before a file.
pub(super) fn local_header(member: &Member) -> Vec<u8> {
    let len = member.len.unwrap_or(0);
    let record = Record::default().u32(LOCAL_HEADER).kind(member);
    let record = record.u32(0).u32(IN_ZIP64).u32(IN_ZIP64).name_len(member).u16(20);
    record.bytes(member.name.as_bytes()).u16(ZIP64).u16(16).u64(len).u64(len).0
}

/// Returns what stands behind a file.
pub(super) fn data_descriptor(sent: Sent) -> Vec<u8> {
    Record::default().u32(DATA_DESCRIPTOR).u32(sent.crc).u64(sent.len).u64(sent.len).0
}

/// Returns what stands behind all files: where each of them is.
pub(super) fn directory(files: &[(Member, Sent)]) -> Vec<u8> {
    let (mut record, mut at) = (Record::default(), 0);
    for (member, sent) in files {
        record = record.u32(DIRECTORY_HEADER).u16(MADE_BY).kind(member).u32(sent.crc);
        record = record.u32(IN_ZIP64).u32(IN_ZIP64).name_len(member).u16(28);
        // No comment; on the first disk; no internal attributes.
        record = record.u16(0).u16(0).u16(0).u32(MODE).u32(IN_ZIP64);
        record = record.bytes(member.name.as_bytes());
        record = record.u16(ZIP64).u16(24).u64(sent.len).u64(sent.len).u64(at);
        at += (local_header(member).len() + data_descriptor(*sent).len()) as u64 + sent.len;
    }
    let (len, count) = (record.0.len() as u64, files.len() as u64);
    // 44 bytes follow the length; on the first of one disks.
    record = record.u32(DIRECTORY_END_64).u64(44).u16(MADE_BY).u16(VERSION).u32(0).u32(0);
    record = record.u64(count).u64(count).u64(len).u64(at);
    record = record.u32(DIRECTORY_LOCATOR).u32(0).u64(at + len).u32(1);
    let short = u16::try_from(count).unwrap_or(u16::MAX);
    let record = record.u32(DIRECTORY_END).u16(0).u16(0).u16(short).u16(short);
    record.u32(IN_ZIP64).u32(IN_ZIP64).u16(0).0
}

/// Returns time and date in the form of MS-DOS, which begins in 1980.
fn dos_time(seconds: u64) -> (u16, u16) {
    const FIRST: (u16, u16) = (0, 1 << 5 | 1);
    let Some(at) =
        i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
    else {
        return FIRST;
    };
    let years = at.year() - 1980;
    if !(0..128).contains(&years) {
        return FIRST;
    }
    let (hour, minute, second) = at.to_hms();
    let time = u16::from(hour) << 11 | u16::from(minute) << 5 | u16::from(second / 2);
    let date = (years as u16) << 9 | u16::from(u8::from(at.month())) << 5 | u16::from(at.day());
    (time, date)
}
