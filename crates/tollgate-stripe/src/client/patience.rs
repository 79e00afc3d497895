//! When a call is tried again. Owns: how often, after which wait and within which time, as a pure
//! decision. Must not know: sockets, clocks, randomness; both enter as arguments.

use std::time::Duration;

use crate::client::error::{Refusal, Unreachable};

/// How long a caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Most tries, the first included.
    pub tries_max: u32,
    /// From the beginning of the call to its end, waits included.
    pub total: Duration,
    /// Wait before the second try; doubled for each further one.
    pub backoff: Duration,
    /// The same after a 429, which needs longer.
    pub throttled_backoff: Duration,
    /// Longest single wait.
    pub backoff_max: Duration,
    /// Whether to wait while the breaker is open; otherwise the call fails at once.
    pub waits_for_breaker: bool,
}

impl Patience {
    /// Somebody waits for the answer: three tries within eight seconds.
    pub const fn request() -> Self {
        Self {
            tries_max: 3,
            total: Duration::from_secs(8),
            backoff: Duration::from_millis(500),
            throttled_backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(5),
            waits_for_breaker: false,
        }
    }

    /// A worker or a command: ten tries within ten minutes.
    pub const fn background() -> Self {
        Self {
            tries_max: 10,
            total: Duration::from_mins(10),
            backoff: Duration::from_millis(500),
            throttled_backoff: Duration::from_secs(2),
            backoff_max: Duration::from_mins(1),
            waits_for_breaker: true,
        }
    }
}

/// One try that brought no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Stripe answered with an error.
    Answered(Refusal),
    /// No answer came.
    Silent {
        /// In which way.
        how: Unreachable,
        /// The cause, without URL.
        detail: String,
    },
}

impl Failure {
    /// Stripe itself is in trouble: counts for the breaker.
    pub(super) const fn is_outage(&self) -> bool {
        match self {
            Self::Answered(refusal) => refusal.status >= 500,
            Self::Silent { .. } => true,
        }
    }

    /// The change may have been made all the same.
    pub(super) const fn leaves_doubt(&self) -> bool {
        match self {
            Self::Answered(refusal) => refusal.status >= 500,
            Self::Silent { how, .. } => !matches!(how, Unreachable::Connect),
        }
    }

    /// Worth another try: what Stripe says, else 409, 429, 5xx and silence.
    const fn is_passing(&self) -> bool {
        match self {
            Self::Answered(Refusal { should_retry: Some(answer), .. }) => *answer,
            Self::Answered(Refusal { status, .. }) => matches!(status, 409 | 429 | 500..),
            Self::Silent { .. } => true,
        }
    }
}

impl Patience {
    /// How long to wait before the next try after this failure; `None`: give up. `tries` are those
    /// made so far, `left` the time that is left, `jitter` 0..=1000 thousandths.
    pub(super) fn next(
        &self,
        failure: &Failure,
        tries: u32,
        left: Duration,
        jitter: u32,
    ) -> Option<Duration> {
        if tries >= self.tries_max || !failure.is_passing() {
            return None;
        }
        let throttled = matches!(failure, Failure::Answered(Refusal { status: 429, .. }));
        let first = if throttled { self.throttled_backoff } else { self.backoff };
        let doublings = tries.saturating_sub(1).min(20);
        let full = first.saturating_mul(1_u32 << doublings).min(self.backoff_max);
        // Between half of it and all of it, so that callers that failed together part.
        let wait = full / 2 + full / 2 * jitter.min(1000) / 1000;
        (wait < left).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_secs(100);

    fn answered(status: u16, should_retry: Option<bool>) -> Failure {
        Failure::Answered(Refusal { status, should_retry, ..Refusal::default() })
    }

    #[test]
    fn stripes_word_wins_over_the_status() {
        let patience = Patience::request();
        for (status, word, again) in [
            (400, None, false),
            (400, Some(true), true),
            (401, None, false),
            (402, None, false),
            (404, None, false),
            (409, None, true),
            (409, Some(false), false),
            (429, None, true),
            (500, None, true),
            (500, Some(false), false),
            (503, None, true),
        ] {
            let next = patience.next(&answered(status, word), 1, LEFT, 0);
            assert_eq!(next.is_some(), again, "{status} {word:?}");
        }
        let cut = Failure::Silent { how: Unreachable::Cut, detail: String::new() };
        assert!(patience.next(&cut, 1, LEFT, 0).is_some());
    }

    #[test]
    fn waits_double_up_to_a_cap_with_half_of_them_random_and_429_waits_longer() {
        let patience = Patience { tries_max: 9, ..Patience::request() };
        let wait = |status, tries, jitter| {
            patience.next(&answered(status, None), tries, LEFT, jitter).unwrap().as_millis()
        };
        assert_eq!([wait(500, 1, 0), wait(500, 1, 1000)], [250, 500]);
        assert_eq!([wait(500, 2, 0), wait(500, 2, 1000)], [500, 1000]);
        assert_eq!(wait(500, 8, 1000), 5000);
        assert_eq!(wait(429, 1, 1000), 1000);
    }

    #[test]
    fn tries_and_time_run_out() {
        let patience = Patience::request();
        assert_eq!(patience.next(&answered(500, None), 3, LEFT, 0), None);
        assert_eq!(patience.next(&answered(500, None), 1, Duration::from_millis(100), 0), None);
    }
}
