//! Renewing. Owns: what happens at the end of a period and of a trial. Must not know: when that is
//! looked for.

use super::super::Sandbox;
use super::end_after;
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::invoice::{InvoiceTerms, Line};
use crate::object::subscription::{Item, Subscription, TrialEnd};
use crate::time::DAY;
use crate::world::billing::Draft;

/// How long before its end a trial's end is told, in seconds.
pub(super) const TRIAL_NOTICE: i64 = 3 * DAY;

impl Sandbox {
    /// The period of a subscription has ended: the next begins, its invoice is drafted; or the
    /// trial ends without anything to charge.
    pub(crate) fn renew(&mut self, id: &str) {
        let Some(before) = self.copy::<Subscription>(id) else { return };
        let Some(customer) = self.copy::<Customer>(&before.customer) else { return };
        let now = self.world.now;
        let trial_over = before.status == "trialing";
        if trial_over && !self.can_collect(&before) {
            match before.terms.trial_end {
                TrialEnd::Cancel => return self.end_subscription(id, "payment_failed"),
                TrialEnd::Pause => {
                    return self.pause_subscription(id, "trial_end_without_payment_method");
                }
                TrialEnd::CreateInvoice => {}
            }
        }
        let invoice = self.world.new_long_id("in_1");
        let mut after = before.clone();
        self.enter_phase(&mut after);
        let anchor = after.billing_cycle_anchor;
        let mut due = Vec::new();
        for item in after.items.iter_mut().filter(|item| item.period_end <= now) {
            item.period_start = item.period_end;
            item.period_end = end_after(&item.price, anchor, item.period_start);
            due.push(item.clone());
        }
        if trial_over {
            after.status = "active";
        }
        after.latest_invoice = Some(invoice.clone());
        let after = self.write(&before, after);
        self.bill_periods(&after, customer, invoice, &due);
    }

    /// The invoice for new periods is drafted; money moves later, if it is collected at all.
    fn bill_periods(
        &mut self,
        subscription: &Subscription,
        customer: Customer,
        id: String,
        due: &[Item],
    ) {
        let key = self.world.new_long_id("");
        let of_due = |line: &Line| {
            due.iter().any(|item| Some(item.id.as_str()) == line.subscription_item.as_deref())
        };
        let mut lines = self.world.period_lines(subscription, &key);
        lines.retain(of_due);
        lines.extend(self.take_waiting(&customer.id, Some(&subscription.id), &id));
        let now = self.world.now;
        let pause = subscription.terms.pause_collection.as_ref();
        let kept = pause.is_some_and(|pause| pause.behavior == "keep_as_draft");
        let held = kept || subscription.status == "unpaid";
        let days = subscription.terms.days_until_due.map(i64::from);
        let terms = InvoiceTerms {
            due_date: days.map(|days| now.saturating_add(days.saturating_mul(DAY))),
            held,
            finalizes_at: (!held).then(|| now.saturating_add(self.settings.finalize_after_s)),
            test_clock: subscription.terms.test_clock.clone(),
            ..InvoiceTerms::default()
        };
        let subscription = Some(subscription);
        let reason = "subscription_cycle";
        self.issue(Draft { id, subscription, billing_reason: reason, lines, terms }, customer);
    }

    /// Whether an invoice of a subscription can be collected, or is sent anyway.
    pub(crate) fn can_collect(&self, subscription: &Subscription) -> bool {
        let customer = self.copy::<Customer>(&subscription.customer);
        subscription.terms.days_until_due.is_some()
            || subscription.payment_method.is_some()
            || customer.is_some_and(|customer| customer.payment_method.is_some())
    }

    /// Whether a trial ends so soon that its end is told at its beginning.
    pub(crate) fn trial_is_short(&self, subscription: &Subscription) -> bool {
        let told_at = subscription.trial_end.map(|end| end.saturating_sub(TRIAL_NOTICE));
        told_at.is_some_and(|at| at <= self.world.now)
    }

    /// `customer.subscription.trial_will_end`, once for each end.
    pub(crate) fn tell_trial_end(&mut self, id: &str) {
        let Some(mut subscription) = self.copy::<Subscription>(id) else { return };
        subscription.terms.trial_end_told = subscription.trial_end;
        let object = Object::Subscription(subscription);
        self.world.emit("customer.subscription.trial_will_end", object);
    }
}
