//! Upstreams over https: what is trusted comes through unchanged, and what is not says why.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::connection_detector::Tripwire;
use crate::support::daemon::{Daemon, LOOPBACK, binary};
use crate::support::film::{download, put_film, track_file};
use crate::support::origin::{Origin, Request};
use crate::support::raw_server::Blurter;
use crate::support::resource::{Fault, Resource};
use crate::support::test_ca::{Authority, Certificate};
use crate::support::{PATIENCE, run};

/// A daemon that reaches this machine and trusts this file's authorities.
fn trusting(ca_file: &Path, more: &str) -> Daemon {
    Daemon::start(&format!("{LOOPBACK}ca_file = {ca_file:?}\n{more}"))
}

#[test]
fn what_comes_over_tls_is_what_comes_without() {
    let authority = Authority::new();
    let root = authority.file();
    let daemon = trusting(root.path(), "chunk = \"512KiB\"\n");
    let plain = Origin::start();
    let [video, audio] = put_film(&plain);
    let joined = download(&daemon, Some(&video), Some(&audio));
    // By name and by address, which certificates hold in different fields.
    for name in ["localhost", "127.0.0.1"] {
        let origin = Origin::start_tls(&authority, name);
        let [video, audio] = put_film(&origin);
        assert!(video.starts_with(&format!("https://{name}:")), "{video}");
        assert!(download(&daemon, Some(&video), Some(&audio)) == joined, "{name}");
        let file = std::fs::read(track_file("video")).unwrap();
        assert!(download(&daemon, Some(&video), None) == file, "{name}");
        assert_connections_are_kept(&origin.requests());
    }
}

/// Every request asked for a part, and not each needed a connection of its own.
fn assert_connections_are_kept(requests: &[Request]) {
    assert!(requests.iter().all(|request| request.header("range").is_some()), "{requests:?}");
    let connections: HashSet<usize> = requests.iter().map(|request| request.connection).collect();
    assert!(connections.len() < requests.len(), "{connections:?} for {}", requests.len());
}

#[test]
fn a_file_may_hold_several_authorities_and_other_things() {
    let authorities = [Authority::new(), Authority::new()];
    let roots = tempfile::NamedTempFile::new().unwrap();
    let text = authorities.each_ref().map(Authority::pem).join("# a remark between them\n");
    std::fs::write(roots.path(), text).unwrap();
    let daemon = trusting(roots.path(), "");
    for authority in &authorities {
        let origin = Origin::start_tls(authority, "localhost");
        let url = origin.put("a", Resource::file(track_file("audio")));
        download(&daemon, None, Some(&url));
    }
}

/// The first byte of the answer is that of the refusal: nothing is asked of such an upstream.
#[test]
fn what_is_not_trusted_is_refused_with_the_reason() {
    let authority = Authority::new();
    let root = authority.file();
    let daemon = trusting(root.path(), "");
    let baseline = daemon.baseline();
    let table = [
        (Authority::new().certificate_for("127.0.0.1"), "UnknownIssuer"),
        (Certificate::self_signed("127.0.0.1"), "UnknownIssuer"),
        (authority.expired_certificate_for("127.0.0.1"), "expired"),
        (authority.certificate_for("elsewhere.example"), "not valid for name"),
    ];
    for (certificate, why) in table {
        let origin = Origin::start_tls_with(certificate);
        let url = origin.put("v", Resource::file(track_file("video")));
        assert_unreachable(&daemon, &url, why);
        assert!(origin.requests().is_empty(), "{why}");
    }
    daemon.settles(&baseline, PATIENCE);
}

#[test]
fn the_well_known_authorities_do_not_vouch_for_ours() {
    let origin = Origin::start_tls(&Authority::new(), "localhost");
    let url = origin.put("v", Resource::file(track_file("video")));
    assert_unreachable(&Daemon::start(LOOPBACK), &url, "UnknownIssuer");
}

