//! nginx with its cache in front of two daemons.

use std::process::Command;

use super::front::{Front, Shipped};
use crate::support::client::get;
use crate::support::daemon::LOOPBACK;
use crate::support::media::{self, Film};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::run;
use crate::support::served::{WAYS, Way};

const MAX_AGE: &str = "[cache]\nmax_age = \"1h\"\n";

/// A film at an origin behind two daemons and a cache.
struct Stage {
    origin: Origin,
    front: Front,
    path: String,
    whole: Vec<u8>,
}

/// What curl has got.
#[derive(Debug)]
struct Got {
    exit: i32,
    head: String,
    body: Vec<u8>,
}

impl Stage {
    fn open(way: Way, config: &str) -> Stage {
        Stage::of(way, &format!("{config}{LOOPBACK}"))
    }

    fn of(way: Way, config: &str) -> Stage {
        let origin = Origin::start();
        let front = Front::start(Shipped::NginxCache, config);
        let path = way.request(&origin, film(), |it| it);
        let whole = get(front.daemons[0].address(), &path).body;
        Stage { origin, front, path, whole }
    }

    fn curl(&self, arguments: &[&str]) -> Got {
        let directory = tempfile::tempdir().unwrap();
        let [head, body] = ["head", "body"].map(|name| directory.path().join(name));
        let mut command: Command = self.front.curl(&self.path);
        command.args(arguments).arg("-D").arg(&head).arg("-o").arg(&body);
        let exit = run(&mut command).status.code().unwrap();
        let read = |file| std::fs::read(file).unwrap_or_default();
        Got { exit, head: String::from_utf8(read(head)).unwrap(), body: read(body) }
    }

    fn asked(&self) -> usize {
        self.origin.requests().len()
    }
}

impl Got {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.rfind(|(found, _)| found.eq_ignore_ascii_case(name)).expect(name).1
    }
}

fn film() -> &'static Film {
    media::five_minutes()
}

#[test]
fn a_second_client_is_served_without_the_upstream() {
    for way in WAYS {
        let stage = Stage::open(way, MAX_AGE);
        let first = stage.curl(&[]);
        assert_eq!((first.exit, first.status()), (0, "200"), "{first:?}");
        assert!(first.body == stage.whole, "{way:?}");
        let (asked, len) = (stage.asked(), stage.whole.len());
        let second = stage.curl(&["--http1.1"]);
        assert!(second.exit == 0 && second.body == stage.whole, "{way:?}");
        let random = |below: usize| fastrand::usize(..below);
        let (at, until) = (random(len / 2), len / 2 + random(len / 2));
        for (from, to) in
            [(0, 0), (8 << 20, (16 << 20) - 1), ((8 << 20) - 1, 16 << 20), (at, until)]
        {
            let part = stage.curl(&["-r", &format!("{from}-{to}")]);
            assert_eq!((part.exit, part.status()), (0, "206"), "{way:?}, {from} to {to}");
            assert!(part.body == stage.whole[from..=to], "{way:?}, {from} to {to}");
        }
        let suffix = stage.curl(&["-r", "-1000"]);
        assert!(suffix.body == stage.whole[len - 1000..], "{way:?}: {}", suffix.head);
        let etag = first.field("ETag");
        let head = stage.curl(&["-I"]);
        assert_eq!(head.field("Content-Length"), len.to_string());
        assert_eq!(stage.curl(&["-H", &format!("If-None-Match: {etag}")]).status(), "304");
        for (tag, status) in [(etag, "206"), ("\"other\"", "200")] {
            let if_range = format!("If-Range: {tag}");
            assert_eq!(stage.curl(&["-r", "5-9", "-H", &if_range]).status(), status);
        }
        assert_eq!(stage.asked(), asked, "{way:?}: the upstream was asked");
    }
}

/// Without the setting, and of what somebody may be known by, nothing is kept.
#[test]
fn what_is_not_for_everybody_is_not_kept() {
    let login = ["-u", "me:password"];
    let cookie = ["-H", "Cookie: session=me"];
    for (config, arguments) in [("", &[][..]), (MAX_AGE, &login), (MAX_AGE, &cookie)] {
        let stage = Stage::open(Way::Spliced, config);
        for _ in 0..2 {
            let asked = stage.asked();
            let got = stage.curl(arguments);
            assert!(got.exit == 0 && got.body == stage.whole, "{arguments:?}: {}", got.head);
            assert!(stage.asked() > asked, "{arguments:?}: it was kept: {}", got.head);
        }
    }
}

/// What a client has of a download that was cut is the beginning of the file, and nothing else; it is not kept.
#[test]
fn a_cut_leaves_no_gap_and_is_not_kept() {
    for version in ["--http1.1", "--http2"] {
        let config = MAX_AGE.to_owned() + "[upstream]\nretries = 0\nallow = [\"127.0.0.0/8\"]\n";
        let stage = Stage::of(Way::Lone, &config);
        let file = Resource::file(&film().finished()).ranges().keep_alive().etag("\"film\"");
        stage.origin.put("film", file.fault(Fault::ResetAt(20 << 20)).fault_times(1));
        let cut = stage.curl(&[version]);
        println!("{version}: exit {}, {} bytes", cut.exit, cut.body.len());
        assert!(matches!(cut.exit, 18 | 56 | 92), "{version}: {}", cut.exit);
        let differs = cut.body.iter().zip(&stage.whole).position(|(found, meant)| found != meant);
        assert_eq!(differs, None, "{version}: the first byte that is not as it should be");
        let again = stage.curl(&[version]);
        assert!(again.exit == 0 && again.body == stage.whole, "{version}: {}", again.head);
    }
}

/// From far inside, before anybody has fetched the file.
#[test]
fn a_range_does_not_wait_for_all_before_it() {
    let stage = Stage::open(Way::Spliced, MAX_AGE);
    let part = stage.curl(&["-r", "40000000-40000099"]);
    assert_eq!((part.exit, part.status()), (0, "206"), "{}", part.head);
    assert!(part.body == stage.whole[40_000_000..40_000_100]);
}
