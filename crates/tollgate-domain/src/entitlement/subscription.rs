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
//!
//! What was paid (see `paid`) decides where the status does not:
//!
//! - Nothing is known of the subscription but invoices: what they were paid for is in force until
//!   its end, and in grace after it.
//! - It is `past_due` because a *change* within the period was not paid: what was paid before is in
//!   force until its end, and in grace after it, when the renewal is due. The dearer plan is not
//!   given.
//! - A payment is known that is newer than an `incomplete`, `unpaid` or trialing state: news of the
//!   status was lost, and what was paid for is in force.
//!
//! An active subscription whose period ended long ago without any news is held, or ended like a
//! trial, as the catalog says (see `stale`). Stripe ends the subscriptions of a customer that is
//! deleted at that instant, whether an event says so or not.

use std::borrow::Cow;

use super::forecast::end_planned;
use super::grace::{self, Cause};
use super::paid::{InForce, Paid};
use super::sold::{Sold, sold};
use super::{Absence, Billing, Considered, SourceKind, Standing, stale};
use crate::catalog::{Catalog, CollectionPauseAccess, StalePolicy};
use crate::facts::Facts;
use crate::ids::{CustomerId, EventId, SubscriptionId};
use crate::subscription::order::latest;
use crate::subscription::{Subscription, SubscriptionState, SubscriptionStatus};
use crate::time::Timestamp;

/// How long the last known status holds when Stripe reports one that is not known here.
pub const UNKNOWN_STATUS_HOLD_HOURS: i64 = 24;

/// Considers a subscription. `None` for one that sells boosts only, which is part of the boost
/// level, and for one that bills uses only, which gives nothing.
pub(super) fn consider(
    subscription: &Subscription,
    facts: &Facts,
    catalog: &Catalog,
    at: Timestamp,
) -> Option<Considered> {
    let state = subscription.state()?;
    let basis = Basis::of(subscription, state);
    let case = Case { id: &subscription.id, facts, catalog, at };
    let found = basis.hold(case.of(subscription, basis.state), at);
    case.considered(found)
}

/// Considers what invoices alone say of a subscription. `None` where nothing of it was paid, or
/// boosts only.
pub(super) fn consider_unknown(
    id: &SubscriptionId,
    customer: Option<&CustomerId>,
    facts: &Facts,
    catalog: &Catalog,
    at: Timestamp,
) -> Option<Considered> {
    let case = Case { id, facts, catalog, at };
    let end = case.end(None, customer);
    let found = case.paid(&Paid::of(id, facts), end, UNKNOWN_PAID_NOTE)?;
    case.considered(found)
}

const UNKNOWN_PAID_NOTE: &str =
    "Stripe has told nothing of the subscription itself; what was paid for is in force.";
const CHANGE_PAID_NOTE: &str =
    "A change of the subscription was not paid; what was paid before is in force until its end.";
const NEWER_PAID_NOTE: &str =
    "A payment is newer than what Stripe told of the subscription; what was paid for is in force.";
const PAST_DUE_NOTE: &str = "A payment failed; access stays until the grace period ends.";

/// What is found out about one subscription.
#[derive(Debug, Clone)]
struct Found<'f> {
    sold: Sold,
    access: Access,
    billing: Option<Billing>,
    event: &'f EventId,
}

/// Whether and how long a subscription gives access, seen from one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Access {
    standing: Standing,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    stale_since: Option<Timestamp>,
    note: Cow<'static, str>,
}

impl Access {
    const fn new(
        standing: Standing,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        note: &'static str,
    ) -> Self {
        Self { standing, since, until, stale_since: None, note: Cow::Borrowed(note) }
    }

    const fn no(absence: Absence, since: Option<Timestamp>) -> Self {
        Self::new(Standing::NotInForce(absence), since, None, absence.sentence())
    }

    const fn counts(&self) -> bool {
        !matches!(self.standing, Standing::NotInForce(_))
    }
}

/// An instant at which a subscription is over, whatever its status.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Timestamp,
    absence: Absence,
}

