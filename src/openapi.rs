//! The description of the API (OpenAPI 3.1), for programs: `openapi.json`.
//!
//! **Invariant:** it has every path, parameter, value and problem code that the server knows, and no others. The tests
//! hold it to the parsers; those of the theme `openapi` hold the responses of a running server to it.

use crate::http_server::Response;

/// The document.
const DOCUMENT: &str = include_str!("openapi.json");

/// Browsers may keep the document for an hour; it changes only with the program.
const CACHE_CONTROL: &str = "private, max-age=3600";

/// Returns the document.
pub fn document() -> Response {
    Response::ok("application/json", DOCUMENT).with("Cache-Control", CACHE_CONTROL)
}

#[cfg(test)]
mod tests;
