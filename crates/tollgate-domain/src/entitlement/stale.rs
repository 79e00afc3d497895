//! Evidence that has grown old. Owns: until when what is known proves an active subscription, and
//! since when nothing does. Must not know: what follows from it (the catalog says).
//!
//! Stripe renews a subscription by moving its period, and tells within three days. An active
//! subscription of which nothing was heard for so long after its paid period is held on stale
//! evidence: an event was lost, or never made.

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
    let state = subscription.state()?;
    if state.status != SubscriptionStatus::Active {
        return None;
    }
    let deleted = subscription.customer.as_ref().and_then(|id| facts.customers.get(id)?.deleted_at);
    let stale = since(proven_until(subscription, facts)?);
    let planned = end_planned(facts, &subscription.id, state);
    let ends = state.pending_end().into_iter().chain(planned).chain(deleted).min();
    ends.is_none_or(|end| stale < end).then_some(stale)
}
