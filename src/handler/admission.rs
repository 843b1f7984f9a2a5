//! Decides whether a request is carried out: its route, the rights of the client, the website behind it, and
//! its rate.

use crate::access::{self, Application, Credential, Grant, Initiator, authorize};
use crate::app::App;
use crate::error::{Error, Rate};
use crate::http_server::{ClientConnection, Request, Response};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::route::{Prefill, Route, route};

/// Why a request is not carried out.
pub(super) enum Refusal {
    Problem(Problem),
    /// Another website made it, and the user may decide on the page.
    ToPage(Prefill),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal::Problem(problem)
    }
}

/// Returns the route of a request that may take it, and by what right.
pub(super) fn admit(
    app: &App,
    request: &Request,
    client: &ClientConnection,
) -> Result<(Route, Grant), Refusal> {
    let route = route(&request.target)?;
    let grant = grant(app, request, client, &route)?;
    if !route.is_costly() {
        return Ok((route, grant));
    }
    match Initiator::new(&request.provenance, request.wants_html) {
        _ if grant.is_deliberate => {}
        Initiator::Own => {}
        Initiator::Link if let Route::Download { source, .. } = &route => {
            return Err(Refusal::ToPage(source.prefill()));
        }
        Initiator::Link | Initiator::Foreign => {
            let detail = "another website made your browser request this; open the page of this server, or \
                          use a program such as curl";
            return Err(Problem::new(ProblemCode::CrossSite, detail).into());
        }
    }
    let (rates, client) = (&app.rate_limiter, client.client());
    let charged = rates.charge(client, Rate::Requests);
    let charged = charged.and_then(|()| rates.check(client, Rate::Ingress));
    charged.map_err(|limit| Problem::from(&Error::from(limit)))?;
    Ok((route, grant))
}

/// Returns the right of a client to a route.
fn grant(
    app: &App,
    request: &Request,
    client: &ClientConnection,
    route: &Route,
) -> Result<Grant, Problem> {
    let credential = match app.tokens.has_file() {
        true => Credential::new(&request.provenance, &request.target),
        false => Credential::None,
    };
    authorize(&Application {
        mode: app.config.access_mode(),
        identity: client.identity(),
        need: route.need(),
        hosts: &route.hosts(),
        credential: &credential,
        tokens: &app.tokens.current(),
        now: access::now(),
    })
}

/// Returns the response to a request that is not carried out. Who may log in is told how; but browsers, which
/// would ask for a password by themselves, have the page for that.
pub(super) fn problem_response(problem: &Problem, request: &Request) -> Response {
    let response = Response::problem(problem, request.wants_html);
    if problem.status != 401 {
        return response;
    }
    let response = match request.provenance.is_of_browser(request.wants_html) {
        true => response,
        false => response.and("WWW-Authenticate", "Basic realm=\"YtCanal\", charset=\"UTF-8\""),
    };
    response.and("WWW-Authenticate", "Bearer realm=\"YtCanal\"")
}
