//! Random numbers that can be had again: a seed from the environment or the clock, printed by
//! whoever uses it.

/// A generator (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// `YTCANAL_SEED`, or a new one each time.
    pub(crate) fn seed() -> u64 {
        let given = std::env::var("YTCANAL_SEED").ok();
        given.map_or_else(
            || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
            |seed| seed.parse().expect("YTCANAL_SEED is a number"),
        )
    }

    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Less than `limit`, which must not be 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
