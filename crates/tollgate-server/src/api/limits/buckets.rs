//! How often each caller has asked. Owns: the counting, in memory that is bounded whoever asks. Must
//! not know: who a caller is, what a refusal looks like.
//!
//! A leaky bucket each, as the generic cell rate algorithm keeps it: one instant, at which the caller
//! would have asked all it has asked, had it asked evenly. Those who asked last are remembered: a
//! generation that is full becomes the old one, and what nobody has asked for meanwhile is dropped
//! with the one before. So many new addresses displace whoever is quiet, never whoever keeps asking.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many of the callers that asked last are remembered, and at most twice as many.
const CALLERS_MAX: usize = 50_000;
/// Locks, so that callers seldom wait for each other.
const SHARDS: usize = 16;
/// Quotas are for a minute.
const WINDOW: Duration = Duration::from_mins(1);

/// Counts of callers against one quota a minute.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Between two requests of a caller that asks evenly.
    interval: Duration,
    begun: Instant,
    shards: Vec<Mutex<Generations>>,
    generation_max: usize,
    /// Seeded anew in each process: nobody can choose addresses that share a shard.
    hasher: RandomState,
}

/// Since [`Buckets::begun`], when a caller would have asked all it has asked.
type Asked = HashMap<String, Duration>;

#[derive(Debug, Default)]
struct Generations {
    young: Asked,
    old: Asked,
}

impl Generations {
    /// What is known of a caller, which counts as one that asked last.
    fn recall(&mut self, caller: &str, generation_max: usize) -> Option<Duration> {
        if let Some(known) = self.young.get(caller) {
            return Some(*known);
        }
        let known = self.old.remove(caller)?;
        self.remember(caller, known, generation_max);
        Some(known)
    }

    fn remember(&mut self, caller: &str, asked: Duration, generation_max: usize) {
        if let Some(known) = self.young.get_mut(caller) {
            *known = asked;
            return;
        }
        if self.young.len() >= generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(caller.to_owned(), asked);
    }
}

impl Buckets {
    /// Nobody has asked yet.
    pub(super) fn per_minute(quota: u32) -> Self {
        Self::remembering(quota, CALLERS_MAX)
    }

    fn remembering(quota: u32, callers_max: usize) -> Self {
        Self {
            interval: WINDOW / quota.max(1),
            begun: Instant::now(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            generation_max: (callers_max / SHARDS).max(1),
            hasher: RandomState::new(),
        }
    }

    /// Counts one request. `Ok` holds how many are left at once; an error is how long there are none.
    pub(super) fn take(&self, caller: &str, now: Instant) -> Result<u32, Duration> {
        let now = now.duration_since(self.begun);
        self.with(caller, |generations| {
            let known = generations.recall(caller, self.generation_max).unwrap_or_default();
            let even = known.max(now) + self.interval;
            let ahead = even.saturating_sub(now);
            if ahead > WINDOW {
                return Err(ahead.saturating_sub(WINDOW));
            }
            generations.remember(caller, even, self.generation_max);
            let left = WINDOW.saturating_sub(ahead).as_nanos() / self.interval.as_nanos().max(1);
            Ok(u32::try_from(left).unwrap_or(u32::MAX))
        })
    }

    /// Whether a caller has used up its quota; asking this counts as nothing.
    pub(super) fn is_spent(&self, caller: &str, now: Instant) -> bool {
        let now = now.duration_since(self.begun);
        let known = self.with(caller, |known| known.recall(caller, self.generation_max));
        known.is_some_and(|known| known.max(now) + self.interval > now + WINDOW)
    }

    fn with<T>(&self, caller: &str, act: impl FnOnce(&mut Generations) -> T) -> T {
        let hash = usize::try_from(self.hasher.hash_one(caller) % SHARDS as u64).unwrap_or(0);
        match self.shards.get(hash) {
            Some(shard) => act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)),
            // There is one for every remainder.
            None => act(&mut Generations::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(buckets: &Buckets) -> usize {
        let of = |shard: &Mutex<Generations>| {
            let shard = shard.lock().unwrap();
            shard.young.len() + shard.old.len()
        };
        buckets.shards.iter().map(of).sum()
    }

    #[test]
    fn a_quota_is_there_at_once_and_comes_back_evenly() {
        let buckets = Buckets::per_minute(3);
        let begun = buckets.begun;
        let left: Vec<_> = (0..3).map(|_| buckets.take("a", begun)).collect();
        assert_eq!(left, [Ok(2), Ok(1), Ok(0)]);
        assert_eq!(buckets.take("a", begun), Err(Duration::from_secs(20)));
        assert!(buckets.is_spent("a", begun) && !buckets.is_spent("b", begun));
        assert_eq!(buckets.take("b", begun), Ok(2));
        let later = begun + Duration::from_secs(20);
        assert!(!buckets.is_spent("a", later));
        assert_eq!(buckets.take("a", later), Ok(0));
        assert!(buckets.is_spent("a", later));
        assert_eq!(buckets.take("a", begun + Duration::from_mins(5)), Ok(2));
    }

    #[test]
    fn refusals_do_not_make_the_wait_longer() {
        let buckets = Buckets::per_minute(1);
        let begun = buckets.begun;
        assert_eq!(buckets.take("a", begun), Ok(0));
        for _ in 0..1000 {
            assert_eq!(buckets.take("a", begun), Err(Duration::from_mins(1)));
        }
    }

    #[test]
    fn memory_is_bounded_and_whoever_keeps_asking_is_not_forgotten() {
        let buckets = Buckets::remembering(2, 160);
        let now = buckets.begun;
        for stranger in 0..10_000_u32 {
            buckets.take(&format!("stranger {stranger}"), now).unwrap();
            buckets.take("noisy", now).ok();
            // Some come again, after others came.
            buckets.take(&format!("stranger {}", stranger.saturating_sub(100)), now).ok();
        }
        assert!(remembered(&buckets) <= 320, "{}", remembered(&buckets));
        assert!(buckets.is_spent("noisy", now));
        assert!(!buckets.is_spent("stranger 0", now), "forgotten");
    }
}
