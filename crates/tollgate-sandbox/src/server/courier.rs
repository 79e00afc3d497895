//! The courier's book. Owns: which deliveries are to be made and when, which have been made and how
//! they went, when one is tried again. Must not know: how a request is made, what time it is.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use super::plan::{Copy, DeliveryPlan};
use crate::event::Happening;
use crate::sandbox::DeliveryState;
use crate::version::ApiVersion;

/// Seconds from a failed attempt to the next one, by the sandbox's clock. Stripe does not publish
/// its own; like these they grow, and they end after three days.
const RETRY_AFTER_S: [i64; 12] =
    [10, 60, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 36_000, 36_000, 43_200, 43_200];
/// Most deliveries waiting at once; what is more never arrives.
const WAITING_MAX: usize = 100_000;
/// Most attempts remembered.
const REMEMBERED_MAX: usize = 2_000;

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The endpoint's id, `we_…`.
    pub(crate) endpoint: String,
    /// The version it asked for.
    pub(crate) version: ApiVersion,
}

/// One delivery that waits or is under way.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) happening: Happening,
    pub(crate) endpoint: String,
    pub(crate) version: ApiVersion,
    /// From 1.
    pub(crate) attempt: u32,
    /// Not before, in Unix milliseconds of the sandbox.
    due_ms: i64,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// There was an answer; 2xx is success.
    Answered {
        /// Its HTTP status.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
    /// There was none.
    Unanswered {
        /// Why not.
        why: String,
    },
    /// The plan let it be lost.
    Lost,
}

impl Outcome {
    /// Whether Stripe would call it delivered.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if *status >= 200 && *status < 300)
    }
}

/// One attempt that has been made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Counts all attempts, from 1.
    pub number: u64,
    /// The event's id.
    pub event: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The endpoint.
    pub endpoint: String,
    /// The version it was written in.
    pub api_version: &'static str,
    /// Which attempt of this delivery, from 1.
    pub attempt: u32,
    /// When, in Unix seconds of the sandbox.
    pub at: i64,
    /// When it is tried again, in Unix seconds of the sandbox.
    pub next_attempt_at: Option<i64>,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Everything the courier knows.
#[derive(Debug, Default)]
pub(crate) struct Courier {
    pub(crate) plan: DeliveryPlan,
    /// By place in the order: when due, or a drawn number, and as they came.
    waiting: BTreeMap<(i64, u64, u64), Parcel>,
    under_way: HashMap<String, u32>,
    attempts: VecDeque<Attempt>,
    count: u64,
    entries: u64,
    progress: HashMap<String, DeliveryState>,
    /// How many of the sandbox's events have been looked at.
    seen: usize,
}

impl Courier {
    /// The first event not looked at yet, of so many; all of them count as looked at from now on.
    pub(crate) fn first_unseen(&mut self, events: usize) -> Option<usize> {
        let seen = std::mem::replace(&mut self.seen, events);
        (seen < events).then_some(seen)
    }

    /// Takes an event for an endpoint, as the plan has it, at a time in Unix seconds of the sandbox. A
    /// test clock may be ahead of it: its events are told at once.
    pub(crate) fn take(&mut self, happening: &Happening, address: &Address, now: i64) {
        let fate = self.plan.draw(happening.kind(), happening.id(), &address.endpoint);
        let version = fate.version.unwrap_or(address.version);
        let due_ms = happening.created().min(now).saturating_mul(1000);
        for copy in &fate.copies {
            let parcel = Parcel {
                happening: happening.clone(),
                endpoint: address.endpoint.clone(),
                version,
                attempt: 1,
                due_ms: due_ms.saturating_add(copy.delay_s.saturating_mul(1000)),
            };
            let state = self.progress.entry(happening.id().to_owned()).or_default();
            state.pending = state.pending.saturating_add(1);
            if fate.lost || self.waiting.len() >= WAITING_MAX {
                let at = parcel.due_ms.div_euclid(1000);
                self.note(&parcel, at, Outcome::Lost, None);
            } else {
                self.queue(parcel, *copy);
            }
        }
    }

    /// Sends an event once more, whatever the plan says.
    pub(crate) fn resend(&mut self, happening: &Happening, address: &Address, now_ms: i64) {
        let parcel = Parcel {
            happening: happening.clone(),
            endpoint: address.endpoint.clone(),
            version: address.version,
            attempt: 1,
            due_ms: now_ms,
        };
        let state = self.progress.entry(happening.id().to_owned()).or_default();
        state.pending = state.pending.saturating_add(1);
        self.queue(parcel, Copy { delay_s: 0, rank: 0 });
    }

