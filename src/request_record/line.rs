//! The line of a request: for people, in the combined log format, and as fields. Pure, but for the time.

use std::fmt::Write;
use std::time::Instant;

use log::Level;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{Facts, ReceivedRequest};
use crate::config::LogFormat;
use crate::instruments::Label;
use crate::logging::Field;
use crate::problem_code::ProblemCode;

/// What stands for a method where there is none.
const NO_METHOD: &str = "-";
/// The time of the combined log format.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// A request that is over.
pub(super) struct Line<'l> {
    pub(super) received: &'l ReceivedRequest,
    pub(super) status: u16,
    pub(super) facts: &'l Facts,
    pub(super) since: Instant,
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
}

impl Line<'_> {
    /// Returns the level: programs that watch the server would fill the log.
    pub(super) fn level(&self) -> Level {
        match &self.facts.failure {
            Some(failure) => failure.level,
            None if !self.facts.is_complete => Level::Error,
            None if self.status < 400 && self.received.route.is_monitoring() => Level::Debug,
            None => Level::Info,
        }
    }

    /// Returns the line as text.
    pub(super) fn message(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Combined => self.combined(OffsetDateTime::now_utc() - self.since.elapsed()),
            LogFormat::Text | LogFormat::Json => self.text(),
        }
    }

    fn text(&self) -> String {
        let Line { received, status, facts, bytes_out, bytes_in, .. } = self;
        let (client, method, route) = (facts.client, self.method(), received.route.as_str());
        let mut text = format!("{client} {method} {route} {status}");
        // Writing to a String cannot fail.
        if let Some(source) = &facts.source {
            write!(text, " {source}").ok();
        }
        write!(text, ": {}", self.result()).ok();
        if let Some(detail) = self.detail() {
            write!(text, " ({detail})").ok();
        }
        if let Some(engine) = facts.engine {
            write!(text, ", {}", engine.as_str()).ok();
        }
        if let Some(at) = facts.resumed_at {
            write!(text, " from byte {at}").ok();
        }
        write!(text, ", {bytes_out} bytes sent, {bytes_in} fetched").ok();
        write!(text, " in {:.1?}", self.since.elapsed()).ok();
        if let Some(token) = &facts.token {
            write!(text, ", token {token}").ok();
        }
        text
    }

    /// Returns the line as Apache writes it: `%h - %u %t "%r" %>s %b "-" "%{User-agent}i"`. A query is left out, and
    /// Referer, which may have one.
    fn combined(&self, time: OffsetDateTime) -> String {
        let Line { received, status, facts, bytes_out, .. } = self;
        let token =
            facts.token.as_deref().map_or("-".into(), |name| quoted(name).replace(' ', "_"));
        let time = time.format(TIME).unwrap_or_default();
        let version = u8::from(received.http_1_1);
        let path = received.route.as_str();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let request = match received.method {
            Some(method) => format!("{method} {slash}{path} HTTP/1.{version}"),
            None => NO_METHOD.to_owned(),
        };
        let agent = received.user_agent.as_deref().filter(|agent| !agent.is_empty());
        let agent = agent.map_or("-".into(), quoted);
        let client = facts.client;
        format!("{client} - {token} [{time}] \"{request}\" {status} {bytes_out} \"-\" \"{agent}\"")
    }

    /// Returns the line as fields. docs/operations.md has their names.
    pub(super) fn fields(&self) -> [(&'static str, Field<'_>); 15] {
        let Line { received, facts, .. } = self;
        [
            ("client", Field::Address(facts.client)),
            ("method", Field::Text(self.method())),
            ("route", Field::Text(received.route.as_str())),
            ("status", Field::Number(self.status.into())),
            ("result", Field::Text(self.result())),
            ("detail", Field::text(self.detail())),
            ("source", Field::text(facts.source.as_deref())),
            ("engine", Field::text(facts.engine.map(Label::as_str))),
            ("resumed_at", Field::number(facts.resumed_at)),
            ("bytes_out", Field::Number(self.bytes_out)),
            ("bytes_in", Field::Number(self.bytes_in)),
            ("seconds", Field::Seconds(self.since.elapsed().as_secs_f64())),
            (
                "first_byte_seconds",
                facts.first_byte.map_or(Field::None, |after| Field::Seconds(after.as_secs_f64())),
            ),
            ("token", Field::text(facts.token.as_deref())),
            ("user_agent", Field::text(received.user_agent.as_deref())),
        ]
    }

    fn method(&self) -> &'static str {
        self.received.method.unwrap_or(NO_METHOD)
    }

    /// Returns `complete`, or the problem code.
    fn result(&self) -> &'static str {
        match &self.facts.failure {
            Some(failure) => failure.code.as_str(),
            None if !self.facts.is_complete => ProblemCode::Internal.as_str(),
            None => "complete",
        }
    }

    fn detail(&self) -> Option<&str> {
        self.facts.failure.as_ref().and_then(|failure| failure.detail.as_deref())
    }
}

/// Returns a text as it may stand between quotation marks.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{EngineName, RouteName};
    use crate::request_record::Failure;

    fn facts() -> Facts {
        Facts {
            client: [192, 0, 2, 7].into(),
            received: None,
            token: Some("alice b".into()),
            source: Some("a page of films.example".into()),
            engine: Some(EngineName::Splice),
            first_byte: None,
            status: Some(206),
            resumed_at: Some(1000),
            failure: None,
            is_complete: true,
        }
    }

    fn with_line<T>(
        facts: &Facts,
        method: Option<&'static str>,
        f: impl FnOnce(&Line<'_>) -> T,
    ) -> T {
        let user_agent = Some("curl \"8\" \\".to_owned());
        let received =
            ReceivedRequest { method, route: RouteName::Download, http_1_1: true, user_agent };
        let (since, status) = (Instant::now(), facts.status.unwrap_or(500));
        f(&Line { received: &received, status, facts, since, bytes_out: 5, bytes_in: 9 })
    }

    #[test]
    fn a_person_reads_what_was_sent_to_whom() {
        let text = with_line(&facts(), Some("GET"), |line| line.text());
        let begins = "192.0.2.7 GET /download 206 a page of films.example: complete, splice from byte 1000, \
                      5 bytes sent, 9 fetched in ";
        assert!(text.starts_with(begins) && text.ends_with(", token alice b"), "{text}");
        let (code, detail) = (ProblemCode::UpstreamCut, Some("video upstream: it broke".into()));
        let failure = Some(Failure { code, detail, level: Level::Warn });
        let failed = Facts { failure, source: None, engine: None, resumed_at: None, ..facts() };
        let text = with_line(&failed, None, |line| {
            assert_eq!(line.level(), Level::Warn);
            line.text()
        });
        let begins =
            "192.0.2.7 - /download 206: upstream-cut (video upstream: it broke), 5 bytes sent";
        assert!(text.starts_with(begins), "{text}");
    }

    #[test]
    fn the_combined_format_is_that_of_apache() {
        let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let line = with_line(&facts(), Some("GET"), |line| line.combined(at));
        let expected = "192.0.2.7 - alice_b [14/Nov/2023:22:13:20 +0000] \"GET /download HTTP/1.1\" 206 5 \
                        \"-\" \"curl \\\"8\\\" \\\\\"";
        assert_eq!(line, expected);
        let line = with_line(&facts(), None, |line| line.combined(at));
        assert!(line.contains(" \"-\" 206 "), "{line}");
    }

    #[test]
    fn a_request_without_a_complete_answer_failed() {
        let facts = Facts { is_complete: false, ..facts() };
        assert_eq!(with_line(&facts, Some("GET"), |line| line.result()), "internal");
    }
}
