//! What is planned. Owns: which change of a subscription is to come, and what an account will have
//! once planned changes are in effect. Must not know: how a plan was made.
//!
//! Planned changes are not in effect: `resolve` does not look at them, and what Stripe made of them
//! is told by the subscription itself when their time has come. A forecast assumes that each phase
//! of a schedule begins as planned. A change that awaits its payment is only shown, since nobody
//! knows whether it will be paid. The end that a schedule sets for its subscription is like any other
//! end that was set: it takes effect by itself.

use std::borrow::Cow;

use super::Resolution;
use super::resolve::resolve;
use super::sold::sold;
use crate::catalog::{Catalog, Interval, PlanIndex, PriceTarget};
use crate::facts::Facts;
use crate::ids::{PriceId, SubscriptionId};
use crate::subscription::{
    Phase, PlannedItem, Schedule, Subscription, SubscriptionItem, SubscriptionState,
    SubscriptionStatus,
};
use crate::time::Timestamp;

/// A change of a subscription that is not in effect yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingChange {
    /// The plan it leads to; `None` where it sells none that the catalog knows, or ends.
    pub plan: Option<PlanIndex>,
    /// Units of that plan, or of all items where it sells none; `None` where it ends.
    pub quantity: Option<u64>,
    /// How often it will be paid, as far as it is known.
    pub interval: Option<Interval>,
    /// The subscription ends with it.
    pub ends: bool,
    /// When it takes effect; where it awaits its payment, when it is given up.
    pub at: Timestamp,
    /// It takes effect when it is paid.
    pub awaits_payment: bool,
}

/// What an account will have at `at`, an instant to come, if planned changes begin as planned and
/// nothing else happens.
pub fn forecast(facts: &Facts, catalog: &Catalog, at: Timestamp) -> Resolution {
    let mut outcome = resolve(&as_planned(facts, catalog, at), catalog, at);
    let next = next_planned(facts, catalog, at);
    outcome.valid_until = outcome.valid_until.into_iter().chain(next).min();
    outcome
}

/// The next change of a subscription that is known of; `None` when nothing is planned.
pub fn pending_change(
    facts: &Facts,
    subscription: &Subscription,
    catalog: &Catalog,
) -> Option<PendingChange> {
    let state = subscription.state()?;
    let now = subscription.items_of(state);
    if let Some(update) = &state.pending_update {
        let shown = in_effect(&update.items, None, facts, update.expires_at);
        let items = if shown.is_empty() { now } else { &shown };
        let change = change_to(items, &update.items, None, catalog);
        return Some(PendingChange { at: update.expires_at, awaits_payment: true, ..change });
    }
    let schedule = schedule_of(facts, &subscription.id, state)?;
    let changes = coming(schedule, state).find_map(|phase| {
        let items = in_effect(&phase.items, Some(schedule), facts, phase.start);
        let change = change_to(&items, &phase.items, Some(schedule), catalog);
        (!sells_the_same(&items, now)).then_some(PendingChange { at: phase.start, ..change })
    });
    changes.or_else(|| {
        let at = schedule.ends_at().filter(|end| *end > state.version.at)?;
        let nothing = change_to(&[], &[], None, catalog);
        Some(PendingChange { at, quantity: None, ends: true, ..nothing })
    })
}

/// A change to these items, which are planned so; its instant is not said yet.
fn change_to(
    items: &[SubscriptionItem],
    planned: &[PlannedItem],
    schedule: Option<&Schedule>,
    catalog: &Catalog,
) -> PendingChange {
    let found = sold(items, catalog);
    let sells = |item: &&SubscriptionItem| {
        let target = catalog.price_target(item.price_ref());
        matches!((target, found.plan), (Some(PriceTarget::Plan(one)), Some(plan)) if one == plan)
    };
    let all = items.iter().fold(0_u64, |sum, item| sum.saturating_add(item.quantity));
    let told = items.iter().find(sells).or(items.first());
    let interval = told.and_then(|item| {
        let one = planned.iter().find(|one| one.price == item.price);
        let known = || schedule?.prices.get(&item.price)?.interval;
        let said = || item.lookup_key.as_deref().and_then(Interval::said_by);
        one.and_then(|one| one.interval).or_else(known).or_else(said)
    });
    let quantity = Some(if found.plan.is_some() { found.units } else { all });
    let (at, awaits_payment, ends) = (Timestamp::MIN, false, false);
    PendingChange { plan: found.plan, quantity, interval, ends, at, awaits_payment }
}

