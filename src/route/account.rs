//! Parses the requests with which a user signs in, and shares what signed-in users may do. Pure.

use super::{Query, Route, bad_parameter, route};
use crate::problem::Problem;

/// The paths of requests that can be signed.
const SIGNABLE: [&str; 4] = ["/download", "/info", "/mux", "/thumbnail"];

/// Parses `/sign`.
pub(super) fn sign(mut query: Query) -> Result<Route, Problem> {
    let target = query.text("target").unwrap_or_default();
    query.reject_unknown()?;
    if !SIGNABLE.contains(&path_of(&target)) {
        return Err(bad_parameter(
            "target must be /download, /mux, /info or /thumbnail with its query",
        ));
    }
    // What does not work is not shared, either.
    let route = Box::new(route(&target)?);
    Ok(Route::Sign { target, route })
}

/// Parses `/login`, which leads to the page by default, and never to another server.
pub(super) fn login(mut query: Query) -> Result<Route, Problem> {
    let next = query.text("next").unwrap_or_else(|| "/".into());
    query.reject_unknown()?;
    match may_follow(&next) {
        true => Ok(Route::Login(next)),
        false => Err(bad_parameter("next must be a path of this server with its query")),
    }
}

/// Returns whether a target takes a form, which is sent by POST.
pub fn has_form(target: &str) -> bool {
    ["/login", "/logout"].contains(&path_of(target))
}

/// Returns where a user is led after signing in who has requested `target`.
pub fn target_after_login(target: &str) -> String {
    match route(target) {
        Ok(Route::Login(next)) => next,
        _ if may_follow(target) => target.to_owned(),
        _ => "/".into(),
    }
}

/// Returns whether a user may be led to a target after signing in: it is one of this server.
fn may_follow(target: &str) -> bool {
    let path = path_of(target);
    let is_known = ["/", "/watch"].contains(&path) || SIGNABLE.contains(&path);
    is_known && target.bytes().all(|byte| byte.is_ascii_graphic())
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form;

    fn code(target: &str) -> &'static str {
        route(target).unwrap_err().code.as_str()
    }

    #[test]
    fn only_paths_of_this_server_follow() {
        assert_eq!(route("/login"), Ok(Route::Login("/".into())));
        let target = "/download?url=https%3A%2F%2Fa%2F";
        let encoded = form::encode_value(target);
        assert_eq!(route(&format!("/login?next={encoded}")), Ok(Route::Login(target.into())));
        let Ok(Route::Sign { target: signed, .. }) = route(&format!("/sign?target={encoded}"))
        else {
            panic!()
        };
        assert_eq!(signed, target);
        for next in [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/%5Cevil.example",
            "/%09/evil.example",
            "%2F%2Fevil.example%2F%3F",
            "evil.example",
            "/watch/../evil",
            "/%0D%0ALocation:%20x",
            "/?%0D%0Aa",
            "/?\u{fc}",
            "/login",
            "/login?next=/",
            "/logout",
        ] {
            assert_eq!(code(&format!("/login?next={next}")), "bad-parameter", "{next}");
            assert_eq!(code(&format!("/sign?target={next}")), "bad-parameter", "{next}");
        }
        assert_eq!(code("/sign"), "bad-parameter");
        assert_eq!(code("/sign?target=/sign?target=/mux"), "bad-parameter");
        assert_eq!(code("/sign?target=/mux"), "missing-parameter");
    }
}
