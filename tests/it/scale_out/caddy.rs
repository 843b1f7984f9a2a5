//! One daemon behind Caddy, with the configuration that is shipped.

use super::front::{Front, Shipped};
use super::{Stage, size, status};
use crate::support::{PATIENCE, eventually, request_range, run, signal};

const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

fn stage() -> Stage {
    Stage::open(Shipped::Caddy)
}

/// What curl has got of the film, and what it says of the head.
fn got(stage: &Stage, arguments: &[&str]) -> (String, Vec<u8>) {
    let [head, file] = ["head", "part"].map(|name| stage.directory.path().join(name));
    let mut curl = stage.front.curl(&stage.path);
    let output = run(curl.args(arguments).arg("-D").arg(&head).arg("-o").arg(&file));
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let head = std::fs::read_to_string(head).unwrap().to_lowercase();
    (head, std::fs::read(file).unwrap_or_default())
}

#[test]
fn a_file_and_its_parts_come_through() {
    let stage = stage();
    stage.gate.open();
    let len = stage.whole.len();
    for version in VERSIONS {
        let (head, whole) = got(&stage, &[version]);
        assert!(whole == stage.whole, "{version}: {head}");
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
        for (from, to) in [(0, 99), (len / 3, len / 2), (len - 1000, len - 1)] {
            let [range, same] = [format!("{from}-{to}"), format!("If-Range: {etag}")];
            let (head, part) = got(&stage, &[version, "-r", &range, "-H", &same]);
            assert!(head.contains(" 206"), "{head}");
            assert!(head.contains(&format!("content-range: bytes {range}/{len}\r\n")), "{head}");
            assert!(part == stage.whole[from..=to], "{version}, {range}");
        }
        let (head, body) = got(&stage, &[version, "-I"]);
        assert!(
            head.contains(&format!("content-length: {len}\r\n")) && body.len() < 4096,
            "{head}"
        );
    }
}

#[test]
fn a_cut_download_is_an_error_and_resumes() {
    for version in VERSIONS {
        let mut stage = stage();
        let file = stage.file();
        let mut curl = stage.begin(stage.front.curl(&stage.path).arg(version).arg("-o").arg(&file));
        stage.front.busy().kill();
        let code = curl.0.wait().unwrap().code();
        assert!(matches!(code, Some(18 | 56 | 92)), "{version}: {code:?} {}", stage.log());
        assert!(stage.whole.starts_with(&std::fs::read(&file).unwrap()), "{version}");
        assert!(size(&file) < stage.whole.len() as u64, "{version}");
    }
}

/// This Caddy would end it like a complete one.
#[test]
fn a_download_without_a_length_is_refused() {
    let stage = stage();
    let path = stage.path.replace("engine=splice", "engine=ffmpeg");
    assert_eq!(status(&mut stage.front.curl(&path)), "502");
    // What comes without a body has no length, either.
    assert_eq!(status(stage.front.curl("/logout").arg("-I")), "303");
    assert_eq!(status(&mut stage.front.curl("/")), "200");
}

#[test]
fn nothing_is_read_ahead_of_a_client_that_stands_still() {
    let stage = stage();
    stage.gate.open();
    let (file, len) = (stage.file(), stage.whole.len() as u64);
    let before = stage.origin.requests().len();
    let mut curl = stage.front.curl(&stage.path);
    let mut curl = stage.begin(curl.args(["--limit-rate", "20M", "-o"]).arg(&file));
    signal(curl.0.id(), "STOP");
    let mut last = 0;
    eventually("nothing more is asked for", PATIENCE, || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = stage.origin.requests().len();
        std::mem::replace(&mut last, now).eq(&now).then_some(())
    });
    let requests = stage.origin.requests();
    let asked: u64 =
        requests[before..].iter().map(request_range).map(|range| range.end - range.start).sum();
    println!("{asked} of {len} asked for");
    assert!(asked < len / 2, "{asked} of {len}");
    signal(curl.0.id(), "CONT");
    assert_eq!(curl.0.wait().unwrap().code(), Some(0), "{}", stage.log());
    stage.assert_whole();
}

#[test]
fn a_client_that_leaves_ends_its_download() {
    let mut stage = stage();
    let file = stage.file();
    let curl = stage.begin(stage.front.curl(&stage.path).arg("-o").arg(&file));
    stage.front.busy();
    drop(curl);
    stage.front.daemons[0].logs("the client closed the connection");
}

/// The instance is gone, which Caddy writes to its log.
#[test]
fn links_are_not_logged() {
    let mut front = Front::start(Shipped::Caddy, "");
    front.daemons[0].kill();
    assert_eq!(status(&mut front.curl("/info?url=https%3A%2F%2Fsecret.example%2F")), "502");
    assert!(!front.log().contains("secret"), "{}", front.log());
}
