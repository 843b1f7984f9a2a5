//! What is fetched for clients in the internet is weighed against what is sent to them.

use crate::support::answer::{Answer, Ending};
use crate::support::client::{Client, any_path, ask, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::hls::named;
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;

const MIB: usize = 1 << 20;

/// A daemon behind a proxy, so that clients may have any address. Each has 4 MiB an hour, a running one 8.
fn daemon() -> Daemon {
    let limits = "[limits]\ningress_per_hour = \"4MiB\"\nrequests_per_minute = 10000\n";
    Daemon::start(&format!("[access]\ntrusted_proxies = [\"127.0.0.1\"]\n{limits}{LOOPBACK}"))
}

fn from(client: &str, daemon: &Daemon, path: &str) -> Answer {
    ask(daemon.address(), "GET", path, &format!("X-Forwarded-For: {client}\r\n"))
}

fn assert_limited(answer: &Answer) {
    assert_eq!((answer.head.status, answer.code().as_str()), (429, "rate-limited"));
    assert!(answer.text().contains("limits.ingress_per_hour"), "{}", answer.text());
    let wait = answer.head.header("Retry-After").unwrap().parse::<u32>().unwrap();
    assert!((1..=3 * 3600).contains(&wait), "{wait}");
}

#[test]
fn a_download_pays_for_itself() {
    let (origin, daemon, film) = (Origin::start(), daemon(), media::five_minutes());
    let finished = film.finished();
    let put = |name, path| origin.put(name, Resource::file(path).ranges().etag("\"1\""));
    let one = mux_path(Some(&put("one", &finished)), None, &[]);
    let [video, audio] = [put("v", &film.tracks.video), put("a", &film.tracks.audio)];
    let two = |engine| any_path(Some(&video), Some(&audio), &[("engine", engine)]);
    for path in [one.clone(), two("splice"), two("ffmpeg"), one] {
        let answer = from("9.9.9.9", &daemon, &path);
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
        assert!(answer.body.len() > 40 * MIB);
    }
}

/// ffmpeg reads a file up to the time range that is asked for.
#[test]
fn a_short_range_of_a_long_file_does_not() {
    let (origin, daemon) = (Origin::start(), daemon());
    let film = Resource::file(&media::five_minutes().finished()).ranges().etag("\"1\"");
    let film = origin.put("film", film);
    let range = [("engine", "ffmpeg"), ("start", "284"), ("end", "291")];
    let path = mux_path(Some(&film), None, &range);
    assert_limited(&from("9.1.1.1", &daemon, &path));
    let requests = origin.requests().len();
    // It was not read to its end, and is not read again.
    assert_limited(&from("9.1.1.1", &daemon, &path));
    assert_limited(&from("9.1.1.1", &daemon, "/info?url=http%3A%2F%2F127.0.0.1%2F"));
    assert_eq!(origin.requests().len(), requests);
    for near in ["10.0.0.1", "127.0.0.1"] {
        let answer = from(near, &daemon, &path);
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{near}");
    }
}

/// What has arrived for a client that leaves counts, whether it was read or not; what the client has not received
/// does not count as sent.
#[test]
fn nor_does_a_client_that_leaves() {
    let (origin, daemon) = (Origin::start(), daemon());
    let film = Resource::file(&media::five_minutes().finished()).ranges().etag("\"1\"");
    let path = mux_path(Some(&origin.put("film", film)), None, &[]);
    let leaves = || {
        let mut client = Client::connect(daemon.address());
        client.fix_receive_buffer(4096);
        client.ask(&path, &["X-Forwarded-For: 9.2.2.2"]);
        let status = client.head().status;
        client.wait_for_a_byte();
        status
    };
    let times = (0..200).take_while(|_| leaves() == 200).count();
    assert!(times < 200, "{times} times");
    assert_limited(&from("9.2.2.2", &daemon, &path));
}

#[test]
fn nor_does_a_question_for_the_head() {
    let (origin, daemon) = (Origin::start(), daemon());
    let film = Resource::file(media::index_at_head()).ranges().etag("\"1\"");
    let path = mux_path(Some(&origin.put("film", film)), None, &[]);
    let head = || ask(daemon.address(), "HEAD", &path, "X-Forwarded-For: 9.4.4.4\r\n");
    let times = (0..300).take_while(|_| head().head.status == 200).count();
    // Some tell the length without a request to the media server.
    assert!((60..200).contains(&times), "{times} times");
    assert_limited(&from("9.4.4.4", &daemon, &path));
}

/// A long playlist costs a request for each segment, however small these are.
#[test]
fn nor_do_many_small_requests() {
    let (origin, daemon) = (Origin::start(), daemon());
    let film = SegmentedFilm::new(named("fragments")).edit(|text| {
        let (before, after) = text.rsplit_once("#EXTINF").unwrap();
        let (duration, rest) = after.split_once('\n').unwrap();
        let name = rest.lines().next().unwrap();
        let entry = |number| format!("#EXTINF{duration}\n{name}?{number}\n");
        let entries: String = (0..1000).map(entry).collect();
        format!("{before}{entries}#EXT-X-ENDLIST\n")
    });
    let path = any_path(Some(&film.put(&origin, "film")), None, &[]);
    assert_limited(&from("9.3.3.3", &daemon, &path));
    assert_limited(&from("9.3.3.3", &daemon, &path));
    let requests = origin.requests().len();
    // Those that were under way come on top.
    assert!((200..320).contains(&requests), "{requests}");
}
