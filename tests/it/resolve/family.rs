//! A site whose name has IPv4 and IPv6 addresses, and whose media answer only to the family by which
//! their page was read.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::support::answer::{Answer, Ending};
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::names::Names;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp::{self, FILM, file, path_of, sizes};

const FORMATS: [&str; 2] = ["137", "140-1"];

/// Puts the page and its media there.
fn put_film(origin: &Origin) {
    let page = serde_json::json!({ "formats": sizes(FORMATS) });
    origin.put(&format!("page/{FILM}"), Resource::bytes(page.to_string()));
    for format in FORMATS {
        let media = Resource::file(file(format)).only_bounded_ranges().etag("\"1\"");
        origin.put(&format!("f/{FILM}/{format}"), media);
    }
}

/// The same place for whoever has not read the page there.
fn put_refusals(origin: &Origin) {
    for place in FORMATS.map(|format| format!("f/{FILM}/{format}")) {
        origin.put(&place, Resource::bytes("").fault(Fault::Status(403, vec![])));
    }
}

/// A daemon for which `films.example` has both addresses, and which is configured like this.
fn daemon(names: &Names, family: &str) -> Daemon {
    let allow = "[upstream]\nallow = [\"127.0.0.1/32\", \"::1/128\"]\n";
    let config = ytdlp::config(&[], "").replace(LOOPBACK, &format!("{allow}{family}"));
    Daemon::start_with(&Setup { config, environment: names.environment(), ..Setup::default() })
}

fn ask(daemon: &Daemon, page: &str, port: u16) -> Answer {
    let page_url = format!("http://films.example:{port}/watch?v={FILM}");
    daemon.get(&path_of(page, &page_url, &[]))
}

#[test]
fn media_are_fetched_by_the_family_that_read_the_page() {
    for order in ["::1+127.0.0.1", "127.0.0.1+::1"] {
        let names = Names::new(&[("films.example", &[order])]);
        let daemon = daemon(&names, "");
        // The family that the system would take does not work for a moment.
        let (there, away) = match order.starts_with("::1") {
            true => (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
            false => (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()),
        };
        let one = Origin::start_at(there);
        put_film(&one);
        let info = ask(&daemon, "info", one.port());
        assert_eq!(info.head.status, 200, "{order}: {}", info.text());
        let other = Origin::start_at_port(away, one.port());
        put_refusals(&other);
        let film = ask(&daemon, "download", one.port());
        assert_eq!((film.head.status, film.ending), (200, Ending::Complete), "{}", film.text());
        assert!(other.requests().is_empty(), "{order}");
        // Now it is the other way round: the page is read again, and both go by what works.
        let port = one.port();
        drop(one);
        put_film(&other);
        let film = ask(&daemon, "download", port);
        assert_eq!((film.head.status, film.ending), (200, Ending::Complete), "{}", film.text());
        let asked = other.requests();
        assert!(asked.iter().any(|request| request.path.starts_with("/f/")), "{order}");
    }
}

#[test]
fn the_operator_may_choose_the_family() {
    let names = Names::new(&[("films.example", &["::1+127.0.0.1"])]);
    for (family, ip) in [("ipv4", Ipv4Addr::LOCALHOST.into()), ("ipv6", Ipv6Addr::LOCALHOST.into())]
    {
        let daemon = daemon(&names, &format!("family = {family:?}\n"));
        let origin = Origin::start_at(ip);
        put_film(&origin);
        let film = ask(&daemon, "download", origin.port());
        assert_eq!((film.head.status, film.ending), (200, Ending::Complete), "{}", film.text());
        // Nothing goes by the other one, which would be there.
        let port = origin.port();
        drop(origin);
        let other =
            if family == "ipv4" { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        let other = Origin::start_at_port(other, port);
        put_film(&other);
        assert_eq!(ask(&daemon, "download", port).head.status, 502, "{family}");
        assert!(other.requests().is_empty(), "{family}");
    }
}
