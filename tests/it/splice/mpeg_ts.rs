//! Transport streams in segments: padded regions of an MP4, from what ffmpeg's HLS muxer makes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use ytcanal::error::{Error, UpstreamError};
use ytcanal::media::{Metadata, TrackKind};
use ytcanal::options::{ContainerChoice, TimeRange};
use ytcanal::splice::{Options, SourceSegment};

use crate::support::framemd5::{Packet, frames, packets};
use crate::support::media;
use crate::support::run;
use crate::support::spliced::{Film, as_it_is};

mod packed;
mod trim;

const MILLISECOND: i64 = 1_000_000;
const X264: [&str; 8] = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-pix_fmt",
    "yuv420p",
    "-force_key_frames",
    "expr:gte(t,n_forced*2)",
];

/// A transport stream in segments, on the disk and in memory.
struct Hls {
    _directory: TempDir,
    /// All segments in one.
    file: PathBuf,
    bytes: Vec<u8>,
    segments: Vec<SourceSegment>,
}

/// What ffmpeg's HLS muxer makes with these arguments.
fn hls(arguments: &[&str]) -> Hls {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list.m3u8");
    let muxer = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "0"];
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments)
        .args(muxer)
        .arg(&list));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut bytes, mut segments, mut duration) = (Vec::new(), Vec::new(), Duration::ZERO);
    for line in std::fs::read_to_string(&list).unwrap().lines() {
        if let Some(seconds) = line.strip_prefix("#EXTINF:") {
            duration = Duration::from_secs_f64(seconds.trim_end_matches(',').parse().unwrap());
        } else if !line.starts_with('#') {
            let segment = std::fs::read(directory.path().join(line)).unwrap();
            let (offset, len) = (bytes.len() as u64, segment.len() as u64);
            segments.push(SourceSegment {
                offset,
                len,
                duration,
                rounding: Duration::ZERO,
                is_discontinuous: false,
            });
            bytes.extend(segment);
        }
    }
    let file = directory.path().join("all.ts");
    std::fs::write(&file, &bytes).unwrap();
    Hls { _directory: directory, file, bytes, segments }
}

