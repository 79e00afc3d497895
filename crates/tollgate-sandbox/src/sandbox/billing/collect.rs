//! Collecting. Owns: finalising, paying and failing an invoice, and what that does to its
//! subscription and customer. Must not know: why the invoice was made.

use super::super::error::ApiError;
use super::super::{FinalAction, Sandbox};
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::invoice::Invoice;
use crate::object::stored::Stored;
use crate::object::subscription::{Paused, Subscription};
use crate::time::DAY;

/// Who set off an attempt to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Stripe, by its plan of retries; a failure sets the next one, or the final action.
    Planned,
    /// Somebody; the plan goes on as it was.
    Asked,
}

impl Sandbox {
    /// A copy of an object, to be changed.
    pub(crate) fn copy<T: Stored + Clone>(&self, id: &str) -> Option<T> {
        self.world.objects.get::<T>(id).cloned()
    }

    /// A copy of the subscription of an invoice.
    pub(crate) fn subscription_of(&self, invoice: &Invoice) -> Option<Subscription> {
        self.copy(invoice.subscription.as_deref()?)
    }

    /// A draft becomes final. What the customer's balance holds is applied; what is nothing to be
    /// paid is paid.
    pub(crate) fn finalize_invoice(&mut self, id: &str) {
        let Some(mut invoice) = self.copy::<Invoice>(id).filter(|one| one.status == "draft") else {
            return;
        };
        let Some(mut customer) = self.copy::<Customer>(&invoice.bill_to.customer) else { return };
        let starting = customer.balance_minor;
        let ending = balance_after(starting, invoice.total_minor());
        invoice.terms.starting_balance_minor = starting;
        invoice.terms.ending_balance_minor = Some(ending);
        invoice.terms.finalizes_at = None;
        let collects = invoice.terms.due_date.is_none() && !invoice.terms.held;
        invoice.next_payment_attempt =
            (collects && invoice.due_minor() > 0).then_some(self.world.now);
        self.world.finalize(&mut invoice);
        self.world.change_customer(&mut customer, |customer| customer.balance_minor = ending);
        let paused = self.subscription_of(&invoice).and_then(|one| one.terms.pause_collection);
        match paused.map(|pause| pause.behavior) {
            Some("void") => self.void_invoice(id),
            Some("mark_uncollectible") => self.give_up_invoice(id, "subscription_paused"),
            _ if invoice.due_minor() == 0 => self.pay_invoice(id, None),
            _ => {}
        }
    }

    /// An open invoice is tried to be paid by the payment method given, else by the subscription's,
    /// else by the customer's.
    pub(crate) fn collect_invoice(
        &mut self,
        id: &str,
        given: Option<&str>,
        attempt: Attempt,
    ) -> Result<(), ApiError> {
        let Some(invoice) = self.copy::<Invoice>(id).filter(is_owed) else {
            return Ok(());
        };
        let subscription = self.subscription_of(&invoice);
        let own = subscription.and_then(|subscription| subscription.payment_method);
        let Some(customer) = self.copy::<Customer>(&invoice.bill_to.customer) else {
            return Ok(());
        };
        let method = given.map(str::to_owned).or(own).or_else(|| customer.payment_method.clone());
        if method.is_none() && attempt == Attempt::Asked && invoice.due_minor() > 0 {
            return Err(no_method());
        }
        let refusal = method.as_deref().map_or(Some(no_method()), |method| self.declines(method));
        match refusal {
            None => {
                self.pay_invoice(id, method.as_deref());
                Ok(())
            }
            Some(refusal) => {
                self.fail_invoice(id, method.as_deref(), attempt);
                Err(refusal)
            }
        }
    }

    /// An open invoice is paid by a payment method that works; without one nothing is charged.
    pub(crate) fn pay_invoice(&mut self, id: &str, method: Option<&str>) {
        let Some(mut invoice) = self.copy::<Invoice>(id) else { return };
        let Some(mut customer) = self.copy::<Customer>(&invoice.bill_to.customer) else { return };
        if let Some(method) = method {
            customer.payment_method = Some(method.to_owned());
        }
        self.world.pay(&customer, &mut invoice);
        self.after_payment(&invoice);
    }

    /// An open invoice was paid outside of Stripe.
    pub(crate) fn settle_outside(&mut self, id: &str) {
        let Some(mut invoice) = self.copy::<Invoice>(id).filter(|one| one.status != "paid") else {
            return;
        };
        let before = Object::Invoice(invoice.clone());
        invoice.terms.out_of_band = true;
        invoice.status = "paid";
        invoice.attempted = true;
        invoice.next_payment_attempt = None;
        invoice.amount_paid_minor = invoice.due_minor();
        invoice.paid_at = Some(self.world.now);
        let paid = Object::Invoice(invoice.clone());
        self.world.emit_change("invoice.updated", before, paid.clone());
        self.world.emit("invoice.paid", paid);
        self.after_payment(&invoice);
    }

