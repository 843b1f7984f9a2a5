//! Coded video, and sounds that go with it; what containers are filled with.

use super::Recipes;

/// How libx264 is told to make small files fast: a key frame each second.
const X264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 100k -g 25";

pub(super) fn add(recipes: &mut Recipes) {
    for (name, source, options) in [
        ("h264", "$video", "-bf 2"),
        ("h264-no-b", "$video", "-bf 0"),
        ("h264-open-gop", "$video", "-bf 3 -x264-params open-gop=1:b-pyramid=normal"),
        ("h264-long-gop", "$video", "-bf 2 -g 250"),
        ("h264-intra", "$video", "-g 1"),
        ("h264-sar", "$video", "-bf 2 -vf setsar=4/3"),
        ("h264-interlaced", "$video", "-s 160x96 -bf 2 -flags +ildct+ilme -x264-params tff=1"),
        ("h264-444", "$video", "-bf 2 -pix_fmt yuv444p"),
        ("h264-10-bit", "$video", "-bf 2 -pix_fmt yuv420p10le"),
        ("h264-vfr", "$video", "-bf 2 -vf select=not(eq(mod(n\\,7)\\,3)) -fps_mode vfr"),
        ("h264-ntsc", "-f lavfi -i testsrc2=size=160x90:rate=30000/1001:duration=4", "-bf 2"),
        ("h264-2000-fps", "-f lavfi -i testsrc2=size=32x32:rate=2000:duration=1", "-g 500"),
        ("h264-1-fps", "-f lavfi -i testsrc2=size=160x90:rate=1:duration=6", "-bf 2 -g 2"),
        ("h264-one-frame", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=0.04", "-bf 0"),
    ] {
        recipes.file(&format!("{name}.mp4"), &format!("{source} {X264} {options}"));
    }
    recipes.lines(
        "
        h264-rotated.mp4 -i @h264.mp4 -c copy -metadata:s:v:0 rotate=90
        hevc.mp4 $video -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -tag:v hvc1
        hev1.mp4 -i @hevc.mp4 -c copy -tag:v hev1
        av1.mp4 $video -c:v libsvtav1 -preset 12 -g 25 -svtav1-params fast-decode=1
        av1-aom.mp4 $video -c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -b:v 100k
        vp9.webm $video -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 100k
        vp9-alt-ref.webm $video -c:v libvpx-vp9 -cpu-used 5 -lag-in-frames 16 -auto-alt-ref 1 -g 50 -b:v 100k
        vp8.webm $video -c:v libvpx -deadline realtime -g 25 -b:v 100k
        vp8-alpha.webm $video -vf format=yuva420p -c:v libvpx -auto-alt-ref 0 -deadline realtime -g 25 -b:v 100k
        mpeg4.mp4 $video -c:v mpeg4 -g 25 -bf 2 -b:v 100k
        mpeg2.ts $video -c:v mpeg2video -g 12 -bf 2 -b:v 200k
        mjpeg.mov $video -c:v mjpeg -q:v 10
        prores.mov $video -c:v prores_ks -profile:v 0
        theora.ogv $video -c:v libtheora -g 25 -b:v 100k
        ffv1.mkv $video -c:v ffv1 -g 1
        ",
    );
}
