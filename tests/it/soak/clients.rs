//! What each kind of client does, and what must come of it.

use std::path::Path;

use super::{Film, TestSetup, Visitor};
use crate::support::answer::{Answer, Ending};
use crate::support::client::{Client, mux_path, splice_path};
use crate::support::media;
use crate::support::resource::{Fault, Resource};

/// What clients do that want the file.
impl TestSetup {
    pub(super) fn downloads(&self, film: &Film) -> String {
        self.is_same(&self.daemon.get(&film.path), 200, &film.body)
    }

    /// No client here is slow, and every upstream heals: anything but all of it is a fault.
    fn is_same(&self, answer: &Answer, status: u16, expected: &[u8]) -> String {
        let seen = (answer.head.status, answer.ending);
        assert_eq!(seen, (status, Ending::Complete), "{} {}", answer.code(), self.daemon.log());
        let (len, wanted) = (answer.body.len(), expected.len());
        assert!(answer.body == expected, "complete but not the same: {len} bytes of {wanted}");
        "identical".into()
    }

    /// A file of the minute behind connections that break at some places, with and without what
    /// proves that it is the same file as before.
    fn cut(&self, visitor: &mut Visitor, track: &str, file: &Path) -> String {
        let resource = Resource::file(file).ranges();
        let random = &mut visitor.random;
        let cuts = (0..random.usize(1..5)).map(|_| random.u64(..resource.len())).collect();
        let resource = if random.bool() { resource.etag("\"1\"") } else { resource };
        let name = format!("cut-{track}-{}", visitor.number);
        self.origin.put(&name, resource.fault(Fault::CutsAt(cuts)))
    }

    fn cut_pair(&self, visitor: &mut Visitor) -> [String; 2] {
        let pair = media::minute();
        [("v", &pair.video), ("a", &pair.audio)].map(|(t, file)| self.cut(visitor, t, file))
    }

    pub(super) fn joins_over_cuts(&self, visitor: &mut Visitor) -> String {
        let [video, audio] = self.cut_pair(visitor);
        let path = mux_path(Some(&video), Some(&audio), &[]);
        self.is_same(&self.daemon.get(&path), 200, &self.joined.body)
    }

    pub(super) fn splices_over_cuts(&self, visitor: &mut Visitor) -> String {
        let [video, audio] = self.cut_pair(visitor);
        let path = splice_path(&video, &audio, &[]);
        if visitor.random.bool() {
            return self.takes_a_part_of(visitor, &path, &self.spliced.body);
        }
        self.is_same(&self.daemon.get(&path), 200, &self.spliced.body)
    }

    pub(super) fn passes_over_cuts(&self, visitor: &mut Visitor) -> String {
        let video = self.cut(visitor, "v", &media::minute().video);
        let path = mux_path(Some(&video), None, &[]);
        self.is_same(&self.daemon.get(&path), 200, &self.passed.body)
    }

    pub(super) fn takes_a_part_over_cuts(&self, visitor: &mut Visitor) -> String {
        let video = self.cut(visitor, "v", &media::minute().video);
        self.takes_a_part_of(visitor, &mux_path(Some(&video), None, &[]), &self.passed.body)
    }

    pub(super) fn takes_a_part(&self, visitor: &mut Visitor, film: &Film) -> String {
        self.takes_a_part_of(visitor, &film.path, &film.body)
    }

    fn takes_a_part_of(&self, visitor: &mut Visitor, path: &str, body: &[u8]) -> String {
        let len = body.len();
        let begin = visitor.random.usize(..len);
        let end = visitor.random.usize(begin..len) + 1;
        let (range, part) = match visitor.random.u8(..3) {
            0 => (format!("{begin}-"), begin..len),
            1 => (format!("-{}", len - begin), begin..len),
            _ => (format!("{begin}-{}", end - 1), begin..end),
        };
        let mut client = Client::connect(self.daemon.address());
        client.ask(path, &[&format!("Range: bytes={range}")]);
        self.is_same(&client.answer(), 206, &body[part])
    }

