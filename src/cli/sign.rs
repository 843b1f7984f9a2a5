//! The arguments of `ytcanal sign`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::values;
use crate::access::signature;
use crate::sign::Voucher;

/// The arguments of `ytcanal sign`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct SignArgs {
    /// The link: a URL of /download, /mux, /info or /thumbnail
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: String,
    /// The name of the token that the link is signed with
    #[arg(long, value_name = "NAME")]
    pub by: String,
    #[command(flatten)]
    voucher: VoucherArgs,
    /// How long the link can be used, at most 30d [default: 12h]
    #[arg(long = "for", value_name = "TIME", value_parser = values::lifetime)]
    lifetime: Option<Duration>,
}

/// Exactly one of these.
#[derive(Debug, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
struct VoucherArgs {
    /// The file with the secret of this token, as its holder has it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// The configuration that names the file of tokens, as the server has it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

impl SignArgs {
    /// Returns what vouches for the link.
    pub fn voucher(&self) -> Voucher {
        let VoucherArgs { token_file, config } = &self.voucher;
        let token_file = token_file.clone().map(Voucher::TokenFile);
        // clap has let through exactly one of both.
        token_file.unwrap_or_else(|| Voucher::Config(config.clone().unwrap_or_default()))
    }

    /// Returns how long the link can be used.
    pub fn lifetime(&self) -> Duration {
        self.lifetime.unwrap_or(signature::DEFAULT_LIFETIME)
    }
}
