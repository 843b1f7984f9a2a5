//! Sounds: codecs, and the files that they lie in by themselves.

use super::Recipes;

pub(super) fn add(recipes: &mut Recipes) {
    recipes.lines(
        "
        aac.m4a $audio -c:a aac -b:a 64k
        aac-22050.m4a $audio -c:a aac -ar 22050 -b:a 32k
        aac-44100.m4a $audio -c:a aac -ar 44100 -b:a 64k
        aac-96000.m4a $audio -c:a aac -ar 96000 -b:a 64k
        aac-stereo.m4a $audio -c:a aac -ac 2 -b:a 96k
        aac-5.1.m4a $audio -af pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0 -c:a aac -b:a 192k
        opus.webm $audio -c:a libopus -b:a 48k
        opus-60-ms.webm $audio -c:a libopus -b:a 32k -frame_duration 60
        opus-2.5-ms.webm $audio -c:a libopus -application lowdelay -frame_duration 2.5
        vorbis.webm $audio -ac 2 -c:a libvorbis -b:a 64k
        ac3.ac3 $audio -c:a ac3 -b:a 96k
        eac3.eac3 $audio -c:a eac3 -b:a 96k
        mp3.mp3 $audio -c:a libmp3lame -b:a 64k
        mp2.mp2 $audio -c:a mp2 -b:a 96k
        dts.dts $audio -ac 2 -c:a dca -strict -2 -b:a 512k
        truehd.thd $audio -ac 2 -c:a truehd -strict -2
        flac.flac $audio -c:a flac
        alac.m4a $audio -c:a alac
        wav.wav $audio -c:a pcm_s16le

        mp3-vbr.mp3 $audio -c:a libmp3lame -q:a 4
        mp3-22050.mp3 $audio -c:a libmp3lame -ar 22050 -b:a 32k
        mp3-no-xing.mp3 -i @mp3.mp3 -c copy -write_xing 0 -id3v2_version 0
        mp3-vbr-no-xing.mp3 -i @mp3-vbr.mp3 -c copy -write_xing 0
        mp3-id3v1.mp3 -i @mp3.mp3 -c copy -write_id3v1 1 -metadata title=A -id3v2_version 3
        mp3-cover.mp3 -i @mp3.mp3 -i @cover.jpg -map 0 -map 1 -c copy -id3v2_version 3 -disposition:v attached_pic
        cover.jpg -f lavfi -i testsrc2=size=320x320:rate=1:duration=1 -frames:v 1 -q:v 2

        adts.aac -i @aac.m4a -c copy -f adts
        adts-22050.aac -i @aac-22050.m4a -c copy -f adts
        adts-5.1.aac -i @aac-5.1.m4a -c copy -f adts
        adts-id3.aac -i @aac.m4a -c copy -f adts -write_id3v2 1 -metadata title=A
        latm.latm -i @aac.m4a -c copy -f latm

        flac-24-bit.flac $audio -c:a flac -sample_fmt s32 -bits_per_raw_sample 24
        flac-cover.flac -i @flac.flac -i @cover.jpg -map 0 -map 1 -c copy -disposition:v attached_pic
        vorbis.ogg -i @vorbis.webm -c copy
        opus.ogg -i @opus.webm -c copy
        flac.ogg -i @flac.flac -c copy
        opus-60-ms.opus -i @opus-60-ms.webm -c copy
        speex.ogg $audio -ar 16000 -c:a libspeex
        theora-vorbis.ogv -i @theora.ogv -i @vorbis.webm -map 0 -map 1 -c copy

        wav-24-bit.wav $audio -c:a pcm_s24le
        wav-float.wav $audio -c:a pcm_f32le
        wav-8-bit.wav $audio -c:a pcm_u8
        wav-mulaw.wav $audio -c:a pcm_mulaw -ar 8000
        wav-adpcm.wav $audio -c:a adpcm_ms
        wav-5.1.wav $audio -af pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0 -c:a pcm_s16le
        wav-rf64.wav $audio -c:a pcm_s16le -rf64 always
        wav-tagged.wav $audio -c:a pcm_s16le -metadata title=A -metadata artist=B
        wav-mp3.wav -i @mp3.mp3 -c copy

        aiff.aiff $audio -c:a pcm_s16be
        caf.caf $audio -c:a pcm_s16le
        w64.w64 $audio -c:a pcm_s16le
        wavpack.wv $audio -c:a wavpack
        wma.wma $audio -c:a wmav2 -b:a 64k
        ",
    );
}
