//! Beginning. Owns: how a subscription comes to be, with its first invoice; and drafting an invoice
//! from periods and what waits for one. Must not know: whether it was bought by a page or the API.

use super::super::Sandbox;
use super::super::error::ApiError;
use super::collect::Attempt;
use super::{PaymentBehavior, end_after};
use crate::object::customer::Customer;
use crate::object::invoice::{Invoice, InvoiceTerms, Line};
use crate::object::invoice_item::InvoiceItem;
use crate::object::price::Price;
use crate::object::subscription::{Item, Subscription, Terms};
use crate::object::{Metadata, Object};
use crate::time::{DAY, shifted};
use crate::version::ApiVersion;
use crate::world::billing::Draft;
use crate::world::proration::prorated;

/// What an item of a new subscription is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewItem {
    pub(crate) price: Price,
    pub(crate) quantity: u32,
    pub(crate) metadata: Metadata,
}

/// What a new subscription is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewSubscription {
    pub(crate) customer: String,
    pub(crate) items: Vec<NewItem>,
    /// The end of its trial, in Unix seconds.
    pub(crate) trial_end: Option<i64>,
    /// Where periods are counted from, in Unix seconds; now, or the trial's end, if not given.
    pub(crate) anchor: Option<i64>,
    pub(crate) payment_method: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) terms: Terms,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) behavior: PaymentBehavior,
}

impl NewSubscription {
    /// A subscription to these items, paid by the customer's card now, and nothing said beside.
    pub(crate) fn to(customer: &str, items: Vec<NewItem>) -> Self {
        Self {
            customer: customer.to_owned(),
            items,
            trial_end: None,
            anchor: None,
            payment_method: None,
            metadata: Metadata::new(),
            terms: Terms::default(),
            cancel_at: None,
            cancel_at_period_end: false,
            behavior: PaymentBehavior::Allow,
        }
    }
}

impl Sandbox {
    /// A subscription begins; its first invoice is collected at once. A refusal has changed nothing.
    pub(crate) fn begin_subscription(
        &mut self,
        new: NewSubscription,
    ) -> Result<Subscription, ApiError> {
        let Some(mut customer) = self.copy::<Customer>(&new.customer) else {
            return Err(ApiError::no_such("customer", &new.customer, "customer"));
        };
        let behavior = new.behavior;
        let mut subscription = self.draw_up(&customer, new);
        let invoice_id = self.world.new_long_id("in_1");
        let lines = self.first_lines(&subscription);
        let due: i64 = lines.iter().map(|line| line.amount_minor).fold(0, i64::saturating_add);
        let sent = subscription.terms.days_until_due.is_some();
        let refusal = self.foresee(&customer, &subscription, due);
        let waits = behavior == PaymentBehavior::Leave && due > 0 && !sent;
        if let Some(refusal) = &refusal
            && !waits
            && (behavior == PaymentBehavior::Refuse || refusal.status == 400)
        {
            return Err(ApiError { keeps: false, ..refusal.clone() });
        }
        let settles_later = self.world.version < ApiVersion::Basil && due > 0 && !sent;
        if refusal.is_some() || waits || settles_later {
            subscription.status = "incomplete";
        }
        subscription.latest_invoice = Some(invoice_id.clone());
        let currency = subscription.items.first().map(|item| item.price.currency.clone());
        self.world.change_customer(&mut customer, |customer| {
            customer.currency = customer.currency.take().or(currency);
        });
        let created = Object::Subscription(subscription.clone());
        self.world.emit("customer.subscription.created", created);
        if subscription.status == "trialing" && self.trial_is_short(&subscription) {
            self.tell_trial_end(&subscription.id);
        }
        self.bill_now(&subscription, invoice_id.clone(), "subscription_create");
        if !sent {
            self.finalize_invoice(&invoice_id);
            if waits {
                self.leave_to_customer(&invoice_id);
            } else {
                // A refusal has been foreseen, and leaves the subscription incomplete.
                drop(self.collect_invoice(&invoice_id, None, Attempt::Asked));
            }
        }
        Ok(self.copy(&subscription.id).unwrap_or(subscription))
    }

    /// Why the first payment of a subscription is going to fail; `None` if it is not.
    fn foresee(
        &self,
        customer: &Customer,
        subscription: &Subscription,
        due: i64,
    ) -> Option<ApiError> {
        let due = due.saturating_add(customer.balance_minor);
        if due <= 0 || subscription.terms.days_until_due.is_some() {
            return None;
        }
        let method = subscription.payment_method.clone();
        let method = method.or_else(|| customer.payment_method.clone());
        method.map_or_else(
            || {
                let message = "This customer has no attached payment source or default payment \
                               method. Please consider adding a default payment method.";
                Some(ApiError::invalid(message).code("resource_missing"))
            },
            |method| self.declines(&method),
        )
    }

