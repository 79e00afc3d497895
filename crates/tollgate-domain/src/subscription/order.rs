//! Which of several observations of a subscription is its state. Owns: the total order, the
//! chain test for events of one second. Must not know: anything but the observations.
//!
//! Order: a terminal state beats any other; then the later second wins; in one second the event
//! whose `previous_attributes` describe another one follows that one; then the more advanced name
//! wins (created, updated, paused or resumed, deleted); at last the event id decides, and the
//! state is marked uncertain until something settles it.
//!
//! Within a second the state may come back to what it was (paused and resumed, a cancellation
//! taken back), and then several events fit before and after each other. Each event is an arrival
//! at what it shows and a departure from what it says was before; where exactly one content has
//! more arrivals than departures, the second ended there.
//!
//! A state that we fetched says which observations were known when Stripe was asked; it shows what
//! became of them, so they compete no longer. With events of its second that it does not cover it
//! may have crossed: an event that leaves what it shows follows it, else it outranks them, and
//! where they differ the state stays uncertain until Stripe is asked again.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{
    LifecycleRank, PreviousValues, PriceKey, Subscription, SubscriptionItem, SubscriptionState,
    SubscriptionStatus, Version,
};
use crate::ids::{CustomerId, MemberId, PriceId, SubscriptionId};
use crate::news::Told;
use crate::time::Timestamp;

/// Most observations of one second that compete; beyond it the lowest-ranked are forgotten.
pub const CONTENDERS_MAX: usize = 16;

/// How long Stripe may take to be asked about a subscription before that is told.
const UNCLEAR_HOURS: i64 = 1;

impl Subscription {
    /// A subscription of which nothing but its id is known.
    pub const fn unobserved(id: SubscriptionId) -> Self {
        Self {
            id,
            customer: None,
            member: None,
            contenders: Vec::new(),
            whole: Vec::new(),
            price_keys: BTreeMap::new(),
            own_claim: None,
            told: Told::new(),
            history: Vec::new(),
        }
    }

    /// A subscription known by one observation.
    pub fn first_seen(
        id: SubscriptionId,
        customer: Option<CustomerId>,
        member: Option<MemberId>,
        state: SubscriptionState,
    ) -> Self {
        let mut new = Self { customer, member, ..Self::unobserved(id) };
        new.observe(state);
        new
    }

    /// The lookup key of a price, as an item of this subscription showed it.
    pub fn price_key(&self, price: &PriceId) -> Option<&str> {
        self.price_keys.get(price).map(|shown| &*shown.key)
    }

    fn keep_price_keys(&mut self, state: &SubscriptionState) {
        for item in &state.items {
            let Some(key) = &item.lookup_key else { continue };
            let rank = |version: &Version| (version.at, version.rank, version.event.clone());
            let known = self.price_keys.get(&item.price);
            if known.is_none_or(|known| rank(&known.version) < rank(&state.version)) {
                let shown = PriceKey { key: key.clone(), version: state.version.clone() };
                self.price_keys.insert(item.price.clone(), shown);
            }
        }
    }

    /// Takes in one more observation; returns whether it now competes to be the state (an
    /// observation older than the state, or one already known, does not).
    pub fn observe(&mut self, state: SubscriptionState) -> bool {
        self.keep_price_keys(&state);
        let before = std::mem::take(&mut self.whole);
        let shown = (!state.items_cut).then(|| state.clone());
        let displaced = match self.contenders.first() {
            Some(reigning) if epoch(&state) > epoch(reigning) => {
                std::mem::take(&mut self.contenders)
            }
            Some(_) | None => Vec::new(),
        };
        let competes = compete(&mut self.contenders, state);
        if self.contenders.iter().all(|one| one.items_cut) {
            let displaced = displaced.into_iter().filter(|one| !one.items_cut);
            for one in before.into_iter().chain(displaced).chain(shown) {
                compete(&mut self.whole, one);
            }
        }
        competes
    }

