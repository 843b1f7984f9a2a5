//! Golden tests: digests of plans and hashes of whole spliced files. A change of one of them is a
//! change of bytes that clients resume in the middle of: it needs another
//! [`VERSION`](super::VERSION), and new values here.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::{Options, ReadAt, SurveyError, TrackInput, plan, read_gathered_index, read_index};
use crate::container::probe::Format;
use crate::error::Error;
use crate::media::removal::Removal;
use crate::media::{CoverArt, Metadata, TrackKind};
use crate::options::{ContainerChoice, TimeRange};

/// How files are spliced; by default untrimmed and without tags.
#[derive(Clone, Copy, Default)]
pub(super) struct Case {
    /// Milliseconds.
    pub(super) trim: (u64, Option<u64>),
    pub(super) is_tagged: bool,
    /// Whether fragments are gathered into a progressive file.
    pub(super) is_gathered: bool,
}

struct File<'a>(&'a [u8]);

impl ReadAt for File<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        Ok(self.0[range.start as usize..range.end as usize].into())
    }
}

/// Splices `files` and compares the digest of the plan and the hash of the file with `expected`.
#[track_caller]
pub(super) fn check(
    format: Format,
    files: &[(TrackKind, Vec<u8>)],
    case: Case,
    expected: (&str, &str),
) {
    let (start, end) = case.trim;
    let trim =
        TimeRange { start: Duration::from_millis(start), end: end.map(Duration::from_millis) };
    let tags = if case.is_tagged { tags() } else { Metadata::default() };
    let indexes = files.iter().map(|(kind, bytes)| {
        let file = &mut File(bytes);
        let index = if case.is_gathered {
            read_gathered_index(file)
        } else {
            read_index(format, file, trim, &Removal::NONE)
        };
        (*kind, index.unwrap())
    });
    let indexes: Vec<_> = indexes.collect();
    let options = Options { container: ContainerChoice::Auto, time_range: trim, metadata: &tags };
    let plan = plan(&indexes, &options).unwrap();

    let all = 0..plan.len();
    let inputs = files.iter().enumerate().map(|(track, (kind, bytes))| {
        let needed = plan.source_range(track, &all).unwrap_or(0..0);
        let mut chunks = bytes[needed.start as usize..needed.end as usize].chunks(4000);
        TrackInput::new(*kind, needed.start, move |_| {
            chunks.next().map(|chunk| (chunk.to_vec(), chunk.len())).ok_or(Error::Stopped)
        })
    });
    let mut inputs: Vec<_> = inputs.collect();
    let mut file = Vec::new();
    let mut write = |bytes: &[u8]| {
        file.extend_from_slice(bytes);
        Ok(())
    };
    plan.write_range(&all, &mut inputs, &mut write).unwrap();

    assert_eq!(file.len() as u64, plan.len());
    let (digest, sha256) = (hex(&plan.digest()), hex(digest(&SHA256, &file).as_ref()));
    assert_eq!((&*digest, &*sha256), expected);
}

fn tags() -> Metadata {
    Metadata {
        title: Some("A title – ひまわり".into()),
        artist: Some("An artist".into()),
        date: Some("2024-05-06".into()),
        cover: Some(CoverArt { is_jpeg: true, bytes: Arc::from(&b"\xff\xd8 a picture"[..]) }),
        labels: Vec::new(),
        chapters: Vec::new(),
        subtitles: Vec::new(),
        removal: Removal::NONE,
    }
}

/// The first half of a hash: enough to tell two files apart.
fn hex(hash: &[u8]) -> String {
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
