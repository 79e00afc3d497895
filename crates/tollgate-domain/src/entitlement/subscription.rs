//! A subscription as a source. Owns: how long a status gives access, which plan the items buy.
//! Must not know: other sources, who wins.
//!
//! | status | access |
//! |---|---|
//! | `active` | yes, until the end set for it (`cancel_at`, or the period's end) |
//! | `trialing` | yes until the trial's end; then as grace, see below |
//! | `past_due` | as grace, from the first failed payment for the plan's grace hours |
//! | `incomplete`, `incomplete_expired`, `unpaid`, `paused`, `canceled` | no |
//! | anything else | what the last known status gives, for 24 hours at most |
//!
//! The end of a trial takes effect at its instant although Stripe reports what follows only some
//! minutes later (and a report can get lost): from then on the account is in the plan's grace, as
//! with any payment that is due and not confirmed. A paying customer sees no gap, nobody has
//! access without evidence for longer than the grace, and a plan with 0 grace hours is strict.
//! A trial that is set to end with the subscription has no grace.

use std::borrow::Cow;

use super::grace::{self, GraceStart};
use super::{Absence, Considered, SourceKind, Standing};
use crate::catalog::{Catalog, Plan, PlanIndex, PriceTarget};
use crate::facts::Facts;
use crate::subscription::order::latest;
use crate::subscription::{Subscription, SubscriptionState, SubscriptionStatus};
use crate::time::Timestamp;

/// How long the last known status holds when Stripe reports one that is not known here.
pub const UNKNOWN_STATUS_HOLD_HOURS: i64 = 24;

/// What a subscription's items sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sold {
    /// The highest plan among the items.
    pub(super) plan: Option<PlanIndex>,
    /// Units of that plan: the quantities of all items that sell it.
    pub(super) units: u64,
    /// Boosts in all.
    pub(super) boosts: u64,
}

pub(super) fn sold(state: &SubscriptionState, catalog: &Catalog) -> Sold {
    let mut sold = Sold { plan: None, units: 0, boosts: 0 };
    for item in state.selling() {
        match catalog.price_target(item.price_ref()) {
            Some(PriceTarget::Plan(plan)) if sold.plan == Some(plan) => {
                sold.units = sold.units.saturating_add(item.quantity);
            }
            Some(PriceTarget::Plan(plan)) if sold.plan < Some(plan) => {
                (sold.plan, sold.units) = (Some(plan), item.quantity);
            }
            Some(PriceTarget::Boost) => sold.boosts = sold.boosts.saturating_add(item.quantity),
            Some(PriceTarget::Plan(_) | PriceTarget::Badge) | None => {}
        }
    }
    sold
}

/// The plan a subscription's items sell, whether or not it gives access now.
pub fn plan_sold<'c>(state: &SubscriptionState, catalog: &'c Catalog) -> Option<&'c Plan> {
    sold(state, catalog).plan.and_then(|index| catalog.plan(index))
}

/// Considers a subscription. `None` for one that sells boosts only: it is part of the boost level.
pub(super) fn consider(
    subscription: &Subscription,
    facts: &Facts,
    catalog: &Catalog,
    at: Timestamp,
) -> Option<Considered> {
    let state = subscription.state()?;
    let basis = Basis::of(subscription, state);
    let sold = sold(basis.state, catalog);
    let considered = |found: Access| Considered {
        kind: SourceKind::Subscription,
        id: Some(subscription.id.as_str().to_owned()),
        plan: sold.plan,
        units: sold.plan.map(|_| sold.units),
        standing: found.standing,
        since: found.since,
        until: found.until,
        cause: Some(state.version.event.as_str().to_owned()),
        note: Cow::Borrowed(found.note),
    };
    match sold.plan.and_then(|index| catalog.plan(index)) {
        Some(plan) => Some(considered(basis.access(subscription, facts, plan, at))),
        None if sold.boosts > 0 => None,
        None => {
            let nothing = !state.items.is_empty() && state.selling().next().is_none();
            let absence = if nothing { Absence::NothingSold } else { Absence::PriceUnknown };
            Some(considered(Access::no(absence, Some(state.version.at))))
        }
    }
}

/// Whether and how long a subscription gives access, seen from one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access {
    standing: Standing,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    note: &'static str,
}

impl Access {
    fn no(absence: Absence, since: Option<Timestamp>) -> Self {
        Self {
            standing: Standing::NotInForce(absence),
            since,
            until: None,
            note: absence.sentence(),
        }
    }
}

/// The state that decides: the current one, or the last known one while that is held.
struct Basis<'s> {
    state: &'s SubscriptionState,
    /// Set while the current status is unknown: when the last known one ceases to hold.
    held_until: Option<Timestamp>,
}

