//! Invoices and the life of a subscription. Owns: drafting, finalising, collecting, failing;
//! renewing, changing, pausing and ending a subscription. Must not know: how it was bought.

use super::World;
use super::payment::Purpose;
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::invoice::{BillTo, Invoice, InvoicePayment, InvoiceTerms, Line, Payment};
use crate::object::payment_intent::{PaymentIntent, Terms};
use crate::object::subscription::{Item, Paused, Subscription};
use crate::time::shifted;

/// An invoice that is to be made.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) id: String,
    /// The subscription it bills; `None` for an invoice made by hand.
    pub(crate) subscription: Option<&'a Subscription>,
    pub(crate) billing_reason: &'static str,
    pub(crate) lines: Vec<Line>,
    pub(crate) terms: InvoiceTerms,
}

/// What a payment of an invoice is called.
const PAYMENT_DESCRIPTION: &str = "Subscription update";

impl World {
    /// Changes a subscription and tells of it under a name.
    pub(crate) fn change_subscription(
        &mut self,
        kind: &'static str,
        subscription: &mut Subscription,
        change: impl FnOnce(&mut Subscription),
    ) {
        let before = subscription.clone();
        change(subscription);
        let now = Object::Subscription(subscription.clone());
        self.emit_change(kind, Object::Subscription(before), now);
    }

    /// Changes a subscription and tells `customer.subscription.updated`.
    pub(crate) fn update(
        &mut self,
        subscription: &mut Subscription,
        change: impl FnOnce(&mut Subscription),
    ) {
        self.change_subscription("customer.subscription.updated", subscription, change);
    }

    /// The id of a subscription's invoice.
    pub(crate) fn invoice_id(&self, subscription: &Subscription, key: &str) -> String {
        self.ids.long("in_1", &format!("{}/{key}", subscription.id))
    }

    /// A line for each item's whole current period.
    pub(crate) fn period_lines(&self, subscription: &Subscription, key: &str) -> Vec<Line> {
        let line = |item: &Item| Line {
            id: self.ids.long("il_1", &format!("{}/{key}", item.id)),
            amount_minor: item.price.unit_amount_minor.saturating_mul(i64::from(item.quantity)),
            description: format!("{} × {}", item.quantity, item.price.product.name),
            price: item.price.clone(),
            quantity: item.quantity,
            period_start: item.period_start,
            period_end: item.period_end,
            proration: false,
            subscription_item: Some(item.id.clone()),
            invoice_item: None,
        };
        subscription.items.iter().map(line).collect()
    }

