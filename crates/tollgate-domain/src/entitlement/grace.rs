//! The grace after a payment that is due. Owns: when a grace starts and ends, and the list of
//! graces for the scheduler. Must not know: which source wins in the meantime.
//!
//! Grace starts at Stripe's time of the first failed payment of the open dunning cycle and lasts
//! the plan's grace hours. Later attempts, repeated events and their arrival times do not move it.
//! A cycle begins after the last observation that was neither `past_due` nor `unpaid`, so failures
//! that were settled otherwise are forgotten.

use super::subscription::{Sold, earlier, sold};
use crate::catalog::{Catalog, Plan};
use crate::facts::Facts;
use crate::ids::{InvoiceId, SubscriptionId};
use crate::payment::{Invoice, InvoiceStatus};
use crate::subscription::{Subscription, SubscriptionState, SubscriptionStatus};
use crate::time::Timestamp;

/// One grace of a subscription, running, over, or (after a trial) still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraceWindow {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The invoice whose payment failed first; `None` where no failure is known and for the
    /// grace after a trial.
    pub invoice: Option<InvoiceId>,
    /// The first failed payment, or the trial's end.
    pub started_at: Timestamp,
    /// When access by grace ends.
    pub ends_at: Timestamp,
}

/// The graces of an account's subscriptions as they stand now, for whoever reports their ends. A
/// window is gone once a payment or the subscription's end settled it.
pub fn grace_windows(facts: &Facts, catalog: &Catalog) -> Vec<GraceWindow> {
    facts
        .subscriptions
        .values()
        .filter_map(|subscription| window(subscription, facts, catalog))
        .collect()
}

fn window(subscription: &Subscription, facts: &Facts, catalog: &Catalog) -> Option<GraceWindow> {
    let state = subscription.state()?;
    let sold = sold(state, catalog);
    let hours = hours(sold, catalog)?;
    let start = match state.status {
        SubscriptionStatus::PastDue => start(subscription, state, facts),
        // Boosts do not count in a trial, so there is nothing to keep after it.
        SubscriptionStatus::Trialing if sold.plan.is_some() => {
            GraceStart { at: state.trial_end?, invoice: None }
        }
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Unknown(_) => return None,
    };
    let ends_at = earlier(start.at.plus_hours(hours), state.pending_end());
    (start.at < ends_at).then(|| GraceWindow {
        subscription: subscription.id.clone(),
        invoice: start.invoice.cloned(),
        started_at: start.at,
        ends_at,
    })
}

/// When and by which invoice a grace started.
pub(super) struct GraceStart<'f> {
    pub(super) at: Timestamp,
    pub(super) invoice: Option<&'f InvoiceId>,
}

/// How long the grace of a subscription is that sells this: its plan's, else the boosts'. `None`
/// where it sells nothing.
pub(super) fn hours(sold: Sold, catalog: &Catalog) -> Option<i64> {
    let plan = sold.plan.and_then(|index| catalog.plan(index)).map(|plan| plan.grace_hours);
    let boosts = || catalog.boost.as_ref().filter(|_| sold.boosts > 0);
    plan.or_else(|| boosts().map(|program| program.grace_hours)).map(i64::from)
}

/// End of a grace that started at `start`, for a subscription of this plan.
pub(super) fn end(start: Timestamp, plan: &Plan) -> Timestamp {
    start.plus_hours(i64::from(plan.grace_hours))
}

/// The start of the grace of a past-due state of a subscription: its cycle's first failed payment,
/// else the first observation of the cycle.
pub(super) fn start<'f>(
    subscription: &Subscription,
    state: &SubscriptionState,
    facts: &'f Facts,
) -> GraceStart<'f> {
    let before = |past: &&SubscriptionState| past.version.at <= state.version.at;
    let settled =
        subscription.history.iter().filter(before).filter(|past| past.status.is_settled());
    let settled_at = settled.map(at_of).max();
    let failure = facts
        .invoices
        .values()
        .filter(|invoice| invoice.subscription.as_ref() == Some(&subscription.id))
        .filter(|invoice| is_due(invoice, settled_at.is_some()))
        .filter_map(|invoice| Some((first_failure_since(invoice, settled_at)?, &invoice.id)))
        .min();
    if let Some((at, invoice)) = failure {
        return GraceStart { at, invoice: Some(invoice) };
    }
    let in_cycle = |past: &&SubscriptionState| settled_at.is_none_or(|at| past.version.at >= at);
    let past_due = |past: &&SubscriptionState| past.status == SubscriptionStatus::PastDue;
    let first = subscription.history.iter().filter(in_cycle).filter(past_due).map(at_of).min();
    GraceStart { at: earlier(state.version.at, first), invoice: None }
}

fn at_of(state: &SubscriptionState) -> Timestamp {
    state.version.at
}

/// Whether an invoice's failures belong to a cycle. One that was given up does where the cycle's
/// beginning is known: else each further invoice of a subscription that stays past due would bring
/// a new grace. Where it is not known, an old one must not count.
fn is_due(invoice: &Invoice, cycle_known: bool) -> bool {
    match invoice.state.status {
        InvoiceStatus::Draft | InvoiceStatus::Open => true,
        InvoiceStatus::Uncollectible => cycle_known,
        InvoiceStatus::Void | InvoiceStatus::Paid => false,
    }
}

fn first_failure_since(invoice: &Invoice, settled_at: Option<Timestamp>) -> Option<Timestamp> {
    let in_cycle = |at: &Timestamp| settled_at.is_none_or(|settled_at| *at >= settled_at);
    invoice.failed_attempts.iter().map(|failed| failed.at).filter(in_cycle).min()
}
