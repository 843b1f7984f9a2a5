//! What all streams of a daemon share.

use std::io;
use std::sync::Arc;

use crate::config::Config;
use crate::ffmpeg::Version;
use crate::http_client::UpstreamClient;
use crate::incomplete::IncompleteFiles;
use crate::limits::StreamLimiter;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::plan_cache::PlanCache;
use crate::resolve::Resolver;
use crate::runtime_dir::RuntimeDir;

/// What long indexes may take while they are read, and plans while they are used.
const INDEX_MEMORY: u64 = 128 << 20;

/// The daemon's insides, without its edge.
pub struct App {
    /// As it was configured.
    pub config: Config,
    /// How upstreams are treated.
    pub upstream: UpstreamClient,
    /// What is known of the ffmpeg at hand.
    pub ffmpeg: Version,
    /// Reads the pages behind links.
    pub resolver: Arc<Resolver>,
    /// Where the named pipes live.
    pub runtime_dir: Arc<RuntimeDir>,
    /// Plans of spliced files.
    pub plan_cache: PlanCache,
    /// Files that were found to lack their end.
    pub incomplete_files: IncompleteFiles,
    /// What these and the indexes that they are made of may take.
    pub memory_budget: Arc<MemoryBudget>,
    /// Who may run a stream.
    pub stream_limiter: StreamLimiter,
    /// Who may have an ffmpeg.
    pub ffmpeg_limiter: StreamLimiter,
    /// What is counted.
    pub metrics: Metrics,
}

impl App {
    /// Claims the runtime directory and makes the rest.
    pub fn new(config: Config) -> io::Result<App> {
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
        let upstream = UpstreamClient::new(&config.upstream)?;
        Ok(App {
            resolver: Arc::new(Resolver::new(&config, upstream.families(), &runtime)?),
            upstream,
            ffmpeg,
            runtime_dir: runtime,
            memory_budget: MemoryBudget::new(
                INDEX_MEMORY.saturating_add(config.muxer.plan_cache.0),
            ),
            plan_cache: PlanCache::new(
                usize::try_from(config.muxer.plan_cache.0).unwrap_or(usize::MAX),
            ),
            incomplete_files: IncompleteFiles::default(),
            stream_limiter: StreamLimiter::new(limits.streams, limits.streams_per_client),
            ffmpeg_limiter: StreamLimiter::new(limits.muxers, limits.muxers.div_ceil(2)),
            metrics: Metrics::default(),
            config,
        })
    }
}
