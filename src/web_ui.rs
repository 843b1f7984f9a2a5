//! The page at `/`: one file of HTML with its style and its script, which works without the
//! script too and asks no other host for anything. Beside it what makes it an app: an icon, and a
//! manifest through which a phone offers it for sharing.
//!
//! It must never let a link that was given to it be anything but text.

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use ring::digest::{SHA256, digest};

use crate::http_server::Response;
use crate::http_server::response::escape;

const PAGE: &str = include_str!("page.html");
const MANIFEST: &str = include_str!("page/manifest.webmanifest");
const ICON: &str = include_str!("page/icon.svg");

/// Where in the page the link goes.
const LINK: &str = "{{link}}";

/// Icon and manifest may be an hour old; they change with the program only.
const CACHE_CONTROL: &str = "max-age=3600";

/// What stands in the field when the page opens.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Prefill {
    /// The link to a page with a video; empty if there is none.
    pub link: String,
}

/// The page as an answer.
pub fn reply(prefill: &Prefill) -> Response {
    Response::ok("text/html; charset=utf-8", PAGE.replace(LINK, &escape(&prefill.link)))
        // May be kept, but not without asking for it again: a browser that goes back then finds
        // the page as it was left, with what was typed.
        .with("Cache-Control", "no-cache")
        .with("Content-Security-Policy", CSP.as_str())
        // The link in the field is nobody else's business.
        .with("Referrer-Policy", "no-referrer")
}

/// What the page is as an app, and that links can be shared with it.
pub fn manifest() -> Response {
    Response::ok("application/manifest+json", MANIFEST).with("Cache-Control", CACHE_CONTROL)
}

/// The page's icon.
pub fn icon() -> Response {
    Response::ok("image/svg+xml", ICON)
        .with("Cache-Control", CACHE_CONTROL)
        .with("Content-Security-Policy", "default-src 'none'")
}

/// Only the page's own script and style run, and everything comes from this server.
static CSP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'self'; script-src {}; style-src {}; img-src 'self'; media-src 'self'; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        hash(element_text("script")),
        hash(element_text("style"))
    )
});

/// What stands in the page's only element of this name.
fn element_text(element: &str) -> &'static str {
    let begun = PAGE.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    begun.split_once(&format!("</{element}>")).map_or("", |(text, _)| text)
}

/// A text as a policy names it (CSP Level 3, §2.3.1).
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes; what a phone on a bad line waits for.
    const LARGEST: usize = 30_000;

    fn html(link: &str) -> String {
        PAGE.replace(LINK, &escape(link))
    }

    #[test]
    fn the_page_is_small_and_whole() {
        assert!(PAGE.len() < LARGEST, "{} bytes", PAGE.len());
        for element in ["<script>", "</script>", "<style>", "</style>", LINK] {
            assert_eq!(PAGE.matches(element).count(), 1, "{element}");
        }
        // These would need more than the policy gives.
        for refused in [" style=", " onclick=", "<script ", "<style ", "url(", "@import", "eval("] {
            assert!(!PAGE.contains(refused), "{refused}");
        }
    }

    #[test]
    fn the_page_names_no_other_host() {
        let known = ["https://…", "https://.", "https://\""];
        for (at, _) in PAGE.match_indices("://") {
            let around = &PAGE[PAGE.floor_char_boundary(at - 5)..PAGE.ceil_char_boundary(at + 12)];
            let fine = known.iter().any(|text| around.contains(text)) || around.contains("https?:");
            assert!(fine, "{around:?}");
        }
    }

    #[test]
    fn the_policy_allows_the_script_and_the_style_and_no_others() {
        assert!(element_text("script").contains("lookUp"), "{}", element_text("script"));
        assert!(element_text("style").contains("color-scheme"), "{}", element_text("style"));
        for element in ["script", "style"] {
            let named = format!("{element}-src {};", hash(element_text(element)));
            assert!(CSP.contains(&named), "{}", *CSP);
        }
        assert!(CSP.starts_with("default-src 'self';"), "{}", *CSP);
        assert!(!CSP.contains("unsafe"), "{}", *CSP);
        // As `printf %s abc | openssl dgst -sha256 -binary | base64` says.
        assert_eq!(hash("abc"), "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='");
    }

    #[test]
    fn a_link_is_text_and_nothing_else() {
        let page = html("\"><script>alert('x')</script>&amp;");
        let text = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;";
        assert!(page.contains(&format!("value=\"{text}\"")), "{page}");
        assert_eq!(page.matches("<script").count(), 1);
        assert!(html("").contains("value=\"\""));
        // What would be put in again if it were put in twice.
        assert!(html("{{link}}").contains("value=\"{{link}}\""));
    }

    #[test]
    fn the_manifest_shares_links_with_the_page() {
        let manifest: serde_json::Value = serde_json::from_str(MANIFEST).unwrap();
        assert_eq!(manifest["share_target"]["action"], "/");
        assert_eq!(manifest["share_target"]["method"], "GET");
        for name in ["title", "text", "url"] {
            assert_eq!(manifest["share_target"]["params"][name], name);
        }
        assert_eq!(manifest["icons"][0]["src"], "/icon.svg");
        assert!(ICON.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{ICON}");
    }
}
