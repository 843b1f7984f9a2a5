//! Every cell of the table of access: route, mode, place of the client, what is shown, and whether there are
//! tokens.

use super::*;
use crate::access::{Provenance, Secret, session, signature};
use crate::config::AccessConfig;

/// What each route needs, with the routes.
const NEEDS: [(&str, Need); 6] = [
    ("/healthz /readyz /icon.svg /player.js", Need::Nothing),
    ("/ /watch", Need::Entry),
    ("/download", Need::Permission(Permission::Download)),
    ("/mux", Need::Permission(Permission::Mux)),
    ("/info /thumbnail", Need::Permission(Permission::Info)),
    ("/metrics", Need::Permission(Permission::Metrics)),
];
const MODES: [AccessMode; 3] = [AccessMode::Open, AccessMode::Local, AccessMode::Closed];
/// Peer, field of a proxy.
const PLACES: [(&str, &str, Option<&str>); 7] = [
    ("here", "127.0.0.1", None),
    ("near", "10.1.2.3", None),
    ("far", "9.9.9.9", None),
    ("far, behind a trusted proxy", "10.9.9.9", Some("9.9.9.9")),
    ("behind a proxy that is not trusted", "127.0.0.1", Some("127.0.0.1")),
    ("behind a proxy of the network that is not trusted", "10.1.2.3", Some("10.1.2.3")),
    ("behind a trusted proxy that names nobody", "10.9.9.9", None),
];

/// What clients get that show nothing: for each mode, those here, near and far.
const ANONYMOUS: &str = "
/healthz /readyz /icon.svg /player.js            | ok ok ok   | ok ok ok   | ok ok ok
/ /watch                                         | ok ok ok   | ok ok in   | in in in
/download                                        | ok ok ok   | ok ok in   | in in in
/mux                                             | ok ok ok   | ok ok in   | in in in
/info /thumbnail                                 | ok ok ok   | ok ok in   | in in in
/metrics                                         | ok in in   | ok in in   | ok in in
";
/// The same of a server without tokens.
const ANONYMOUS_WITHOUT_TOKENS: &str = "
/healthz /readyz /icon.svg /player.js            | ok ok ok   | ok ok ok   | ok ok ok
/ /watch                                         | ok ok ok   | ok ok loc  | in in in
/download                                        | ok ok ok   | ok ok loc  | in in in
/mux                                             | ok ok ok   | ok ok loc  | in in in
/info /thumbnail                                 | ok ok ok   | ok ok loc  | in in in
/metrics                                         | ok loc loc | ok loc loc | ok loc loc
";
/// What clients get that show this, in each mode, wherever they are, for: health, page, download, mux, info,
/// metrics.
const SHOWN: &str = "
all         | ok ok   ok   ok   ok   ok
plain       | ok ok   ok   ok   ok   not
at-home     | ok ok   ok   ok   ok   ok
informed    | ok ok   not  not  ok   not
other-site  | ok ok   not  not  not  ok
elsewhere   | ok not  not  not  not  not
ended       | ok bad  bad  bad  bad  bad
wrong       | ok bad  bad  bad  bad  bad
unusable    | ok bad  bad  bad  bad  bad
signature   | ok sig  sig  sig  sig  sig
old link    | ok old  old  old  old  old
session     | ok bad  bad  bad  bad  bad
";

const NOW: u64 = 1_800_000_000;

/// Tokens whose secrets are their names.
fn tokens() -> Tokens {
    let tokens = [
        ("all", "may = [\"download\", \"mux\", \"info\", \"metrics\"]"),
        ("plain", "expires = 2040-01-01\nsites = [\"site.example\"]"),
        ("at-home", "from = [\"0.0.0.0/0\"]\nmay = [\"download\", \"mux\", \"info\", \"metrics\"]"),
        ("informed", "may = [\"info\"]"),
        (
            "other-site",
            "may = [\"download\", \"mux\", \"info\", \"metrics\"]\nsites = [\"other.example\"]",
        ),
        (
            "elsewhere",
            "from = [\"203.0.113.0/24\"]\nmay = [\"download\", \"mux\", \"info\", \"metrics\"]",
        ),
        ("ended", "expires = 2020-01-01"),
    ];
    let table = |(name, lines): (&str, &str)| {
        let hash = crate::access::tokens::hash(&Secret::new(name));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[{name}]\nhash = \"{hash}\"\n{lines}\n")
    };
    Tokens::parse(&tokens.map(table).concat()).unwrap()
}

fn identity(peer: &str, forwarded: Option<&str>) -> Identity {
    let trusted_proxies = vec!["10.9.9.9/32".parse().unwrap()];
    let access = AccessConfig { trusted_proxies, ..AccessConfig::default() };
    let provenance = Provenance {
        host: Some("localhost".into()),
        is_proxied: forwarded.is_some(),
        x_forwarded_for: forwarded.map(Into::into),
        ..Provenance::default()
    };
    Identity::of_request(peer.parse().unwrap(), &provenance, &access).unwrap()
}

