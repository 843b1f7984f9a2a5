//! The plans of spliced files that were made lately, so that a client that comes back for the rest
//! of a file, or for eight parts of it at once, does not have its indexes read again.
//!
//! A plan is found by everything that went into it: addresses, fields, cookies, options. Whoever
//! uses one must still make sure that the files are the same. Must never hold more than its limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};

use crate::http_client::RemoteFile;
use crate::media::Media;
use crate::memory_budget::Reservation;
use crate::options::OutputOptions;
use crate::splice::Plan;

/// A plan, and the files that it was made of.
#[derive(Debug)]
pub struct CachedPlan {
    /// The layout.
    pub plan: Plan,
    /// The files of its tracks, in their order.
    pub files: Vec<RemoteFile>,
    /// The strong validator of the joined file, if there can be one.
    pub etag: Option<String>,
    /// Of the memory for plans.
    pub memory: Reservation,
}

/// What a plan is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanKey([u8; 32]);

/// All plans that are kept.
#[derive(Debug)]
pub struct PlanCache {
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<PlanKey, Entry>,
    memory_size: usize,
    /// Counts how often something was asked for.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    plan: Arc<CachedPlan>,
    last_used: u64,
}

impl PlanKey {
    /// Of this film with this wish.
    pub fn new(media: &Media, options: &OutputOptions) -> PlanKey {
        let mut context = Context::new(&SHA256);
        // Each with its length, so that nothing can pose as something else.
        let mut add = |bytes: &[u8]| {
            context.update(&bytes.len().to_be_bytes());
            context.update(bytes);
        };
        add(format!("{options:?}").as_bytes());
        let tags = &media.metadata;
        for text in [&tags.title, &tags.artist, &tags.date] {
            add(format!("{text:?}").as_bytes());
        }
        add(tags.cover.as_ref().map_or(&[], |cover| &cover.bytes));
        add(&[tags.cover.as_ref().is_some_and(|cover| cover.is_jpeg).into()]);
        for track in &media.tracks {
            add(track.kind.as_str().as_bytes());
            add(track.location.url.as_str().as_bytes());
            add(&track.location.headers.len().to_be_bytes());
            for (name, value) in &track.location.headers {
                add(name.as_str().as_bytes());
                add(value.as_bytes());
            }
            for cookie in &track.location.cookies {
                add(cookie.pair.as_bytes());
                add(cookie.domain.as_bytes());
                add(cookie.path.as_bytes());
                add(&[cookie.subdomains.into(), cookie.secure.into()]);
            }
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        PlanKey(key)
    }
}

impl CachedPlan {
    fn memory_size(&self) -> usize {
        self.plan.memory_size() + self.files.capacity() * size_of::<RemoteFile>()
    }
}

impl PlanCache {
    /// Keeps plans of so many bytes in all.
    pub fn new(limit: usize) -> PlanCache {
        PlanCache { limit, entries: Mutex::default() }
    }

    /// The plan that was kept for `key`, if it is still there.
    pub fn get(&self, key: &PlanKey) -> Option<Arc<CachedPlan>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.by_key.get_mut(key)?;
        entry.last_used = now;
        Some(entry.plan.clone())
    }

