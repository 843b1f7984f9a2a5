//! Limits how often clients may do something, or how much, within minutes, hours or a day.
//!
//! A client may use its budget of a period at once; then as much comes back as time passes. Networks of
//! clients have larger budgets ([`Client::keys`]). Those of requests, pages and ingress are for clients in the
//! internet; whoever shows a token has those that the token names instead, and the one of ingress.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Key;
use super::{Client, NETWORK_SHARES};
use crate::config::LimitsConfig;
use crate::error::{LimitExceeded, Rate};
use crate::lru::LruMap;
use crate::reloadable::Reloadable;
use crate::traffic::Account;

/// The networks and tokens that are remembered: the most recent ones. Who comes from more of them has their
/// budgets, too.
const MAX_KEYS: usize = 4096;
/// How many wrong credentials a client may show; one more each 30 seconds.
const MAX_FAILURES: (u64, Duration) = (10, Duration::from_secs(300));
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The budgets of all networks and tokens.
#[derive(Debug)]
pub struct RateLimiter {
    limits: Reloadable<LimitsConfig>,
    epoch: Instant,
    budgets: Mutex<LruMap<Key, Budgets>>,
}

/// When the budget for each [`Rate`] will be complete again, since the epoch.
type Budgets = [Duration; 5];

impl RateLimiter {
    /// Returns the limiter that the configuration describes.
    pub fn new(limits: &LimitsConfig) -> RateLimiter {
        RateLimiter {
            limits: Reloadable::new(limits.clone()),
            epoch: Instant::now(),
            budgets: Mutex::new(LruMap::new(MAX_KEYS)),
        }
    }

    /// Replaces the limits. What is used up stays so.
    pub fn reload(&self, limits: &LimitsConfig) {
        self.limits.set(limits.clone());
    }

    /// Returns the budget of a client, and its period; `None` if it has no limit.
    fn limit(&self, client: Client, rate: Rate) -> Option<(u64, Duration)> {
        let limits = self.limits.get();
        let of_strangers = |limit, period| client.is_far().then_some((limit, period));
        match (rate, client.token()) {
            (Rate::Failures, _) => Some(MAX_FAILURES),
            (Rate::Egress, token) => Some((token?.bytes_per_day?, DAY)),
            (Rate::Pages, Some(token)) => Some((token.pages_per_hour?.into(), HOUR)),
            (Rate::Requests, Some(_)) => None,
            (Rate::Requests, None) => of_strangers(limits.requests_per_minute.into(), MINUTE),
            (Rate::Pages, None) => of_strangers(limits.pages_per_hour.into(), HOUR),
            (Rate::Ingress, _) => of_strangers(limits.ingress_per_hour.0, HOUR),
        }
    }

    /// Charges one use to a client, unless its budget is used up.
    pub fn charge(&self, client: Client, rate: Rate) -> Result<(), LimitExceeded> {
        self.charge_at(client, rate, self.epoch.elapsed())
    }

    /// Fails if the budget of a client is used up by more than one.
    pub fn check(&self, client: Client, rate: Rate) -> Result<(), LimitExceeded> {
        self.charged(&mut self.lock(), client, rate, 0, self.epoch.elapsed()).map(drop)
    }

    /// Fails if another use cannot be charged to a client.
    pub fn check_next(&self, client: Client, rate: Rate) -> Result<(), LimitExceeded> {
        self.charged(&mut self.lock(), client, rate, 1, self.epoch.elapsed()).map(drop)
    }

    /// Returns the account that the traffic of a client is charged to.
    pub fn account(self: &Arc<Self>, client: Client) -> Option<Box<dyn Account>> {
        let account = || TrafficAccount { limiter: self.clone(), client };
        let is_limited =
            [Rate::Ingress, Rate::Egress].map(|rate| self.limit(client, rate).is_some());
        is_limited.contains(&true).then(|| Box::new(account()) as Box<dyn Account>)
    }

    fn charge_at(&self, client: Client, rate: Rate, now: Duration) -> Result<(), LimitExceeded> {
        let mut all = self.lock();
        for (key, budgets) in self.charged(&mut all, client, rate, 1, now)? {
            all.insert(key, budgets, 1);
        }
        Ok(())
    }

