//! How long it takes to read a page: with yt-dlp kept loaded, and called anew for each. Both daemons
//! are asked in turn for what is behind links that they have not seen before.
//!
//! The pages are those of a site on loopback, for which the tests have a plugin of yt-dlp's: what is
//! measured is yt-dlp and the way to it, and not a site. With the site and its media a round trip away, a
//! second table tells what the user of a page link waits for (see `page_link`). It asserts nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use tiny_http::{Response, Server as Site};

use crate::Outcome;
use crate::figures::Spread;
use crate::machine;
use crate::page_link;
use crate::say;
use crate::server::{Engine, Server};

const ROUNDS: usize = 31;
const WAYS: [(&str, bool); 2] = [("loaded, forked", true), ("called anew", false)];

pub(crate) fn run(target: &Path) -> Outcome<()> {
    let command = target.join("ytdlp-venv/bin/yt-dlp");
    if !command.exists() {
        return Err(
            "there is no yt-dlp in target/ytdlp-venv; `make bench-resolve` installs it".into()
        );
    }
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ytdlp/plugins");
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let site = Site::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = site.server_addr().to_ip().ok_or("a site without an address")?;
    let mut daemons = Vec::new();
    for (name, forks) in WAYS {
        let resolver =
            resolver_section(&command, &format!("\"--plugin-dirs\", {plugins:?}"), forks);
        daemons.push(Server::ytcanal(name, Engine::Auto, ["", &resolver], scratch.path())?);
    }
    let mut millis = [Vec::new(), Vec::new()];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok(request) = site.recv() {
                // All that the plugin knows, of any film.
                request.respond(Response::from_string("{}")).ok();
            }
        });
        let measured = (0..=ROUNDS).try_for_each(|round| -> Outcome<()> {
            for (daemon, millis) in daemons.iter().zip(&mut millis) {
                let took = read(daemon.addr(), address, round)?;
                // The first one loads it.
                if round > 0 {
                    millis.push(took);
                }
            }
            Ok(())
        });
        site.unblock();
        measured
    })?;
    say("done");
    println!("{}", machine::describe()?);
    println!("a page that was not read before, ms, median of {ROUNDS} (least–most):");
    for ((name, _), millis) in WAYS.iter().zip(millis) {
        println!("  {name:16} {}", Spread::of(millis).with_ends());
    }
    // yt-dlp trusts no certificate of a file; the handshake is the same.
    let args = format!("\"--plugin-dirs\", {plugins:?}, \"--no-check-certificates\"");
    page_link::run(target, &resolver_section(&command, &args, true))
}

/// Of the daemon's configuration, with these arguments of yt-dlp.
fn resolver_section(command: &Path, args: &str, forks: bool) -> String {
    format!("[resolver]\ncommand = {command:?}\nextra_args = [{args}]\nfork_server = {forks}")
}

/// How many milliseconds it takes to be told what is behind the link of this round.
fn read(daemon: SocketAddr, site: SocketAddr, round: usize) -> Outcome<f64> {
    let link =
        format!("http%3A%2F%2F{}%2Fwatch%3Fv%3Dfilm{round}", site.to_string().replace(':', "%3A"));
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let begun = Instant::now();
    let told = agent.get(format!("http://{daemon}/info?url={link}")).call()?;
    let text = told.into_body().read_to_string()?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    if !text.contains("\"videos\"") {
        return Err(format!("it did not tell what is on offer: {text}").into());
    }
    Ok(took)
}
