//! A client that does not read costs kilobytes, not the film.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::answer::Ending;
use crate::support::client::{Client, any_path, ask, mux_path, splice_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::media::high_bit_rate;
use crate::support::origin::Origin;
use crate::support::process_snapshot::memory;
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;
use crate::support::test_ca::Authority;
use crate::support::{PATIENCE, eventually, hls, media, run};

const SILENCE: Duration = Duration::from_secs(15);
const FFMPEG_LIMIT: u64 = 80 << 20;
const DAEMON_LIMIT: u64 = 20 << 20;
const STREAMS: usize = 30;
/// What each of them has read.
const SOME: usize = 25 << 20;
/// Parts of 1 MiB; the films here have 70 to 190 of them.
const MOST_ASKED: usize = 40;

#[test]
fn a_client_that_reads_nothing_costs_no_memory() {
    let pair = media::five_hours();
    costs_no_memory(Some(&pair.video), Some(&pair.audio), "auto");
}

/// Sound alone has no key frames at which a cluster would end.
#[test]
fn five_hours_of_sound_cost_no_memory() {
    costs_no_memory(None, Some(&media::five_hours().audio), "mkv");
}

#[test]
fn a_file_that_is_passed_through_costs_no_memory() {
    costs_no_memory(Some(&media::five_hours().video), None, "auto");
}

/// Few packets, but large ones: a limit counted in packets would let them in.
#[test]
fn a_film_of_a_high_bit_rate_costs_no_memory() {
    let video = media::high_bit_rate();
    costs_no_memory(Some(video), Some(&media::minute().audio), "auto");
}

fn costs_no_memory(video: Option<&Path>, audio: Option<&Path>, container: &str) {
    let passed_through = audio.is_none();
    let origin = Origin::start();
    let daemon = Daemon::start(&format!("{LOOPBACK}chunk = \"1MiB\"\n"));
    let put =
        |name: &str, file: &Path| origin.put(name, Resource::file(file).ranges().keep_alive());
    let (video, audio) = (video.map(|file| put("v", file)), audio.map(|file| put("a", file)));
    let path = mux_path(video.as_deref(), audio.as_deref(), &[("container", container)]);
    let mut client = Client::get(daemon.address(), &path);
    // The silence is the subject here; there is no event to wait for.
    let end = Instant::now() + SILENCE;
    let mut of_ffmpeg = 0;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(200));
        let children = daemon.children();
        let together: u64 = children.iter().map(|child| memory(child.pid, "VmHWM")).sum();
        of_ffmpeg = of_ffmpeg.max(together);
    }
    // What the client does not read is not asked for, beyond what the kernel's buffers hold.
    let asked = origin.requests().len();
    assert!(asked <= MOST_ASKED, "{asked} parts were asked for");
    let of_daemon = memory(daemon.pid(), "VmHWM");
    println!(
        "peak: ffmpeg {} KiB, daemon {} KiB; {asked} parts asked for",
        of_ffmpeg >> 10,
        of_daemon >> 10
    );
    assert_eq!(of_ffmpeg == 0, passed_through, "ffmpeg ran, or did not");
    assert!(of_ffmpeg < FFMPEG_LIMIT, "ffmpeg took {of_ffmpeg} bytes");
    assert!(of_daemon < DAEMON_LIMIT, "the daemon took {of_daemon} bytes");
    // The pause was the client's own and must not count against the sources.
    client.first_byte();
    for _ in 0..32 {
        client.read_raw(1 << 20);
    }
    let of_daemon = memory(daemon.pid(), "VmHWM");
    assert!(of_daemon < DAEMON_LIMIT, "the daemon took {of_daemon} bytes");
}

/// Each of them has a plan of its own, for the origin gives no validators: nothing is shared.
#[test]
fn a_spliced_stream_costs_less_than_a_megabyte() {
    let (origin, pair) = (Origin::start(), &media::hour().tracks);
    let put = |name, file: &Path| origin.put(name, Resource::file(file).ranges().keep_alive());
    let path = splice_path(&put("v", &pair.video), &put("a", &pair.audio), &[]);
    let limits = format!("[limits]\nstreams = {STREAMS}\nstreams_per_client = {STREAMS}\n");
    let daemon = Daemon::start(&format!("{LOOPBACK}{limits}"));
    // What the first stream brings for all, like the code itself, is not counted.
    let begin = |_| {
        let mut client = Client::get(daemon.address(), &path);
        client.first_byte();
        // Past some seams, so that all is there that a stream ever has.
        client.read_raw(SOME);
        client
    };
    drop(begin(0));
    let before = memory(daemon.pid(), "VmRSS");
    let clients: Vec<Client> = (0..STREAMS).map(begin).collect();
    let each = memory(daemon.pid(), "VmRSS").saturating_sub(before) / STREAMS as u64;
    println!("{STREAMS} spliced streams: {} KiB each", each >> 10);
    assert!(each < 1 << 20, "a stream takes {each} bytes");
    drop(clients);
}

