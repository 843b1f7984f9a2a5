//! The configuration: every limit, wait and address of the daemon, with its default and its check.
//!
//! `config/ytcanal.toml` shows every key at its default; a test keeps the two equal.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use serde::Deserialize;

use crate::options::Engine;

mod access;
mod cache;
mod checks;
mod file;
mod host_pattern;
mod limits;
mod listen;
mod ports;
mod process_env;
mod proxy;
mod resolver;
mod sandbox;
mod units;
pub use access::{AccessConfig, AccessMode, ForwardedField};
pub use cache::CacheConfig;
use checks::{chunk_size, engine, ffmpeg_memory, finite, level, non_empty, read_ahead_size};
pub use file::ConfigFile;
pub use host_pattern::HostPattern;
pub use limits::LimitsConfig;
pub use listen::ListenAddress;
pub use ports::Ports;
pub use process_env::{
    ChildEnv, InheritedSockets, Invocation, RESOLVER_DIR, RESOLVER_PACKAGES, RESOLVER_UNIT,
    SystemdEnv, ffmpeg_env, find_in_path, find_resolver, host_name, state_dir,
};
pub use proxy::{Proxy, ProxyKind};
pub use resolver::ResolverConfig;
pub use sandbox::SandboxConfig;
pub use units::{ByteSize, HumanDuration};

/// The complete configuration. Every key has a default; an unknown key is an error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses to listen on; port 0 picks a free one.
    #[serde(deserialize_with = "non_empty")]
    pub listen: Vec<ListenAddress>,
    /// Directory of the named pipes; see [`Config::runtime_dir`].
    pub runtime_dir: PathBuf,
    /// Who may use the server, where clients are, and by which names they may call it.
    pub access: AccessConfig,
    /// What clients may use.
    pub limits: LimitsConfig,
    /// What caches of clients and proxies may keep.
    pub cache: CacheConfig,
    /// How upstreams are treated.
    pub upstream: UpstreamConfig,
    /// How page links are read.
    pub resolver: ResolverConfig,
    /// What joins the tracks.
    pub muxer: MuxerConfig,
    /// What ffmpeg and yt-dlp may do.
    pub sandbox: SandboxConfig,
    /// What is logged.
    pub log: LogConfig,
}

/// `[upstream]`: how media servers are treated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Networks and names that are permitted although they are not public.
    pub allow: Vec<HostPattern>,
    /// Networks and names that are refused although they are public.
    pub deny: Vec<HostPattern>,
    /// Ports that upstreams may have, unless `allow` names them.
    pub ports: Ports,
    /// Maximum time to connect, including TLS.
    #[serde(deserialize_with = "finite")]
    pub connect_timeout: HumanDuration,
    /// Maximum time without a byte.
    #[serde(deserialize_with = "finite")]
    pub stall_timeout: HumanDuration,
    /// Minimum bytes per second, over a window of `stall_timeout`; 0 for no minimum.
    pub min_throughput: ByteSize,
    /// Maximum time that an idle connection is reused; 0 for no reuse.
    pub keepalive_timeout: HumanDuration,
    /// Maximum number of consecutive retries without progress.
    pub retries: u32,
    /// Longest wait that an upstream may request.
    #[serde(deserialize_with = "finite")]
    pub max_wait: HumanDuration,
    /// Maximum size of a range request.
    #[serde(deserialize_with = "chunk_size")]
    pub chunk: ByteSize,
    /// Maximum number of bytes fetched before ffmpeg reads them, for each track.
    #[serde(deserialize_with = "read_ahead_size")]
    pub read_ahead: ByteSize,
    /// Address family to connect to, for names with addresses of both.
    pub family: AddressFamily,
    /// Proxy of all connections to upstreams.
    pub proxy: Option<Proxy>,
    /// Certificate authorities to trust instead of the well-known ones (PEM).
    pub ca_file: Option<PathBuf>,
}

/// Address families.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressFamily {
    /// Whichever works, the same for pages and for media.
    #[default]
    Auto,
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
}

