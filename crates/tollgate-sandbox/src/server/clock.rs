//! The sandbox's clock. Owns: the one place of this crate that reads the machine's time, and how
//! far from it the sandbox is. Must not know: what happens when time passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tollgate_domain::Timestamp;

/// The farthest the clock can be moved ahead at once: ten years.
pub(super) const ADVANCE_MAX: Duration = Duration::from_hours(10 * 366 * 24);

/// Tells the sandbox's time, which can be moved ahead and never back. Cheap to clone; all clones
/// move together.
#[derive(Debug, Clone)]
pub struct SandboxClock {
    base: Base,
    /// Milliseconds: ahead of the machine, or since 1970 where the clock stands still.
    millis: Arc<AtomicI64>,
    moved: Arc<watch::Sender<i64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Machine,
    Still,
}

impl SandboxClock {
    /// A clock that runs with the machine's, ahead of it by some milliseconds.
    pub fn running(ahead_ms: i64) -> Self {
        Self::new(Base::Machine, ahead_ms.max(0))
    }

    /// A clock that stands still until it is moved, for tests.
    pub fn standing(at: Timestamp) -> Self {
        Self::new(Base::Still, at.millis())
    }

    fn new(base: Base, millis: i64) -> Self {
        let (moved, _) = watch::channel(0);
        Self { base, millis: Arc::new(AtomicI64::new(millis)), moved: Arc::new(moved) }
    }

    /// The sandbox's present.
    pub fn now(&self) -> Timestamp {
        let millis = self.millis.load(Ordering::Acquire);
        match self.base {
            Base::Still => Timestamp::from_millis(millis),
            Base::Machine => Timestamp::from_millis(machine_ms().saturating_add(millis)),
        }
    }

    /// Moves the clock ahead and returns its new present. At most ten years at once.
    pub fn advance(&self, by: Duration) -> Timestamp {
        let by = i64::try_from(by.min(ADVANCE_MAX).as_millis()).unwrap_or(i64::MAX);
        self.millis.fetch_add(by, Ordering::AcqRel);
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
        self.now()
    }

    /// Is not behind an earlier run: as far ahead of the machine as it was, and not before its last
    /// instant.
    pub(super) fn catch_up(&self, ahead_ms: i64, last: Timestamp) {
        if self.base == Base::Machine {
            self.millis.fetch_max(ahead_ms, Ordering::AcqRel);
        }
        let behind = last.millis().saturating_sub(self.now().millis());
        self.millis.fetch_add(behind.max(0), Ordering::AcqRel);
    }

    /// Whether time passes by itself.
    pub fn is_running(&self) -> bool {
        self.base == Base::Machine
    }

    /// How far ahead of the machine the clock is, in milliseconds; 0 where it stands still.
    pub fn ahead_ms(&self) -> i64 {
        match self.base {
            Base::Machine => self.millis.load(Ordering::Acquire),
            Base::Still => 0,
        }
    }

    /// The number behind the clock, shared: milliseconds ahead of the machine's clock where it
    /// runs, milliseconds since 1970 where it stands still. For a clock that follows this one.
    pub fn shared_millis(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.millis)
    }

    /// Changes whenever the clock is moved.
    pub fn moves(&self) -> watch::Receiver<i64> {
        self.moved.subscribe()
    }
}

fn machine_ms() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place of the sandbox that reads the clock"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_told_and_tells_all_its_clones() {
        let start = Timestamp::from_unix_seconds(1_790_000_000);
        let clock = SandboxClock::standing(start);
        let clone = clock.clone();
        let moves = clone.moves();
        assert_eq!(clone.now(), start);
        assert_eq!(clock.advance(Duration::from_hours(25)), start.plus_hours(25));
        assert_eq!(clone.now(), start.plus_hours(25));
        assert!(moves.has_changed().unwrap());
        assert_eq!(clock.ahead_ms(), 0);
    }

    #[test]
    fn a_running_clock_keeps_its_distance_to_the_machine() {
        let (here, ahead) = (SandboxClock::running(0), SandboxClock::running(3_600_000));
        let before = here.now();
        ahead.advance(Duration::from_mins(1));
        assert!(ahead.now() >= before.plus_hours(1).plus_ms(60_000));
        assert_eq!(ahead.ahead_ms(), 3_660_000);
        assert_eq!(SandboxClock::running(-5).ahead_ms(), 0);
    }
}
