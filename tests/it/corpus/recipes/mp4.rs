//! MP4 and its relatives: with one index, where it lies, and in fragments in all ways.

use super::{Nature, Recipes, stem};

/// What ffmpeg's muxer is told; each of them makes another file of the same packets.
const SHAPES: [(&str, &str); 24] = [
    ("plain", ""),
    ("faststart", "-movflags +faststart"),
    ("small-interleave", "-movflags +faststart -max_interleave_delta 1"),
    ("timescale", "-movflags +faststart -video_track_timescale 90000 -movie_timescale 90000"),
    ("no-edits", "-use_editlist 0 -movflags +faststart"),
    ("no-edits-plain", "-use_editlist 0"),
    ("negative-cts-plain", "-movflags +negative_cts_offsets+faststart"),
    ("late", "-output_ts_offset 10 -movflags +faststart"),
    ("a-little-late", "-output_ts_offset 0.083 -movflags +faststart"),
    ("fragments", "-movflags +frag_keyframe+empty_moov"),
    ("base-moof", "-movflags +frag_keyframe+empty_moov+default_base_moof"),
    ("omit-offset", "-movflags +frag_keyframe+empty_moov+omit_tfhd_offset"),
    ("dash", "-movflags +dash+frag_keyframe"),
    ("sidx", "-movflags +dash+global_sidx+frag_keyframe+delay_moov"),
    ("halves", "-movflags +dash+global_sidx -frag_duration 500000"),
    ("cmaf", "-movflags +cmaf+frag_keyframe"),
    ("every-frame", "-movflags +frag_every_frame+empty_moov"),
    ("separate", "-movflags +frag_keyframe+empty_moov+separate_moof"),
    ("negative-cts", "-movflags +frag_keyframe+empty_moov+negative_cts_offsets"),
    ("delay-moov", "-movflags +frag_keyframe+delay_moov"),
    ("no-mfra", "-movflags +frag_keyframe+empty_moov+skip_trailer"),
    ("late-fragments", "-output_ts_offset 10 -movflags +dash+global_sidx+frag_keyframe"),
    ("hybrid", "-movflags +frag_keyframe"),
    ("isml", "-movflags +isml+frag_keyframe -f ismv"),
];
/// The shapes for codecs whose packets are nothing special.
const FEW: [&str; 4] = ["plain", "faststart", "sidx", "delay-moov"];
/// Nothing in a sound ends a fragment.
const SECONDS: &str = "-frag_duration 1000000";

pub(super) fn add(recipes: &mut Recipes) {
    let copy = "-c copy -strict -2";
    for (shape, flags) in SHAPES {
        let fragments = if flags.contains("moof") || flags.contains("frag") { SECONDS } else { "" };
        let fragments = if flags.contains("frag_duration") { "" } else { fragments };
        let every = [("h264.mp4", "mp4", ""), ("aac.m4a", "m4a", fragments)];
        let few: &[_] = if FEW.contains(&shape) {
            &[
                ("hevc.mp4", "mp4", ""),
                ("hev1.mp4", "mp4", "-tag:v hev1"),
                ("av1.mp4", "mp4", ""),
                ("vp9.webm", "mp4", ""),
                ("mpeg4.mp4", "mp4", ""),
                ("h264-open-gop.mp4", "mp4", ""),
                ("opus.webm", "mp4", fragments),
                ("ac3.ac3", "mp4", fragments),
                ("eac3.eac3", "mp4", fragments),
                ("mp3.mp3", "mp4", fragments),
                ("flac.flac", "mp4", fragments),
                ("alac.m4a", "m4a", fragments),
            ]
        } else {
            &[]
        };
        for (coded, extension, more) in every.iter().chain(few) {
            let arguments = format!("-i @{coded} {copy} {flags} {more}");
            recipes.file(&format!("{}.{shape}.{extension}", stem(coded)), &squeezed(&arguments));
        }
        let films: &[(&str, &str)] = if FEW.contains(&shape) {
            &[
                ("h264.mp4", "aac.m4a"),
                ("hevc.mp4", "eac3.eac3"),
                ("av1.mp4", "opus.webm"),
                ("vp9.webm", "flac.flac"),
            ]
        } else {
            &[("h264.mp4", "aac.m4a")]
        };
        for (video, audio) in films {
            let arguments = format!("-i @{video} -i @{audio} -map 0 -map 1 {copy} {flags}");
            let name = format!("film-{}-{}.{shape}.mp4", stem(video), stem(audio));
            recipes.file(&name, &squeezed(&arguments));
        }
    }
    for shape in ["faststart", "sidx"] {
        let flags = SHAPES.iter().find(|(name, _)| *name == shape).expect("a shape").1;
        for coded in [
            "no-b",
            "long-gop",
            "intra",
            "sar",
            "interlaced",
            "444",
            "10-bit",
            "vfr",
            "ntsc",
            "2000-fps",
            "1-fps",
            "one-frame",
            "rotated",
        ] {
            let name = format!("h264-{coded}.{shape}.mp4");
            recipes.file(&name, &format!("-i @h264-{coded}.mp4 -c copy {flags}"));
        }
        for coded in ["22050", "44100", "96000", "stereo", "5.1"] {
            let name = format!("aac-{coded}.{shape}.m4a");
            recipes.file(&name, &format!("-i @aac-{coded}.m4a -c copy {flags}"));
        }
    }
    others(recipes);
    encrypted(recipes);
}

