//! Which addresses and which kinds of source are never touched.

mod own_network;
mod redirects;
mod segments;
mod spellings;

use crate::support::PATIENCE;
use crate::support::answer::{Answer, Ending};
use crate::support::client::{Client, get, mux_path};
use crate::support::connection_detector::Tripwire;
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::film::{TRACKS, request, track_file};
use crate::support::names::Names;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use spellings::{BAD_URLS, INNER, INNER_URLS, LOCAL_NAMES, LOOPBACK_V4};

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
fn ports_of_other_protocols_are_refused() {
    let origin = Origin::start();
    let location = ("Location", "http://9.3.3.3:6379/v.mp4".to_owned());
    let redirect = origin.put("r", Resource::bytes("").fault(Fault::Status(302, vec![location])));
    let narrow = "[upstream]\nallow = [\"127.0.0.0/8\"]\nports = [\"443\", \"8000-8999\"]\n";
    let refused = ["http://9.3.3.3:25/v.mp4", "http://9.3.3.3:6379/v.mp4", "https://9.3.3.3:22/v"];
    let refused_too = ["http://9.3.3.3/v.mp4", "http://9.3.3.3:9000/v.mp4"];
    for (config, more) in [(LOOPBACK, &[][..]), (narrow, &refused_too)] {
        let daemon = Daemon::start(config);
        let urls = || refused.iter().chain(more);
        let media = urls().copied().chain([&*redirect]);
        let media = media.map(|url| mux_path(Some(url), None, &[]));
        for path in media.chain(urls().map(|url| format!("/download?url={url}"))) {
            let answer = get(daemon.address(), &path);
            assert_eq!((answer.head.status, answer.code()), (403, "address-refused".into()));
            assert!(answer.text().contains("upstream.ports"), "{}", answer.text());
        }
    }
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

/// A daemon that knows these names and nobody else's.
fn daemon_with(names: &Names, config: &str) -> Daemon {
    let config = config.to_owned();
    Daemon::start_with(&Setup { config, environment: names.environment(), ..Setup::default() })
}

/// The default policy; were it broken, each silent tripwire would not be waited for so long.
const DEFAULT: &str = "[upstream]\nstall_timeout = \"2s\"\nretries = 0\n";

/// Asks for each URL as a picture; says which were not answered as they should, the first few.
fn wrongly_answered(daemon: &Daemon, urls: &[String], wanted: (u16, &str)) -> Vec<String> {
    let wrong = urls.iter().filter_map(|url| {
        let answer = daemon.get(&mux_path(Some(url), None, &[]));
        let seen = (answer.head.status, answer.code());
        let right = seen == (wanted.0, wanted.1.to_owned()) && answer.problem()["track"] == "video";
        (!right).then(|| format!("{url:?}: {}", answer.text()))
    });
    wrong.take(5).collect()
}

fn at_hosts(port: u16, hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| format!("http://{host}:{port}/v")).collect()
}

fn at_port(port: u16, urls: &[&str]) -> Vec<String> {
    urls.iter().map(|url| url.replace("PORT", &port.to_string())).collect()
}

