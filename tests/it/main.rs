//! The integration tests: the real binary, real sockets, real ffmpeg, real curl, real Chromium,
//! no network.
//!
//! Every test starts its own daemon on a loopback port and, where it needs one, its own
//! origin with scripted faults. A missing tool fails a test and says what to install.
//!
//! - `contract`: what each path answers, good input and bad
//! - `heads`: response heads of media, file names, secrets
//! - `corpus`: files of all shapes, or whatever lies in a folder
//! - `packets`: the packets that come out are the packets that went in
//! - `formats`: what is recognised is what is joined, in all the guises of files
//! - `hevc`: what HEVC is called in MP4
//! - `splice`: what is joined without ffmpeg, layout and bytes
//! - `trim`: a part of a film
//! - `clients`: curl, wget and aria2c interrupted and resumed, as with a static file
//! - `behind_nginx`: a real nginx in front keeps nothing on its disk
//! - `browser`: Chromium plays, seeks and downloads
//! - `page`: the page in Chromium, as people use it
//! - `index_at_end`: films whose index is behind their media are joined all the same
//! - `pass`: a lone file is passed through and behaves as on its own server
//! - `resume`: a thousand downloads over connections that break
//! - `source`: fresh locations, fields, cookies, and origins with wishes of their own
//! - `ends`: complete downloads, clients that leave, signals, leftovers of a killed daemon
//! - `resolve`: page links, read by the real yt-dlp from a site on loopback
//! - `matrix`: every fault at every moment; a table of docs/reliability.md
//! - `cut_at_rest`: no file that lacks its end comes out complete; the second table there
//! - `faults`: what the client sees when a source fails
//! - `misread`: what ffmpeg sees in a file is what was recognised
//! - `muxer`: what the client sees when ffmpeg is missing, dies or hangs
//! - `chaos`: what happens around the daemon, to ffmpeg, its directory, an origin, itself
//! - `soak`: mixed clients for a while, and the memory after it
//! - `policy`: which addresses and sources are never touched
//! - `tls`: upstreams over https, trusted and not
//! - `proxy`: upstreams behind a proxy
//! - `attack`: hostile bytes and crowds of connections
//! - `memory`: a client that does not read costs no memory
//! - `layers`: no module imports upwards
//! - `limits`: slots are counted, refused and given back
//! - `commands`: the command line, `check` and `demo`
//! - `documentation`: error codes, links and the length of the README

// Helpers outside `#[test]` functions count as ordinary code for these lints, yet a panic
// is how a test helper reports and standard output is where a test prints its table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod attack;
mod behind_nginx;
mod browser;
mod chaos;
mod clients;
mod commands;
mod contract;
mod corpus;
mod cut_at_rest;
mod documentation;
mod ends;
mod faults;
mod formats;
mod heads;
mod hevc;
mod index_at_end;
mod layers;
mod limits;
mod matrix;
mod memory;
mod misread;
mod muxer;
mod packets;
mod page;
mod pass;
mod policy;
mod proxy;
mod resolve;
mod resume;
mod soak;
mod source;
mod splice;
mod support;
mod tls;
mod trim;
