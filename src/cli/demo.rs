//! The arguments of `ytcanal demo`.

use std::net::SocketAddr;

use clap::Args;

use super::values;

/// The arguments of `ytcanal demo`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DemoArgs {
    /// Listen on this loopback address; may be repeated
    #[arg(long, value_name = "ADDR", value_parser = values::address)]
    pub listen: Vec<SocketAddr>,
}
