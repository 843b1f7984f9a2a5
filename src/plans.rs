//! The plans of spliced files that were made lately, so that a client that comes back for the rest
//! of a file, or for eight parts of it at once, does not have its indexes read again.
//!
//! A plan is found by everything that went into it: addresses, fields, cookies, options. Whoever
//! uses one must still make sure that the files are the same. Must never hold more than its limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};

use crate::media::Media;
use crate::memory::Share;
use crate::mux::Wish;
use crate::mux::splice::Plan;
use crate::source::File;

/// A plan, and the files that it was made of.
#[derive(Debug)]
pub struct Spliced {
    /// The layout.
    pub plan: Plan,
    /// The files of its tracks, in their order.
    pub files: Vec<File>,
    /// The strong validator of the joined file, if there can be one.
    pub etag: Option<String>,
    /// Of the memory for plans.
    pub memory: Share,
}

/// What a plan is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// All plans that are kept.
#[derive(Debug)]
pub struct Plans {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    plans: HashMap<Key, Entry>,
    weight: usize,
    /// Counts how often something was asked for.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    spliced: Arc<Spliced>,
    used: u64,
}

impl Key {
    /// Of this film with this wish.
    pub fn of(media: &Media, wish: &Wish) -> Key {
        let mut context = Context::new(&SHA256);
        // Each with its length, so that nothing can pose as something else.
        let mut add = |bytes: &[u8]| {
            context.update(&bytes.len().to_be_bytes());
            context.update(bytes);
        };
        add(format!("{wish:?}").as_bytes());
        let tags = &media.tags;
        for text in [&tags.title, &tags.artist, &tags.date] {
            add(format!("{text:?}").as_bytes());
        }
        add(tags.cover.as_ref().map_or(&[], |cover| &cover.bytes));
        add(&[tags.cover.as_ref().is_some_and(|cover| cover.is_jpeg).into()]);
        for track in &media.tracks {
            add(track.kind.name().as_bytes());
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
        Key(key)
    }
}

impl Spliced {
    fn weight(&self) -> usize {
        self.plan.weight() + self.files.capacity() * size_of::<File>()
    }
}

impl Plans {
    /// Keeps plans of so many bytes in all.
    pub fn new(limit: usize) -> Plans {
        Plans { limit, kept: Mutex::default() }
    }

    /// The plan that was kept for `key`, if it is still there.
    pub fn find(&self, key: &Key) -> Option<Arc<Spliced>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.plans.get_mut(key)?;
        entry.used = now;
        Some(entry.spliced.clone())
    }

    /// Keeps a plan, and lets go of those that were not asked for the longest.
    pub fn keep(&self, key: Key, spliced: &Arc<Spliced>) {
        let weight = spliced.weight();
        let mut kept = self.lock();
        kept.remove(&key);
        if weight > self.limit {
            return;
        }
        while kept.weight + weight > self.limit {
            let oldest = kept.plans.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { break };
            kept.remove(&oldest);
        }
        kept.weight += weight;
        let used = kept.clock;
        kept.plans.insert(key, Entry { spliced: spliced.clone(), used });
    }

    /// Lets go of a plan that proved wrong.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.plans.remove(key) {
            self.weight -= entry.spliced.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Cookie, Cover, Kind, Location, Tags, Track};
    use crate::memory::Memory;
    use crate::mux::splice::{Layout, Rules};
    use crate::mux::{Container, Engine, Trim, Wanted};
    use std::time::Duration;
    use ureq::http::HeaderValue;
    use ureq::http::header::{AUTHORIZATION, REFERER};

    fn film() -> Media {
        let location = Location::from(url::Url::parse("http://films.example/v").unwrap());
        let track = |kind| Track { kind, location: location.clone(), refresh: None };
        let tracks = vec![track(Kind::Video), track(Kind::Audio)];
        Media { name: None, tracks, tags: Tags::default() }
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
        type Change = fn(&mut Media, &mut Wish);
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
            |media, _| media.tags.title = Some(String::new()),
            |media, _| media.tags.artist = Some(String::new()),
            |media, _| {
                media.tags.cover = Some(Cover { is_jpeg: true, bytes: [1, 2].into() });
            },
            |_, wish| wish.engine = Engine::Splice,
            |_, wish| wish.container = Wanted::Mp4,
            |_, wish| wish.trim = Trim { start: Duration::from_secs(1), end: None },
        ];
        let keys: Vec<_> = changes
            .iter()
            .map(|change| {
                let (mut media, mut wish) = (film(), Wish::default());
                change(&mut media, &mut wish);
                Key::of(&media, &wish)
            })
            .collect();
        for (place, key) in keys.iter().enumerate() {
            let same = keys.iter().position(|other| other == key);
            assert_eq!(same, Some(place), "this change makes no difference");
        }
        assert_eq!(keys[0], Key::of(&film(), &Wish::default()));
    }

    #[test]
    fn the_longest_unused_make_room_for_the_new() {
        let spliced = |len: usize| {
            let layout = Layout::default();
            let plan = layout.plan(vec![0; len], Container::Mp4, Duration::ZERO, Rules::None);
            let memory = Memory::new(0).share();
            Arc::new(Spliced { plan, files: Vec::new(), etag: None, memory })
        };
        let key = |number: u8| Key([number; 32]);
        let plans = Plans::new(10 * spliced(10_000).weight());
        for number in 0..100 {
            plans.keep(key(number), &spliced(10_000));
            // It is asked for again and again.
            assert!(plans.find(&key(0)).is_some());
            let kept = plans.lock();
            let weight: usize = kept.plans.values().map(|entry| entry.spliced.weight()).sum();
            assert_eq!((kept.weight, kept.plans.len()), (weight, 10.min(number as usize + 1)));
            assert!(weight <= plans.limit);
        }
        assert!(plans.find(&key(90)).is_none() && plans.find(&key(91)).is_some());
        // One that does not fit takes nothing from the others, but is not what it was, either.
        plans.keep(key(0), &spliced(200_000));
        assert!(plans.find(&key(0)).is_none() && plans.find(&key(99)).is_some());
        (0..100).for_each(|number| plans.forget(&key(number)));
        assert_eq!(plans.lock().weight, 0);
        Plans::new(0).keep(key(0), &spliced(1));
    }
}