impl End {
    fn over(end: Option<Self>, at: Timestamp) -> Option<Access> {
        let end = end.filter(|end| at >= end.at)?;
        Some(Access::no(end.absence, Some(end.at)))
    }
}

/// One question about one subscription.
struct Case<'f> {
    id: &'f SubscriptionId,
    facts: &'f Facts,
    catalog: &'f Catalog,
    at: Timestamp,
}

impl<'f> Case<'f> {
    fn considered(&self, found: Found<'_>) -> Option<Considered> {
        let Found { sold, access, billing, event } = found;
        let known = sold.plan.is_some_and(|index| self.catalog.plan(index).is_some());
        if !known && (sold.boosts > 0 || sold.only_uses) {
            return None;
        }
        Some(Considered {
            kind: SourceKind::Subscription,
            id: Some(self.id.as_str().to_owned()),
            plan: sold.plan,
            units: sold.plan.map(|_| sold.units),
            standing: access.standing,
            since: access.since,
            until: access.until,
            stale_since: access.stale_since,
            cause: Some(event.as_str().to_owned()),
            note: access.note,
            billing,
        })
    }

    /// What a state gives, and beside it what was paid where that decides.
    fn of(&self, subscription: &'f Subscription, state: &'f SubscriptionState) -> Found<'f> {
        let sold = sold(subscription.items_of(state), self.catalog);
        let end = self.end(Some(state), subscription.customer.as_ref());
        let found = |sold, access| Found {
            sold,
            access,
            billing: Billing::of_state(state),
            event: &state.version.event,
        };
        if sold.is_nothing() && state.status != SubscriptionStatus::PastDue {
            let nothing = !state.items.is_empty() && state.selling().next().is_none();
            let absence = if nothing { Absence::NothingSold } else { Absence::PriceUnknown };
            return found(sold, Access::no(absence, Some(state.version.at)));
        }
        let shown = found(sold, self.by_status(subscription, state, sold, end));
        let paid = match &state.status {
            SubscriptionStatus::PastDue => return self.past_due(subscription, state, &shown, end),
            SubscriptionStatus::Trialing if shown.access.standing != Standing::InForce => {
                let paid = Paid::of(self.id, self.facts);
                // The line of the trial itself proves nothing of the time after it.
                if paid.end() <= state.trial_end {
                    return shown;
                }
                paid
            }
            SubscriptionStatus::Incomplete => Paid::of(self.id, self.facts),
            SubscriptionStatus::Unpaid => {
                Paid::since(self.id, self.facts, state.version.at.plus_ms(1))
            }
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Active
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Unknown(_) => return shown,
        };
        stronger(shown, self.paid(&paid, end, NEWER_PAID_NOTE))
    }

    /// When a subscription is over by what is known beside its status: the end set for it, or the
    /// deletion of its customer.
    fn end(&self, state: Option<&SubscriptionState>, customer: Option<&CustomerId>) -> Option<End> {
        let planned = state.and_then(|state| end_planned(self.facts, self.id, state));
        let set = state.and_then(SubscriptionState::pending_end).into_iter().chain(planned).min();
        let set = set.map(|at| End { at, absence: Absence::Ended });
        let deleted = customer.and_then(|id| self.facts.customers.get(id)?.deleted_at);
        let deleted = deleted.map(|at| End { at, absence: Absence::CustomerDeleted });
        deleted.into_iter().chain(set).min_by_key(|end| end.at)
    }

    fn by_status(
        &self,
        subscription: &Subscription,
        state: &SubscriptionState,
        sold: Sold,
        end: Option<End>,
    ) -> Access {
        let observed = Some(state.version.at);
        match &state.status {
            SubscriptionStatus::Trialing
            | SubscriptionStatus::PastDue
            | SubscriptionStatus::Active
                if end.is_some_and(|end| self.at >= end.at) =>
            {
                End::over(end, self.at).unwrap_or_else(|| Access::no(Absence::Ended, observed))
            }
            SubscriptionStatus::Trialing => self.trial(state, sold, end),
            SubscriptionStatus::PastDue => {
                let start = grace::dunning(subscription, state, self.facts).at;
                self.in_grace_or(Absence::PastDue, start, sold, end, PAST_DUE_NOTE)
            }
            SubscriptionStatus::Active => self.active(subscription, state, sold, end),
            SubscriptionStatus::Canceled => {
                Access::no(Absence::Canceled, state.ended_at.or(observed))
            }
            SubscriptionStatus::Unpaid => Access::no(Absence::Unpaid, observed),
            SubscriptionStatus::Paused => Access::no(Absence::Paused, observed),
            SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired => {
                Access::no(Absence::Incomplete, observed)
            }
            SubscriptionStatus::Unknown(_) => Access::no(Absence::StatusUnknown, observed),
        }
    }

    fn trial(&self, state: &SubscriptionState, sold: Sold, end: Option<End>) -> Access {
        let since = state.created.or(Some(state.version.at));
        let end_at = end.map(|end| end.at);
        match state.trial_end {
            Some(over) if self.at >= over => {
                let note = "The trial is over and its first payment not yet confirmed; \
                            access stays until the grace period ends.";
                self.in_grace_or(Absence::TrialOver, over, sold, end, note)
            }
            over => {
                let until = over.map(|over| earlier(over, end_at)).or(end_at);
                Access::new(Standing::InForce, since, until, "The trial runs.")
            }
        }
    }

    fn active(
        &self,
        subscription: &Subscription,
        state: &SubscriptionState,
        sold: Sold,
        end: Option<End>,
    ) -> Access {
        let observed = Some(state.version.at);
        let paused = state.collection_pause.is_some();
        if paused && self.catalog.collection_pause_access == CollectionPauseAccess::None {
            return Access::no(Absence::CollectionPaused, observed);
        }
        let end_at = end.map(|end| end.at);
        let since = state.created.or(observed);
        let in_force = |until| Access::new(Standing::InForce, since, until, active_note(state));
        let Some(proven) = stale::proven_until(subscription, self.facts) else {
            return in_force(end_at);
        };
        match self.catalog.stale {
            StalePolicy::End if self.at < proven => in_force(Some(earlier(proven, end_at))),
            StalePolicy::End => {
                let note = "The paid period is over and nothing more is known; \
                            access stays until the grace period ends.";
                self.in_grace_or(Absence::Stale, proven, sold, end, note)
            }
            StalePolicy::Hold => {
                let stale_since = stale::since(proven);
                if self.at < stale_since {
                    return in_force(end_at);
                }
                let note = format!(
                    "The subscription was active when Stripe last told of it; its paid period is \
                     over, and it holds on stale evidence since {stale_since}."
                );
                Access {
                    stale_since: Some(stale_since),
                    note: Cow::Owned(note),
                    ..in_force(end_at)
                }
            }
        }
    }

    fn in_grace_or(
        &self,
        absence: Absence,
        start: Timestamp,
        sold: Sold,
        end: Option<End>,
        note: &'static str,
    ) -> Access {
        let hours = grace::hours(sold, self.catalog).unwrap_or(0);
        let until = earlier(start.plus_hours(hours), end.map(|end| end.at));
        if self.at >= until {
            return Access::no(absence, Some(until));
        }
        Access::new(Standing::InGrace, Some(start), Some(until), note)
    }

    /// A payment failed: the grace where the period's own was not paid, what was paid before where
    /// a change was not.
    fn past_due(
        &self,
        subscription: &'f Subscription,
        state: &'f SubscriptionState,
        shown: &Found<'f>,
        end: Option<End>,
    ) -> Found<'f> {
        let but = |sold, access| Found { sold, access, ..shown.clone() };
        if let Some(over) = End::over(end, self.at) {
            return but(shown.sold, over);
        }
        let dunning = grace::dunning(subscription, state, self.facts);
        let paid = Paid::of(self.id, self.facts);
        let is_change = dunning.cause == Cause::Change;
        if let Some(now) = paid.at(self.at, self.catalog).filter(|_| is_change) {
            return Self::in_force(&now, end, CHANGE_PAID_NOTE);
        }
        let Some((at, sold)) = dunning.grace(shown.sold, subscription, &paid, self.catalog) else {
            return but(shown.sold, Access::no(Absence::PastDue, Some(dunning.at)));
        };
        if sold.is_nothing() {
            let unknown = Access::no(Absence::PriceUnknown, Some(state.version.at));
            return but(shown.sold, unknown);
        }
        if is_change && self.at < at {
            let until = Some(earlier(at, end.map(|end| end.at)));
            let access = Access::new(Standing::InForce, Some(dunning.at), until, CHANGE_PAID_NOTE);
            return but(sold, access);
        }
        but(sold, self.in_grace_or(Absence::PastDue, at, sold, end, PAST_DUE_NOTE))
    }

    fn in_force(now: &InForce<'f>, end: Option<End>, note: &'static str) -> Found<'f> {
        let until = earlier(now.until, end.map(|end| end.at));
        Found {
            sold: now.sold,
            access: Access::new(Standing::InForce, Some(now.since), Some(until), note),
            billing: Billing::of(now.period),
            event: now.event,
        }
    }

    /// What is paid for, in grace after its end. `None` where nothing is known to be paid.
    fn paid(&self, paid: &Paid<'f>, end: Option<End>, note: &'static str) -> Option<Found<'f>> {
        let last = paid.last(self.catalog)?;
        if let Some(over) = End::over(end, self.at) {
            return Some(Found { access: over, ..Self::in_force(&last, end, note) });
        }
        if let Some(now) = paid.at(self.at, self.catalog) {
            let found = Self::in_force(&now, end, note);
            let unknown = Access::no(Absence::PriceUnknown, Some(now.since));
            let nothing = now.sold.is_nothing();
            return Some(if nothing { Found { access: unknown, ..found } } else { found });
        }
        let (_, over) = last.period;
        let note = "What was paid for is over and nothing more is known; \
                    access stays until the grace period ends.";
        let access = self.in_grace_or(Absence::Lapsed, over, last.sold, end, note);
        Some(Found { access, ..Self::in_force(&last, end, note) })
    }
}

