//! Who a client is, and how it may call the server.

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, ask, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::Resource;

mod links;
mod login;
mod tokens;
mod websites;

/// What a client gets that the proxy before the daemon names like this.
fn from(daemon: &Daemon, client: &str, path: &str) -> Answer {
    ask(daemon.address(), "GET", path, &format!("X-Forwarded-For: {client}\r\n"))
}

#[test]
fn clients_behind_a_trusted_proxy_are_told_apart() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let film = Resource::file(&media::minute().video);
    let half = film.len() / 2;
    let held = mux_path(Some(&origin.put("held", film.clone().gate(half, &gate))), None, &[]);
    let free = mux_path(Some(&origin.put("free", film)), None, &[]);
    let limits = "[limits]\nstreams_per_client = 1\nslot_timeout = \"0s\"\n";
    let trusting = "[access]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let daemon = Daemon::start(&format!("{trusting}{limits}{LOOPBACK}"));
    let mut first = Client::connect(daemon.address());
    first.ask(&held, &["X-Forwarded-For: 9.9.9.9"]);
    let head = first.first_byte();
    for same in ["9.9.9.9", "9.8.8.8, 9.9.9.9", "nobody, 9.9.9.9:4711, 127.0.0.2"] {
        let refused = from(&daemon, same, &free);
        assert_eq!(refused.code(), "client-streams-full", "{same}: {}", refused.text());
    }
    for other in ["9.8.8.8", "9.9.9.9, 9.8.8.8", "2600::1"] {
        let answer = from(&daemon, other, &free);
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{other}");
    }
    let malformed = from(&daemon, "9.8.8.8, nobody", &free);
    assert_eq!((malformed.head.status, malformed.code().as_str()), (400, "bad-request"));
    // The log names the client of a request that is refused, too.
    let mut called = Client::connect(daemon.address());
    called
        .send(b"GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-For: 9.7.7.7\r\n\r\n")
        .unwrap();
    assert_eq!(called.answer().head.status, 421);
    daemon.logs("9.7.7.7 GET / 421: host-unknown (");
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);

    // Who is no proxy says what he likes.
    let daemon = Daemon::start("");
    assert_eq!(from(&daemon, "9.8.8.8, nobody", "/nothing").code(), "not-found");
    daemon.logs("127.0.0.1 GET (other) 404: not-found, ");
}

#[test]
fn a_server_that_is_called_by_a_strangers_name_says_nothing() {
    let daemon = Daemon::start("[access]\nhosts = [\"video.example\"]\n");
    let called = |host: &str, target: &str| {
        let mut client = Client::connect(daemon.address());
        let head = format!("GET {target} HTTP/1.1\r\n{host}\r\n");
        client.send(head.as_bytes()).unwrap();
        client.answer()
    };
    for path in ["/", "/healthz", "/metrics", "/info?url=https://a.example/", "/nothing"] {
        for host in ["Host: evil.example\r\n", "Host: video.example.evil.example:80\r\n"] {
            let answer = called(host, path);
            assert_eq!(answer.head.status, 421, "{host} {path}");
            assert_eq!(answer.code(), "host-unknown");
            assert!(answer.text().contains("access.hosts"), "{}", answer.text());
        }
    }
    for host in ["video.example", "Video.example:443", "127.0.0.1:1", "[::1]", "nas.lan", "box"] {
        let answer = called(&format!("Host: {host}\r\n"), "/healthz");
        assert_eq!(answer.head.status, 200, "{host}");
    }
    // What the target says takes precedence.
    let disguised = called("Host: localhost\r\n", "http://evil.example/");
    assert_eq!(disguised.head.status, 421);
    // Browsers send one always, health checks of proxies need not.
    let mut old = Client::connect(daemon.address());
    old.send(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(old.answer().head.status, 200);
}

#[test]
fn other_websites_start_nothing() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = origin.put("film", Resource::file(&media::minute().video));
    let (mux, page) = (mux_path(Some(&film), None, &[]), "http%3A%2F%2F127.0.0.1%2Ffilm");
    let costly = ["download", "info", "thumbnail"].map(|path| format!("/{path}?url={page}"));
    let browser = "User-Agent: Mozilla/5.0 (X11)\r\n";
    let image =
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n";
    let script = "Origin: http://evil.example\r\n";
    for path in costly.iter().chain([&mux]) {
        for fields in [image, script, "Origin: null\r\n", browser] {
            let answer = ask(daemon.address(), "GET", path, fields);
            assert_eq!(answer.head.status, 403, "{path} {fields}");
            assert_eq!(answer.code(), "cross-site");
        }
    }
    let link =
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let old_link = format!("{browser}Accept: text/html\r\n");
    for fields in [link, &old_link] {
        for (path, filled) in
            [(&costly[0], "url=http%3A%2F%2F127.0.0.1%2Ffilm"), (&mux, "video=http")]
        {
            let answer = ask(daemon.address(), "GET", path, fields);
            assert_eq!(answer.head.status, 303, "{path} {fields}");
            let location = answer.head.header("Location").unwrap();
            assert!(location.starts_with(&format!("/?{filled}")), "{location}");
            assert!(daemon.get(location).text().contains("127.0.0.1"), "{location}");
        }
    }
    assert_eq!(daemon.metric("ytcanal_streams_total"), 0.0);
    assert!(origin.requests().is_empty());
    // The page gives its browser what tells it from others.
    let given = daemon.get("/").head.header("Set-Cookie").unwrap().to_owned();
    assert!(given.contains("SameSite=Strict") && given.contains("HttpOnly"), "{given}");
    let cookie = format!("{browser}Cookie: {}\r\n", given.split(';').next().unwrap());
    let own = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: video\r\n";
    for fields in [own, &cookie, "User-Agent: curl/8.0\r\n"] {
        let answer = ask(daemon.address(), "GET", &mux, fields);
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{fields}");
    }
}

#[test]
fn metrics_are_for_this_machine() {
    let daemon = Daemon::start("");
    for field in
        ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 a", "X-Real-IP: ::1"]
    {
        let answer = ask(daemon.address(), "GET", "/metrics", &format!("{field}\r\n"));
        assert_eq!((answer.head.status, answer.code().as_str()), (403, "not-local"), "{field}");
    }
    assert_eq!(daemon.get("/metrics").head.status, 200);
    // Through a proxy that adds nothing, a stranger can leave out the name.
    let mut nameless = Client::connect(daemon.address());
    nameless.send(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(nameless.answer().head.status, 403);
    // Some proxies can be made to leave out what they add.
    let behind = Daemon::start("[access]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    assert_eq!(behind.get("/metrics").head.status, 403);
}
