//! From a request to its answer: the table of contents of the server.

use crate::app::App;
use crate::config;
use crate::download;
use crate::http_server::{ClientConnection, Handler, HttpServer, Request, Response};
use crate::info;
use crate::metrics::Snapshot;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::route::{Route, route};
use crate::web_ui::{self, Prefill};

/// Answers all requests of a daemon.
pub struct AppHandler<'a> {
    /// What streams need.
    pub app: &'a App,
    /// What is asked of the edge: how much has it sent?
    pub http_server: &'a HttpServer<'a>,
    /// What stands in the fields of the page.
    pub prefill: &'a Prefill,
}

impl Handler for AppHandler<'_> {
    fn handle(&self, request: &Request, client: ClientConnection<'_>) {
        let reply = match route(&request.target) {
            Ok(Route::Download { source: film, options }) => {
                return download::serve(self.app, film, options, request, client);
            }
            Ok(Route::Info(link)) => self.to_reply(info::info(self.app, &link, &client), request),
            Ok(Route::Thumbnail(link)) => {
                self.to_reply(info::thumbnail(self.app, &link, &client), request)
            }
            Ok(Route::Page(link)) if link.is_empty() => web_ui::reply(self.prefill),
            Ok(Route::Page(link)) => web_ui::reply(&Prefill { link }),
            Ok(Route::Manifest) => web_ui::manifest(),
            Ok(Route::Icon) => web_ui::icon(),
            Ok(Route::Healthz) => Response::ok("text/plain", "ok\n"),
            Ok(Route::Readyz) if self.app.stream_limiter.is_closed() => {
                let problem = Problem::new(ProblemCode::Draining, "the server is shutting down");
                Response::problem(&problem.retry_after(5), request.wants_html)
            }
            Ok(Route::Readyz) if config::find_in_path(&self.app.config.muxer.ffmpeg).is_none() => {
                // For a load balancer it is a state, not a fault: 503.
                let problem = Problem {
                    status: 503,
                    ..Problem::new(ProblemCode::MuxerMissing, "ffmpeg was not found")
                };
                Response::problem(&problem, request.wants_html)
            }
            Ok(Route::Readyz) => Response::ok("text/plain", "ready\n"),
            Ok(Route::Metrics) => Response::ok("text/plain; version=0.0.4", self.metrics()),
            Err(problem) => {
                // Not its detail: a badly encoded query may have put a piece of a URL in it.
                log::info!("{} {}", client.address(), problem.code);
                Response::problem(&problem, request.wants_html)
            }
        };
        client.respond(reply, Some(request));
    }
}

impl AppHandler<'_> {
    fn to_reply(&self, told: Result<Response, Problem>, request: &Request) -> Response {
        told.unwrap_or_else(|problem| Response::problem(&problem, request.wants_html))
    }

    fn metrics(&self) -> String {
        self.app.metrics.render(Snapshot {
            connections: self.http_server.connections(),
            streams: self.app.stream_limiter.in_use(),
            streams_waiting: self.app.stream_limiter.waiting(),
            sent_bytes: self.http_server.bytes_sent(),
            zero_copy_bytes: self.http_server.bytes_uncopied(),
            retries: self.app.upstream.retries_made(),
            pages_read: self.app.resolver.pages_read(),
            pages_failed: self.app.resolver.pages_failed(),
        })
    }
}
