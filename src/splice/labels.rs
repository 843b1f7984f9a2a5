//! What the header of a track says beside its media: language and name, and which of several audio tracks is played
//! by default. Pure.
//!
//! **Invariant:** a lone audio track without a label has the header that its file gives it.

use crate::container::ebml::{self, ids, uint};
use crate::container::isobmff::{self, boxed};
use crate::media::TrackKind;
use crate::media::language::Language;
use crate::media::track_label::TrackLabel;

/// The group of the audio tracks of which a player plays one (ISO/IEC 14496-12 §8.3.2).
const AUDIO_GROUP: u16 = 1;
/// The length of a handler before its name (§8.4.3).
const HANDLER_LEN: usize = 24;

/// The label of a track, and its role among the tracks of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HeaderLabel<'l> {
    label: Option<&'l TrackLabel>,
    role: Role,
}

/// The role of a track among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Role {
    /// It is the only one.
    #[default]
    Only,
    /// It is played unless another one is chosen.
    Default,
    /// It is played if it is chosen.
    Alternative,
}

/// Returns the labels of the tracks of the joined file, each of a kind and from the file with this index; `labels` are
/// those of the files.
pub(super) fn header_labels(
    tracks: impl Iterator<Item = (TrackKind, usize)> + Clone,
    labels: &[TrackLabel],
) -> Vec<HeaderLabel<'_>> {
    let audios = tracks.clone().filter(|(kind, _)| *kind == TrackKind::Audio).count();
    let mut is_first = true;
    let of = tracks.map(|(kind, file)| HeaderLabel {
        label: labels.get(file),
        role: match kind {
            TrackKind::Audio if audios > 1 && std::mem::take(&mut is_first) => Role::Default,
            TrackKind::Audio if audios > 1 => Role::Alternative,
            _ => Role::Only,
        },
    });
    of.collect()
}

impl HeaderLabel<'_> {
    fn language(&self) -> Option<&Language> {
        self.label?.language.as_ref()
    }

    fn name(&self) -> Option<&str> {
        self.label?.name.as_deref()
    }

    /// Returns whether an extended language (elng) of the input is replaced by that of the label.
    pub(super) fn replaces_language(&self) -> bool {
        self.language().is_some()
    }

    /// Returns a track header (§8.3.2) by the role of the track: players enable one of a group.
    pub(super) fn tkhd(&self, mut tkhd: Vec<u8>) -> Vec<u8> {
        let payload = payload_at(&tkhd);
        let group = payload + if tkhd.get(payload) == Some(&1) { 46 } else { 34 };
        if self.role == Role::Only || tkhd.len() < group + 2 {
            return tkhd;
        }
        tkhd[group..group + 2].copy_from_slice(&AUDIO_GROUP.to_be_bytes());
        if self.role == Role::Alternative {
            tkhd[payload + 3] &= !1;
        }
        tkhd
    }

    /// Returns a media header (§8.4.2) with the language, followed by the complete tag (elng, §8.4.6) if that tells
    /// more.
    pub(super) fn mdhd(&self, mut mdhd: Vec<u8>) -> Vec<u8> {
        let payload = payload_at(&mdhd);
        let at = payload + if mdhd.get(payload) == Some(&1) { 32 } else { 20 };
        let Some(language) = self.language().filter(|_| mdhd.len() >= at + 2) else { return mdhd };
        let letters = language.terminologic().map(|letter| u16::from(letter - 0x60));
        let packed = letters.iter().fold(0, |packed, letter| packed << 5 | letter);
        mdhd[at..at + 2].copy_from_slice(&packed.to_be_bytes());
        if language.has_subtags() {
            mdhd.extend(boxed(b"elng", &[&[0; 4], language.as_str().as_bytes(), b"\0"]));
        }
        mdhd
    }

    /// Returns a handler (§8.4.3) with the name.
    pub(super) fn hdlr(&self, hdlr: Vec<u8>) -> Vec<u8> {
        let payload = hdlr.get(payload_at(&hdlr)..).unwrap_or_default();
        match (self.name(), payload.get(..HANDLER_LEN)) {
            (Some(name), Some(fields)) => boxed(b"hdlr", &[fields, name.as_bytes(), b"\0"]),
            _ => hdlr,
        }
    }

    /// Returns user data with the name (`udta`, §8.10.1), for the end of a trak; no bytes if there is none. ffmpeg
    /// writes the name like this, and players that show no handlers show it.
    pub(super) fn udta(&self) -> Vec<u8> {
        let name = self.name().map(|name| boxed(b"name", &[name.as_bytes()]));
        name.map(|name| boxed(b"udta", &[&name])).unwrap_or_default()
    }

    /// Returns the fields of a TrackEntry (RFC 9559 §5.1.4.1) that differ from those of the input, `rest`, with these.
    pub(super) fn track_entry(&self, rest: &[u8]) -> Vec<u8> {
        let mut fields = Vec::new();
        if self.role == Role::Alternative {
            fields.extend(uint(ids::FLAG_DEFAULT, 0));
        }
        for field in ebml::children(rest).flatten() {
            let is_replaced = match field.id {
                ids::LANGUAGE | ids::LANGUAGE_BCP47 => self.language().is_some(),
                ids::NAME => self.name().is_some(),
                _ => false,
            };
            if !is_replaced {
                fields.extend_from_slice(field.bytes);
            }
        }
        if let Some(name) = self.name() {
            fields.extend(ebml::element(ids::NAME, &[name.as_bytes()]));
        }
        if let Some(language) = self.language() {
            fields.extend(ebml::element(ids::LANGUAGE, &[&language.bibliographic()]));
            if language.has_subtags() {
                fields.extend(ebml::element(ids::LANGUAGE_BCP47, &[language.as_str().as_bytes()]));
            }
        }
        fields
    }
}

