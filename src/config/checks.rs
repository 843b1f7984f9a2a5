//! Checks values while they are read, so that toml can name the line of a bad one.

use std::time::Duration;

use log::LevelFilter;
use serde::{Deserialize, Deserializer};

use super::ListenAddress;
use super::units::{ByteSize, HumanDuration};
use crate::options::Engine;

pub(super) fn non_empty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ListenAddress>, D::Error> {
    let all = Vec::deserialize(deserializer)?;
    refuse_if(all.is_empty(), "name at least one address")?;
    Ok(all)
}

pub(super) fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let count = usize::deserialize(deserializer)?;
    refuse_if(count == 0, "with 0 nothing could be served")?;
    Ok(count)
}

pub(super) fn positive_u32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let count = u32::deserialize(deserializer)?;
    refuse_if(count == 0, "with 0 nothing could be served")?;
    Ok(count)
}

pub(super) fn head_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(!(1 << 10..=1 << 20).contains(&size.0), "must lie between 1KiB and 1MiB")?;
    Ok(size)
}

/// A settlement of traffic has 1 MiB.
pub(super) fn ingress<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(size.0 < 1 << 20, "must be at least 1MiB")?;
    Ok(size)
}

/// Less does not hold one segment.
pub(super) fn segment_memory<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(!(16 << 20..=64 << 30).contains(&size.0), "must lie between 16MiB and 64GiB")?;
    Ok(size)
}

pub(super) fn chunk_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(!(512 << 10..=1 << 30).contains(&size.0), "must lie between 512KiB and 1GiB")?;
    Ok(size)
}

pub(super) fn read_ahead_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(!(256 << 10..=2 << 20).contains(&size.0), "must lie between 256KiB and 2MiB")?;
    Ok(size)
}

/// Less is not enough to start.
pub(super) fn ffmpeg_memory<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(!(64 << 20..=64 << 30).contains(&size.0), "must lie between 64MiB and 64GiB")?;
    Ok(size)
}

pub(super) fn finite<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HumanDuration, D::Error> {
    let duration = HumanDuration::deserialize(deserializer)?;
    let day = Duration::from_secs(24 * 3600);
    refuse_if(duration.0.is_zero() || duration.0 > day, "must be more than 0s and at most 24h")?;
    Ok(duration)
}

pub(super) fn refuse_if<E: serde::de::Error>(bad: bool, why: &str) -> Result<(), E> {
    if bad { Err(E::custom(why)) } else { Ok(()) }
}

pub(super) fn engine<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Engine, D::Error> {
    let text = String::deserialize(deserializer)?;
    Engine::from_name(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("{text:?} is not an engine; write auto, splice or ffmpeg"))
    })
}

pub(super) fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LevelFilter, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "{text:?} is not a level; write error, warn, info, debug or off"
        ))
    })
}
