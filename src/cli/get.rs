//! The arguments of `ytcanal get` and `ytcanal info`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, ValueHint};

use crate::get::{Destination, GetOptions, InfoOptions, PARAMETERS, Wanted};

/// What `ytcanal get --help` says below the options. The statuses are those of docs/cli.md.
pub(super) const AFTER_HELP: &str = "\
Output:
The file has the name of the page, or that of -o. Until it is complete it is NAME.part, which the same command
continues. Its name goes to standard output, everything else to standard error.

Exit status:
  0    the file is complete
  1    another error: the configuration is invalid, or a bug
  2    the command line is wrong
  3    the link leads to nothing that can be downloaded, or not as requested
  4    it is not there, or not for you
  5    the network or a site failed; a later attempt may succeed
  6    a site or this machine is busy; a later attempt may succeed
  7    the file cannot be written, or exists
  8    ffmpeg or yt-dlp is missing or does not work
  130  interrupted (SIGINT, SIGTERM, SIGHUP)
  141  the reader of standard output closed it; nothing is said
docs/cli.md has the problem codes behind them.

Examples:
  ytcanal get LINK -q 1080
  ytcanal get LINK -q audio -c mp3 -o music/
  ytcanal get LINK -o - | mpv -
  ytcanal get --video URL --audio URL --name film";

/// What `ytcanal info --help` says below the options.
const INFO_AFTER_HELP: &str = "\
Exit status:
As that of `ytcanal get`.";

/// The arguments of `ytcanal get`.
#[derive(Debug, PartialEq, Eq, Args)]
#[command(after_help = AFTER_HELP)]
pub struct GetArgs {
    /// A page link; several, or a list, with --as
    #[arg(value_name = "LINK", value_hint = ValueHint::Url)]
    pub links: Vec<String>,
    /// The URL of a video file, instead of a link
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub video: Option<String>,
    /// The URL of an audio file, instead of a link; may be repeated
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub audio: Vec<String>,
    /// Write to this file, into this directory, or to standard output (-)
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(short, long)]
    pub force: bool,
    /// Print errors only
    #[arg(short, long)]
    pub silent: bool,
    /// Log what is done to standard error
    #[arg(short, long)]
    pub verbose: bool,
    /// Read this TOML file, as the server does
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The parameters of the API.
    #[command(flatten)]
    pub parameters: ParameterArgs,
}

impl GetArgs {
    /// Returns the options of the command.
    pub fn options(&self) -> GetOptions {
        let destination = match &self.output {
            Some(path) if path.as_os_str() == "-" => Destination::Stdout,
            Some(path) => Destination::Path(path.clone()),
            None => Destination::Path(".".into()),
        };
        let wanted = Wanted {
            links: self.links.clone(),
            video: self.video.clone(),
            audio: self.audio.clone(),
            values: self.parameters.0.clone(),
        };
        GetOptions { wanted, destination, force: self.force, silent: self.silent }
    }
}

/// The options that are parameters of the API, by the table of these.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ParameterArgs(Vec<(&'static str, String)>);

impl Args for ParameterArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        PARAMETERS.iter().fold(command, |command, parameter| {
            let arg = Arg::new(parameter.name).long(parameter.name).help(parameter.help);
            let arg = parameter.short.into_iter().fold(arg, Arg::short);
            command.arg(match parameter.value {
                Some(value) => arg.value_name(value).action(ArgAction::Set),
                None => arg.action(ArgAction::SetTrue),
            })
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ParameterArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ParameterArgs, clap::Error> {
        let given = PARAMETERS.iter().filter_map(|parameter| {
            let value = match parameter.value {
                Some(_) => matches.get_one::<String>(parameter.name).cloned(),
                None => matches.get_flag(parameter.name).then(|| "1".to_owned()),
            };
            Some((parameter.name, value?))
        });
        Ok(ParameterArgs(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The arguments of `ytcanal info`.
#[derive(Debug, PartialEq, Eq, Args)]
#[command(after_help = INFO_AFTER_HELP)]
pub struct InfoArgs {
    /// A page link
    #[arg(value_name = "LINK", value_hint = ValueHint::Url)]
    pub link: String,
    /// Print the JSON of /info
    #[arg(long)]
    pub json: bool,
    /// Page of a list, counted from 1
    #[arg(long, value_name = "N")]
    pub page: Option<String>,
    /// Log what is done to standard error
    #[arg(short, long)]
    pub verbose: bool,
    /// Read this TOML file, as the server does
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

impl InfoArgs {
    /// Returns the options of the command.
    pub fn options(&self) -> InfoOptions {
        InfoOptions { link: self.link.clone(), page: self.page.clone(), json: self.json }
    }
}
