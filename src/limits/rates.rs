//! Limits how often clients in the internet may do something, within minutes or hours.
//!
//! A client may use its budget of a period at once; then as much comes back as time passes. Networks of
//! clients have larger budgets ([`Client::networks`]).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{Client, NETWORK_SHARES};
use crate::config::LimitsConfig;
use crate::error::{LimitExceeded, Rate};
use crate::lru::LruMap;

/// The networks that are remembered: the most recent ones. Who comes from more of them has their budgets, too.
const MAX_NETWORKS: usize = 4096;

/// The budgets of all networks.
pub struct RateLimiter {
    /// The maximum count in a period, for each [`Rate`].
    limits: [(u32, Duration); 2],
    epoch: Instant,
    networks: Mutex<LruMap<IpNet, Budgets>>,
}

/// When each budget of a network will be complete again, since the epoch.
type Budgets = [Duration; 2];

impl RateLimiter {
    /// Returns the limiter that the configuration describes.
    pub fn new(limits: &LimitsConfig) -> RateLimiter {
        let minute = (limits.requests_per_minute, Duration::from_secs(60));
        let hour = (limits.pages_per_hour, Duration::from_secs(3600));
        let networks = Mutex::new(LruMap::new(MAX_NETWORKS));
        RateLimiter { limits: [minute, hour], epoch: Instant::now(), networks }
    }

    /// Charges one use to a client, unless its budget is used up. Near clients have no budget.
    pub fn charge(&self, client: Client, rate: Rate) -> Result<(), LimitExceeded> {
        if !client.is_far() {
            return Ok(());
        }
        self.charge_at(client, rate, self.epoch.elapsed())
    }

    fn charge_at(&self, client: Client, rate: Rate, now: Duration) -> Result<(), LimitExceeded> {
        let index = rate as usize;
        let (limit, period) = self.limits[index];
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut charged = Vec::with_capacity(NETWORK_SHARES.len());
        for (network, share) in client.networks().zip(NETWORK_SHARES) {
            let mut budgets = networks.get(&network).copied().unwrap_or_default();
            let count = limit.saturating_mul(u32::try_from(share).unwrap_or(u32::MAX));
            budgets[index] = budgets[index].max(now) + period / count.max(1);
            let wait = (budgets[index] - now).saturating_sub(period);
            if !wait.is_zero() {
                let seconds = u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX);
                return Err(LimitExceeded::Rate(rate, seconds));
            }
            charged.push((network, budgets));
        }
        for (network, budgets) in charged {
            networks.insert(network, budgets, 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> RateLimiter {
        RateLimiter::new(&LimitsConfig {
            requests_per_minute: 6,
            pages_per_hour: 2,
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