/// Returns all forms in which a row of the table of credentials is shown.
fn credentials(name: &str) -> Vec<Credential> {
    let secret = Secret::new(name);
    match name {
        "unusable" => vec![Credential::Unusable],
        "signature" => vec![link("/mux?by=all&exp=1800000001&sig=AAAA")],
        "old link" => {
            let hash = crate::access::tokens::hash(&Secret::new("all"));
            let day = std::time::Duration::from_secs(1);
            vec![link(
                &signature::sign("/mux?video=a", ("all", &hash), day, NOW - 1).unwrap().target,
            )]
        }
        "session" => vec![session("ytcanal-session=all.1800000001.AAAA")],
        _ => vec![Credential::Bearer(secret.clone()), Credential::Basic(secret)],
    }
}

fn link(target: &str) -> Credential {
    Credential::Link(signature::claim(target).unwrap())
}

fn session(cookie: &str) -> Credential {
    Credential::Session(session::claim(cookie, false).unwrap())
}

/// Returns the cells of a row of a table, with its name.
fn rows(table: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    table.lines().filter_map(|line| {
        let (name, cells) = line.split_once('|')?;
        Some((name.trim(), cells.split_whitespace().filter(|cell| *cell != "|").collect()))
    })
}

/// Returns the word of the tables for a decision.
fn word(decision: &Result<Grant, Problem>) -> &'static str {
    match decision.as_ref().map_err(|problem| (problem.code, problem.status)) {
        Ok(_) => "ok",
        Err((ProblemCode::LoginNeeded, 401)) => "in",
        Err((ProblemCode::BadToken, 401)) => "bad",
        Err((ProblemCode::NotAllowed, 403)) => "not",
        Err((ProblemCode::NotLocal, 403)) => "loc",
        Err((ProblemCode::BadLinkSignature, 403)) => "sig",
        Err((ProblemCode::LinkExpired, 403)) => "old",
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_cell_of_the_table_of_access() {
    let (tokens, none) = (tokens(), Tokens::default());
    let mut cells = 0;
    let places = PLACES.map(|(place, peer, forwarded)| (place, identity(peer, forwarded)));
    for (need_index, (routes, need)) in NEEDS.into_iter().enumerate() {
        let has_link = ["/download", "/mux", "/info /thumbnail"].contains(&routes);
        let hosts: &[&str] = if has_link { &["www.site.example"] } else { &[] };
        for (mode_index, mode) in MODES.into_iter().enumerate() {
            for (place_index, (place, identity)) in places.into_iter().enumerate() {
                let mut decide = |credential: &Credential, tokens: &Tokens, expected: &str| {
                    let application =
                        Application { mode, identity, need, hosts, credential, tokens, now: NOW };
                    let decision = authorize(&application);
                    let what = format!("{routes}, {mode:?}, {place}, {credential:?}");
                    assert_eq!(word(&decision), expected, "{what}");
                    cells += 1;
                    decision
                };
                for (table, tokens) in [(ANONYMOUS, &tokens), (ANONYMOUS_WITHOUT_TOKENS, &none)] {
                    let row = rows(table).find(|(name, _)| *name == routes).unwrap().1;
                    // Whoever is hidden by a proxy counts as far.
                    let expected = row[3 * mode_index + place_index.min(2)];
                    let decision = decide(&Credential::None, tokens, expected);
                    assert!(
                        decision.is_ok_and(|grant| grant.token.is_none()) == (expected == "ok")
                    );
                }
                for (name, row) in rows(SHOWN) {
                    for credential in credentials(name) {
                        let is_hidden = name == "at-home" && place_index > 3 && need_index > 0;
                        let expected = if is_hidden { "not" } else { row[need_index] };
                        let decision = decide(&credential, &tokens, expected);
                        let Ok(grant) = decision else { continue };
                        let is_shown = need != Need::Nothing;
                        let holder = grant.token.as_ref().map(|token| token.name.as_str());
                        assert_eq!(holder, is_shown.then_some(name));
                        let is_bearer = matches!(credential, Credential::Bearer(_));
                        assert_eq!(grant.is_deliberate, is_shown && is_bearer);
                    }
                    // Where there are no tokens, all are wrong.
                    for credential in credentials(name) {
                        let is_known = ["ok", "not"].contains(&row[need_index]);
                        let is_shown = need != Need::Nothing;
                        let expected = match row[need_index] {
                            _ if is_known && is_shown => "bad",
                            "old" => "sig",
                            other => other,
                        };
                        decide(&credential, &none, expected).ok();
                    }
                }
            }
        }
    }
    assert_eq!(cells, 6 * 3 * 7 * (2 + 2 * 20));
}

#[test]
fn no_problem_tells_what_was_shown() {
    let tokens = tokens();
    for credential in [
        Credential::Bearer(Secret::new("hunter2")),
        Credential::Basic(Secret::new("hunter2")),
        Credential::Unusable,
        link("/mux?sig=hunter2"),
        session("ytcanal-session=hunter2"),
    ] {
        let problem = authorize(&Application {
            mode: AccessMode::Open,
            identity: identity("127.0.0.1", None),
            need: Need::Entry,
            hosts: &[],
            credential: &credential,
            tokens: &tokens,
            now: NOW,
        })
        .unwrap_err();
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
}
