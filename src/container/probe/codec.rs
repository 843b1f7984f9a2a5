//! [`Codec`] identifies codecs by their names in containers, and knows which containers take them.

use std::fmt;

/// A codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// AVC, ISO/IEC 14496-10.
    H264,
    /// ISO/IEC 23008-2.
    Hevc,
    /// ISO/IEC 23090-3.
    Vvc,
    /// AV1.
    Av1,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// MPEG-4 Visual, ISO/IEC 14496-2.
    Mpeg4,
    /// MPEG-1 or MPEG-2 video.
    Mpeg2,
    /// Motion JPEG.
    Mjpeg,
    /// Theora.
    Theora,
    /// AAC of any kind.
    Aac,
    /// MPEG audio layer III.
    Mp3,
    /// MPEG audio layer II.
    Mp2,
    /// MPEG audio layer I.
    Mp1,
    /// AC-3, ETSI TS 102 366.
    Ac3,
    /// Enhanced AC-3, annex E of the same.
    Eac3,
    /// Apple Lossless.
    Alac,
    /// FLAC, RFC 9639.
    Flac,
    /// Opus, RFC 6716.
    Opus,
    /// Vorbis.
    Vorbis,
    /// Speex.
    Speex,
    /// Uncompressed samples.
    Pcm,
    /// Uncompressed samples of ISO/IEC 23003-5 other than 16-bit little-endian, which is what an ffmpeg
    /// before 6.1 takes them for without reading the description.
    IsoPcm,
    /// DTS.
    Dts,
    /// Dolby TrueHD.
    TrueHd,
    /// MPEG-H 3D audio, ISO/IEC 23008-3.
    MpegH,
    /// Any other codec.
    Other,
}

impl Codec {
    /// Returns whether MP4 can hold the codec in a form that players support.
    pub fn fits_mp4(self) -> bool {
        use Codec::*;
        matches!(
            self,
            H264 | Hevc
                | Vvc
                | Av1
                | Vp9
                | Mpeg4
                | Mpeg2
                | Mjpeg
                | Aac
                | Mp3
                | Mp2
                | Ac3
                | Eac3
                | Alac
                | Flac
                | Opus
                | Dts
                | MpegH
        )
    }

    /// Returns whether WebM allows the codec (WebM Container Guidelines).
    pub fn fits_webm(self) -> bool {
        matches!(self, Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opus | Codec::Vorbis)
    }

    /// Returns whether the header of a file has everything that the header of an MP4 needs. For other
    /// codecs ffmpeg has to see a packet first.
    pub fn is_described(self) -> bool {
        use Codec::*;
        matches!(self, H264 | Hevc | Av1 | Mpeg4 | Aac | Mp3 | Alac | Flac | Opus)
    }

    /// Returns the codec of a sample entry (ISO/IEC 14496-12 §8.5.2; mp4ra.org) with this type and payload.
    pub(super) fn of_sample_entry(kind: [u8; 4], entry: &[u8]) -> Codec {
        match &kind {
            b"avc1" | b"avc2" | b"avc3" | b"avc4" | b"dva1" | b"dvav" => Codec::H264,
            b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => Codec::Hevc,
            b"vvc1" | b"vvi1" => Codec::Vvc,
            b"av01" | b"dav1" => Codec::Av1,
            b"vp08" => Codec::Vp8,
            b"vp09" => Codec::Vp9,
            b"mp4v" => match object_type(entry) {
                Some(0x20) | None => Codec::Mpeg4,
                Some(0x60..=0x65 | 0x6a) => Codec::Mpeg2,
                Some(0x6c) => Codec::Mjpeg,
                Some(_) => Codec::Other,
            },
            b"mp4a" => match object_type(entry) {
                Some(0x40 | 0x66..=0x68) | None => Codec::Aac,
                // Both values are used for layer II and III alike.
                Some(0x69 | 0x6b) => Codec::Mp3,
                Some(0xa5) => Codec::Ac3,
                Some(0xa6) => Codec::Eac3,
                Some(0xa9) => Codec::Dts,
                Some(0xad) => Codec::Opus,
                Some(0xdd) => Codec::Vorbis,
                Some(_) => Codec::Other,
            },
            b".mp3" | b"ms\0\x55" => Codec::Mp3,
            b".mp2" => Codec::Mp2,
            b"ac-3" => Codec::Ac3,
            b"ec-3" => Codec::Eac3,
            b"alac" => Codec::Alac,
            b"fLaC" => Codec::Flac,
            b"Opus" => Codec::Opus,
            b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" => Codec::Dts,
            b"mlpa" => Codec::TrueHd,
            b"mha1" | b"mha2" | b"mhm1" | b"mhm2" => Codec::MpegH,
            b"ipcm" if is_plain_pcm(entry) => Codec::Pcm,
            b"ipcm" | b"fpcm" => Codec::IsoPcm,
            b"sowt" | b"twos" | b"lpcm" | b"raw " | b"in24" | b"in32" | b"fl32" | b"fl64"
            | b"NONE" => Codec::Pcm,
            _ => Codec::Other,
        }
    }

