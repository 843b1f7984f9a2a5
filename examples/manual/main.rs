//! Writes the manual pages and the completions of shells, from the descriptions that the program has of its command
//! line (`ytcanal::cli`) and of its configuration (`config/ytcanal.toml`).
//!
//! ```text
//! cargo run --release --example manual -- DIRECTORY
//! ```
//!
//! An example, so that what writes them is no part of the program.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use ytcanal::cli::CommandLine;

mod configuration;
mod roff;

/// What no description has, at the end of ytcanal(1).
const MORE: &str = "\
.SH \"EXIT STATUS\"
.TP
0
success
.TP
1
an error, which standard error names; for \\fBytcanal check\\fR, that the server cannot run
.TP
2
a wrong command line
.SH FILES
.TP
/etc/ytcanal/ytcanal.toml
the configuration that the service reads
.SH \"SEE ALSO\"
.BR ytcanal.toml (5),
.BR systemctl (1)
";

fn main() -> io::Result<()> {
    let usage = || io::Error::other("usage: manual DIRECTORY");
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or_else(usage)?);
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    for directory in [&man, &completions] {
        fs::create_dir_all(directory)?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut CommandLine::command(), "ytcanal", &completions)?;
    }
    fs::write(man.join("ytcanal.toml.5"), configuration::page()?)?;
    // `help` needs no page: man is there.
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &man)
}

/// Writes the page of a command, and those of the commands below it.
fn pages(command: &Command, directory: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, directory)?;
    }
    let page = Man::new(command.clone());
    let file = page.get_filename();
    let mut text = roff::title(file.trim_end_matches(".1"), 1).into_bytes();
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    if let Some(help) = command.get_after_long_help().or(command.get_after_help()) {
        text.write_all(roff::sections(&help.to_string()).as_bytes())?;
    }
    let ends = match command.get_name() {
        "ytcanal" => MORE,
        _ => ".SH \"SEE ALSO\"\n.BR ytcanal (1)\n",
    };
    text.write_all(ends.as_bytes())?;
    fs::write(directory.join(file), text)
}
