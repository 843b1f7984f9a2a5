//! Decides who may do what: the mode of the server, where the client is, what is requested, and what is shown.

use std::sync::Arc;

use super::tokens::{Permission, Token, Tokens};
use super::{ClaimError, Credential, Identity};
use crate::config::AccessMode;
use crate::limits::Client;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;

/// What a client needs to be let in to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: anybody may request it.
    Nothing,
    /// To be known.
    Entry,
    /// This permission, if it is not let in without.
    Permission(Permission),
}

/// Who requests what.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// Who may use the server without a token; not `Auto`.
    pub mode: AccessMode,
    /// Where the client is.
    pub identity: Identity,
    /// What the route needs.
    pub need: Need,
    /// The hosts of the links in the request.
    pub hosts: &'a [&'a str],
    /// What the client shows.
    pub credential: &'a Credential,
    /// The tokens of the server.
    pub tokens: &'a Tokens,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// The right to do what was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose it is; `None` for those who need no token.
    pub token: Option<Arc<Token>>,
    /// Whether the client shows that no website made it send the request.
    pub is_deliberate: bool,
}

impl Grant {
    /// Returns the client as limits see it: by its token, if it has one.
    pub fn client(&self, client: Client) -> Client {
        self.token.as_ref().map_or(client, |token| client.with_token(token.limits()))
    }
}

/// Decides about a request. What is shown has to be right, also where nothing need be shown.
pub fn authorize(application: &Application<'_>) -> Result<Grant, Problem> {
    let Application { need, credential, .. } = *application;
    match credential {
        _ if need == Need::Nothing => Ok(Grant { token: None, is_deliberate: false }),
        Credential::None if is_open(application) => Ok(Grant { token: None, is_deliberate: false }),
        Credential::None => Err(unknown(application)),
        shown => {
            let token = holder(application)?;
            permit(application, &token)?;
            Ok(Grant { token: Some(token), is_deliberate: shown.is_deliberate() })
        }
    }
}

/// Returns whether the request needs no token.
fn is_open(application: &Application<'_>) -> bool {
    let Application { mode, identity, need, .. } = *application;
    match need {
        Need::Permission(Permission::Metrics) => identity.is_local,
        _ => match mode {
            AccessMode::Open => true,
            AccessMode::Local => identity.is_near,
            AccessMode::Closed | AccessMode::Auto => false,
        },
    }
}

/// Returns the problem of who shows nothing.
fn unknown(application: &Application<'_>) -> Problem {
    let Application { mode, need, tokens, .. } = *application;
    let is_metrics = need == Need::Permission(Permission::Metrics);
    match (tokens.is_empty(), is_metrics) {
        (true, true) => Problem::new(
            ProblemCode::NotLocal,
            "metrics are for clients on the machine of the server",
        ),
        (true, false) if mode == AccessMode::Local => Problem::new(
            ProblemCode::NotLocal,
            "this server is for clients in its own network; its operator can let in others by tokens \
             (access.tokens_file), or everybody (access.mode)",
        ),
        _ => Problem::new(
            ProblemCode::LoginNeeded,
            "this needs a token of the server, as the password of any user (curl -u user:TOKEN) or as a \
             Bearer token",
        ),
    }
}

/// Returns the token that the credential is of.
fn holder(application: &Application<'_>) -> Result<Arc<Token>, Problem> {
    let Application { credential, tokens, now, .. } = *application;
    let bad = |what| Problem::new(ProblemCode::BadToken, what);
    let named = |name: &str| tokens.named(name).map(|token| (token, &token.hash)).unzip();
    let found = match credential {
        Credential::Bearer(secret) | Credential::Basic(secret) => tokens.find(secret),
        Credential::Link(claim) => {
            let (token, hash) = named(claim.name());
            claim.verify(hash, now).map_err(bad_link)?;
            token
        }
        Credential::Session(claim) => {
            let (token, hash) = named(claim.name());
            token.filter(|_| claim.verify(hash, now).is_ok())
        }
        Credential::None | Credential::Unusable => None,
    };
    let token = found.cloned().ok_or_else(|| {
        bad("the token is unknown here; if the password is meant for a proxy in front, have that remove the \
             field Authorization")
    })?;
    match token.has_ended(now) {
        true => Err(bad("the token has ended; ask the operator of this server for another one")),
        false => Ok(token),
    }
}

fn bad_link(error: ClaimError) -> Problem {
    match error {
        ClaimError::Wrong => Problem::new(
            ProblemCode::BadLinkSignature,
            "the signature of the link is wrong; use the link as it was made, unchanged and complete",
        ),
        ClaimError::Expired => Problem::new(
            ProblemCode::LinkExpired,
            "the link has ended; ask whoever sent it for a new one",
        ),
    }
}

/// Checks whether a token is good for the request.
fn permit(application: &Application<'_>, token: &Token) -> Result<(), Problem> {
    let Application { identity, need, hosts, .. } = *application;
    let refuse = |detail: String| Err(Problem::new(ProblemCode::NotAllowed, detail));
    // The address of a proxy in front of the server tells nothing.
    let is_own_address = identity.is_near || identity.client.is_far();
    if !(token.from.is_empty() || is_own_address && token.may_come_from(identity.client.address()))
    {
        return refuse("the token may not be used from this address".into());
    }
    if let Need::Permission(permission) = need
        && !token.may.contains(&permission)
    {
        return refuse(format!(
            "the token is not for this (its `may` lacks {})",
            permission.as_str()
        ));
    }
    if !hosts.iter().all(|host| token.may_ask_for(host)) {
        return refuse("the token is for links to other sites (its `sites`)".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
