//! Lines that people type, and what becomes of them.

use std::time::Duration;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;
use crate::get::{Destination, InfoOptions};
use crate::resolver_update::UpdateOptions;
use crate::sign::Voucher;

fn parse_line(line: &str) -> Result<Command, clap::Error> {
    parse(["ytcanal"].into_iter().chain(line.split_whitespace()).map(OsString::from))
}

#[test]
fn the_description_is_consistent() {
    CommandLine::command().debug_assert();
}

/// Of commands, options and arguments.
#[test]
fn descriptions_begin_with_a_capital() {
    fn check(command: &clap::Command) {
        let args = command.get_arguments().map(|arg| (arg.get_id().to_string(), arg.get_help()));
        let own = (command.get_name().to_owned(), command.get_about());
        for (name, help) in args.chain([own]) {
            let help = help.unwrap_or_else(|| panic!("{name} has no description")).to_string();
            assert!(help.starts_with(|first: char| first.is_ascii_uppercase()), "{name}: {help}");
            assert!(!help.ends_with('.'), "{name}: {help}");
        }
        command.get_subcommands().for_each(check);
    }
    check(&CommandLine::command());
}

/// The help has the rows of the table in docs/cli.md.
#[test]
fn exit_statuses_are_the_documented_ones() {
    let documentation = include_str!("../../docs/cli.md");
    let (_, table) = documentation.split_once("| status | meaning | problem codes |\n").unwrap();
    let rows = table.lines().skip(1).map_while(|row| {
        let mut cells = row.strip_prefix("| ")?.split(" | ");
        Some(format!("  {:<4} {}", cells.next()?, cells.next()?))
    });
    let (_, help) = get::AFTER_HELP.split_once("Exit status:\n").unwrap();
    let shown = help.lines().take_while(|line| line.starts_with(' '));
    assert_eq!(shown.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
}

#[test]
fn commands_and_their_options() {
    let listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:8080".parse().unwrap()];
    assert_eq!(
        parse_line("serve --config a.toml --listen 127.0.0.1:0 --listen=[::1]:8080").unwrap(),
        Command::Serve(ServeArgs { config: Some("a.toml".into()), listen })
    );
    assert_eq!(parse_line("demo").unwrap(), Command::Demo(DemoArgs { listen: vec![] }));
    assert_eq!(
        parse_line("check").unwrap(),
        Command::Check(CheckArgs { config: None, listen: vec![] })
    );
    let everywhere = CheckArgs { config: None, listen: vec!["0.0.0.0:8080".parse().unwrap()] };
    assert_eq!(parse_line("check --listen 0.0.0.0:8080").unwrap(), Command::Check(everywhere));
    let url = "http://127.0.0.1:8080/healthz".into();
    let healthcheck = Command::Healthcheck(HealthcheckArgs { url });
    assert_eq!(parse_line("healthcheck").unwrap(), healthcheck);
    let list = TokenCommand::List(TokenListArgs { config: Some("a.toml".into()) });
    assert_eq!(parse_line("token list --config a.toml").unwrap(), Command::Token(list));
}

#[test]
fn an_update() {
    let options = |line: &str| match parse_line(line).unwrap() {
        Command::UpdateResolver(update) => update.options(),
        other => panic!("{other:?}"),
    };
    assert_eq!(options("update-resolver"), UpdateOptions { dir: None, rollback: false });
    let back = UpdateOptions { dir: Some("/d".into()), rollback: true };
    assert_eq!(options("update-resolver --dir /d --rollback"), back);
}

#[test]
fn the_last_of_an_option_counts() {
    let check = CheckArgs { config: Some("b.toml".into()), listen: vec![] };
    assert_eq!(parse_line("check --config a --config b.toml").unwrap(), Command::Check(check));
}

#[test]
fn a_new_token() {
    let line = "token new eve --expires 30d --may info --may=mux,download --streams 2 --bytes-per-day 1GiB";
    let Command::Token(TokenCommand::New(new)) = parse_line(line).unwrap() else {
        panic!("it is a command");
    };
    assert_eq!(new.name, "eve");
    let options = new.options();
    assert_eq!(options.expires.map(|lifetime| lifetime.as_secs()), Some(30 * 86_400));
    let may = ["info", "mux", "download"].map(String::from);
    assert_eq!(options.lists, [("may", may.to_vec())]);
    assert_eq!(options.numbers, [("streams", "2".into())]);
    assert_eq!(options.sizes, [("bytes_per_day", "1GiB".into())]);
}

#[test]
fn a_link_to_sign() {
    let sign = |line: &str| match parse_line(line).unwrap() {
        Command::Sign(sign) => (sign.url.clone(), sign.by.clone(), sign.voucher(), sign.lifetime()),
        other => panic!("{other:?}"),
    };
    let signed = |voucher, hours: u64| {
        ("http://a/".into(), "eve".into(), voucher, Duration::from_secs(hours * 3600))
    };
    assert_eq!(
        sign("sign http://a/ --by eve --token-file t"),
        signed(Voucher::TokenFile("t".into()), 12)
    );
    assert_eq!(
        sign("sign --config c.toml --by=eve --for 30d http://a/"),
        signed(Voucher::Config("c.toml".into()), 720)
    );
}

#[test]
fn a_download_and_what_a_page_offers() {
    let get = |line: &str| match parse_line(line).unwrap() {
        Command::Get(get) => get.options(),
        other => panic!("{other:?}"),
    };
    let link = get("get http://a/ -q 1080 -c mkv --hdr --start 1:30 -o d/ -fs");
    assert_eq!(link.wanted.links, ["http://a/"]);
    let values = [("quality", "1080"), ("container", "mkv"), ("start", "1:30"), ("hdr", "1")];
    assert_eq!(link.wanted.values, values.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(link.destination, Destination::Path("d/".into()));
    assert!(link.force && link.silent);
    let urls = get("get --video http://a/v --audio http://a/a --audio http://a/b -o -");
    assert_eq!((urls.wanted.audio.len(), urls.destination), (2, Destination::Stdout));
    assert_eq!(get("get a").destination, Destination::Path(".".into()));
    let Command::Info(info) = parse_line("info http://a/ --json --page 2").unwrap() else {
        panic!("it is a command");
    };
    let InfoOptions { link, page, json } = info.options();
    assert_eq!((link.as_str(), page.as_deref(), json), ("http://a/", Some("2"), true));
}

#[test]
fn help_and_version_are_for_standard_output() {
    for (line, kind, fragment) in [
        ("-h", ErrorKind::DisplayHelp, "/mux?video=URL"),
        ("--help", ErrorKind::DisplayHelp, "/mux?video=URL"),
        ("help", ErrorKind::DisplayHelp, "/mux?video=URL"),
        ("serve -h", ErrorKind::DisplayHelp, "--listen <ADDR>"),
        ("help serve", ErrorKind::DisplayHelp, "--listen <ADDR>"),
        ("token new -h", ErrorKind::DisplayHelp, "--bytes-per-day"),
        ("sign --help", ErrorKind::DisplayHelp, "[default: 12h]"),
        ("-V", ErrorKind::DisplayVersion, env!("CARGO_PKG_VERSION")),
        ("--version", ErrorKind::DisplayVersion, "ytcanal "),
    ] {
        let error = parse_line(line).unwrap_err();
        assert_eq!(error.kind(), kind, "{line:?}: {error}");
        assert!(!error.use_stderr(), "{line:?}");
        assert!(error.to_string().contains(fragment), "{line:?}: {error}");
    }
}

#[test]
fn errors_name_what_is_wrong() {
    for (line, fragment) in [
        ("", "serve, demo, get, info, check, healthcheck, token, sign"),
        ("get --colour", "--colour"),
        ("get a --hdr=1", "--hdr"),
        ("info", "<LINK>"),
        ("info a b", "'b'"),
        ("token", "new, list"),
        ("token new", "<NAME>"),
        ("token new a --expires 0s", "30d"),
        ("token new a --streems 3", "--streams"),
        ("token new a b", "'b'"),
        ("token list --listen a", "--listen"),
        ("swim", "'swim'"),
        ("chek", "'check'"),
        ("serve --fast", "--fast"),
        ("check --listen localhost", "for '--listen <ADDR>'"),
        ("serve --listen localhost", "for '--listen <ADDR>': \"localhost\" is not an address"),
        ("serve --config", "--config"),
        ("serve twice", "twice"),
        ("sign --by eve --token-file t", "<URL>"),
        ("sign http://a/ --token-file t", "--by"),
        ("sign http://a/ --by eve", "--token-file"),
        ("sign http://a/ --by eve --token-file t --config c", "--config"),
        ("sign http://a/ --by eve --for 1w", "1w"),
        ("sign http://a/ http://b/", "http://b/"),
    ] {
        let error = parse_line(line).unwrap_err();
        assert!(error.use_stderr(), "{line:?}");
        let error = error.to_string();
        assert!(error.contains(fragment), "{line:?}: {error}");
    }
}
