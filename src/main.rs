//! Entry point of `ytcanal`: reads the command line and the configuration, and runs the command.
//!
//! **Invariant:** knows neither HTTP nor media.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use log::{Level, LevelFilter};
use ytcanal::check;
use ytcanal::cli::{self, Command, TokenCommand};
use ytcanal::config::{
    Config, ConfigFile, InheritedSockets, ListenAddress, LogConfig, LogFormat, SystemdEnv,
};
use ytcanal::demo;
use ytcanal::get;
use ytcanal::healthcheck;
use ytcanal::logging;
use ytcanal::resolver_update;
use ytcanal::serve;
use ytcanal::sign;
use ytcanal::sys;
use ytcanal::tokens_command;

/// The exit status for a wrong command line.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    sys::tune_allocator();
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return end_early(&error),
    };
    match run(command) {
        Ok(status) => status,
        // The reader of the output closed it (`ytcanal check | head -1`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // What reads a log of JSON expects nothing else in it.
            if logging::format() == LogFormat::Json && log::log_enabled!(Level::Error) {
                log::error!("{error}");
            } else {
                report_error(&error.to_string());
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; returns a failure if `check` found that something is missing.
fn run(command: Command) -> io::Result<ExitCode> {
    match command {
        Command::Token(TokenCommand::New(args)) => {
            tokens_command::new(&args.name, &args.options(), &mut io::stdout(), &mut io::stderr())?;
        }
        Command::Token(TokenCommand::List(args)) => {
            tokens_command::list(args.config.as_deref(), &mut io::stdout())?;
        }
        Command::Check(args) => {
            let passed = check::check(args.config.as_deref(), args.listen, &mut io::stdout())?;
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Get(args) => {
            let config = read_client_config(args.config.as_deref(), args.verbose)?;
            return get::get(config, &args.options()).map(|status| status.code().into());
        }
        Command::Info(args) => {
            let config = read_client_config(args.config.as_deref(), args.verbose)?;
            return get::info(config, &args.options()).map(|status| status.code().into());
        }
        Command::Healthcheck(args) => healthcheck::healthcheck(&args.url, &mut io::stdout())?,
        Command::Sign(args) => {
            let link = sign::sign(&args.url, &args.by, &args.voucher(), args.lifetime());
            writeln!(io::stdout(), "{}", link.map_err(io::Error::other)?)?;
        }
        Command::UpdateResolver(args) => {
            logging::start(LevelFilter::Warn, SystemdEnv::from_env().journal);
            resolver_update::update_resolver(&args.options(), &mut io::stdout())?;
        }
        Command::Demo(args) => {
            logging::start(LevelFilter::Warn, false);
            demo::demo(&args.listen)?;
        }
        Command::Serve(args) => {
            let (config, file) = read_config(args.config.as_deref(), args.listen)?;
            let (service, sockets) = (SystemdEnv::from_env(), InheritedSockets::take()?);
            logging::start_as(config.log, service.journal);
            serve::serve(config, file, &service, sockets)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration of a command that reports its errors itself, and logs if that is wanted.
fn read_client_config(file: Option<&Path>, verbose: bool) -> io::Result<Config> {
    let (config, _) = read_config(file, Vec::new())?;
    let level = if verbose { config.log.level } else { LevelFilter::Off };
    logging::start_as(LogConfig { level, ..config.log }, false);
    Ok(config)
}

/// Prints help or the version, or what is wrong with the command line.
fn end_early(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if error.use_stderr() {
        report_error(text.trim_start_matches("error: ").trim_end());
        return ExitCode::from(EXIT_USAGE);
    }
    // The reader may close it (`ytcanal --help | head -1`).
    io::stdout().write_all(text.as_bytes()).ok();
    ExitCode::SUCCESS
}

/// Reads the configuration; addresses of the command line replace those of the file.
fn read_config(
    file: Option<&Path>,
    listen: Vec<ListenAddress>,
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
