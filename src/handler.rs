//! Dispatches each request to the module that responds to it.

use log::Level;

use crate::access::{Grant, Initiator};
use crate::app::App;
use crate::config;
use crate::download;
use crate::http_server::{ClientConnection, Handler, HttpServer, Request, Response};
use crate::info;
use crate::labels::RouteName;
use crate::openapi;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::route::Route;
use crate::web_ui::{self, Prefill, Visit};

mod account;
mod admission;
mod metrics;

use admission::{Refusal, admit, has_session, problem_response};

/// The handler of all requests.
pub struct AppHandler<'a> {
    /// The shared state.
    pub app: &'a App,
    /// The HTTP server, for its metrics.
    pub http_server: &'a HttpServer<'a>,
    /// The initial content of the web page's form.
    pub prefill: &'a Prefill,
}

impl Handler for AppHandler<'_> {
    fn route_name(&self, request: &Request) -> RouteName {
        RouteName::of(&request.target)
    }

    fn handle(&self, request: &Request, client: ClientConnection) {
        let admitted = admit(self.app, request, &client);
        let client = match &admitted {
            Ok((_, grant)) => client.granted(grant),
            Err(_) => client,
        };
        if let Ok((_, Grant { token: Some(token), .. })) = &admitted {
            client.record().token(&token.name);
        }
        let account = self.app.rate_limiter.account(client.client());
        let client = client.charged_to(account);
        let identity = client.identity();
        let (route, token) = match admitted {
            Ok((route, grant)) => (Ok(route), grant.token),
            Err(refusal) => (Err(refusal), None),
        };
        let response = match route {
            Ok(Route::Download { source, options }) => {
                return download::serve(self.app, source, options, request, client);
            }
            Ok(Route::Archive(archive)) => {
                let may_request =
                    |host: &str| token.as_ref().is_none_or(|token| token.may_ask_for(host));
                return download::archive::serve(self.app, &archive, &may_request, request, client);
            }
            Ok(Route::Info { page_url, part }) => {
                self.to_response(info::info(self.app, &page_url, part, &client), request)
            }
            Ok(Route::Thumbnail(page_url)) => {
                self.to_response(info::thumbnail(self.app, &page_url, &client), request)
            }
            Ok(Route::Page(prefill)) => {
                let is_empty = prefill == Prefill::default();
                let prefill = if is_empty { self.prefill } else { &prefill };
                let visit = Visit {
                    by: Initiator::new(&request.provenance, request.wants_html),
                    is_signed_in: token.is_some() && has_session(request, identity),
                    outdated_for: self.app.resolver.outdated_for(),
                };
                web_ui::page(prefill, visit)
            }
            Ok(Route::Sign { target, .. }) => {
                self.to_response(account::sign(&target, token.as_deref()), request)
            }
            Ok(Route::Login(next)) => {
                account::sign_in(self.app, &next, request, identity, client.record())
            }
            Ok(Route::Logout) => account::sign_out(request, identity),
            Ok(Route::OpenApi) => openapi::document(),
            Ok(Route::Manifest) => web_ui::manifest(),
            Ok(Route::Icon) => web_ui::icon(),
            Ok(Route::Player) => web_ui::player(),
            Ok(Route::Healthz) => Response::ok("text/plain", "ok\n"),
            Ok(Route::Readyz) => self.to_response(self.readiness(), request),
            Ok(Route::Metrics) => Response::ok(
                "text/plain; version=0.0.4",
                metrics::metrics(self.app, self.http_server),
            ),
            Err(Refusal::ToPage(prefill)) => web_ui::redirect(&prefill),
            Err(Refusal::Problem(problem)) => {
                // Not the detail: a badly encoded query may put a part of a signed URL into it.
                client.record().failed(problem.code, None, Level::Info);
                problem_response(&problem, request, identity)
            }
        };
        client.respond(response, Some(request));
    }
}

impl AppHandler<'_> {
    /// Says that the server accepts downloads, or why not.
    fn readiness(&self) -> Result<Response, Problem> {
        if self.app.stream_limiter.is_closed() {
            let problem = Problem::new(ProblemCode::Draining, "the server is shutting down");
            return Err(problem.retry_after(5));
        }
        if config::find_in_path(&self.app.config.muxer.ffmpeg).is_none() {
            let problem = Problem::new(ProblemCode::MuxerMissing, "ffmpeg was not found");
            // Not ready is a state and no fault: a load balancer expects 503, not the 500 of this code.
            return Err(Problem { status: 503, ..problem });
        }
        Ok(Response::ok("text/plain", "ready\n"))
    }

    fn to_response(&self, result: Result<Response, Problem>, request: &Request) -> Response {
        result.unwrap_or_else(|problem| Response::problem(&problem, request.wants_html))
    }
}