    /// Returns the codec of a CodecID (RFC 9559 §5.1.4.1.21 and its registry).
    pub(super) fn of_codec_id(id: &[u8]) -> Codec {
        match id {
            b"V_MPEG4/ISO/AVC" => Codec::H264,
            b"V_MPEGH/ISO/HEVC" => Codec::Hevc,
            b"V_MPEGI/ISO/VVC" => Codec::Vvc,
            b"V_AV1" => Codec::Av1,
            b"V_VP8" => Codec::Vp8,
            b"V_VP9" => Codec::Vp9,
            b"V_MPEG1" | b"V_MPEG2" => Codec::Mpeg2,
            b"V_MJPEG" => Codec::Mjpeg,
            b"V_THEORA" => Codec::Theora,
            b"A_MPEG/L3" => Codec::Mp3,
            b"A_MPEG/L2" => Codec::Mp2,
            b"A_MPEG/L1" => Codec::Mp1,
            b"A_EAC3" => Codec::Eac3,
            b"A_ALAC" => Codec::Alac,
            b"A_FLAC" => Codec::Flac,
            b"A_OPUS" => Codec::Opus,
            b"A_VORBIS" => Codec::Vorbis,
            b"A_TRUEHD" => Codec::TrueHd,
            _ if id.starts_with(b"V_MPEG4/ISO/") => Codec::Mpeg4,
            _ if id.starts_with(b"A_AAC") => Codec::Aac,
            _ if id.starts_with(b"A_AC3") => Codec::Ac3,
            _ if id.starts_with(b"A_DTS") => Codec::Dts,
            _ if id.starts_with(b"A_PCM/") => Codec::Pcm,
            _ => Codec::Other,
        }
    }

    /// Returns the codec with this name in ffmpeg's description of a stream.
    pub fn of_ffmpeg_name(name: &str) -> Codec {
        match name {
            "h264" => Codec::H264,
            "hevc" => Codec::Hevc,
            "vvc" => Codec::Vvc,
            "av1" => Codec::Av1,
            "vp8" => Codec::Vp8,
            "vp9" => Codec::Vp9,
            "mpeg4" => Codec::Mpeg4,
            "mpeg1video" | "mpeg2video" => Codec::Mpeg2,
            "mjpeg" => Codec::Mjpeg,
            "theora" => Codec::Theora,
            "aac" | "aac_latm" => Codec::Aac,
            "mp3" | "mp3float" => Codec::Mp3,
            "mp2" | "mp2float" => Codec::Mp2,
            "mp1" | "mp1float" => Codec::Mp1,
            "ac3" => Codec::Ac3,
            "eac3" => Codec::Eac3,
            "alac" => Codec::Alac,
            "flac" => Codec::Flac,
            "opus" => Codec::Opus,
            "vorbis" => Codec::Vorbis,
            "speex" => Codec::Speex,
            "dts" => Codec::Dts,
            "truehd" => Codec::TrueHd,
            "mpegh_3d_audio" => Codec::MpegH,
            _ if name.starts_with("pcm_") => Codec::Pcm,
            _ => Codec::Other,
        }
    }

