//! Finds the parameter sets of AVC and HEVC in decoder configuration records (ISO/IEC 14496-15
//! §5.3.3.1 and §8.3.2.1). If all kinds are there, MP4 may use the sample entry type that promises it.
//! Pure.
//!
//! **Invariant:** a truncated record is never called complete.

/// The sample entry types that promise complete parameter sets in the sample entry. Apple's players
/// take HEVC by no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleEntry {
    /// AVC.
    Avc1,
    /// AVC with Dolby Vision.
    Dva1,
    /// HEVC.
    Hvc1,
    /// HEVC with Dolby Vision.
    Dvh1,
}

impl SampleEntry {
    /// Returns the four-character code.
    pub fn name(self) -> &'static str {
        match self {
            SampleEntry::Avc1 => "avc1",
            SampleEntry::Dva1 => "dva1",
            SampleEntry::Hvc1 => "hvc1",
            SampleEntry::Dvh1 => "dvh1",
        }
    }
}

/// Returns the type for a sample entry of this `kind`, if all parameter sets are in its configuration
/// record, which `record` finds by box type.
pub(crate) fn sample_entry<'a>(
    kind: &[u8; 4],
    record: impl Fn(&[u8; 4]) -> Option<&'a [u8]>,
) -> Option<SampleEntry> {
    let hevc = || record(b"hvcC").is_some_and(has_hevc);
    let avc = || record(b"avcC").is_some_and(has_avc);
    match kind {
        b"hev1" | b"hvc1" if hevc() => Some(SampleEntry::Hvc1),
        b"dvhe" | b"dvh1" if hevc() => Some(SampleEntry::Dvh1),
        b"avc3" | b"avc1" if avc() => Some(SampleEntry::Avc1),
        b"dvav" | b"dva1" if avc() => Some(SampleEntry::Dva1),
        _ => None,
    }
}

/// Returns whether an HEVC record has a VPS, an SPS and a PPS.
pub(crate) fn has_hevc(record: &[u8]) -> bool {
    let mut sets = [false; 3];
    let Some((count, mut rest)) = record.get(22..).and_then(<[u8]>::split_first) else {
        return false;
    };
    for _ in 0..*count {
        let Some((kind, units)) = rest.split_first() else { return false };
        let Some((any, behind)) = units_of(units) else { return false };
        if let (32..=34, true) = (kind & 0x3f, any) {
            sets[usize::from(kind & 0x3f) - 32] = true;
        }
        rest = behind;
    }
    sets == [true; 3]
}

/// Returns whether an AVC record has an SPS and a PPS.
fn has_avc(record: &[u8]) -> bool {
    let units = |bytes: &[u8], mask: u8| -> Option<(bool, usize)> {
        let counted = [&[0, bytes.first()? & mask], &bytes[1..]].concat();
        let (any, rest) = units_of(&counted)?;
        Some((any, bytes.len() - rest.len()))
    };
    let both = || {
        let sequences = record.get(5..)?;
        let (any, end) = units(sequences, 0x1f)?;
        let (other, _) = units(sequences.get(end..)?, 0xff)?;
        Some(any && other)
    };
    both().unwrap_or(false)
}

/// Returns whether a list of length-prefixed units has any non-empty unit, and the bytes after it.
fn units_of(bytes: &[u8]) -> Option<(bool, &[u8])> {
    let (count, mut rest) = bytes.split_first_chunk()?;
    let mut any = false;
    for _ in 0..u16::from_be_bytes(*count) {
        let (len, unit) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes(*len));
        rest = unit.get(len..)?;
        any |= len > 0;
    }
    Some((any, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hvcc(sets: &[u8]) -> Vec<u8> {
        let arrays = sets.iter().flat_map(|kind| [0x80 | *kind, 0, 1, 0, 2, 9, 9]);
        let arrays: Vec<u8> = arrays.collect();
        [&[1; 22][..], &[sets.len() as u8], &arrays].concat()
    }

    fn of(kind: &[u8; 4], record: &[u8]) -> Option<&'static str> {
        sample_entry(kind, |_| Some(record)).map(SampleEntry::name)
    }

    #[test]
    fn the_type_says_that_all_parameter_sets_are_there() {
        let complete = hvcc(&[32, 33, 34, 39]);
        for kind in [b"hev1", b"hvc1"] {
            assert_eq!(of(kind, &complete), Some("hvc1"));
        }
        assert_eq!(of(b"dvhe", &complete), Some("dvh1"));
        assert_eq!(of(b"av01", &complete), None);
        for lacks in [&[][..], &[32, 33], &[33, 34], &[32, 34, 39]] {
            assert_eq!(of(b"hev1", &hvcc(lacks)), None, "{lacks:?}");
        }
        for end in 0..complete.len() {
            assert_eq!(of(b"hev1", &complete[..end]), None, "cut at {end}");
        }
        // It says that it has one more, and its sets are empty.
        let more = [&complete[..22], &[5], &complete[23..]].concat();
        assert_eq!(of(b"hev1", &more), None);
        let empty = [0xa0, 0, 1, 0, 0, 0xa1, 0, 1, 0, 0, 0xa2, 0, 1, 0, 0];
        assert_eq!(of(b"hev1", &[&[1; 22][..], &[3], &empty].concat()), None);
        assert_eq!(sample_entry(b"hev1", |_| None), None);
        let avcc = |sets: &[u8]| [&[1, 100, 0, 30, 255], sets].concat();
        assert_eq!(of(b"avc3", &avcc(&[0xe1, 0, 1, 9, 1, 0, 1, 8])), Some("avc1"));
        assert_eq!(of(b"dvav", &avcc(&[0xe1, 0, 1, 9, 1, 0, 1, 8])), Some("dva1"));
        for lacks in [&[0xe0, 0][..], &[0xe1, 0, 1, 9, 0], &[0xe1, 0, 9], &[]] {
            assert_eq!(of(b"avc3", &avcc(lacks)), None, "{lacks:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            for kind in [b"hev1", b"avc3"] {
                let _ = of(kind, &bytes);
            }
        }
    }
}