impl<'s> Basis<'s> {
    fn of(subscription: &'s Subscription, state: &'s SubscriptionState) -> Self {
        if !is_unknown(state) {
            return Self { state, held_until: None };
        }
        let known = latest(subscription.history.iter().filter(|past| !is_unknown(past)));
        let Some(known) = known else { return Self { state, held_until: None } };
        let first_unknown = subscription
            .history
            .iter()
            .filter(|past| is_unknown(past) && past.version.at >= known.version.at)
            .map(|past| past.version.at)
            .min()
            .unwrap_or(state.version.at);
        let held_until = first_unknown.plus_hours(UNKNOWN_STATUS_HOLD_HOURS);
        Self { state: known, held_until: Some(held_until) }
    }

    fn access(
        &self,
        subscription: &Subscription,
        facts: &Facts,
        plan: &Plan,
        at: Timestamp,
    ) -> Access {
        let access = access(subscription, self.state, facts, plan, at);
        match self.held_until {
            None => access,
            Some(held_until) if at >= held_until => {
                Access::no(Absence::StatusUnknown, Some(held_until))
            }
            Some(_) if matches!(access.standing, Standing::NotInForce(_)) => access,
            Some(held_until) => Access {
                until: Some(access.until.map_or(held_until, |until| until.min(held_until))),
                note: "Stripe reports a status that is not known here; the last known one holds.",
                ..access
            },
        }
    }
}

fn is_unknown(state: &SubscriptionState) -> bool {
    matches!(state.status, SubscriptionStatus::Unknown(_))
}

fn access(
    subscription: &Subscription,
    state: &SubscriptionState,
    facts: &Facts,
    plan: &Plan,
    at: Timestamp,
) -> Access {
    let observed = Some(state.version.at);
    let end = state.pending_end();
    let since = state.created.or(observed);
    match &state.status {
        SubscriptionStatus::Trialing if end.is_none_or(|end| at < end) => {
            trial(state, plan, end, at)
        }
        SubscriptionStatus::PastDue if end.is_none_or(|end| at < end) => {
            let GraceStart { at: start, .. } = grace::start(subscription, state, facts);
            let until = earlier(grace::end(start, plan), end);
            let note = "A payment failed; access stays until the grace period ends.";
            in_grace_or(Absence::PastDue, start, until, note, at)
        }
        SubscriptionStatus::Active if end.is_none_or(|end| at < end) => {
            Access { standing: Standing::InForce, since, until: end, note: active_note(state) }
        }
        SubscriptionStatus::Trialing | SubscriptionStatus::PastDue | SubscriptionStatus::Active => {
            Access::no(Absence::Ended, end)
        }
        SubscriptionStatus::Canceled => Access::no(Absence::Canceled, state.ended_at.or(observed)),
        SubscriptionStatus::Unpaid => Access::no(Absence::Unpaid, observed),
        SubscriptionStatus::Paused => Access::no(Absence::Paused, observed),
        SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired => {
            Access::no(Absence::Incomplete, observed)
        }
        SubscriptionStatus::Unknown(_) => Access::no(Absence::StatusUnknown, observed),
    }
}

fn trial(state: &SubscriptionState, plan: &Plan, end: Option<Timestamp>, at: Timestamp) -> Access {
    let since = state.created.or(Some(state.version.at));
    match state.trial_end {
        Some(over) if at >= over => {
            let until = earlier(grace::end(over, plan), end);
            let note = "The trial is over and its first payment not yet confirmed; \
                        access stays until the grace period ends.";
            in_grace_or(Absence::TrialOver, over, until, note, at)
        }
        over => Access {
            standing: Standing::InForce,
            since,
            until: over.map(|over| earlier(over, end)).or(end),
            note: "The trial runs.",
        },
    }
}

fn in_grace_or(
    absence: Absence,
    start: Timestamp,
    until: Timestamp,
    note: &'static str,
    at: Timestamp,
) -> Access {
    if at >= until {
        return Access::no(absence, Some(until));
    }
    Access { standing: Standing::InGrace, since: Some(start), until: Some(until), note }
}

/// The earlier of an instant and an end that may not be set.
pub(super) fn earlier(one: Timestamp, end: Option<Timestamp>) -> Timestamp {
    end.map_or(one, |end| one.min(end))
}

const fn active_note(state: &SubscriptionState) -> &'static str {
    if state.cancel_at.is_some() || state.cancel_at_period_end {
        "The subscription is active and set to end."
    } else if state.collection_paused {
        "The subscription is active; collecting its invoices is paused."
    } else {
        "The subscription is active."
    }
}
