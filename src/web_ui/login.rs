//! The page to sign in: a form that needs no script.

use std::sync::LazyLock;

use super::{REFERRER_POLICY, assemble, element_text, fill, hash};
use crate::access::SET_PAGE_COOKIE;
use crate::form::encode_value;
use crate::http_server::Response;
use crate::http_server::response::escape_html;

static PAGE: LazyLock<String> = LazyLock::new(|| assemble(include_str!("../page/login.html")));

/// The placeholders in the page, in order: of the target that follows, of the state of the field, of what is wrong.
const PLACEHOLDERS: [&str; 3] = ["{{next}}", "{{invalid}}", "{{problem}}"];

/// The Content-Security-Policy: its style, the icon, and its form.
static CSP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src {}; img-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
        hash(element_text(&PAGE, "style"))
    )
});

/// Returns the page with which a user signs in and then goes on to `next`; `problem` is why it did not work.
pub fn login_page(status: u16, next: &str, problem: Option<&str>) -> Response {
    Response::new(status, "text/html; charset=utf-8", html(next, problem))
        .with("Content-Security-Policy", CSP.as_str())
        .with("Referrer-Policy", REFERRER_POLICY)
        .and("Set-Cookie", SET_PAGE_COOKIE)
}

fn html(next: &str, problem: Option<&str>) -> String {
    let invalid = if problem.is_some() { "aria-invalid=\"true\"" } else { "" };
    let values = [
        escape_html(&encode_value(next).to_string()),
        invalid.into(),
        escape_html(problem.unwrap_or_default()),
    ];
    fill(&PAGE, PLACEHOLDERS.into_iter().zip(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_has_no_script() {
        assert!(PAGE.len() < 6_000, "{} bytes", PAGE.len());
        for placeholder in PLACEHOLDERS {
            assert_eq!(PAGE.matches(placeholder).count(), 1, "{placeholder}");
        }
        for refused in ["<script", " style=", " onclick=", "url(", "@import", "://"] {
            assert!(!PAGE.contains(refused), "{refused}");
        }
        assert!(CSP.contains(&hash(element_text(&PAGE, "style"))), "{}", *CSP);
        assert!(!CSP.contains("unsafe"), "{}", *CSP);
    }

    #[test]
    fn what_follows_is_text() {
        let page = html("/?url=\"><b>&c", Some("no <token>"));
        assert!(page.contains("action=\"/login?next=%2F%3Furl%3D%22%3E%3Cb%3E%26c\""), "{page}");
        assert!(
            page.contains(">no &lt;token&gt;<") && page.contains("aria-invalid=\"true\""),
            "{page}"
        );
        assert!(!html("/", None).contains("aria-invalid=\"true\""));
    }
}
