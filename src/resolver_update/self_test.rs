//! Tries a release of yt-dlp as the server would use it, on a page that this program serves itself.
//!
//! The page is served by this program, so a release that asks for nothing else sends nothing out.
//!
//! **Invariant:** what was installed runs in the sandbox that the server uses, and nowhere else.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tiny_http::{Header, Request, Response, Server};
use url::Url;

use crate::cancel::CancelToken;
use crate::config::{Config, HumanDuration};
use crate::limits::{Client, RateLimiter};
use crate::media::page_media::PageMedia;
use crate::memory_budget::MemoryBudget;
use crate::net::Dialer;
use crate::resolve::{Javascript, RequestContext, Resolver};
use crate::runtime_dir::RuntimeDir;

const PAGE: &str = include_str!("page.html");
const PLAYLIST: &str = include_str!("master.m3u8");
/// In the page: the URL of the server.
const HERE: &str = "{{here}}";
/// What the page offers.
const TITLE: &str = "A film to try yt-dlp with";
const HEIGHTS: [u32; 2] = [360, 720];
/// Maximum time to read the page: a slow machine loads yt-dlp for the first time.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Tries the program `command`, with its files in the directory `work`, in both ways of calling it. Fails also if it
/// cannot run YouTube's scripts although `before`, the program in use, can.
pub(super) fn self_test(command: &Path, before: Option<&Path>, work: &Path) -> Result<(), String> {
    // By itself first: a fork server that cannot be started is reported, and does without.
    try_page(&resolver(command, false, work)?)?;
    let resolver = resolver(command, true, work)?;
    try_page(&resolver)?;
    match resolver.try_javascript() {
        Javascript::Fails(why) if before.is_some_and(|before| runs_scripts(before, work)) => {
            Err(format!("it cannot run the scripts of YouTube, unlike the one in use: {why}"))
        }
        Javascript::Missing if before.is_some_and(|before| runs_scripts(before, work)) => {
            Err("it finds no JavaScript runtime, unlike the one in use".into())
        }
        // `ytcanal check` reports these.
        Javascript::Runs(_)
        | Javascript::Fails(_)
        | Javascript::Missing
        | Javascript::Untried(_) => Ok(()),
    }
}

fn runs_scripts(command: &Path, work: &Path) -> bool {
    resolver(command, true, work)
        .is_ok_and(|resolver| matches!(resolver.try_javascript(), Javascript::Runs(_)))
}

/// Makes what reads pages, as the server does by default, but for the address of the page and what may read it.
fn resolver(command: &Path, fork_server: bool, work: &Path) -> Result<Resolver, String> {
    let loopback = Ipv4Addr::LOCALHOST.to_string().parse().map_err(|why| format!("{why:?}"))?;
    let mut config = Config::default();
    config.upstream.allow = vec![loopback];
    config.resolver.command = command.to_owned();
    config.resolver.fork_server = fork_server;
    config.resolver.extractors = vec!["generic".into()];
    config.resolver.timeout = HumanDuration(TIMEOUT);
    let failed = |error: io::Error| format!("cannot prepare the self-test: {error}");
    let base = work.join("run");
    fs::create_dir_all(&base).map_err(failed)?;
    let runtime = Arc::new(RuntimeDir::claim(&base).map_err(failed)?);
    let dialer = Arc::new(Dialer::new(&config.upstream));
    let rates = Arc::new(RateLimiter::new(&config.limits));
    Resolver::new(&config, &dialer, &runtime, &MemoryBudget::new(u64::MAX), &rates).map_err(failed)
}

/// Reads the page; fails unless it was read as it is.
fn try_page(resolver: &Resolver) -> Result<(), String> {
    let server = Server::http((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = server.server_addr().to_ip().ok_or("there is no loopback address")?;
    let here = format!("http://{address}");
    let link = Url::parse(&here).map_err(|error| error.to_string())?;
    let cancel = CancelToken::new().map_err(|error| error.to_string())?;
    let client = Client::new(IpAddr::from(Ipv4Addr::LOCALHOST), &[]);
    let context = RequestContext { client, cancel: &cancel };
    let read = thread::scope(|scope| {
        scope.spawn(|| server.incoming_requests().for_each(|request| respond(request, &here)));
        let read = resolver.resolve(&link, &context);
        server.unblock();
        read
    });
    let page = read.map_err(|error| error.to_string())?;
    expect_formats(&page)
}

fn respond(request: Request, here: &str) {
    let (media_type, body) = match request.url() {
        "/" => ("text/html; charset=utf-8", PAGE.replace(HERE, here)),
        "/master.m3u8" => ("application/vnd.apple.mpegurl", PLAYLIST.to_owned()),
        _ => {
            request.respond(Response::empty(404)).ok();
            return;
        }
    };
    let header = Header::from_bytes("Content-Type", media_type).ok();
    let response = Response::from_string(body);
    // A client that has left fails the test in any case.
    request.respond(header.into_iter().fold(response, Response::with_header)).ok();
}

fn expect_formats(page: &PageMedia) -> Result<(), String> {
    let videos = page.renditions.iter().filter_map(|rendition| rendition.video.as_ref());
    let heights: Vec<u32> = videos.map(|video| video.height).collect();
    let title = page.title.as_deref().unwrap_or_default();
    if heights == HEIGHTS && title == TITLE {
        return Ok(());
    }
    Err(format!("it reads a page otherwise than it is: {title:?} in {heights:?}"))
}