    /// What a state of this subscription sells. An observation that showed a part of the items
    /// takes none of the others away: the last one that showed all of them holds.
    pub fn items_of<'s>(&'s self, state: &'s SubscriptionState) -> &'s [SubscriptionItem] {
        if !state.items_cut {
            return &state.items;
        }
        let whole = self.contenders.iter().chain(&self.whole).filter(|one| !one.items_cut);
        latest(whole).map_or(&state.items, |one| &one.items)
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
        let open = uncovered(&self.contenders.iter().collect::<Vec<_>>());
        let Some(best) = winner_of(&open) else { return false };
        let settled = |other: &&SubscriptionState| {
            same_content(other, best) || comes_after(best, other) || reaches(&open, best, other)
        };
        let crossed = |other: &&SubscriptionState| is_fetched(other) && !same_content(other, best);
        open.iter().any(crossed) || (only_end(&open).is_none() && !open.iter().all(settled))
    }

    /// Since when, or from when on, it is to be told that its status is none this version knows, at
    /// once, or that what is known of it is contradictory or incomplete: Stripe is asked at once, so by then it could not be. `None` where all is clear, and
    /// for one that is over.
    pub fn unclear_since(&self) -> Option<Timestamp> {
        let state = self.state().filter(|state| !state.status.is_terminal())?;
        if matches!(state.status, SubscriptionStatus::Unknown(_)) {
            return Some(state.version.at);
        }
        let incomplete = state.items_cut && self.whole.is_empty();
        (incomplete || self.is_uncertain()).then(|| state.version.at.plus_hours(UNCLEAR_HOURS))
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

/// Takes a state in among those of the greatest epoch; returns whether it is among them.
fn compete(all: &mut Vec<SubscriptionState>, state: SubscriptionState) -> bool {
    let order = all.first().map(|reigning| epoch(&state).cmp(&epoch(reigning)));
    match order {
        Some(Ordering::Less) => false,
        Some(Ordering::Equal) => insert_sorted(all, state, CONTENDERS_MAX),
        Some(Ordering::Greater) | None => {
            *all = vec![state];
            true
        }
    }
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

/// Among observations of one second: the highest of the content the second ended with, else of
/// those that no other follows, by rank and id.
fn winner_of<'a>(states: &[&'a SubscriptionState]) -> Option<&'a SubscriptionState> {
    if let [only] = states {
        return Some(only);
    }
    let open = uncovered(states);
    let states = open.as_slice();
    let end = only_end(states);
    let last = |one: &&&SubscriptionState| match end {
        Some(end) => same_content(one, end),
        None => !states.iter().any(|other| comes_after(other, one)),
    };
    let best = |a: &&&SubscriptionState, b: &&&SubscriptionState| sort_key(a).cmp(&sort_key(b));
    states.iter().filter(last).max_by(best).or_else(|| states.iter().max_by(best)).copied()
}

/// The observations that no other one covers; all of them should they cover each other in a ring,
/// which nothing honest does.
fn uncovered<'a>(states: &[&'a SubscriptionState]) -> Vec<&'a SubscriptionState> {
    let covered = |one: &SubscriptionState| states.iter().any(|other| covers(other, one));
    let open: Vec<_> = states.iter().copied().filter(|one| !covered(one)).collect();
    if open.is_empty() { states.to_vec() } else { open }
}

/// Whether the one was fetched when the other was known.
fn covers(one: &SubscriptionState, other: &SubscriptionState) -> bool {
    one.version.event != other.version.event && one.covers.contains(&other.version.event)
}

fn is_fetched(state: &SubscriptionState) -> bool {
    state.version.rank == LifecycleRank::Fetched
}

/// An observation of the one content that has more arrivals than departures, if it is one.
fn only_end<'a>(states: &[&'a SubscriptionState]) -> Option<&'a SubscriptionState> {
    let mut ends = states.iter().enumerate().filter(|(index, one)| {
        let first_of_content = !states.iter().take(*index).any(|other| same_content(other, one));
        // A fetched state is no arrival of its own where an event arrived at what it shows.
        let same = || states.iter().filter(|other| same_content(other, one));
        let arrivals = same().filter(|other| !is_fetched(other)).count().max(1);
        let departures = states.iter().filter(|other| leaves(other, one)).count();
        first_of_content && arrivals > departures
    });
    let (_, end) = ends.next()?;
    ends.next().is_none().then_some(end)
}

