use std::io::Read;

use proptest::prelude::*;

use super::*;

fn member(name: &str, len: u64) -> Member {
    Member { name: name.into(), len: Some(len), modified: 1_777_593_600 }
}

/// The bytes of file `index`.
fn content(index: usize, len: u64) -> Vec<u8> {
    (0..len).map(|at| (at as usize * 7 + index) as u8).collect()
}

/// The bytes of an archive, part by part.
fn bytes(layout: &Layout, range: &Range<u64>) -> Vec<u8> {
    let format = layout.format();
    let sent = |index: usize| {
        let len = layout.members()[index].len.unwrap();
        let mut checksum = Checksum::default();
        checksum.update(&content(index, len));
        let crc = if format == ArchiveFormat::Zip { checksum.value() } else { 0 };
        Sent { len, crc }
    };
    let slice =
        |bytes: &[u8], range: &Range<u64>| bytes[range.start as usize..range.end as usize].to_vec();
    let parts = layout.parts(range).into_iter().map(|part| match part {
        Part::Header(index, range) => slice(&format.header(&layout.members()[index]), &range),
        Part::Content(index, range) => {
            slice(&content(index, layout.members()[index].len.unwrap()), &range)
        }
        Part::Footer(index, range) => slice(&format.footer(sent(index)), &range),
        Part::Trailer(range) => {
            let members = layout.members().iter().cloned().enumerate();
            let files: Vec<_> = members.map(|(index, member)| (member, sent(index))).collect();
            slice(&format.trailer(&files), &range)
        }
    });
    parts.flatten().collect()
}

#[test]
fn a_tar_has_what_its_library_reads() {
    let long = format!("003 {}.mp4", "ü".repeat(80));
    let members = vec![member("001 a.mp4", 0), member("002 b.webm", 513), member(&long, 1024)];
    let layout = Layout::new(ArchiveFormat::Tar, members.clone()).unwrap();
    let archive = bytes(&layout, &(0..layout.total_len()));
    assert_eq!(archive.len() as u64, layout.total_len());
    let mut read = ::tar::Archive::new(&archive[..]);
    for (index, entry) in read.entries().unwrap().enumerate() {
        let mut entry = entry.unwrap();
        let expected = &members[index];
        assert_eq!(entry.path_bytes(), expected.name.as_bytes());
        assert_eq!(entry.header().mtime().unwrap(), expected.modified);
        let mut found = Vec::new();
        entry.read_to_end(&mut found).unwrap();
        assert_eq!(found, content(index, expected.len.unwrap()));
    }
}

#[test]
fn lengths_beyond_every_limit_are_in_the_headers() {
    const HUGE: u64 = 9 << 30;
    let header = ArchiveFormat::Tar.header(&member("a", HUGE));
    assert!(header.windows(20).any(|bytes| bytes == b"19 size=9663676416\n\0"), "{header:?}");
    for format in [ArchiveFormat::Tar, ArchiveFormat::Zip] {
        let layout = Layout::new(format, vec![member("a", HUGE), member("b", 1)]).unwrap();
        let parts = layout.parts(&(HUGE..layout.total_len()));
        assert!(matches!(parts.last(), Some(Part::Trailer(_))), "{parts:?}");
        assert!(layout.total_len() > HUGE);
    }
    assert_eq!(Layout::new(ArchiveFormat::Zip, vec![member("a", u64::MAX), member("b", 9)]), None);
    let unknown = Member { len: None, ..member("a", 0) };
    assert_eq!(Layout::new(ArchiveFormat::Tar, vec![unknown]), None);
}

#[test]
fn a_checksum_goes_on_from_any_place() {
    let bytes = content(0, 20 << 20);
    let whole = crc32fast::hash(&bytes);
    let mut checksum = Checksum::default();
    checksum.update(&bytes[..19 << 20]);
    for len in [0, 1, 8 << 20, (8 << 20) + 1, 17 << 20, 19 << 20] {
        let mut earlier = checksum.back_to(len).unwrap();
        assert!(earlier.len() <= len && len - earlier.len() < 8 << 20, "{len}");
        earlier.update(&bytes[earlier.len() as usize..]);
        assert_eq!((earlier.len(), earlier.value()), (bytes.len() as u64, whole), "{len}");
        assert_eq!(earlier.back_to(9 << 20).unwrap().len(), 8 << 20);
    }
    // What another one remembers, which goes on from it, is known.
    let start = Checksum::default();
    assert!(start.back_to(1).is_some() && start.back_to(17 << 20).is_none());
    let mut other = start.back_to(0).unwrap();
    other.update(&bytes[..9 << 20]);
    assert_eq!(start.back_to(17 << 20).unwrap().len(), 8 << 20);
    assert!(start.back_to(25 << 20).is_none());
}

proptest! {
    #[test]
    fn every_range_is_that_of_the_whole(
        lens in prop::collection::vec(0_u64..2000, 1..5),
        is_tar: bool,
        (from, to) in (0.0..1.0, 0.0..1.0),
    ) {
        let format = if is_tar { ArchiveFormat::Tar } else { ArchiveFormat::Zip };
        let names = (1..).map(|number| format!("{number:03} ü.mp4"));
        let members = names.zip(lens).map(|(name, len)| member(&name, len)).collect();
        let layout = Layout::new(format, members).unwrap();
        let whole = bytes(&layout, &(0..layout.total_len()));
        prop_assert_eq!(whole.len() as u64, layout.total_len());
        let at = |place: f64| (place * whole.len() as f64) as usize;
        let (from, to) = (at(from).min(at(to)), at(from).max(at(to)));
        prop_assert_eq!(&bytes(&layout, &(from as u64..to as u64)), &whole[from..to]);
    }
}
