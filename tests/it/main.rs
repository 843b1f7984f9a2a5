//! Integration tests: the real binary with real sockets, ffmpeg, yt-dlp, curl and Chromium, without a
//! network.
//!
//! Every test starts its own daemon on a loopback port and, where it needs one, its own origin with
//! scripted faults. A missing tool fails a test with a message that says what to install.
//!
//! | theme | what it proves |
//! |---|---|
//! | `contract` | each path responds as documented, to valid and invalid requests |
//! | `heads` | header fields of media responses, file names, no secrets in the log |
//! | `openapi` | the responses of a server are those that its description of the API promises |
//! | `documentation` | problem codes, links and the length of the README |
//! | `layers` | no module imports upwards |
//! | `commands` | the command line, `check` and `demo` |
//! | `get` | downloads without a server are those of the server, or visibly failed |
//! | `corpus` | files of all structures, or all files in a folder, are downloaded or refused correctly |
//! | `packets` | the packets of the output are the packets of the inputs |
//! | `formats` | every recognised format is muxed, in all its variants |
//! | `hevc` | HEVC has the right sample entry in MP4 |
//! | `splice` | the layout and the bytes of files that are joined without ffmpeg |
//! | `trim` | a time range has the right packets and durations |
//! | `index_at_end` | MP4 files with their index after the media data are joined |
//! | `pass` | a lone file is passed through with the behaviour of a static file |
//! | `clients` | curl, wget and aria2c interrupt and resume a download as with a static file |
//! | `resume` | a thousand downloads over connections that break are complete |
//! | `behind_nginx` | nginx in front of the server buffers nothing on disk; the configuration in docs/operations.md works as printed |
//! | `scale_out` | the shipped configurations of HAProxy and nginx in front of two servers, one of which fails, and of Caddy |
//! | `browser` | Chromium plays, seeks and downloads |
//! | `players` | mpv and VLC play and seek in films in segments |
//! | `page` | the web page works in Chromium |
//! | `segments` | media in segments (HLS) is one file |
//! | `source` | refreshed URLs, header fields, cookies, and origins with special requirements |
//! | `archive` | a list is told entry by entry, and downloaded as a tar or ZIP that lacks nothing without saying so |
//! | `resolve` | page links are resolved by the real yt-dlp from a site on loopback |
//! | `resolver_update` | yt-dlp is updated beside the one in use, which stays whatever fails |
//! | `ends` | complete downloads, clients that leave, signals, directories of killed daemons |
//! | `limits` | downloads are counted, refused and released |
//! | `matrix` | every fault at every moment has its result; a table of docs/reliability.md |
//! | `cut_at_rest` | no truncated file ends as complete; the second table there |
//! | `faults` | what the client sees when an upstream fails |
//! | `misread` | a difference between the probe and ffmpeg is an error |
//! | `muxer` | what the client sees when ffmpeg is missing, dies or hangs |
//! | `chaos` | faults of ffmpeg, the runtime directory, an origin and the daemon itself |
//! | `soak` | mixed clients over a longer time, and the memory afterwards |
//! | `encoded_audio` | audio alone has its tags, its cover, and the length that was promised |
//! | `memory` | a client that does not read costs no memory |
//! | `attack` | hostile bytes and crowds of connections |
//! | `access` | who a client is, and how it may call the server |
//! | `observability` | each request has a name, one line in the log, and is counted; alerts and dashboard name what there is |
//! | `sandbox` | what ffmpeg and yt-dlp cannot do, whatever a file or a page makes them do |
//! | `service` | what systemd is told, and what a signal does |
//! | `policy` | which addresses are never connected to |
//! | `tls` | upstreams over HTTPS with trusted and untrusted certificates |
//! | `proxy` | upstreams behind a proxy |

// Helpers outside `#[test]` functions count as ordinary code for these lints, yet a panic
// is how a test helper reports and standard output is where a test prints its table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod access;
mod archive;
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
mod encoded_audio;
mod ends;
mod faults;
mod formats;
mod get;
mod heads;
mod hevc;
mod index_at_end;
mod layers;
mod limits;
mod listening;
mod matrix;
mod memory;
mod misread;
mod muxer;
mod observability;
mod openapi;
mod packets;
mod page;
mod pass;
mod players;
mod policy;
mod proxy;
mod resolve;
mod resolver_update;
mod resume;
mod sandbox;
mod scale_out;
mod segments;
mod service;
mod soak;
mod source;
mod splice;
mod support;
mod tls;
mod trim;
