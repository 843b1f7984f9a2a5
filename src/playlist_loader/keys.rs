//! What a list needs before its segments can be read: keys, and one initialisation segment.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::error::Error;
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

/// Fetches the keys that the list refers to.
pub(super) fn fetch_keys(
    kind: TrackKind,
    list: &mut SegmentList,
    read: &Read<'_>,
) -> Result<(), Error> {
    let mut keys: HashMap<Url, Arc<SegmentKey>> = HashMap::new();
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
        let bytes = read(url.clone(), KEY_SIZE)?;
        let bytes = <[u8; KEY_SIZE]>::try_from(bytes);
        let bytes = bytes.map_err(|_| refused(kind, "a key has not 16 bytes"))?;
        let fetched = Arc::new(SegmentKey::Inline(bytes));
        keys.insert(url.clone(), fetched.clone());
        *key = fetched;
    }
    Ok(())
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
            if first.get_or_insert_with(|| bytes.clone()) != &bytes {
                return Err(refused(kind, "its initialisation (EXT-X-MAP) changes"));
            }
        }
    }
    list.inits.truncate(1);
    list.segments.iter_mut().for_each(|segment| segment.init = Some(0));
    Ok(())
}

fn refused(track: TrackKind, why: &str) -> Error {
    Error::Playlist { track, why: why.into() }
}
