//! Which uses count in a period. Owns: how a count goes on when the period changes. Must not know:
//! how counters are kept, how periods are found.
//!
//! A billing period may be replaced by another one before its end: a trial that is paid early, a
//! subscription ended and bought again, a second one beside the first, an upgrade that starts the
//! billing cycle anew, a fall back to the default plan and its calendar months. Such a change hands
//! out no second quota:
//!
//! 1. Uses count in the period they are made in, whichever source was in force. Calendar months, of
//!    features metered by them and of plans that are not paid by subscription, count nothing else.
//! 2. A billing period that begins exactly where the one before it ended begins at 0, at that instant.
//! 3. One that begins in the middle of another billing period goes on with the count of that one. The
//!    same holds for that one, so a count goes on through several changes.
//! 4. One that begins while no subscription gave a plan goes on with what was used in periods that
//!    were not over: of a subscription that was ended early, and in the calendar month.
//! 5. What goes on counts no longer than one length of the present period before its start: whoever
//!    pays for a period and used nothing for as long gets its whole quota.
//!
//! All of it is told from facts and from when uses were made, so news in any order end in the same
//! count. News of a renewal that comes late changes nothing: a period that is over without news goes
//! on by the calendar (see [`Resolution::meter_span`](super::Resolution::meter_span)), and its
//! successor begins where the news says it did.

use crate::time::Timestamp;

/// A period uses are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterSpan {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
    /// Uses made before this instant never count in it: one length before its start.
    pub reach: Timestamp,
    /// Whether a subscription bills by it; else it is a calendar month.
    pub is_billed: bool,
}

/// The uses of one feature that were counted in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// First instant of the period.
    pub period_start: Timestamp,
    /// The first instant after the period, as it was known at the last use.
    pub period_end: Timestamp,
    /// Units used.
    pub quantity: u64,
    /// When the last of them was used.
    pub last_used_at: Timestamp,
}

/// Most changes of the period that are followed back; what was used before more of them counts.
const CHANGES_MAX: u32 = 24;

/// Finds the uses that count in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedSince {
    /// No use before it counts.
    reach: Timestamp,
    /// Every use since counts.
    since: Timestamp,
    before: Before,
    /// Changes followed back.
    changes: u32,
}

/// What of the uses before the instant since which all count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It depends on the period before.
    Undecided,
    /// None of them counts.
    Nothing,
    /// Those count whose period was not over.
    Unfinished,
}

impl CountedSince {
    /// The uses that count in a period, as far as the period alone says.
    pub const fn start_of(span: MeterSpan) -> Self {
        let before = if span.is_billed { Before::Undecided } else { Before::Nothing };
        Self { reach: span.reach, since: span.start, before, changes: 0 }
    }

    /// The instant of which must be known what period it lay in, to say whether older uses count;
    /// `None` when it is decided. The answer goes to [`CountedSince::go_back`].
    pub fn undecided(&self, counters: &[Counter]) -> Option<Timestamp> {
        // A period with uses ended here, so this one began at 0.
        let ended_here = || counters.iter().any(|one| one.period_end == self.since);
        let is_older = |one: &Counter| !self.is_since(one) && one.last_used_at >= self.reach;
        let open = self.before == Before::Undecided;
        (open && counters.iter().any(is_older) && !ended_here()).then(|| self.since.plus_ms(-1))
    }

    /// Takes the period in which the instant lay that [`CountedSince::undecided`] asked for.
    #[must_use]
    pub fn go_back(self, earlier: MeterSpan) -> Self {
        if earlier.end == self.since || earlier.start >= self.since {
            return Self { before: Before::Nothing, ..self };
        }
        if !earlier.is_billed {
            return Self { before: Before::Unfinished, ..self };
        }
        if self.changes >= CHANGES_MAX {
            return Self { since: self.reach, before: Before::Nothing, ..self };
        }
        Self { since: earlier.start, changes: self.changes + 1, ..self }
    }

    /// The units that count, by counters whose period began at `until` or before.
    pub fn used(&self, counters: &[Counter], until: Timestamp) -> u64 {
        let goes_on = |one: &Counter| {
            self.before == Before::Unfinished
                && one.period_end > self.since
                && one.last_used_at >= self.reach
        };
        let counts = |one: &&Counter| self.is_since(one) || goes_on(one);
        let known = counters.iter().filter(|one| one.period_start <= until);
        known.filter(counts).fold(0, |sum, one| sum.saturating_add(one.quantity))
    }

    fn is_since(&self, one: &Counter) -> bool {
        let since = self.since.max(self.reach);
        one.period_start >= since || one.last_used_at >= since
    }
}

#[cfg(test)]
mod tests;
