//! Connections between two streams: the next one asks on what the last one has left, and does not
//! suffer from it.

use std::collections::HashSet;
use std::thread;

use ytcanal::fetch::PendingReader;

use super::*;
use crate::support::test_ca::Authority;

fn film() -> Resource {
    Resource::bytes(content()).ranges().keep_alive().etag("\"1\"")
}

/// The numbers of the connections on which the requests came, from the one of this index on.
fn connections(origin: &Origin, from: usize) -> HashSet<usize> {
    origin.requests()[from..].iter().map(|request| request.connection).collect()
}

#[test]
fn the_next_stream_asks_on_the_connections_of_the_last_one() {
    let authority = Authority::new();
    let root = authority.file();
    let ca_file = Some(root.path().to_owned());
    for origin in [Origin::start(), Origin::start_tls(&authority, "localhost")] {
        let track = track(&origin.put("v", film()));
        let allow = vec!["127.0.0.0/8".parse().unwrap(), "localhost".parse().unwrap()];
        let settings = config::UpstreamConfig { ca_file: ca_file.clone(), allow, ..settings() };
        let upstream = UpstreamClient::new(&settings).unwrap();
        assert!(read_of(&upstream, &track) == Ok(content()));
        for _ in 0..3 {
            let (asked, before) = (origin.requests().len(), connections(&origin, 0));
            assert!(read_of(&upstream, &track) == Ok(content()));
            assert!(before.contains(&origin.requests()[asked].connection), "{before:?}");
        }

        let asked = origin.requests().len();
        let none =
            config::UpstreamConfig { keepalive_timeout: HumanDuration(Duration::ZERO), ..settings };
        let upstream = UpstreamClient::new(&none).unwrap();
        assert!(read_of(&upstream, &track) == Ok(content()));
        assert!(read_of(&upstream, &track) == Ok(content()));
        assert_eq!(connections(&origin, asked).len(), origin.requests().len() - asked);
    }
}

/// A server may close a connection that is at rest just when something is asked on it.
#[test]
fn a_connection_that_closes_under_a_question_is_no_failure() {
    let origin = Origin::start();
    let track = track(&origin.put("v", film()));
    let upstream =
        UpstreamClient::new(&config::UpstreamConfig { retries: 0, ..settings() }).unwrap();
    assert!(read_of(&upstream, &track) == Ok(content()));
    origin.put("v", film().fault(Scripted::HangUp).fault_times(1));
    assert!(read_of(&upstream, &track) == Ok(content()));
    assert_eq!(upstream.retries_made(), 0);
    // One that was made for the question is.
    origin.put("v", film().fault(Scripted::HangUp));
    assert!(matches!(read_of(&upstream, &track), Err(UpstreamError::Unreachable(_))));
}

/// It looks like that of the next question, and comes together with the one before. Over TLS it is in the
/// same record, and so in the same buffer, unless the first answer is just as long as a record may be:
/// one of these lengths and that of a head are.
#[test]
fn an_answer_that_nobody_asked_for_is_not_taken() {
    let authority = Authority::new();
    let root = authority.file();
    for origin in [Origin::start(), Origin::start_tls(&authority, "127.0.0.1")] {
        let settings =
            config::UpstreamConfig { ca_file: Some(root.path().to_owned()), ..settings() };
        let upstream = UpstreamClient::new(&settings).unwrap();
        const LONGEST_RECORD: usize = 16 << 10;
        for len in (LONGEST_RECORD - 300..LONGEST_RECORD - 100).chain([1, 1000]) {
            let bytes = content().split_off(LEN - len);
            let film = || Resource::bytes(bytes.clone()).ranges().keep_alive().etag("\"1\"");
            let track = track(&origin.put("v", film().fault(Scripted::Twice)));
            for _ in 0..2 {
                assert!(read_of(&upstream, &track) == Ok(bytes.clone()), "{len}");
            }
            origin.put("v", film());
            assert!(read_of(&upstream, &track) == Ok(bytes), "{len}");
        }
    }
}

#[test]
fn an_answer_that_nobody_took_is_not_taken_for_that_of_the_next_question() {
    let origin = Origin::start();
    let track = track(&origin.put("v", film()));
    let upstream = UpstreamClient::new(&settings()).unwrap();
    for leaves_early in [true, false] {
        assert!(read_of(&upstream, &track) == Ok(content()));
        let asked = origin.requests().len();
        let stop = Arc::new(CancelToken::new().unwrap());
        thread::scope(|scope| {
            let source = PendingReader::begin(scope, &upstream, &track, 70_000, &stop);
            assert!(source.poll_response(Duration::from_secs(10)));
            if !leaves_early {
                let mut source = source.wait().unwrap();
                assert!(source.read(&mut [0; 1000]).unwrap() > 0);
            }
            stop.cancel();
        });
        let left = origin.requests()[asked].connection;
        let asked = origin.requests().len();
        assert!(read_of(&upstream, &track) == Ok(content()));
        assert!(!connections(&origin, asked).contains(&left));
    }
}

/// Without a validator, the bytes before a break are compared; the connection that carries them may break,
/// too.
#[test]
fn a_break_while_bytes_are_compared_is_retried() {
    let film = || Resource::bytes(content()).ranges().keep_alive();
    let origin = Origin::start();
    // The second response ends within the kilobyte that is compared.
    let second = film().fault(Scripted::CutAt(299_500)).fault_times(1);
    let first = film().fault(Scripted::CutAt(300_000)).becomes(second, 1);
    let track = track(&origin.put("v", first));
    let upstream = UpstreamClient::new(&settings()).unwrap();
    assert!(read_of(&upstream, &track) == Ok(content()));
    assert_eq!(upstream.retries_made(), 2);
}

/// A connection that fails says nothing of the others.
#[test]
fn a_failure_leaves_idle_connections_alone() {
    let (healthy, failing) = (Origin::start(), Origin::start());
    let healthy_track = track(&healthy.put("v", film()));
    let upstream = UpstreamClient::new(&settings()).unwrap();
    assert!(read_of(&upstream, &healthy_track) == Ok(content()));
    for fault in [Scripted::CutAt(300_000), Scripted::HangUp, Scripted::Status(503, Vec::new())] {
        let track = track(&failing.put("v", film().fault(fault).fault_times(1)));
        assert!(read_of(&upstream, &track) == Ok(content()));
        assert!(upstream.retries_made() > 0);
        let (asked, before) = (healthy.requests().len(), connections(&healthy, 0));
        assert!(read_of(&upstream, &healthy_track) == Ok(content()));
        assert!(before.contains(&healthy.requests()[asked].connection));
    }
}
