//! The arguments of `ytcanal update-resolver`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::resolver_update::UpdateOptions;

/// The arguments of `ytcanal update-resolver`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct UpdateResolverArgs {
    /// Go back to the release before; the one that it replaces is not installed again
    #[arg(long)]
    pub rollback: bool,
    /// Keep yt-dlp in this directory; resolver.command is then DIR/current/bin/yt-dlp [default: $STATE_DIRECTORY of the
    /// service, or /var/lib/ytcanal-resolver]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

impl UpdateResolverArgs {
    /// Returns what the update is told.
    pub fn options(self) -> UpdateOptions {
        UpdateOptions { dir: self.dir, rollback: self.rollback }
    }
}
