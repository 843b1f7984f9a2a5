//! Parts of one file with both tracks, where the index tells of key frames and where it does not.

use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::support::run;

/// A film of five seconds, its key frames so many pictures apart, with a sound of `sound` seconds, if
/// any, and a picture, if it is to have one; all of it `late` seconds late.
fn film(
    extension: &str,
    gop: Option<&str>,
    sound: Option<u32>,
    late: &str,
    flags: &[&str],
) -> PathBuf {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let webm = extension == "webm";
    let [picture_coder, sound_coder] =
        if webm { ["libvpx-vp9", "libvorbis"] } else { ["libx264", "aac"] };
    let mut clip = Vec::new();
    clip.extend(gop.into_iter().flat_map(|_| media::picture("160x90", 25, 5)));
    clip.extend(sound.into_iter().flat_map(|seconds| media::sound(48_000, seconds)));
    if let Some(gop) = gop {
        clip.extend(owned(&["-map", "0", "-c:v", picture_coder, "-pix_fmt", "yuv420p", "-g", gop]));
        // Long groups have pictures that are decoded before they are shown.
        let before = if gop == "25" { "0" } else { "2" };
        let h264 = ["-preset", "ultrafast", "-bf", before];
        clip.extend(owned(if webm { &["-cpu-used", "8"] } else { &h264 }));
    }
    if sound.is_some() {
        let map = if gop.is_some() { "1" } else { "0" };
        clip.extend(owned(&["-map", map, "-c:a", sound_coder]));
    }
    let clip = media::generate("part-clip", "mkv", &clip);
    let input = ["-itsoffset", late, "-i", clip.to_str().unwrap(), "-c", "copy", "-copyts"];
    let output = [&input[..], &["-avoid_negative_ts", "disabled"], flags].concat();
    media::generate("part", extension, &owned(&output))
}

/// The index in front.
const FASTSTART: [&str; 2] = ["-movflags", "+faststart"];
/// Fragments that tell their times themselves.
const FRAGMENTS: [&str; 4] = [
    "-movflags",
    "+frag_discont+frag_keyframe+empty_moov+default_base_moof",
    "-frag_duration",
    "1000000",
];

struct Parts {
    origin: Origin,
    daemon: Daemon,
    directory: tempfile::TempDir,
}

impl Parts {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { origin: Origin::start(), daemon: Daemon::start(LOOPBACK), directory }
    }

    fn get(&self, film: &[u8], extra: &[(&str, &str)]) -> Answer {
        let url = self.origin.put("film", Resource::bytes(film).ranges().etag("\"1\""));
        self.daemon.get(&any_path(Some(&url), None, extra))
    }

    /// How many packets of video and of audio are in the part.
    fn counts(&self, film: &[u8], extra: &[(&str, &str)]) -> [usize; 2] {
        let answer = self.get(film, extra);
        let ok = (answer.head.status, answer.ending) == (200, Ending::Complete);
        assert!(ok, "{extra:?}: {:?} {}", answer.ending, answer.text());
        let file = self.directory.path().join("part");
        std::fs::write(&file, &answer.body).unwrap();
        // Where the front of the film tells it.
        if film.starts_with(&[0x1a, 0x45]) {
            let duration = media::streamed_duration(&file).unwrap();
            assert!((1.5..2.2).contains(&duration), "{extra:?}: {duration} s");
        }
        let entries = ["-v", "error", "-show_entries", "packet=codec_type", "-of", "csv=p=0"];
        let said = run(Command::new("ffprobe").args(entries).arg(&file)).stdout;
        let said = String::from_utf8_lossy(&said);
        ["video", "audio"].map(|kind| said.lines().filter(|line| *line == kind).count())
    }
}

/// A part is counted from where the film begins, be that at 10 s.
#[test]
fn a_film_that_begins_late_is_cut_as_any_other() {
    let parts = Parts::new();
    for (extension, flags) in [("mkv", &[][..]), ("mp4", &FRAGMENTS[..2]), ("mp4", &FASTSTART)] {
        let film = read(&film(extension, Some("25"), Some(2), "10", flags));
        for container in ["mkv", "mp4"] {
            for range in [&[("start", "0.4"), ("end", "2")][..], &[("end", "1.9")]] {
                let engine = [("engine", "ffmpeg"), ("container", container)];
                let [video, audio] = parts.counts(&film, &[range, &engine].concat());
                let what = format!("{extension} {flags:?} as {container}, {range:?}");
                assert!((24..=55).contains(&video), "{what}: {video} pictures");
                assert!((70..=95).contains(&audio), "{what}: {audio} frames of sound");
            }
        }
    }
}

