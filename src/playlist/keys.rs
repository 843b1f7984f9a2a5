//! Keys of segments (EXT-X-KEY, RFC 8216 §4.3.2.4).

use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::attributes::Attributes;
use super::context::Context;
use super::{PlaylistError, invalid};
use crate::media::segments::{SegmentEncryption, SegmentKey};
use crate::text::one_line;

const TAG: &str = "EXT-X-KEY";

/// The keys that apply at one point of a playlist.
#[derive(Default)]
pub(super) struct Keys {
    /// The key of the format "identity": the bytes themselves, without a DRM system.
    plain: Option<PlainKey>,
    /// The method or key format of a DRM system. It matters only where there is no plain key, since
    /// all of them encrypt the same segment with the same key.
    protected: Option<String>,
}

/// A key before its initialisation vector is known.
#[derive(Clone)]
pub(super) struct PlainKey {
    pub(super) key: Arc<SegmentKey>,
    iv: Option<[u8; 16]>,
}

impl Keys {
    /// Obeys an EXT-X-KEY tag.
    pub(super) fn apply(
        &mut self,
        text: &str,
        context: &mut Context<'_>,
    ) -> Result<(), PlaylistError> {
        let attributes = Attributes::parse(TAG, text, &context.variables)?;
        let method = attributes.require("METHOD")?;
        let format = attributes.get("KEYFORMAT").unwrap_or("identity");
        let uri = attributes.get("URI");
        match method {
            "NONE" => *self = Keys::default(),
            _ if format != "identity" => self.protected = Some(one_line(format, 60)),
            _ if method.starts_with("SAMPLE-AES") => {
                *self = Keys { plain: None, protected: Some(one_line(method, 60)) };
            }
            "AES-128" if uri.is_some_and(|uri| scheme(uri) == Some("skd")) => {
                *self = Keys { plain: None, protected: Some("skd".to_owned()) };
            }
            "AES-128" => {
                let iv = match (context.hints.iv, attributes.get("IV")) {
                    (Some(iv), _) => Some(iv),
                    (None, None) => None,
                    (None, Some(text)) => Some(
                        text.strip_prefix("0x")
                            .or(text.strip_prefix("0X"))
                            .and_then(initialisation_vector)
                            .ok_or_else(|| invalid("EXT-X-KEY has a malformed IV"))?,
                    ),
                };
                let key = match &context.hints.key {
                    Some(key) => key.clone(),
                    None => self::key(attributes.require("URI")?, context)?,
                };
                self.plain = Some(PlainKey { key: self.shared(key), iv });
            }
            other => {
                let other = format!("{TAG} with METHOD={}", one_line(other, 60));
                return Err(PlaylistError::Unsupported(other));
            }
        }
        Ok(())
    }

    /// Returns the key of a segment at this point.
    pub(super) fn current(&self) -> Result<Option<PlainKey>, PlaylistError> {
        match (&self.plain, &self.protected) {
            (None, Some(system)) => Err(PlaylistError::Drm(system.clone())),
            (plain, _) => Ok(plain.clone()),
        }
    }

    /// Returns a key, or the equal one that applied so far.
    fn shared(&self, key: SegmentKey) -> Arc<SegmentKey> {
        match &self.plain {
            Some(plain) if *plain.key == key => Arc::clone(&plain.key),
            _ => Arc::new(key),
        }
    }
}

impl PlainKey {
    /// Returns the encryption of a segment: without an explicit vector, its media sequence number is
    /// one (RFC 8216 §5.2).
    pub(super) fn encryption(self, media_sequence: u64) -> SegmentEncryption {
        let iv = self.iv.unwrap_or(u128::from(media_sequence).to_be_bytes());
        SegmentEncryption { key: self.key, iv }
    }
}

fn scheme(uri: &str) -> Option<&str> {
    uri.split_once(':').map(|(scheme, _)| scheme)
}

fn key(uri: &str, context: &mut Context<'_>) -> Result<SegmentKey, PlaylistError> {
    match uri.strip_prefix("data:") {
        None => context.key_url(uri).map(SegmentKey::Remote),
        Some(data) => {
            let bytes = inline_data(data).and_then(|bytes| bytes.try_into().ok());
            bytes.map(SegmentKey::Inline).ok_or_else(|| invalid("EXT-X-KEY has no 16 bytes of key"))
        }
    }
}

/// Decodes a data URL (RFC 2397) without its scheme.
pub fn inline_data(data: &str) -> Option<Vec<u8>> {
    const TOLERANT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (media_type, data) = data.split_once(',')?;
    let bytes: Vec<u8> = percent_decode_str(data).collect();
    match media_type.to_ascii_lowercase().ends_with(";base64") {
        true => TOLERANT.decode(bytes).ok(),
        false => Some(bytes),
    }
}

/// Parses up to 32 hexadecimal digits as 16 bytes.
pub fn initialisation_vector(digits: &str) -> Option<[u8; 16]> {
    let digits = Some(digits).filter(|text| text.len() <= 32 && !text.starts_with('+'))?;
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}
