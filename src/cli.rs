//! The command line: the one description that parsing, help, manual pages and completions come from. Each command
//! has its arguments in a file of its own.
//!
//! **Invariant:** nothing here runs a command or prints; `main` does.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

mod check;
mod demo;
mod get;
mod healthcheck;
mod serve;
mod sign;
mod token;
mod update_resolver;
mod values;

pub use check::CheckArgs;
pub use demo::DemoArgs;
pub use get::{GetArgs, InfoArgs, ParameterArgs};
pub use healthcheck::HealthcheckArgs;
pub use serve::ServeArgs;
pub use sign::SignArgs;
pub use token::{TokenCommand, TokenListArgs, TokenNewArgs};
pub use update_resolver::UpdateResolverArgs;

/// What `ytcanal --help` says below the commands.
pub const ENDPOINTS: &str = "\
Endpoints of the server:
  /                                web page: paste a link, choose, download or watch
  /download?url=LINK               the media of a page; also quality=best|1080|...|audio, lang=, subs=, start=, end=,
                                   container=auto|mp4|webm|mkv|m4a|mp3|opus|ogg|flac|wav|vtt|srt; a list with as=tar|zip
  /info?url=LINK                   the available formats of a page, or the entries of a list
  /mux?video=URL&audio=URL         two media files joined; also name=, container=, length=, start=, end=
  /healthz /readyz /metrics        for monitoring
  /openapi.json                    all of that for programs
docs/api.md has all parameters. Page links need yt-dlp (`ytcanal check` verifies it).

Examples:
  curl -OJG http://127.0.0.1:8080/download --data-urlencode url=LINK -d quality=1080
  curl -OJG http://127.0.0.1:8080/mux --data-urlencode video=URL --data-urlencode audio=URL";

/// Downloads the video of a page while it arrives
///
/// The video is that of a page, or of a video URL and an audio URL. Video and audio are joined into one file while both
/// are still arriving.
#[derive(Debug, PartialEq, Eq, Parser)]
#[command(
    name = "ytcanal",
    version,
    after_help = ENDPOINTS,
    // Of an option that is there twice, the last one counts: scripts append theirs.
    args_override_self = true,
    // A mistake is told in a few lines, not by the whole help.
    arg_required_else_help = false,
)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Run a demonstration without a network
    Demo(DemoArgs),
    /// Download to a file, without a server
    Get(GetArgs),
    /// List what a page offers
    Info(InfoArgs),
    /// Verify configuration and dependencies
    Check(CheckArgs),
    /// Check whether a running server is healthy
    Healthcheck(HealthcheckArgs),
    /// Create and list access tokens
    #[command(subcommand, arg_required_else_help = false)]
    Token(TokenCommand),
    /// Sign a link, so that it works without a token
    Sign(SignArgs),
    /// Update yt-dlp, in a directory of its own
    ///
    /// Installs the newest yt-dlp and deno beside those in use, tries them, and puts them into use. If anything fails,
    /// those in use stay, one line says why, and the exit code is 1. Run by root, it becomes the owner of the directory.
    UpdateResolver(UpdateResolverArgs),
}

/// Parses the arguments, the program's own name first. Help and version are errors, too, which standard output is for
/// ([`clap::Error::use_stderr`]).
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    CommandLine::try_parse_from(arguments).map(|line| line.command)
}

#[cfg(test)]
mod tests;