    /// Returns whether a track declared as this codec may turn out to be `other` by its packets: some
    /// are declared as a related codec, and S/PDIF streams lie in PCM (IEC 61937). Nothing is known
    /// about [`Codec::Other`].
    pub fn may_be(self, other: Codec) -> bool {
        use Codec::*;
        let family = |codec| match codec {
            Mp1 | Mp2 => Mp3,
            Eac3 => Ac3,
            IsoPcm => Pcm,
            codec => codec,
        };
        [self, other].contains(&Other)
            || family(self) == family(other)
            || self == Pcm && matches!(other, Ac3 | Eac3 | Dts | Aac | Mp1 | Mp2 | Mp3 | TrueHd)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::H264 => "H.264",
            Codec::Hevc => "HEVC",
            Codec::Vvc => "VVC",
            Codec::Av1 => "AV1",
            Codec::Vp8 => "VP8",
            Codec::Vp9 => "VP9",
            Codec::Mpeg4 => "MPEG-4 Visual",
            Codec::Mpeg2 => "MPEG-2 video",
            Codec::Mjpeg => "Motion JPEG",
            Codec::Theora => "Theora",
            Codec::Aac => "AAC",
            Codec::Mp3 => "MP3",
            Codec::Mp2 => "MP2",
            Codec::Mp1 => "MP1",
            Codec::Ac3 => "AC-3",
            Codec::Eac3 => "E-AC-3",
            Codec::Alac => "ALAC",
            Codec::Flac => "FLAC",
            Codec::Opus => "Opus",
            Codec::Vorbis => "Vorbis",
            Codec::Speex => "Speex",
            Codec::Pcm => "PCM",
            Codec::Dts => "DTS",
            Codec::TrueHd => "TrueHD",
            Codec::MpegH => "MPEG-H",
            Codec::IsoPcm => "PCM that is not of 16 bits, the lowest first",
            Codec::Other => "something else",
        })
    }
}

/// Whether PCM is of 16 bits in little-endian order (ISO/IEC 23003-5 §5.2.4).
fn is_plain_pcm(entry: &[u8]) -> bool {
    let at = entry.windows(4).position(|window| window == b"pcmC");
    // Behind version and flags.
    at.and_then(|at| entry.get(at + 8..at + 10)).is_some_and(|config| config == [1, 16])
}

/// What an ES descriptor says of its stream (ISO/IEC 14496-1 §7.2.6.5 and table 5).
fn object_type(entry: &[u8]) -> Option<u8> {
    let at = entry.windows(4).position(|window| window == b"esds")?;
    // Behind version and flags.
    let (tag, es) = descriptor(entry.get(at + 8..)?)?;
    let config = match tag {
        3 => {
            let flags = *es.get(2)?;
            let url = if flags & 0x40 == 0 { 0 } else { 1 + usize::from(*es.get(3)?) };
            let skip = 3 + usize::from(flags >> 7 & 1) * 2 + url + usize::from(flags >> 5 & 1) * 2;
            es.get(skip..)?
        }
        _ => return None,
    };
    match descriptor(config)? {
        (4, config) => config.first().copied(),
        _ => None,
    }
}

/// The tag of a descriptor, and what follows its length, which has 7 bits a byte (§8.3.3).
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let length = bytes.get(1..)?.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    Some((*bytes.first()?, &bytes[length + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcm_tells_its_bytes() {
        let entry = |config: [u8; 2]| [&b"\0\0\0\x0epcmC\0\0\0\0"[..], &config].concat();
        let of = |kind, config| Codec::of_sample_entry(kind, &entry(config));
        assert_eq!(of(*b"ipcm", [1, 16]), Codec::Pcm);
        assert_eq!(of(*b"ipcm", [0, 16]), Codec::IsoPcm);
        assert_eq!(of(*b"ipcm", [1, 24]), Codec::IsoPcm);
        assert_eq!(of(*b"fpcm", [1, 32]), Codec::IsoPcm);
        assert_eq!(Codec::of_sample_entry(*b"mhm1", b""), Codec::MpegH);
    }

    #[test]
    fn an_mp4a_entry_tells_what_is_in_it() {
        let entry = |object_type: u8, wide: bool| {
            let len = |len: u8| if wide { vec![0x80, 0x80, 0x80, len] } else { vec![len] };
            let es = [&[3][..], &len(25), &[0, 1, 0], &[4], &len(17), &[object_type, 0x15]];
            [&[0; 28][..], &[0, 0, 0, 51], b"esds", &[0; 4], &es.concat()].concat()
        };
        for wide in [false, true] {
            let of = |object_type| Codec::of_sample_entry(*b"mp4a", &entry(object_type, wide));
            assert_eq!(of(0x40), Codec::Aac);
            assert_eq!(of(0x6b), Codec::Mp3);
            assert_eq!(of(0xa5), Codec::Ac3);
            assert_eq!(of(0xe1), Codec::Other);
        }
        assert_eq!(Codec::of_sample_entry(*b"mp4a", b""), Codec::Aac);
        assert_eq!(Codec::of_sample_entry(*b"samr", b""), Codec::Other);
    }
}
