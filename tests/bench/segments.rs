//! Films in segments (HLS), from an origin that speaks HTTPS: what it takes to join them, beside ffmpeg that
//! does the same, and how soon the first byte comes over a line with a round trip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compare;
use crate::delay::DelayedLine;
use crate::figures::Spread;
use crate::https::HttpsOrigin;
use crate::machine;
use crate::reader::Until;
use crate::server::{Engine, Server};
use crate::systems::{Alone, Links, System};
use crate::{Outcome, ROUND_TRIP, say};

const HAULS: usize = 5;
const STARTS: usize = 9;
/// Names of the playlists, and the options of ffmpeg that make them.
const KINDS: [(&str, &str, &[&str]); 3] = [
    ("transport stream", "ts.m3u8", &[]),
    (
        "fragments",
        "fmp4.m3u8",
        &["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"],
    ),
    ("transport stream, one file", "one.m3u8", &["-hls_flags", "single_file"]),
];

pub(crate) fn run(target: &Path) -> Outcome<()> {
    let dir = target.join("bench-media/segments");
    make(&dir, "high", "8M", 5)?;
    make(&dir, "hour", "900k", 60)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let origin = HttpsOrigin::start(&dir, scratch.path())?;
    let config = origin.upstream().config();
    let daemon =
        |name, engine| Server::ytcanal(name, engine, ["", config.as_str()], scratch.path());
    let exact = daemon("known length", Engine::KnownLength)?;
    let endless = daemon("no length", Engine::UnknownLength)?;
    println!("{}\n", machine::describe()?);

    println!("5 minutes of 8 Mbit/s, {HAULS} downloads each in turns:\n");
    println!(
        "| segments | CPU-s/GB, with a length | without | ffmpeg | ratios | peak memory, MB |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, playlist, _) in KINDS {
        let links = Links::playlist(format!("{}/high/{playlist}", origin.upstream().url()));
        // Of a playlist, ffmpeg gives no certificates to its requests for segments.
        println!("| {name} | {} |", haul([&exact, &endless, &Alone(None)], &links)?);
    }

    let line = DelayedLine::to(origin.upstream().addr(), ROUND_TRIP)?;
    println!(
        "\nAn hour of 1 Mbit/s in segments of 4 s, round trip {} ms:\n",
        ROUND_TRIP.as_millis()
    );
    println!("| segments | first byte with a length, ms | without, ms |");
    println!("|---|---|---|");
    for (name, playlist, _) in KINDS {
        let url = format!("{}/hour/{playlist}", origin.upstream().behind(&line).url());
        let [with, without] = [start(&exact, &url)?, start(&endless, &url)?];
        println!("| {name} | {} | {} |", with.with_ends(), without.with_ends());
    }
    println!("\nThree round trips of these are for the playlist: TCP, TLS and the request.");
    Ok(())
}

/// Returns the cells of a row: the systems take turns.
fn haul(systems: [&dyn System; 3], links: &Links) -> Outcome<String> {
    let (mut cpus, mut peaks) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for _ in 0..HAULS {
        for (place, system) in systems.iter().enumerate() {
            compare::settle();
            let weighed = system.weigh(links, 1)?;
            cpus[place].push(weighed.cpu);
            peaks[place].push(weighed.peak);
        }
    }
    let [exact, endless, ffmpeg] = cpus.map(Spread::of);
    let peaks: Vec<_> = peaks.into_iter().map(|peaks| Spread::of(peaks).alone()).collect();
    let ratio = |cpu: Spread| cpu.median / ffmpeg.median;
    Ok(format!(
        "{} | {} | {} | {:.2}, {:.2} | {}",
        exact.with_ends(),
        endless.with_ends(),
        ffmpeg.with_ends(),
        ratio(exact),
        ratio(endless),
        peaks.join(", ")
    ))
}

/// How soon the first byte comes. Each download is of another URL, so that nothing is remembered.
fn start(server: &Server, url: &str) -> Outcome<Spread> {
    let mut firsts = Vec::new();
    for round in 0..=STARTS {
        compare::settle();
        let links = Links::playlist(format!("{url}?{round}"));
        let body = server.fetch(&links, Until::Media)?;
        // The first round makes everything ready.
        if round > 0 {
            firsts.push(body.first_byte() * 1e3);
        }
    }
    Ok(Spread::of(firsts))
}

/// Makes a film in segments of 4 s of each kind, unless it is there: one minute over and over.
fn make(dir: &Path, name: &str, rate: &str, minutes: u32) -> Outcome<()> {
    let directory = dir.join(name);
    if directory.exists() {
        return Ok(());
    }
    say(&format!("making {}", directory.display()));
    let partial: PathBuf = dir.join(format!("{name}.part"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    let minute = partial.join("minute.mp4");
    let path = minute.to_str().ok_or("the target directory's name is not UTF-8")?;
    let size = if rate == "8M" { "1280x720" } else { "640x360" };
    let picture = format!("testsrc2=size={size}:rate=25,noise=alls=14:allf=t,format=yuv420p");
    ffmpeg(
        &partial,
        &[
            &["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", "sine=sample_rate=48000"][..],
            &["-t", "60", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "100"],
            &["-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-c:a", "aac", "-b:a", "96k", path],
        ]
        .concat(),
    )?;
    let repeats = (minutes - 1).to_string();
    for (_, playlist, options) in KINDS {
        let input = ["-stream_loop", &repeats, "-i", path, "-c", "copy", "-f", "hls"];
        let list = ["-hls_time", "4", "-hls_playlist_type", "vod"];
        ffmpeg(&partial, &[&input[..], &list, options, &[playlist]].concat())?;
    }
    fs::remove_file(&minute)?;
    Ok(fs::rename(&partial, &directory)?)
}

fn ffmpeg(directory: &Path, arguments: &[&str]) -> Outcome<()> {
    let mut command = Command::new("ffmpeg");
    command.current_dir(directory).args(["-nostdin", "-loglevel", "error", "-y"]).args(arguments);
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("ffmpeg could not make segments: {status}").into()),
    }
}
