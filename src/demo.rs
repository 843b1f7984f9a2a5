//! `ytcanal demo`: a demonstration without a network. Generates a sample, serves it from a local origin at
//! the pace of a video site, downloads it through the real server, and keeps running.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::{Config, HostPattern, HumanDuration, ListenAddress};
use crate::form::encode_value;
use crate::media::page_media::PageMedia;
use crate::sd_notify::SdNotify;
use crate::serve::{Server, Signal, with_signals};
use crate::web_ui::Prefill;

mod origin;
mod sample;

use origin::Origin;
use sample::Sample;

/// The speed of the origin relative to playback: the sample of 3 minutes arrives in 15 seconds.
const SPEED: f64 = 12.0;

/// Runs the demonstration until a signal.
pub fn demo(listen: &[SocketAddr]) -> io::Result<()> {
    let config = configuration(listen)?;
    let dir = tempfile::tempdir()?;
    say("Generating a sample: a test pattern and a tone, 3 minutes, in two qualities ...")?;
    let sample = Sample::generate(&config.muxer.ffmpeg, dir.path())?;
    let pace = sample.duration.div_f64(SPEED);
    let origin = Origin::bind(sample.files.clone(), pace)?;
    let media = sample.page_media(&origin)?;
    let prefill = Prefill { page_url: media.page_url.to_string(), ..Prefill::default() };
    let server = bind(config, &media)?;
    let Some(ListenAddress::Tcp(address)) = server.addresses().first().cloned() else {
        return Ok(());
    };
    thread::scope(|scope| {
        scope.spawn(|| origin.serve());
        let ended = with_signals(Signal::Shutdown, |signals| {
            let (prefill, file) = (&prefill, dir.path().join("sample.mp4"));
            scope.spawn(move || {
                let downloaded = download(address, prefill, &file);
                if let Err(error) = downloaded.and_then(|()| print_examples(address, prefill)) {
                    log::warn!("the download of the demonstration failed: {error}");
                }
            });
            server.run(prefill, signals, &SdNotify::default())
        });
        origin.end();
        ended
    })
}

/// Returns a configuration that listens on loopback only.
fn configuration(listen: &[SocketAddr]) -> io::Result<Config> {
    // **Invariant:** the demonstration may fetch from loopback, and so must not be reachable by others.
    if let Some(open) = listen.iter().find(|address| !address.ip().is_loopback()) {
        let message = format!("the demonstration cannot listen on {open}; use a loopback address");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut config = Config::default();
    config.upstream.allow = vec![HostPattern::Net(IpAddr::from([127, 0, 0, 1]).into())];
    // Ctrl-C does not wait for downloads.
    config.limits.drain_timeout = HumanDuration(Duration::from_millis(500));
    if !listen.is_empty() {
        config.listen = listen.iter().map(|address| (*address).into()).collect();
    }
    Ok(config)
}

/// Binds to the configured addresses, or to any free port if the default one is in use.
fn bind(mut config: Config, media: &PageMedia) -> io::Result<Server> {
    let bind = |config| Server::bind(config).map(|server| server.with_builtin(media.clone()));
    match bind(config.clone()) {
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && config.listen == Config::default().listen =>
        {
            config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
            bind(config)
        }
        bound => bound,
    }
}

/// Downloads the sample through the server as any client, and prints its progress and ffprobe's report.
fn download(address: SocketAddr, prefill: &Prefill, file: &Path) -> io::Result<()> {
    say("\nDownloading it through the server, while it is still being fetched:")?;
    let started = Instant::now();
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let response = agent.get(download_url(address, prefill)).call().map_err(io::Error::other)?;
    let len = response.body().content_length();
    let mut body = response.into_body().into_reader();
    let mut out = BufWriter::new(File::create(file)?);
    let (mut buffer, mut total, mut shown) = (vec![0; 64 << 10], 0u64, Duration::ZERO);
    loop {
        let count = body.read(&mut buffer)?;
        let elapsed = started.elapsed();
        if total == 0 {
            let of = len.map_or_else(String::new, |len| format!(", of {len} in all"));
            say(&format!("  first bytes after {} ms{of}", elapsed.as_millis()))?;
        }
        if count == 0 {
            break;
        }
        total += count as u64;
        out.write_all(&buffer[..count])?;
        if elapsed >= shown + Duration::from_secs(1) {
            shown = elapsed;
            say(&format!("  {:6.2} MB after {:4.1} s", total as f64 / 1e6, elapsed.as_secs_f64()))?;
        }
    }
    out.flush()?;
    say(&format!("  complete: {total} bytes in {:.1} s", started.elapsed().as_secs_f64()))?;
    let report = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries"])
        .args(["format=format_long_name,duration:stream=codec_type,codec_long_name"])
        .args(["-of", "default=noprint_wrappers=1"])
        .arg(file)
        .output()?;
    say("\nThe report of ffprobe:")?;
    for line in String::from_utf8_lossy(&report.stdout).lines() {
        say(&format!("  {line}"))?;
    }
    fs::remove_file(file)
}

/// Prints commands to try.
fn print_examples(address: SocketAddr, prefill: &Prefill) -> io::Result<()> {
    let url = download_url(address, prefill);
    let info = url.replace("/download?", "/info?");
    say(&format!(
        "\nTry it yourself:\n\
         \x20 curl -o film.mp4 '{url}'\n\
         interrupt and resume it:\n\
         \x20 curl -C - -o film.mp4 '{url}'\n\
         a time range:\n\
         \x20 curl -o part.mp4 '{url}&start=1:00&end=1:30'\n\
         the audio as MP3:\n\
         \x20 curl -OJ '{url}&container=mp3'\n\
         the available formats:\n\
         \x20 curl '{info}'\n\
         or open the web page, where the link of the sample is filled in:\n\
         \x20 http://{address}/\n\
         Ctrl-C ends the demonstration."
    ))
}

fn download_url(address: SocketAddr, prefill: &Prefill) -> String {
    let page_url = encode_value(&prefill.page_url);
    format!("http://{address}/download?url={page_url}")
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
