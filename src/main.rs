//! Entry point of `ytcanal`: reads the command line and the configuration, and runs the command.
//!
//! **Invariant:** knows neither HTTP nor media.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use log::LevelFilter;
use ytcanal::check;
use ytcanal::cli::{self, Command, TokenCommand};
use ytcanal::config::{Config, ConfigFile, SystemdEnv};
use ytcanal::demo;
use ytcanal::logging;
use ytcanal::serve;
use ytcanal::sign;
use ytcanal::sys;
use ytcanal::tokens_command;

/// The exit status for a wrong command line.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    sys::tune_allocator();
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            report_error(&format!("{error}\nTry `ytcanal --help`."));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader of the output closed it (`ytcanal check | head -1`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; `false` if `check` found that something is missing.
fn run(command: Command) -> io::Result<bool> {
    match command {
        Command::Help => io::stdout().write_all(cli::HELP.as_bytes())?,
        Command::Version => writeln!(io::stdout(), "ytcanal {}", env!("CARGO_PKG_VERSION"))?,
        Command::Token(TokenCommand::New { name, options }) => {
            tokens_command::new(&name, &options, &mut io::stdout(), &mut io::stderr())?;
        }
        Command::Token(TokenCommand::List { config }) => {
            tokens_command::list(config.as_deref(), &mut io::stdout())?;
        }
        Command::Check { config } => return check::check(config.as_deref(), &mut io::stdout()),
        Command::Sign { url, by, voucher, lifetime } => {
            let link = sign::sign(&url, &by, &voucher, lifetime).map_err(io::Error::other)?;
            writeln!(io::stdout(), "{link}")?;
        }
        Command::Demo { listen } => {
            logging::start(LevelFilter::Warn, false);
            demo::demo(listen)?;
        }
        Command::Serve { config, listen } => {
            let (config, file) = read_config(config.as_deref(), listen)?;
            let service = SystemdEnv::from_env();
            logging::start_as(config.log, service.journal);
            serve::serve(config, file, &service)?;
        }
    }
    Ok(true)
}

/// Reads the configuration; addresses of the command line replace those of the file.
fn read_config(
    file: Option<&Path>,
    listen: Vec<SocketAddr>,
) -> io::Result<(Config, Option<ConfigFile>)> {
    let read = file.map(ConfigFile::read).transpose().map_err(io::Error::other)?;
    let (file, mut config) =
        read.map_or((None, Config::default()), |(file, config)| (Some(file), config));
    if !listen.is_empty() {
        config.listen = listen;
    }
    Ok((config, file))
}

/// Writes an error to standard error, which may be closed.
fn report_error(text: &str) {
    // The journal reads this prefix as the priority `err` (sd-daemon(3)).
    let priority = if SystemdEnv::from_env().journal { "<3>" } else { "" };
    writeln!(io::stderr(), "{priority}ytcanal: {text}").ok();
}
