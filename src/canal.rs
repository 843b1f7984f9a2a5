//! What all streams of a daemon share.

use std::io;
use std::sync::Arc;

use crate::config::Config;
use crate::incomplete::IncompleteFiles;
use crate::memory::Memory;
use crate::mux::ffmpeg::Version;
use crate::mux::fifo::RuntimeDir;
use crate::plans::Plans;
use crate::resolve::Resolver;
use crate::slots::Slots;
use crate::source::Upstream;
use crate::stats::Stats;

/// What long indexes may take while they are read, and plans while they are used.
const INDEXES: u64 = 128 << 20;

/// The daemon's insides, without its edge.
pub struct Canal {
    /// As it was configured.
    pub config: Config,
    /// How upstreams are treated.
    pub upstream: Upstream,
    /// What is known of the ffmpeg at hand.
    pub ffmpeg: Version,
    /// Reads the pages behind links.
    pub resolver: Arc<Resolver>,
    /// Where the named pipes live.
    pub runtime: Arc<RuntimeDir>,
    /// Plans of spliced files.
    pub plans: Plans,
    /// Files that were found to lack their end.
    pub incomplete: IncompleteFiles,
    /// What these and the indexes that they are made of may take.
    pub memory: Arc<Memory>,
    /// Who may run a stream.
    pub slots: Slots,
    /// Who may have an ffmpeg.
    pub muxers: Slots,
    /// What is counted.
    pub stats: Stats,
}

impl Canal {
    /// Claims the runtime directory and makes the rest.
    pub fn new(config: Config) -> io::Result<Canal> {
        let base = config.runtime_dir();
        let runtime = RuntimeDir::claim(&base).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot use {}: {error}", base.display()))
        })?;
        let runtime = Arc::new(runtime);
        let ffmpeg = Version::of(&config.muxer.ffmpeg);
        if ffmpeg.0.is_none() {
            log::warn!(
                "{} does not run or does not tell its version; `ytcanal check` says more",
                config.muxer.ffmpeg.display()
            );
        }
        let limits = &config.limits;
        let upstream = Upstream::new(&config.upstream)?;
        Ok(Canal {
            resolver: Arc::new(Resolver::new(&config, upstream.families(), &runtime)?),
            upstream,
            ffmpeg,
            runtime,
            memory: Memory::new(INDEXES.saturating_add(config.muxer.plan_cache.0)),
            plans: Plans::new(usize::try_from(config.muxer.plan_cache.0).unwrap_or(usize::MAX)),
            incomplete: IncompleteFiles::default(),
            slots: Slots::new(limits.streams, limits.streams_per_client),
            muxers: Slots::new(limits.muxers, limits.muxers.div_ceil(2)),
            stats: Stats::default(),
            config,
        })
    }
}
