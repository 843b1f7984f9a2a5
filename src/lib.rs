//! YtCanal muxes a video URL and an audio URL into one file while both are still being downloaded.
//!
//! A request travels through the modules in this order:
//!
//! ```text
//! client ─ http_server ─ handler ─ route ─ download ★ ─ resolve ─ fetch ─ splice or ffmpeg ─ client
//! ```
//!
//! [`download::serve`] has the steps of a download in order; read it first. The modules form layers: each
//! imports only from layers above it in this table. The test `layers` verifies that.
//!
//! | layer | modules |
//! |---|---|
//! | system | [`sys`] |
//! | values | [`text`], [`archive`], [`lru`], [`semaphore`], [`reloadable`], [`track_kind`], [`problem_code`], [`instruments`] (counters), [`labels`] (routes and engines), [`request_id`], [`range`], [`form`], [`disposition`], [`options`], [`memory_budget`], [`error`], [`traffic`], [`cancel`], [`media`] |
//! | containers | [`playlist`] (HLS), [`container`] (boxes, elements, probing), [`timed_text`] (subtitles), [`audio`] (what audio is encoded to, and the heads of such files), [`splice`] (output files of known length and content, without ffmpeg) |
//! | configuration | [`config`], [`logging`], [`sd_notify`] |
//! | network | [`net`] (addresses, proxies), [`http_client`] (range requests to upstreams), [`fetch`] (reading a remote track, with retries and prefetch), [`playlist_loader`] (the segments of a track) |
//! | processes | [`sandbox`] (what child processes may do), [`child_group`], [`runtime_dir`], [`ffmpeg`], [`limits`], [`resolve`] (page links to media, by yt-dlp) |
//! | server | [`problem`], [`access`], [`request_record`] (the one line of a request), [`http_server`], [`strategy`] (passthrough, splice or ffmpeg), [`plan_cache`], [`subtitle_cache`], [`planned_archives`], [`incomplete`], [`miscounted`], [`covers`], [`metrics`], [`app`] (state shared by all requests) |
//! | requests | [`route`], [`thumbnail`], [`download`], [`info`], [`openapi`], [`web_ui`], [`handler`] |
//! | program | [`serve`], [`check`], [`healthcheck`], [`demo`], [`get`] (a download without a server), [`tokens_command`], [`sign`], [`resolver_update`], [`cli`] |

pub mod access;
pub mod app;
pub mod archive;
pub mod audio;
pub mod cancel;
pub mod check;
pub mod child_group;
pub mod cli;
pub mod config;
pub mod container;
pub mod covers;
pub mod demo;
pub mod disposition;
pub mod download;
pub mod error;
pub mod fetch;
pub mod ffmpeg;
pub mod form;
pub mod get;
pub mod handler;
pub mod healthcheck;
pub mod http_client;
pub mod http_server;
pub mod incomplete;
pub mod info;
pub mod instruments;
pub mod labels;
pub mod limits;
pub mod logging;
pub mod lru;
pub mod media;
pub mod memory_budget;
pub mod metrics;
pub mod miscounted;
pub mod net;
pub mod openapi;
pub mod options;
pub mod plan_cache;
pub mod planned_archives;
pub mod playlist;
pub mod playlist_loader;
pub mod problem;
pub mod problem_code;
pub mod range;
pub mod reloadable;
pub mod request_id;
pub mod request_record;
pub mod resolve;
pub mod resolver_update;
pub mod route;
pub mod runtime_dir;
pub mod sandbox;
pub mod sd_notify;
pub mod semaphore;
pub mod serve;
pub mod sign;
pub mod splice;
pub mod strategy;
pub mod subtitle_cache;
pub mod sys;
pub mod text;
pub mod thumbnail;
pub mod timed_text;
pub mod tokens_command;
pub mod track_kind;
pub mod traffic;
pub mod web_ui;