    /// The subscription as it begins, before anything is paid.
    pub(crate) fn draw_up(&mut self, customer: &Customer, new: NewSubscription) -> Subscription {
        let now = self.world.now;
        let anchor = new.anchor.or(new.trial_end).unwrap_or(now);
        let mut items = Vec::with_capacity(new.items.len());
        for item in new.items {
            let end = new.trial_end.unwrap_or_else(|| end_after(&item.price, anchor, now));
            items.push(Item {
                id: self.world.new_short_id("si_"),
                period_start: now,
                period_end: end,
                price: item.price,
                quantity: item.quantity,
                created: now,
                metadata: item.metadata,
            });
        }
        let mut terms = new.terms;
        terms.test_clock.clone_from(&customer.test_clock);
        let mut subscription = Subscription {
            id: self.world.new_long_id("sub_1"),
            customer: new.customer,
            status: if new.trial_end.is_some() { "trialing" } else { "active" },
            items,
            created: now,
            billing_cycle_anchor: anchor,
            cancel_at_period_end: new.cancel_at_period_end,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            cancellation_reason: None,
            trial_start: new.trial_end.map(|_| now),
            trial_end: new.trial_end,
            paused: None,
            latest_invoice: None,
            payment_method: new.payment_method,
            pending_update: None,
            metadata: new.metadata,
            terms,
        };
        let end = super::end::end_of_period(&subscription).filter(|_| new.cancel_at_period_end);
        if let Some(at) = new.cancel_at.or(end) {
            self.cancel_later(&mut subscription, Some(at));
        }
        subscription
    }

    /// The lines of the running periods: nothing for a trial, a part for a period that an anchor
    /// cuts short.
    pub(crate) fn first_lines(&mut self, subscription: &Subscription) -> Vec<Line> {
        let key = self.world.new_long_id("");
        let mut lines = self.world.period_lines(subscription, &key);
        let trial = subscription.status == "trialing";
        for line in &mut lines {
            if trial {
                line.amount_minor = 0;
                line.description = format!("Trial period for {}", line.price.product.name);
                continue;
            }
            let full_start = line.price.interval.map_or(line.period_start, |name| {
                shifted(line.period_end, name, -i64::from(line.price.interval_count))
            });
            let whole = line.period_end.saturating_sub(full_start);
            let rest = line.period_end.saturating_sub(line.period_start);
            if subscription.billing_cycle_anchor > line.period_start && rest < whole {
                line.amount_minor = prorated(line.amount_minor, rest, whole);
                line.proration = true;
            }
        }
        lines
    }

    /// An invoice for the running periods of a subscription and for what waits, as a draft.
    pub(crate) fn bill_now(
        &mut self,
        subscription: &Subscription,
        id: String,
        reason: &'static str,
    ) -> Option<Invoice> {
        let lines = self.first_lines(subscription);
        self.bill(subscription, id, reason, lines)
    }

    /// An invoice of these lines and of what waits, as a draft. Nothing finalises it by itself but
    /// where it is sent.
    pub(crate) fn bill(
        &mut self,
        subscription: &Subscription,
        id: String,
        reason: &'static str,
        mut lines: Vec<Line>,
    ) -> Option<Invoice> {
        let customer = self.copy::<Customer>(&subscription.customer)?;
        lines.extend(self.take_waiting(&customer.id, Some(&subscription.id), &id));
        let now = self.world.now;
        let days = subscription.terms.days_until_due.map(i64::from);
        let terms = InvoiceTerms {
            due_date: days.map(|days| now.saturating_add(days.saturating_mul(DAY))),
            finalizes_at: days.map(|_| now.saturating_add(self.settings.finalize_after_s)),
            test_clock: subscription.terms.test_clock.clone(),
            ..InvoiceTerms::default()
        };
        let subscription = Some(subscription);
        Some(self.issue(Draft { id, subscription, billing_reason: reason, lines, terms }, customer))
    }

    /// A draft is made, under the customer's next number.
    pub(crate) fn issue(&mut self, draft: Draft<'_>, mut customer: Customer) -> Invoice {
        let invoice = self.world.issue(&customer, draft);
        customer.next_invoice_sequence = customer.next_invoice_sequence.saturating_add(1);
        self.world.keep(customer);
        invoice
    }

    /// Whether an item waits for the next invoice of a customer's subscription, or of the customer.
    pub(crate) fn waits_for(
        item: &InvoiceItem,
        customer: &str,
        subscription: Option<&str>,
    ) -> bool {
        item.invoice.is_none()
            && item.customer == customer
            && (item.subscription.is_none() || item.subscription.as_deref() == subscription)
    }

    /// What waits for an invoice becomes its lines, oldest first.
    pub(crate) fn take_waiting(
        &mut self,
        customer: &str,
        subscription: Option<&str>,
        invoice: &str,
    ) -> Vec<Line> {
        let items = self.world.objects.newest_first::<InvoiceItem>().into_iter().rev();
        let waiting: Vec<InvoiceItem> =
            items.filter(|item| Self::waits_for(item, customer, subscription)).cloned().collect();
        waiting
            .into_iter()
            .map(|mut item| {
                item.invoice = Some(invoice.to_owned());
                self.world.keep(item.clone());
                line_of(&item)
            })
            .collect()
    }
}

/// The line an invoice item becomes.
pub(crate) fn line_of(item: &InvoiceItem) -> Line {
    Line {
        id: item.id.replacen("ii_", "il_", 1),
        amount_minor: item.amount_minor,
        description: item.description.clone(),
        price: item.price.clone(),
        quantity: item.quantity,
        period_start: item.period_start,
        period_end: item.period_end,
        proration: item.proration,
        subscription_item: item.subscription_item.clone(),
        invoice_item: Some(item.id.clone()),
    }
}