    fn queue(&mut self, parcel: Parcel, copy: Copy) {
        let number = self.entries;
        self.entries = self.entries.saturating_add(1);
        // A shuffled delivery has a drawn place, but is not made before it is due.
        let first = if copy.rank == 0 { parcel.due_ms } else { 0 };
        self.waiting.insert((first, copy.rank, number), parcel);
    }

    /// The next delivery that is due and whose endpoint is free; it is under way from now on.
    pub(crate) fn next(&mut self, now_ms: i64) -> Option<Parcel> {
        if self.plan.hold {
            return None;
        }
        let at_once = u32::from(self.plan.at_once.max(1));
        let free =
            |parcel: &Parcel| self.under_way.get(&parcel.endpoint).copied().unwrap_or(0) < at_once;
        let mut due = self.waiting.iter().filter(|(_, parcel)| parcel.due_ms <= now_ms);
        let place = due.find(|(_, parcel)| free(parcel)).map(|(place, _)| *place)?;
        let parcel = self.waiting.remove(&place)?;
        let busy = self.under_way.entry(parcel.endpoint.clone()).or_default();
        *busy = busy.saturating_add(1);
        Some(parcel)
    }

    /// When the earliest delivery that waits is due, in Unix milliseconds of the sandbox.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.waiting.values().map(|parcel| parcel.due_ms).min()
    }

    /// Whether nothing is due and nothing under way.
    pub(crate) fn is_settled(&self, now_ms: i64) -> bool {
        let due = || self.next_due_ms().is_some_and(|due| due <= now_ms);
        self.under_way.values().all(|count| *count == 0) && (self.plan.hold || !due())
    }

    /// How a delivery went. One that failed is tried again later.
    pub(crate) fn settle(&mut self, parcel: Parcel, now_ms: i64, outcome: Outcome) {
        if let Some(busy) = self.under_way.get_mut(&parcel.endpoint) {
            *busy = busy.saturating_sub(1);
        }
        let tries = usize::try_from(parcel.attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = RETRY_AFTER_S.get(tries).filter(|_| !outcome.is_success());
        let next = pause.map(|pause| now_ms.saturating_add(pause.saturating_mul(1000)));
        self.note(&parcel, now_ms.div_euclid(1000), outcome, next);
        if let Some(due_ms) = next {
            let attempt = parcel.attempt.saturating_add(1);
            let plain = Copy { delay_s: 0, rank: 0 };
            self.queue(Parcel { attempt, due_ms, ..parcel }, plain);
        }
    }

    /// The endpoint of a delivery is gone: it ends here.
    pub(crate) fn drop_parcel(&mut self, parcel: &Parcel) {
        if let Some(busy) = self.under_way.get_mut(&parcel.endpoint) {
            *busy = busy.saturating_sub(1);
        }
        let state = self.progress.entry(parcel.happening.id().to_owned()).or_default();
        state.pending = state.pending.saturating_sub(1);
    }

    fn note(&mut self, parcel: &Parcel, at: i64, outcome: Outcome, next_ms: Option<i64>) {
        let state = self.progress.entry(parcel.happening.id().to_owned()).or_default();
        state.failed = !outcome.is_success();
        if next_ms.is_none() {
            state.pending = state.pending.saturating_sub(1);
        }
        self.count = self.count.saturating_add(1);
        if self.attempts.len() >= REMEMBERED_MAX {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Attempt {
            number: self.count,
            event: parcel.happening.id().to_owned(),
            kind: parcel.happening.kind().to_owned(),
            endpoint: parcel.endpoint.clone(),
            api_version: parcel.version.as_str(),
            attempt: parcel.attempt,
            at,
            next_attempt_at: next_ms.map(|next| next.div_euclid(1000)),
            outcome,
        });
    }

    /// How far an event's deliveries are; `None` for one that was never to be delivered.
    pub(crate) fn progress(&self, event: &str) -> Option<DeliveryState> {
        self.progress.get(event).copied()
    }

    /// The attempts remembered, oldest first, from a number on.
    pub(crate) fn attempts_since(&self, number: u64) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.attempts.iter().filter(move |attempt| attempt.number > number)
    }

    /// How many attempts have been made.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many deliveries wait or are under way.
    pub(crate) fn open(&self) -> usize {
        let under_way =
            self.under_way.values().fold(0_u32, |sum, count| sum.saturating_add(*count));
        self.waiting.len().saturating_add(usize::try_from(under_way).unwrap_or(usize::MAX))
    }
}
