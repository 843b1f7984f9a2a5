//! How long an MP4 says that it plays, in its own words (ISO/IEC 14496-12 §8.2.2, §8.8.2).

/// A box: its type, and what is in it.
type Box<'a> = (&'a [u8], &'a [u8]);

fn boxes(mut bytes: &[u8]) -> Vec<Box<'_>> {
    let mut all = Vec::new();
    while let (Some(size), Some(kind)) = (bytes.first_chunk(), bytes.get(4..8)) {
        let wide =
            bytes.get(8..).and_then(<[u8]>::first_chunk).map(|size| u64::from_be_bytes(*size));
        let (size, header) = match (u32::from_be_bytes(*size), wide) {
            (0, _) => (bytes.len() as u64, 8),
            (1, Some(size)) => (size, 16),
            (size, _) => (size.into(), 8),
        };
        let end = usize::try_from(size).unwrap_or(usize::MAX).min(bytes.len());
        let Some(payload) = bytes.get(header..end) else { break };
        all.push((kind, payload));
        bytes = &bytes[end..];
    }
    all
}

fn child<'a>(bytes: &'a [u8], kind: &[u8]) -> Option<&'a [u8]> {
    boxes(bytes).into_iter().find(|(found, _)| *found == kind).map(|(_, payload)| payload)
}

/// A number of 32 or 64 bits, as the version of its box has it.
fn number(payload: &[u8], narrow: usize, wide: usize) -> Option<u64> {
    if payload.first()? & 1 == 0 {
        payload.get(narrow..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes).into())
    } else {
        payload.get(wide..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }
}

/// In seconds, if it says it.
pub(super) fn duration(file: &[u8]) -> Option<f64> {
    let moov = child(file, b"moov")?;
    let mvhd = child(moov, b"mvhd")?;
    let at = if mvhd.first()? & 1 == 0 { 12 } else { 20 };
    let scale = u32::from_be_bytes(*mvhd.get(at..)?.first_chunk()?);
    let of_fragments = child(moov, b"mvex").and_then(|mvex| number(child(mvex, b"mehd")?, 4, 4));
    let all = number(mvhd, 16, 24);
    // All ones say that nobody knows.
    let unknown = [0, u32::MAX.into(), u64::MAX];
    let said = [of_fragments, all].into_iter().flatten().find(|ticks| !unknown.contains(ticks));
    said.filter(|_| scale > 0).map(|ticks| ticks as f64 / f64::from(scale))
}

/// Whether nothing in front of its fragments says it, be it an index of them.
pub(super) fn is_silent(file: &[u8]) -> bool {
    let front = boxes(file).into_iter().take_while(|(kind, _)| *kind != b"moof");
    let kinds: Vec<_> = front.map(|(kind, _)| kind).collect();
    let is_in_fragments = kinds.len() < boxes(file).len();
    is_in_fragments && duration(file).is_none() && !kinds.contains(&&b"sidx"[..])
}
