//! Parses the command line; holds the help text.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::resolver_update::UpdateOptions;
use crate::sign::Voucher;

mod sign;
mod token;

pub use token::TokenCommand;

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `ytcanal serve`: runs the server.
    Serve {
        /// `--config`
        config: Option<PathBuf>,
        /// `--listen`; replaces `listen` of the configuration.
        listen: Vec<SocketAddr>,
    },
    /// `ytcanal demo`: runs the demonstration.
    Demo {
        /// `--listen`
        listen: Vec<SocketAddr>,
    },
    /// `ytcanal check`: verifies configuration and dependencies.
    Check {
        /// `--config`
        config: Option<PathBuf>,
    },
    /// `ytcanal token`: makes and lists tokens.
    Token(TokenCommand),
    /// `ytcanal sign`: signs a link.
    Sign {
        /// The link.
        url: String,
        /// `--by`: the name of the token.
        by: String,
        /// `--token-file` or `--config`
        voucher: Voucher,
        /// `--for`
        lifetime: Duration,
    },
    /// `ytcanal update-resolver`: updates yt-dlp.
    UpdateResolver(UpdateOptions),
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// The commands, for messages.
const COMMANDS: &str = "serve, demo, check, token or sign";

/// The output of `ytcanal --help`.
pub const HELP: &str = "\
ytcanal downloads the video behind a page link, or behind a video URL and an audio URL, and joins video
and audio into one file while both are still arriving.

Usage:
  ytcanal serve [--config FILE] [--listen ADDR]...   run the server
  ytcanal demo  [--listen ADDR]...                   run a demonstration without a network
  ytcanal check [--config FILE]                      verify configuration and dependencies
  ytcanal token new NAME [LIMIT]... >> FILE          make a token, for access.tokens_file
  ytcanal token list [--config FILE]                 list the tokens
  ytcanal sign URL --by NAME                         let others use a link of the server without a token
          --token-file FILE | --config FILE
          [--for 12h]

Options:
  --config FILE    read this TOML file; every key has a default
  --listen ADDR    listen on this address, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80; port 0
                   picks a free one; may be repeated; replaces `listen` of the file
  LIMIT            --expires 30d, --from NETWORK,..., --may download,mux,info,metrics, --site HOST,...,
                   --streams N, --muxers N, --pages-per-hour N, --bytes-per-day SIZE
  --by NAME        the token in whose name the link is signed
  --token-file FILE  the file with the secret of this token
  --for TIME       how long the link can be used, at most 30d
  -h, --help       show this help
  -V, --version    show the version

Endpoints of the server:
  /                                web page: paste a link, choose, download or watch
  /download?url=LINK               the media of a page; also quality=best|1080|...|audio,
                                   container=auto|mp4|webm|mkv|m4a|mp3|opus, start=, end=
  /info?url=LINK                   the available formats of a page
  /mux?video=URL&audio=URL         two media files joined; also name=, container=, length=, start=, end=
  /healthz /readyz /metrics        for monitoring
docs/api.md has all parameters. Page links need yt-dlp (`ytcanal check` verifies it).

Examples:
  curl -OJG http://127.0.0.1:8080/download --data-urlencode url=LINK -d quality=1080
  curl -OJG http://127.0.0.1:8080/mux --data-urlencode video=URL --data-urlencode audio=URL
";

/// Parses the arguments (without the program's own name).
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    parse_arguments(lexopt::Parser::from_args(arguments)).map_err(|error| error.to_string())
}

