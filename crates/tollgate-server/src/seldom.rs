//! Log lines that must not come too often. Owns: when the next one is due and how many were left
//! out. Must not know: what they say.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines.
const EVERY: Duration = Duration::from_mins(1);

/// Something that may happen thousands of times a second and is told of once a minute.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Counts one occurrence; `Some` when it is to be told of, with how many were not since the
    /// last one that was.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.said.is_some_and(|said| now.duration_since(said) < EVERY) {
            state.unsaid = state.unsaid.saturating_add(1);
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_then_one_a_minute_with_a_count() {
        let (seldom, begin) = (Seldom::default(), Instant::now());
        let at = |seconds| seldom.admit(begin + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(59), at(60), at(61), at(200)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
