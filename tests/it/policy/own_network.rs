//! Public addresses that are this server's own, or those of its network: in a network namespace of their
//! own, for no test may take addresses from the machine it runs on.

use std::net::TcpListener;

use crate::support::client::{get, mux_path};
use crate::support::daemon::Daemon;
use crate::support::namespace;

/// What the server has there: an address of a point-to-point line, as on a VPS, and one in a network.
const INTERFACES: &str = "ip link set lo up && ip address add 9.1.1.1/32 dev lo \
    && { ip link add lan type veth peer name other && ip link set other up \
         || ip link add lan type dummy; } && ip link set lan up \
    && ip address add 9.2.2.1/24 dev lan && ip address add 2600:1::1/64 dev lan nodad";

#[test]
fn a_server_reaches_neither_itself_nor_its_network() {
    let name = "policy::own_network::a_server_reaches_neither_itself_nor_its_network";
    namespace::run(name, INTERFACES, inside);
}

fn inside() {
    let daemon = Daemon::start("");
    let allowing = Daemon::start("[upstream]\nallow = [\"9.1.1.1\", \"2600:1::/64\"]\n");
    let status = |daemon: &Daemon, url: &str| {
        let answer = get(daemon.address(), &mux_path(Some(url), Some(url), &[]));
        (answer.head.status, answer.code())
    };
    for own in ["9.1.1.1", "9.2.2.1", "[2600:1::1]"] {
        let listener = TcpListener::bind(format!("{own}:0")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/v.mp4", listener.local_addr().unwrap());
        assert_eq!(status(&daemon, &url), (403, "address-refused".into()), "{url}");
        assert!(listener.accept().is_err(), "{url}");
        // A translator or a relay would lead there, too.
        let name = own.trim_matches(['[', ']']).parse::<std::net::Ipv4Addr>();
        if let Ok(v4) = name {
            let [a, b, c, d] = v4.octets();
            let translated = format!("http://[64:ff9b::{a:x}{b:02x}:{c:x}{d:02x}]/v.mp4");
            assert_eq!(status(&daemon, &translated), (403, "address-refused".into()));
        }
    }
    // Neighbours; they are not even looked for.
    for neighbour in ["9.2.2.77", "[2600:1::77]"] {
        let url = format!("http://{neighbour}/v.mp4");
        assert_eq!(status(&daemon, &url), (403, "address-refused".into()), "{url}");
    }
    // Allowed, they are reached; and so is what lies behind a gateway, of which there is none here.
    for url in ["http://9.1.1.1:1/v.mp4", "http://[2600:1::1]:1/v.mp4"] {
        assert_eq!(status(&allowing, url).1, "upstream-unreachable", "{url}");
    }
    assert_ne!(status(&daemon, "http://9.3.3.3/v.mp4").1, "address-refused");
}
