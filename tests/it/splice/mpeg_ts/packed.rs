//! Packed audio: alone, and beside the video of a transport stream.

use super::*;
use crate::support::framemd5::packets_of_adts;
use crate::support::packed_audio::{Packing, pack};

/// Half a minute of audio in this codec.
fn frames_of(rate: u32, codec: &[&str], extension: &str, seconds: u32) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(format!("frames.{extension}"));
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(media::sound(rate, seconds))
        .args(codec)
        .args(["-write_xing", "0", "-id3v2_version", "0"].iter().filter(|_| extension == "mp3"))
        .arg(&file));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (directory, file)
}

fn packed(rate: u32, codec: &[&str], extension: &str, seconds: u32, packing: Packing) -> Hls {
    let (directory, file) = frames_of(rate, codec, extension, seconds);
    let (mut bytes, mut segments) = (Vec::new(), Vec::new());
    for (segment, duration) in pack(&file, packing) {
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
    Hls { _directory: directory, file, bytes, segments }
}

pub(super) fn aac(begin: Option<u64>) -> Hls {
    let packing = Packing { frames: 90, samples: 1024, rate: 44_100, begin };
    packed(44_100, &["-c:a", "aac"], "aac", 7, packing)
}

/// Holds that the packets are those of the file, each when those before end; returns the time of the first.
fn first_of(source: &[Packet], joined: &[Packet], (samples, rate): (u32, u32), what: &str) -> i64 {
    assert_eq!(source.len(), joined.len(), "{what}: number of packets");
    let first = joined[0].pts;
    for ((own, other), index) in source.iter().zip(joined).zip(0..) {
        assert_eq!((own.size, &own.md5), (other.size, &other.md5), "{what}");
        let time = index * i64::from(samples) * 1_000_000_000 / i64::from(rate);
        let apart = other.pts - first - time;
        assert!(apart.abs() <= 2 * MILLISECOND, "{what}: {own:?} became {other:?}");
    }
    first
}

#[test]
fn packed_audio_alone() {
    let wrap = 1_u64 << 33;
    for begin in [None, Some(36_000 * 90_000), Some(wrap - 4 * 90_000)] {
        let source = aac(begin);
        let what = format!("AAC from {begin:?}");
        let (_directory, joined) = join(&[(TrackKind::Audio, &source)]);
        let own = packets_of_adts(&source.file, "a");
        let first = first_of(&own, &packets(&joined, "a"), (1024, 44_100), &what);
        assert_eq!(first, 0, "{what}");
        lasts(&joined, 7.0, &what);
    }
    // Each frame of these codecs needs an entry, whose length is saved nowhere.
    for (rate, codec, extension, samples) in [
        (22_050, &["-c:a", "libmp3lame", "-ac", "1", "-b:a", "8k"][..], "mp3", 576),
        (44_100, &["-c:a", "ac3", "-b:a", "96k"], "ac3", 1536),
        (48_000, &["-c:a", "eac3", "-b:a", "96k"], "eac3", 1536),
    ] {
        let what = format!("{codec:?}");
        let packing = Packing { frames: 2000, samples, rate: rate.into(), begin: Some(90_000) };
        let source = packed(rate, codec, extension, 70, packing);
        let (_directory, joined) = join(&[(TrackKind::Audio, &source)]);
        let own = packets(&source.file, "a");
        first_of(&own, &packets(&joined, "a"), (samples as u32, rate), &what);
        let duration = media::file_duration(&joined).unwrap();
        assert!((duration - 70.0).abs() < 0.2, "{what} lasts {duration} s");
    }
}

#[test]
fn packed_audio_beside_video() {
    let picture = [media::picture("320x180", 25, 7)];
    // The audio may begin a little earlier or later.
    for (offset, begin) in
        [("36000", Some(36_000 * 90_000 + 4000)), ("95440", Some(95_440 * 90_000)), ("36000", None)]
    {
        let what = format!("video from {offset}, audio from {begin:?}");
        let options = [&X264[..], &["-bf", "2", "-muxdelay", "0", "-output_ts_offset", offset]];
        let video = hls(&coded(&picture, &options.concat()));
        let audio = aac(begin);
        let files = [(TrackKind::Video, &video), (TrackKind::Audio, &audio)];
        let (_directory, joined) = join(&files);
        let duration = media::file_duration(&joined).unwrap();
        assert!((duration - 7.0).abs() < 0.3, "{what} lasts {duration} s");
        let own = frames(&video.file, "v");
        assert_same_frames(&[(&video.file, "v")], &joined, &what);
        let video_moved = own[0].pts - frames(&joined, "v")[0].pts;
        let audio_packets = packets_of_adts(&audio.file, "a");
        let first = first_of(&audio_packets, &packets(&joined, "a"), (1024, 44_100), &what);
        // Without timestamps, both begin together.
        let begin = begin.map_or(own[0].pts, |ticks| ticks as i64 * MILLISECOND / 90);
        // Timestamps have 33 bits.
        let wrap = (1 << 33) * MILLISECOND / 90;
        let apart = (begin - first - video_moved + wrap / 2).rem_euclid(wrap) - wrap / 2;
        assert!(apart.abs() <= 2 * MILLISECOND, "{what}: {apart} ns apart");
    }
}

#[test]
fn damaged_packed_audio_is_noticed() {
    type Change<'c> = &'c dyn Fn(&mut [u8]);
    let source = aac(Some(0));
    let plan = film(&[(TrackKind::Audio, &source)]).plan(&as_it_is(&Metadata::default()));
    let fault = |change: Change<'_>| {
        let mut film = film(&[(TrackKind::Audio, &source)]);
        let at = source.segments[1].offset as usize;
        change(&mut film.files[0].1[at..]);
        film.emit(&plan, 0..plan.len()).map(drop).unwrap_err()
    };
    let tag_len = crate::support::packed_audio::tag(0).len();
    let len = source.segments[1].len as usize;
    let faults: [(Change<'_>, &str); 4] = [
        (&|bytes| bytes[tag_len] = 0, "follow"),
        (&|bytes| bytes[9] += 1, "follow"),
        (&|bytes| bytes[7] = 0x7f, "tag"),
        (&|bytes| bytes[len - 900..len].fill(0), "damaged"),
    ];
    for (change, about) in faults {
        let error = fault(change);
        assert!(is_mismatch(&error, about), "{about}: {error}");
    }
}
