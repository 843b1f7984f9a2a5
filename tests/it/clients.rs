//! Real download programs, killed and started again: what they have in the end is the file that an
//! undisturbed download brings, and none of them begins anew.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::daemon::Daemon;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::served::{WAYS, Way};
use crate::support::{PATIENCE, eventually, media, number_from, run, start};

mod names;
mod segments;

/// So often a download is killed; between two kills it should get on by less than these bytes.
const KILLS: usize = 5;
const BETWEEN_KILLS: u64 = 6 << 20;
/// Slow enough to be killed at many a place.
const RATE: [&str; 2] = ["--limit-rate", "20M"];

const SETTINGS: &str = "[limits]\nstreams = 16\nstreams_per_client = 16\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\n";

/// A film at a daemon, and what an undisturbed download of it is.
struct Shop {
    origin: Origin,
    daemon: Daemon,
    settings: String,
    url: String,
    whole: Vec<u8>,
    directory: TempDir,
    random: fastrand::Rng,
}

/// A program that runs, and does not when the test has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Shop {
    fn open(way: Way, script: impl Fn(Resource) -> Resource) -> Self {
        let film = media::five_minutes();
        let healthy = |origin: &Origin| way.request(origin, film, |it| it);
        let scripted = |origin: &Origin| way.request(origin, film, &script);
        Self::of(&format!("{way:?}"), SETTINGS, healthy, scripted)
    }

    /// With what comes of the first request; programs make the second one.
    fn of(
        what: &str,
        settings: &str,
        healthy: impl Fn(&Origin) -> String,
        scripted: impl Fn(&Origin) -> String,
    ) -> Self {
        let (origin, daemon) = (Origin::start(), Daemon::start(settings));
        let answer = daemon.get(&healthy(&origin));
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{what}");
        let request = scripted(&origin);
        let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("{what}: {} bytes, YTCANAL_SEED={seed}", answer.body.len());
        Self {
            origin,
            url: daemon.url(&request),
            daemon,
            settings: settings.to_owned(),
            whole: answer.body,
            directory: tempfile::tempdir().unwrap(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("film.mp4")
    }

    /// How many places of its tracks were fetched from.
    fn places(&self) -> usize {
        let requests = self.origin.requests();
        let places = requests.iter().filter_map(|request| {
            let (first, _) = request.header("range")?.split_once('-')?;
            Some((request.path.as_str(), first))
        });
        places.collect::<HashSet<_>>().len()
    }

    fn has(&self) -> u64 {
        std::fs::metadata(self.file()).map_or(0, |file| file.len())
    }

    /// Runs the program until the file has got on by some random number of bytes, and kills it.
    fn kill(&mut self, command: &mut Command) {
        let until = self.has() + self.random.u64(1..BETWEEN_KILLS);
        let until = until.min(self.whole.len() as u64 / 4 * 3);
        let child = start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let mut child = Running(child);
        eventually("the download gets on", PATIENCE, || {
            let ended = child.0.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended by itself: {ended:?}");
            (self.has() >= until).then_some(())
        });
        child.0.kill().unwrap();
        assert_eq!(child.0.wait().unwrap().signal(), Some(9), "it was the kill that ended it");
        // Programs write whole blocks; what a file system keeps of them need not be whole.
        let kept = self.has() - self.random.u64(0..4096).min(self.has());
        File::options().write(true).open(self.file()).unwrap().set_len(kept).unwrap();
        println!("killed at {kept}");
    }

    fn assert_whole(&self, status: ExitStatus, printed: &str) {
        assert!(status.success(), "{status}: {printed}");
        assert_eq!(self.has(), self.whole.len() as u64);
        let file = std::fs::read(self.file()).unwrap();
        if file != self.whole {
            let at = file.iter().zip(&self.whole).position(|(found, meant)| found != meant);
            panic!("the first byte that is not as it should be: {at:?}");
        }
    }
}

/// Held shortly before its end, so that no download is complete before it is killed.
fn held(resource: Resource, gate: &Gate) -> Resource {
    let near_end = resource.len() - 4096;
    resource.gate(near_end, gate)
}

fn curl(shop: &Shop) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "60", "-C", "-"]).arg("-o");
    command.arg(shop.file()).arg(&shop.url);
    command
}

fn wget(arguments: &[&str], url: &str, file: &Path) -> Command {
    let mut command = Command::new("wget");
    command.env("LC_ALL", "C").args(["--no-config", "--no-hsts", "--no-proxy", "--tries=1"]);
    command.args(arguments).arg("-O").arg(file).arg(url);
    command
}

fn aria2c(shop: &Shop) -> Command {
    let mut command = Command::new("aria2c");
    command.args(["-x8", "-s8", "-k1M", "--no-conf", "--no-proxy=127.0.0.1", "--max-tries=1"]);
    command.args(["--file-allocation=none", "--out=film.mp4", "--dir"]);
    command.arg(shop.directory.path()).arg(&shop.url);
    command
}

