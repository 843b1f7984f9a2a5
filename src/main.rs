//! `ytcanal`: reads the command line and the configuration, and does as they say. Must never
//! know HTTP or media.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use log::LevelFilter;
use ytcanal::check;
use ytcanal::cli::{self, Command};
use ytcanal::config::{Config, SystemdEnv};
use ytcanal::demo;
use ytcanal::logging;
use ytcanal::serve;
use ytcanal::sys;

/// For a command line that cannot be understood.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    sys::tune_allocator();
    let ask = match cli::parse(std::env::args_os().skip(1)) {
        Ok(ask) => ask,
        Err(error) => {
            complain(&format!("{error}\nTry `ytcanal --help`."));
            return ExitCode::from(USAGE);
        }
    };
    match run(ask) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read our output has had enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for; `false` when the answer to `check` is no.
fn run(ask: Command) -> io::Result<bool> {
    match ask {
        Command::Help => io::stdout().write_all(cli::HELP.as_bytes())?,
        Command::Version => writeln!(io::stdout(), "ytcanal {}", env!("CARGO_PKG_VERSION"))?,
        Command::Check { config } => return check::check(config.as_deref(), &mut io::stdout()),
        Command::Demo { listen } => {
            logging::start(LevelFilter::Warn, false);
            demo::demo(listen)?;
        }
        Command::Serve { config, listen } => {
            let config = read(config.as_deref(), listen)?;
            let service = SystemdEnv::from_env();
            logging::start(config.log.level, service.journal);
            serve::serve(config, &service)?;
        }
    }
    Ok(true)
}

fn read(file: Option<&Path>, listen: Vec<SocketAddr>) -> io::Result<Config> {
    let mut config = file.map_or(Ok(Config::default()), Config::read).map_err(io::Error::other)?;
    if !listen.is_empty() {
        config.listen = listen;
    }
    Ok(config)
}

/// Says something on standard error, where there may be nobody.
fn complain(text: &str) {
    // The journal takes this for an error (sd-daemon(3)).
    let priority = if SystemdEnv::from_env().journal { "<3>" } else { "" };
    writeln!(io::stderr(), "{priority}ytcanal: {text}").ok();
}
