//! The arguments of `ytcanal serve`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::config::ListenAddress;

/// Not a comment of the field: there, brackets are links.
const LISTEN: &str = "Listen on this address instead of those of the file, such as 127.0.0.1:8080, [::1]:8080 or \
    0.0.0.0:80 (port 0 picks a free one), or unix:/run/ytcanal/http.sock; may be repeated";

/// The arguments of `ytcanal serve`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// Read this TOML file; every key has a default
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Listen on this address instead of those of the file; may be repeated
    #[arg(long, value_name = "ADDR", long_help = LISTEN)]
    pub listen: Vec<ListenAddress>,
}
