//! Validates and normalises the page URLs that clients send. Pure.

use url::Url;

use super::classify::ResolveError;

/// Longer than the URL of any page.
const MAX_LEN: usize = 4000;

/// Parses a URL as people paste it: surrounded by blanks, or without `https://`.
pub fn parse_page_url(text: &str) -> Result<Url, ResolveError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ResolveError::bad_link("is empty; paste the URL of a video's page"));
    }
    if text.len() > MAX_LEN {
        return Err(ResolveError::bad_link("is too long"));
    }
    if text.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
        return Err(ResolveError::bad_link("must be one URL without blanks"));
    }
    let parsed = match Url::parse(text) {
        Err(url::ParseError::RelativeUrlWithoutBase) if looks_like_a_host(text) => {
            Url::parse(&format!("https://{text}"))
        }
        // The parser takes `films.example` in `films.example:8080/x` for a scheme.
        Ok(url) if !url.has_host() && looks_like_a_host(text) => {
            Url::parse(&format!("https://{text}"))
        }
        parsed => parsed,
    };
    let mut url =
        parsed.map_err(|error| ResolveError::bad_link(&format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ResolveError::bad_link("must be an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ResolveError::bad_link("must not contain a user name or password"));
    }
    url.set_fragment(None);
    strip_playlist(&mut url);
    Ok(url)
}

/// Returns whether the text begins with a host such as `films.example`, and not with `data:` or
/// `--option`.
fn looks_like_a_host(text: &str) -> bool {
    let host = text.split(['/', '?', ':']).next().unwrap_or_default();
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    is_name && !host.starts_with('-') && host.trim_matches('.').contains('.')
}

/// Removes the playlist from the URL of a video: people who paste it mean the video, not the list
/// in which they found it.
fn strip_playlist(url: &mut Url) {
    const PLAYLIST_PARAMS: [&str; 4] = ["list", "index", "start_radio", "pp"];
    let names_a_video = url.query_pairs().any(|(name, value)| name == "v" && !value.is_empty());
    let host = url.host_str().unwrap_or_default();
    let is_short = host == "youtu.be";
    let is_youtube = is_short || host == "youtube.com" || host.ends_with(".youtube.com");
    if !(is_youtube && (names_a_video || is_short)) {
        return;
    }
    let remaining: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !PLAYLIST_PARAMS.contains(&&**name) && name != "si" && name != "t")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if remaining.is_empty() {
        url.set_query(None);
    } else {
        url.query_pairs_mut().clear().extend_pairs(remaining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_as_people_paste_them() {
        for (text, url) in [
            (" https://films.example/a?b=c#d\n", "https://films.example/a?b=c"),
            ("films.example/a", "https://films.example/a"),
            ("films.example:8080/a", "https://films.example:8080/a"),
            (
                "https://www.youtube.com/watch?v=abc&list=PL1&index=3&t=9s",
                "https://www.youtube.com/watch?v=abc",
            ),
            ("https://youtu.be/abc?si=x", "https://youtu.be/abc"),
            (
                "https://www.youtube.com/playlist?list=PL1",
                "https://www.youtube.com/playlist?list=PL1",
            ),
            ("https://films.example/?list=1&v=2", "https://films.example/?list=1&v=2"),
        ] {
            assert_eq!(parse_page_url(text).unwrap().as_str(), url, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let long = format!("https://a.example/{}", "x".repeat(8000));
        for text in [
            "",
            "  ",
            "--exec=x",
            "-J",
            "file:///etc/passwd",
            "data:,x",
            "ytsearch:cats",
            "ytsearch5:cats.example",
            "rtmp://a.example/",
            "ftp://a.example/",
            "http://[::1",
            "http://",
            "cats",
            "https://a.example/\0",
            "https://a b/",
            "https://me:secret@a.example/",
            "javascript:alert(1)",
            &long,
        ] {
            assert_eq!(parse_page_url(text).unwrap_err().code.as_str(), "bad-link", "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_pasted(text in "\\PC{0,60}") {
            if let Ok(url) = parse_page_url(&text) {
                prop_assert!(url.as_str().starts_with("http"));
                // Parsing is idempotent.
                prop_assert_eq!(parse_page_url(url.as_str()).unwrap(), url);
            }
        }
    }
}
