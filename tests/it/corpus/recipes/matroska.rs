//! WebM and Matroska: where their indexes lie, how large their clusters are, and what else is in
//! them.

use super::{Recipes, stem};

/// What ffmpeg's muxer is told; each of them makes another file of the same packets.
const SHAPES: [(&str, &str); 11] = [
    ("plain", ""),
    ("cues-first", "-cues_to_front 1"),
    ("reserved", "-reserve_index_space 4096"),
    ("short-clusters", "-cluster_time_limit 300"),
    ("small-clusters", "-cluster_size_limit 4000"),
    ("live", "-live 1"),
    ("dash", "-dash 1"),
    ("no-crc", "-write_crc32 0"),
    ("default-mode", "-default_mode passthrough"),
    ("late", "-output_ts_offset 10"),
    ("a-little-late", "-output_ts_offset 0.083"),
];

pub(super) fn add(recipes: &mut Recipes) {
    for (shape, options) in SHAPES {
        for (video, audio, extension) in [
            ("vp9.webm", "opus.webm", "webm"),
            ("vp8.webm", "vorbis.webm", "webm"),
            ("h264.mp4", "aac.m4a", "mkv"),
        ] {
            // It is for one track.
            if shape == "dash" {
                continue;
            }
            let name = format!("film-{}-{}.{shape}.{extension}", stem(video), stem(audio));
            let inputs = format!("-i @{video} -i @{audio} -map 0 -map 1 -c copy {options}");
            recipes.file(&name, inputs.trim());
        }
        for coded in ["vp9.webm", "opus.webm"] {
            let arguments = format!("-i @{coded} -c copy {options}");
            recipes.file(&format!("{}.{shape}.webm", stem(coded)), arguments.trim());
        }
    }
    for (name, coded) in [
        ("av1.webm", "av1.mp4"),
        ("av1-aom.webm", "av1-aom.mp4"),
        ("vp9-alt-ref.plain.webm", "vp9-alt-ref.webm"),
        ("vp8.plain.webm", "vp8.webm"),
        ("vorbis.plain.webm", "vorbis.webm"),
        ("opus-60-ms.plain.webm", "opus-60-ms.webm"),
        ("opus-2.5-ms.plain.webm", "opus-2.5-ms.webm"),
        ("h264.mkv", "h264.mp4"),
        ("h264-open-gop.mkv", "h264-open-gop.mp4"),
        ("h264-vfr.mkv", "h264-vfr.mp4"),
        ("h264-interlaced.mkv", "h264-interlaced.mp4"),
        ("h264-2000-fps.mkv", "h264-2000-fps.mp4"),
        ("h264-ntsc.mkv", "h264-ntsc.mp4"),
        ("hevc.mkv", "hevc.mp4"),
        ("mpeg4.mkv", "mpeg4.mp4"),
        ("mjpeg.mkv", "mjpeg.mov"),
        ("prores.mkv", "prores.mov"),
        ("theora.mkv", "theora.ogv"),
        ("aac.mka", "aac.m4a"),
        ("aac-22050.mka", "aac-22050.m4a"),
        ("mp3.mka", "mp3.mp3"),
        ("ac3.mka", "ac3.ac3"),
        ("eac3.mka", "eac3.eac3"),
        ("dts.mka", "dts.dts"),
        ("truehd.mka", "truehd.thd"),
        ("flac.mka", "flac.flac"),
        ("alac.mka", "alac.m4a"),
        ("pcm.mka", "wav.wav"),
        ("vorbis.mka", "vorbis.webm"),
    ] {
        recipes.file(name, &format!("-i @{coded} -c copy"));
    }
    recipes.lines(
        "
        mkv-chapters.mkv -i @film-h264-aac.plain.mkv -i @chapters.ffmeta -map 0 -map_chapters 1 -c copy
        mkv-subtitles.mkv -i @film-h264-aac.plain.mkv -i @lines.srt -map 0 -map 1 -c copy
        mkv-attachment.mkv -i @film-h264-aac.plain.mkv -attach @cover.jpg -metadata:s:t mimetype=image/jpeg -c copy
        mkv-two-audios.mkv -i @h264.mp4 -i @aac.m4a -i @opus.webm -map 0 -map 1 -map 2 -c copy
        mkv-late-audio.mkv -i @h264.mp4 -itsoffset 0.7 -i @aac.m4a -map 0 -map 1 -c copy
        mkv-late-video.mkv -itsoffset 0.7 -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy
        mkv-cut-in.mkv -ss 1.3 -i @film-h264-aac.plain.mkv -c copy
        webm-cut-in.webm -ss 1.3 -i @film-vp9-opus.plain.webm -c copy
        webm-late-audio.webm -i @vp9.webm -itsoffset 0.7 -i @opus.webm -map 0 -map 1 -c copy
        mkv-bframes-hevc.mkv -i @hevc.mp4 -i @ac3.ac3 -map 0 -map 1 -c copy
        ",
    );
}
