//! Mended timestamps: no byte is added or lost, and it does not matter in which pieces the bytes come.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ytcanal::container::probe::Format;
use ytcanal::container::retime::{Restart, Retimer};

fuzz_target!(|input: (bool, u8, u32, &[u8], &[u8])| {
    let (is_mp4, step, millis, first, second) = input;
    let format = if is_mp4 { Format::Mp4 } else { Format::MpegTs };
    let mend = |step: usize| -> Result<Vec<u8>, &'static str> {
        let mut retimer = Retimer::new(format, &Arc::default()).expect("it has timestamps");
        let mut output = Vec::new();
        first.chunks(step).try_for_each(|bytes| retimer.push(bytes, &mut output))?;
        retimer.restart(Restart { number: 1, after: Duration::from_millis(millis.into()) });
        second.chunks(step).try_for_each(|bytes| retimer.push(bytes, &mut output))?;
        retimer.finish(&mut output);
        Ok(output)
    };
    let at_once = mend(usize::MAX);
    assert!(at_once == mend(usize::from(step).max(1)));
    assert!(
        at_once.is_err() || at_once.is_ok_and(|bytes| bytes.len() == first.len() + second.len())
    );
});
