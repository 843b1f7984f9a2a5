//! Holds the state that all requests share.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::access::TokenStore;
use crate::config::{AccessMode, ByteSize, Config};
use crate::covers::Covers;
use crate::error::Resource;
use crate::ffmpeg::{EncoderIdentity, Version};
use crate::http_client::UpstreamClient;
use crate::incomplete::IncompleteFiles;
use crate::limits::{RateLimiter, StreamLimiter};
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::miscounted::Miscounted;
use crate::plan_cache::PlanCache;
use crate::planned_archives::PlannedArchives;
use crate::playlist_loader::PlaylistLoader;
use crate::reloadable::Reloadable;
use crate::resolve::{CookieFile, Resolver};
use crate::runtime_dir::RuntimeDir;
use crate::sandbox;
use crate::subtitle_cache::SubtitleCache;

/// Memory for indexes and pages while they are read and for plans while they are used, beside the plan cache.
const INDEX_MEMORY: u64 = 128 << 20;

/// The state shared by all requests; the HTTP server is not part of it.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// Makes requests to upstreams.
    pub upstream: Arc<UpstreamClient>,
    /// Loads the segments of tracks that are delivered in segments.
    pub playlist_loader: Arc<PlaylistLoader>,
    /// Who may use the server without a token; not `Auto`.
    pub access_mode: Reloadable<AccessMode>,
    /// The tokens of those who may use the server.
    pub tokens: Arc<TokenStore>,
    /// The version of the installed ffmpeg, once it was asked for.
    ffmpeg_version: OnceLock<Version>,
    /// Resolves page links by yt-dlp.
    pub resolver: Arc<Resolver>,
    /// Holds the named pipes of ffmpeg and the files of yt-dlp.
    pub runtime_dir: Arc<RuntimeDir>,
    /// Caches the plans of spliced files.
    pub plan_cache: PlanCache,
    /// Caches subtitles.
    pub subtitle_cache: SubtitleCache,
    /// Remembers the plans of archives.
    pub planned_archives: PlannedArchives,
    /// Remembers files that lack their end.
    pub incomplete_files: IncompleteFiles,
    /// Limits the memory of indexes, plans and outputs of yt-dlp.
    pub memory_budget: Arc<MemoryBudget>,
    /// Limits concurrent downloads, in total and per client.
    pub stream_limiter: StreamLimiter,
    /// Limits concurrent look-ups of pages and thumbnails, which must not have to wait for downloads.
    pub lookup_limiter: StreamLimiter,
    /// Limits concurrent ffmpeg processes.
    pub ffmpeg_limiter: StreamLimiter,
    /// Limits concurrent ffmpeg processes that encode audio.
    pub encoder_limiter: StreamLimiter,
    /// What makes encoded bytes differ from those of another server.
    pub encoder_identity: EncoderIdentity,
    /// Remembers the covers of pages.
    pub covers: Covers,
    /// Remembers sources whose samples were counted wrongly.
    pub miscounted: Miscounted,
    /// Limits the memory of segments that are in memory as a whole, in MiB.
    pub segment_limiter: StreamLimiter,
    /// Limits how often clients in the internet may do something.
    pub rate_limiter: Arc<RateLimiter>,
    /// Counts downloads and their outcomes.
    pub metrics: Metrics,
}

