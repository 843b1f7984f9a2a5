//! Sound without compression in QuickTime files, with more samples than a video has in days.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{TestSetup, moved};
use crate::support::framemd5::packets;
use crate::support::{media, run};

/// Five and a half minutes: 16 million samples.
const SECONDS: usize = 330;
const RATE: usize = 48_000;

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Alone, and in a film.
fn recordings() -> [PathBuf; 2] {
    let noise = format!("anoisesrc=seed=5:sample_rate={RATE}:duration={SECONDS}");
    let words = ["-f", "lavfi", "-i", &noise, "-ac", "1", "-c:a", "pcm_s16le"];
    let sound = media::generate("long-pcm", "mov", &owned(&words));
    let size = format!("testsrc=size=64x64:rate=5:duration={SECONDS}");
    let coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"];
    let inputs = ["-i", sound.to_str().unwrap(), "-f", "lavfi", "-i", &size];
    let words = [&inputs[..], &["-map", "1:v", "-map", "0:a", "-c:a", "copy"], &coded].concat();
    let film = media::generate("long-pcm-film", "mov", &owned(&words));
    [sound, film]
}

fn decoded(file: &Path) -> Vec<u8> {
    let words = ["-map", "0:a", "-f", "s16le", "-"];
    let command = &mut Command::new("ffmpeg");
    run(command.args(["-v", "error", "-i"]).arg(file).args(words)).stdout
}

#[test]
fn all_of_its_samples_come() {
    let (scene, [sound, film]) = (TestSetup::new(), recordings());
    let samples = decoded(&sound);
    assert_eq!(samples.len(), SECONDS * RATE * 2);
    let video = media::minute().video.as_path();
    let cases = [(Some(video), Some(&*sound)), (Some(&*film), None), (None, Some(&*film))];
    for (video, audio) in cases {
        let what = format!("{video:?} + {audio:?}");
        let joined = scene.file(video, audio, &[("container", "mkv")], "ffmpeg");
        assert!(decoded(&joined) == samples, "{what}");
        let lasts = media::file_duration(&joined).unwrap();
        assert!((lasts - SECONDS as f64).abs() < 0.3, "{what} lasts {lasts} s");
        if let Some(video) = video {
            let [before, after] = [video, &joined].map(|file| packets(file, "v"));
            assert_eq!(before.len(), after.len(), "{what}");
            moved(&before, &after);
        }
    }
}

/// QuickTime itself said of each sample that it has one byte, whatever it has.
#[test]
fn samples_may_be_said_to_have_one_byte() {
    let scene = TestSetup::new();
    for (coded, channels) in [("pcm_s16le", "2"), ("pcm_s24be", "1"), ("pcm_f32le", "2")] {
        let words = ["-ac", channels, "-c:a", coded].map(String::from);
        let sound = [&media::sound(48_000, 15)[..], &words].concat();
        let file = media::generate("short-pcm", "mov", &sound);
        let mut bytes = std::fs::read(&file).unwrap();
        let stsz = bytes.windows(4).position(|window| window == b"stsz").unwrap();
        bytes[stsz + 8..stsz + 12].copy_from_slice(&1u32.to_be_bytes());
        let other = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(other.path(), &bytes).unwrap();
        let samples = decoded(&file);
        assert!(decoded(other.path()) == samples, "ffmpeg knows that, {coded}");
        for extra in [&[][..], &[("start", "5"), ("end", "9")]] {
            let extra = [extra, &[("container", "mkv")]].concat();
            let of = |file: &Path| decoded(&scene.file(None, Some(file), &extra, "ffmpeg"));
            let (joined, expected) = (of(other.path()), of(&file));
            assert!(joined == expected && !joined.is_empty(), "{coded} {extra:?}");
        }
    }
}

#[test]
fn a_part_of_them_costs_no_more() {
    let [sound, film] = recordings();
    let samples = decoded(&sound);
    for (video, audio, name) in
        [(Some(&*film), None, "v"), (None, Some(&*film), "a"), (None, Some(&*sound), "a")]
    {
        let scene = TestSetup::new();
        let part = [("start", "100"), ("end", "130"), ("container", "mkv")];
        let joined = scene.file(video, audio, &part, "ffmpeg");
        let what = format!("{video:?} + {audio:?}");
        let part = decoded(&joined);
        // It begins with a packet, which lasts some milliseconds.
        let about = 100 * RATE * 2;
        let from = samples[about - 2 * RATE..].windows(64).position(|bytes| bytes == &part[..64]);
        let from = about - 2 * RATE + from.unwrap_or_else(|| panic!("{what}: other samples"));
        assert!(from.abs_diff(about) < RATE / 5, "{what}: {from}, not {about}");
        assert!(part[..] == samples[from..][..part.len()], "{what}");
        assert!(part.len().abs_diff(30 * RATE * 2) < RATE, "{what}: {}", part.len());
        let (asked, len) = (scene.asked_for(name), std::fs::metadata(&film).unwrap().len());
        assert!(asked < len / 4, "{what}: {asked} of {len}");
    }
}
