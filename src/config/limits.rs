//! `[limits]`: what clients may use.

use std::time::Duration;

use serde::Deserialize;

use super::checks::{finite, head_size, ingress, positive, positive_u32, segment_memory};
use super::{ByteSize, HumanDuration};

/// `[limits]`: what clients may use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Maximum number of open connections.
    #[serde(deserialize_with = "positive")]
    pub connections: usize,
    /// Maximum number of these from one client address; this machine and trusted proxies have no such limit.
    #[serde(deserialize_with = "positive")]
    pub connections_per_client: usize,
    /// Maximum number of streams.
    #[serde(deserialize_with = "positive")]
    pub streams: usize,
    /// Maximum number of streams of one client address (of one /64 network with IPv6).
    #[serde(deserialize_with = "positive")]
    pub streams_per_client: usize,
    /// Maximum number of streams of a client in the internet without a token.
    #[serde(deserialize_with = "positive")]
    pub streams_per_stranger: usize,
    /// Maximum number of pages and thumbnails that are looked up.
    #[serde(deserialize_with = "positive")]
    pub lookups: usize,
    /// Maximum number of these for one client.
    #[serde(deserialize_with = "positive")]
    pub lookups_per_client: usize,
    /// Maximum number of ffmpeg processes.
    #[serde(deserialize_with = "positive")]
    pub muxers: usize,
    /// Maximum number of these for one client.
    #[serde(deserialize_with = "positive")]
    pub muxers_per_client: usize,
    /// Maximum number of these for a client in the internet without a token.
    #[serde(deserialize_with = "positive")]
    pub muxers_per_stranger: usize,
    /// Maximum number of ffmpeg processes that encode audio, which do not count as muxers.
    #[serde(deserialize_with = "positive")]
    pub encoders: usize,
    /// Maximum number of these for one client.
    #[serde(deserialize_with = "positive")]
    pub encoders_per_client: usize,
    /// Maximum number of these for a client in the internet without a token.
    #[serde(deserialize_with = "positive")]
    pub encoders_per_stranger: usize,
    /// Maximum memory for segments that are in memory as a whole.
    #[serde(deserialize_with = "segment_memory")]
    pub segment_memory: ByteSize,
    /// Maximum of this for one client.
    #[serde(deserialize_with = "segment_memory")]
    pub segment_memory_per_client: ByteSize,
    /// Maximum number of requests in a minute of one client in the internet.
    #[serde(deserialize_with = "positive_u32")]
    pub requests_per_minute: u32,
    /// Maximum number of pages read in an hour for one client in the internet.
    #[serde(deserialize_with = "positive_u32")]
    pub pages_per_hour: u32,
    /// Maximum number of bytes fetched in an hour for one client in the internet, beyond those sent to it.
    #[serde(deserialize_with = "ingress")]
    pub ingress_per_hour: ByteSize,
    /// Maximum number of entries of an archive.
    #[serde(deserialize_with = "positive_u32")]
    pub archive_entries: u32,
    /// Maximum time that a stream waits for one of these; 0 for no waiting.
    pub slot_timeout: HumanDuration,
    /// Maximum length of a request head.
    #[serde(deserialize_with = "head_size")]
    pub head_bytes: ByteSize,
    /// Maximum time for a request head to arrive.
    #[serde(deserialize_with = "finite")]
    pub head_timeout: HumanDuration,
    /// Maximum time in which a client reads nothing.
    #[serde(deserialize_with = "finite")]
    pub client_stall_timeout: HumanDuration,
    /// Time for running streams to end at shutdown.
    pub drain_timeout: HumanDuration,
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        LimitsConfig {
            connections: 1024,
            connections_per_client: 256,
            // About 1 MB each, unless ffmpeg runs.
            streams: 64,
            // As many as a download program opens for one file.
            streams_per_client: 16,
            streams_per_stranger: 4,
            lookups: 32,
            lookups_per_client: 8,
            // About 20 MB each: this fits a machine with 512 MB.
            muxers: 8,
            muxers_per_client: 4,
            muxers_per_stranger: 1,
            // Each takes one processor, an hour of audio for a minute or two.
            encoders: 4,
            encoders_per_client: 2,
            encoders_per_stranger: 1,
            // Segments of 4 s at 16 Mbit/s for 16 downloads.
            segment_memory: ByteSize(128 << 20),
            segment_memory_per_client: ByteSize(64 << 20),
            // Downloads over many connections, and players that seek, stay below.
            requests_per_minute: 120,
            pages_per_hour: 30,
            // The audio of a long video, of which there is only one file.
            ingress_per_hour: ByteSize(1 << 30),
            archive_entries: 500,
            // Less than proxies and download programs wait for a response.
            slot_timeout: HumanDuration(Duration::from_secs(20)),
            head_bytes: ByteSize(16 << 10),
            head_timeout: HumanDuration(Duration::from_secs(10)),
            client_stall_timeout: HumanDuration(Duration::from_secs(120)),
            drain_timeout: HumanDuration(Duration::from_secs(30)),
        }
    }
}
