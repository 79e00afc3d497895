//! Which of several observations of a subscription is its state. Owns: the total order, the
//! chain test for events of one second. Must not know: anything but the observations.
//!
//! Order (`stripe-facts` 4.2): a terminal state beats any other; then the later second wins; in
//! one second the event whose `previous_attributes` describe another one follows that one; then
//! the more advanced name wins (created, updated, paused or resumed, deleted); at last the event
//! id decides, and the state is marked uncertain until something settles it.

use std::cmp::Ordering;

use super::{PreviousValues, Subscription, SubscriptionState};
use crate::ids::{CustomerId, MemberId, SubscriptionId};

/// Most observations of one second that compete; beyond it the lowest-ranked are forgotten.
pub const CONTENDERS_MAX: usize = 16;

impl Subscription {
    /// A subscription known by one observation.
    pub fn first_seen(
        id: SubscriptionId,
        customer: Option<CustomerId>,
        member: Option<MemberId>,
        state: SubscriptionState,
    ) -> Self {
        Self { id, customer, member, contenders: vec![state], history: Vec::new() }
    }

    /// Takes in one more observation; returns whether it now competes to be the state (an
    /// observation older than the state, or one already known, does not).
    pub fn observe(&mut self, state: SubscriptionState) -> bool {
        let Some(reigning) = self.contenders.first() else {
            self.contenders.push(state);
            return true;
        };
        match epoch(&state).cmp(&epoch(reigning)) {
            Ordering::Less => false,
            Ordering::Greater => {
                self.contenders.clear();
                self.contenders.push(state);
                true
            }
            Ordering::Equal => insert_sorted(&mut self.contenders, state, CONTENDERS_MAX),
        }
    }

    /// Adds an observation to the history, in order and once.
    pub fn remember(&mut self, state: SubscriptionState) {
        insert_sorted(&mut self.history, state, usize::MAX);
    }

    /// The observation that is the state. `None` only for a subscription without observations,
    /// which no constructor makes.
    pub fn state(&self) -> Option<&SubscriptionState> {
        winner(&self.contenders)
    }

    /// Whether the state was chosen among different observations of one second by their names or
    /// ids alone, so that Stripe should be asked.
    pub fn is_uncertain(&self) -> bool {
        let Some(best) = self.state() else { return false };
        self.contenders.iter().any(|other| {
            !same_content(other, best)
                && !follows(best, other)
                && !reaches(&self.contenders, best, other)
        })
    }
}

/// The state among observations of any seconds: the greatest under the whole order.
pub fn latest<'a>(
    states: impl Iterator<Item = &'a SubscriptionState>,
) -> Option<&'a SubscriptionState> {
    let mut top: Vec<&SubscriptionState> = Vec::new();
    for state in states {
        match top.first().map(|reigning| epoch(state).cmp(&epoch(reigning))) {
            Some(Ordering::Less) => {}
            Some(Ordering::Equal) => top.push(state),
            Some(Ordering::Greater) | None => top = vec![state],
        }
    }
    winner_of(&top)
}

/// Terminal states in front, then time.
fn epoch(state: &SubscriptionState) -> (bool, i64) {
    (state.status.is_terminal(), state.version.at.millis())
}

fn sort_key(state: &SubscriptionState) -> (i64, i64, &str) {
    (state.version.at.millis(), state.version.rank.as_i64(), state.version.event.as_str())
}

/// Keeps `all` sorted and free of repeated events; returns whether the state is now in it.
fn insert_sorted(all: &mut Vec<SubscriptionState>, state: SubscriptionState, max: usize) -> bool {
    let Err(place) = all.binary_search_by(|known| sort_key(known).cmp(&sort_key(&state))) else {
        return false;
    };
    if all.len() < max {
        all.insert(place, state);
        return true;
    }
    if place == 0 {
        return false;
    }
    all.insert(place, state);
    all.remove(0);
    true
}

fn winner(states: &[SubscriptionState]) -> Option<&SubscriptionState> {
    winner_of(&states.iter().collect::<Vec<_>>())
}

/// Among observations of one second: one that no other follows, the highest by rank and id.
fn winner_of<'a>(states: &[&'a SubscriptionState]) -> Option<&'a SubscriptionState> {
    let last_in_chain = |one: &&&SubscriptionState| {
        !states.iter().any(|other| follows(other, one) && !follows(one, other))
    };
    let best = |a: &&&SubscriptionState, b: &&&SubscriptionState| sort_key(a).cmp(&sort_key(b));
    states.iter().filter(last_in_chain).max_by(best).or_else(|| states.iter().max_by(best)).copied()
}

/// Whether a chain of events leads from `from` to `to`.
fn reaches(all: &[SubscriptionState], to: &SubscriptionState, from: &SubscriptionState) -> bool {
    let mut known: Vec<&SubscriptionState> = vec![from];
    let mut next = 0;
    while let Some(here) = known.get(next).copied() {
        next += 1;
        for step in all.iter().filter(|step| follows(step, here) && !follows(here, step)) {
            if std::ptr::eq(step, to) || step == to {
                return true;
            }
            if !known.contains(&step) {
                known.push(step);
            }
        }
    }
    false
}

/// Whether `later` says of itself that it came after `earlier`: its previous values are those of
/// `earlier`, and they differ from its own.
fn follows(later: &SubscriptionState, earlier: &SubscriptionState) -> bool {
    let Some(previous) = later.previous.as_deref() else { return false };
    if later.version.event == earlier.version.event {
        return false;
    }
    describes(previous, earlier) && !describes(previous, later)
}

fn same_content(a: &SubscriptionState, b: &SubscriptionState) -> bool {
    let strip = |s: &SubscriptionState| SubscriptionState {
        version: a.version.clone(),
        previous: None,
        ..s.clone()
    };
    strip(a) == strip(b)
}

/// Whether every value that was listed is the one the state has. Nothing listed describes nothing.
fn describes(previous: &PreviousValues, state: &SubscriptionState) -> bool {
    fn fits<T: PartialEq>(listed: Option<&T>, value: &T, any: &mut bool) -> bool {
        *any |= listed.is_some();
        listed.is_none_or(|listed| listed == value)
    }
    let mut any = false;
    let all = fits(previous.status.as_ref(), &state.status, &mut any)
        & fits(previous.items.as_ref(), &state.items, &mut any)
        & fits(previous.cancel_at_period_end.as_ref(), &state.cancel_at_period_end, &mut any)
        & fits(previous.cancel_at.as_ref(), &state.cancel_at, &mut any)
        & fits(previous.canceled_at.as_ref(), &state.canceled_at, &mut any)
        & fits(previous.ended_at.as_ref(), &state.ended_at, &mut any)
        & fits(previous.trial_end.as_ref(), &state.trial_end, &mut any)
        & fits(previous.collection_paused.as_ref(), &state.collection_paused, &mut any)
        & fits(previous.latest_invoice.as_ref(), &state.latest_invoice, &mut any);
    any && all
}