/// When the schedule of a subscription ends it.
pub(super) fn end_planned(
    facts: &Facts,
    subscription: &SubscriptionId,
    state: &SubscriptionState,
) -> Option<Timestamp> {
    schedule_of(facts, subscription, state)?.ends_at().filter(|end| *end > state.version.at)
}

/// What is planned for a subscription, in words, for comparing; empty where nothing is.
pub(crate) fn planned(facts: &Facts, subscription: &Subscription, catalog: &Catalog) -> String {
    let schedule =
        subscription.state().and_then(|state| schedule_of(facts, &subscription.id, state));
    let Some(schedule) = schedule else { return String::new() };
    let phase = |phase: &Phase| {
        let items = in_effect(&phase.items, Some(schedule), facts, phase.start);
        let items = items.iter().map(|item| {
            let sells = catalog.price_target(item.price_ref());
            let plan = match sells {
                Some(PriceTarget::Plan(plan)) => catalog.plan(plan).map(|plan| plan.id.to_string()),
                Some(_) | None => None,
            };
            let plan = plan.unwrap_or_else(|| "unknown".to_owned());
            format!("{} x {} ({plan})", item.quantity, item.price)
        });
        format!("{} from {}", items.collect::<Vec<_>>().join(" + "), phase.start)
    };
    let phases = schedule.phases.iter().map(phase);
    let end = schedule.ends_at().map(|end| format!("end at {end}"));
    phases.chain(end).collect::<Vec<_>>().join(", ")
}

/// The first instant after `at` at which a planned change begins.
pub(super) fn next_planned(facts: &Facts, catalog: &Catalog, at: Timestamp) -> Option<Timestamp> {
    let mut next: Option<Timestamp> = None;
    for subscription in facts.subscriptions.values() {
        let Some(state) = subscription.state() else { continue };
        let Some(schedule) = schedule_of(facts, &subscription.id, state) else { continue };
        let begins =
            coming(schedule, state).filter(|phase| applies(phase, schedule, facts, catalog));
        let ends = schedule.ends_at().filter(|end| *end > state.version.at);
        let instants = begins.map(|phase| phase.start).chain(ends).filter(|begin| *begin > at);
        next = next.into_iter().chain(instants).min();
    }
    next
}

/// The facts as they will be at `at` if planned changes begin as planned.
pub(super) fn as_planned<'f>(facts: &'f Facts, catalog: &Catalog, at: Timestamp) -> Cow<'f, Facts> {
    let mut planned = Cow::Borrowed(facts);
    for subscription in facts.subscriptions.values() {
        let Some(state) = subscription.state() else { continue };
        let Some(after) = state_at(facts, subscription, state, catalog, at) else { continue };
        let (contenders, whole) = (vec![after.clone()], Vec::new());
        let mut history = subscription.history.clone();
        history.retain(|past| past.version != after.version);
        history.push(after);
        let changed = Subscription { contenders, whole, history, ..subscription.clone() };
        planned.to_mut().subscriptions.insert(subscription.id.clone(), changed);
    }
    planned
}