/// The one that gives more: access before none, then the higher plan, then what is not in grace.
fn stronger<'f>(shown: Found<'f>, paid: Option<Found<'f>>) -> Found<'f> {
    let Some(paid) = paid else { return shown };
    let strength = |found: &Found<'_>| {
        (found.access.counts(), found.sold.plan, found.access.standing == Standing::InForce)
    };
    if paid.access.counts() && strength(&paid) >= strength(&shown) { paid } else { shown }
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

    /// What was found by the state, for as long as the state holds.
    fn hold<'f>(&self, found: Found<'f>, at: Timestamp) -> Found<'f> {
        let Some(held_until) = self.held_until else { return found };
        if at >= held_until {
            return Found { access: Access::no(Absence::StatusUnknown, Some(held_until)), ..found };
        }
        if !found.access.counts() {
            return found;
        }
        let note = "Stripe reports a status that is not known here; the last known one holds.";
        let until = Some(found.access.until.map_or(held_until, |until| until.min(held_until)));
        Found { access: Access { until, note: Cow::Borrowed(note), ..found.access }, ..found }
    }
}

fn is_unknown(state: &SubscriptionState) -> bool {
    matches!(state.status, SubscriptionStatus::Unknown(_))
}

/// The earlier of an instant and an end that may not be set.
pub(super) fn earlier(one: Timestamp, end: Option<Timestamp>) -> Timestamp {
    end.map_or(one, |end| one.min(end))
}

const fn active_note(state: &SubscriptionState) -> &'static str {
    if state.cancel_at.is_some() || state.cancel_at_period_end {
        "The subscription is active and set to end."
    } else if state.collection_pause.is_some() {
        "The subscription is active; collecting its invoices is paused."
    } else {
        "The subscription is active."
    }
}