    /// Keeps a plan, and lets go of those that were not asked for the longest.
    pub fn insert(&self, key: PlanKey, spliced: &Arc<CachedPlan>) {
        let weight = spliced.memory_size();
        let mut kept = self.lock();
        kept.remove(&key);
        if weight > self.limit {
            return;
        }
        while kept.memory_size + weight > self.limit {
            let oldest = kept.by_key.iter().min_by_key(|(_, entry)| entry.last_used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { break };
            kept.remove(&oldest);
        }
        kept.memory_size += weight;
        let used = kept.clock;
        kept.by_key.insert(key, Entry { plan: spliced.clone(), last_used: used });
    }

    /// Lets go of a plan that proved wrong.
    pub fn remove(&self, key: &PlanKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn remove(&mut self, key: &PlanKey) {
        if let Some(entry) = self.by_key.remove(key) {
            self.memory_size -= entry.plan.memory_size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Container;
    use crate::media::{Cookie, CoverArt, Metadata, RemoteLocation, Track, TrackKind};
    use crate::memory_budget::MemoryBudget;
    use crate::options::{ContainerChoice, Engine, TimeRange};
    use crate::splice::{Layout, Rewriter};
    use std::time::Duration;
    use ureq::http::HeaderValue;
    use ureq::http::header::{AUTHORIZATION, REFERER};

    fn film() -> Media {
        let location = RemoteLocation::from(url::Url::parse("http://films.example/v").unwrap());
        let track = |kind| Track { kind, location: location.clone(), refresh: None };
        let tracks = vec![track(TrackKind::Video), track(TrackKind::Audio)];
        Media { name: None, tracks, metadata: Metadata::default() }
    }

    fn cookie() -> Cookie {
        Cookie {
            pair: HeaderValue::from_static("who=me"),
            domain: "films.example".into(),
            subdomains: false,
            path: "/".into(),
            secure: false,
        }
    }

    #[test]
    fn whatever_goes_into_a_plan_tells_it_from_others() {
        type Change = fn(&mut Media, &mut OutputOptions);
        let changes: [Change; 18] = [
            |_, _| {},
            |media, _| media.tracks[1].location.url = "http://films.example/a".parse().unwrap(),
            |media, _| media.tracks[0].location.url = "http://films.example/a".parse().unwrap(),
            |media, _| drop(media.tracks.pop()),
            |media, _| drop(media.tracks.remove(0)),
            |media, _| media.tracks[0].location.cookies.push(cookie()),
            |media, _| media.tracks[1].location.cookies.push(cookie()),
            |media, _| {
                let pair = HeaderValue::from_static("who=you");
                media.tracks[0].location.cookies.push(Cookie { pair, ..cookie() });
            },
            |media, _| {
                media.tracks[0].location.cookies.push(Cookie { subdomains: true, ..cookie() });
            },
            |media, _| media.tracks[0].location.cookies.push(Cookie { secure: true, ..cookie() }),
            |media, _| {
                let me = (AUTHORIZATION, HeaderValue::from_static("me"));
                media.tracks[0].location.headers.push(me);
            },
            |media, _| {
                let me = (REFERER, HeaderValue::from_static("me"));
                media.tracks[0].location.headers.push(me);
            },
            |media, _| media.metadata.title = Some(String::new()),
            |media, _| media.metadata.artist = Some(String::new()),
            |media, _| {
                media.metadata.cover = Some(CoverArt { is_jpeg: true, bytes: [1, 2].into() });
            },
            |_, options| options.engine = Engine::Splice,
            |_, options| options.container = ContainerChoice::Mp4,
            |_, options| {
                options.time_range = TimeRange { start: Duration::from_secs(1), end: None }
            },
        ];
        let keys: Vec<_> = changes
            .iter()
            .map(|change| {
                let (mut media, mut options) = (film(), OutputOptions::default());
                change(&mut media, &mut options);
                PlanKey::new(&media, &options)
            })
            .collect();
        for (place, key) in keys.iter().enumerate() {
            let same = keys.iter().position(|other| other == key);
            assert_eq!(same, Some(place), "this change makes no difference");
        }
        assert_eq!(keys[0], PlanKey::new(&film(), &OutputOptions::default()));
    }

    #[test]
    fn the_longest_unused_make_room_for_the_new() {
        let spliced = |len: usize| {
            let layout = Layout::default();
            let plan = layout.plan(vec![0; len], Container::Mp4, Duration::ZERO, Rewriter::None);
            let memory = MemoryBudget::new(0).reservation();
            Arc::new(CachedPlan { plan, files: Vec::new(), etag: None, memory })
        };
        let key = |number: u8| PlanKey([number; 32]);
        let plans = PlanCache::new(10 * spliced(10_000).memory_size());
        for number in 0..100 {
            plans.insert(key(number), &spliced(10_000));
            // It is asked for again and again.
            assert!(plans.get(&key(0)).is_some());
            let kept = plans.lock();
            let weight: usize = kept.by_key.values().map(|entry| entry.plan.memory_size()).sum();
            assert_eq!(
                (kept.memory_size, kept.by_key.len()),
                (weight, 10.min(number as usize + 1))
            );
            assert!(weight <= plans.limit);
        }
        assert!(plans.get(&key(90)).is_none() && plans.get(&key(91)).is_some());
        // One that does not fit takes nothing from the others, but is not what it was, either.
        plans.insert(key(0), &spliced(200_000));
        assert!(plans.get(&key(0)).is_none() && plans.get(&key(99)).is_some());
        (0..100).for_each(|number| plans.remove(&key(number)));
        assert_eq!(plans.lock().memory_size, 0);
        PlanCache::new(0).insert(key(0), &spliced(1));
    }
}
