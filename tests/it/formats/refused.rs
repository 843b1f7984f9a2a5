//! What is refused: encrypted media, what has no media in it, and what no container takes.

use super::*;

/// Common encryption in all its forms begins with such a sample description.
#[test]
fn encrypted_files_are_refused_whatever_is_wanted_of_them() {
    let formats = Formats::new();
    let key = ["76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"];
    let scheme = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key[0]];
    let coded = [&scheme[..], &["-encryption_kid", key[1]]].concat();
    let flags = ["-c:a", "aac", "-movflags", "+faststart"];
    let locked = read(&film("mp4", true, &[&coded[..], &flags].concat()));
    let clear = sound("m4a", &["-c:a", "aac", "-movflags", "+faststart"]);
    for extra in [&[][..], &[("engine", "ffmpeg")], &[("container", "mkv")], &[("end", "2")]] {
        assert_eq!(formats.refusal(Some(&locked), None, extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(None, Some(&locked), extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&locked), Some(&read(&clear)), extra), "drm");
    }
    // With its index behind the media it is known as soon as that is read.
    let late = read(&film("mp4", true, &[&coded[..], &["-c:a", "aac"]].concat()));
    for extra in [("engine", "ffmpeg"), ("container", "mkv"), ("end", "2")] {
        assert_eq!(formats.refusal(Some(&late), None, &[extra]), "drm", "{extra:?}");
        assert_eq!(formats.refusal(None, Some(&late), &[extra]), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&picture()), Some(&late), &[extra]), "drm");
    }
    // A key that is named opens nothing, and locks nothing either.
    let mut named = read(&clear);
    let at = named.windows(4).position(|window| window == b"udta").unwrap();
    named[at..at + 4].copy_from_slice(b"pssh");
    formats.file(None, Some(&named), &[], "pssh alone");
}

/// The picture is clear, and what is said of the sound comes late.
#[test]
fn an_encrypted_track_is_refused_wherever_it_is_told() {
    let (formats, mut film) = (Formats::new(), long_index("mp4", "aac"));
    let entry = film.windows(4).position(|window| window == b"mp4a").unwrap();
    film[entry..entry + 4].copy_from_slice(b"enca");
    let by_ffmpeg = ("engine", "ffmpeg");
    for extra in [
        &[by_ffmpeg][..],
        &[by_ffmpeg, ("container", "mkv")],
        &[by_ffmpeg, ("start", "2"), ("end", "4")],
        &[("container", "mkv")],
        &[("end", "4")],
        &[("engine", "splice"), ("end", "4")],
    ] {
        assert_eq!(formats.refusal(Some(&film), None, extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(None, Some(&film), extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&picture()), Some(&film), extra), "drm", "{extra:?}");
    }
    // At its end, and nowhere else.
    let at = |what: &[u8]| film.windows(4).position(|window| window == what).unwrap() - 4;
    let (moov, mdat) = (at(b"moov"), at(b"mdat"));
    let behind = [&film[..moov], &film[mdat..], &film[moov..mdat]].concat();
    let by_splice = [("engine", "splice"), ("end", "4")];
    for extra in [&[by_ffmpeg][..], &[("container", "mkv")], &[("end", "4")], &by_splice] {
        assert_eq!(formats.refusal(Some(&behind), None, extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&picture()), Some(&behind), extra), "drm", "{extra:?}");
    }
    // Where no part of it can be asked for, it is read on to.
    let url = formats.origin.put("whole", Resource::bytes(&film[..]));
    for extra in [[by_ffmpeg], [("container", "mkv")]] {
        let answer = formats.daemon.get(&any_path(Some(&url), None, &extra));
        assert_eq!((answer.head.status, answer.code().as_str()), (422, "drm"), "{extra:?}");
    }
}

