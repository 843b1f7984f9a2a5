//! The page at `/`: one file of HTML, which asks no other host for anything.

use crate::edge::Reply;
use crate::edge::reply::escape;

const PAGE: &str = include_str!("page.html");

/// What stands in the fields when the page opens.
#[derive(Debug, Default, Clone)]
pub struct Prefill {
    /// The picture's URL.
    pub video: String,
    /// The sound's URL.
    pub audio: String,
    /// The file's name.
    pub name: String,
}

/// The page as an answer.
pub fn reply(prefill: &Prefill) -> Reply {
    let html = PAGE
        .replace("{{video}}", &escape(&prefill.video))
        .replace("{{audio}}", &escape(&prefill.audio))
        .replace("{{name}}", &escape(&prefill.name));
    Reply::ok("text/html; charset=utf-8", html)
        .with(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        )
        // The URLs in the fields are nobody else's business.
        .with("Referrer-Policy", "no-referrer")
}