fn parse_arguments(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut command: Option<String> = None;
    let (mut config, mut listen) = (None, Vec::new());
    while let Some(argument) = parser.next()? {
        let takes_config = matches!(command.as_deref(), Some("serve" | "check"));
        let takes_listen = matches!(command.as_deref(), Some("serve" | "demo"));
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("config") if takes_config => config = Some(parser.value()?.into()),
            Long("listen") if takes_listen => {
                listen.push(parser.value()?.parse_with(parse_address)?);
            }
            Value(value) if command.is_none() => {
                let name = value.string()?;
                if name == "token" {
                    let command = token::parse(&mut parser)?;
                    return Ok(command.map_or(Command::Help, Command::Token));
                }
                if name == "update-resolver" {
                    return parse_update(&mut parser);
                }
                if name == "sign" {
                    return sign::parse(&mut parser);
                }
                if !matches!(name.as_str(), "serve" | "demo" | "check") {
                    let message = format!("unknown command {name:?}: use {COMMANDS}");
                    return Err(message.into());
                }
                command = Some(name);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    match command.as_deref() {
        Some("serve") => Ok(Command::Serve { config, listen }),
        Some("demo") => Ok(Command::Demo { listen }),
        Some(_) => Ok(Command::Check { config }),
        None => Err(format!("missing command: {COMMANDS}").into()),
    }
}

fn parse_update(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut options = UpdateOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("dir") => options.dir = Some(parser.value()?.into()),
            Long("rollback") => options.rollback = true,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::UpdateResolver(options))
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an address with a port, such as 127.0.0.1:8080 or [::1]:8080")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_and_their_options() {
        let listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:8080".parse().unwrap()];
        assert_eq!(
            parse_line("serve --config a.toml --listen 127.0.0.1:0 --listen=[::1]:8080"),
            Ok(Command::Serve { config: Some("a.toml".into()), listen })
        );
        assert_eq!(parse_line("demo"), Ok(Command::Demo { listen: vec![] }));
        assert_eq!(parse_line("check"), Ok(Command::Check { config: None }));
        let line = "token new eve --expires 30d --may info --may=mux,download --streams 2 --bytes-per-day 1GiB";
        let Ok(Command::Token(TokenCommand::New { name, options })) = parse_line(line) else {
            panic!("it is a command");
        };
        assert_eq!(name, "eve");
        assert_eq!(options.expires.map(|lifetime| lifetime.as_secs()), Some(30 * 86_400));
        let may = ["info", "mux", "download"].map(String::from);
        assert_eq!(options.lists, [("may", may.to_vec())]);
        assert_eq!(options.numbers, [("streams", "2".into())]);
        assert_eq!(options.sizes, [("bytes_per_day", "1GiB".into())]);
        let list = TokenCommand::List { config: Some("a.toml".into()) };
        assert_eq!(parse_line("token list --config a.toml"), Ok(Command::Token(list)));
        assert_eq!(parse_line("token new -h"), Ok(Command::Help));
        let sign = |voucher, hours: u64| Command::Sign {
            url: "http://a/".into(),
            by: "eve".into(),
            voucher,
            lifetime: Duration::from_secs(hours * 3600),
        };
        assert_eq!(
            parse_line("sign http://a/ --by eve --token-file t"),
            Ok(sign(Voucher::TokenFile("t".into()), 12))
        );
        assert_eq!(
            parse_line("sign --config c.toml --by=eve --for 30d http://a/"),
            Ok(sign(Voucher::Config("c.toml".into()), 720))
        );
        assert_eq!(parse_line("serve -h"), Ok(Command::Help));
        assert_eq!(parse_line("-V"), Ok(Command::Version));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (line, fragment) in [
            ("", "missing command: serve, demo, check, token or sign"),
            ("token", "token new NAME"),
            ("token new", "needs a name"),
            ("token new a --expires 0s", "30d"),
            ("token new a --streems 3", "--streems"),
            ("token new a b", "b"),
            ("token list --listen a", "--listen"),
            ("swim", "\"swim\""),
            ("serve --fast", "--fast"),
            ("check --listen 127.0.0.1:1", "--listen"),
            ("serve --listen localhost", "\"localhost\""),
            ("serve --config", "--config"),
            ("serve twice", "twice"),
            ("sign --by eve --token-file t", "missing link"),
            ("sign http://a/ --token-file t", "missing --by"),
            ("sign http://a/ --by eve", "missing --token-file"),
            ("sign http://a/ --by eve --token-file t --config c", "--config"),
            ("sign http://a/ --by eve --for 1w", "1w"),
            ("sign http://a/ http://b/", "http://b/"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert!(error.contains(fragment), "{line:?}: {error}");
        }
    }
}
