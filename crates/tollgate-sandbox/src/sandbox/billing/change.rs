//! Changing. Owns: other items, quantities and prices of a running subscription: what is given
//! back, charged and billed, and what becomes of the change if that is not paid. Must not know:
//! parameters of the API.

use super::super::Sandbox;
use super::super::error::ApiError;
use super::collect::Attempt;
use super::end::{end_of_period, restart};
use super::{PATIENCE_SECONDS, PaymentBehavior, Proration};
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::invoice_item::InvoiceItem;
use crate::object::subscription::{Item, PendingUpdate, Subscription};
use crate::world::proration::{Parts, costs_alike, whole_amount};

/// How a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Manner {
    pub(crate) proration: Proration,
    /// Up to when the old items count, in Unix seconds; now if not given.
    pub(crate) proration_at: Option<i64>,
    pub(crate) behavior: PaymentBehavior,
    /// A new period begins now.
    pub(crate) new_period: bool,
}

/// What a change costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The subscription after the change.
    pub(crate) after: Subscription,
    /// What is given back and charged for parts of periods.
    pub(crate) parts: Vec<InvoiceItem>,
    /// Whole new periods are charged.
    pub(crate) restarts: bool,
    /// It is billed now.
    pub(crate) bills: bool,
}

impl Sandbox {
    /// What becomes of a subscription that is changed to `after`, whose periods and status are
    /// still those of `before`.
    pub(crate) fn cost_of_change(
        &mut self,
        before: &Subscription,
        mut after: Subscription,
        manner: Manner,
    ) -> Cost {
        let now = self.world.now;
        let ends_trial =
            before.status == "trialing" && after.trial_end.is_none_or(|end| end <= now);
        let same = costs_alike(&before.items, &after.items);
        if after.status == "trialing" && !ends_trial {
            let end = after.trial_end.unwrap_or(now);
            after.items.iter_mut().for_each(|item| item.period_end = end);
            return Cost { after, parts: Vec::new(), restarts: false, bills: false };
        }
        let restarts = ends_trial || manner.new_period || resets(&before.items, &after.items);
        if same && !restarts {
            return Cost { after, parts: Vec::new(), restarts, bills: false };
        }
        let at = manner.proration_at.unwrap_or(now);
        let parts = if ends_trial || manner.proration == Proration::None {
            Vec::new()
        } else {
            let parts = if restarts { Parts::CreditsOnly } else { Parts::Both };
            self.world.prorations(before, &after.items, at, parts)
        };
        if restarts {
            restart(&mut after.items, now);
            after.billing_cycle_anchor = now;
        }
        if ends_trial {
            after.status = "active";
        }
        let bills = restarts || (manner.proration == Proration::AlwaysInvoice && !parts.is_empty());
        Cost { after, parts, restarts, bills }
    }

    /// A subscription is changed to `after`.
    pub(crate) fn change_subscription(
        &mut self,
        before: &Subscription,
        after: Subscription,
        manner: Manner,
    ) -> Result<Subscription, ApiError> {
        let cost = self.cost_of_change(before, after, manner);
        let changes = cost.bills || !costs_alike(&before.items, &cost.after.items);
        if changes && before.pending_update.is_some() {
            // Of one subscription one change at a time waits: another one takes its place.
            let before = &self.discard_pending(before);
            let after = Subscription { pending_update: None, ..cost.after.clone() };
            return self.make_change(before, Cost { after, ..cost }, manner);
        }
        self.make_change(before, cost, manner)
    }

    fn make_change(
        &mut self,
        before: &Subscription,
        cost: Cost,
        manner: Manner,
    ) -> Result<Subscription, ApiError> {
        for part in &cost.parts {
            self.world.emit("invoiceitem.created", Object::InvoiceItem(part.clone()));
        }
        if !cost.bills {
            return Ok(self.write(before, cost.after));
        }
        let refusal = self.refusal_of(&cost);
        match (refusal, manner.behavior) {
            (Some(refusal), PaymentBehavior::Refuse) => Err(ApiError { keeps: false, ..refusal }),
            (Some(_), PaymentBehavior::Suspend) => Ok(self.suspend(before, &cost)),
            (_, behavior) => Ok(self.bill_change(before, cost, behavior)),
        }
    }

    /// What is left of a subscription's period is given back with the next invoice.
    pub(crate) fn credit_rest(&mut self, subscription: &Subscription) {
        let now = self.world.now;
        let parts = self.world.prorations(subscription, &[], now, Parts::CreditsOnly);
        for part in parts {
            self.world.emit("invoiceitem.created", Object::InvoiceItem(part));
        }
    }

