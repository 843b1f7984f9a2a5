//! Serves the web page: HTML with inline style and script, which also works without the script,
//! the page to sign in, and the manifest and icon through which phones install it and share links with it.
//!
//! **Invariant:** a prefilled link is text; the pages load nothing from other hosts.

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use ring::digest::{SHA256, digest};

use crate::access::{Initiator, SET_PAGE_COOKIE};
use crate::form;
use crate::http_server::Response;
use crate::http_server::response::escape_html;
pub use crate::route::Prefill;

mod login;

pub use login::login_page;

static PAGE: LazyLock<String> = LazyLock::new(|| assemble(include_str!("page.html")));
/// A script that the page loads only where it is of use.
static PLAYER: LazyLock<String> = LazyLock::new(|| assemble(include_str!("page/player.js")));
const MANIFEST: &str = include_str!("page/manifest.webmanifest");
const ICON: &str = include_str!("page/icon.svg");

/// The placeholders in the page, in order: of the button to sign out, the link, who filled it in, two options of
/// menus, times, a notice, and URLs.
const PLACEHOLDERS: [&str; 10] = [
    "{{account}}",
    "{{link}}",
    "{{by}}",
    "{{quality}}",
    "{{container}}",
    "{{start}}",
    "{{end}}",
    "{{notice}}",
    "{{video}}",
    "{{audio}}",
];

/// The button to sign out.
const SIGN_OUT: &str =
    "<form method=\"post\" action=\"/logout\"><button class=\"quiet\">Sign out</button></form>";

/// Icon and manifest may be cached for an hour; they change only with the program.
const CACHE_CONTROL: &str = "max-age=3600";

/// What the server knows of a visit of the page.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// Who filled in the forms. What another website filled in is not looked up before the user wants that.
    pub by: Initiator,
    /// Whether the user has signed in.
    pub is_signed_in: bool,
    /// The age in days of a yt-dlp that is too old for some sites.
    pub outdated_for: Option<i64>,
}

/// Returns the page, to someone who has signed in or who need not.
pub fn page(prefill: &Prefill, visit: Visit) -> Response {
    Response::ok("text/html; charset=utf-8", html(prefill, visit))
        // Not no-store: a browser that navigates back restores the page with its form content.
        .with("Cache-Control", "no-cache")
        .with("Content-Security-Policy", CSP.as_str())
        .with("Referrer-Policy", REFERRER_POLICY)
        .and("Set-Cookie", SET_PAGE_COOKIE)
}

/// The URL may contain the prefilled link, which is not for others. This server is told: a form of a page that
/// says nothing has no `Origin`, either.
const REFERRER_POLICY: &str = "same-origin";

/// Returns the redirect to the page with its forms filled in: there the user decides.
pub fn redirect(prefill: &Prefill) -> Response {
    Response::new(303, "text/plain", "").with("Location", target(prefill))
}

/// Returns the target of the page with its forms filled in.
fn target(prefill: &Prefill) -> String {
    let parameters = prefill.parameters().into_iter().filter(|(_, value)| !value.is_empty());
    format!("/?{}", form::encode(parameters))
}

fn html(prefill: &Prefill, visit: Visit) -> String {
    let [url, video, audio, quality, container, start, end] =
        prefill.parameters().map(|(_, value)| escape_html(value));
    let account = if visit.is_signed_in { SIGN_OUT } else { "" }.to_owned();
    let by = if visit.by == Initiator::Own { "user" } else { "website" }.to_owned();
    let notice = visit.outdated_for.map_or_else(String::new, |days| {
        format!(
            "<p class=\"note\">Some sites fail, and the yt-dlp of this server is {days} days old. \
             Its operator can update it.</p>"
        )
    });
    let option = |value: String| match value.as_str() {
        "" => value,
        _ => format!("<option selected>{value}</option>"),
    };
    let (quality, container) = (option(quality), option(container));
    let values = [account, url, by, quality, container, start, end, notice, video, audio];
    fill(&PAGE, PLACEHOLDERS.into_iter().zip(values))
}

