//! When to try again. Owns: the formula. Must not know: what is tried.

use tollgate_domain::Timestamp;

use crate::config::WorkerLimits;

/// The next attempt after so many failed ones: base x 2^(n-1), at most the cap, with up to a
/// quarter of it taken off at random so that a burst of failures does not come back as one.
/// `None`: enough attempts were made.
pub fn next_attempt(limits: &WorkerLimits, attempts: u32, now: Timestamp) -> Option<Timestamp> {
    if attempts >= limits.attempts_max {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(32);
    let wait = limits.backoff_base_ms.saturating_mul(1_u64 << doublings).min(limits.backoff_cap_ms);
    let jitter = fastrand::u64(0..=wait / 4);
    let wait = wait.saturating_sub(jitter);
    Some(now.plus_ms(i64::try_from(wait).unwrap_or(i64::MAX)))
}

/// The same for what is never given up: after the last quick attempt it stays with the slow ones.
pub fn next_of_many(limits: &WorkerLimits, attempts: u32, now: Timestamp) -> Timestamp {
    let cap = i64::try_from(limits.backoff_cap_ms).unwrap_or(i64::MAX);
    next_attempt(limits, attempts, now).unwrap_or_else(|| now.plus_ms(cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_end() {
        let limits = WorkerLimits {
            lease_ms: 30_000,
            poll_ms: 1_000,
            batch: 50,
            attempts_max: 12,
            backoff_base_ms: 30_000,
            backoff_cap_ms: 600_000,
            waiting_days_max: 30,
        };
        let now = Timestamp::from_millis(0);
        let wait = |n| next_attempt(&limits, n, now).map(Timestamp::millis);
        for (attempts, full) in
            [(1, 30_000), (2, 60_000), (5, 480_000), (6, 600_000), (11, 600_000)]
        {
            let waited = wait(attempts).unwrap();
            assert!(waited <= full && waited >= full - full / 4, "{attempts}: {waited}");
        }
        assert_eq!(wait(12), None);
    }
}
