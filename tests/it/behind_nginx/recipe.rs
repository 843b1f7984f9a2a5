//! The configuration of docs/operations.md, as it is printed there: for nginx and for the server behind it. Ports, paths and
//! certificates are replaced, and nothing else.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::Front;
use crate::support::client::any_path;
use crate::support::curl::{Curl, curl};
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::film::{put_film, track_file};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::test_ca::Authority;

/// The name of the service in the document.
const NAME: &str = "video.example";
/// A secret, and its SHA-256 (FIPS 180-2, B.1).
const SECRET: &str = "abc";
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// What must be in no log.
const SIGNATURE: &str = "hunter2";

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap()
}

/// The first block of code in this language behind a text of the document.
fn block(behind: &str, language: &str) -> String {
    let document = document();
    let (_, rest) = document.split_once(behind).unwrap_or_else(|| panic!("no {behind}"));
    let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```\n").unwrap().0.to_owned()
}

/// Replaces what is in a text once.
fn replace(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

/// A daemon with the settings of the document, which listens on this Unix socket, too.
fn daemon(directory: &Path, socket: &Path) -> Daemon {
    let settings = block("\n## Reverse proxy\n", "toml");
    let tokens = directory.join("tokens.toml");
    fs::write(&tokens, format!("[alice]\nhash = \"{HASH}\"\n")).unwrap();
    let settings = replace(&settings, "/etc/ytcanal/tokens.toml", tokens.to_str().unwrap());
    let config = format!("{settings}{LOOPBACK}retries = 0\n");
    let listen = vec![format!("unix:{}", socket.display())];
    Daemon::start_with(&Setup { config, listen, ..Setup::default() })
}

/// nginx with the configuration of the document, and this line for the server behind it.
fn front(authority: &Authority, proxy_pass: &str) -> Front {
    Front::start(|address, directory| {
        let (chain, key) = authority.certificate_for(NAME).pem();
        fs::write(directory.join("chain.pem"), chain).unwrap();
        fs::write(directory.join("key.pem"), key).unwrap();
        let dir = directory.display();
        [
            ("listen 443 ", format!("listen {address} ")),
            ("/etc/ssl/video.example.pem", format!("{dir}/chain.pem")),
            ("/etc/ssl/video.example.key", format!("{dir}/key.pem")),
            ("/var/log/nginx/error.log", format!("{dir}/log")),
            ("proxy_pass          http://127.0.0.1:8080;", proxy_pass.to_owned()),
        ]
        .into_iter()
        .fold(block("\n### nginx\n", "nginx"), |text, (from, to)| replace(&text, from, &to))
    })
}

/// A client that knows the service by its name.
struct Client {
    root: tempfile::NamedTempFile,
    address: SocketAddr,
}

impl Client {
    fn curl(&self, path: &str, more: &[&str]) -> Curl {
        let port = self.address.port();
        let resolve = format!("{NAME}:{port}:127.0.0.1");
        let url = format!("https://{NAME}:{port}{path}");
        let root = self.root.path().to_str().unwrap();
        curl(&[&["--cacert", root, "--resolve", &resolve, &url], more].concat())
    }
}

#[test]
fn it_works_as_it_is_printed() {
    let (origin, directory, authority) =
        (Origin::start(), tempfile::tempdir().unwrap(), Authority::new());
    let socket = directory.path().join("http.sock");
    let daemon = daemon(directory.path(), &socket);
    let [video, audio] = put_film(&origin).map(|url| format!("{url}?sig={SIGNATURE}"));
    let cut = Resource::file(track_file("video"));
    let half = cut.len() / 2;
    let cut = origin.put("cut", cut.ranges().etag("\"cut\"").fault(Fault::CutAt(half)));
    let bearer = format!("Authorization: Bearer {SECRET}");
    let path = any_path(Some(&video), Some(&audio), &[]);
    let whole = Daemon::start(LOOPBACK).good(&path);
    let over_socket = "proxy_pass http://unix:/run/ytcanal.sock:;";
    assert!(document().contains(&format!("`{over_socket}` in nginx")));
    let over_socket = replace(over_socket, "/run/ytcanal.sock", socket.to_str().unwrap());
    for proxy_pass in [format!("proxy_pass http://{};", daemon.address()), over_socket] {
        let front = front(&authority, &proxy_pass);
        let client = Client { root: authority.file(), address: front.address };
        let get = |path: &str, more: &[&str]| {
            client.curl(path, &[&["-H", &bearer, "--interface", "127.0.0.5"], more].concat())
        };
        let stranger = client.curl(&path, &[]);
        assert_eq!((stranger.exit, stranger.status), (0, 401), "{proxy_pass}");
        let answer = get(&path, &[]);
        assert_eq!((answer.exit, answer.status), (0, 200), "{proxy_pass}");
        assert!(answer.body == whole.body, "{proxy_pass}: it is another file");
        let part = get(&path, &["-r", "1000-1999"]);
        assert_eq!((part.exit, part.status), (0, 206), "{proxy_pass}");
        assert!(part.body == whole.body[1000..2000], "{proxy_pass}");
        // Whoever claims to be elsewhere is where the connection comes from, over TLS.
        let claim = ["-H", "X-Forwarded-For: 9.9.9.9", "-H", "X-Forwarded-Proto: http"];
        let token = format!("token={SECRET}");
        let form = [&claim[..], &["-i", "-d", &token]].concat();
        let login = String::from_utf8(get("/login", &form).body).unwrap();
        assert!(login.contains("; HttpOnly; Secure"), "{proxy_pass}: {login}");
        daemon.logs("127.0.0.5 POST /login 303");
        // A download that breaks off is seen to do so, with a length and without one.
        for engine in ["splice", "ffmpeg"] {
            let path = any_path(Some(&cut), Some(&audio), &[("engine", engine)]);
            let broken = get(&path, &[]);
            assert_eq!(broken.status, 200, "{proxy_pass} {engine}");
            assert!([18, 56, 92].contains(&broken.exit), "{proxy_pass} {engine}: {}", broken.exit);
        }
        assert_eq!(get("/", &["--http1.0"]).status, 505, "{proxy_pass}");
        assert_eq!((front.log(), front.text("access")), (String::new(), String::new()));
    }
    assert!(!daemon.log().contains(SIGNATURE), "{}", daemon.log());
}