/// Not even a connection is made: who listens inside would see one, and when.
#[test]
fn no_disguise_reaches_an_inner_address() {
    let inner = Tripwire::start();
    let names = Names::new(&[
        ("localhost", &["127.0.0.1+::1"]),
        ("localhost.", &["127.0.0.1+::1"]),
        ("a.localhost", &["::1"]),
        ("a.localhost.", &["::1"]),
    ]);
    let daemon = daemon_with(&names, DEFAULT);
    let port = inner.port();
    let hosts = [&LOOPBACK_V4[..], &INNER, &LOCAL_NAMES].concat();
    let refused = [at_hosts(port, &hosts), at_port(port, &INNER_URLS)].concat();
    let mut wrong = wrongly_answered(&daemon, &refused, (403, "address-refused"));
    wrong.extend(wrongly_answered(&daemon, &at_port(port, &BAD_URLS), (400, "bad-url")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(inner.connections(), 0);
}

/// The counterpart of the test above: with the address allowed, the same spellings get there.
#[test]
fn the_disguises_are_ones_of_that_address() {
    let origin = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    let mut urls = at_hosts(origin.port(), &LOOPBACK_V4);
    let mapped = ["[::ffff:127.0.0.1]", "[::FFFF:7F00:1]"];
    urls.extend(at_hosts(origin.port(), &mapped));
    let other = |url: &&str| url.contains("PORT") && !url.starts_with("https");
    let others: Vec<&str> = INNER_URLS.iter().copied().filter(other).collect();
    urls.extend(at_port(origin.port(), &others));
    let wrong = wrongly_answered(&daemon, &urls, (404, "upstream-not-found"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(origin.requests().len(), urls.len());
}

#[test]
fn a_tripwire_sees_who_connects() {
    let inner = Tripwire::start();
    assert_eq!(inner.connections(), 0);
    for address in [([127, 0, 0, 1], inner.port()).into(), ([0, 0, 0, 0], inner.port()).into()] {
        drop(Client::connect(address));
    }
    assert_eq!(inner.connections(), 2);
}

/// Whoever has a name of their own can let it lead wherever they like.
#[test]
fn a_name_that_leads_inwards_is_refused() {
    let inner = Tripwire::start();
    let names = Names::new(&[
        ("loopback.example", &["127.0.0.1"]),
        ("six.example", &["::1"]),
        ("mapped.example", &["::ffff:127.0.0.1"]),
        ("any.example", &["0.0.0.0"]),
        ("several.example", &["::1+127.0.0.1+10.0.0.1"]),
        ("metadata.example", &["169.254.169.254"]),
        ("translated.example", &["64:ff9b::a9fe:a9fe"]),
    ]);
    let daemon = daemon_with(&names, DEFAULT);
    let hosts = ["loopback", "six", "mapped", "any", "several", "metadata", "translated"];
    let hosts = hosts.map(|host| format!("{host}.example"));
    let urls = at_hosts(inner.port(), &hosts.each_ref().map(String::as_str));
    let wrong = wrongly_answered(&daemon, &urls, (403, "address-refused"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(inner.connections(), 0);
    assert_eq!(names.looked_up(), hosts);
}

/// An origin at 127.0.0.2 and a tripwire on its port at 127.0.0.1 and ::1, so that one URL can
/// lead to either.
fn origin_beside_tripwire() -> (Origin, Tripwire) {
    let tries = (0..100).find_map(|_| {
        let origin = Origin::start_at([127, 0, 0, 2].into());
        let inner = Tripwire::at(origin.port())?;
        Some((origin, inner))
    });
    tries.expect("a port that is free on all three addresses")
}

const ONLY_OUTER: &str = "[upstream]\nallow = [\"127.0.0.2/32\"]\nchunk = \"512KiB\"\n";

/// What a look-up found is what is connected to; there is no second one that an attacker's name
/// server could answer differently (DNS rebinding).
#[test]
fn a_name_that_changes_between_look_ups_leads_nowhere_else() {
    let (outer, inner) = origin_beside_tripwire();
    let file = track_file("audio");
    outer.put("whole", Resource::file(file));
    outer.put("parts", Resource::file(file).ranges());
    for (place, look_ups) in [("whole", 1), ("parts", 2)] {
        let names = Names::new(&[("films.example", &["127.0.0.2", "127.0.0.1+::1"])]);
        let daemon = daemon_with(&names, ONLY_OUTER);
        let url = format!("http://films.example:{}/{place}", outer.port());
        // As it is, or its fragments would be looked at first, over connections of their own.
        let answer = daemon.get(&mux_path(None, Some(&url), &[("container", "mp4")]));
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        // The second part needs a connection of its own, and so another look-up.
        assert_eq!(answer.ending == Ending::Complete, look_ups == 1, "{place}");
        assert_eq!(names.looked_up(), vec!["films.example"; look_ups], "{place}");
        if look_ups == 2 {
            daemon.logs("is not a public address");
        }
    }
    assert_eq!(inner.connections(), 0);
}

#[test]
fn of_several_addresses_only_the_good_ones_are_tried() {
    let (outer, inner) = origin_beside_tripwire();
    let names = Names::new(&[("films.example", &["::1+127.0.0.1+127.0.0.2"])]);
    let daemon = daemon_with(&names, ONLY_OUTER);
    outer.put("v", Resource::file(track_file("audio")));
    let url = |port| format!("http://films.example:{port}/v");
    let answer = daemon.get(&mux_path(None, Some(&url(outer.port())), &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    // Nor are the others a way out when the good one does not answer.
    drop(outer);
    let answer = daemon.get(&mux_path(None, Some(&url(inner.port())), &[]));
    assert_eq!(answer.code(), "upstream-unreachable", "{}", answer.text());
    assert_eq!(inner.connections(), 0);
}

#[test]
fn a_name_lets_in_on_every_port_and_deny_goes_before_it() {
    let origins = [Origin::start(), Origin::start()];
    let names = Names::new(&[
        ("nas.lan", &["127.0.0.1"]),
        ("tv.nas.lan", &["127.0.0.1"]),
        ("evilnas.lan", &["127.0.0.1"]),
        ("nas.lan.evil.example", &["127.0.0.1"]),
    ]);
    let ask = |daemon: &Daemon, host: &str| {
        origins.each_ref().map(|origin| {
            origin.put("v", Resource::file(track_file("audio")));
            let url = format!("http://{host}:{}/v", origin.port());
            let Answer { head, .. } = daemon.get(&mux_path(None, Some(&url), &[]));
            head.status
        })
    };
    let reached = |upstream: &str, host: &str, wanted: u16| {
        let daemon = daemon_with(&names, &format!("[upstream]\n{upstream}\n"));
        assert_eq!(ask(&daemon, host), [wanted; 2], "{host} with {upstream}");
    };
    reached("", "nas.lan", 403);
    reached("allow = [\"nas.lan\"]", "NAS.lan", 200);
    for other in ["tv.nas.lan", "evilnas.lan", "nas.lan.evil.example", "127.0.0.1"] {
        reached("allow = [\"nas.lan\"]", other, 403);
    }
    reached("allow = [\".nas.lan\"]", "tv.nas.lan", 200);
    reached("allow = [\".nas.lan\"]", "nas.lan", 403);
    for (allow, deny) in
        [("nas.lan", "127.0.0.0/8"), ("127.0.0.1", "nas.lan"), ("nas.lan", "nas.lan")]
    {
        reached(&format!("allow = [{allow:?}]\ndeny = [{deny:?}]"), "nas.lan", 403);
    }
}
