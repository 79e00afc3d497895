//! The grace after a payment that is due. Owns: when a grace starts and ends, what failed to be
//! paid, and the list of graces for the scheduler. Must not know: which source wins in the meantime.
//!
//! Grace starts at Stripe's time of the first failed payment of the open dunning cycle and lasts
//! the plan's grace hours. Later attempts, repeated events and their arrival times do not move it.
//! A cycle begins after the last observation that was neither `past_due` nor `unpaid`, so failures
//! that were settled otherwise are forgotten.
//!
//! A cycle that began with the invoice of a change within a paid period has no grace before that
//! period ends: what was paid before the change goes on (see `subscription`). At its end the renewal
//! is due, which Stripe collects an hour later at the earliest: from then on there is the grace.

use super::paid::Paid;
use super::sold::{Sold, sold};
use super::subscription::earlier;
use crate::catalog::Catalog;
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
    let shown = sold(subscription.items_of(state), catalog);
    let (at, invoice, graced) = match state.status {
        SubscriptionStatus::PastDue => {
            let dunning = dunning(subscription, state, facts);
            let paid = Paid::of(&subscription.id, facts);
            let (at, graced) = dunning.grace(shown, subscription, &paid, catalog)?;
            (at, dunning.invoice.map(|invoice| invoice.id.clone()), graced)
        }
        // Boosts do not count in a trial, so there is nothing to keep after it.
        SubscriptionStatus::Trialing if shown.plan.is_some() => (state.trial_end?, None, shown),
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Unknown(_) => return None,
    };
    let deleted = subscription.customer.as_ref().and_then(|id| facts.customers.get(id)?.deleted_at);
    let ends_at = earlier(at.plus_hours(hours(graced, catalog)?), state.pending_end());
    let ends_at = earlier(ends_at, deleted);
    (at < ends_at).then(|| GraceWindow {
        subscription: subscription.id.clone(),
        invoice,
        started_at: at,
        ends_at,
    })
}

/// How long the grace of a subscription is that sells this: its plan's, else the boosts'. `None`
/// where it sells nothing.
pub(super) fn hours(sold: Sold, catalog: &Catalog) -> Option<i64> {
    let plan = sold.plan.and_then(|index| catalog.plan(index)).map(|plan| plan.grace_hours);
    let boosts = || catalog.boost.as_ref().filter(|_| sold.boosts > 0);
    plan.or_else(|| boosts().map(|program| program.grace_hours)).map(i64::from)
}

/// What was not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The invoice of a period, or nobody knows what.
    Period,
    /// The invoice of a change within a period that is paid.
    Change,
}

/// A dunning cycle: how a subscription came to be past due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dunning<'f> {
    /// Its first failed payment, else its first observation.
    pub(super) at: Timestamp,
    /// The invoice whose payment failed first.
    pub(super) invoice: Option<&'f Invoice>,
    /// What was not paid first.
    pub(super) cause: Cause,
    /// When the invoice of a change was made that is not paid either.
    change_at: Option<Timestamp>,
}

