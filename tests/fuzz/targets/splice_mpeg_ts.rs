//! Two transport streams in segments: they are joined as planned, or not at all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::container::probe::Format;

#[path = "../common/splice.rs"]
mod splice;

fuzz_target!(|input: &[u8]| splice::joined(Format::MpegTs, input));
