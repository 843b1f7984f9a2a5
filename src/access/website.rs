//! Which website made a browser send a request: this server's own page, or another one.
//!
//! Any page on the web can make a browser request any URL: by an image, a form, a script, or a link. It
//! cannot read the answer, but the server would do its work. Programs that are no browsers are not concerned.

use super::Provenance;
use super::host::split_port;

/// The cookie of the page, as a field. Browsers that do not say where a request comes from (those of today do
/// not, to a server without TLS) send it along from pages of this host alone, on whichever port.
pub const SET_PAGE_COOKIE: &str =
    "ytcanal-page=1; Path=/; Max-Age=2592000; SameSite=Strict; HttpOnly";
const PAGE_COOKIE: &str = "ytcanal-page=1";

/// Who made the client send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// The user, the page of this server, or a program.
    Own,
    /// Another website, by a link that the user followed, as far as can be told.
    Link,
    /// Another website.
    Foreign,
}

impl Initiator {
    /// Returns who made the client send a request; `wants_html` is whether it would show the answer as a page.
    pub fn new(provenance: &Provenance, wants_html: bool) -> Initiator {
        let Provenance {
            host, origin, fetch_site, fetch_mode, fetch_dest, user_agent, cookie, ..
        } = provenance;
        let host = host.as_deref().unwrap_or_default();
        // Browsers send one with every form that is sent by POST.
        match origin.as_deref() {
            Some(origin) if is_origin_of(origin, host) => return Initiator::Own,
            Some(_) => return Initiator::Foreign,
            None => {}
        }
        let is_link = || {
            fetch_mode.as_deref() == Some("navigate") && fetch_dest.as_deref() == Some("document")
        };
        match fetch_site.as_deref() {
            Some("same-origin" | "none") => Initiator::Own,
            Some(_) if is_link() => Initiator::Link,
            Some(_) => Initiator::Foreign,
            None if !user_agent.as_deref().is_some_and(is_browser) => Initiator::Own,
            // Browsers send all these fields or none. A program says that it is a browser, as yt-dlp does.
            None if fetch_mode.is_some() || fetch_dest.is_some() => Initiator::Own,
            None if cookie.as_ref().is_some_and(|cookie| has_page_cookie(cookie.reveal())) => {
                Initiator::Own
            }
            None if wants_html => Initiator::Link,
            None => Initiator::Foreign,
        }
    }
}

impl Provenance {
    /// Returns whether a browser sent the request, as far as can be told.
    pub fn is_of_browser(&self, wants_html: bool) -> bool {
        let has_fetch_metadata = [&self.fetch_site, &self.fetch_mode, &self.fetch_dest];
        wants_html
            || has_fetch_metadata.into_iter().any(Option::is_some)
            || self.user_agent.as_deref().is_some_and(is_browser)
    }
}

/// Returns whether an Origin (RFC 6454 §7) is that of the server that was called `host`. The scheme is that
/// which the client sees, who may speak TLS with a proxy.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let default = match origin.split_once("://") {
        Some(("http", _)) => "80",
        Some(("https", _)) => "443",
        _ => return false,
    };
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let ((name, port), (own, own_port)) = (split_port(authority), split_port(host));
    name.eq_ignore_ascii_case(own) && port.unwrap_or(default) == own_port.unwrap_or(default)
}

/// Returns whether the value of User-Agent is that of a browser. PowerShell only says so.
fn is_browser(user_agent: &str) -> bool {
    user_agent.contains("Mozilla/") && !user_agent.contains("PowerShell/")
}

fn has_page_cookie(cookies: &str) -> bool {
    cookies.split([';', ',']).any(is_page_cookie)
}

/// Returns whether this cookie is that of the page, which all browsers have alike.
pub(super) fn is_page_cookie(cookie: &str) -> bool {
    cookie.trim() == PAGE_COOKIE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_server::request::parse_request;

    const BROWSER: &str =
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0\r\n";

    fn initiator(fields: &str) -> Initiator {
        let head = format!("GET /info HTTP/1.1\r\nHost: nas.lan:8080\r\n{fields}\r\n");
        let request = parse_request(head.as_bytes()).unwrap();
        Initiator::new(&request.provenance, request.wants_html)
    }

    #[test]
    fn the_website_behind_a_request_is_known() {
        use Initiator::{Foreign, Link, Own};
        let site = |site: &str, mode: &str, dest: &str| {
            format!(
                "Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {dest}\r\n"
            )
        };
        for (fields, expected) in [
            (String::new(), Own),
            ("User-Agent: curl/8.0\r\n".into(), Own),
            ("User-Agent: Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1\r\n".into(), Own),
            (site("same-origin", "cors", "empty"), Own),
            (site("same-origin", "navigate", "document"), Own),
            (site("none", "navigate", "document"), Own),
            (site("cross-site", "navigate", "document"), Link),
            (site("same-site", "navigate", "document"), Link),
            (site("cross-site", "navigate", "iframe"), Foreign),
            (site("cross-site", "no-cors", "image"), Foreign),
            (site("same-site", "no-cors", "video"), Foreign),
            (site("cross-site", "cors", "empty"), Foreign),
            ("Origin: null\r\n".into(), Foreign),
            ("Origin: http://evil.example\r\n".into(), Foreign),
            ("Origin: http://nas.lan\r\n".into(), Foreign),
            ("Origin: http://nas.lan:8080.evil.example\r\n".into(), Foreign),
            ("Origin: moz-extension://nas.lan:8080\r\n".into(), Foreign),
            ("Origin: http://nas.lan:8080\r\n".into(), Own),
            (format!("{BROWSER}Origin: http://nas.lan:8080\r\n"), Own),
            (
                format!("Origin: http://evil.example\r\n{}", site("same-origin", "cors", "empty")),
                Foreign,
            ),
            // To a server without TLS browsers do not say more.
            (BROWSER.into(), Foreign),
            (format!("{BROWSER}Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n"), Own),
            (format!("{BROWSER}Accept: text/html,*/*;q=0.8\r\n"), Link),
            (format!("{BROWSER}Cookie: a=b; ytcanal-page=1\r\n"), Own),
            (format!("{BROWSER}Cookie: xytcanal-page=1\r\n"), Foreign),
            (format!("{BROWSER}Origin: null\r\nCookie: ytcanal-page=1\r\n"), Foreign),
        ] {
            assert_eq!(initiator(&fields), expected, "{fields}");
        }
        assert!(SET_PAGE_COOKIE.starts_with(PAGE_COOKIE));
    }

    #[test]
    fn the_port_of_an_origin_counts() {
        for (origin, host, same) in [
            ("https://video.example", "video.example", true),
            ("https://video.example", "video.example:443", true),
            ("http://video.example", "video.example:80", true),
            ("https://video.example:8443", "video.example:8443", true),
            ("https://video.example:8443", "video.example", false),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://[::1]", "[::1]:8080", false),
            ("http://", "", true),
            ("file://", "", false),
        ] {
            assert_eq!(is_origin_of(origin, host), same, "{origin} {host}");
        }
    }
}