/// Returns where the payload of a box begins.
fn payload_at(bytes: &[u8]) -> usize {
    isobmff::header(bytes).map_or(bytes.len(), |header| header.header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::isobmff::children;

    fn tkhd(version: u8) -> Vec<u8> {
        let times: &[u8] = if version == 1 { &[9; 32] } else { &[9; 20] };
        boxed(b"tkhd", &[&[version, 0, 0, 3], times, &[0; 60]])
    }

    fn mdhd(version: u8) -> Vec<u8> {
        let times: &[u8] = if version == 1 { &[9; 28] } else { &[9; 16] };
        boxed(b"mdhd", &[&[version, 0, 0, 0], times, &[0x55, 0xc4, 0, 0]])
    }

    #[test]
    fn the_first_of_several_audio_tracks_is_enabled() {
        let kinds = [TrackKind::Video, TrackKind::Audio, TrackKind::Audio];
        let of = |count| header_labels(kinds.into_iter().zip(0..).take(count), &[]);
        for version in [0, 1] {
            let plain = tkhd(version);
            let made: Vec<_> = of(3).iter().map(|label| label.tkhd(plain.clone())).collect();
            assert_eq!(made[0], plain);
            let group = plain.len() - 60 + 11;
            let flags = |made: &[u8]| (made[11], made[group]);
            assert_eq!((flags(&made[1]), flags(&made[2])), ((3, 1), (2, 1)));
            assert!(made.iter().all(|made| made.len() == plain.len()));
            // One has no alternative.
            assert!(of(2).iter().all(|label| label.tkhd(plain.clone()) == plain));
        }
        let rest = ebml::element(ids::CODEC_ID, &[b"A_OPUS"]);
        let entries: Vec<_> = of(3).iter().map(|label| label.track_entry(&rest)).collect();
        let other = [uint(ids::FLAG_DEFAULT, 0), rest.clone()].concat();
        assert_eq!(entries, [rest.clone(), rest, other]);
    }

    #[test]
    fn a_label_is_what_players_show() {
        let labels =
            [TrackLabel::new(Some("de-AT"), Some("Deutsch")), TrackLabel::new(Some("fr"), None)];
        let kinds = [TrackKind::Audio; 3].into_iter().zip(0..);
        let of = header_labels(kinds, &labels);
        for version in [0, 1] {
            let made: Vec<_> = of.iter().map(|label| label.mdhd(mdhd(version))).collect();
            let language = |made: &[u8]| {
                let mdhd = children(made).unwrap()[0];
                let packed = &mdhd.payload()[mdhd.payload().len() - 4..][..2];
                let packed = u16::from_be_bytes([packed[0], packed[1]]);
                [10, 5, 0].map(|by| (packed >> by & 31) as u8 + 0x60)
            };
            let found: Vec<_> = made.iter().map(|made| language(made)).collect();
            assert_eq!(found, [*b"deu", *b"fra", *b"und"]);
            let tags: Vec<_> = made.iter().map(|made| children(made).unwrap().len()).collect();
            assert_eq!(tags, [2, 1, 1], "the complete tag, where it says more");
            assert!(made[0].ends_with(b"elng\0\0\0\0de-AT\0"));
            assert_eq!(made[2], mdhd(version));
        }
        let hdlr = boxed(b"hdlr", &[&[0; 8], b"soun", &[0; 12], b"SoundHandler\0"]);
        assert!(of[0].hdlr(hdlr.clone()).ends_with(b"\0Deutsch\0"));
        assert_eq!(of[1].hdlr(hdlr.clone()), hdlr);
        assert!(of[0].udta().ends_with(b"nameDeutsch") && of[1].udta().is_empty());
    }

    #[test]
    fn the_label_replaces_what_the_input_says() {
        let label = [TrackLabel::new(Some("pt-BR"), Some("Português"))];
        let of = header_labels([(TrackKind::Audio, 0)].into_iter(), &label);
        let named = |name: &str| ebml::element(ids::NAME, &[name.as_bytes()]);
        let codec = ebml::element(ids::CODEC_ID, &[b"A_OPUS"]);
        let language = ebml::element(ids::LANGUAGE, &[b"eng"]);
        let rest = [language, codec.clone(), named("Main")].concat();
        let expected = [
            codec,
            named("Português"),
            ebml::element(ids::LANGUAGE, &[b"por"]),
            ebml::element(ids::LANGUAGE_BCP47, &[b"pt-BR"]),
        ];
        assert_eq!(of[0].track_entry(&rest), expected.concat());
    }
}
