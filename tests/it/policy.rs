//! Which addresses and which kinds of source are never touched.

use crate::support::PATIENCE;
use crate::support::client::{get, mux_path};
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::{TRACKS, request, track_file};
use crate::support::origin::Origin;
use crate::support::script::{Fault, Resource};

#[test]
fn a_playlist_reaches_nothing() {
    let origin = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    let baseline = daemon.baseline();
    let secret = origin.put("secret", Resource::bytes("secret"));
    let text = format!("#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXTINF:9,\n{secret}\n");
    let list = origin.put("list.mp4", Resource::bytes(text));
    for track in TRACKS {
        let answer = get(daemon.address(), &request(&origin, track, &list));
        assert_eq!(answer.head.status, 422, "{}", answer.text());
        let problem = answer.problem();
        assert_eq!(
            (problem["code"].as_str(), problem["track"].as_str()),
            (Some("not-media"), Some(track))
        );
        assert!(!answer.text().contains("root:"), "{problem}");
    }
    let asked: Vec<String> = origin.requests().into_iter().map(|r| r.path).collect();
    assert!(!asked.contains(&"/secret".to_owned()), "{asked:?}");
    daemon.settles(&baseline, PATIENCE);
}

#[test]
fn private_addresses_are_refused_unless_allowed() {
    let origin = Origin::start();
    let port = origin.port();
    let daemon = Daemon::start("");
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "224.0.0.1",
    ];
    for host in hosts {
        let url = format!("http://{host}:{port}/v");
        let answer = daemon.get(&mux_path(Some(&url), None, &[]));
        assert_eq!(answer.head.status, 403, "{host}: {}", answer.text());
        let problem = answer.problem();
        assert_eq!(problem["code"], "address-refused", "{host}");
        assert_eq!(problem["track"], "video", "{host}");
    }
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
}

#[test]
fn a_redirect_does_not_get_around_the_address_policy() {
    let (outer, inner) = (Origin::start(), Origin::start_at([127, 0, 0, 2].into()));
    let daemon = Daemon::start("[upstream]\nallow = [\"127.0.0.1/32\"]\n");
    let target = inner.put("v", Resource::file(track_file("video")));
    let away = outer.put("away", Resource::bytes("").fault(Fault::Redirect(target.clone())));
    for url in [&away, &target] {
        let seen = curl(&[&daemon.url(&mux_path(Some(url), None, &[]))]);
        assert_eq!(seen.status, 403, "{}", String::from_utf8_lossy(&seen.body));
    }
    assert!(inner.requests().is_empty(), "{:?}", inner.requests());
    let denying =
        Daemon::start("[upstream]\nallow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.2/32\"]\n");
    let answer = denying.get(&mux_path(Some(&target), None, &[]));
    assert_eq!(answer.problem()["code"], "address-refused");
    assert!(inner.requests().is_empty(), "{:?}", inner.requests());
}
