//! The HTTP client of upstreams: the protocol engine of ureq over a pool of our own connections.
//!
//! One request is a byte range of one file. A response is checked against what is known of the
//! file before its body is read.
//!
//! **Invariant:** a connection is reused only if its last response was read to the end.

pub(crate) mod body;
mod connect;
mod connection;
mod exchange;
mod framing;
pub(crate) mod host_memory;
mod io_guard;
mod pool;
pub(crate) mod request;
mod retry_after;
mod scratch;
mod tls;
mod tls_stream;
mod transport;
mod upstream_client;
pub(crate) mod validate;

pub use crate::media::remote_file::{RemoteFile, Validators};
pub use upstream_client::{SPLICE_CHUNK, UpstreamClient};