/// As many as there may be by default, each with connections to an origin that speaks HTTPS, in a daemon that gets no
/// more than 256 MB. These count stacks, too, of which hardly anything is used.
#[test]
fn all_streams_over_https_fit_a_small_machine() {
    const ALL: usize = 64;
    const PEAK: u64 = 48 << 20;
    const MACHINE: u64 = 256_000_000;
    let (authority, pair) = (Authority::new(), &media::hour().tracks);
    let root = authority.file();
    let origin = Origin::start_tls(&authority, "127.0.0.1");
    let put = |name, file: &Path| origin.put(name, Resource::file(file).ranges().keep_alive());
    let path = splice_path(&put("v", &pair.video), &put("a", &pair.audio), &[]);
    let limits = format!("[limits]\nstreams_per_client = {ALL}\nconnections_per_client = 256\n");
    let daemon = Daemon::start(&format!("{LOOPBACK}ca_file = {:?}\n{limits}", root.path()));
    let pid = daemon.pid().to_string();
    let limit = format!("--data={MACHINE}");
    let limited = run(Command::new("prlimit").args(["--pid", &pid, &limit]));
    assert!(limited.status.success(), "{limited:?}");
    let begin = |_| {
        let mut client = Client::get(daemon.address(), &path);
        assert_eq!(client.first_byte().status, 200);
        client
    };
    let mut clients: Vec<_> = (0..ALL).map(begin).collect();
    for _ in 0..8 {
        clients.iter_mut().for_each(|client| drop(client.read_raw(256 << 10)));
    }
    let peak = memory(daemon.pid(), "VmHWM");
    println!("{ALL} streams over HTTPS: {} MiB at the peak", peak >> 20);
    assert!(peak < PEAK, "{peak} bytes");
}

/// Of nothing, and as long as an index may be.
#[test]
fn many_long_indexes_at_a_time_do_not_take_all_memory() {
    const BOX: u32 = 8 << 10;
    const BOXES: u32 = 4000;
    const CLIENTS: usize = 8;
    let free = [&BOX.to_be_bytes()[..], b"free", &[0; BOX as usize - 8]].concat();
    let ftyp = b"\0\0\0\x10ftypisom\0\0\0\0";
    let moov = [&(BOX * BOXES + 8).to_be_bytes()[..], b"moov"].concat();
    let file = [&ftyp[..], &moov, &free.repeat(BOXES as usize)].concat();
    let origin = Origin::start();
    let url = origin.put("long", Resource::bytes(file).ranges().keep_alive());
    let daemon = Daemon::start(LOOPBACK);
    let baseline = daemon.baseline();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let answer = daemon.get(&splice_path(&url, &url, &[]));
                assert_eq!(answer.head.status, 422, "{}", answer.text());
            });
        }
    });
    let peak = memory(daemon.pid(), "VmHWM");
    println!("peak: {} MiB", peak >> 20);
    assert!(peak < 250 << 20, "{peak} bytes");
    daemon.settles(&baseline, crate::support::PATIENCE);
}

/// Eleven megabytes each, of which a fragment begins with the lengths of all pictures.
#[test]
fn long_segments_in_memory_are_limited() {
    let origin = Origin::start();
    let film = SegmentedFilm::of(hls::named("transport stream"), high_bit_rate());
    let path = any_path(Some(&film.put(&origin, "film")), None, &[("length", "wait")]);
    let limits = "[limits]\nslot_timeout = \"0s\"\nsegment_memory = \"32MiB\"\n\
                  segment_memory_per_client = \"48MiB\"\n";
    let daemon = Daemon::start(&format!("{LOOPBACK}{limits}"));
    let begin = || {
        let mut client = Client::get(daemon.address(), &path);
        let head = client.first_byte();
        (head.status == 200).then_some(client).ok_or(head)
    };
    let clients: Vec<_> = (0..2).map(|_| begin().unwrap()).collect();
    for _ in 0..2 {
        let answer = daemon.get(&path);
        assert_eq!(answer.head.status, 503, "{}", answer.text());
        assert_eq!(answer.problem()["code"], "segment-memory-full");
    }
    assert_eq!(ask(daemon.address(), "HEAD", &path, "").head.status, 200);
    drop(clients);
    let answer = eventually("the memory comes back", PATIENCE, || {
        Some(daemon.get(&path)).filter(|answer| answer.head.status != 503)
    });
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    let peak = memory(daemon.pid(), "VmHWM");
    println!("peak: {} MiB", peak >> 20);
    assert!(peak < 64 << 20, "{peak} bytes");
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let (origin, pair) = (Origin::start(), media::five_hours());
    let daemon = Daemon::start(&format!("{LOOPBACK}[limits]\nclient_stall_timeout = \"2s\"\n"));
    let baseline = daemon.baseline();
    let video = origin.put("v", Resource::file(&pair.video));
    let audio = origin.put("a", Resource::file(&pair.audio));
    let client = Client::get(daemon.address(), &mux_path(Some(&video), Some(&audio), &[]));
    crate::support::eventually("ffmpeg runs", crate::support::PATIENCE, || {
        (!daemon.children().is_empty()).then_some(())
    });
    daemon.settles(&baseline, crate::support::PATIENCE);
    drop(client);
}
