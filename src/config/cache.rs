//! `[cache]`: what caches of clients and proxies may keep.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::HumanDuration;
use super::checks::refuse_if;

/// `[cache]`: what caches of clients and proxies may keep. This server keeps no files itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Maximum time for which they may send a file without asking this server; 0 for nothing.
    #[serde(deserialize_with = "max_age")]
    pub max_age: HumanDuration,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        // Whoever uses the server by themselves gains nothing, and finds files in a cache that they have deleted.
        CacheConfig { max_age: HumanDuration(Duration::ZERO) }
    }
}

/// Cache-Control counts in seconds, and caches need not know a number above 2^31 (RFC 9111 §1.2.2).
fn max_age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
    let duration = HumanDuration::deserialize(deserializer)?;
    refuse_if(duration.0.subsec_nanos() != 0, "must be whole seconds")?;
    refuse_if(duration.0 > Duration::from_secs(365 * 24 * 3600), "must be at most 365d")?;
    Ok(duration)
}