    /// Like a player that looks for a place: each part is given up for the next one.
    pub(super) fn seeks(&self, visitor: &mut Visitor) -> String {
        let random = &mut visitor.random;
        let seeks = random.usize(1..6);
        for _ in 0..seeks {
            let mut client = Client::connect(self.daemon.address());
            let from = random.usize(..150 << 20);
            client.ask(&self.long[2], &[&format!("Range: bytes={from}-")]);
            if random.bool() {
                assert_eq!(client.head().status, 206);
                client.read_raw(random.usize(1..1 << 20));
            }
        }
        format!("{seeks} given up")
    }
}

/// What the others do.
impl TestSetup {
    pub(super) fn leaves(&self, visitor: &mut Visitor) -> String {
        let random = &mut visitor.random;
        let mut client =
            Client::get(self.daemon.address(), &self.long[random.usize(..self.long.len())]);
        match random.u8(..3) {
            0 => "at once".into(),
            1 => format!("with the head of a {}", client.head().status),
            _ => {
                client.read_raw(random.usize(1..8 << 20));
                "in the middle".into()
            }
        }
    }

    pub(super) fn stops_reading(&self, visitor: &mut Visitor) -> String {
        let path = &self.long[visitor.random.usize(..self.long.len())];
        let mut client = Client::get(self.daemon.address(), path);
        client.read_raw(visitor.random.usize(1..1 << 20));
        visitor.leaves_hanging(client)
    }

    pub(super) fn half_closes(&self, visitor: &mut Visitor) -> String {
        let film = [&self.joined, &self.passed, &self.spliced][visitor.random.usize(..3)];
        let mut client = Client::get(self.daemon.address(), &film.path);
        client.finish_sending().unwrap();
        match client.try_answer() {
            None => "no answer".into(),
            Some(Answer { head, ending: Ending::Complete, body }) => {
                assert!(head.status >= 400 || body == film.body, "complete but not the same");
                format!("complete {}", head.status)
            }
            Some(broken) => format!("{:?}", broken.ending),
        }
    }

    pub(super) fn sends_half_a_head(&self, visitor: &mut Visitor) -> String {
        let head = format!("GET {} HTTP/1.1\r\nHost: test\r\n", self.joined.path);
        let half = &head.as_bytes()[..visitor.random.usize(..head.len())];
        let mut client = Client::connect(self.daemon.address());
        client.send(half).unwrap();
        if visitor.random.bool() {
            return visitor.leaves_hanging(client);
        }
        client.finish_sending().unwrap();
        format!("{:?}", client.until_closed())
    }

    /// The daemon may have closed before all of it was sent, so that errors of sending are none.
    pub(super) fn sends_garbage(&self, visitor: &mut Visitor) -> String {
        let random = &mut visitor.random;
        let mut bytes: Vec<u8> = (0..random.usize(1..32 << 10)).map(|_| random.u8(..)).collect();
        bytes.extend(b"\r\n\r\n");
        let mut client = Client::connect(self.daemon.address());
        drop(client.send(&bytes));
        drop(client.finish_sending());
        let status = client.try_answer().map(|answer| answer.head.status);
        assert!(status.is_none_or(|status| (400..506).contains(&status)), "{status:?}");
        status.map_or_else(|| "closed".into(), |status| status.to_string())
    }

    pub(super) fn asks_for_heads(&self, visitor: &mut Visitor) -> String {
        let [joined, passed, spliced] =
            [&self.joined, &self.passed, &self.spliced].map(|f| &f.path);
        let paths = [joined, passed, spliced, &self.long[0], &self.long[2], "/healthz", "/"];
        let mut client = Client::connect(self.daemon.address());
        client.request("HEAD", paths[visitor.random.usize(..paths.len())]);
        let head = client.head();
        client.ends_here();
        assert_eq!(head.status, 200);
        "200".into()
    }

    pub(super) fn asks_for_what_fails(&self, visitor: &mut Visitor) -> String {
        let (path, wanted) = &self.failing[visitor.random.usize(..self.failing.len())];
        let answer = self.daemon.get(path);
        assert_eq!((answer.head.status, answer.ending), (*wanted, Ending::Complete), "{path}");
        answer.code()
    }
}
