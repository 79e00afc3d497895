//! Boosts as a source. Owns: how many boosts were active when, the level they make, its sustain.
//! Must not know: other sources, who wins.
//!
//! The level follows the sum of active boosts (not of boosters): bought ones from subscriptions
//! that are `active` or in the grace after a failed payment, and given ones. A level holds while
//! its boosts do and the catalog's sustain days longer, so at any instant the highest level of that
//! many days back is in force; topping up in time keeps it.

use std::borrow::Cow;

use super::forecast::end_planned;
use super::grace;
use super::paid::{self, Paid};
use super::sold::{Sold, sold};
use super::stale;
use super::subscription::earlier;
use super::{Absence, Considered, SourceKind, Standing};
use crate::catalog::{BoostProgram, Catalog, CollectionPauseAccess, StalePolicy};
use crate::facts::Facts;
use crate::operator_fact::Effect;
use crate::subscription::order::latest;
use crate::subscription::{Subscription, SubscriptionState, SubscriptionStatus};
use crate::time::Timestamp;

/// A span of time with a number of boosts, or a level.
#[derive(Debug, Clone, Copy)]
struct Held<T> {
    from: Timestamp,
    until: Option<Timestamp>,
    what: T,
}

/// Considers the boost level. `None` where there were no boosts within the sustain.
pub(super) fn consider(facts: &Facts, catalog: &Catalog, at: Timestamp) -> Option<Considered> {
    let program = catalog.boost.as_ref()?;
    let boosts = boosts(facts, catalog, program, at);
    if boosts.is_empty() {
        return None;
    }
    let active_now = count_at(&boosts, at);
    let considered = |standing, note| Considered {
        kind: SourceKind::Boost,
        id: None,
        plan: None,
        units: None,
        standing,
        since: None,
        until: None,
        stale_since: None,
        billing: None,
        cause: None,
        note,
    };
    let best = levels(&boosts, program)
        .into_iter()
        .filter(|level| sustained_until(level, program).is_none_or(|until| at < until))
        .max_by_key(|level| {
            (level.what, sustained_until(level, program).unwrap_or(Timestamp::MAX))
        });
    let Some(best) = best.and_then(|best| Some((best, program.levels.get(best.what)?))) else {
        let note = Cow::Borrowed(Absence::TooFewBoosts.sentence());
        return Some(considered(Standing::NotInForce(Absence::TooFewBoosts), note));
    };
    let (held, level) = best;
    let note = if active_now >= level.boosts {
        format!("{active_now} active boosts, {} needed for this level.", level.boosts)
    } else {
        format!(
            "{active_now} active boosts, {} needed for this level; it is sustained.",
            level.boosts
        )
    };
    Some(Considered {
        plan: Some(level.plan),
        since: Some(held.from),
        until: sustained_until(&held, program),
        ..considered(Standing::InForce, Cow::Owned(note))
    })
}

fn sustained_until(level: &Held<usize>, program: &BoostProgram) -> Option<Timestamp> {
    level.until.map(|until| until.plus_days(i64::from(program.sustain_days)))
}

/// Every span of active boosts that can matter at `at`.
fn boosts(
    facts: &Facts,
    catalog: &Catalog,
    program: &BoostProgram,
    at: Timestamp,
) -> Vec<Held<u64>> {
    let forgotten = at.plus_days(-i64::from(program.sustain_days));
    let mut spans = Vec::new();
    for id in paid::without_subscription(facts).into_keys() {
        for (from, end, what) in Paid::of(id, facts).boosts(catalog) {
            let until = Some(end.plus_hours(i64::from(program.grace_hours)));
            spans.push(Held { from, until, what });
        }
    }
    for subscription in facts.subscriptions.values() {
        bought(&Buyer { subscription, facts, catalog }, forgotten, &mut spans);
    }
    for given in facts.operator_facts.values() {
        let Effect::Boost { count, .. } = given.effect else { continue };
        let (from, end) = (given.terms.granted_at, given.terms.expires_at);
        let revoked = given.revocation.as_ref().map(|revocation| earlier(revocation.at, end));
        spans.push(Held { from, until: revoked.or(end), what: u64::from(count) });
    }
    spans.retain(|span| {
        span.what > 0 && span.until.is_none_or(|until| until > forgotten && until > span.from)
    });
    spans
}

/// A subscription with all that bears on its boosts.
struct Buyer<'f> {
    subscription: &'f Subscription,
    facts: &'f Facts,
    catalog: &'f Catalog,
}

