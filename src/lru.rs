//! A map of limited size, which drops the least recently used entries.

use std::collections::HashMap;
use std::hash::Hash;

/// A map whose entries have sizes of at most `limit` in total.
///
/// **Invariant:** an insertion drops the least recently used entries until the rest fits.
#[derive(Debug)]
pub struct LruMap<K, V> {
    limit: usize,
    size: usize,
    entries: HashMap<K, Entry<V>>,
    /// Counts the uses; orders the entries by their last one.
    clock: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    size: usize,
    last_used: u64,
}

impl<K: Clone + Eq + Hash, V> LruMap<K, V> {
    /// Returns an empty map for a total size of `limit`.
    pub fn new(limit: usize) -> LruMap<K, V> {
        LruMap { limit, size: 0, entries: HashMap::new(), clock: 0 }
    }

    /// Returns the value of `key`, which counts as used.
    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.last_used = self.clock;
        Some(&mut entry.value)
    }

    /// Replaces the value of `key`. A value larger than the limit is dropped.
    pub fn insert(&mut self, key: K, value: V, size: usize) {
        self.remove(&key);
        if size > self.limit {
            return;
        }
        while self.size + size > self.limit {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.remove(&oldest);
        }
        self.clock += 1;
        self.size += size;
        self.entries.insert(key, Entry { value, size, last_used: self.clock });
    }

    /// Removes the value of `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.size -= entry.size;
        Some(entry.value)
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_are_dropped() {
        let mut map = LruMap::new(100);
        for number in 0..100 {
            map.insert(number, number, 10);
            // The first one is used all the time.
            assert_eq!(map.get(&0), Some(&mut 0));
            let size: usize = map.entries.values().map(|entry| entry.size).sum();
            assert_eq!((map.size, map.len()), (size, 10.min(number + 1)));
        }
        assert!(map.get(&90).is_none() && map.get(&91).is_some());
        map.insert(100, 100, 95);
        assert_eq!((map.size, map.len()), (95, 1));
        // What does not fit drops no others, but replaces its predecessor.
        map.insert(1, 1, 101);
        assert!(map.get(&1).is_none() && map.get(&100).is_some());
        map.insert(100, 100, 101);
        assert_eq!((map.size, map.is_empty(), map.remove(&100)), (0, true, None));
        map.insert(1, 1, 10);
        assert_eq!((map.remove(&1), map.size), (Some(1), 0));
        LruMap::new(0).insert(1, 1, 1);
    }
}
