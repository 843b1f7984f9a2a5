//! Decides whether a request is carried out: its route, the rights of the client, the website behind it, and
//! its rate.

use super::account;
use crate::access::{
    self, Application, Credential, Grant, Identity, Initiator, Need, authorize, session,
};
use crate::app::App;
use crate::error::{Error, Rate};
use crate::http_server::{ClientConnection, Request, Response};
use crate::limits::Client;
use crate::logging;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::route::{Prefill, Route, has_form, route};

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
    if request.has_other_method || (request.form.is_some() && !has_form(&request.target)) {
        let detail = "the method is not supported; use GET or HEAD";
        return Err(Problem::new(ProblemCode::MethodNotAllowed, detail).into());
    }
    let route = route(&request.target)?;
    let grant = grant(app, request, client, &route)?;
    if !route.is_costly() && request.form.is_none() {
        return Ok((route, grant));
    }
    match Initiator::new(&request.provenance, request.wants_html) {
        _ if grant.is_deliberate => {}
        Initiator::Own => {}
        Initiator::Link if matches!(route, Route::Download { .. } | Route::Archive(_)) => {
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
    let identity = client.identity();
    let credential = match app.tokens.has_file() {
        true => Credential::new(&request.provenance, &request.target, identity.is_https),
        false => Credential::None,
    };
    authorized(app, identity, (route.need(), &route.hosts()), &credential)
}

/// Returns the right that a credential gives a client: to what it needs, for links to these hosts.
pub(super) fn authorized(
    app: &App,
    identity: Identity,
    (need, hosts): (Need, &[&str]),
    credential: &Credential,
) -> Result<Grant, Problem> {
    // What vouches for links and sessions cannot be guessed.
    let may_be_guess = need != Need::Nothing && credential.is_secret();
    if may_be_guess {
        check_guesses(app, identity.client)?;
    }
    let decision = authorize(&Application {
        mode: *app.access_mode.get(),
        identity,
        need,
        hosts,
        credential,
        tokens: &app.tokens.current(),
        now: access::now(),
    });
    if may_be_guess && decision.as_ref().is_err_and(|problem| problem.code == ProblemCode::BadToken)
    {
        count_guess(app, identity.client);
    }
    decision
}

/// Refuses a secret unseen, if too many of the client's, or of its network, were wrong.
fn check_guesses(app: &App, client: Client) -> Result<(), Problem> {
    let checked = app.rate_limiter.check_next(client, Rate::Failures);
    checked.map_err(|limit| Problem::from(&Error::from(limit)))
}

/// Counts a wrong secret.
fn count_guess(app: &App, client: Client) {
    // Several at the same time may be one too many.
    app.rate_limiter.charge(client, Rate::Failures).ok();
    app.metrics.login_failures.increment();
    // Programs such as fail2ban read this line; docs/operations.md has it.
    log::warn!(target: logging::FIXED, "{} login failed", client.address());
}

/// Returns whether a browser has a session, which need not be a good one.
pub(super) fn has_session(request: &Request, identity: Identity) -> bool {
    let cookies = request.provenance.cookie.as_ref();
    cookies.is_some_and(|cookies| session::claim(cookies.reveal(), identity.is_https).is_some())
}

/// Returns the response to a request that is not carried out. Who may log in is told how; but browsers, which
/// would ask for a password by themselves, have the page for that. A session that is none any more is forgotten.
pub(super) fn problem_response(
    problem: &Problem,
    request: &Request,
    identity: Identity,
) -> Response {
    if problem.status != 401 {
        let response = Response::problem(problem, request.wants_html);
        // RFC 9110 §10.2.1: the methods of this very path.
        return match problem.code == ProblemCode::MethodNotAllowed && has_form(&request.target) {
            true => response.with("Allow", "GET, HEAD, POST"),
            false => response,
        };
    }
    let response = match request.wants_html {
        true => account::login_page(problem, request, identity),
        false => Response::problem(problem, false),
    };
    let response = match has_session(request, identity) {
        true => response.and("Set-Cookie", session::end(identity.is_https)),
        false => response,
    };
    let response = match request.provenance.is_of_browser(request.wants_html) {
        true => response,
        false => response.and("WWW-Authenticate", "Basic realm=\"YtCanal\", charset=\"UTF-8\""),
    };
    response.and("WWW-Authenticate", "Bearer realm=\"YtCanal\"")
}