/// The same of two files, through both engines.
#[test]
fn films_that_begin_late_are_cut_alike_by_all_engines() {
    for (video, audio, flags) in
        [("mp4", "m4a", &FASTSTART[..]), ("mp4", "m4a", &FRAGMENTS), ("webm", "webm", &[])]
    {
        let flags_of_video = &flags[..flags.len().min(2)];
        let pair = Pair {
            video: film(video, Some("25"), None, "10", flags_of_video),
            // From 7.0 on, ffmpeg puts an encoder's priming before this time.
            audio: film(audio, None, Some(5), "10.05", flags),
        };
        for engine in ["splice", "ffmpeg"] {
            let part = part(&pair, engine, &[("start", "1.3"), ("end", "3.2")]);
            let (moved, spans) = (part.moved(), part.spans());
            let what = format!("{video} {flags:?}, {engine}: moved by {moved}, {spans:?}");
            assert!((10_900_000_000..11_400_000_000).contains(&moved), "{what}");
            for (first, last) in spans {
                // A fragment of sound may begin up to a second before.
                assert!((9_900_000_000..12_100_000_000).contains(&first), "{what}");
                assert!((12_900_000_000..14_300_000_000).contains(&last), "{what}");
            }
        }
    }
}

/// Where the sound is over, the picture goes on; where nothing at all comes of a track that should be
/// there, that does not look like a whole film.
#[test]
fn no_track_of_a_part_is_empty() {
    let parts = Parts::new();
    let over = [("start", "3"), ("engine", "ffmpeg")];
    for (extension, flags) in [("mkv", &[][..]), ("mp4", &FASTSTART)] {
        let film = read(&film(extension, Some("25"), Some(2), "0", flags));
        assert_eq!(parts.counts(&film, &over), [50, 0], "{extension}");
    }
}

/// Where no index tells of key frames, and none is in the part, that is an error before anything was
/// sent, and names what helps.
#[test]
fn a_part_without_a_key_frame_that_is_nowhere_told_of_is_refused() {
    let parts = Parts::new();
    let put = |name: &str, file: &Path| {
        parts.origin.put(name, Resource::file(file).ranges().etag("\"1\""))
    };
    let url = put("flv", &film("flv", Some("125"), Some(5), "0.5", &[]));
    let lone = put("lone", &film("flv", Some("125"), None, "0.5", &[]));
    let sounds = ["aac", "mkv", "m4a"].map(|extension| {
        let flags = if extension == "m4a" { &FASTSTART[..] } else { &[] };
        Some(put(extension, &film(extension, None, Some(5), "0.5", flags)))
    });
    let requests = [(&url, None), (&lone, None)].into_iter();
    for (video, audio) in requests.chain(sounds.iter().map(|sound| (&lone, sound.as_ref()))) {
        for (range, about) in [
            (
                &[("start", "1.2"), ("end", "2.2")][..],
                "between start and end: begin earlier or end",
            ),
            (&[("start", "1.2")], "after start: begin earlier"),
        ] {
            for container in ["auto", "mkv", "mp4"] {
                let extra = [range, &[("container", container)]].concat();
                let answer = parts.daemon.get(&any_path(Some(video), audio.map(|x| &**x), &extra));
                let said = answer.text();
                let seen = (answer.head.status, answer.ending);
                let is_raw = audio.is_some_and(|audio| audio.ends_with("aac"));
                let expected = if is_raw && container == "mkv" { "mp4" } else { about };
                assert_eq!(seen, (422, Ending::Complete), "{audio:?} {extra:?}: {said}");
                assert!(said.contains(expected), "{audio:?} {extra:?}: {said}");
            }
        }
    }
}

/// A key frame that comes late in the part is waited for, however much sound there is before it.
#[test]
fn a_part_whose_key_frame_comes_late_is_whole() {
    let parts = Parts::new();
    for extension in ["flv", "mkv"] {
        let film = read(&film(extension, Some("75"), Some(5), "0.5", &[]));
        for container in ["mkv", "mp4"] {
            let extra = [("start", "1.2"), ("container", container), ("engine", "ffmpeg")];
            let answer = parts.get(&film, &extra);
            assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
        }
    }
}

