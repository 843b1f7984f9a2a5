//! What a list needs before its segments can be read: keys, and one initialisation segment.

use std::collections::HashMap;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use url::Url;

use crate::container::probe::{Probe, ProbeInfo, View, probe};
use crate::error::{Error, UpstreamError};
use crate::media::TrackKind;
use crate::media::segments::{InitSegment, SegmentEncryption, SegmentKey, SegmentList};

/// Maximum number of keys of one list.
const MAX_KEYS: usize = 256;
/// Maximum number of initialisation segments that are compared, and their size.
const MAX_INITS: usize = 32;
const MAX_INIT_SIZE: usize = 1 << 20;
/// Length of a key in bytes.
const KEY_SIZE: usize = 16;

/// Reads a resource of the list, of at most so many bytes.
pub(super) type Read<'r> = dyn Fn(Url, usize) -> Result<Vec<u8>, Error> + 'r;

/// Keys that were fetched.
pub(super) type Keys = HashMap<Url, Arc<SegmentKey>>;

/// Fetches the keys that the list refers to, except for those in `known`; returns all of them.
pub(super) fn fetch_keys(
    kind: TrackKind,
    list: &mut SegmentList,
    known: &Keys,
    read: &Read<'_>,
) -> Result<Keys, Error> {
    let mut keys = Keys::new();
    let of_inits = list.inits.iter_mut().filter_map(|init| init.encryption.as_mut());
    let of_segments = list.segments.iter_mut().filter_map(|segment| segment.encryption.as_mut());
    for SegmentEncryption { key, .. } in of_inits.chain(of_segments) {
        let SegmentKey::Remote(url) = &**key else { continue };
        if let Some(known) = keys.get(url) {
            *key = known.clone();
            continue;
        }
        if keys.len() == MAX_KEYS {
            return Err(refused(kind, &format!("it has more than {MAX_KEYS} keys")));
        }
        let found = match known.get(url) {
            Some(known) => known.clone(),
            None => {
                let bytes = <[u8; KEY_SIZE]>::try_from(read(url.clone(), KEY_SIZE)?);
                let bytes = bytes.map_err(|_| refused(kind, "a key has not 16 bytes"))?;
                Arc::new(SegmentKey::Inline(bytes))
            }
        };
        keys.insert(url.clone(), found.clone());
        *key = found;
    }
    Ok(keys)
}

/// The initialisation segment of a live stream, which must stay the same for as long as it lasts. Where it
/// is may change.
#[derive(Default)]
pub(super) struct LiveInit {
    /// Those that are known to be the same, the newest last; none if the stream has none.
    known: Vec<InitSegment>,
    /// The hash of their bytes.
    digest: Option<[u8; 32]>,
    has_begun: bool,
}

impl LiveInit {
    /// Leaves one initialisation segment, if those of the list are all the same as before.
    pub(super) fn merge(
        &mut self,
        kind: TrackKind,
        list: &mut SegmentList,
        read: &Read<'_>,
    ) -> Result<(), Error> {
        const CHANGED: &str = "its initialisation segment (EXT-X-MAP) is another one now";
        let changed = || {
            let fault = UpstreamError::EntityChanged(CHANGED);
            Error::Upstream { track: kind, fault }
        };
        if list.segments.is_empty() {
            return Ok(());
        }
        let is_same = |one: &InitSegment, other: &InitSegment| {
            let keys = [one, other].map(|init| init.encryption.as_ref().map(|e| &e.key));
            one.location == other.location && keys[0] == keys[1]
        };
        let is_used = |index| list.segments.iter().any(|segment| segment.init == Some(index));
        let used = list.inits.iter().zip(0..).filter(|(_, index)| is_used(*index));
        let used: Vec<_> = used.map(|(init, _)| init).collect();
        if used.len() > MAX_INITS {
            return Err(changed());
        }
        for init in used {
            if self.known.iter().any(|known| is_same(known, init)) {
                continue;
            }
            let can_compare = init.location.range.is_none() && init.encryption.is_none();
            if self.has_begun && (self.digest.is_none() || !can_compare) {
                return Err(changed());
            }
            if can_compare {
                let bytes = read(init.location.url.clone(), MAX_INIT_SIZE)?;
                let digest = Some(sha256(&bytes));
                if self.has_begun && self.digest != digest {
                    return Err(changed());
                }
                self.digest = digest;
            }
            self.has_begun = true;
            if self.known.len() == MAX_INITS {
                self.known.remove(0);
            }
            self.known.push(init.clone());
        }
        self.has_begun = true;
        let count = usize::from(!self.known.is_empty());
        let lacks_one = list.segments.iter().any(|segment| segment.init.is_none());
        if lacks_one != (count == 0) {
            return Err(changed());
        }
        // One that is refused may be replaced by the newest one.
        list.inits = self.known.last().cloned().into_iter().collect();
        list.segments.iter_mut().for_each(|segment| segment.init = Some(0).filter(|_| count > 0));
        Ok(())
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Leaves one initialisation segment, if all have the same bytes. Lists name it again after each
/// advertisement.
pub(super) fn merge_inits(
    kind: TrackKind,
    list: &mut SegmentList,
    read: &Read<'_>,
) -> Result<(), Error> {
    let lacks_one = list.segments.iter().any(|segment| segment.init.is_none());
    if list.inits.is_empty() {
        return Ok(());
    }
    if lacks_one {
        return Err(refused(kind, "only some of its segments have an initialisation (EXT-X-MAP)"));
    }
    if list.inits.len() > MAX_INITS {
        return Err(refused(kind, "it has too many initialisations (EXT-X-MAP)"));
    }
    let mut first: Option<Vec<u8>> = None;
    if list.inits.len() > 1 {
        for InitSegment { location, encryption } in &list.inits {
            if location.range.is_some() || encryption.is_some() {
                return Err(refused(kind, "its initialisation (EXT-X-MAP) changes"));
            }
            let bytes = read(location.url.clone(), MAX_INIT_SIZE)?;
            let first = first.get_or_insert_with(|| bytes.clone());
            if *first != bytes {
                let codecs = [&*first, &bytes].map(|init| codecs(init));
                return Err(Error::InitChanges { track: kind, codecs: Box::new(codecs) });
            }
        }
    }
    list.inits.truncate(1);
    list.segments.iter_mut().for_each(|segment| segment.init = Some(0));
    Ok(())
}

/// Returns the codecs that an initialisation segment names, for people.
fn codecs(init: &[u8]) -> String {
    // Of unknown length: it lacks the media.
    let codecs = match probe(&View::front(init, None, true)) {
        Probe::Recognised(ProbeInfo { video, audio, .. }) => [video, audio],
        _ => [None, None],
    };
    let names: Vec<String> = codecs.iter().flatten().map(|codec| format!("{codec:?}")).collect();
    if names.is_empty() { "an unknown codec".into() } else { names.join(" and ") }
}

fn refused(track: TrackKind, why: &str) -> Error {
    Error::Playlist { track, why: why.into() }
}