/// `[muxer]`: what joins the tracks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MuxerConfig {
    /// A program name, looked up in PATH, or a path.
    pub ffmpeg: PathBuf,
    /// Maximum memory of one ffmpeg, beside its program.
    #[serde(deserialize_with = "ffmpeg_memory")]
    pub memory: ByteSize,
    /// Maximum time in which it neither reads nor writes although it could.
    #[serde(deserialize_with = "finite")]
    pub stall_timeout: HumanDuration,
    /// The default engine.
    #[serde(deserialize_with = "engine")]
    pub engine: Engine,
    /// Maximum time to read the indexes of the tracks; afterwards they are not spliced.
    #[serde(deserialize_with = "finite")]
    pub plan_timeout: HumanDuration,
    /// Maximum memory for the plans of spliced files.
    pub plan_cache: ByteSize,
}

/// `[log]`: what is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// error, warn, info, debug or off.
    #[serde(deserialize_with = "level")]
    pub level: LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
}

/// Formats of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people; for the journal, with fields.
    #[default]
    Text,
    /// An object of JSON in each line.
    Json,
    /// The combined log format of web servers for requests, and text for all else.
    Combined,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080)).into()],
            runtime_dir: PathBuf::from(AUTO),
            access: AccessConfig::default(),
            limits: LimitsConfig::default(),
            cache: CacheConfig::default(),
            upstream: UpstreamConfig::default(),
            resolver: ResolverConfig::default(),
            muxer: MuxerConfig::default(),
            sandbox: SandboxConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for UpstreamConfig {
    fn default() -> UpstreamConfig {
        UpstreamConfig {
            allow: Vec::new(),
            deny: Vec::new(),
            ports: Ports::default(),
            connect_timeout: HumanDuration(Duration::from_secs(10)),
            stall_timeout: HumanDuration(Duration::from_secs(20)),
            // Below the bit rate of any acceptable audio, in case an origin sends at playback
            // speed.
            min_throughput: ByteSize(1 << 10),
            // Routers remember an idle connection for a minute or more, servers for some seconds.
            keepalive_timeout: HumanDuration(Duration::from_secs(15)),
            // With the waits in between: about as long as a router takes to restart.
            retries: 8,
            max_wait: HumanDuration(Duration::from_secs(60)),
            chunk: ByteSize(10 << 20),
            read_ahead: ByteSize(512 << 10),
            family: AddressFamily::Auto,
            proxy: None,
            ca_file: None,
        }
    }
}

impl Default for MuxerConfig {
    fn default() -> MuxerConfig {
        MuxerConfig {
            ffmpeg: PathBuf::from("ffmpeg"),
            // Files of hours take 20 to 40 MB, high bit rates 80.
            memory: ByteSize(256 << 20),
            stall_timeout: HumanDuration(Duration::from_secs(60)),
            engine: Engine::Auto,
            plan_timeout: HumanDuration(Duration::from_secs(20)),
            // A fragmented video of an hour takes about 100 KB.
            plan_cache: ByteSize(16 << 20),
        }
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { level: LevelFilter::Info, format: LogFormat::Text }
    }
}

/// The value of `runtime_dir` that selects a directory automatically.
const AUTO: &str = "auto";

/// The error for an unusable configuration. The text names the file, the line and the key.
#[derive(Debug)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

impl Config {
    /// Reads and checks the file at `path`.
    pub fn read(path: &Path) -> Result<Config, Invalid> {
        ConfigFile::read(path).map(|(_, config)| config)
    }

    fn parse(text: &str) -> Result<Config, Invalid> {
        // toml's own message shows the line and marks the key in it.
        toml::from_str(text).map_err(|error| Invalid(without_login(error.to_string().trim_end())))
    }

    /// Returns who may use the server without a token; not `Auto`.
    pub fn access_mode(&self) -> AccessMode {
        self.access.mode.resolve(&self.listen)
    }

    /// Returns the file of the tokens, if there is to be one: that of the configuration, or the credential
    /// `tokens` of the service.
    pub fn tokens_file(&self) -> Option<PathBuf> {
        self.access.tokens_file.clone().or_else(|| process_env::credential("tokens"))
    }

