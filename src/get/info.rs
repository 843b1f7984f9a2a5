//! `ytcanal info`: what a page offers, as a table or as the JSON of `/info`.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::console::Console;
use super::info_table::table;
use super::session::Session;
use super::{ExitStatus, print, report_problem};
use crate::config::Config;
use crate::form;
use crate::http_server::{Receiver, Response, ResponseHead};
use crate::problem::Problem;
use crate::route::{Route, route};

/// The options of `ytcanal info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoOptions {
    /// The page link.
    pub link: String,
    /// The page of a list, counted from 1.
    pub page: Option<String>,
    /// Whether it is printed as JSON.
    pub json: bool,
}

/// Runs `ytcanal info`.
pub fn info(config: Config, options: &InfoOptions) -> io::Result<ExitStatus> {
    let console = Console::new(false);
    let page = options.page.iter().map(|page| ("page", page.as_str()));
    let query = form::encode([(form::LINK, options.link.as_str())].into_iter().chain(page));
    let (page_url, part) = match route(&format!("/info?{query}")) {
        Ok(Route::Info { page_url, part }) => (page_url, part),
        Ok(_) => return Err(io::Error::other("the command line leads to no page")),
        Err(problem) => return Ok(report_problem(&console, &problem)),
    };
    let session = Session::start(config, false)?;
    let client = session.client(Arc::new(Nobody))?;
    let work = || crate::info::info(&session.app, &page_url, part, &client);
    let ended = session.run(work, || {})?;
    match ended.result {
        Ok(response) => show(&response, options.json),
        Err(_) if ended.was_interrupted => {
            console.report("interrupted");
            Ok(ExitStatus::Interrupted)
        }
        Err(problem) => Ok(report_problem(&console, &problem)),
    }
}

fn show(response: &Response, is_json: bool) -> io::Result<ExitStatus> {
    let text = String::from_utf8_lossy(response.body());
    if is_json {
        return print(text.as_bytes());
    }
    let json = serde_json::from_str(&text).map_err(io::Error::other)?;
    print(table(&json).as_bytes())
}

/// The client of a request whose response is a value.
struct Nobody;

impl Receiver for Nobody {
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn begin(&self, _: &ResponseHead) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn respond(&self, _: Response) {}

    fn complete(&self) {}

    fn fail(&self, _: &Problem, _: Option<io::Error>) {}
}
