//! How far the cache may be trusted. Owns: when the change feed was last read to its end. Must not
//! know: who reads it, what is cached.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Longest time an answer may lack another instance's commit.
pub const STALENESS_MAX: Duration = Duration::from_secs(1);
/// When the feed was last read to its end.
#[derive(Debug)]
pub struct Freshness {
    begun: Instant,
    /// Milliseconds after `begun`; negative: never.
    confirmed_ms: AtomicI64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { begun: Instant::now(), confirmed_ms: AtomicI64::new(-1) }
    }
}

impl Freshness {
    /// Whether everything committed longer ago than the bound has been seen.
    pub fn is_confirmed(&self) -> bool {
        self.age().is_some_and(|age| age <= STALENESS_MAX)
    }

    /// Time since the last reading began that came to the end; `None`: there was none.
    pub fn age(&self) -> Option<Duration> {
        let confirmed = u64::try_from(self.confirmed_ms.load(Ordering::Acquire)).ok()?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(confirmed)))
    }

    /// Notes that a reading begun at this moment came to the end.
    pub fn confirm(&self, reading_begun: Instant) {
        let ms = reading_begun.saturating_duration_since(self.begun).as_millis();
        self.confirmed_ms.store(i64::try_from(ms).unwrap_or(i64::MAX), Ordering::Release);
    }
}
