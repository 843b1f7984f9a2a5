//! A hundred sounds: sources of all kinds, and what is requested of them.

use std::path::PathBuf;

use crate::support::media::generate;

/// A sound and a request for it.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) kind: Kind,
    pub(super) rate: u32,
    pub(super) channels: u32,
    /// The number of samples.
    pub(super) samples: u64,
    /// The time range in milliseconds.
    pub(super) start: Option<u64>,
    pub(super) end: Option<u64>,
    /// The bit rate of MP3; otherwise it is WAVE.
    pub(super) kbits: Option<u32>,
}

/// How the source is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// AAC in MP4 with its index in front, and an edit list.
    Aac,
    /// The same with its index behind.
    AacBehind,
    /// AAC in fragments without an edit list.
    AacFragments,
    /// AAC in fragments with an edit list.
    AacEdited,
    /// AAC beside a video.
    AacOfFilm,
    /// Opus in MP4.
    OpusMp4,
    /// Opus in MP4, in fragments.
    OpusFragments,
    /// Opus in Ogg.
    OpusOgg,
    /// Vorbis in Ogg.
    Vorbis,
    /// FLAC.
    Flac,
    /// FLAC in MP4.
    FlacMp4,
    /// Apple Lossless.
    Alac,
}

const KINDS: [Kind; 12] = [
    Kind::Aac,
    Kind::AacFragments,
    Kind::OpusOgg,
    Kind::Flac,
    Kind::AacBehind,
    Kind::OpusMp4,
    Kind::AacEdited,
    Kind::Alac,
    Kind::AacOfFilm,
    Kind::OpusFragments,
    Kind::Vorbis,
    Kind::FlacMp4,
];
const RATES: [u32; 12] =
    [44_100, 48_000, 8000, 22_050, 96_000, 32_000, 11_025, 88_200, 16_000, 24_000, 64_000, 12_000];
const BITRATES: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/// All recipes, always the same. The last one is of three hours.
pub(super) fn all() -> Vec<Recipe> {
    let mut state = 19u64;
    let mut random = |below: u64| {
        // Knuth's MMIX.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut recipes: Vec<Recipe> = (0..99)
        .map(|number: usize| {
            let kind = KINDS[number % KINDS.len()];
            let rate = match (kind, RATES[(number / 3 + number) % RATES.len()]) {
                // Opus and its encoder know few rates; the decoder gives 48 kHz.
                (Kind::OpusMp4 | Kind::OpusOgg | Kind::OpusFragments, _) => 48_000,
                (_, rate) => rate,
            };
            let millis =
                if number % 25 == 24 { 600_000 + random(90_000) } else { 1000 + random(19_000) };
            let samples = millis * u64::from(rate) / 1000 + random(1152);
            let start = (random(3) == 0).then(|| random(millis * 2 / 3));
            let end = (random(3) == 0).then(|| millis * 2 / 3 + 1 + random(millis / 2));
            let kbits = (number % 3 != 2).then(|| BITRATES[random(14) as usize]);
            let channels = 1 + random(2) as u32;
            Recipe { kind, rate, channels, samples, start, end, kbits }
        })
        .collect();
    recipes.push(Recipe {
        kind: Kind::AacFragments,
        rate: 44_100,
        channels: 2,
        samples: 3 * 3600 * 44_100 + 17,
        start: None,
        end: None,
        kbits: Some(128),
    });
    recipes
}

impl Recipe {
    /// Returns the parameters of the request.
    pub(super) fn parameters(&self) -> String {
        let container = match self.kbits {
            Some(kbits) => format!("container=mp3&bitrate={kbits}"),
            None => "container=wav".into(),
        };
        let time = |name: &str, millis: Option<u64>| {
            millis.map(|millis| format!("&{name}={}", millis as f64 / 1000.0)).unwrap_or_default()
        };
        container + &time("start", self.start) + &time("end", self.end)
    }

    /// Returns the samples of the source that are requested, if the source has as many as were encoded.
    pub(super) fn requested(&self) -> std::ops::Range<u64> {
        let at = |millis: u64| (millis * u64::from(self.rate) + 500) / 1000;
        let end = self.end.map_or(self.samples, |end| at(end).min(self.samples));
        self.start.map_or(0, at)..end
    }

    /// Makes the source.
    pub(super) fn source(&self) -> PathBuf {
        let Recipe { kind, rate, channels, samples, .. } = *self;
        // Not the same at any two times.
        let sound = format!(
            "aevalsrc=0.4*sin(2*PI*(200+20*t)*t)+0.1*sin(5000*t*t):s={rate}:c={},atrim=end_sample={samples}",
            if channels == 1 { "mono" } else { "FL" },
        );
        let (codec, extension) = match kind {
            Kind::OpusMp4 | Kind::OpusFragments => ("libopus", "mp4"),
            Kind::OpusOgg => ("libopus", "opus"),
            Kind::Vorbis => ("libvorbis", "ogg"),
            Kind::Flac => ("flac", "flac"),
            Kind::FlacMp4 => ("flac", "mp4"),
            Kind::Alac => ("alac", "m4a"),
            _ => ("aac", "mp4"),
        };
        let flags = match kind {
            Kind::AacBehind | Kind::OpusOgg | Kind::Vorbis | Kind::Flac => "",
            Kind::AacFragments | Kind::OpusFragments => {
                "-movflags frag_keyframe+empty_moov+default_base_moof -frag_duration 2000000"
            }
            Kind::AacEdited => {
                "-movflags frag_keyframe+delay_moov+default_base_moof -frag_duration 2000000"
            }
            _ => "-movflags +faststart",
        };
        let mut arguments: Vec<String> = ["-f", "lavfi", "-i"].map(String::from).into();
        arguments.push(sound);
        if kind == Kind::AacOfFilm {
            let video =
                "-f lavfi -i testsrc=size=64x36:rate=5 -c:v libx264 -preset ultrafast -shortest";
            arguments.extend(video.split(' ').map(String::from));
        }
        let coded = format!("-ac {channels} -strict experimental -c:a {codec} {flags}");
        arguments.extend(coded.split_whitespace().map(String::from));
        generate(&format!("sound-{kind:?}-{rate}-{channels}-{samples}"), extension, &arguments)
    }

    /// Returns what a page calls the codec.
    pub(super) fn codec(&self) -> &'static str {
        match self.kind {
            Kind::OpusMp4 | Kind::OpusOgg | Kind::OpusFragments => "opus",
            Kind::Vorbis => "vorbis",
            Kind::Flac | Kind::FlacMp4 => "flac",
            Kind::Alac => "alac",
            _ => "aac",
        }
    }
}