    /// Returns the budgets of a client after so much is charged to it.
    fn charged(
        &self,
        all: &mut LruMap<Key, Budgets>,
        client: Client,
        rate: Rate,
        count: u64,
        now: Duration,
    ) -> Result<Vec<(Key, Budgets)>, LimitExceeded> {
        let Some((limit, period)) = self.limit(client, rate) else { return Ok(Vec::new()) };
        let charged = client.keys().zip(NETWORK_SHARES).map(|(key, share)| {
            let mut budgets = all.get(&key).copied().unwrap_or_default();
            let budget = &mut budgets[rate as usize];
            *budget = (*budget).max(now).saturating_add(cost((limit, period), count, share));
            let wait = budget.saturating_sub(now).saturating_sub(period);
            if wait.is_zero() { Ok((key, budgets)) } else { Err(exceeded(rate, wait)) }
        });
        charged.collect()
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<Key, Budgets>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the traffic of a request that is running. Such requests may have twice the budget, so that there
    /// is something left for those that were admitted at its end.
    fn settle_at(
        &self,
        client: Client,
        rate: Rate,
        bytes: i64,
        now: Duration,
    ) -> Result<(), LimitExceeded> {
        let Some((limit, period)) = self.limit(client, rate) else { return Ok(()) };
        let mut all = self.lock();
        let mut settled = Ok(());
        for (key, share) in client.keys().zip(NETWORK_SHARES) {
            let mut budgets = all.get(&key).copied().unwrap_or_default();
            let budget = &mut budgets[rate as usize];
            let cost = cost((limit, period), bytes.unsigned_abs(), share);
            *budget = match bytes {
                ..0 => budget.saturating_sub(cost),
                0.. => (*budget).max(now).saturating_add(cost),
            };
            let wait = budget.saturating_sub(now).saturating_sub(period);
            if wait > period {
                settled = Err(exceeded(rate, wait));
            }
            all.insert(key, budgets, 1);
        }
        settled
    }
}

/// Returns the part of a period that so much costs.
fn cost((limit, period): (u64, Duration), count: u64, share: usize) -> Duration {
    let limit = u128::from(limit).saturating_mul(share as u128).max(1);
    let nanos = period.as_nanos().saturating_mul(count.into()) / limit;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn exceeded(rate: Rate, wait: Duration) -> LimitExceeded {
    let seconds = u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX);
    LimitExceeded::Rate(rate, seconds)
}

/// The account of a client whose traffic has a budget.
#[derive(Debug)]
struct TrafficAccount {
    limiter: Arc<RateLimiter>,
    client: Client,
}

impl Account for TrafficAccount {
    fn settle(&self, bytes: i64) -> Result<(), LimitExceeded> {
        self.limiter.settle_at(self.client, Rate::Ingress, bytes, self.limiter.epoch.elapsed())
    }