impl App {
    /// Creates the state: claims the runtime directory, prepares the resolver.
    pub fn new(config: Config) -> io::Result<App> {
        let tokens = Arc::new(TokenStore::open(&config).map_err(io::Error::other)?);
        check_cookies(&config)?;
        let base = config.runtime_dir();
        let runtime_dir = RuntimeDir::claim(&base).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot use {}: {error}", base.display()))
        })?;
        let runtime_dir = Arc::new(runtime_dir);
        sandbox::warn_if_incomplete(&config.sandbox);
        let limits = &config.limits;
        let upstream = Arc::new(UpstreamClient::new(&config.upstream)?);
        let memory_budget =
            MemoryBudget::new(INDEX_MEMORY.saturating_add(config.muxer.plan_cache.0));
        let rate_limiter = Arc::new(RateLimiter::new(limits));
        let resolver =
            Resolver::new(&config, upstream.dialer(), &runtime_dir, &memory_budget, &rate_limiter)?;
        Ok(App {
            resolver: Arc::new(resolver.with_token_cookies(tokens.clone())),
            playlist_loader: Arc::new(PlaylistLoader::new(&upstream, config.muxer.plan_timeout.0)),
            upstream,
            access_mode: Reloadable::new(config.access_mode()),
            tokens,
            ffmpeg_version: OnceLock::new(),
            runtime_dir,
            memory_budget,
            plan_cache: PlanCache::new(
                usize::try_from(config.muxer.plan_cache.0).unwrap_or(usize::MAX),
            ),
            subtitle_cache: SubtitleCache::default(),
            planned_archives: PlannedArchives::default(),
            incomplete_files: IncompleteFiles::default(),
            stream_limiter: StreamLimiter::new(
                Resource::Streams,
                limits.streams,
                limits.streams_per_client,
            )
            .with_max_per_stranger(limits.streams_per_stranger),
            lookup_limiter: StreamLimiter::new(
                Resource::Lookups,
                limits.lookups,
                limits.lookups_per_client,
            ),
            ffmpeg_limiter: StreamLimiter::new(
                Resource::Muxers,
                limits.muxers,
                limits.muxers_per_client,
            )
            .with_max_per_stranger(limits.muxers_per_stranger),
            encoder_limiter: StreamLimiter::new(
                Resource::Encoders,
                limits.encoders,
                limits.encoders_per_client,
            )
            .with_max_per_stranger(limits.encoders_per_stranger),
            encoder_identity: EncoderIdentity::default(),
            covers: Covers::default(),
            miscounted: Miscounted::default(),
            segment_limiter: StreamLimiter::new(
                Resource::SegmentMemory,
                mebibytes(limits.segment_memory),
                mebibytes(limits.segment_memory_per_client),
            ),
            rate_limiter,
            metrics: Metrics::default(),
            config,
        })
    }

    /// Returns the version of the installed ffmpeg, which runs for that once. A server does so when it starts; a command
    /// that downloads one file mostly needs no ffmpeg, which would take more time and memory than the download.
    pub fn ffmpeg_version(&self) -> Version {
        *self.ffmpeg_version.get_or_init(|| {
            let version = Version::of(&self.config);
            if version.0.is_none() {
                log::warn!(
                    "{} does not run or reports no version; run `ytcanal check`",
                    self.config.muxer.ffmpeg.display()
                );
            }
            version
        })
    }

    /// Applies what can change while requests are served; `config` is the same otherwise. Reads the files again that
    /// it names; fails if one is invalid, and changes nothing then.
    pub fn reload(&self, config: &Config) -> io::Result<()> {
        let certificates = UpstreamClient::read_certificates(&config.upstream)?;
        self.tokens.reload().map_err(io::Error::other)?;
        self.upstream.reload(&config.upstream, certificates);
        self.access_mode.set(config.access.mode.resolve(&self.config.listen));
        self.rate_limiter.reload(&config.limits);
        log::set_max_level(config.log.level);
        Ok(())
    }
}

/// Fails if pages are to be read with cookies, and cannot be.
fn check_cookies(config: &Config) -> io::Result<()> {
    let Some(file) = &config.resolver.cookies_file else { return Ok(()) };
    if let Some(warning) = CookieFile::is_readable_by_others(file) {
        log::warn!("{warning}");
    }
    let read = CookieFile::read(file).map(drop);
    read.map_err(|why| {
        let file = file.display();
        io::Error::other(format!("cannot use {file} (resolver.cookies_file): {why}"))
    })
}

fn mebibytes(size: ByteSize) -> usize {
    usize::try_from(size.0 >> 20).unwrap_or(usize::MAX)
}
