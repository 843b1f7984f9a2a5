//! Sends records to the journal of systemd with fields, by its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>): `journalctl YTCANAL_REQUEST_ID=…` then finds a request.
//!
//! A datagram has one field a line. No value here has a line break, so none needs the binary form, and a record
//! is far shorter than what a datagram may be.

use std::fmt::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use log::Level;

use super::entry::{Entry, Field};
use super::shown;
use crate::text::escaped;

const SOCKET: &str = "/run/systemd/journal/socket";

/// The socket of the journal.
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// Connects to the journal; `None` if that is impossible, such as where its socket is hidden.
    pub(super) fn open() -> Option<Journal> {
        Journal::connect(Path::new(SOCKET))
    }

    fn connect(path: &Path) -> Option<Journal> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        Some(Journal(socket))
    }

    /// Sends a record; `false` if the journal did not take it, such as while it restarts.
    pub(super) fn send(&self, entry: &Entry<'_>) -> bool {
        self.0.send(datagram(entry).as_bytes()).is_ok()
    }
}

fn datagram(entry: &Entry<'_>) -> String {
    let mut text = String::with_capacity(entry.message.len() + 512);
    let mut add = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        writeln!(text, "{key}={}", escaped(value)).ok();
    };
    let message = match shown(entry.request_id.as_ref(), entry.is_fixed) {
        Some(id) => format!("{} [{id}]", entry.message),
        None => entry.message.to_owned(),
    };
    add("MESSAGE", &message);
    add("PRIORITY", priority(entry.level));
    add("SYSLOG_IDENTIFIER", "ytcanal");
    if let Some(id) = &entry.request_id {
        add("YTCANAL_REQUEST_ID", id.as_str());
    }
    for (key, field) in entry.fields {
        let key = format!("YTCANAL_{}", key.to_ascii_uppercase());
        match field {
            Field::None => {}
            Field::Text(value) => add(&key, value),
            Field::Number(value) => add(&key, &value.to_string()),
            Field::Seconds(value) => add(&key, &value.to_string()),
            Field::Address(value) => add(&key, &value.to_string()),
        }
    }
    text
}

/// Returns the priority of syslog(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "3",
        Level::Warn => "4",
        Level::Info => "6",
        Level::Debug | Level::Trace => "7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id::RequestId;

    #[test]
    fn a_record_is_a_datagram_of_fields() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(Journal::connect(&path).is_none());
        let receiver = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path).unwrap();
        let fields = [
            ("route", Field::Text("/mux\nPRIORITY=0")),
            ("status", Field::Number(200)),
            ("seconds", Field::Seconds(1.5)),
            ("token", Field::None),
        ];
        let request_id = RequestId::parse("abc");
        let (level, message) = (Level::Info, "it is done");
        let entry = Entry { level, message, request_id, is_fixed: false, fields: &fields };
        assert!(journal.send(&entry));
        let mut buffer = [0; 1024];
        let len = receiver.recv(&mut buffer).unwrap();
        let expected = "MESSAGE=it is done [abc]\nPRIORITY=6\nSYSLOG_IDENTIFIER=ytcanal\n\
                        YTCANAL_REQUEST_ID=abc\nYTCANAL_ROUTE=/mux\\nPRIORITY=0\nYTCANAL_STATUS=200\n\
                        YTCANAL_SECONDS=1.5\n";
        assert_eq!(std::str::from_utf8(&buffer[..len]).unwrap(), expected);
        drop(receiver);
        assert!(!journal.send(&entry), "the journal has gone");
    }
}