fn printed(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn curl_goes_on_where_it_was_killed() {
    for way in WAYS {
        let gate = Gate::default();
        let mut shop = Shop::open(way, |resource| held(resource, &gate));
        for _ in 0..KILLS {
            let mut command = curl(&shop);
            shop.kill(command.args(RATE));
        }
        gate.open();
        let missing = shop.whole.len() as u64 - shop.has();
        let output = run(curl(&shop).args(["-w", "%{http_code} %{size_download}"]));
        shop.assert_whole(output.status, &printed(&output));
        assert_eq!(printed(&output), format!("206 {missing}"), "{way:?}: only what was missing");
    }
}

#[test]
fn wget_goes_on_where_it_was_killed() {
    for way in WAYS {
        let gate = Gate::default();
        let mut shop = Shop::open(way, |resource| held(resource, &gate));
        let (url, file) = (shop.url.clone(), shop.file());
        for _ in 0..KILLS {
            shop.kill(&mut wget(&["-c", RATE[0], RATE[1]], &url, &file));
        }
        gate.open();
        let (total, missing) = (shop.whole.len(), shop.whole.len() as u64 - shop.has());
        let output = run(&mut wget(&["-c", "--progress=dot:giga"], &url, &file));
        let text = printed(&output);
        shop.assert_whole(output.status, &text);
        assert!(text.contains("206 Partial Content"), "{way:?}: {text}");
        assert!(text.contains(&format!("Length: {total}")), "{way:?}: {text}");
        assert!(text.contains(&format!(", {missing} (")), "{way:?}: {text}");
    }
}

/// The commands of the README, word by word, each killed once and run again.
#[test]
fn what_the_readme_says_goes_on() {
    const README: &str = include_str!("../../README.md");
    for program in ["curl", "wget"] {
        let gate = Gate::default();
        let mut shop = Shop::open(Way::Spliced, |resource| held(resource, &gate));
        let is_it = |line: &&str| line.starts_with(program) && line.contains(" \"$url\"");
        let line = README.lines().find(is_it).expect("a line with it");
        let line = line.split('#').next().unwrap();
        let command = |more: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec {line} {more}")]).env("no_proxy", "*");
            shell.env("url", &shop.url).current_dir(shop.directory.path());
            shell
        };
        let (mut first, mut second) = (command(&RATE.join(" ")), command(""));
        shop.kill(&mut first);
        gate.open();
        let missing = shop.whole.len() as u64 - shop.has();
        assert!(missing > 0, "{line}");
        let output = run(&mut second);
        shop.assert_whole(output.status, &printed(&output));
        let files = std::fs::read_dir(shop.directory.path()).unwrap().count();
        assert_eq!(files, 1, "{line}: it went on with another file");
    }
}

#[test]
fn aria2c_takes_it_through_eight_connections() {
    for way in WAYS {
        // Slow enough for all of them to be busy at the same time.
        let shop = Shop::open(way, |resource| resource.pace(2_000_000));
        let log = File::create(shop.directory.path().join("log")).unwrap();
        let before = shop.origin.requests().len();
        let child = start(aria2c(&shop).stdin(Stdio::null()).stdout(log).stderr(Stdio::null()));
        let mut child = Running(child);
        eventually("eight connections", PATIENCE, || {
            let ended = child.0.try_wait().unwrap();
            assert!(ended.is_none(), "it came to its end without them: {ended:?}");
            // Without ranges it would soon go on with one of them.
            let active = shop.daemon.metric("ytcanal_streams_active");
            (active >= 8.0 && shop.places() >= 8).then_some(())
        });
        let status = child.0.wait().unwrap();
        println!("{way:?}: {} requests at the origin", shop.origin.requests().len() - before);
        let log = std::fs::read_to_string(shop.directory.path().join("log")).unwrap();
        shop.assert_whole(status, &log);
    }
}

/// Twice as many connections as one client may have: those that come too early wait, and none is
/// refused.
#[test]
fn two_aria2c_with_sixteen_connections_each() {
    let way = WAYS[0];
    let shop = Shop::open(way, |resource| resource.pace(4_000_000));
    let twice: Vec<_> = ["one", "two"]
        .map(|name| {
            let log = File::create(shop.directory.path().join(name.to_owned() + ".log")).unwrap();
            let mut command = Command::new("aria2c");
            command.args(["-x16", "-s16", "-k1M", "--no-conf", "--no-proxy=127.0.0.1"]);
            command.args(["--max-tries=1", "--file-allocation=none", "--dir"]);
            command.arg(shop.directory.path()).arg("--out").arg(name).arg(&shop.url);
            (name, Running(start(command.stdin(Stdio::null()).stdout(log))))
        })
        .into_iter()
        .collect();
    for (name, mut child) in twice {
        let status = child.0.wait().unwrap();
        let log = shop.directory.path().join(name.to_owned() + ".log");
        assert!(status.success(), "{}", std::fs::read_to_string(log).unwrap());
        assert!(std::fs::read(shop.directory.path().join(name)).unwrap() == shop.whole, "{name}");
    }
    let metrics = shop.daemon.get("/metrics").text();
    let mut refused = metrics.lines().filter(|line| line.contains("streams-full"));
    assert!(refused.all(|line| line.ends_with(" 0")), "{metrics}");
    println!("{metrics}");
}

#[test]
fn the_total_is_known_beforehand() {
    for way in WAYS {
        let shop = Shop::open(way, |resource| resource);
        let total = shop.whole.len();
        let output = run(Command::new("curl").args(["-sI", "--noproxy", "*"]).arg(&shop.url));
        let text = printed(&output);
        for line in [&format!("Content-Length: {total}"), "Accept-Ranges: bytes", "ETag: \""] {
            assert!(text.contains(line), "{way:?}: no {line} in {text}");
        }
        let output = run(&mut wget(&["--spider", "-S"], &shop.url, &shop.file()));
        let text = printed(&output);
        assert!(output.status.success(), "{way:?}: {text}");
        assert!(text.contains(&format!("Length: {total} ")), "{way:?}: {text}");
    }
}