    /// Returns the directory for the named pipes and other runtime files; the environment decides
    /// for `"auto"`.
    pub fn runtime_dir(&self) -> PathBuf {
        if self.runtime_dir == Path::new(AUTO) {
            process_env::runtime_dir()
        } else {
            self.runtime_dir.clone()
        }
    }
}

/// Removes the quoted line from a toml message where it may contain a proxy's password.
fn without_login(message: &str) -> String {
    let lines = message.lines().map(|line| match line.split_once(" | ") {
        Some((number, quoted)) if quoted.contains('@') => {
            format!("{number} | (hidden: may contain a password)")
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../config/ytcanal.toml");

    #[test]
    fn the_shipped_file_says_the_defaults_and_every_key() {
        // Each key is commented out, so that what a user sets stands out. Keys that are unset by
        // default have dots as their value.
        let uncommented: String = SHIPPED
            .lines()
            .filter(|line| !line.ends_with("= ..."))
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.starts_with([' ', '#']) => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(Config::parse(SHIPPED).unwrap(), Config::default());
        assert_eq!(Config::parse(&uncommented).unwrap(), Config::default());
        let keys = toml::from_str::<toml::Table>(&uncommented).unwrap();
        let count: usize =
            keys.values().map(|value| value.as_table().map_or(1, |table| table.len())).sum();
        let unset = SHIPPED.lines().filter(|line| line.ends_with("= ...")).count();
        assert_eq!(
            (count, unset),
            (2 + 5 + 24 + 1 + 12 + 15 + 6 + 4 + 2, 4),
            "a key is missing from config/ytcanal.toml"
        );
    }

    #[test]
    fn errors_show_no_password() {
        for text in [
            "[upstream]\nproxy = \"socks5://me:secret@h\"",
            "[upstream]\nproxy = \"http://me:secret@h",
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn errors_name_the_key_and_the_line() {
        for (text, expected) in [
            ("[limits]\nstreems = 3", &["line 2", "streems"][..]),
            ("[limits]\nhead_timeout = \"soon\"", &["line 2", "head_timeout", "soon"]),
            ("listen = [\"localhost\"]", &["line 1", "listen"]),
            ("[limits]\nstreams = 0", &["line 2", "streams", "0"]),
            ("listen = []", &["line 1", "listen", "at least one"]),
            ("[limits]\nhead_timeout = \"0s\"", &["line 2", "head_timeout", "24h"]),
            ("[limits]\nhead_bytes = \"1B\"", &["line 2", "head_bytes", "1KiB"]),
            ("[upstream]\nchunk = \"1KiB\"", &["line 2", "chunk", "512KiB"]),
            ("[upstream]\nproxy = \"ftp://a\"", &["line 2", "proxy", "socks5h"]),
            ("[upstream]\nallow = [\"10.0.0.0/99\"]", &["line 2", "allow", "10.0.0.0/99"]),
            ("[upstream]\nports = [\"http\"]", &["line 2", "ports", "http", "1024-65535"]),
            ("[access]\ntrusted_proxies = [\"nginx\"]", &["line 2", "trusted_proxies", "nginx"]),
            ("[access]\nforwarded = \"x-real-ip\"", &["line 2", "forwarded", "x-real-ip"]),
            ("[log]\nformat = \"apache\"", &["line 2", "format", "apache", "combined"]),
            ("[access]\nmode = \"public\"", &["line 2", "mode", "public"]),
            ("[muxer]\nmemory = \"1MiB\"", &["line 2", "memory", "64MiB"]),
            ("[sandbox]\nread = [\"opt\"]", &["line 2", "read", "absolute"]),
            ("[cache]\nmax_age = \"500ms\"", &["line 2", "max_age", "whole seconds"]),
            ("[cache]\nmax_age = \"400d\"", &["line 2", "max_age", "365d"]),
            ("[log]\nlevel = \"loud\"", &["line 2", "level", "loud"]),
            ("[resolver]\nsponsorblock = [\"ads\"]", &["line 2", "\"ads\"", "sponsor, intro"]),
            ("[resolver]\nsponsorblock_api = \"a.example\"", &["line 2", "https://sponsor"]),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            for part in expected {
                assert!(error.contains(part), "{part:?} is not in: {error}");
            }
        }
    }
}
