//! Whether a file is complete: the answer does not depend on the pieces in which it comes, and what
//! may be skipped changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::container::completeness::{Completeness, Incomplete};
use ytcanal::container::probe::Format;

const FORMATS: [Format; 13] = [
    Format::Mp4,
    Format::Webm,
    Format::Matroska,
    Format::Ogg,
    Format::Wav,
    Format::Flac,
    Format::Mp3,
    Format::Adts,
    Format::Flv,
    Format::Aiff,
    Format::Wave64,
    Format::Au,
    Format::MpegTs,
];

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (format, step, file) = input;
    let format = FORMATS[usize::from(format) % FORMATS.len()];
    let len = file.len() as u64;
    let at_once = Completeness::new(format, Some(len)).see(file);
    let step = usize::from(step).max(1);
    // How it shows may depend on what is here when it does.
    let in_pieces = in_pieces(format, file, step);
    assert_eq!(at_once.is_ok(), in_pieces.is_ok(), "in pieces of {step}: {in_pieces:?}");
    let mut unknown = Completeness::new(format, None);
    let seen = unknown.see(file).and_then(|()| if len > 0 { unknown.end() } else { Ok(()) });
    assert_eq!(at_once.is_ok(), seen.is_ok(), "of unknown length: {seen:?}");
});

fn in_pieces(format: Format, file: &[u8], step: usize) -> Result<(), Incomplete> {
    let mut completeness = Completeness::new(format, Some(file.len() as u64));
    let mut rest = file;
    while !rest.is_empty() {
        let skippable = completeness.skippable().min(rest.len() as u64 / 2) as usize;
        completeness.skip(skippable as u64)?;
        rest = &rest[skippable..];
        let (piece, later) = rest.split_at(step.min(rest.len()));
        completeness.see(piece)?;
        rest = later;
    }
    Ok(())
}
