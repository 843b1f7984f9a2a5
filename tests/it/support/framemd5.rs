//! The packets of a track as ffmpeg sees them, for comparison across containers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use super::run;

/// A file, a stream of it, and options of ffmpeg.
type Request = (PathBuf, String, Vec<String>);
/// What was asked of the media that all tests share, which never changes.
static KNOWN: LazyLock<Mutex<HashMap<Request, Vec<Packet>>>> = LazyLock::new(Mutex::default);

const MILLISECOND: i64 = 1_000_000;

/// One packet; times in nanoseconds, so that tracks of different time bases compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) dts: i64,
    pub(crate) pts: i64,
    pub(crate) duration: i64,
    pub(crate) size: u64,
    pub(crate) md5: String,
}

/// How exactly two tracks must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exactness {
    /// Every field of every packet.
    Every,
    /// Bytes and order, and presentation times to the millisecond that Matroska keeps.
    Millisecond,
}

/// The packets of the only `v` or `a` stream of a file.
pub(crate) fn packets(file: &Path, stream: &str) -> Vec<Packet> {
    framemd5(file, stream, &["-c", "copy"])
}

/// Those of a stream of AAC in ADTS, without the headers that MP4 has not.
pub(crate) fn packets_of_adts(file: &Path, stream: &str) -> Vec<Packet> {
    framemd5(file, stream, &["-c", "copy", "-bsf:a", "aac_adtstoasc"])
}

/// The decoded frames of the only `v` or `a` stream of a file, for comparison where the bytes of packets
/// differ.
pub(crate) fn frames(file: &Path, stream: &str) -> Vec<Packet> {
    framemd5(file, stream, &["-fps_mode", "passthrough", "-enc_time_base", "1/90000"])
}

/// The packets of a stream, made by these options of ffmpeg.
pub(crate) fn framemd5(file: &Path, stream: &str, options: &[&str]) -> Vec<Packet> {
    if !file.starts_with(env!("CARGO_TARGET_TMPDIR")) {
        return read(file, stream, options);
    }
    let options_of = options.iter().map(|option| (*option).to_owned()).collect();
    let request = (file.to_owned(), stream.to_owned(), options_of);
    let known = KNOWN.lock().unwrap().get(&request).cloned();
    known.unwrap_or_else(|| {
        let packets = read(file, stream, options);
        KNOWN.lock().unwrap().insert(request, packets.clone());
        packets
    })
}

fn read(file: &Path, stream: &str, options: &[&str]) -> Vec<Packet> {
    let map = format!("0:{stream}");
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-copyts", "-i"])
        .arg(file)
        .args(["-map", &map])
        .args(options)
        .args(["-f", "framemd5", "-"]));
    assert!(
        output.status.success(),
        "{file:?} {stream}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let packets = parse(&text);
    assert!(!packets.is_empty(), "no packets of {stream} in {file:?}");
    packets
}

/// Panics at the first packet of the output that is not the one of the source.
pub(crate) fn assert_same(source: &[Packet], output: &[Packet], exactness: Exactness, what: &str) {
    for (index, (before, after)) in source.iter().zip(output).enumerate() {
        let same = match exactness {
            Exactness::Every => before == after,
            Exactness::Millisecond => {
                before.size == after.size
                    && before.md5 == after.md5
                    && (before.pts - after.pts).abs() <= MILLISECOND
            }
        };
        assert!(same, "{what}, packet {index}:\nsource {before:?}\noutput {after:?}");
    }
    assert_eq!(source.len(), output.len(), "{what}: number of packets");
}

fn parse(text: &str) -> Vec<Packet> {
    let mut time_base = (1, 1);
    let mut packets = Vec::new();
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb 0: ") {
            let (numerator, denominator) = base.split_once('/').unwrap();
            time_base = (numerator.parse().unwrap(), denominator.parse().unwrap());
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            packets.push(Packet {
                dts: nanoseconds(fields[1], time_base),
                pts: nanoseconds(fields[2], time_base),
                duration: nanoseconds(fields[3], time_base),
                size: fields[4].parse().unwrap(),
                md5: fields[5].to_owned(),
            });
        }
    }
    packets
}

fn nanoseconds(ticks: &str, (numerator, denominator): (i128, i128)) -> i64 {
    let ticks: i128 = ticks.parse().unwrap_or_else(|_| panic!("no time: {ticks}"));
    i64::try_from(ticks * numerator * 1_000_000_000 / denominator).unwrap()
}