/// Returns a page or script with what all pages have in common, and without indentation and comments.
fn assemble(html: &str) -> String {
    let html = html.replace("{{base}}", include_str!("page/base.css").trim_end());
    let is_comment =
        |line: &str| line.starts_with("//") || line.starts_with("/*") && line.ends_with("*/");
    let lines = html.lines().map(str::trim_start).filter(|line| !is_comment(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Replaces placeholders, in their order, by markup.
fn fill<'a>(page: &str, values: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let (mut html, mut rest) = (String::with_capacity(page.len() + 256), page);
    for (placeholder, value) in values {
        let Some((before, after)) = rest.split_once(placeholder) else { continue };
        html.extend([before, &value]);
        rest = after;
    }
    html + rest
}

/// Returns the web app manifest, which declares the page as a target for shared links.
pub fn manifest() -> Response {
    Response::ok("application/manifest+json", MANIFEST).with("Cache-Control", CACHE_CONTROL)
}

/// Returns the script that plays by an index. It belongs to the page, and changes with it.
pub fn player() -> Response {
    Response::ok("text/javascript; charset=utf-8", PLAYER.as_str())
        .with("Cache-Control", "no-cache")
}

/// Returns the icon.
pub fn icon() -> Response {
    Response::ok("image/svg+xml", ICON)
        .with("Cache-Control", CACHE_CONTROL)
        .with("Content-Security-Policy", "default-src 'none'")
}

/// The Content-Security-Policy: only the inline script and style of the page, identified by their
/// hashes, the scripts that this script loads, and only content of this server. What a script hands to the player is a
/// blob.
static CSP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'self'; script-src {} 'strict-dynamic'; style-src {}; img-src 'self'; media-src 'self' blob:; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        hash(element_text(&PAGE, "script")),
        hash(element_text(&PAGE, "style"))
    )
});

/// Returns the text of a page's only element of this name.
fn element_text<'a>(page: &'a str, element: &str) -> &'a str {
    let rest = page.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    rest.split_once(&format!("</{element}>")).map_or("", |(text, _)| text)
}

/// Returns the hash source of an inline text (CSP Level 3, §2.3.1).
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In bytes: the page must load quickly on a slow mobile connection.
    const MAX_PAGE_SIZE: usize = 40_000;

    const VISIT: Visit = Visit { by: Initiator::Own, is_signed_in: false, outdated_for: None };

    fn filled(page_url: &str) -> String {
        html(&Prefill { page_url: page_url.into(), ..Prefill::default() }, VISIT)
    }

    #[test]
    fn the_page_is_small_and_whole() {
        assert!(PAGE.len() < MAX_PAGE_SIZE, "{} bytes", PAGE.len());
        let elements = ["<script>", "</script>", "<style>", "</style>"];
        for element in elements.into_iter().chain(PLACEHOLDERS) {
            assert_eq!(PAGE.matches(element).count(), 1, "{element}");
        }
        // The policy forbids these.
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
        let text = |element| element_text(&PAGE, element);
        assert!(text("script").contains("lookUp"), "{}", text("script"));
        assert!(text("style").contains("color-scheme"), "{}", text("style"));
        for element in ["script", "style"] {
            let named = format!("{element}-src {}", hash(text(element)));
            assert!(CSP.contains(&named), "{}", *CSP);
        }
        assert!(CSP.starts_with("default-src 'self';"), "{}", *CSP);
        assert!(!CSP.contains("unsafe"), "{}", *CSP);
        // As `printf %s abc | openssl dgst -sha256 -binary | base64` says.
        assert_eq!(hash("abc"), "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='");
    }

    #[test]
    fn a_link_is_text_and_nothing_else() {
        let page = filled("\"><script>alert('x')</script>&amp;");
        let text = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;";
        assert!(page.contains(&format!("value=\"{text}\"")), "{page}");
        assert_eq!(page.matches("<script").count(), 1);
        assert!(filled("").contains("value=\"\""));
        // A placeholder in the link is not replaced again.
        for placeholder in &PLACEHOLDERS[1..] {
            assert!(filled(placeholder).contains(&format!("value=\"{placeholder}\"")));
        }
        let media = Prefill { video: "a&b".into(), audio: "<c".into(), ..Prefill::default() };
        let page = html(&media, VISIT);
        assert!(page.contains("value=\"a&amp;b\"") && page.contains("value=\"&lt;c\""), "{page}");
    }

    #[test]
    fn the_form_keeps_what_was_asked_for() {
        let target = "/download?url=https%3A%2F%2Fa.example%2F%3Fb%26c&quality=720&start=1%3A30&end=&codec=vp9";
        let asked = Prefill::of_target(target);
        let to = "/?url=https%3A%2F%2Fa.example%2F%3Fb%26c&quality=720&start=1%3A30";
        assert_eq!(super::target(&asked), to);
        let page = html(&asked, Visit { by: Initiator::Link, ..VISIT });
        for part in ["<option selected>720</option>", "value=\"1:30\"", "data-by=\"website\""] {
            assert!(page.contains(part), "{part}");
        }
        assert!(filled("https://a.example/").contains("data-by=\"user\""));
        let evil = Prefill { quality: "</select><script>".into(), ..Prefill::default() };
        assert_eq!(html(&evil, VISIT).matches("<script").count(), 1);
    }

    #[test]
    fn who_has_signed_in_may_sign_out() {
        assert!(
            html(&Prefill::default(), Visit { is_signed_in: true, ..VISIT }).contains(SIGN_OUT)
        );
        assert!(!html(&Prefill::default(), VISIT).contains("/logout"));
        let old = html(&Prefill::default(), Visit { outdated_for: Some(75), ..VISIT });
        assert!(old.contains(" is 75 days old"));
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
