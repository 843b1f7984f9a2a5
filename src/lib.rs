//! YtCanal joins a video URL and an audio URL into one file while both are still downloading.
//!
//! A request travels through the modules in this order, and calls go only this way:
//!
//! ```text
//! client ─ edge ─ answer ─ route ─ stream ★ ─ resolve ─ source ─ mux ─ edge ─ client
//! ```
//!
//! [`stream::serve`] tells the whole story; read it first. The modules, in the order of the
//! flow:
//!
//! * [`edge`]: sockets, limits, request and answer on the wire
//! * [`answer`]: the table of contents
//! * [`route`]: what is wanted
//! * [`media`]: tracks and where they are, renditions and which are taken
//! * [`resolve`]: from a page link to what is on offer
//! * [`stream`]: one client, from the tracks to the last byte
//! * [`slots`]: who may run a stream
//! * [`source`]: one track's bytes, and which addresses they may come from
//! * [`mux`]: two tracks in, one file out
//! * [`stop`]: how a stream ends before its end
//!
//! Around them: [`config`] (every limit), [`serve`] (the daemon), [`demo`], [`check`], [`cli`],
//! [`error`], [`stats`], [`logging`], [`notify`], [`page`], [`info`] and [`picture`] (what a
//! link offers), [`canal`] (what streams share), [`incomplete`] (files that lack their end),
//! [`plans`] and [`sys`] (the operating system).

pub mod app;
pub mod cancel;
pub mod check;
pub mod cli;
pub mod config;
pub mod demo;
pub mod disposition;
pub mod error;
pub mod handler;
pub mod http_server;
pub mod incomplete;
pub mod info;
pub mod limits;
pub mod logging;
pub mod media;
pub mod memory_budget;
pub mod metrics;
pub mod mux;
pub mod plan_cache;
pub mod range;
pub mod resolve;
pub mod route;
pub mod sd_notify;
pub mod serve;
pub mod source;
pub mod stream;
pub mod sys;
pub mod thumbnail;
pub mod web_ui;
