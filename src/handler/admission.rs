//! Decides whether a request is carried out: its route, the rights of the client, the website behind it, and
//! its rate.

use crate::access::{self, Application, Credential, Grant, Initiator, Need, authorize};
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
    ToPage(Box<Prefill>),
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
        Initiator::Link if matches!(route, Route::Download { .. }) => {
            return Err(Refusal::ToPage(Prefill::of_target(&request.target).into()));
        }
        Initiator::Link | Initiator::Foreign => {
            let detail = "another website made your browser request this; open the page of this server, or \
                          use a program such as curl";
            return Err(Problem::new(ProblemCode::CrossSite, detail).into());
        }
    }
    let (rates, client) = (&app.rate_limiter, grant.client(client.client()));
    let charged = rates.charge(client, Rate::Requests);
    let charged = charged.and_then(|()| rates.check(client, Rate::Ingress));
    let charged = charged.and_then(|()| rates.check(client, Rate::Egress));
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
    let need = route.need();
    // What vouches for links and sessions cannot be guessed.
    let may_be_guess = need != Need::Nothing && credential.is_secret();
    if may_be_guess {
        check_guesses(app, client)?;
    }
    let decision = authorize(&Application {
        mode: *app.access_mode.get(),
        identity: client.identity(),
        need,
        hosts: &route.hosts(),
        credential: &credential,
        tokens: &app.tokens.current(),
        now: access::now(),
    });
    if may_be_guess && decision.as_ref().is_err_and(|problem| problem.code == ProblemCode::BadToken)
    {
        count_guess(app, client);
    }
    decision
}

/// Refuses a secret unseen, if too many of the client's, or of its network, were wrong.
fn check_guesses(app: &App, client: &ClientConnection) -> Result<(), Problem> {
    let checked = app.rate_limiter.check_next(client.client(), Rate::Failures);
    checked.map_err(|limit| Problem::from(&Error::from(limit)))
}

/// Counts a wrong secret.
fn count_guess(app: &App, client: &ClientConnection) {
    // Several at the same time may be one too many.
    app.rate_limiter.charge(client.client(), Rate::Failures).ok();
    app.metrics.login_failed();
    // Programs such as fail2ban read this line; docs/operations.md has it.
    log::warn!("{} login failed", client.address());
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