    /// An attempt failed. The next one follows by the plan, and after the last the final action.
    fn fail_invoice(&mut self, id: &str, method: Option<&str>, attempt: Attempt) {
        let Some(mut invoice) = self.copy::<Invoice>(id) else { return };
        let Some(mut customer) = self.copy::<Customer>(&invoice.bill_to.customer) else { return };
        // An invoice that has just become final is tried for the first time, whoever asks.
        let planned =
            attempt == Attempt::Planned || invoice.next_payment_attempt == Some(self.world.now);
        let next = if planned { self.next_retry(&invoice) } else { invoice.next_payment_attempt };
        let last = planned && next.is_none();
        if planned {
            invoice.terms.retries = invoice.terms.retries.saturating_add(1);
        }
        let wait = next.map(|next| next.saturating_sub(self.world.now));
        if let Some(method) = method {
            customer.payment_method = Some(method.to_owned());
            self.world.fail(&customer, &mut invoice, wait);
            if self.asks_to_confirm(method) {
                let asked = Object::Invoice(invoice.clone());
                self.world.emit("invoice.payment_action_required", asked);
            }
        } else {
            let before = invoice.clone();
            self.world.attempt_failed(before, &mut invoice, wait);
        }
        self.after_failure(&invoice, last);
    }

    /// An open invoice is not tried by itself: its customer is to pay it.
    pub(crate) fn leave_to_customer(&mut self, id: &str) {
        if let Some(mut invoice) = self.copy::<Invoice>(id) {
            invoice.next_payment_attempt = None;
            self.world.keep(invoice);
        }
    }

    /// When an invoice is tried again after a failure now. First invoices and those of pending
    /// updates are not: they wait for the customer and expire.
    fn next_retry(&self, invoice: &Invoice) -> Option<i64> {
        let subscription = self.subscription_of(invoice);
        let waits = subscription.is_some_and(|one| {
            one.status == "incomplete" || one.pending_update.is_some() || one.status == "canceled"
        });
        let days = self.settings.retry_after_days.get(invoice.terms.retries);
        let days = days.filter(|_| !waits && invoice.advances());
        days.map(|days| self.world.now.saturating_add(days.saturating_mul(DAY)))
    }

    fn after_payment(&mut self, invoice: &Invoice) {
        if let Some(subscription) = self.subscription_of(invoice) {
            self.subscription_paid(subscription, invoice);
        }
        let Some(mut customer) = self.copy::<Customer>(&invoice.bill_to.customer) else { return };
        let overdue = self.world.objects.all::<Invoice>().any(|other| {
            other.bill_to.customer == customer.id && other.status == "open" && other.attempted
        });
        if !overdue {
            self.world.change_customer(&mut customer, |customer| customer.delinquent = false);
        }
    }

    fn subscription_paid(&mut self, mut subscription: Subscription, invoice: &Invoice) {
        let latest = subscription.latest_invoice.as_deref() == Some(invoice.id.as_str());
        let waited = subscription.pending_update.clone();
        if let Some(pending) = waited.filter(|pending| pending.invoice == invoice.id) {
            self.world.update(&mut subscription, |subscription| {
                subscription.items = pending.items;
                subscription.pending_update = None;
            });
            let object = Object::Subscription(subscription.clone());
            self.world.emit("customer.subscription.pending_update_applied", object);
        }
        let settled = latest || !self.has_overdue(&subscription);
        match subscription.status {
            "incomplete" | "past_due" | "unpaid" if settled => {
                self.world.update(&mut subscription, |subscription| subscription.status = "active");
            }
            "paused" if subscription.terms.resumes_with.as_deref() == Some(&invoice.id) => {
                self.world.update(&mut subscription, |subscription| {
                    subscription.status = "active";
                    subscription.paused = None;
                    subscription.terms.resumes_with = None;
                });
                let object = Object::Subscription(subscription);
                self.world.emit("customer.subscription.resumed", object);
            }
            _ => {}
        }
    }

    /// Whether an invoice of a subscription was tried and is not paid.
    fn has_overdue(&self, subscription: &Subscription) -> bool {
        self.world.objects.all::<Invoice>().any(|invoice| {
            invoice.subscription.as_deref() == Some(subscription.id.as_str())
                && invoice.status == "open"
                && invoice.attempted
        })
    }