    /// Why what a change costs is not going to be paid; `None` if it is, or if nothing is due.
    fn refusal_of(&self, cost: &Cost) -> Option<ApiError> {
        let subscription = &cost.after;
        let customer = self.copy::<Customer>(&subscription.customer)?;
        if subscription.terms.days_until_due.is_some() {
            return None;
        }
        let waiting = self.world.objects.all::<InvoiceItem>();
        let waiting = waiting
            .filter(|item| Self::waits_for(item, &customer.id, Some(&subscription.id)))
            .map(|item| item.amount_minor);
        let periods = subscription.items.iter().filter(|_| cost.restarts).map(whole_amount);
        let due: i64 = waiting.chain(periods).fold(0, i64::saturating_add);
        if due.saturating_add(customer.balance_minor) <= 0 {
            return None;
        }
        let method = subscription.payment_method.clone().or(customer.payment_method)?;
        self.declines(&method)
    }

    /// The change takes effect and is billed at once.
    fn bill_change(
        &mut self,
        before: &Subscription,
        cost: Cost,
        behavior: PaymentBehavior,
    ) -> Subscription {
        let invoice = self.world.new_long_id("in_1");
        let Cost { mut after, restarts, .. } = cost;
        after.latest_invoice = Some(invoice.clone());
        let after = self.write(before, after);
        let trial_ended = before.status == "trialing" && after.status == "active";
        let reason = if trial_ended { "subscription_cycle" } else { "subscription_update" };
        if restarts {
            self.bill_now(&after, invoice.clone(), reason);
        } else {
            self.bill(&after, invoice.clone(), reason, Vec::new());
        }
        if after.terms.days_until_due.is_none() {
            self.finalize_invoice(&invoice);
            if behavior == PaymentBehavior::Leave {
                self.leave_to_customer(&invoice);
            } else {
                // Unpaid, the subscription is past due, and the plan of retries goes on.
                drop(self.collect_invoice(&invoice, None, Attempt::Planned));
            }
        }
        self.copy(&after.id).unwrap_or(after)
    }

    /// The change waits for its payment, and runs out without it.
    fn suspend(&mut self, before: &Subscription, cost: &Cost) -> Subscription {
        let invoice = self.world.new_long_id("in_1");
        let mut waiting = before.clone();
        waiting.latest_invoice = Some(invoice.clone());
        let patience = self.world.now.saturating_add(PATIENCE_SECONDS);
        waiting.pending_update = Some(PendingUpdate {
            items: cost.after.items.clone(),
            expires_at: end_of_period(before).map_or(patience, |end| end.min(patience)),
            invoice: invoice.clone(),
        });
        let waiting = self.write(before, waiting);
        if cost.restarts {
            self.bill_now(&cost.after, invoice.clone(), "subscription_update");
        } else {
            self.bill(&cost.after, invoice.clone(), "subscription_update", Vec::new());
        }
        self.finalize_invoice(&invoice);
        // The refusal has been foreseen; the subscription shows it as a pending update.
        drop(self.collect_invoice(&invoice, None, Attempt::Planned));
        self.copy(&waiting.id).unwrap_or(waiting)
    }

    /// A change that waits for its payment is not made any more: its invoice is void. Returns the
    /// subscription without it.
    pub(crate) fn discard_pending(&mut self, before: &Subscription) -> Subscription {
        let Some(pending) = &before.pending_update else { return before.clone() };
        self.void_invoice(&pending.invoice);
        let without = Subscription { pending_update: None, ..before.clone() };
        self.write(before, without)
    }

    /// Writes a subscription and tells of it, where anything is different.
    pub(crate) fn write(&mut self, before: &Subscription, after: Subscription) -> Subscription {
        if *before != after {
            let (before, now) = (before.clone(), after.clone());
            let (before, now) = (Object::Subscription(before), Object::Subscription(now));
            self.world.emit_change("customer.subscription.updated", before, now);
        }
        after
    }
}

/// Whether a change begins a new period by itself: another interval, or something to pay where
/// there was nothing.
fn resets(before: &[Item], after: &[Item]) -> bool {
    let sum = |items: &[Item]| items.iter().map(whole_amount).fold(0_i64, i64::saturating_add);
    let other_interval = before.iter().any(|old| {
        after.iter().any(|new| new.id == old.id && new.price.interval != old.price.interval)
    });
    other_interval || (sum(before) == 0 && sum(after) > 0)
}
