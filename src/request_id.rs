//! IDs of requests, by which a person finds the lines of one request in the log, and the request that a response belongs to.
//!
//! The threads that work for a request know its ID: [`enter`] gives it to one, [`carried`] passes it on to those that
//! it starts.
//!
//! **Invariant:** an ID is short and plain: it needs no quoting in a header field, in JSON, or in the log.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// The length of an ID that is made here: 78 bits, so that no two servers make the same.
const LEN: usize = 16;
/// The maximum length of an ID that a proxy gave.
const MAX_LEN: usize = 64;
/// Digits and letters, without those that look like digits, and without vowels, so that no ID is a word.
const DIGITS: &[u8; 30] = b"0123456789bcdfghjkmnpqrstvwxyz";

/// The ID of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Makes a new ID.
    pub fn new() -> RequestId {
        let digits = std::iter::repeat_with(|| char::from(DIGITS[fastrand::usize(..DIGITS.len())]));
        RequestId(digits.take(LEN).collect::<String>().into())
    }

    /// Returns the ID that a proxy has given (X-Request-Id); `None` if it is not short and plain. Proxies write
    /// UUIDs, numbers, or addresses and numbers with colons in between.
    pub fn parse(text: &str) -> Option<RequestId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let is_fine = (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(is_plain);
        is_fine.then(|| RequestId(text.into()))
    }

    /// Returns the ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestId {
    fn default() -> RequestId {
        RequestId::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<RequestId>> = const { RefCell::new(None) };
}

/// Has the current thread work for this request from now on.
pub fn enter(id: Option<RequestId>) {
    CURRENT.with_borrow_mut(|current| *current = id);
}

/// Returns the request that the current thread works for.
pub fn current() -> Option<RequestId> {
    CURRENT.with_borrow(Option::clone)
}

/// Returns `work` as another thread is to do it: for the request that the current one works for.
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let id = current();
    move || {
        enter(id);
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_plain() {
        let (one, other) = (RequestId::new(), RequestId::new());
        assert_ne!(one, other);
        assert_eq!((one.as_str().len(), RequestId::parse(one.as_str())), (LEN, Some(one)));
    }

    #[test]
    fn only_short_and_plain_ids_are_taken_over() {
        let longest = "x".repeat(MAX_LEN);
        for fine in ["1", "7f3b-A_b.c:9", "2f0e7c1e-9d9c-4d2c-8f4e-0d6c3f5b7a11", &longest] {
            assert_eq!(RequestId::parse(fine).unwrap().as_str(), fine);
        }
        let long = "x".repeat(MAX_LEN + 1);
        for wrong in ["", "a b", "a,b", "a\"", "a\r\nb: c", "a/b", "ä", "<b>", "a;b", "%41", &long]
        {
            assert_eq!(RequestId::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn threads_work_for_the_request_that_started_them() {
        let id = RequestId::new();
        enter(Some(id.clone()));
        let work = carried(current);
        enter(None);
        assert_eq!(std::thread::spawn(work).join().unwrap(), Some(id));
        assert_eq!(current(), None);
    }
}