/// The spans of one subscription's boosts, the newest first, back to where nothing matters.
fn bought(buyer: &Buyer<'_>, forgotten: Timestamp, spans: &mut Vec<Held<u64>>) {
    let Some(current) = buyer.subscription.state() else { return };
    let mut until = buyer.add_span(current, None, spans);
    let mut past = buyer.subscription.history.as_slice();
    while until > forgotten {
        // What came after a final state was late news of an ended subscription, and what shares
        // a second competes to be its state.
        past = past.split_at(past.partition_point(|state| state.version.at < until)).0;
        let Some(last) = past.last() else { return };
        let second = past.partition_point(|state| state.version.at < last.version.at);
        let (_, contenders) = past.split_at(second);
        let Some(state) = latest(contenders.iter()) else { return };
        until = buyer.add_span(state, Some(until), spans);
    }
}

impl Buyer<'_> {
    /// Adds what one state holds until the next; returns when it began.
    fn add_span(
        &self,
        state: &SubscriptionState,
        next: Option<Timestamp>,
        spans: &mut Vec<Held<u64>>,
    ) -> Timestamp {
        let (from, id) = (state.version.at, &self.subscription.id);
        let is_current = self.subscription.state() == Some(state);
        let sold = sold(self.subscription.items_of(state), self.catalog);
        let mut add_from = |from: Timestamp, end: Option<Timestamp>, what| {
            let set = state.pending_end().into_iter().chain(end_planned(self.facts, id, state));
            let end = end.into_iter().chain(set).chain(self.deleted_at()).min();
            let until = next.map(|next| earlier(next, end)).or(end);
            spans.push(Held { from, until, what });
        };
        let mut add = |end, what| add_from(from, end, what);
        match state.status {
            SubscriptionStatus::Active if self.is_paused(state) => {}
            SubscriptionStatus::Active => add(self.stale_end(state, sold), sold.boosts),
            SubscriptionStatus::PastDue => {
                let dunning = grace::dunning(self.subscription, state, self.facts);
                let paid = Paid::of(&self.subscription.id, self.facts);
                if let Some((at, sold)) =
                    dunning.grace(sold, self.subscription, &paid, self.catalog)
                {
                    let hours = grace::hours(sold, self.catalog).unwrap_or(0);
                    add(Some(at.plus_hours(hours)), sold.boosts);
                }
            }
            // A payment that is newer than such a state: the news of the status was lost.
            SubscriptionStatus::Incomplete if is_current => {
                for (at, end, boosts) in Paid::of(id, self.facts).boosts(self.catalog) {
                    add_from(at.max(from), Some(end), boosts);
                }
            }
            SubscriptionStatus::Unpaid if is_current => {
                let paid = Paid::since(id, self.facts, from.plus_ms(1));
                for (at, end, boosts) in paid.boosts(self.catalog) {
                    add_from(at.max(from), Some(end), boosts);
                }
            }
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Trialing
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Unknown(_) => {}
        }
        from
    }

    fn deleted_at(&self) -> Option<Timestamp> {
        let id = self.subscription.customer.as_ref()?;
        self.facts.customers.get(id)?.deleted_at
    }

    fn is_paused(&self, state: &SubscriptionState) -> bool {
        state.collection_pause.is_some()
            && self.catalog.collection_pause_access == CollectionPauseAccess::None
    }

    /// When boosts end for want of news, where the catalog has it so.
    fn stale_end(&self, state: &SubscriptionState, sold: Sold) -> Option<Timestamp> {
        let is_current = self.subscription.state() == Some(state);
        if self.catalog.stale != StalePolicy::End || !is_current {
            return None;
        }
        let proven = stale::proven_until(self.subscription, self.facts)?;
        Some(proven.plus_hours(grace::hours(sold, self.catalog).unwrap_or(0)))
    }
}

fn count_at(spans: &[Held<u64>], at: Timestamp) -> u64 {
    spans
        .iter()
        .filter(|span| span.until.is_none_or(|until| at < until))
        .filter(|span| span.from <= at)
        .fold(0, |sum, span| sum.saturating_add(span.what))
}

/// The spans of levels (by index in the program) that the sums of boosts make.
fn levels(boosts: &[Held<u64>], program: &BoostProgram) -> Vec<Held<usize>> {
    let mut steps: Vec<(Timestamp, u64, u64)> = Vec::with_capacity(boosts.len() * 2);
    for span in boosts {
        steps.push((span.from, span.what, 0));
        steps.extend(span.until.map(|until| (until, 0, span.what)));
    }
    steps.sort_unstable_by_key(|(at, ..)| *at);
    let mut levels = Vec::new();
    let mut count: u64 = 0;
    let mut steps = steps.into_iter().peekable();
    while let Some((from, mut come, mut gone)) = steps.next() {
        while let Some((_, more, fewer)) = steps.next_if(|(at, ..)| *at == from) {
            come = come.saturating_add(more);
            gone = gone.saturating_add(fewer);
        }
        count = count.saturating_add(come).saturating_sub(gone);
        let reached = program.levels.iter().take_while(|level| level.boosts <= count).count();
        if let Some(what) = reached.checked_sub(1) {
            levels.push(Held { from, until: steps.peek().map(|(at, ..)| *at), what });
        }
    }
    levels
}
