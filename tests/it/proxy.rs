//! Upstreams behind a proxy: it gets names and nothing that leads inwards, and failures say whose
//! they are.

use std::net::SocketAddr;

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::connection_detector::Tripwire;
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::film::{download, put_film, track_file};
use crate::support::names::Names;
use crate::support::origin::{Origin, refused_url};
use crate::support::proxy::Proxy;
use crate::support::raw_server::Blurter;
use crate::support::resource::{Fault, Resource};
use crate::support::test_ca::Authority;
use crate::support::{PATIENCE, eventually};

fn both() -> [Proxy; 2] {
    [Proxy::http(), Proxy::socks5()]
}

fn address(origin: &Origin) -> SocketAddr {
    ([127, 0, 0, 1], origin.port()).into()
}

/// A daemon whose upstreams are all behind this proxy.
fn behind(proxy: &str, more: &str) -> Daemon {
    Daemon::start(&format!("[upstream]\nproxy = {proxy:?}\n{more}"))
}

fn ask(daemon: &Daemon, url: &str) -> Answer {
    daemon.get(&mux_path(Some(url), None, &[]))
}

/// The name leads nowhere but at the proxy, and here nobody even asks for it.
#[test]
fn a_film_behind_a_proxy_is_the_same_film() {
    let origin = Origin::start();
    let direct = put_film(&origin);
    let joined = download(&Daemon::start(LOOPBACK), Some(&direct[0]), Some(&direct[1]));
    let picture = std::fs::read(track_file("video")).unwrap();
    let login = |proxy: Proxy| proxy.with_login("mé %", "p@:/ss%");
    for proxy in both().into_iter().chain(both().map(login)) {
        let proxy = proxy.map("films.example", address(&origin));
        let names = Names::new(&[("films.example", &["127.0.0.1"])]);
        let before = origin.requests().len();
        let config = format!("[upstream]\nproxy = {:?}\nchunk = \"512KiB\"\n", proxy.url());
        let environment = names.environment();
        let daemon = Daemon::start_with(&Setup { config, environment, ..Setup::default() });
        let [video, audio] =
            ["video", "audio"].map(|track| format!("http://films.example/{track}"));
        assert!(download(&daemon, Some(&video), Some(&audio)) == joined, "{}", proxy.url());
        assert!(download(&daemon, Some(&video), None) == picture, "{}", proxy.url());
        let targets = proxy.targets();
        assert!(!targets.is_empty() && targets.iter().all(|it| it == "films.example:80"));
        // A connection through the proxy is kept like any other.
        let requests = origin.requests().len() - before;
        assert!(targets.len() < requests, "{} for {requests}", targets.len());
        assert!(names.looked_up().is_empty(), "{:?}", names.looked_up());
    }
}

#[test]
fn https_goes_through_a_proxy_end_to_end() {
    let authority = Authority::new();
    let root = authority.file();
    let origin = Origin::start_tls(&authority, "films.example");
    let [video, audio] = put_film(&origin);
    let file = std::fs::read(track_file("video")).unwrap();
    let target = format!("films.example:{}", origin.port());
    let mut joined = Vec::new();
    for proxy in both() {
        let proxy = proxy.map("films.example", address(&origin));
        let daemon = behind(&proxy.url(), &format!("ca_file = {:?}\n", root.path()));
        assert!(download(&daemon, Some(&video), None) == file);
        joined.push(download(&daemon, Some(&video), Some(&audio)));
        assert!(proxy.targets().iter().all(|it| *it == target), "{:?}", proxy.targets());
        // The proxy stands in between, but its word does not count for the upstream's name.
        let other = proxy.map("other.example", address(&origin));
        let answer = ask(&daemon, &video.replace("films.", "other."));
        assert!(answer.text().contains("not valid for name"), "{}", answer.text());
        drop(other);
    }
    assert!(joined[0] == joined[1]);
}