/// The arguments for video and audio of seven seconds, coded like this.
fn coded<'a>(inputs: &'a [[String; 4]], options: &[&'a str]) -> Vec<&'a str> {
    let inputs = inputs.iter().flatten().map(String::as_str);
    inputs.chain(options.iter().copied()).collect()
}

fn both(rate: u32) -> [[String; 4]; 2] {
    [media::picture("320x180", 25, 7), media::sound(rate, 7)]
}

fn film(files: &[(TrackKind, &Hls)]) -> Film {
    let segments = files.iter().map(|(_, file)| file.segments.clone()).collect();
    Film { files: files.iter().map(|(kind, file)| (*kind, file.bytes.clone())).collect(), segments }
}

/// Joins them; all parts must be the same when made alone.
fn join(files: &[(TrackKind, &Hls)]) -> (TempDir, PathBuf) {
    join_range(files, TimeRange::default())
}

/// Joins what they have of a time range.
fn join_range(files: &[(TrackKind, &Hls)], time_range: TimeRange) -> (TempDir, PathBuf) {
    let film = film(files);
    let plan = film.plan(&Options { time_range, ..as_it_is(&Metadata::default()) });
    let whole = film.whole(&plan);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("joined.mp4");
    std::fs::write(&file, whole).unwrap();
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    (directory, file)
}

/// Holds that the streams have the same frames, and that their times differ by the same for all.
fn assert_same_frames(pairs: &[(&Path, &str)], joined: &Path, what: &str) {
    let of = |file: &Path, stream: &str| -> Vec<Packet> { frames(file, stream) };
    let mut moved = None;
    for (source, stream) in pairs {
        let (before, after) = (of(source, stream), of(joined, stream));
        assert_eq!(before.len(), after.len(), "{what}: number of frames of {stream}");
        for (index, (own, other)) in before.iter().zip(&after).enumerate() {
            assert_eq!(own.md5, other.md5, "{what}: frame {index} of {stream}");
            let by = *moved.get_or_insert(own.pts - other.pts);
            let apart = own.pts - other.pts - by;
            assert!(apart.abs() <= MILLISECOND, "{what}, {stream}: {own:?} became {other:?}");
        }
    }
}

/// Begins at about 0, and lasts as long as it should, by ffprobe, which adds the delay of B-frames twice.
fn lasts(file: &Path, seconds: f64, what: &str) {
    for duration in [media::file_duration(file), media::streamed_duration(file)] {
        let duration = duration.unwrap_or_else(|| panic!("{what} has no duration"));
        assert!((duration - seconds).abs() < 0.2, "{what} lasts {duration} s");
    }
    let first = ["v", "a"].into_iter().filter_map(|stream| {
        let output = run(Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", stream, "-show_entries", "stream=start_time"])
            .args(["-of", "csv=p=0"])
            .arg(file));
        // Side data follows the comma.
        String::from_utf8_lossy(&output.stdout).split([',', '\n']).next()?.parse::<f64>().ok()
    });
    let first = first.fold(f64::MAX, f64::min);
    assert!(first.abs() < 0.03, "{what} begins at {first}");
}

#[test]
fn video_and_audio_in_one_stream() {
    for (rate, options) in [
        (48_000, &["-bf", "2", "-c:a", "aac"][..]),
        (44_100, &["-bf", "0", "-c:a", "aac", "-ac", "1", "-x264-params", "slices=4"]),
        (44_100, &["-bf", "3", "-c:a", "libmp3lame"]),
        (48_000, &["-c:a", "ac3", "-b:a", "192k"]),
        (48_000, &["-c:a", "eac3", "-b:a", "192k"]),
        (22_050, &["-c:a", "aac", "-output_ts_offset", "36000"]),
        (48_000, &["-c:a", "aac", "-output_ts_offset", "95440.3"]),
    ] {
        let what = format!("{options:?}");
        let inputs = both(rate);
        let source = hls(&coded(&inputs, &[&X264[..], options].concat()));
        let (_directory, joined) = join(&[(TrackKind::Video, &source)]);
        assert_same_frames(&[(&source.file, "v"), (&source.file, "a")], &joined, &what);
        lasts(&joined, 7.0, &what);
    }
}

#[test]
fn hevc_in_one_stream() {
    let inputs = both(48_000);
    let options =
        ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=50"];
    let source = hls(&coded(&inputs, &[&options[..], &["-c:a", "aac"]].concat()));
    let (_directory, joined) = join(&[(TrackKind::Video, &source)]);
    assert_same_frames(&[(&source.file, "v"), (&source.file, "a")], &joined, "hevc");
    lasts(&joined, 7.0, "hevc");
}

#[test]
fn video_and_audio_apart() {
    let inputs = both(44_100);
    for offset in ["0", "95440"] {
        let common = ["-output_ts_offset", offset];
        let video = [&["-map", "0:v", "-bf", "2"][..], &X264, &common].concat();
        let audio = [&["-map", "1:a", "-c:a", "aac"][..], &common].concat();
        let (video, audio) = (hls(&coded(&inputs, &video)), hls(&coded(&inputs, &audio)));
        let files = [(TrackKind::Video, &video), (TrackKind::Audio, &audio)];
        let (_directory, joined) = join(&files);
        assert_same_frames(&[(&video.file, "v"), (&audio.file, "a")], &joined, offset);
        lasts(&joined, 7.0, offset);
        for (kind, source, stream) in
            [(TrackKind::Video, &video, "v"), (TrackKind::Audio, &audio, "a")]
        {
            let (_directory, joined) = join(&[(kind, source)]);
            assert_same_frames(&[(&source.file, stream)], &joined, stream);
            lasts(&joined, 7.0, stream);
        }
    }
}

/// The error of making all of it, after `change` was made to the bytes.
fn fault(source: &Hls, change: impl FnOnce(&mut Vec<u8>)) -> Error {
    let mut film = film(&[(TrackKind::Video, source)]);
    let plan = film.plan(&as_it_is(&Metadata::default()));
    change(&mut film.files[0].1);
    film.emit(&plan, 0..plan.len()).map(drop).unwrap_err()
}

/// Whatever contradicts the first segment, or is missing, is an error and no other film.
#[test]
fn what_is_missing_is_missed() {
    let inputs = both(48_000);
    let source = hls(&coded(&inputs, &[&X264[..], &["-bf", "2", "-c:a", "aac"]].concat()));
    let other = [media::picture("160x90", 25, 7), media::sound(48_000, 7)];
    let other = hls(&coded(&other, &[&X264[..], &["-bf", "2", "-c:a", "aac"]].concat()));
    let second = source.segments[1];
    let packet = |pid: u16, after: usize| {
        let mut packets = (after..source.bytes.len()).step_by(188);
        let is = |at: &usize| {
            u16::from_be_bytes([source.bytes[at + 1] & 0x1f, source.bytes[at + 2]]) == pid
        };
        packets.find(is).unwrap()
    };
    let begin = second.offset as usize;
    for pid in [0x100, 0x101] {
        let first = packet(pid, begin + 188 * 8);
        assert!(packet(pid, first + 188) < begin + second.len as usize);
        let lost = fault(&source, |bytes| {
            bytes[first..first + 4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
        });
        // The first one of a segment may as well be one too many of the segment before.
        let is_noticed = ["missing", "longer"].iter().any(|about| is_mismatch(&lost, about));
        assert!(is_noticed, "{pid}: {lost}");
        let damaged = fault(&source, |bytes| bytes[first + 1] |= 0x80);
        assert!(is_mismatch(&damaged, "damaged"), "{damaged}");
        let scrambled = fault(&source, |bytes| bytes[first + 3] |= 0x80);
        assert!(is_mismatch(&scrambled, "scrambled"), "{scrambled}");
    }
    let unsynced = fault(&source, |bytes| bytes[begin + 188 * 9] = 0x48);
    assert!(is_mismatch(&unsynced, "malformed"), "{unsynced}");
    let unknown = fault(&source, |bytes| bytes[begin..begin + 188].fill(0x48));
    assert!(is_mismatch(&unknown, "no transport stream"), "{unknown}");
    // Another film in the place of a segment, whose packets end where they do not fit.
    let replaced = fault(&source, |bytes| {
        let range = begin..begin + second.len as usize;
        let len = range.len().min(other.bytes.len());
        bytes[range.start..range.start + len].copy_from_slice(&other.bytes[..len]);
    });
    let is_noticed =
        ["format", "order", "streams"].iter().any(|about| is_mismatch(&replaced, about));
    assert!(is_noticed, "{replaced}");
}

fn is_mismatch(error: &Error, about: &str) -> bool {
    matches!(error, Error::Upstream { fault: UpstreamError::IndexMismatch(why), .. } if why.contains(about))
}

#[test]
fn what_is_not_done_is_refused() {
    let inputs = both(48_000);
    let source = hls(&coded(&inputs, &[&X264[..], &["-c:a", "ac3"]].concat()));
    let refusal = |change: fn(&mut Film), container| {
        let mut film = film(&[(TrackKind::Video, &source)]);
        change(&mut film);
        let tags = Metadata::default();
        film.try_plan(&Options { container, ..as_it_is(&tags) }).unwrap_err().0
    };
    let refused = |change: fn(&mut Film)| refusal(change, ContainerChoice::Auto);
    assert!(refused(|film| film.segments.clear()).contains("not divided"));
    assert!(refused(|film| film.segments[0][2].len += 1).contains("where it should be"));
    assert!(refused(|film| film.files[0].1.truncate(9000)).contains("whole file"));
    assert!(refusal(|_| {}, ContainerChoice::Webm).contains("container"));
    assert!(
        refusal(|film| film.files[0].0 = TrackKind::Audio, ContainerChoice::M4a).contains("AAC")
    );
}

/// Some sites put an image before each segment.
#[test]
fn segments_may_be_disguised() {
    let inputs = both(48_000);
    let plain = hls(&coded(&inputs, &[&X264[..], &["-c:a", "aac"]].concat()));
    let (_directory, expected) = join(&[(TrackKind::Video, &plain)]);
    let image = [&b"\x89PNG\r\n\x1a\n"[..], &b"GGGG".repeat(20)].concat();
    let (mut bytes, mut segments) = (Vec::new(), Vec::new());
    for segment in &plain.segments {
        let offset = bytes.len() as u64;
        bytes.extend(&image);
        let range = segment.offset as usize..(segment.offset + segment.len) as usize;
        bytes.extend(&plain.bytes[range]);
        segments.push(SourceSegment { offset, len: bytes.len() as u64 - offset, ..*segment });
    }
    let disguised = Hls { bytes, segments, ..plain };
    let (_directory, joined) = join(&[(TrackKind::Video, &disguised)]);
    for stream in ["v", "a"] {
        assert_eq!(frames(&expected, stream), frames(&joined, stream), "{stream}");
    }
}

/// Damaged bytes become a film of the planned length, or an error.
#[test]
fn damaged_bytes_are_harmless() {
    let inputs = both(48_000);
    let source = hls(&coded(&inputs, &[&X264[..], &["-bf", "2", "-c:a", "aac"]].concat()));
    let plain = film(&[(TrackKind::Video, &source)]);
    let plan = plain.plan(&as_it_is(&Metadata::default()));
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    for _ in 0..200 {
        let mut damaged = film(&[(TrackKind::Video, &source)]);
        let bytes = &mut damaged.files[0].1;
        for _ in 0..random.usize(1..20) {
            let at = random.usize(0..bytes.len());
            bytes[at] ^= 1 << random.u8(0..8);
        }
        if let Ok(made) = damaged.emit(&plan, 0..plan.len()) {
            assert_eq!(made.len() as u64, plan.len());
        }
        if let Ok(other) = damaged.try_plan(&as_it_is(&Metadata::default()))
            && let Ok(made) = damaged.emit(&other, 0..other.len())
        {
            assert_eq!(made.len() as u64, other.len());
        }
    }
}

/// Two films whose clocks differ, and the second behind the first, after a discontinuity.
fn two_parts() -> ([Hls; 2], Hls) {
    let inputs = both(48_000);
    let [first, second] = ["36000", "7"].map(|offset| {
        let options =
            [&X264[..], &["-bf", "2", "-c:a", "aac", "-output_ts_offset", offset]].concat();
        hls(&coded(&inputs, &options))
    });
    let (mut bytes, mut segments) = (first.bytes.clone(), first.segments.clone());
    for (index, segment) in second.segments.iter().enumerate() {
        let offset = segment.offset + first.bytes.len() as u64;
        let is_discontinuous = index == 0;
        segments.push(SourceSegment { offset, is_discontinuous, ..*segment });
    }
    bytes.extend(&second.bytes);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("none");
    ([first, second], Hls { file, _directory: directory, bytes, segments })
}

/// After a discontinuity the clock is another.
#[test]
fn discontinuities_are_carried_on() {
    let ([first, second], whole) = two_parts();
    let (_directory, joined) = join(&[(TrackKind::Video, &whole)]);
    lasts(&joined, 14.0, "both parts");
    for stream in ["v", "a"] {
        let after = frames(&joined, stream);
        let parts = [&first.file, &second.file].map(|file| frames(file, stream));
        // Where audio lasts longer than its segment, ffmpeg discards the frame that it overlaps.
        let lost = packets(&joined, stream).len() - after.len();
        assert!(lost <= usize::from(stream == "a"), "{stream}: {lost} frames");
        let (own, other) = after.split_at(parts[0].len());
        let parts = [&parts[0][..], &parts[1][lost..]];
        assert_eq!([own.len(), other.len()], parts.map(<[Packet]>::len), "{stream}");
        for (half, part) in [own, other].into_iter().zip(parts) {
            for (frame, source) in half.iter().zip(part).skip(lost) {
                // A decoder of audio goes on with what it has from the part before.
                let is_alike = frame.md5 == source.md5 || half == other && stream == "a";
                assert!(is_alike, "{stream}: {source:?} became {frame:?}");
                let apart = (frame.pts - half[0].pts) - (source.pts - part[0].pts);
                assert!(apart.abs() <= MILLISECOND, "{stream}: {source:?} became {frame:?}");
            }
        }
        let gap = other[0].pts - own[0].pts;
        assert!((gap - 7000 * MILLISECOND).abs() < 100 * MILLISECOND, "{stream}: {gap}");
    }
}
