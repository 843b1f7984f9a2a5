//! The arguments of `ytcanal serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::values;

/// The arguments of `ytcanal serve`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// Read this TOML file; every key has a default
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Listen on this address instead of those of the file; may be repeated
    ///
    /// Such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = values::address)]
    pub listen: Vec<SocketAddr>,
}
