//! What the bytes that an encoder makes depend on, beside its input and options: the version of ffmpeg, and which
//! instructions the processor has, for ffmpeg and its libraries calculate differently with others.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use ring::digest::{Context, SHA256};

use super::command;
use crate::config::{self, Config};

/// The identity of the encoder, found out when it is first needed, and whenever the program was replaced.
#[derive(Debug, Default)]
pub struct EncoderIdentity(Mutex<Option<(Stamp, [u8; 32])>>);

/// What tells the program of ffmpeg from another one.
type Stamp = Option<(SystemTime, u64)>;

impl EncoderIdentity {
    /// Returns the identity.
    pub fn get(&self, config: &Config) -> [u8; 32] {
        let program = config::find_in_path(&config.muxer.ffmpeg);
        let file = program.and_then(|program| fs::metadata(program).ok());
        let stamp = file.and_then(|file| Some((file.modified().ok()?, file.len())));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((of, identity)) if of == stamp => identity,
            _ => {
                let identity = identity(config);
                *known = Some((stamp, identity));
                identity
            }
        }
    }
}

fn identity(config: &Config) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let output =
        command(config, None, false).and_then(|mut ffmpeg| ffmpeg.arg("-version").output());
    context.update(&output.map(|output| output.stdout).unwrap_or_default());
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let features = processors
        .lines()
        .find(|line| ["flags", "Features"].iter().any(|name| line.starts_with(name)));
    context.update(features.unwrap_or_default().as_bytes());
    let mut identity = [0; 32];
    identity.copy_from_slice(context.finish().as_ref());
    identity
}
