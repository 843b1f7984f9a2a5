//! Counts requests by route and status.

use crate::instruments::{Counter, Label};
use crate::labels::RouteName;
use crate::problem_code::ProblemCode;

/// The statuses of answers that are no problems.
const STATUSES: [u16; 4] = [200, 206, 303, 304];

/// Requests by route and status.
#[derive(Debug)]
pub struct RequestTotals {
    /// All statuses, ascending.
    statuses: Vec<u16>,
    /// By route, then by status.
    counters: Vec<Counter>,
}

impl Default for RequestTotals {
    fn default() -> RequestTotals {
        let problems = ProblemCode::ALL.iter().map(|code| code.status());
        let mut statuses: Vec<_> = problems.chain(STATUSES).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let counters = RouteName::ALL.iter().flat_map(|_| &statuses).map(|_| Counter::default());
        RequestTotals { counters: counters.collect(), statuses }
    }
}

impl RequestTotals {
    /// Counts a request that was answered.
    pub(super) fn count(&self, route: RouteName, status: u16) {
        let Ok(place) = self.statuses.binary_search(&status) else { return };
        self.counters[route.index() * self.statuses.len() + place].increment();
    }

    /// Returns the numbers of requests by route and status: those that occur, and those that can be expected to.
    pub fn iter(&self) -> impl Iterator<Item = (RouteName, u16, u64)> {
        let pairs = RouteName::ALL
            .iter()
            .flat_map(|route| self.statuses.iter().map(move |status| (*route, *status)));
        let counted = pairs
            .zip(&self.counters)
            .map(|((route, status), counter)| (route, status, counter.get()));
        counted.filter(|(route, status, count)| *count > 0 || is_expected(*route, *status))
    }
}

/// Whether a route has answers with this status in ordinary life, so that its series is there from the start.
fn is_expected(route: RouteName, status: u16) -> bool {
    match route {
        RouteName::Download | RouteName::Mux => !matches!(status, 421 | 431 | 505),
        RouteName::Info | RouteName::Thumbnail => {
            !matches!(status, 206 | 303 | 304 | 412 | 416 | 421 | 431 | 505)
        }
        RouteName::Login | RouteName::Logout => matches!(status, 200 | 303 | 401 | 403 | 429),
        RouteName::Healthz => status == 200,
        RouteName::Readyz => matches!(status, 200 | 503),
        RouteName::Other => matches!(status, 400 | 404 | 405 | 408 | 431 | 505),
        _ => matches!(status, 200 | 401 | 403),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_problem_is_counted() {
        let totals = RequestTotals::default();
        for code in ProblemCode::ALL {
            totals.count(RouteName::Icon, code.status());
            assert!(totals.iter().any(|(route, status, count)| {
                (route, status) == (RouteName::Icon, code.status()) && count > 0
            }));
        }
        let counted: u64 = totals.iter().map(|(_, _, count)| count).sum();
        assert_eq!(counted, ProblemCode::ALL.len() as u64);
    }
}
