//! The head of a request: what is taken for one is clean, has no body, and ends where it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::http_server::request::parse_request;

fuzz_target!(|input: (&[u8], &[u8], &[u8])| {
    let (target, fields, behind) = input;
    clean(fields, behind);
    // Most bytes are nothing like a request, so they also go where one has room for them.
    let head = |more: &[u8]| {
        [b"GET /", target, b" HTTP/1.1\r\nHost: a\r\n", more, fields, b"\r\n\r\n"].concat()
    };
    clean(&head(b""), behind);
    // Behind the end of a line the rest would be another one, or none any more.
    if target.contains(&b'\n') {
        return;
    }
    for body in [&b"Content-Length: 1\r\n"[..], b"Transfer-Encoding: chunked\r\n"] {
        assert!(parse_request(&head(body)).is_err(), "a body was taken");
    }
    assert!(parse_request(&head(b"Host: b\r\n")).is_err(), "two hosts were taken");
});

fn clean(head: &[u8], behind: &[u8]) {
    match parse_request(head) {
        Ok(request) => {
            assert!(request.target.starts_with('/'), "{request:?}");
            // What is beyond ASCII passes as it came; `route` sees to what is shown of it.
            assert!(request.target.chars().all(|c| c > ' ' && c != '\x7f'), "{request:?}");
            let conditions = &request.preconditions;
            let single = [&conditions.range, &conditions.if_range];
            let lists = [&conditions.if_match, &conditions.if_none_match];
            let provenance = &request.provenance;
            let origins = [&provenance.x_forwarded_for, &provenance.forwarded];
            for value in single.into_iter().chain(lists).chain(origins).flatten() {
                assert!(!value.contains(['\r', '\n', '\0']), "{request:?}");
            }
            // What a client sends too early must not change what it asked for.
            assert_eq!(parse_request(&[head, behind].concat()).ok(), Some(request));
        }
        Err(problem) => {
            assert!((400..=505).contains(&problem.status), "{problem:?}");
            assert!(!problem.detail.contains(char::is_control), "{problem:?}");
        }
    }
}
