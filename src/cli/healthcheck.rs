//! The arguments of `ytcanal healthcheck`.

use clap::{Args, ValueHint};

/// The arguments of `ytcanal healthcheck`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct HealthcheckArgs {
    /// URL to request; that of /readyz tells whether downloads are accepted
    #[arg(value_name = "URL", value_hint = ValueHint::Url, default_value = "http://127.0.0.1:8080/healthz")]
    pub url: String,
}
