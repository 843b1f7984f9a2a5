//! The arguments of `ytcanal token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use super::values;
use crate::tokens_command::TokenOptions;

/// What to do with tokens.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum TokenCommand {
    /// Create a token
    ///
    /// Its secret goes to standard error, and the lines for access.tokens_file go to standard output: ytcanal token new
    /// NAME >> FILE
    New(TokenNewArgs),
    /// List the tokens of access.tokens_file
    List(TokenListArgs),
}

/// The arguments of `ytcanal token new`. Those without a value leave their key out of the file.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct TokenNewArgs {
    /// The name of its holder: letters, digits, - and _
    pub name: String,
    /// How long it lasts, such as 30d; without, for ever
    #[arg(long, value_name = "TIME", value_parser = values::lifetime)]
    expires: Option<Duration>,
    /// The networks or addresses that it may be used from
    #[arg(long, value_name = "NETWORK,...", value_delimiter = ',', value_parser = values::list_entry)]
    from: Vec<String>,
    /// What it may be used for: download, mux, info, metrics
    #[arg(long, value_name = "PERMISSION,...", value_delimiter = ',', value_parser = values::list_entry)]
    may: Vec<String>,
    /// The sites whose pages may be read
    #[arg(long, value_name = "HOST,...", value_delimiter = ',', value_parser = values::list_entry)]
    site: Vec<String>,
    /// Simultaneous downloads
    #[arg(long, value_name = "N")]
    streams: Option<String>,
    /// Downloads of these that use ffmpeg
    #[arg(long, value_name = "N")]
    muxers: Option<String>,
    /// Pages that are read in an hour
    #[arg(long, value_name = "N")]
    pages_per_hour: Option<String>,
    /// What is sent in a day, such as 20GiB
    #[arg(long, value_name = "SIZE")]
    bytes_per_day: Option<String>,
}

impl TokenNewArgs {
    /// Returns what the token is to have, by the keys of the file.
    pub fn options(&self) -> TokenOptions {
        let lists = [("from", &self.from), ("may", &self.may), ("sites", &self.site)];
        let numbers = [
            ("streams", &self.streams),
            ("muxers", &self.muxers),
            ("pages_per_hour", &self.pages_per_hour),
        ];
        let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
        let given = |(key, value): (_, &Option<String>)| Some((key, value.clone()?));
        TokenOptions {
            expires: self.expires,
            lists: lists.map(|(key, values)| (key, values.clone())).collect(),
            numbers: numbers.into_iter().filter_map(given).collect(),
            sizes: given(("bytes_per_day", &self.bytes_per_day)).into_iter().collect(),
        }
    }
}

/// The arguments of `ytcanal token list`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct TokenListArgs {
    /// The TOML file that names the file of tokens
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}
