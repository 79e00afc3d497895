//! Ending and pausing. Owns: cancelling now and later, pausing and resuming, and what that does to
//! invoices and schedules. Must not know: who asks.

use super::super::Sandbox;
use super::super::error::ApiError;
use super::collect::Attempt;
use super::end_after;
use crate::object::Object;
use crate::object::invoice::Invoice;
use crate::object::schedule::Schedule;
use crate::object::subscription::{Item, Paused, Subscription};

/// How a paused subscription comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Resume {
    /// A new period begins now; else the old one goes on where it has not ended.
    pub(crate) new_period: bool,
    /// It stays paused until its invoice is paid.
    pub(crate) on_success: bool,
}

impl Sandbox {
    /// A subscription ends now. What it owes is not collected any more.
    pub(crate) fn end_subscription(&mut self, id: &str, reason: &'static str) {
        let Some(mut subscription) = self.copy::<Subscription>(id) else { return };
        subscription.pending_update = None;
        if let Some(schedule) = subscription.terms.schedule.take() {
            self.close_schedule(&schedule, "canceled");
        }
        self.world.end(&mut subscription, reason);
        self.hold_invoices(id);
    }

    /// All subscriptions of a customer end now.
    pub(crate) fn end_subscriptions_of(&mut self, customer: &str) {
        let own = self.world.objects.newest_first::<Subscription>().into_iter().rev();
        let own = own.filter(|one| one.customer == customer && !is_over(one));
        for id in own.map(|one| one.id.clone()).collect::<Vec<String>>() {
            self.end_subscription(&id, "cancellation_requested");
        }
    }

    /// The invoices of a subscription that are not done are left alone from now on.
    fn hold_invoices(&mut self, subscription: &str) {
        let of = |invoice: &&Invoice| {
            invoice.subscription.as_deref() == Some(subscription) && invoice.advances()
        };
        let held: Vec<Invoice> = self.world.objects.all::<Invoice>().filter(of).cloned().collect();
        for before in held {
            let mut invoice = before.clone();
            invoice.terms.held = true;
            invoice.terms.finalizes_at = None;
            invoice.next_payment_attempt = None;
            let (before, now) = (Object::Invoice(before), Object::Invoice(invoice));
            self.world.emit_change("invoice.updated", before, now);
        }
    }

    /// A schedule is done with: `released`, `canceled` or `completed`.
    pub(crate) fn close_schedule(&mut self, id: &str, status: &'static str) {
        let Some(mut schedule) = self.copy::<Schedule>(id).filter(Schedule::is_live) else {
            return;
        };
        let now = self.world.now;
        schedule.status = status;
        let kind = match status {
            "released" => {
                schedule.released_at = Some(now);
                schedule.released_subscription = schedule.subscription.take();
                "subscription_schedule.released"
            }
            "completed" => {
                schedule.completed_at = Some(now);
                "subscription_schedule.completed"
            }
            _ => {
                schedule.canceled_at = Some(now);
                "subscription_schedule.canceled"
            }
        };
        self.world.emit(kind, Object::Schedule(schedule));
    }

    /// A subscription is paused now: no periods, no invoices.
    pub(crate) fn pause_subscription(&mut self, id: &str, reason: &'static str) {
        let Some(mut subscription) = self.copy::<Subscription>(id) else { return };
        let paused = Paused { reason, at: self.world.now };
        self.world.update(&mut subscription, |subscription| {
            subscription.status = "paused";
            subscription.paused = Some(paused);
        });
        self.world.emit("customer.subscription.paused", Object::Subscription(subscription));
    }

    /// A paused subscription comes back. Inside a period that is paid it goes on with that; else a
    /// new period begins, whose invoice is collected at once.
    pub(crate) fn resume_subscription(&mut self, id: &str, how: Resume) -> Result<(), ApiError> {
        let Some(mut subscription) = self.copy::<Subscription>(id) else { return Ok(()) };
        let now = self.world.now;
        let inside = subscription.items.iter().any(|item| item.period_end > now);
        let paid = subscription.paused.as_ref().is_some_and(|one| one.reason == "pause_requested");
        if inside && paid && !how.new_period {
            self.world.resume(&mut subscription);
            return Ok(());
        }
        let invoice = self.world.new_long_id("in_1");
        let resume = |subscription: &mut Subscription| {
            subscription.billing_cycle_anchor = now;
            subscription.trial_end = subscription.trial_end.map(|end| end.min(now));
            subscription.latest_invoice = Some(invoice.clone());
            restart(&mut subscription.items, now);
        };
        if how.on_success {
            self.world.update(&mut subscription, |subscription| {
                resume(subscription);
                subscription.terms.resumes_with = Some(invoice.clone());
            });
        } else {
            self.world.update(&mut subscription, |subscription| {
                resume(subscription);
                subscription.status = "active";
                subscription.paused = None;
            });
            let object = Object::Subscription(subscription.clone());
            self.world.emit("customer.subscription.resumed", object);
        }
        self.bill_now(&subscription, invoice.clone(), "subscription_cycle");
        self.finalize_invoice(&invoice);
        let collected = self.collect_invoice(&invoice, None, Attempt::Planned);
        if how.on_success { Ok(()) } else { collected.or(Ok(())) }
    }

    /// A subscription gets its end, or loses it.
    pub(crate) fn cancel_later(&self, subscription: &mut Subscription, at: Option<i64>) {
        subscription.cancel_at = at;
        subscription.canceled_at = at.map(|_| self.world.now);
        subscription.cancellation_reason = at.map(|_| "cancellation_requested");
    }
}

/// Whether a subscription has ended for good.
pub(crate) fn is_over(subscription: &Subscription) -> bool {
    matches!(subscription.status, "canceled" | "incomplete_expired")
}

/// A new period begins for every item.
pub(super) fn restart(items: &mut [Item], now: i64) {
    for item in items {
        item.period_start = now;
        item.period_end = end_after(&item.price, now, now);
    }
}

/// When the running period of a subscription ends; of several, the first.
pub(crate) fn end_of_period(subscription: &Subscription) -> Option<i64> {
    subscription.items.iter().map(|item| item.period_end).min()
}
