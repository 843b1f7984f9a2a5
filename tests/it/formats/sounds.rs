//! Sounds without a container, and behind tags of any length: whole, and with their durations.

use super::*;

/// Raw frames, with tags in front and without: each is what it is, beside a picture and alone.
#[test]
fn frames_are_recognised_behind_whatever_tags() {
    let (formats, video) = (Formats::new(), picture());
    for (extension, coded, alone) in [
        ("ac3", "ac3", "audio/ac3"),
        ("eac3", "eac3", "audio/eac3"),
        ("mp2", "mp2", "audio/mpeg"),
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("aac", "aac", "audio/aac"),
        ("flac", "flac", "audio/flac"),
    ] {
        let plain = sound(extension, &["-c:a", coded]);
        let before = packets(&plain, "a");
        for (tagged, front) in [
            ("plain", Vec::new()),
            ("a tag", id3(3000)),
            ("tags", [id3(100), id3(20_000)].concat()),
            ("a cover", id3(900_000)),
            ("padding", [id3(5000), vec![0; if extension == "flac" { 0 } else { 600 }]].concat()),
        ] {
            let what = format!("{extension} behind {tagged}");
            let bytes = [front, read(&plain)].concat();
            let (file, kind) = formats.file(None, Some(&bytes), &[], &what);
            assert_eq!(kind, alone, "{what}");
            assert!(read(&file) == bytes, "{what} is not as it was");
            for container in ["auto", "mkv"] {
                if (extension, container) == ("aac", "mkv") {
                    continue;
                }
                let extra = [("container", container)];
                let (file, _) = formats.file(Some(&video), Some(&bytes), &extra, &what);
                let after = packets(&file, "a");
                if extension == "aac" {
                    assert_eq!(before.len(), after.len(), "{what} in {container}");
                } else if extension == "mp3" && container == "auto" {
                    // An edit list leaves out what the coder needed to begin.
                    assert!(contents(&before).ends_with(&contents(&after)[1..]), "{what}");
                } else {
                    assert_eq!(contents(&before), contents(&after), "{what} in {container}");
                }
                lasts(&file, f64::from(SECONDS), &what);
            }
        }
    }
}

/// A tag that a demuxer does not know is not given to it.
#[test]
fn an_ape_tag_in_front_is_left_out() {
    let (formats, plain) = (Formats::new(), sound("flac", &["-c:a", "flac"]));
    let header =
        [&b"APETAGEX"[..], &2000u32.to_le_bytes(), &64u32.to_le_bytes(), &1u32.to_le_bytes()];
    let header = [&header.concat()[..], &0xa000_0000u32.to_le_bytes(), &[0; 8]].concat();
    let bytes = [&header[..], &[7; 64], &read(&plain)].concat();
    let (file, _) = formats.file(None, Some(&bytes), &[("container", "mkv")], "ape");
    assert_eq!(contents(&packets(&plain, "a")), contents(&packets(&file, "a")));
}

/// Written to a pipe, a WAVE does not know its size.
#[test]
fn waves_of_unknown_length_are_whole() {
    let (formats, video) = (Formats::new(), picture());
    let wav = sound("wav", &[]);
    let (before, whole) = (packets(&wav, "a"), read(&wav));
    let at = whole.windows(4).position(|window| window == b"data").unwrap() + 4;
    for size in [0, u32::MAX, u32::MAX - 36, 0x7fff_f000, 0x8000_0000] {
        let mut bytes = whole.clone();
        bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        let what = format!("{size:#x}");
        let (file, _) = formats.file(Some(&video), Some(&bytes), &[], &what);
        assert_eq!(contents(&before), contents(&packets(&file, "a")), "{what}");
        lasts(&file, f64::from(SECONDS), &what);
    }
    for extension in ["w64", "au"] {
        let words = ["-i", wav.to_str().unwrap(), "-f", extension, "-"];
        let written = run(Command::new("ffmpeg").args(["-v", "error"]).args(words)).stdout;
        let (file, _) = formats.file(Some(&video), Some(&written), &[], extension);
        let before = packets(&sound(extension, &[]), "a");
        assert_eq!(contents(&before), contents(&packets(&file, "a")), "{extension}");
        lasts(&file, f64::from(SECONDS), extension);
    }
    let wide = read(&sound("wav", &["-rf64", "always"]));
    let (file, _) = formats.file(Some(&video), Some(&wide), &[], "rf64");
    assert_eq!(contents(&before), contents(&packets(&file, "a")));
}