/// Refused as unreachable, with a detail that holds all of these words and no password.
fn assert_blamed(daemon: &Daemon, words: &[&str]) {
    for url in ["http://films.example/v", "https://films.example/v"] {
        let answer = ask(daemon, url);
        assert_eq!(answer.head.status, 502, "{}", answer.text());
        let problem = answer.problem();
        assert_eq!(problem["code"], "upstream-unreachable", "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(words.iter().all(|word| detail.contains(word)), "{words:?}: {detail}");
        assert!(!daemon.log().contains("s3cret") && !detail.contains("s3cret"), "{detail}");
    }
}

#[test]
fn a_proxy_that_refuses_is_blamed() {
    let origin = Origin::start();
    origin.put("v", Resource::file(track_file("video")));
    for (proxy, [login, target]) in
        both().into_iter().zip([["407", "502"], ["login", "the host cannot be reached"]])
    {
        let unmapped = behind(&proxy.url(), "");
        assert_blamed(&unmapped, &["the proxy", target]);
        let proxy = proxy.with_login("me", "right").map("films.example", address(&origin));
        let without = proxy.url().replace("me:right@", "");
        assert_blamed(&behind(&without, ""), &["the proxy", login]);
        let wrong = proxy.url().replace("right", "s3cret");
        let login = if login == "login" { "wrong user name or password" } else { login };
        assert_blamed(&behind(&wrong, ""), &["the proxy", login]);
        assert_eq!(
            download(&behind(&proxy.url(), ""), Some("http://films.example/v"), None).len(),
            std::fs::read(track_file("video")).unwrap().len()
        );
    }
}

#[test]
fn a_proxy_that_is_none_is_blamed() {
    let nobody = refused_url().replace("http://", "").replace("/x", "");
    let mail = Blurter::start(b"220 mail.example ESMTP\r\n\r\n");
    let mute = Blurter::start(b"");
    for scheme in ["http", "socks5h"] {
        assert_blamed(&behind(&format!("{scheme}://{nobody}"), ""), &["proxy", "refused"]);
        let names = Names::new(&[]);
        let config = format!("[upstream]\nproxy = \"{scheme}://proxy.example:3128\"\n");
        let environment = names.environment();
        let lost = Daemon::start_with(&Setup { config, environment, ..Setup::default() });
        assert_blamed(&lost, &["cannot look up the proxy"]);
        assert_eq!(names.looked_up(), ["proxy.example"; 2]);
        assert_blamed(&behind(&format!("{scheme}://{}", mail.address()), ""), &["proxy", "speak"]);
        assert_blamed(&behind(&format!("{scheme}://{}", mute.address()), ""), &["proxy"]);
    }
}

/// What would lead into our network, or the proxy's, is not even told to it.
const INNER: [&str; 20] = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "①②⑦.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "router",
    "router.lan",
    "x.internal",
];

#[test]
fn nothing_that_leads_inwards_is_said_to_a_proxy() {
    let inner = Tripwire::start();
    for proxy in both() {
        let outer = Origin::start();
        let proxy = proxy.map("films.example", address(&outer));
        let daemon = behind(&proxy.url(), "");
        let urls = INNER.map(|host| format!("http://{host}:{}/v", inner.port()));
        let tls = INNER.map(|host| format!("https://{host}:{}/v", inner.port()));
        for url in urls.iter().chain(&tls) {
            let answer = ask(&daemon, url);
            let seen = (answer.head.status, answer.code());
            assert_eq!(seen, (403, "address-refused".to_owned()), "{url}: {}", answer.text());
        }
        assert!(proxy.targets().is_empty(), "{:?}", proxy.targets());
        for url in urls.iter().filter(|url| url.is_ascii()) {
            outer.put("away", Resource::bytes("").fault(Fault::Redirect(url.clone())));
            assert_eq!(
                ask(&daemon, "http://films.example/away").code(),
                "address-refused",
                "{url}"
            );
        }
        let targets = proxy.targets();
        assert!(targets.iter().all(|target| target == "films.example:80"), "{targets:?}");
    }
    assert_eq!(inner.connections(), 0);
}

#[test]
fn behind_a_proxy_allow_and_deny_go_by_names() {
    let origin = Origin::start();
    origin.put("v", Resource::file(track_file("video")));
    let policy = "allow = [\"nas.lan\", \".home.arpa\", \"bad.example\", \"127.0.0.1\"]\n\
        deny = [\"bad.example\", \".evil.example\", \"1.1.1.0/24\"]\n";
    for mut proxy in both() {
        let names = ["nas.lan", "tv.home.arpa", "films.example"];
        for name in names {
            proxy = proxy.map(name, address(&origin));
        }
        let daemon = behind(&proxy.url(), policy);
        for host in ["tv.lan", "home.arpa.lan", "bad.example", "BAD.example.", "cdn.evil.example"] {
            assert_eq!(
                ask(&daemon, &format!("http://{host}/v")).code(),
                "address-refused",
                "{host}"
            );
        }
        for host in ["1.1.1.1", "[::ffff:1.1.1.1]", "[64:ff9b::101:101]", "127.0.0.2"] {
            assert_eq!(
                ask(&daemon, &format!("http://{host}/v")).code(),
                "address-refused",
                "{host}"
            );
        }
        assert!(proxy.targets().is_empty(), "{:?}", proxy.targets());
        for host in names {
            download(&daemon, Some(&format!("http://{host}/v")), None);
        }
        let allowed = format!("127.0.0.1:{}", origin.port());
        download(&daemon, Some(&format!("http://{allowed}/v")), None);
        let said = [names.map(|name| format!("{name}:80")).to_vec(), vec![allowed]].concat();
        assert_eq!(proxy.targets(), said);
    }
}

