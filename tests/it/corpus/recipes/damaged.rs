//! Files that are not whole, tell no length, or are no media at all.

use super::{Change, Nature, Recipes};

pub(super) fn add(recipes: &mut Recipes) {
    cut(recipes);
    without_length(recipes);
    recipes.derived("two-tags.aac", "adts-id3.aac", |file| [id3(300), file].concat());
    for (file, of) in [
        ("tagged.ac3", "ac3.ac3"),
        ("tagged.eac3", "eac3.eac3"),
        ("tagged.flac", "flac.flac"),
        ("long-tag.mp3", "mp3-no-xing.mp3"),
    ] {
        recipes.derived(file, of, |file| [id3(70_000), file].concat());
    }
    recipes.derived("noise-prefix.mp3", "mp3.mp3", |file| [noise(100_000), file].concat());
    // Behind its samples, in a chunk of its own.
    recipes.derived("aiff-tagged.aiff", "aiff.aiff", |mut file| {
        let tag = id3(300_000);
        file.extend([&b"ID3 "[..], &(tag.len() as u32).to_be_bytes(), &tag].concat());
        let len = (file.len() - 8) as u32;
        file[4..8].copy_from_slice(&len.to_be_bytes());
        file
    });
    let junk: [(&str, Change); 6] = [
        ("empty.mp4", |_| Vec::new()),
        ("one-byte.mp4", |_| vec![0]),
        ("text.mp4", |_| "This is no film. ".repeat(900).into_bytes()),
        ("page.mp4", |_| "<!doctype html><title>Not here</title>".into()),
        ("playlist.mp4", |_| "#EXTM3U\n#EXTINF:4,\nfilm.mp4\n".into()),
        ("noise.mp4", |_| noise(100_000)),
    ];
    for (file, how) in junk {
        recipes.derived(file, "cover.jpg", how).nature = Nature::Junk;
    }
}

/// Cut at rest: each of these says by itself that something is missing.
fn cut(recipes: &mut Recipes) {
    let of = [
        "film-h264-aac.faststart.mp4",
        "film-h264-aac.sidx.mp4",
        "h264.faststart.mp4",
        "h264.sidx.mp4",
        "aac.faststart.m4a",
        "aac.sidx.m4a",
        "mov-faststart.mov",
        "film-vp9-opus.plain.webm",
        "vp9.cues-first.webm",
        "opus.plain.webm",
        "film-h264-aac.plain.mkv",
        "flac.flac",
        "wav.wav",
        "mp3.mp3",
    ];
    let places: [(&str, Change); 3] = [
        ("half", |file| part(file, 50)),
        ("most", |file| part(file, 96)),
        ("last-bytes", |mut file| {
            file.truncate(file.len() - 7);
            file
        }),
    ];
    for of in of {
        for (place, how) in places {
            let file = format!("cut-{place}-{of}");
            recipes.derived(&file, of, how).nature = Nature::Cut;
        }
    }
    let box_ends: [(&str, Change); 2] = [
        ("film-h264-aac.sidx.mp4", |file| before_box(file, *b"moof")),
        ("h264.no-mfra.mp4", |file| part(file, 70)),
    ];
    for (of, how) in box_ends {
        recipes.derived(&format!("cut-box-{of}"), of, how).nature = Nature::Cut;
    }
}

/// What comes out of pipes: lengths that are not known, or not true.
fn without_length(recipes: &mut Recipes) {
    let lengths: [(&str, Change); 3] = [
        ("wav-unknown.wav", |file| with_lengths(file, u32::MAX)),
        ("wav-zero.wav", |file| with_lengths(file, 0)),
        ("wav-bogus.wav", |file| with_lengths(file, 0x7fff_0000)),
    ];
    for (file, how) in lengths {
        recipes.derived(file, "wav.wav", how);
    }
    // STREAMINFO counts the samples in the 36 bits before its last 16 bytes (RFC 9639 §8.2).
    recipes.derived("flac-unknown.flac", "flac.flac", |mut file| {
        file[21] &= 0xf0;
        file[22..26].fill(0);
        file
    });
    let types: [(&str, &str, Change); 2] = [
        ("nul-doctype.webm", "film-vp9-opus.plain.webm", |file| nul_in(file, b"webm")),
        ("nul-doctype.mkv", "film-h264-aac.plain.mkv", |file| nul_in(file, b"matroska")),
    ];
    for (file, of, how) in types {
        recipes.derived(file, of, how);
    }
}

fn part(mut file: Vec<u8>, per_cent: usize) -> Vec<u8> {
    file.truncate(file.len() * per_cent / 100);
    file
}

/// Everything before the last box of this kind.
fn before_box(mut file: Vec<u8>, kind: [u8; 4]) -> Vec<u8> {
    let at = file.windows(4).rposition(|four| four == kind).expect("such a box");
    file.truncate(at - 4);
    file
}

/// A WAV file with this as the length of RIFF and of its data.
fn with_lengths(mut file: Vec<u8>, len: u32) -> Vec<u8> {
    file[4..8].copy_from_slice(&len.to_le_bytes());
    let data = file.windows(4).position(|four| four == b"data").expect("data");
    file[data + 4..data + 8].copy_from_slice(&len.to_le_bytes());
    file
}

/// A Matroska file whose DocType ends with NUL (RFC 8794 §7.8 and §13), in the same room: one of
/// the elements before it gives its own up.
fn nul_in(mut file: Vec<u8>, doc_type: &[u8]) -> Vec<u8> {
    let at = file.windows(doc_type.len()).position(|text| text == doc_type).expect("a DocType");
    file.insert(at + doc_type.len(), 0);
    // The sizes of the DocType and of the head around it: one byte, and as ffmpeg writes it.
    file[at - 1] += 1;
    let head = if file[4] == 0x01 { 11 } else { 4 };
    file[head] += 1;
    file
}

/// An ID3 tag with so many bytes in it.
fn id3(len: u32) -> Vec<u8> {
    let syncsafe = [21, 14, 7, 0].map(|shift| (len >> shift) as u8 & 0x7f);
    let padding = vec![0; len as usize];
    [&b"ID3\x04\0\0"[..], &syncsafe, &padding].concat()
}

/// Bytes that mean nothing, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..len).map(|_| random.u8(..)).collect()
}
