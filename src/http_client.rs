//! The HTTP client of upstreams: ureq over a pool of our own connections.
//!
//! One request is a byte range of one file. A response is checked against what is known of the
//! file before its body is read.
//!
//! **Invariant:** a connection is reused only if its last response was read to the end.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod connection;
mod framing;
pub(crate) mod host_memory;
mod pool;
pub(crate) mod remote_file;
pub(crate) mod request;
mod retry_after;
mod transport;
mod upstream_client;
pub(crate) mod validate;

pub use remote_file::{RemoteFile, Validators};
pub use upstream_client::{SOCKET_BUFFER, SPLICE_CHUNK, UpstreamClient};
