//! Log lines of what lasts. Owns: one line when something begins to happen, one a minute while it
//! goes on with how often it happened, one when it has ended. Must not know: what happens.
//!
//! What strangers can cause and what every request of an outage meets happens thousands of times a
//! second: told of each time it hides everything else and fills the disk, told of never it leaves an
//! operator blind.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same.
const EVERY: Duration = Duration::from_mins(1);
/// What did not happen for so long has ended.
const QUIET: Duration = Duration::from_secs(30);

/// Something that happens for one or more reasons; each reason has episodes of its own.
#[derive(Debug)]
pub struct Episodes {
    what: &'static str,
    open: Mutex<BTreeMap<&'static str, Open>>,
}

/// An episode that has not ended.
#[derive(Debug)]
struct Open {
    begun: Instant,
    last: Instant,
    said: Instant,
    count: u64,
    unsaid: u64,
}

/// A line that is due.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Begins,
    GoesOn { more: u64 },
    Ends { count: u64, lasted: Duration },
}

impl Episodes {
    /// Those of one kind; `what` is the sentence of the log, such as "webhooks are refused".
    pub const fn new(what: &'static str) -> Self {
        Self { what, open: Mutex::new(BTreeMap::new()) }
    }

    /// It happened.
    pub fn note(&self, reason: &'static str, detail: impl Display) {
        let what = self.what;
        match self.due(reason, Instant::now()) {
            Some(Line::Begins) => tracing::warn!(reason, %detail, "{what}"),
            Some(Line::GoesOn { more }) => {
                tracing::warn!(reason, %detail, more, "{what}: it goes on");
            }
            Some(Line::Ends { .. }) | None => {}
        }
    }

    /// Ends what has not happened for a while. One success is no end: near the limit of a disk or of a
    /// pool some things go well all the time.
    pub fn end_quiet(&self) {
        self.end_quiet_at(Instant::now());
    }

    fn end_quiet_at(&self, now: Instant) {
        self.end_where(now, |_, open| now.duration_since(open.last) >= QUIET);
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<&'static str, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self, reason: &'static str, now: Instant) -> Option<Line> {
        let mut all = self.open();
        let Some(open) = all.get_mut(reason) else {
            all.insert(reason, Open { begun: now, last: now, said: now, count: 1, unsaid: 0 });
            return Some(Line::Begins);
        };
        open.last = now;
        open.count = open.count.saturating_add(1);
        open.unsaid = open.unsaid.saturating_add(1);
        if now.duration_since(open.said) < EVERY {
            return None;
        }
        open.said = now;
        Some(Line::GoesOn { more: std::mem::take(&mut open.unsaid) })
    }

    fn end_where(&self, now: Instant, is_over: impl Fn(&str, &Open) -> bool) {
        for (reason, line) in self.ended(now, is_over) {
            if let Line::Ends { count, lasted } = line {
                let what = self.what;
                let lasted_s = lasted.as_secs();
                tracing::info!(reason, count, lasted_s, "{what}: it has ended");
            }
        }
    }

    fn ended(
        &self,
        now: Instant,
        is_over: impl Fn(&str, &Open) -> bool,
    ) -> Vec<(&'static str, Line)> {
        let mut all = self.open();
        let over = all.extract_if(.., |reason, open| is_over(reason, open));
        let over = over.map(|(reason, open)| {
            let lasted = now.duration_since(open.begun);
            (reason, Line::Ends { count: open.count, lasted })
        });
        over.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_a_count_a_minute_and_an_end() {
        let (episodes, begin) = (Episodes::new("something happens"), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let lines = [0, 1, 59, 60, 61, 125].map(|second| episodes.due("a", at(second)));
        let expected = [
            Some(Line::Begins),
            None,
            None,
            Some(Line::GoesOn { more: 3 }),
            None,
            Some(Line::GoesOn { more: 2 }),
        ];
        assert_eq!(lines, expected);
        assert_eq!(episodes.due("b", at(125)), Some(Line::Begins), "reasons are told apart");
        let lasted = Duration::from_secs(130);
        let ended = episodes.ended(at(130), |reason, _| reason == "a");
        assert_eq!(ended, [("a", Line::Ends { count: 6, lasted })]);
        assert_eq!(episodes.due("a", at(131)), Some(Line::Begins));
    }

    #[test]
    fn what_does_not_happen_for_a_while_has_ended() {
        let episodes = Episodes::new("something happens");
        let begin = Instant::now();
        episodes.due("a", begin);
        for (seconds, is_open) in [(29, true), (30, false)] {
            episodes.end_quiet_at(begin + Duration::from_secs(seconds));
            assert_eq!(episodes.open().len(), usize::from(is_open));
        }
    }
}
