//! The headers of a tar archive (POSIX.1-2001, pax interchange format), by the library of that name.

use std::io;

use tar::{Builder, EntryType, Header};

use super::Member;

/// Everything in an archive begins at a multiple of this.
const BLOCK: u64 = 512;
/// The largest length that the twelve octal digits of a header have room for.
const MAX_OCTAL: u64 = 0o77_777_777_777;
/// The longest name that a header has room for.
const MAX_NAME: usize = 100;

/// Returns the header of a file; for a name or a length that it has no room for, with a pax header before it.
pub(super) fn header(member: &Member) -> Vec<u8> {
    let len = member.len.unwrap_or(0);
    let mut archive = Builder::new(Vec::new());
    let mut records = Vec::new();
    if !member.name.is_ascii() || member.name.len() > MAX_NAME {
        records.push(("path", member.name.clone()));
    }
    if len > MAX_OCTAL {
        records.push(("size", len.to_string()));
    }
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(member.modified);
    // Programs that know pax take the length from its header.
    header.set_size(if len > MAX_OCTAL { 0 } else { len });
    let short: Vec<u8> =
        member.name.bytes().map(|byte| if byte.is_ascii() { byte } else { b'_' }).collect();
    let short = &short[..short.len().min(MAX_NAME)];
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.name[..short.len()].copy_from_slice(short);
    }
    header.set_cksum();
    let records = records.iter().map(|(key, value)| (*key, value.as_bytes()));
    // Writing to memory cannot fail.
    archive.append_pax_extensions(records).ok();
    archive.append(&header, io::empty()).ok();
    let mut bytes = archive.into_inner().unwrap_or_default();
    // Without the end of the archive, which the library writes, too.
    bytes.truncate(bytes.len() - end().len());
    bytes
}

/// Returns what fills the last block of a file.
pub(super) fn padding(len: u64) -> Vec<u8> {
    // Less than a block.
    vec![0; (len.next_multiple_of(BLOCK) - len) as usize]
}

/// Returns the end of an archive.
pub(super) fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK as usize]
}