/// No key frame is in the part: where the index tells the one before, the part begins there.
#[test]
fn a_part_within_a_group_of_pictures_begins_with_it() {
    let audio = film("webm", None, Some(5), "0", &[]);
    for (extension, flags) in [("mp4", &FASTSTART[..]), ("mp4", &FRAGMENTS[..2]), ("webm", &[])] {
        let video = film(extension, Some("75"), None, "0", flags);
        // Sound that is not spliced with the picture.
        let audio = match extension {
            "webm" => film("m4a", None, Some(5), "0", &FASTSTART),
            _ => audio.clone(),
        };
        let pair = Pair { video, audio };
        for (start, from) in [("3.4", 3), ("1.3", 0)] {
            let part = part(&pair, "auto", &[("start", start), ("end", "4.1")]);
            let [(first, last), (sound, _)] = part.spans();
            let what = format!("{extension} {flags:?} from {start}: {:?}", part.spans());
            assert!((first - from * SECOND).abs() < SECOND / 5, "{what}");
            assert!((sound - from * SECOND).abs() < SECOND / 5, "{what}");
            assert!(last > 39 * SECOND / 10, "{what}");
            part.moved();
        }
    }
}

/// The same of files that no plan can be made of, as far as they have an index.
#[test]
fn an_index_tells_where_a_part_begins_whatever_else_is_in_the_file() {
    /// Key frames are anywhere in them.
    const BLIND: [&str; 4] =
        ["-movflags", "+frag_discont+empty_moov+default_base_moof", "-frag_duration", "800000"];
    const INDEXED: [&str; 2] = ["-movflags", "+frag_discont+frag_keyframe+dash"];
    let parts = Parts::new();
    for (extension, sound, flags) in [
        ("mkv", Some(5), &[][..]),
        ("mkv", None, &[]),
        ("mkv", Some(5), &["-cues_to_front", "1"]),
        ("webm", Some(5), &[]),
        ("mp4", Some(5), &FRAGMENTS[..2]),
        ("mp4", Some(5), &INDEXED),
        ("mp4", Some(5), &BLIND),
        ("mp4", None, &BLIND),
    ] {
        for late in ["0.1", "10"] {
            let film = read(&film(extension, Some("75"), sound, late, flags));
            for container in ["mkv", "mp4"] {
                for (start, engine, pictures) in
                    [("3.4", "auto", 25..=32), ("1.3", "auto", 95..=107), ("0", "ffmpeg", 95..=107)]
                {
                    let part = [("start", start), ("end", "4.1")];
                    let extra =
                        [&part[..], &[("container", container), ("engine", engine)]].concat();
                    let answer = parts.get(&film, &extra);
                    let what = format!("{extension} {sound:?} {flags:?} {late} as {container}");
                    let seen = (answer.head.status, answer.ending);
                    assert_eq!(
                        seen,
                        (200, Ending::Complete),
                        "{what} from {start}: {}",
                        answer.text()
                    );
                    let file = parts.directory.path().join("part");
                    std::fs::write(&file, &answer.body).unwrap();
                    let video = packets(&file, "v").len();
                    let audio = sound.map_or(0, |_| packets(&file, "a").len());
                    assert!(pictures.contains(&video), "{what} from {start}: {video} pictures");
                    let frames = video * 48_000 / 1024 / 25;
                    let is_beside =
                        audio.abs_diff(frames) < 20 || sound.is_none() || extension == "webm";
                    assert!(
                        is_beside,
                        "{what} from {start}: {audio} frames beside {video} pictures"
                    );
                }
            }
        }
    }
}

/// What the fragments of a film tell of its length is in the head of what ffmpeg makes of it.
#[test]
fn how_long_fragments_play_is_told() {
    let parts = Parts::new();
    for (video, sound, late) in
        [(Some("25"), None, "0"), (None, Some(5), "0"), (Some("75"), None, "10")]
    {
        let film = read(&film("mp4", video, sound, late, &FRAGMENTS));
        let url = parts.origin.put("film", Resource::bytes(&film[..]).ranges());
        let (video, audio) =
            if sound.is_some() { (None, Some(&*url)) } else { (Some(&*url), None) };
        let answer = parts.daemon.get(&any_path(video, audio, &[("container", "mkv")]));
        assert_eq!(
            (answer.head.status, answer.ending),
            (200, Ending::Complete),
            "{}",
            answer.text()
        );
        let file = parts.directory.path().join("whole");
        std::fs::write(&file, &answer.body).unwrap();
        let told = media::streamed_duration(&file).unwrap_or_default();
        let end = 5.0 + late.parse::<f64>().unwrap();
        assert!((told - end).abs() < 0.1, "{told} s, and it plays until {end} s");
    }
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap()
}