/// Cut at a place that needs an edit list, with more or other tracks, and under other names.
fn others(recipes: &mut Recipes) {
    recipes.lines(
        "
        cut-in.mp4 -ss 1.32 -i @film-h264-aac.faststart.mp4 -c copy -movflags +faststart
        cut-in-fragments.mp4 -ss 1.32 -i @film-h264-aac.faststart.mp4 -c copy -movflags +delay_moov+frag_keyframe
        cut-in-video.mp4 -ss 1.32 -i @h264.mp4 -c copy -movflags +faststart
        cut-in-audio.m4a -ss 1.32 -i @aac.m4a -c copy -movflags +faststart
        late-audio.mp4 -i @h264.mp4 -itsoffset 0.7 -i @aac.m4a -map 0 -map 1 -c copy -movflags +faststart
        late-video.mp4 -itsoffset 0.7 -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy -movflags +faststart
        late-audio-fragments.mp4 -i @h264.mp4 -itsoffset 0.7 -i @aac.m4a -map 0 -map 1 -c copy -movflags +delay_moov+frag_keyframe
        two-audios.mp4 -i @h264.mp4 -i @aac.m4a -i @aac-44100.m4a -map 0 -map 1 -map 2 -c copy -movflags +faststart
        two-audios-plain.mp4 -i @h264.mp4 -i @aac.m4a -i @ac3.ac3 -map 0 -map 1 -map 2 -c copy
        two-videos.mp4 -i @h264.mp4 -i @hevc.mp4 -map 0 -map 1 -c copy -movflags +faststart
        audio-first.mp4 -i @aac.m4a -i @h264.mp4 -map 0 -map 1 -c copy -movflags +faststart
        mov-tmcd.mov -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy -timecode 01:00:00:00
        mov-faststart.mov -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy -movflags +faststart
        mov-plain.mov -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy
        mov-hevc-plain.mov -i @hevc.mp4 -i @aac.m4a -map 0 -map 1 -c copy -tag:v hvc1
        mov-h264-pcm.mov -i @h264.mp4 -i @wav.wav -map 0 -map 1 -c copy
        mov-h264-pcm-faststart.mov -i @h264.mp4 -i @wav.wav -map 0 -map 1 -c copy -movflags +faststart
        mov-prores-pcm.mov -i @prores.mov -i @wav-24-bit.wav -map 0 -map 1 -c copy
        mov-mjpeg-faststart.mov -i @mjpeg.mov -c copy -movflags +faststart
        mov-alac.mov -i @alac.m4a -c copy
        mov-pcm.mov -i @wav.wav -c copy -movflags +faststart
        3gp.3gp -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy
        3gp-mpeg4.3gp -i @mpeg4.mp4 -i @aac.m4a -map 0 -map 1 -c copy -movflags +faststart
        m4v.m4v -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy -f ipod
        m4a-cover.m4a -i @aac.m4a -i @cover.jpg -map 0 -map 1 -c copy -disposition:v attached_pic
        m4a-cover-faststart.m4a -i @aac.m4a -i @cover.jpg -map 0 -map 1 -c copy -disposition:v attached_pic -movflags +faststart
        m4a-chapters.m4a -i @aac.m4a -i @chapters.ffmeta -map 0 -map_chapters 1 -c copy
        m4a-chapters-faststart.m4a -i @aac.m4a -i @chapters.ffmeta -map 0 -map_chapters 1 -c copy -movflags +faststart
        film-chapters.mp4 -i @film-h264-aac.plain.mp4 -i @chapters.ffmeta -map 0 -map_chapters 1 -c copy -movflags +faststart
        film-chapters-plain.mp4 -i @film-h264-aac.plain.mp4 -i @chapters.ffmeta -map 0 -map_chapters 1 -c copy
        film-subtitles.mp4 -i @film-h264-aac.plain.mp4 -i @lines.srt -map 0 -map 1 -c copy -c:s mov_text -movflags +faststart
        film-subtitles-plain.mp4 -i @film-h264-aac.plain.mp4 -i @lines.srt -map 0 -map 1 -c copy -c:s mov_text
        early-pictures.mp4 -i @h264.mp4 -i @flac.flac -map 0 -map 1 -c copy -strict -2 -movflags +negative_cts_offsets+faststart
        wide.mov -i @aac.m4a -f lavfi -i testsrc2=size=1024x512:rate=25:duration=0.4 -t 0.4 -map 0 -map 1 -c:a copy -c:v v210 -pix_fmt yuv422p10
        flv.flv -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy
        flv-mp3.flv -i @h264.mp4 -i @mp3.mp3 -map 0 -map 1 -c copy -ar 44100 -c:a libmp3lame
        ts.ts -i @h264.mp4 -i @aac.m4a -map 0 -map 1 -c copy
        ts-hevc-ac3.ts -i @hevc.mp4 -i @ac3.ac3 -map 0 -map 1 -c copy
        ts-mp2.ts -i @mpeg2.ts -i @mp2.mp2 -map 0 -map 1 -c copy
        m2ts.m2ts -i @h264.mp4 -i @ac3.ac3 -map 0 -map 1 -c copy
        ts-aac.ts -i @aac.m4a -c copy
        avi.avi -i @mpeg4.mp4 -i @mp3.mp3 -map 0 -map 1 -c copy
        ",
    );
    let lines = "-i @lines.srt -c:s mov_text -movflags +faststart";
    recipes.file("lines-alone.mp4", lines).nature = Nature::Junk;
    recipes.derived("chapters.ffmeta", "cover.jpg", |_| {
        let chapter = |from: u32, to: u32| {
            format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={from}\nEND={to}\ntitle=from {from}\n")
        };
        format!(";FFMETADATA1\ntitle=A\n{}{}", chapter(0, 2000), chapter(2000, 4000)).into()
    });
    recipes.derived("lines.srt", "cover.jpg", |_| {
        "1\n00:00:00,500 --> 00:00:01,500\nOne\n\n2\n00:00:02,000 --> 00:00:03,000\nTwo\n".into()
    });
}

fn encrypted(recipes: &mut Recipes) {
    let key = "-encryption_scheme cenc-aes-ctr -encryption_key 00112233445566778899aabbccddeeff \
               -encryption_kid 112233445566778899aabbccddeeff00";
    for (name, of) in [("cenc-video.mp4", "h264.mp4"), ("cenc-audio.m4a", "aac.m4a")] {
        for (shape, flags) in [("", "+faststart"), ("-fragments", "+frag_keyframe+empty_moov")] {
            let file = name.replace('.', &format!("{shape}."));
            let arguments = format!("-i @{of} -c copy {key} -movflags {flags}");
            recipes.file(&file, &squeezed(&arguments)).nature = Nature::Encrypted;
        }
    }
}

/// One space between words.
fn squeezed(arguments: &str) -> String {
    arguments.split_whitespace().collect::<Vec<_>>().join(" ")
}
