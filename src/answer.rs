//! From a request to its answer: the table of contents of the server.

use crate::canal::Canal;
use crate::config;
use crate::edge::{Answer, Client, Edge, Reply, Request};
use crate::error::Problem;
use crate::info;
use crate::page::{self, Prefill};
use crate::route::{Route, route};
use crate::stats::Now;
use crate::stream;

/// Answers all requests of a daemon.
pub struct Desk<'a> {
    /// What streams need.
    pub canal: &'a Canal,
    /// What is asked of the edge: how much has it sent?
    pub edge: &'a Edge<'a>,
    /// What stands in the fields of the page.
    pub prefill: &'a Prefill,
}

impl Answer for Desk<'_> {
    fn answer(&self, request: &Request, client: Client<'_>) {
        let reply = match route(&request.target) {
            Ok(Route::File { film, wish }) => {
                return stream::serve(self.canal, film, wish, request, client);
            }
            Ok(Route::Info(link)) => self.told(info::info(self.canal, &link, &client), request),
            Ok(Route::Thumbnail(link)) => {
                self.told(info::thumbnail(self.canal, &link, &client), request)
            }
            Ok(Route::Page(link)) if link.is_empty() => page::reply(self.prefill),
            Ok(Route::Page(link)) => page::reply(&Prefill { link }),
            Ok(Route::Manifest) => page::manifest(),
            Ok(Route::Icon) => page::icon(),
            Ok(Route::Healthz) => Reply::ok("text/plain", "ok\n"),
            Ok(Route::Readyz) if self.canal.slots.is_closed() => {
                let problem = Problem::new(503, "draining", "the server is shutting down");
                Reply::problem(&problem.retry_after(5), request.wants_html)
            }
            Ok(Route::Readyz) if config::locate(&self.canal.config.muxer.ffmpeg).is_none() => {
                let problem = Problem::new(503, "muxer-missing", "ffmpeg was not found");
                Reply::problem(&problem, request.wants_html)
            }
            Ok(Route::Readyz) => Reply::ok("text/plain", "ready\n"),
            Ok(Route::Metrics) => Reply::ok("text/plain; version=0.0.4", self.metrics()),
            Err(problem) => {
                // Not its detail: a badly encoded query may have put a piece of a URL in it.
                log::info!("{} {}", client.address(), problem.code);
                Reply::problem(&problem, request.wants_html)
            }
        };
        client.reply(reply, Some(request));
    }
}

impl Desk<'_> {
    fn told(&self, told: Result<Reply, Problem>, request: &Request) -> Reply {
        told.unwrap_or_else(|problem| Reply::problem(&problem, request.wants_html))
    }

    fn metrics(&self) -> String {
        self.canal.stats.text(Now {
            connections: self.edge.connections(),
            streams: self.canal.slots.taken(),
            awaited: self.canal.slots.awaited(),
            bytes_sent: self.edge.bytes_sent(),
            bytes_uncopied: self.edge.bytes_uncopied(),
            retries: self.canal.upstream.retries_made(),
            pages_read: self.canal.resolver.pages_read(),
            pages_failed: self.canal.resolver.pages_failed(),
        })
    }
}
