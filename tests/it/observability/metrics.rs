//! The metrics count what happens, agree with each other, and are as Prometheus wants them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Expected, SECRET, from_far, make_requests, start};
use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::track_file;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, ytdlp};

/// The samples of a text, by name and labels.
pub(super) struct Samples(pub(super) BTreeMap<String, f64>);

impl Samples {
    pub(super) fn parse(text: &str) -> Samples {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        });
        Samples(samples.collect())
    }

    fn of(daemon: &Daemon) -> Samples {
        let bearer = format!("Authorization: Bearer {SECRET}\r\n");
        let answer = from_far(daemon, "GET", "/metrics", &bearer);
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        Samples::parse(&answer.text())
    }

    fn get(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("no {sample} in {:?}", self.0.keys()))
    }

    fn sum(&self, metric: &str) -> f64 {
        let begin = format!("{metric}{{");
        let of_metric = self.0.iter().filter(|(name, _)| name.starts_with(&begin));
        of_metric.map(|(_, value)| value).sum()
    }

    /// Downloads that began, that ended, and that are in progress.
    fn streams(&self) -> (f64, f64, f64) {
        let ended = self.sum("ytcanal_streams_ended_total");
        (self.get("ytcanal_streams_total"), ended, self.get("ytcanal_streams_in_progress"))
    }
}

#[test]
fn what_happened_is_counted() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let daemon = start(directory.path(), "text");
    let expected = make_requests(&daemon, &origin);
    // What was refused at the door is no download.
    let is_download = |row: &&Expected| row.route == "/mux" && row.result != "bad-token";
    let begun = expected.iter().filter(is_download).count() as f64;
    let samples = eventually("all have ended", PATIENCE, || {
        let samples = Samples::of(&daemon);
        (samples.streams() == (begun, begun, 0.0)).then_some(samples)
    });
    let count =
        |is: &dyn Fn(&Expected) -> bool| expected.iter().filter(|row| is(row)).count() as f64;
    for result in ["complete", "client-left", "upstream-not-found"] {
        let sample = format!("ytcanal_streams_ended_total{{result=\"{result}\"}}");
        let of_result =
            expected.iter().filter(is_download).filter(|row| row.result == result).count();
        assert_eq!(samples.get(&sample), of_result as f64, "{sample}");
    }
    for engine in ["pass", "splice", "ffmpeg", "text", "archive"] {
        let sample = format!("ytcanal_first_byte_seconds_count{{engine=\"{engine}\"}}");
        assert_eq!(samples.get(&sample), count(&|row| row.engine == Some(engine)), "{sample}");
    }
    for row in expected.iter().filter(|row| row.route != "/metrics") {
        let (route, status) = (row.route, row.status);
        let sample = format!("ytcanal_requests_total{{route=\"{route}\",code=\"{status}\"}}");
        let same = count(&|other| other.route == route && other.status == status);
        assert_eq!(samples.get(&sample), same, "{sample}");
    }
    assert_eq!(samples.get("ytcanal_login_failures_total"), 1.0);
    let sizes: usize =
        expected.iter().map(|row| row.bytes_out).filter(|len| *len < usize::MAX).sum();
    assert!(samples.get("ytcanal_sent_bytes_total") > sizes as f64);
    // Every whole file was fetched before it was sent.
    let whole = |row: &&Expected| row.engine.is_some() && row.bytes_out < usize::MAX;
    let media: usize = expected.iter().filter(whole).map(|row| row.bytes_out).sum();
    assert!(samples.get("ytcanal_fetched_bytes_total") > 0.9 * media as f64);
    assert!(samples.get("ytcanal_cache_lookups_total{cache=\"plans\",result=\"miss\"}") >= 1.0);
    assert_eq!(samples.get("ytcanal_slots_used{limit=\"streams\"}"), 0.0);
}

#[test]
fn a_refused_download_began_and_ended() {
    let origin = Origin::start();
    let daemon =
        Daemon::start(&format!("{LOOPBACK}[limits]\nstreams = 1\nslot_timeout = \"1ms\"\n"));
    let gate = Gate::default();
    let slow = Resource::file(track_file("video")).ranges().etag("\"1\"").gate(100_000, &gate);
    let path = mux_path(Some(&origin.put("v", slow)), None, &[]);
    let mut client = Client::get(daemon.address(), &path);
    let head = client.first_byte();
    let streams = || Samples::parse(&daemon.get("/metrics").text()).streams();
    assert_eq!(streams(), (1.0, 0.0, 1.0));
    let refused = daemon.get(&path);
    assert!([429, 503].contains(&refused.head.status), "{}", refused.text());
    assert_eq!(streams(), (2.0, 1.0, 1.0));
    let samples = Samples::parse(&daemon.get("/metrics").text());
    for name in ["ytcanal_slots", "ytcanal_slots_used"] {
        assert_eq!(samples.get(&format!("{name}{{limit=\"streams\"}}")), 1.0, "{name}");
    }
    gate.open();
    assert_eq!(client.body(&head).1, Ending::Complete);
    eventually("it has ended", PATIENCE, || (streams() == (2.0, 2.0, 0.0)).then_some(()));
}

#[test]
fn prometheus_has_nothing_to_complain_of() {
    // With all metrics, those of yt-dlp included.
    let daemon = Daemon::start(&format!("[resolver]\ncommand = {:?}\n", ytdlp::command()));
    let text = daemon.get("/metrics").text();
    let mut checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; Debian's package prometheus has it");
    checked.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = checked.wait_with_output().unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));

    // Whatever can be counted is there from the start.
    let kinds = kinds(&text);
    for (sample, value) in Samples::parse(&text).0 {
        let metric = sample.split('{').next().unwrap();
        let is_counted =
            kinds.get(metric).is_none_or(|kind| kind != "gauge") && !metric.starts_with("process_");
        let is_early = ["ytcanal_sent_bytes_total"].contains(&metric);
        assert!(value == 0.0 || !is_counted || is_early, "{sample} {value}");
    }
    let samples = Samples::parse(&text);
    for sample in [
        "ytcanal_streams_ended_total{result=\"upstream-cut\"}",
        "ytcanal_first_byte_seconds_bucket{engine=\"splice\",le=\"+Inf\"}",
        "ytcanal_page_read_seconds_count{result=\"failed\"}",
        "ytcanal_requests_total{route=\"/mux\",code=\"206\"}",
        "ytcanal_cache_lookups_total{cache=\"covers\",result=\"hit\"}",
        "ytcanal_address_refusals_total{purpose=\"page\"}",
    ] {
        assert_eq!(samples.get(sample), 0.0, "{sample}");
    }
    let age = now() - samples.get("process_start_time_seconds");
    assert!((0.0..3600.0).contains(&age), "{age}");
    assert!(samples.get("process_resident_memory_bytes") > 1e6);
    assert!(samples.get("process_open_fds") > 5.0 && samples.get("process_max_fds") > 100.0);
    assert!(samples.get("process_cpu_seconds_total") > 0.0);

    // The table of the documentation has these, and no others.
    let operations =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md"))
            .unwrap();
    let rows = operations.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows =
        rows.filter(|(name, _)| name.starts_with("ytcanal_") || name.starts_with("process_"));
    let documented: BTreeMap<_, _> = rows
        .map(|(name, rest)| {
            let kind = rest.split(" |").next().unwrap().to_owned();
            (name.split('{').next().unwrap().to_owned(), kind)
        })
        .collect();
    assert_eq!(documented, kinds);
}

/// The time, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the metric is a time of day")]
fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

/// The types of all metrics.
fn kinds(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}