/// They are for programs that their user starts; here one would be a way round the policy.
#[test]
fn proxies_of_the_environment_are_ignored() {
    let (authority, trap) = (Authority::new(), Tripwire::start());
    let (plain, secure) = (Origin::start(), Origin::start_tls(&authority, "localhost"));
    let proxy = Proxy::http().map("films.example", address(&plain));
    let root = authority.file();
    let mut environment = vec![("NO_PROXY".to_owned(), String::new())];
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        for name in [name.to_owned(), name.to_uppercase()] {
            environment.push((name, format!("http://127.0.0.1:{}", trap.port())));
        }
    }
    let start = |config: String| {
        let environment = environment.clone();
        Daemon::start_with(&Setup { config, environment, ..Setup::default() })
    };
    let direct = start(format!("{LOOPBACK}ca_file = {:?}\n", root.path()));
    let [film, _] = put_film(&plain);
    for url in [film, put_film(&secure)[0].clone()] {
        download(&direct, Some(&url), None);
    }
    // Nor do they come between us and the proxy that was configured.
    let behind = start(format!("[upstream]\nproxy = {:?}\n", proxy.url()));
    download(&behind, Some("http://films.example/video"), None);
    assert_eq!(trap.connections(), 0);
    // The parts may share a connection.
    let targets = proxy.targets();
    assert!(!targets.is_empty() && targets.iter().all(|target| target == "films.example:80"));
}

/// The limit is an hour, so only the client's leaving can end the wait.
#[test]
fn a_proxy_that_stalls_is_left_when_the_client_leaves() {
    let silent = Tripwire::start();
    for scheme in ["http", "socks5h"] {
        let proxy = format!("{scheme}://127.0.0.1:{}", silent.port());
        let daemon = behind(&proxy, "connect_timeout = \"1h\"\n[limits]\nstreams = 1\n");
        let baseline = daemon.baseline();
        let before = silent.connections();
        let path = mux_path(Some("http://films.example/v"), Some("https://films.example/a"), &[]);
        let client = Client::get(daemon.address(), &path);
        eventually("both tracks are at the proxy", PATIENCE, || {
            (silent.connections() == before + 2).then_some(())
        });
        assert_eq!(daemon.metric("ytcanal_streams_active"), 1.0);
        drop(client);
        daemon.settles(&baseline, PATIENCE);
        assert_eq!(daemon.metric("ytcanal_streams_active"), 0.0);
    }
}

#[test]
fn a_proxy_that_stalls_has_the_time_of_a_connection() {
    let silent = Tripwire::start();
    for scheme in ["http", "socks5h"] {
        let proxy = format!("{scheme}://127.0.0.1:{}", silent.port());
        let daemon = behind(&proxy, "connect_timeout = \"300ms\"\n");
        let answer = ask(&daemon, "http://films.example/v");
        assert_eq!((answer.head.status, answer.code().as_str()), (504, "upstream-timeout"));
    }
}

/// A proxy that breaks down half-way is an upstream that does: taken up again where it broke.
#[test]
fn a_proxy_that_dies_is_a_broken_download() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let file = Resource::file(track_file("video"));
    origin.put("v", file.gate(1_000_000, &gate));
    for proxy in both() {
        let proxy = proxy.map("films.example", address(&origin));
        let daemon = behind(&proxy.url(), "");
        let path = mux_path(Some("http://films.example/v"), None, &[]);
        let mut client = Client::get(daemon.address(), &path);
        let head = client.first_byte();
        gate.reached();
        drop(proxy);
        assert_ne!(client.body(&head).1, Ending::Complete);
    }
}
