//! Both proxies, as curl and a raw client see them.

use super::{address, content};
use crate::support::barrier::Gate;
use crate::support::client::Client;
use crate::support::curl::{Curl, curl};
use crate::support::origin::{Origin, refused_url};
use crate::support::proxy::Proxy;
use crate::support::resource::{Fault, Resource};
use crate::support::test_ca::Authority;

/// What curl says when CONNECT is answered with an error, and when SOCKS is.
const REFUSED: [i32; 2] = [56, 97];

fn through(proxy: &str, arguments: &[&str]) -> Curl {
    curl(&[&["--noproxy", "", "--proxytunnel", "--proxy", proxy], arguments].concat())
}

fn both() -> [Proxy; 2] {
    [Proxy::http(), Proxy::socks5()]
}

/// A raw client that is connected to the proxy.
fn client_of(proxy: &Proxy) -> Client {
    let url = proxy.url();
    Client::connect(url.split('/').nth(2).unwrap().parse().unwrap())
}

#[test]
fn a_refusal_has_its_code() {
    let [http, socks] = both();
    let mut client = client_of(&http);
    client.send(b"CONNECT nowhere.example:80 HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.answer().head.status, 502);
    let mut client = client_of(&socks);
    client.send(&[5, 1, 0]).unwrap();
    assert_eq!(client.read_raw(2), [5, 0]);
    client.send(b"\x05\x01\x00\x03\x0fnowhere.example\x00\x50").unwrap();
    assert_eq!(client.read_raw(10)[..2], [5, 4]);
    client.ends_here();
}

#[test]
fn a_proxy_is_handed_the_name() {
    let origin = Origin::start();
    origin.put("x", Resource::bytes(content()));
    for (proxy, refused) in both().into_iter().zip(REFUSED) {
        let proxy = proxy.map("films.example", address(&origin));
        let seen = through(&proxy.url(), &["http://films.example/x"]);
        assert_eq!((seen.exit, seen.body), (0, content()));
        assert_eq!(through(&proxy.url(), &["http://other.example:81/x"]).exit, refused);
        assert_eq!(proxy.targets(), ["films.example:80", "other.example:81"]);
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_proxy_reaches_loopback_addresses_only() {
    let origin = Origin::start();
    let url = origin.put("x", Resource::bytes(content()).fault(Fault::CutAt(1000)));
    // Whoever connected to this address would find the origin there.
    let anywhere = format!("0.0.0.0:{}", origin.port());
    let nobody = refused_url().replace("http://", "").replace("/x", "");
    for (proxy, refused) in both().into_iter().zip(REFUSED) {
        let seen = through(&proxy.url(), &[&url]);
        assert_eq!((seen.exit, seen.body), (18, content()[..1000].to_vec()));
        let others = [&nobody, &anywhere, "[2001:db8::1]:81"];
        for target in others {
            assert_eq!(through(&proxy.url(), &[&format!("http://{target}/x")]).exit, refused);
        }
        assert_eq!(proxy.targets()[0], address(&origin).to_string());
        assert_eq!(proxy.targets()[1..], others);
    }
}

#[test]
fn a_proxy_may_want_a_login() {
    let origin = Origin::start();
    origin.put("x", Resource::bytes(content()));
    for (proxy, refused) in both().into_iter().zip(REFUSED) {
        let open = proxy.url();
        let proxy = proxy.map("films.example", address(&origin)).with_login("me", "p@ss");
        let (scheme, place) = open.split_once("://").unwrap();
        assert_eq!(proxy.url(), format!("{scheme}://me:p%40ss@{place}"));
        assert_eq!(through(&proxy.url(), &["http://films.example/x"]).body, content());
        for url in [open.clone(), format!("{scheme}://me:pass@{place}")] {
            assert_eq!(through(&url, &["http://films.example/x"]).exit, refused, "{url}");
        }
        assert_eq!(proxy.targets().len(), 1);
    }
}

#[test]
fn tls_goes_through_a_proxy() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority, "films.example");
    let url = origin.put("x", Resource::bytes(content()));
    for proxy in both() {
        let proxy = proxy.map("films.example", address(&origin));
        assert_eq!(through(&proxy.url(), &["--insecure", &url]).body, content());
        assert_eq!(proxy.targets(), [format!("films.example:{}", origin.port())]);
    }
}

#[test]
fn a_proxy_ends_before_what_is_behind_it() {
    let origin = Origin::start();
    let gate = Gate::default();
    origin.put("x", Resource::bytes(content()).gate(1000, &gate));
    let proxy = Proxy::http();
    let mut client = client_of(&proxy);
    client.send(format!("CONNECT {} HTTP/1.1\r\n\r\n", address(&origin)).as_bytes()).unwrap();
    assert_eq!(client.head().status, 200);
    client.request("GET", "/x");
    client.first_byte();
    gate.reached();
    client.read_raw(1000);
    drop(proxy);
    client.ends_here();
}