/// The state of a subscription once its schedule's phases to `at` have begun; `None` when none of
/// them changes it.
fn state_at(
    facts: &Facts,
    subscription: &Subscription,
    state: &SubscriptionState,
    catalog: &Catalog,
    at: Timestamp,
) -> Option<SubscriptionState> {
    let schedule = schedule_of(facts, &subscription.id, state)?;
    if let Some(end) = schedule.ends_at().filter(|end| *end > state.version.at && *end <= at) {
        let status = SubscriptionStatus::Canceled;
        return Some(SubscriptionState { status, ended_at: Some(end), ..state.clone() });
    }
    let begun = coming(schedule, state).filter(|phase| phase.start <= at);
    let phase = begun.filter(|phase| applies(phase, schedule, facts, catalog)).last()?;
    let items = in_effect(&phase.items, Some(schedule), facts, phase.start);
    Some(SubscriptionState { items, items_cut: false, ..state.clone() })
}

/// The schedule that changes a subscription: the one it names, or one that is newer than what is
/// known of the subscription.
fn schedule_of<'f>(
    facts: &'f Facts,
    subscription: &SubscriptionId,
    state: &SubscriptionState,
) -> Option<&'f Schedule> {
    if state.status.is_terminal() {
        return None;
    }
    let lives = |one: &&Schedule| {
        !one.version.over
            && one.subscription.as_ref() == Some(subscription)
            && (state.schedule.as_ref() == Some(&one.id) || one.version.at > state.version.at)
    };
    facts.schedules.values().filter(lives).max_by(|one, other| one.version.cmp(&other.version))
}

/// The phases that have not begun by what is known of the subscription.
fn coming<'s>(
    schedule: &'s Schedule,
    state: &SubscriptionState,
) -> impl Iterator<Item = &'s Phase> + use<'s> {
    let known = state.version.at;
    schedule.phases.iter().filter(move |phase| phase.start > known)
}

/// A phase that sells nothing the catalog knows is foretold only where its prices were shown: else
/// they are more likely known by lookup keys, which events of schedules do not show.
fn applies(phase: &Phase, schedule: &Schedule, facts: &Facts, catalog: &Catalog) -> bool {
    let is_shown = |item: &PlannedItem| {
        schedule.prices.contains_key(&item.price) || shown(&item.price, facts).is_some()
    };
    phase.items.iter().all(is_shown)
        || !sold(&in_effect(&phase.items, Some(schedule), facts, phase.start), catalog).is_nothing()
}

/// An item of a subscription with a price.
fn shown<'f>(price: &PriceId, facts: &'f Facts) -> Option<&'f SubscriptionItem> {
    let states = facts.subscriptions.values().flat_map(|one| &one.contenders);
    let mut items = states.flat_map(|state| &state.items);
    items.find(|item| item.price == *price)
}

/// Planned items as they will be in effect, with what was shown of their prices elsewhere: where the
/// schedule was read, or by items of subscriptions.
fn in_effect(
    items: &[PlannedItem],
    schedule: Option<&Schedule>,
    facts: &Facts,
    start: Timestamp,
) -> Vec<SubscriptionItem> {
    let lived = |item: &PlannedItem| {
        let mut lived = item.in_effect(start, None);
        if let Some(read) = schedule.and_then(|schedule| schedule.prices.get(&item.price)) {
            lived.lookup_key = lived.lookup_key.or_else(|| read.lookup_key.clone());
            lived.product = lived.product.or_else(|| read.product.clone());
        }
        if let Some(shown) = shown(&item.price, facts) {
            lived.lookup_key = lived.lookup_key.or_else(|| shown.lookup_key.clone());
            lived.product = lived.product.or_else(|| shown.product.clone());
        }
        lived
    };
    items.iter().map(lived).collect()
}

fn sells_the_same(one: &[SubscriptionItem], other: &[SubscriptionItem]) -> bool {
    let sells = |items: &[SubscriptionItem]| {
        let mut sells: Vec<_> =
            items.iter().map(|item| (item.price.clone(), item.quantity)).collect();
        sells.sort_unstable();
        sells
    };
    sells(one) == sells(other)
}

#[cfg(test)]
mod tests;