#[test]
fn what_does_not_speak_tls_is_refused_with_the_reason() {
    let authority = Authority::new();
    let root = authority.file();
    let daemon = trusting(root.path(), "");
    let baseline = daemon.baseline();
    let web: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let table = [
        (web, "InvalidContentType"),
        (b"220 mail.example ESMTP\r\n", "InvalidContentType"),
        // A handshake record whose content is none.
        (b"\x16\x03\x03\x00\x04\xff\xff\xff\xff", "corrupt message"),
        // A fatal alert: handshake failure.
        (b"\x15\x03\x03\x00\x02\x02\x28", "HandshakeFailure"),
    ];
    for (words, why) in table {
        let server = Blurter::start(words);
        assert_unreachable(&daemon, &format!("https://{}/v", server.address()), why);
    }
    let mute = Blurter::start(b"");
    let answer = daemon.get(&mux_path(Some(&format!("https://{}/v", mute.address())), None, &[]));
    assert_eq!(answer.code(), "upstream-unreachable", "{}", answer.text());
    daemon.settles(&baseline, PATIENCE);
}

/// Refused with what went wrong, for both tracks of a film and for one alone.
fn assert_unreachable(daemon: &Daemon, url: &str, why: &str) {
    for tracks in [(Some(url), None), (Some(url), Some(url))] {
        let answer = daemon.get(&mux_path(tracks.0, tracks.1, &[]));
        assert_eq!(answer.head.status, 502, "{why}: {}", answer.text());
        let problem = answer.problem();
        assert_eq!(problem["code"], "upstream-unreachable", "{why}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("TLS") && detail.contains(why), "{why}: {detail}");
    }
}

/// A handshake that never ends is bounded as connecting is.
#[test]
fn a_handshake_may_not_take_for_ever() {
    let (authority, silent) = (Authority::new(), Tripwire::start());
    let root = authority.file();
    let daemon = trusting(root.path(), "connect_timeout = \"500ms\"\n");
    let url = format!("https://127.0.0.1:{}/v", silent.port());
    let answer = daemon.get(&mux_path(Some(&url), None, &[]));
    assert_eq!((answer.head.status, answer.code().as_str()), (504, "upstream-timeout"));
    assert!(answer.text().contains("while connecting"), "{}", answer.text());
}

/// Without a good bye the end is a cut, and under TLS nothing else could be told from one.
#[test]
fn a_cut_under_tls_is_taken_up_again_or_seen() {
    let authority = Authority::new();
    let root = authority.file();
    let daemon = trusting(root.path(), "chunk = \"512KiB\"\n");
    let origin = Origin::start_tls(&authority, "localhost");
    let file = track_file("video");
    let cut = |resource: Resource| resource.fault(Fault::CutAt(700_000));
    let healing = origin.put("v", cut(Resource::file(file).ranges().keep_alive()).fault_times(1));
    assert!(download(&daemon, Some(&healing), None) == std::fs::read(file).unwrap());
    let gate = Gate::default();
    let lost = origin.put("v", cut(Resource::file(file)).gate(600_000, &gate));
    let mut client = Client::get(daemon.address(), &mux_path(Some(&lost), None, &[]));
    let head = client.first_byte();
    gate.reached();
    gate.open();
    assert_ne!(client.body(&head).1, Ending::Complete);
}

#[test]
fn a_bad_ca_file_is_named_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    std::fs::write(place("empty.pem"), "").unwrap();
    std::fs::write(place("text.pem"), "Dear sir or madam,\n").unwrap();
    let begin = "-----BEGIN CERTIFICATE-----\n";
    let end = "-----END CERTIFICATE-----\n";
    std::fs::write(place("broken.pem"), format!("{begin}!!!!\n{end}")).unwrap();
    std::fs::write(place("cut.pem"), format!("{begin}MIIB\n")).unwrap();
    std::fs::create_dir(place("directory.pem")).unwrap();
    for name in ["missing", "empty", "text", "broken", "cut", "directory"] {
        let ca_file = place(&format!("{name}.pem"));
        let config = place("config.toml");
        let text = format!("listen = [\"127.0.0.1:0\"]\n[upstream]\nca_file = {ca_file:?}\n");
        std::fs::write(&config, text).unwrap();
        for command in ["serve", "check"] {
            // One that starts all the same must not run for ever.
            let output = run(Command::new("timeout")
                .args(["60", binary(), command, "--config", config.to_str().unwrap()])
                .env("XDG_RUNTIME_DIR", directory.path())
                .stdin(Stdio::null()));
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.code(), Some(1), "{command} {name}: {said}");
            let file = ca_file.to_str().unwrap();
            assert!(said.contains("upstream.ca_file") && said.contains(file), "{said}");
        }
    }
}
