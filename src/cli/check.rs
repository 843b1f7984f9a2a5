//! The arguments of `ytcanal check`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// The arguments of `ytcanal check`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct CheckArgs {
    /// Verify this TOML file; without, the defaults
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}
