//! The head of a media response.

use super::request::Request;
use super::response::{REQUEST_ID, SERVER};
use crate::request_id::RequestId;
use crate::text::field_value;

/// The status of a media response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MediaStatus {
    /// 200
    #[default]
    Ok,
    /// 206
    PartialContent,
    /// 304
    NotModified,
}

/// The head of a media response.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    status: MediaStatus,
    pub(super) length: Option<u64>,
    fields: Vec<(&'static str, String)>,
    /// The extension of the file, for those that give it another name.
    extension: &'static str,
}

impl MediaStatus {
    fn code(self) -> u16 {
        match self {
            MediaStatus::Ok => 200,
            MediaStatus::PartialContent => 206,
            MediaStatus::NotModified => 304,
        }
    }
}

impl ResponseHead {
    /// Sets a status other than 200.
    pub fn status(mut self, status: MediaStatus) -> ResponseHead {
        self.status = status;
        self
    }

    /// Returns whether the body is a part of the file.
    pub fn is_partial(&self) -> bool {
        self.status == MediaStatus::PartialContent
    }

    /// Sets Content-Length; the body must have exactly this many bytes.
    pub fn length(mut self, length: u64) -> ResponseHead {
        self.length = Some(length);
        self
    }

    /// Sets the extension of the file, which is not sent.
    pub fn extension(self, extension: &'static str) -> ResponseHead {
        ResponseHead { extension, ..self }
    }

    /// Returns the extension of the file.
    pub fn file_extension(&self) -> &'static str {
        self.extension
    }

    pub(super) fn status_code(&self) -> u16 {
        self.status.code()
    }

    /// Returns where the part of the file begins that Content-Range tells.
    pub(super) fn begins_at(&self) -> Option<u64> {
        let (begin, _) = self.field("Content-Range")?.strip_prefix("bytes ")?.split_once('-')?;
        begin.parse().ok()
    }

    /// Returns Content-Length.
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the value of a field that was set.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| *known == name);
        field.map(|(_, value)| value.as_str())
    }

    /// Sets a field, replacing one of the same name.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> ResponseHead {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, field_value(value.into())));
        self
    }

    /// Returns the head as sent.
    pub(super) fn print(&self, request: &Request, id: &RequestId) -> Vec<u8> {
        let reason = match self.status {
            MediaStatus::Ok => "200 OK",
            MediaStatus::PartialContent => "206 Partial Content",
            MediaStatus::NotModified => "304 Not Modified",
        };
        let mut text = format!("HTTP/1.{} {reason}\r\n", u8::from(request.http_1_1));
        let date = httpdate();
        let common = [
            ("Server", SERVER),
            ("Date", date.as_str()),
            ("Connection", "close"),
            (REQUEST_ID, id.as_str()),
        ];
        let own = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        let length = self.length.map(|length| length.to_string());
        let framing = match Framing::new(request, self) {
            _ if self.status == MediaStatus::NotModified => None,
            Framing::Chunked => Some(("Transfer-Encoding", "chunked")),
            Framing::Length => length.as_deref().map(|length| ("Content-Length", length)),
            Framing::UntilClose => None,
        };
        for (name, value) in common.into_iter().chain(own).chain(framing) {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// Returns the current time as an HTTP date, as tiny_http prints it for small responses.
#[expect(clippy::disallowed_methods, reason = "Date is the time of day")]
fn httpdate() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

/// How the end of the body is marked (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Content-Length.
    Length,
    /// HTTP/1.1: chunked transfer coding.
    Chunked,
    /// HTTP/1.0: the end of the connection.
    UntilClose,
}

impl Framing {
    pub(super) fn new(request: &Request, head: &ResponseHead) -> Framing {
        match head.length {
            Some(_) => Framing::Length,
            None if request.http_1_1 => Framing::Chunked,
            None => Framing::UntilClose,
        }
    }
}
