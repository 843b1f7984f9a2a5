//! Who a client is, and how it may call the server.

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, ask, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::Resource;

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
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);

    // Who is no proxy says what he likes.
    let daemon = Daemon::start("");
    assert_eq!(from(&daemon, "9.8.8.8, nobody", "/nothing").code(), "not-found");
    daemon.logs("127.0.0.1 not-found");
}
