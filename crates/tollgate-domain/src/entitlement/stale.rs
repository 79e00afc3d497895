//! Evidence that has grown old. Owns: until when what is known proves an active subscription, and
//! since when nothing does. Must not know: what follows from it (the catalog says).
//!
//! Stripe renews a subscription by moving its period, and tells within three days. An active
//! subscription of which nothing was heard for so long after its paid period is held on stale
//! evidence: an event was lost, or never made. The same goes for the end of a trial, which Stripe
//! always tells of; there nothing is held.

use super::forecast::end_planned;
use super::paid::Paid;
use crate::facts::Facts;
use crate::subscription::{Subscription, SubscriptionStatus};
use crate::time::Timestamp;

/// How long Stripe tries to deliver an event, in hours.
pub const DELIVERY_HOURS: i64 = 72;

/// Until when an active subscription is proven: the end of its period or of what was paid for, or
/// the latest news of it after that. `None` where no period is known.
pub(super) fn proven_until(subscription: &Subscription, facts: &Facts) -> Option<Timestamp> {
    let state = subscription.state()?;
    let period_end = state.period_end()?;
    let paid = Paid::of(&subscription.id, facts).end();
    paid.into_iter().chain([period_end, state.version.at]).max()
}

/// Since when evidence that proved so far is stale.
pub(super) fn since(proven_until: Timestamp) -> Timestamp {
    proven_until.plus_hours(DELIVERY_HOURS)
}

/// Since when, or from when on, a subscription is held on stale evidence without further news;
/// `None` for one that is not active, ends before, or has no period.
pub fn stale_since(subscription: &Subscription, facts: &Facts) -> Option<Timestamp> {
    let is_active = subscription.state()?.status == SubscriptionStatus::Active;
    let stale = since(proven_until(subscription, facts).filter(|_| is_active)?);
    ends_at(subscription, facts).is_none_or(|end| stale < end).then_some(stale)
}

/// Since when, or from when on, news of a subscription are overdue: of its renewal, or of what became
/// of it after its trial. `None` for one that ends before.
pub fn overdue_since(subscription: &Subscription, facts: &Facts) -> Option<Timestamp> {
    let state = subscription.state()?;
    if state.status != SubscriptionStatus::Trialing {
        return stale_since(subscription, facts);
    }
    let overdue = since(state.trial_end?.max(state.version.at));
    ends_at(subscription, facts).is_none_or(|end| overdue < end).then_some(overdue)
}

/// When a subscription ends, or ended, by what is known: by its own word, by its schedule, or with its
/// customer.
pub fn ends_at(subscription: &Subscription, facts: &Facts) -> Option<Timestamp> {
    let state = subscription.state()?;
    let deleted = subscription.customer.as_ref().and_then(|id| facts.customers.get(id)?.deleted_at);
    let planned = end_planned(facts, &subscription.id, state);
    let own = state.ended_at.or_else(|| state.pending_end());
    own.into_iter().chain(planned).chain(deleted).min()
}
