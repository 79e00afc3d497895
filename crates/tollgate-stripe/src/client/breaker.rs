//! Sparing Stripe, and us, while it is down. Owns: when calls are held back and when one may probe.
//! Must not know: what is called, what a failure is; the time enters as an argument.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When the breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// So many failed tries in a row open it.
    pub failures_max: u32,
    /// First pause; doubled each time the probe fails.
    pub pause: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self { failures_max: 8, pause: Duration::from_secs(2), pause_max: Duration::from_secs(30) }
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One call is out to see; the others wait for it.
    Probing {
        since: Instant,
        pause: Duration,
    },
}

#[derive(Debug)]
pub(super) struct Breaker {
    options: BreakerOptions,
    state: Mutex<State>,
}

/// Leave to make one try. Dropped without a word (the caller went away), it makes room for
/// another probe.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

/// What a try did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Unchanged,
    Opened,
    Closed,
}

impl Breaker {
    pub(super) const fn new(options: BreakerOptions) -> Self {
        Self { options, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave for one try, or how long to wait before asking again.
    pub(super) fn admit(&self, now: Instant) -> Result<Leave<'_>, Duration> {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => Ok(Leave { breaker: self, probe: false }),
            State::Open { until, pause } if now >= until => {
                *state = State::Probing { since: now, pause };
                Ok(Leave { breaker: self, probe: true })
            }
            State::Open { until, .. } => Err(until.saturating_duration_since(now)),
            State::Probing { .. } => Err(self.options.pause),
        }
    }
}

impl Leave<'_> {
    /// Tells how the try went.
    pub(super) fn settle(mut self, healthy: bool, now: Instant) -> Turn {
        let options = self.breaker.options;
        let mut state = self.breaker.state();
        let (next, turn) = match (*state, healthy) {
            (State::Closed { .. }, true) => (State::Closed { failures: 0 }, Turn::Unchanged),
            // A success is a success, probe or straggler.
            (State::Open { .. } | State::Probing { .. }, true) => {
                (State::Closed { failures: 0 }, Turn::Closed)
            }
            (State::Closed { failures }, false)
                if failures.saturating_add(1) >= options.failures_max =>
            {
                let until = now.checked_add(options.pause).unwrap_or(now);
                (State::Open { until, pause: options.pause }, Turn::Opened)
            }
            (State::Closed { failures }, false) => {
                (State::Closed { failures: failures.saturating_add(1) }, Turn::Unchanged)
            }
            (State::Probing { pause, .. }, false) if self.probe => {
                let pause = pause.saturating_mul(2).min(options.pause_max);
                (
                    State::Open { until: now.checked_add(pause).unwrap_or(now), pause },
                    Turn::Unchanged,
                )
            }
            (open @ (State::Open { .. } | State::Probing { .. }), false) => (open, Turn::Unchanged),
        };
        *state = next;
        drop(state);
        self.probe = false;
        turn
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut state = self.breaker.state();
        if let State::Probing { since, pause } = *state {
            *state = State::Open { until: since, pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BreakerOptions = BreakerOptions {
        failures_max: 2,
        pause: Duration::from_secs(1),
        pause_max: Duration::from_secs(3),
    };

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_at_a_time() {
        let breaker = Breaker::new(OPTIONS);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(breaker.admit(start).unwrap().settle(false, start), Turn::Unchanged);
        assert_eq!(breaker.admit(start).unwrap().settle(true, start), Turn::Unchanged);
        assert_eq!(breaker.admit(start).unwrap().settle(false, start), Turn::Unchanged);
        assert_eq!(breaker.admit(start).unwrap().settle(false, start), Turn::Opened);
        assert_eq!(breaker.admit(start).unwrap_err(), Duration::from_secs(1));

        let probe = breaker.admit(at(1)).unwrap();
        assert!(breaker.admit(at(1)).is_err());
        assert_eq!(probe.settle(false, at(1)), Turn::Unchanged);
        assert_eq!(breaker.admit(at(1)).unwrap_err(), Duration::from_secs(2));

        assert_eq!(breaker.admit(at(3)).unwrap().settle(false, at(3)), Turn::Unchanged);
        assert_eq!(breaker.admit(at(3)).unwrap_err(), Duration::from_secs(3));
        assert_eq!(breaker.admit(at(6)).unwrap().settle(true, at(6)), Turn::Closed);
        assert!(breaker.admit(at(6)).is_ok());
    }

    #[test]
    fn a_probe_that_was_dropped_makes_room_for_another() {
        let breaker = Breaker::new(BreakerOptions { failures_max: 1, ..OPTIONS });
        let start = Instant::now();
        breaker.admit(start).unwrap().settle(false, start);
        let later = start + Duration::from_secs(1);
        drop(breaker.admit(later).unwrap());
        assert!(breaker.admit(later).is_ok());
    }
}
