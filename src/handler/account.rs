//! Signing in and out, and links to share.
//!
//! **Invariant:** a secret comes in a form, and never leaves.

use std::time::Duration;

use log::Level;
use serde_json::json;

use super::admission::{authorized, has_session, problem_response};
use crate::access::signature::{self, DEFAULT_LIFETIME, SignedTarget};
use crate::access::tokens::Token;
use crate::access::{Credential, Identity, Need, Secret, now, session};
use crate::app::App;
use crate::form;
use crate::http_server::{Request, Response};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::request_record::RequestRecord;
use crate::route::target_after_login;
use crate::web_ui;

/// Returns the page to sign in; or, if its form is sent, begins a session and leads to `next`.
pub(super) fn sign_in(
    app: &App,
    next: &str,
    request: &Request,
    identity: Identity,
    record: &RequestRecord,
) -> Response {
    let Some(form) = &request.form else { return web_ui::login_page(200, next, None) };
    match begin_session(app, form, identity) {
        Ok(cookie) => redirect(next).with("Set-Cookie", cookie),
        Err(problem) => {
            record.failed(problem.code, None, Level::Info);
            problem_response(&problem, request, identity)
        }
    }
}

/// Ends the session of a browser by the form for that, and leads to the page.
pub(super) fn sign_out(request: &Request, identity: Identity) -> Response {
    match request.form {
        Some(_) => redirect("/").with("Set-Cookie", session::end(identity.is_https)),
        None => redirect("/"),
    }
}

fn redirect(target: &str) -> Response {
    Response::new(303, "text/plain", "").with("Location", target)
}

/// Returns the cookie of a session that the token in a form vouches for.
fn begin_session(app: &App, form: &str, identity: Identity) -> Result<String, Problem> {
    let parameters = form::parse(form).unwrap_or_default();
    let secret = parameters.into_iter().find(|(name, _)| name == "token");
    let secret =
        secret.map(|(_, secret)| secret.trim().to_owned()).filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| {
        Problem::new(
            ProblemCode::MissingParameter,
            "the form must have the field token, and no field twice",
        )
    })?;
    let credential = Credential::Basic(Secret::new(secret));
    let grant = authorized(app, identity, (Need::Entry, &[]), &credential)?;
    let token = grant
        .token
        .ok_or_else(|| Problem::new(ProblemCode::BadToken, "this server has no tokens"))?;
    Ok(session::begin((&token.name, &token.hash), now(), identity.is_https))
}

/// Returns the page to sign in for a request that needs it.
pub(super) fn login_page(problem: &Problem, request: &Request, identity: Identity) -> Response {
    let words = match problem.code {
        ProblemCode::BadToken if request.form.is_some() => {
            Some("This token is unknown here, or has ended.")
        }
        ProblemCode::BadToken if has_session(request, identity) => {
            Some("You have been signed out. Sign in again.")
        }
        ProblemCode::BadToken => {
            Some("The browser has sent a password that is no token of this server.")
        }
        _ => None,
    };
    web_ui::login_page(problem.status, &target_after_login(&request.target), words)
}

/// Returns a link as JSON: signed by whoever is in by a token. Others are in without, as those will be who use the
/// link.
pub(super) fn sign(target: &str, token: Option<&Token>) -> Result<Response, Problem> {
    let signed = token.map(|token| {
        let now = now();
        let left = token
            .expires
            .map_or(DEFAULT_LIFETIME, |end| Duration::from_secs(end.saturating_sub(now)));
        signature::sign(target, (&token.name, &token.hash), DEFAULT_LIFETIME.min(left), now)
    });
    let signed = signed.transpose().map_err(|_| {
        Problem::new(ProblemCode::BadParameter, "the parameter target must not be signed already")
    })?;
    let (link, expires) = match &signed {
        Some(SignedTarget { target, expires }) => (target.as_str(), Some(expires)),
        None => (target, None),
    };
    Ok(Response::ok(
        "application/json",
        format!("{:#}\n", json!({ "link": link, "expires": expires })),
    ))
}