    fn sent(&self, bytes: u64) -> Result<(), LimitExceeded> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.limiter.settle_at(self.client, Rate::Egress, bytes, self.limiter.epoch.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;
    use crate::limits::TokenLimits;

    fn limiter() -> RateLimiter {
        RateLimiter::new(&LimitsConfig {
            requests_per_minute: 6,
            pages_per_hour: 2,
            ingress_per_hour: ByteSize(3600 << 10),
            ..LimitsConfig::default()
        })
    }

    fn client(address: &str) -> Client {
        Client::new(address.parse().unwrap(), &[])
    }

    #[test]
    fn a_budget_comes_back_with_time() {
        let (limiter, client) = (limiter(), client("9.9.9.9"));
        let at = |seconds: u64, rate| limiter.charge_at(client, rate, Duration::from_secs(seconds));
        for _ in 0..6 {
            assert_eq!(at(5, Rate::Requests), Ok(()));
        }
        assert_eq!(at(5, Rate::Requests), Err(LimitExceeded::Rate(Rate::Requests, 11)));
        // What was refused costs nothing, and the other budget is another one.
        assert_eq!(at(6, Rate::Requests), Err(LimitExceeded::Rate(Rate::Requests, 10)));
        assert_eq!([at(6, Rate::Pages), at(6, Rate::Pages)], [Ok(()); 2]);
        assert_eq!(at(6, Rate::Pages), Err(LimitExceeded::Rate(Rate::Pages, 1801)));
        assert_eq!(at(15, Rate::Requests), Ok(()));
        assert!(at(16, Rate::Requests).is_err());
        for _ in 0..6 {
            assert_eq!(at(1000, Rate::Requests), Ok(()));
        }
    }

    #[test]
    fn what_is_sent_pays_for_what_is_fetched() {
        let (limiter, client) = (limiter(), client("9.9.9.9"));
        let settle =
            |kib: i64| limiter.settle_at(client, Rate::Ingress, kib << 10, Duration::from_secs(1));
        let check = || {
            let at = Duration::from_secs(1);
            limiter.charged(&mut limiter.lock(), client, Rate::Ingress, 0, at).map(drop)
        };
        for _ in 0..100 {
            assert_eq!([settle(3600), check(), settle(-3600)], [Ok(()); 3]);
        }
        // More than was fetched pays for nothing to come.
        assert_eq!([settle(-9999), settle(3600), check()], [Ok(()); 3]);
        assert_eq!(settle(10), Ok(()));
        assert_eq!(check(), Err(LimitExceeded::Rate(Rate::Ingress, 11)));
        // What runs goes on, up to twice as much.
        assert_eq!(settle(3590), Ok(()));
        assert_eq!(settle(5), Err(LimitExceeded::Rate(Rate::Ingress, 3606)));
        assert_eq!([settle(-3605), check()], [Ok(()); 2]);
        let later = Duration::from_secs(4000);
        assert_eq!(limiter.settle_at(client, Rate::Ingress, 7200 << 10, later), Ok(()));
        let near = Client::new([10, 0, 0, 1].into(), &[]);
        assert!(Arc::new(limiter).account(near).is_none());
    }

    #[test]
    fn neighbours_share_a_larger_budget_and_near_clients_have_none() {
        let limiter = limiter();
        let granted = |address: &dyn Fn(usize) -> String| {
            let may =
                |number: &usize| limiter.charge(client(&address(*number)), Rate::Requests).is_ok();
            (0..100).filter(may).count()
        };
        assert_eq!(granted(&|_| "9.9.9.9".into()), 6);
        // Six of theirs are used up.
        assert_eq!(granted(&|number| format!("9.9.9.{number}")), 6);
        assert_eq!(granted(&|number| format!("2600:1:2:{number:x}00::1")), 24);
        assert_eq!(granted(&|_| "10.0.0.1".into()), 100);
        assert_eq!(granted(&|_| "fd00::1".into()), 100);
    }

    #[test]
    fn there_is_a_limit_to_what_is_remembered() {
        let limiter = limiter();
        for number in 0..3 * MAX_KEYS {
            let address = format!("9.{}.{}.1", number / 256, number % 256);
            assert!(limiter.charge(client(&address), Rate::Pages).is_ok());
        }
        assert!(limiter.budgets.lock().unwrap().len() <= MAX_KEYS);
    }

    fn token(id: u64, pages_per_hour: Option<u32>, bytes_per_day: Option<u64>) -> TokenLimits {
        let none = TokenLimits::default();
        TokenLimits { id, pages_per_hour, bytes_per_day, ..none }
    }

    #[test]
    fn a_token_has_its_own_budgets_wherever_it_is_used() {
        let limiter = limiter();
        let at = |address: &str, token, rate| {
            let client = client(address).with_token(token);
            (0..100).filter(|_| limiter.charge(client, rate).is_ok()).count()
        };
        assert_eq!(at("9.9.9.9", token(1, Some(3), None), Rate::Pages), 3);
        assert_eq!(at("10.0.0.1", token(1, Some(3), None), Rate::Pages), 0);
        assert_eq!(at("9.9.9.9", token(2, Some(3), None), Rate::Pages), 3);
        assert_eq!(at("9.9.9.9", token(3, None, None), Rate::Pages), 100);
        assert_eq!(at("9.9.9.9", token(3, None, None), Rate::Requests), 100);
        // What holders of tokens do costs their network nothing.
        assert!(limiter.charge(client("9.9.9.9"), Rate::Pages).is_ok());
    }

    #[test]
    fn what_is_sent_for_a_token_is_counted_in_a_day() {
        let limiter = Arc::new(limiter());
        let holder = client("10.0.0.1").with_token(token(1, None, Some(86_400)));
        let other = client("10.0.0.1").with_token(token(2, None, None));
        assert!(limiter.account(other).is_none());
        let account = limiter.account(holder).unwrap();
        assert_eq!(account.settle(1 << 40).and(account.sent(86_400)), Ok(()));
        assert_eq!(limiter.check(holder, Rate::Egress), Ok(()));
        assert_eq!(account.sent(600), Ok(()));
        let Err(LimitExceeded::Rate(Rate::Egress, seconds)) = limiter.check(holder, Rate::Egress)
        else {
            panic!("it is used up");
        };
        assert!((590..=601).contains(&seconds), "{seconds}");
        // What runs goes on, up to twice as much.
        assert_eq!(account.sent(85_000), Ok(()));
        assert!(account.sent(86_400).is_err());
    }

    #[test]
    fn a_network_may_be_wrong_ten_times_and_then_each_half_minute() {
        let limiter = limiter();
        for address in ["9.9.9.9", "10.0.0.1", "127.0.0.1", "2600::1"] {
            let client = client(address);
            let at = |seconds| {
                let now = Duration::from_secs(seconds);
                let next = limiter.charged(&mut limiter.lock(), client, Rate::Failures, 1, now);
                let charged = limiter.charge_at(client, Rate::Failures, now);
                assert_eq!(next.map(drop), charged);
                charged
            };
            for _ in 0..10 {
                assert_eq!(at(100), Ok(()));
            }
            assert_eq!(at(100), Err(LimitExceeded::Rate(Rate::Failures, 31)));
            assert!(at(129).is_err());
            assert_eq!(at(130), Ok(()));
            assert!(at(131).is_err());
        }
    }
}