#[test]
fn what_has_no_media_in_it_is_refused() {
    let formats = Formats::new();
    let bytes = read(&media::minute().video);
    let moof = bytes.windows(4).position(|window| window == b"sidx").unwrap() - 4;
    for extra in [&[][..], &[("engine", "ffmpeg")]] {
        assert_eq!(formats.refusal(Some(&bytes[..moof]), None, extra), "not-media");
    }
}

/// Subtitles alone are no film, whatever they are called.
#[test]
fn what_has_neither_video_nor_audio_is_refused() {
    let formats = Formats::new();
    let lines = formats.directory.path().join("lines.srt");
    std::fs::write(&lines, "1\n00:00:00,500 --> 00:00:01,500\nOne\n").unwrap();
    let shapes: [(&str, &[&str]); 4] = [
        ("mp4", &["-c:s", "mov_text", "-movflags", "+faststart"]),
        ("mp4", &["-c:s", "mov_text", "-movflags", "+frag_keyframe+empty_moov"]),
        ("mkv", &["-c:s", "srt"]),
        ("webm", &["-c:s", "webvtt"]),
    ];
    for (place, (extension, coded)) in shapes.into_iter().enumerate() {
        let file = formats.directory.path().join(format!("text-{place}.{extension}"));
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-i"]).arg(&lines).args(coded).arg(&file);
        assert!(run(&mut command).status.success());
        let bytes = read(&file);
        for extra in [&[][..], &[("container", "mkv")], &[("engine", "ffmpeg")]] {
            let [video, audio] = [(Some(&bytes[..]), None), (None, Some(&bytes[..]))]
                .map(|(video, audio)| formats.get(video, audio, extra));
            for answer in [video, audio] {
                let said = answer.text();
                assert_eq!((answer.head.status, &*answer.code()), (422, "not-media"), "{said}");
            }
        }
    }
}

/// What a muxer says of a codec that its container has no name for is a refusal, which names the codec:
/// not half a file.
#[test]
fn what_no_container_takes_is_refused_before_anything_is_sent() {
    let formats = Formats::new();
    let mut bytes = read(&film("mov", true, &["-c:a", "pcm_s16le", "-movflags", "+faststart"]));
    let at = bytes.windows(4).position(|window| window == b"sowt").unwrap();
    bytes[at..at + 4].copy_from_slice(b"zzzz");
    for extra in [[("engine", "ffmpeg")], [("container", "mkv")]] {
        let answer = formats.get(Some(&bytes), None, &extra);
        assert_eq!((answer.head.status, &*answer.code()), (422, "mux-refused"));
        assert!(answer.text().contains("codec"), "{}", answer.text());
    }
    // And ffmpeg knows some codecs that only their own containers do.
    for (extension, coded) in [("mov", "adpcm_ima_qt"), ("flv", "nellymoser")] {
        let bytes = read(&sound(extension, &["-ar", "44100", "-c:a", coded]));
        for extra in [("container", "mkv"), ("engine", "ffmpeg")] {
            assert_eq!(formats.refusal(None, Some(&bytes), &[extra]), "mux-refused", "{coded}");
        }
    }
}

/// Raw AAC is described by its frames alone, which only MP4 asks for.
#[test]
fn raw_aac_goes_into_mp4_alone_and_says_so() {
    let formats = Formats::new();
    let sound = read(&sound("aac", &["-c:a", "aac"]));
    let theora = read(&film("ogv", false, &["-c:v", "libtheora"]));
    let webm = read(&film("webm", false, &["-c:v", "libvpx", "-cpu-used", "8"]));
    for (video, extra) in [
        (Some(&theora), ("container", "auto")),
        (Some(&webm), ("container", "auto")),
        (Some(&picture()), ("container", "mkv")),
        (None, ("container", "mkv")),
    ] {
        let answer = formats.get(video.map(|video| &video[..]), Some(&sound), &[extra]);
        assert_eq!((answer.head.status, &*answer.code()), (422, "mux-refused"), "{extra:?}");
        assert!(answer.text().contains("nothing but mp4"), "{}", answer.text());
    }
}