    /// An invoice is drafted for a subscription in a story.
    pub(crate) fn draft(
        &mut self,
        customer: &Customer,
        subscription: &Subscription,
        (key, billing_reason): (&str, &'static str),
        lines: Vec<Line>,
    ) -> Invoice {
        let id = self.invoice_id(subscription, key);
        let cycle = billing_reason == "subscription_cycle";
        let attempt = cycle.then_some(self.now.saturating_add(crate::time::HOUR));
        let terms = InvoiceTerms { finalizes_at: attempt, ..InvoiceTerms::default() };
        let draft = Draft { id, subscription: Some(subscription), billing_reason, lines, terms };
        self.issue(customer, draft)
    }

    /// An invoice is drafted.
    pub(crate) fn issue(&mut self, customer: &Customer, draft: Draft<'_>) -> Invoice {
        let Draft { id, subscription, billing_reason, lines, terms } = draft;
        let first = lines.first();
        let currency = first.map(|line| line.price.currency.clone());
        let currency = currency.or_else(|| customer.currency.clone());
        // Stripe dates the invoice of a renewal by the period that has just ended.
        let line = first.filter(|_| billing_reason == "subscription_cycle");
        let period_end = line.map_or(self.now, |line| line.period_start);
        let period_start = line.map_or(self.now, |line| {
            let count = i64::from(line.price.interval_count).saturating_neg();
            line.price.interval.map_or(self.now, |name| shifted(line.period_start, name, count))
        });
        let automatic = terms.due_date.is_none() && !terms.held;
        let invoice = Invoice {
            id,
            number: format!("{}-{:04}", customer.invoice_prefix, customer.next_invoice_sequence),
            bill_to: BillTo {
                customer: customer.id.clone(),
                email: customer.email.clone(),
                name: customer.name.clone(),
            },
            subscription: subscription.map(|subscription| subscription.id.clone()),
            subscription_metadata: subscription
                .map(|subscription| subscription.metadata.clone())
                .unwrap_or_default(),
            status: "draft",
            billing_reason,
            lines,
            currency: currency.unwrap_or_else(|| "usd".to_owned()),
            amount_paid_minor: 0,
            attempt_count: 0,
            attempted: false,
            next_payment_attempt: terms.finalizes_at.filter(|_| automatic),
            created: self.now,
            finalized_at: None,
            paid_at: None,
            voided_at: None,
            uncollectible_at: None,
            period_start,
            period_end,
            payment: None,
            terms,
        };
        self.emit("invoice.created", Object::Invoice(invoice.clone()));
        invoice
    }

    /// A draft becomes final.
    pub(crate) fn finalize(&mut self, invoice: &mut Invoice) {
        invoice.status = "open";
        invoice.finalized_at = Some(self.now);
        if invoice.due_minor() > 0 {
            let payment_intent = self.ids.long("pi_3", &invoice.id);
            invoice.payment = Some(Payment { payment_intent, charge: None });
            self.open_payment(invoice);
        }
        self.emit("invoice.finalized", Object::Invoice(invoice.clone()));
    }

    /// An open invoice is paid, by card where there is anything to pay.
    pub(crate) fn pay(&mut self, customer: &Customer, invoice: &mut Invoice) {
        let before = invoice.clone();
        if invoice.due_minor() > 0 {
            let charge = self.collect(customer, invoice, true);
            invoice.attempt_count = invoice.attempt_count.saturating_add(1);
            if let Some(payment) = &mut invoice.payment {
                payment.charge = Some(charge);
            }
        }
        invoice.status = "paid";
        invoice.attempted = true;
        invoice.next_payment_attempt = None;
        invoice.amount_paid_minor = invoice.due_minor();
        invoice.paid_at = Some(self.now);
        let now = Object::Invoice(invoice.clone());
        self.emit_change("invoice.updated", Object::Invoice(before), now.clone());
        self.emit("invoice.paid", now.clone());
        self.emit("invoice.payment_succeeded", now);
    }

    /// An attempt to collect an open invoice fails; the next is due after `retry_seconds`.
    pub(crate) fn fail(
        &mut self,
        customer: &Customer,
        invoice: &mut Invoice,
        retry_seconds: Option<i64>,
    ) {
        let before = invoice.clone();
        let charge = self.collect(customer, invoice, false);
        if let Some(payment) = &mut invoice.payment {
            payment.charge = Some(charge);
        }
        self.attempt_failed(before, invoice, retry_seconds);
    }

    /// An open invoice was not paid in this attempt; the next is due after `retry_seconds`.
    pub(crate) fn attempt_failed(
        &mut self,
        before: Invoice,
        invoice: &mut Invoice,
        retry_seconds: Option<i64>,
    ) {
        invoice.attempted = true;
        invoice.attempt_count = invoice.attempt_count.saturating_add(1);
        invoice.next_payment_attempt =
            retry_seconds.map(|seconds| self.now.saturating_add(seconds));
        let now = Object::Invoice(invoice.clone());
        self.emit_change("invoice.updated", Object::Invoice(before), now.clone());
        self.emit("invoice.payment_failed", now);
    }

    /// Charges the card for an invoice; returns the charge's id.
    fn collect(&mut self, customer: &Customer, invoice: &Invoice, succeeds: bool) -> String {
        let purpose = Purpose {
            key: &invoice.id,
            amount_minor: invoice.due_minor(),
            currency: &invoice.currency,
            description: PAYMENT_DESCRIPTION,
            invoice: Some(&invoice.id),
            attempt: invoice.attempt_count.saturating_add(1),
            metadata: crate::object::Metadata::new(),
        };
        if !succeeds {
            return self.decline(customer, &purpose).id;
        }
        let charge = self.charge(customer, &purpose);
        let open = self.payment_of(invoice, &charge.payment_intent);
        let payment = InvoicePayment { paid_at: Some(self.now), ..open };
        self.emit("invoice_payment.paid", Object::InvoicePayment(payment));
        charge.id
    }

    /// The payment of an invoice, before anything is paid.
    fn payment_of(&self, invoice: &Invoice, payment_intent: &str) -> InvoicePayment {
        InvoicePayment {
            id: self.ids.long("inpay_1", &invoice.id),
            invoice: invoice.id.clone(),
            payment_intent: payment_intent.to_owned(),
            amount_minor: invoice.due_minor(),
            currency: invoice.currency.clone(),
            created: invoice.created,
            paid_at: None,
            canceled_at: None,
        }
    }

    /// From the moment it is final, an invoice has an intent and a payment that wait for money.
    fn open_payment(&mut self, invoice: &Invoice) {
        let Some(payment) = &invoice.payment else { return };
        let open = self.payment_of(invoice, &payment.payment_intent);
        let secret = self.ids.make("", 25, &payment.payment_intent);
        let client_secret = Some(format!("{}_secret_{secret}", payment.payment_intent));
        let terms = Terms { client_secret, ..Terms::default() };
        let intent = PaymentIntent {
            id: payment.payment_intent.clone(),
            amount_minor: invoice.due_minor(),
            currency: invoice.currency.clone(),
            customer: Some(invoice.bill_to.customer.clone()),
            description: Some(PAYMENT_DESCRIPTION.to_owned()),
            metadata: crate::object::Metadata::new(),
            invoice: Some(invoice.id.clone()),
            charge: None,
            payment_method: None,
            status: "requires_payment_method",
            decline: None,
            created: self.now,
            terms,
        };
        self.keep(open);
        self.keep(intent);
    }

    /// An invoice is not to be paid any more, and neither is its intent.
    pub(crate) fn cancel_payment(&mut self, invoice: &Invoice) {
        let Some(payment) = &invoice.payment else { return };
        let open = self.payment_of(invoice, &payment.payment_intent);
        self.keep(InvoicePayment { canceled_at: Some(self.now), ..open });
        let intent = self.objects.get::<PaymentIntent>(&payment.payment_intent).cloned();
        let Some(mut intent) = intent.filter(|intent| intent.status != "succeeded") else { return };
        intent.status = "canceled";
        intent.terms.canceled_at = Some(self.now);
        intent.terms.cancellation_reason = Some("void_invoice");
        self.emit("payment_intent.canceled", Object::PaymentIntent(intent));
    }

    /// The period of every item moves on, and the invoice for it is drafted; money moves later.
    pub(crate) fn begin_period(
        &mut self,
        customer: &mut Customer,
        subscription: &mut Subscription,
        (key, period_end): (&str, i64),
    ) -> Invoice {
        self.by_itself();
        let invoice_id = self.invoice_id(subscription, key);
        self.update(subscription, |subscription| {
            for item in &mut subscription.items {
                item.period_start = item.period_end;
                item.period_end = period_end;
            }
            if subscription.status == "trialing" {
                subscription.status = "active";
            }
            subscription.latest_invoice = Some(invoice_id);
        });
        customer.next_invoice_sequence = customer.next_invoice_sequence.saturating_add(1);
        let lines = self.period_lines(subscription, key);
        self.draft(customer, subscription, (key, "subscription_cycle"), lines)
    }

    /// The subscription ends now.
    pub(crate) fn end(&mut self, subscription: &mut Subscription, reason: &'static str) {
        subscription.status = "canceled";
        subscription.canceled_at = subscription.canceled_at.or(Some(self.now));
        subscription.ended_at = Some(self.now);
        subscription.cancellation_reason = Some(reason);
        subscription.paused = None;
        let object = Object::Subscription(subscription.clone());
        self.emit("customer.subscription.deleted", object);
    }

    /// The subscription is paused on request.
    pub(crate) fn pause(&mut self, subscription: &mut Subscription) {
        let paused = Paused { reason: "pause_requested", at: self.now };
        self.update(subscription, |subscription| {
            subscription.status = "paused";
            subscription.paused = Some(paused);
        });
        self.emit("customer.subscription.paused", Object::Subscription(subscription.clone()));
    }

    /// The subscription is resumed on request.
    pub(crate) fn resume(&mut self, subscription: &mut Subscription) {
        self.update(subscription, |subscription| {
            subscription.status = "active";
            subscription.paused = None;
        });
        self.emit("customer.subscription.resumed", Object::Subscription(subscription.clone()));
    }
}
