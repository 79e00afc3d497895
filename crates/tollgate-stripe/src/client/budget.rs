//! Staying below Stripe's rate limits. Owns: one token bucket per named operation. Must not know:
//! what is called, how long anybody is ready to wait.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Calls that may go out at once after a quiet time. Small, so that a burst on top of the rate
/// stays below the 25 a second Stripe allows.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

#[derive(Debug)]
pub(super) struct Budget {
    buckets: DefaultKeyedRateLimiter<&'static str>,
}

impl Budget {
    pub(super) fn new(rate_per_second: NonZeroU32) -> Self {
        let quota = Quota::per_second(rate_per_second).allow_burst(BURST.min(rate_per_second));
        Self { buckets: RateLimiter::keyed(quota) }
    }

    /// Takes one call from the operation's budget, or says how long to wait before asking again.
    pub(super) fn take(&self, operation: &'static str) -> Result<(), Duration> {
        self.buckets
            .check_key(&operation)
            .map_err(|wait| wait.wait_time_from(self.buckets.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_a_budget_of_its_own() {
        let budget = Budget::new(NonZeroU32::MIN);
        assert!(budget.take("a").is_ok());
        let wait = budget.take("a").unwrap_err();
        assert!(wait > Duration::from_millis(500) && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(budget.take("b").is_ok());
    }
}