/// The dunning cycle of a past-due state of a subscription.
pub(super) fn dunning<'f>(
    subscription: &Subscription,
    state: &SubscriptionState,
    facts: &'f Facts,
) -> Dunning<'f> {
    let before = |past: &&SubscriptionState| past.version.at <= state.version.at;
    let settled =
        subscription.history.iter().filter(before).filter(|past| past.status.is_settled());
    let settled_at = settled.map(at_of).max();
    let due = || {
        facts
            .invoices
            .values()
            .filter(|invoice| invoice.subscription.as_ref() == Some(&subscription.id))
            .filter(|invoice| is_due(invoice, settled_at.is_some()))
    };
    let failed = |invoice: &'f Invoice| Some((first_failure_since(invoice, settled_at)?, invoice));
    let first = due().filter_map(failed).min_by_key(|(at, invoice)| (*at, &invoice.id));
    let is_open = |invoice: &&Invoice| {
        state.latest_invoice.as_ref() == Some(&invoice.id)
            || first_failure_since(invoice, settled_at).is_some()
    };
    let changes = due().filter(|invoice| invoice.bills_change()).filter(is_open);
    let change_at = changes.map(Invoice::made_at).min();
    if let Some((at, invoice)) = first {
        let cause = if invoice.bills_change() { Cause::Change } else { Cause::Period };
        return Dunning { at, invoice: Some(invoice), cause, change_at };
    }
    let in_cycle = |past: &&SubscriptionState| settled_at.is_none_or(|at| past.version.at >= at);
    let past_due = |past: &&SubscriptionState| past.status == SubscriptionStatus::PastDue;
    let first = subscription.history.iter().filter(in_cycle).filter(past_due).map(at_of).min();
    let at = earlier(state.version.at, first);
    // Where the period is known to be paid, it is not the period that is due; and where it may not
    // be, it is, whatever else is.
    let is_paid = Paid::of(&subscription.id, facts).end().is_some_and(|end| end > at);
    let period_is_open =
        due().any(|one| one.state.status == InvoiceStatus::Open && !one.bills_change());
    let is_change = is_paid || (change_at.is_some() && !period_is_open);
    let cause = if is_change { Cause::Change } else { Cause::Period };
    Dunning { at, invoice: None, cause, change_at }
}

impl Dunning<'_> {
    /// What was paid for before a change that was not, and until when: by paid lines, or by what the
    /// subscription sold when the change was made, where that reaches farther: then the news of its
    /// payment was lost. What was taken back is not had that way.
    pub(super) fn before(
        &self,
        subscription: &Subscription,
        paid: &Paid<'_>,
        catalog: &Catalog,
    ) -> Option<(Sold, Timestamp)> {
        let last = paid.last(catalog).map(|last| (last.sold, last.period.1));
        let shown = self.shown_before(subscription, catalog);
        let taken_back = paid.taken_back_until();
        let shown = shown.filter(|(_, end)| taken_back.is_none_or(|taken| taken < *end));
        match (last, shown) {
            (Some(last), Some(shown)) if shown.1 > last.1 => Some(shown),
            (last, shown) => last.or(shown),
        }
    }

    /// What the subscription sold when the change was made, and until when.
    fn shown_before(
        &self,
        subscription: &Subscription,
        catalog: &Catalog,
    ) -> Option<(Sold, Timestamp)> {
        let change_at = self.change_at?;
        let before = subscription.history.iter().filter(|past| past.replaced_by(change_at));
        let state = before.max_by_key(|past| past.version.at)?;
        let lives = [SubscriptionStatus::Active, SubscriptionStatus::Trialing];
        lives.contains(&state.status).then_some(())?;
        Some((sold(subscription.items_of(state), catalog), state.period_end()?))
    }

    /// When the grace of the cycle begins, and with what: with the first failure of a period's
    /// invoice; with the end of what was paid, where it was a change that failed; and with that
    /// failure, where nothing is known of what was paid. `None` where what was paid was taken back.
    pub(super) fn grace(
        &self,
        shown: Sold,
        subscription: &Subscription,
        paid: &Paid<'_>,
        catalog: &Catalog,
    ) -> Option<(Timestamp, Sold)> {
        if self.cause == Cause::Period {
            return Some((self.at, self.graced(shown, subscription, paid, catalog)));
        }
        match self.before(subscription, paid, catalog) {
            Some((sold, over)) => Some((over.max(self.at), sold)),
            None => {
                paid.taken_back_until().is_none_or(|end| end <= self.at).then_some((self.at, shown))
            }
        }
    }

    /// What is in grace where a period was not paid: what the subscription sells, unless it was
    /// changed to that without paying.
    fn graced(
        &self,
        shown: Sold,
        subscription: &Subscription,
        paid: &Paid<'_>,
        catalog: &Catalog,
    ) -> Sold {
        if self.change_at.is_none() {
            return shown;
        }
        self.before(subscription, paid, catalog).map_or(shown, |(sold, _)| sold)
    }
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
