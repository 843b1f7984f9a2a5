//! Caches the plans of spliced files, least recently used first out, so that a client that resumes a
//! download, or requests several byte ranges of it at once, does not cause the indexes to be read again.
//!
//! The key of a plan is everything that it was made from: URLs, header fields, cookies, options. The
//! caller verifies that the remote files are still the same.
//!
//! **Invariant:** the cached plans take no more memory than the limit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};

use crate::http_client::RemoteFile;
use crate::instruments::{CounterSet, Found};
use crate::lru::LruMap;
use crate::media::Media;
use crate::memory_budget::Reservation;
use crate::options::OutputOptions;
use crate::splice::Plan;

/// A plan, and the files that it was made from.
#[derive(Debug)]
pub struct CachedPlan {
    /// The plan.
    pub plan: Plan,
    /// The files of the tracks, in the order of the tracks.
    pub files: Vec<RemoteFile>,
    /// The strong ETag of the joined file, if all upstreams send validators.
    pub etag: Option<String>,
    /// The reservation in the memory budget.
    pub memory: Reservation,
}

/// The hash of everything that a plan was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanKey([u8; 32]);

/// The cache.
#[derive(Debug)]
pub struct PlanCache {
    plans: Mutex<LruMap<PlanKey, Arc<CachedPlan>>>,
    lookups: CounterSet<Found>,
}

impl PlanKey {
    /// Returns the key of these tracks with these options.
    pub fn new(media: &Media, options: &OutputOptions) -> PlanKey {
        let mut context = Context::new(&SHA256);
        // Each field is preceded by its length, so that no two inputs hash the same bytes.
        let mut add = |bytes: &[u8]| {
            context.update(&bytes.len().to_be_bytes());
            context.update(bytes);
        };
        add(format!("{options:?}").as_bytes());
        let metadata = &media.metadata;
        for text in [&metadata.title, &metadata.artist, &metadata.date] {
            add(format!("{text:?}").as_bytes());
        }
        add(metadata.cover.as_ref().map_or(&[], |cover| &cover.bytes));
        add(&[metadata.cover.as_ref().is_some_and(|cover| cover.is_jpeg).into()]);
        add(&metadata.labels.len().to_be_bytes());
        for label in &metadata.labels {
            label.identify(&mut add);
        }
        for chapter in &metadata.chapters {
            add(&chapter.start.as_nanos().to_be_bytes());
            add(chapter.title.as_bytes());
        }
        for subtitles in &metadata.subtitles {
            subtitles.identify(&mut add);
        }
        for removed in metadata.removal.intervals() {
            add(&removed.start.to_be_bytes());
            add(&removed.end.to_be_bytes());
        }
        for track in &media.tracks {
            add(track.kind.as_str().as_bytes());
            track.location.identify(&mut add);
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
    /// Returns a cache for plans of at most `limit` bytes in total.
    pub fn new(limit: usize) -> PlanCache {
        PlanCache { plans: Mutex::new(LruMap::new(limit)), lookups: CounterSet::default() }
    }

    /// Returns how often a plan was found.
    pub fn lookups(&self) -> &CounterSet<Found> {
        &self.lookups
    }

    /// Returns the plan of `key`, if it is cached.
    pub fn get(&self, key: &PlanKey) -> Option<Arc<CachedPlan>> {
        self.lookups.look(self.lock().get(key).cloned())
    }

    /// Inserts a plan, and evicts the least recently used ones to make room. A plan larger than the
    /// limit is not cached.
    pub fn insert(&self, key: PlanKey, plan: &Arc<CachedPlan>) {
        self.lock().insert(key, plan.clone(), plan.memory_size());
    }

    /// Removes a plan that upstreams contradict.
    pub fn remove(&self, key: &PlanKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<PlanKey, Arc<CachedPlan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Container;
    use crate::media::removal::Removal;
    use crate::media::track_label::TrackLabel;
    use crate::media::{Cookie, CoverArt, Metadata, RemoteLocation, Track, TrackKind};
    use crate::memory_budget::MemoryBudget;
    use crate::options::{ContainerChoice, Engine, TimeRange};
    use crate::splice::{Layout, Rewriter};
    use std::time::Duration;
    use ureq::http::HeaderValue;
    use ureq::http::header::{AUTHORIZATION, REFERER};

    fn media() -> Media {
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
    fn every_input_of_a_plan_changes_its_key() {
        type Change = fn(&mut Media, &mut OutputOptions);
        let changes: [Change; 22] = [
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
            |media, _| media.tracks.push(media.tracks[1].clone()),
            |media, _| media.metadata.labels = vec![TrackLabel::new(Some("de"), None)],
            |media, _| media.metadata.labels = vec![TrackLabel::new(Some("de"), Some("Deutsch"))],
            |media, _| media.metadata.removal = Removal::new([1..2]),
            |_, options| options.engine = Engine::Splice,
            |_, options| options.container = ContainerChoice::Mp4,
            |_, options| {
                options.time_range = TimeRange { start: Duration::from_secs(1), end: None }
            },
        ];
        let keys: Vec<_> = changes
            .iter()
            .map(|change| {
                let (mut media, mut options) = (media(), OutputOptions::default());
                change(&mut media, &mut options);
                PlanKey::new(&media, &options)
            })
            .collect();
        for (index, key) in keys.iter().enumerate() {
            let same = keys.iter().position(|other| other == key);
            assert_eq!(same, Some(index), "this change makes no difference");
        }
        assert_eq!(keys[0], PlanKey::new(&media(), &OutputOptions::default()));
    }

    #[test]
    fn the_plans_take_no_more_memory_than_the_limit() {
        let cached_plan = || {
            let layout = Layout::default();
            let plan = layout.plan(vec![0; 10_000], Container::Mp4, Duration::ZERO, Rewriter::None);
            let memory = MemoryBudget::new(0).reservation();
            Arc::new(CachedPlan { plan, files: Vec::new(), etag: None, memory })
        };
        let size = cached_plan().memory_size();
        assert!(size > 10_000);
        let plans = PlanCache::new(2 * size);
        (0..3).for_each(|number| plans.insert(PlanKey([number; 32]), &cached_plan()));
        assert!(plans.get(&PlanKey([0; 32])).is_none() && plans.get(&PlanKey([1; 32])).is_some());
        plans.remove(&PlanKey([1; 32]));
        assert!(plans.get(&PlanKey([1; 32])).is_none() && plans.get(&PlanKey([2; 32])).is_some());
    }
}
