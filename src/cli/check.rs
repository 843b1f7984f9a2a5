//! The arguments of `ytcanal check`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::config::ListenAddress;

/// The arguments of `ytcanal check`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct CheckArgs {
    /// Verify this TOML file; without, the defaults
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Listen on this address instead of those of the file, as `serve --listen` does; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<ListenAddress>,
}