    fn after_failure(&mut self, invoice: &Invoice, last: bool) {
        if let Some(mut subscription) = self.subscription_of(invoice) {
            let renews = matches!(subscription.status, "active" | "trialing");
            if renews && subscription.pending_update.is_none() {
                self.world.update(&mut subscription, |one| one.status = "past_due");
            }
            if last && subscription.status == "past_due" {
                self.act_finally(subscription, invoice);
            }
        }
        if let Some(mut customer) = self.copy::<Customer>(&invoice.bill_to.customer) {
            self.world.change_customer(&mut customer, |customer| customer.delinquent = true);
        }
    }

    /// The last retry failed.
    fn act_finally(&mut self, mut subscription: Subscription, invoice: &Invoice) {
        match self.settings.final_action {
            FinalAction::Cancel => {
                self.end_subscription(&subscription.id, "payment_failed");
                self.give_up_invoice(&invoice.id, "max_payment_attempts");
            }
            FinalAction::Unpaid => {
                self.world.update(&mut subscription, |one| one.status = "unpaid");
            }
            FinalAction::PastDue => {}
            FinalAction::Pause => {
                let paused = Paused { reason: "final_payment_failure", at: self.world.now };
                self.world.update(&mut subscription, |one| {
                    one.status = "paused";
                    one.paused = Some(paused);
                });
                let object = Object::Subscription(subscription);
                self.world.emit("customer.subscription.paused", object);
            }
        }
    }

    /// An invoice is not to be paid any more.
    pub(crate) fn void_invoice(&mut self, id: &str) {
        let now = self.world.now;
        self.close_invoice(id, "invoice.voided", |invoice| {
            invoice.status = "void";
            invoice.voided_at = Some(now);
        });
    }

    /// Nobody expects an invoice to be paid any more, though it may be.
    pub(crate) fn give_up_invoice(&mut self, id: &str, reason: &'static str) {
        let now = self.world.now;
        self.close_invoice(id, "invoice.marked_uncollectible", |invoice| {
            invoice.status = "uncollectible";
            invoice.uncollectible_at = Some(now);
            invoice.terms.uncollectible_reason = Some(reason);
        });
    }

    fn close_invoice(&mut self, id: &str, kind: &'static str, close: impl FnOnce(&mut Invoice)) {
        let Some(mut invoice) = self.copy::<Invoice>(id) else { return };
        let before = Object::Invoice(invoice.clone());
        close(&mut invoice);
        invoice.next_payment_attempt = None;
        let closed = Object::Invoice(invoice.clone());
        self.world.emit_change("invoice.updated", before, closed.clone());
        self.world.emit(kind, closed);
        if invoice.status == "void" {
            self.world.cancel_payment(&invoice);
        }
    }

    /// A subscription in arrears for nothing but an invoice that was closed by hand is in good
    /// standing again; a change that waited for an invoice which is void now is discarded.
    pub(crate) fn after_closing(&mut self, invoice: &str) {
        let Some(invoice) = self.copy::<Invoice>(invoice) else { return };
        let Some(mut subscription) = self.subscription_of(&invoice) else { return };
        let waits = subscription.pending_update.as_ref();
        if invoice.status == "void" && waits.is_some_and(|pending| pending.invoice == invoice.id) {
            subscription = self.discard_pending(&subscription);
        }
        if subscription.status == "past_due" && !self.has_overdue(&subscription) {
            self.world.update(&mut subscription, |one| one.status = "active");
        }
    }
}

/// Whether an invoice can still be paid. One that was given up can, by hand.
fn is_owed(invoice: &Invoice) -> bool {
    matches!(invoice.status, "open" | "uncollectible")
}

/// The balance a customer has after an invoice of this total became final: a credit is used up
/// first, and a total below zero adds to it.
pub(crate) fn balance_after(balance: i64, total: i64) -> i64 {
    if total < 0 || balance < 0 { balance.saturating_add(total).min(0) } else { 0 }
}

/// There is nothing to charge; whoever asked for it is refused before anything is tried.
fn no_method() -> ApiError {
    let message = "There is no default payment method set on this customer, its subscription or \
                   the invoice. Add one, or pay with one that the request names.";
    ApiError::invalid(message).code("resource_missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_used_up_before_anything_is_charged() {
        assert_eq!(balance_after(0, 100), 0);
        assert_eq!(balance_after(-30, 100), 0);
        assert_eq!(balance_after(-130, 100), -30);
        assert_eq!(balance_after(0, -70), -70);
        assert_eq!(balance_after(50, 100), 0);
        assert_eq!(balance_after(50, -70), -20);
    }
}
