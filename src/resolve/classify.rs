//! What it means that a page could not be read, and what its reader's words mean. Pure.

use crate::problem_code::ProblemCode;

use url::Url;

pub use crate::error::ResolveError;

mod words;

use words::{Sentence, TABLE};

/// A site that had enough of us has it for about so long.
const SITE_BUSY_RETRY: u32 = 600;
/// When to ask again for what has not begun.
const NOT_YET_RETRY: u32 = 300;
/// The longest piece of somebody else's words that is passed on.
const MAX_MESSAGE: usize = 300;

impl ResolveError {
    fn new(code: ProblemCode, said: impl Into<String>) -> ResolveError {
        ResolveError { code, message: said.into(), retry_after: None }
    }

    fn retry_after(self, seconds: u32) -> ResolveError {
        ResolveError { retry_after: Some(seconds), ..self }
    }

    pub(super) fn bad_link(why: &str) -> ResolveError {
        ResolveError::new(ProblemCode::BadLink, format!("the parameter url {why}"))
    }

    pub(super) fn address(host: &str) -> ResolveError {
        let said = format!(
            "{host:?} is not a public address; the operator can allow it in upstream.allow"
        );
        ResolveError::new(ProblemCode::AddressRefused, said)
    }

    pub(super) fn playlist(link: &Url) -> ResolveError {
        let parameter = link.query_pairs().find(|(name, _)| name == "list").is_some();
        let hint = if parameter {
            "drop the parameter list from it"
        } else {
            "open one of its videos and take the link of that"
        };
        ResolveError::new(ProblemCode::Playlist, format!("the link leads to a playlist; {hint}"))
    }

    pub(super) fn not_yet(said: &str) -> ResolveError {
        ResolveError::new(ProblemCode::NotYet, said).retry_after(NOT_YET_RETRY)
    }

    pub(super) fn live() -> ResolveError {
        let said = "it is live now; it can be downloaded when it has ended";
        ResolveError::new(ProblemCode::NoFormat, said)
    }

    /// What there is of it still grows, or lacks its beginning.
    pub(super) fn just_ended() -> ResolveError {
        ResolveError::not_yet(
            "the live stream has just ended and its site is still making the recording; try again \
             later",
        )
    }

    pub(super) fn drm() -> ResolveError {
        ResolveError::new(ProblemCode::Drm, "it is protected (DRM), which cannot be taken off")
    }

    /// There is nothing that would do.
    pub fn no_format(said: &str) -> ResolveError {
        ResolveError::new(ProblemCode::NoFormat, said)
    }

    pub(super) fn timeout(limit: std::time::Duration) -> ResolveError {
        let said = format!("the page could not be read within {limit:?} (resolver.timeout)");
        ResolveError::new(ProblemCode::ResolveTimeout, said)
    }

    pub(super) fn busy() -> ResolveError {
        let said = "too many pages are being read (resolver.processes)";
        ResolveError::new(ProblemCode::ResolverBusy, said).retry_after(5)
    }

    pub(super) fn missing(program: &str) -> ResolveError {
        let said = format!(
            "{program:?} was not found, which reads pages; install yt-dlp or set resolver.command, \
             then run `ytcanal check`"
        );
        ResolveError::new(ProblemCode::ResolverMissing, said)
    }

    pub(super) fn failed(said: &str) -> ResolveError {
        ResolveError::new(
            ProblemCode::ResolverFailed,
            format!("the reader of pages failed: {said}"),
        )
    }

    pub(super) fn broken(said: &str) -> ResolveError {
        let said = format!("the reader of pages does not understand this one: {said}");
        ResolveError::new(ProblemCode::ExtractorBroken, format!("{said}; update yt-dlp"))
    }
}

/// What yt-dlp means by ending with `code` and saying this. It says what went wrong in prose only,
/// hence the table.
pub(super) fn classify(code: i32, stderr: &str) -> ResolveError {
    if code == 2 {
        return ResolveError::failed(&format!("it does not know its arguments: {}", last(stderr)));
    }
    // One beside an error only tells where that came from.
    let error = error_in(stderr);
    if let Some(traceback) =
        stderr.rfind("Traceback (most recent call last)").filter(|_| error.is_none())
    {
        return ResolveError::failed(&last(&stderr[traceback..]));
    }
    let error = error.unwrap_or_else(|| last_line(stderr));
    let mut sentences = vec![Sentence::new(error)];
    let says = |sentences: &[Sentence], words: &str| sentences.iter().any(|one| one.says(words));
    // Where there is no format, it is a warning that tells why.
    if ["requested format is not available", "no video formats"]
        .iter()
        .any(|words| says(&sentences, words))
    {
        sentences = stderr.lines().map(Sentence::new).collect();
    }
    let shown = clean(error);
    match TABLE.iter().find(|kind| kind.words.split('|').any(|words| says(&sentences, words))) {
        Some(kind) => ResolveError {
            code: kind.code,
            message: if kind.quotes { format!("{}: {shown}", kind.said) } else { kind.said.into() },
            retry_after: kind.retry_after,
        },
        None if shown.is_empty() => {
            ResolveError::failed(&format!("it ended with {code}, silently"))
        }
        None => {
            ResolveError::new(ProblemCode::ResolveFailed, format!("the page was not read: {shown}"))
        }
    }
}

/// The last error, without its mark and the name of the extractor.
fn error_in(stderr: &str) -> Option<&str> {
    let at = stderr.rfind("ERROR: ")?;
    let error = stderr[at + "ERROR: ".len()..].lines().next().unwrap_or_default();
    Some(match error.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        // `[site] id: words`; an id has no blanks in it.
        Some((_, rest)) => match rest.split_once(": ") {
            Some((id, words)) if !id.contains(' ') => words,
            _ => rest,
        },
        None => error,
    })
}

fn last(stderr: &str) -> String {
    clean(last_line(stderr))
}

fn last_line(stderr: &str) -> &str {
    stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default()
}

/// Words that may be shown: in one line, not too long, without a URL, which may be signed, and
/// without advice that is for those who sit at yt-dlp itself.
fn clean(words: &str) -> String {
    let words = words.split("; please report this issue").next().unwrap_or_default();
    let shown = words.split_whitespace().map(|word| match word.find("://") {
        Some(_) => "(a link)",
        None => word,
    });
    let line = shown.collect::<Vec<_>>().join(" ");
    line.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests;