/// Tags, with a cover in them, stand behind the samples: a demuxer ends before it has read them.
#[test]
fn waves_with_long_tags_behind_their_samples_are_whole() {
    let formats = Formats::new();
    for (extension, coded, kind) in [
        ("aiff", "pcm_s16be", *b"ID3 "),
        ("wav", "pcm_s16le", *b"id3 "),
        ("wav", "pcm_s16le", *b"LIST"),
        ("w64", "pcm_s16le", *b"list"),
    ] {
        let source = sound(extension, &["-c:a", coded]);
        let (tag, mut bytes) = (id3(3_000_000), read(&source));
        let number = |number: usize| {
            let number = u32::try_from(number).unwrap();
            if extension == "aiff" { number.to_be_bytes() } else { number.to_le_bytes() }
        };
        if extension == "w64" {
            let size = (24 + tag.len() as u64).to_le_bytes();
            bytes.extend([&kind[..], &[7; 12], &size, &tag].concat());
        } else {
            bytes.extend([&kind[..], &number(tag.len()), &tag].concat());
            let all = number(bytes.len() - 8);
            bytes[4..8].copy_from_slice(&all);
        }
        let what = format!("{extension} {kind:?}");
        for (video, extra) in
            [(None, ("container", "mkv")), (Some(picture()), ("container", "auto"))]
        {
            let (file, _) = formats.file(video.as_deref(), Some(&bytes), &[extra], &what);
            assert_eq!(contents(&packets(&source, "a")), contents(&packets(&file, "a")), "{what}");
            lasts(&file, f64::from(SECONDS), &what);
        }
        // Cut within its tag, it is cut.
        let cut = &bytes[..bytes.len() - 1000];
        let answer = formats.get(None, Some(cut), &[("container", "mkv")]);
        assert!((answer.head.status, answer.ending) != (200, Ending::Complete), "{what}");
    }
}

/// What lies in Ogg, AIFF and the like tells its duration, too.
#[test]
fn sounds_tell_how_long_they_play() {
    let formats = Formats::new();
    for (extension, coded) in [
        ("ogg", "libopus"),
        ("ogg", "libvorbis"),
        ("aiff", "pcm_s16be"),
        ("w64", "pcm_s24le"),
        ("au", "pcm_s16be"),
        ("au", "pcm_mulaw"),
    ] {
        let plain = sound(extension, &["-c:a", coded]);
        let (file, kind) = formats.file(None, Some(&read(&plain)), &[("container", "mkv")], coded);
        assert_eq!(kind, "audio/x-matroska");
        assert_eq!(contents(&packets(&plain, "a")), contents(&packets(&file, "a")), "{coded}");
        lasts(&file, f64::from(SECONDS), coded);
    }
}

/// An index longer than what comes by itself does not make a film of a sound.
#[test]
fn a_long_index_of_a_lone_sound_is_passed() {
    let formats = Formats::new();
    let plain = sound("m4a", &["-c:a", "aac", "-b:a", "16k", "-movflags", "+faststart"]);
    let looped = ["-stream_loop", "99", "-i", plain.to_str().unwrap(), "-c", "copy"];
    let flags = ["-metadata", "title=a title", "-movflags", "+faststart"];
    let arguments: Vec<String> =
        [&looped[..], &flags].concat().iter().map(|w| (*w).to_owned()).collect();
    let bytes = read(&media::generate("long-sound", "m4a", &arguments));
    let moov = bytes.windows(4).position(|window| window == b"moov").unwrap();
    let len = u32::from_be_bytes(*bytes[moov - 4..].first_chunk().unwrap());
    assert!(len > 64 << 10, "{len}");
    let (file, kind) = formats.file(None, Some(&bytes), &[], "long");
    assert_eq!((kind.as_str(), read(&file) == bytes), ("audio/mp4", true));
    // And what has a picture behind it is none.
    let film =
        film("mp4", true, &["-map", "1", "-map", "0", "-c:a", "aac", "-movflags", "+faststart"]);
    let (file, kind) = formats.file(None, Some(&read(&film)), &[], "film");
    assert_eq!(kind, "audio/mp4");
    assert_eq!(contents(&packets(&film, "a")), contents(&packets(&file, "a")));
}