/// Whether a chain of events leads from `from` to `to`.
fn reaches(all: &[&SubscriptionState], to: &SubscriptionState, from: &SubscriptionState) -> bool {
    let mut known: Vec<&SubscriptionState> = vec![from];
    let mut next = 0;
    while let Some(here) = known.get(next).copied() {
        next += 1;
        for step in all.iter().copied().filter(|step| comes_after(step, here)) {
            if step == to {
                return true;
            }
            if !known.contains(&step) {
                known.push(step);
            }
        }
    }
    false
}

/// Whether one event follows the other and not the reverse.
fn comes_after(later: &SubscriptionState, earlier: &SubscriptionState) -> bool {
    let follows = |later: &SubscriptionState, earlier: &SubscriptionState| {
        later.version.event != earlier.version.event && leaves(later, earlier)
    };
    follows(later, earlier) && !follows(earlier, later)
}

/// Whether an event says that what `content` shows was before: its previous values are those, and
/// they differ from its own.
fn leaves(event: &SubscriptionState, content: &SubscriptionState) -> bool {
    let Some(previous) = event.previous.as_deref() else { return false };
    describes(previous, content) && !describes(previous, event)
}

/// Whether two observations show the same, whenever and by whatever event.
pub(crate) fn same_content(a: &SubscriptionState, b: &SubscriptionState) -> bool {
    a.status == b.status
        && same_items(&a.items, &b.items)
        && a.cancel_at_period_end == b.cancel_at_period_end
        && a.cancel_at == b.cancel_at
        && a.canceled_at == b.canceled_at
        && a.ended_at == b.ended_at
        && a.trial_end == b.trial_end
        && a.collection_pause == b.collection_pause
        && a.schedule == b.schedule
        && a.pending_update == b.pending_update
        && a.items_cut == b.items_cut
        && a.created == b.created
        && a.latest_invoice == b.latest_invoice
}

/// Whether two lists sell the same. Shapes of some versions leave out the product, and a price never
/// moves to another one, so the product does not count.
fn same_items(a: &[SubscriptionItem], b: &[SubscriptionItem]) -> bool {
    let same = |(a, b): (&SubscriptionItem, &SubscriptionItem)| {
        a.price == b.price
            && a.lookup_key == b.lookup_key
            && a.quantity == b.quantity
            && a.period_start == b.period_start
            && a.period_end == b.period_end
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Whether every value that was listed is the one the state has. Nothing listed describes nothing.
fn describes(previous: &PreviousValues, state: &SubscriptionState) -> bool {
    fn fits<T: PartialEq>(listed: Option<&T>, value: &T, any: &mut bool) -> bool {
        *any |= listed.is_some();
        listed.is_none_or(|listed| listed == value)
    }
    let mut any = previous.items.is_some();
    let all = fits(previous.status.as_ref(), &state.status, &mut any)
        & previous.items.as_ref().is_none_or(|items| same_items(items, &state.items))
        & fits(previous.cancel_at_period_end.as_ref(), &state.cancel_at_period_end, &mut any)
        & fits(previous.cancel_at.as_ref(), &state.cancel_at, &mut any)
        & fits(previous.canceled_at.as_ref(), &state.canceled_at, &mut any)
        & fits(previous.ended_at.as_ref(), &state.ended_at, &mut any)
        & fits(previous.trial_end.as_ref(), &state.trial_end, &mut any)
        & fits(previous.collection_paused.as_ref(), &state.collection_pause.is_some(), &mut any)
        & fits(previous.schedule.as_ref(), &state.schedule, &mut any)
        & fits(previous.update_pending.as_ref(), &state.pending_update.is_some(), &mut any)
        & fits(previous.latest_invoice.as_ref(), &state.latest_invoice, &mut any);
    any && all
}

#[cfg(test)]
mod tests;
