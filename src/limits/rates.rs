//! Limits how often clients in the internet may do something, within minutes or hours.
//!
//! A client may use its budget of a period at once; then as much comes back as time passes. Networks of
//! clients have larger budgets ([`Client::networks`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{Client, NETWORK_SHARES};
use crate::config::LimitsConfig;
use crate::error::{LimitExceeded, Rate};
use crate::lru::LruMap;
use crate::traffic::Account;

/// The networks that are remembered: the most recent ones. Who comes from more of them has their budgets, too.
const MAX_NETWORKS: usize = 4096;

/// The budgets of all networks.
#[derive(Debug)]
pub struct RateLimiter {
    /// The budget of a period, for each [`Rate`].
    limits: [(u64, Duration); 3],
    epoch: Instant,
    networks: Mutex<LruMap<IpNet, Budgets>>,
}

/// When each budget of a network will be complete again, since the epoch.
type Budgets = [Duration; 3];

impl RateLimiter {
    /// Returns the limiter that the configuration describes.
    pub fn new(limits: &LimitsConfig) -> RateLimiter {
        let hour = Duration::from_secs(3600);
        let requests = (limits.requests_per_minute.into(), Duration::from_secs(60));
        let pages = (limits.pages_per_hour.into(), hour);
        let ingress = (limits.ingress_per_hour.0, hour);
        let networks = Mutex::new(LruMap::new(MAX_NETWORKS));
        RateLimiter { limits: [requests, pages, ingress], epoch: Instant::now(), networks }
    }

    /// Charges one use to a client, unless its budget is used up. Near clients have no budget.
    pub fn charge(&self, client: Client, rate: Rate) -> Result<(), LimitExceeded> {
        self.charge_at(client, rate, 1, self.epoch.elapsed())
    }

    /// Fails if the budget of a client is used up.
    pub fn check(&self, client: Client, rate: Rate) -> Result<(), LimitExceeded> {
        self.charge_at(client, rate, 0, self.epoch.elapsed())
    }

    /// Returns the account that the traffic of a client is charged to.
    pub fn account(self: &Arc<Self>, client: Client) -> Option<Box<dyn Account>> {
        let account = || IngressAccount { limiter: self.clone(), client };
        client.is_far().then(|| Box::new(account()) as Box<dyn Account>)
    }

    fn charge_at(
        &self,
        client: Client,
        rate: Rate,
        count: u64,
        now: Duration,
    ) -> Result<(), LimitExceeded> {
        if !client.is_far() {
            return Ok(());
        }
        let (_, period) = self.limits[rate as usize];
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut charged = Vec::with_capacity(NETWORK_SHARES.len());
        for (network, share) in client.networks().zip(NETWORK_SHARES) {
            let mut budgets = networks.get(&network).copied().unwrap_or_default();
            let budget = &mut budgets[rate as usize];
            *budget = (*budget).max(now).saturating_add(self.cost(rate, count, share));
            let wait = budget.saturating_sub(now).saturating_sub(period);
            if !wait.is_zero() {
                return Err(exceeded(rate, wait));
            }
            charged.push((network, budgets));
        }
        for (network, budgets) in charged {
            networks.insert(network, budgets, 1);
        }
        Ok(())
    }

    /// Records the traffic of a request that is running. Such requests may have twice the budget, so that there
    /// is something left for those that were admitted at its end.
    fn settle_at(&self, client: Client, bytes: i64, now: Duration) -> Result<(), LimitExceeded> {
        let rate = Rate::Ingress;
        let (_, period) = self.limits[rate as usize];
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settled = Ok(());
        for (network, share) in client.networks().zip(NETWORK_SHARES) {
            let mut budgets = networks.get(&network).copied().unwrap_or_default();
            let budget = &mut budgets[rate as usize];
            let cost = self.cost(rate, bytes.unsigned_abs(), share);
            *budget = match bytes {
                ..0 => budget.saturating_sub(cost),
                0.. => (*budget).max(now).saturating_add(cost),
            };
            let wait = budget.saturating_sub(now).saturating_sub(period);
            if wait > period {
                settled = Err(exceeded(rate, wait));
            }
            networks.insert(network, budgets, 1);
        }
        settled
    }

    /// Returns the part of a period that so much costs.
    fn cost(&self, rate: Rate, count: u64, share: usize) -> Duration {
        let (limit, period) = self.limits[rate as usize];
        let limit = u128::from(limit).saturating_mul(share as u128).max(1);
        let nanos = period.as_nanos().saturating_mul(count.into()) / limit;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn exceeded(rate: Rate, wait: Duration) -> LimitExceeded {
    let seconds = u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX);
    LimitExceeded::Rate(rate, seconds)
}

/// The account of a client whose traffic has a budget.
#[derive(Debug)]
struct IngressAccount {
    limiter: Arc<RateLimiter>,
    client: Client,
}

impl Account for IngressAccount {
    fn settle(&self, bytes: i64) -> Result<(), LimitExceeded> {
        self.limiter.settle_at(self.client, bytes, self.limiter.epoch.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;

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
        let at =
            |seconds: u64, rate| limiter.charge_at(client, rate, 1, Duration::from_secs(seconds));
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
        let settle = |kib: i64| limiter.settle_at(client, kib << 10, Duration::from_secs(1));
        let check = || limiter.charge_at(client, Rate::Ingress, 0, Duration::from_secs(1));
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
        assert_eq!(limiter.settle_at(client, 7200 << 10, later), Ok(()));
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
        for number in 0..3 * MAX_NETWORKS {
            let address = format!("9.{}.{}.1", number / 256, number % 256);
            assert!(limiter.charge(client(&address), Rate::Pages).is_ok());
        }
        assert!(limiter.networks.lock().unwrap().len() <= MAX_NETWORKS);
    }
}
