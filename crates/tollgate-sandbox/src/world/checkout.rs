//! Buying through Stripe's hosted page. Owns: sessions, and the subscription or payment that comes
//! of one. Must not know: what is sold to whom and why.

use super::World;
use super::payment::Purpose;
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::invoice::Invoice;
use crate::object::price::Price;
use crate::object::session::{LineItem, Session, Terms};
use crate::object::subscription::{Item, Subscription, Terms as SubscriptionTerms};
use crate::object::{Metadata, Object};
use crate::time::DAY;

/// What is put into a checkout.
#[derive(Debug, Clone)]
pub(crate) struct Order<'a> {
    /// Distinguishes this purchase from others of the account.
    pub(crate) key: &'a str,
    pub(crate) price: &'a Price,
    pub(crate) quantity: u32,
    pub(crate) metadata: Metadata,
    /// End of the first period (of the trial, where there is one), in Unix seconds.
    pub(crate) period_end: i64,
    pub(crate) trial: bool,
}

impl Order<'_> {
    fn amount_minor(&self) -> i64 {
        self.price.unit_amount_minor.saturating_mul(i64::from(self.quantity))
    }
}

/// How long before its completion a session was opened, in seconds.
const AT_THE_TILL: i64 = 143;

impl World {
    fn session(&self, customer: &Customer, order: &Order<'_>, mode: &'static str) -> Session {
        let created = self.now.saturating_sub(AT_THE_TILL);
        Session {
            id: self.ids.make("cs_test_a1", 56, order.key),
            mode,
            status: "complete",
            payment_status: "paid",
            amount_minor: if order.trial { 0 } else { order.amount_minor() },
            currency: order.price.currency.clone(),
            customer: Some(customer.id.clone()),
            email: customer.email.clone(),
            name: customer.name.clone(),
            client_reference_id: Some(self.account.clone()),
            metadata: order.metadata.clone(),
            subscription: None,
            invoice: None,
            payment_intent: None,
            payment_method: "card",
            created,
            expires_at: created.saturating_add(DAY),
            terms: Box::new(Terms { lines: vec![self.line_item(order)], ..Terms::default() }),
        }
    }

    fn line_item(&self, order: &Order<'_>) -> LineItem {
        let id = self.ids.long("li_1", order.key);
        LineItem { id, price: order.price.clone(), quantity: order.quantity, adjustable: None }
    }

    fn subscription(&self, customer: &Customer, order: &Order<'_>) -> Subscription {
        let id = self.ids.long("sub_1", order.key);
        let item = Item {
            id: self.ids.short("si_", &id),
            price: order.price.clone(),
            quantity: order.quantity,
            created: self.now,
            period_start: self.now,
            period_end: order.period_end,
            metadata: Metadata::new(),
        };
        Subscription {
            id,
            customer: customer.id.clone(),
            status: if order.trial { "trialing" } else { "active" },
            items: vec![item],
            created: self.now,
            billing_cycle_anchor: if order.trial { order.period_end } else { self.now },
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            cancellation_reason: None,
            trial_start: order.trial.then_some(self.now),
            trial_end: order.trial.then_some(order.period_end),
            paused: None,
            latest_invoice: None,
            payment_method: Some(self.card_of(customer)),
            pending_update: None,
            metadata: order.metadata.clone(),
            terms: SubscriptionTerms::default(),
        }
    }

    /// Somebody buys a subscription by card; one second later the session is complete.
    pub(crate) fn subscribe(&mut self, customer: &mut Customer, order: &Order<'_>) -> Subscription {
        self.by_request();
        let mut subscription = self.subscription(customer, order);
        subscription.latest_invoice = Some(self.invoice_id(&subscription, "first"));
        let (card, currency) = (self.card_of(customer), order.price.currency.clone());
        // Before basil the subscription came first and waited for its payment.
        let waits = self.version < crate::ApiVersion::Basil && !order.trial;
        if waits {
            subscription.status = "incomplete";
        }
        self.change_customer(customer, |customer| {
            customer.currency = Some(currency);
            customer.payment_method = Some(card);
        });
        self.emit("customer.subscription.created", Object::Subscription(subscription.clone()));
        let invoice = self.first_invoice(customer, &subscription, order);
        if waits {
            self.update(&mut subscription, |subscription| subscription.status = "active");
        }
        let mut session = self.session(customer, order, "subscription");
        session.subscription = Some(subscription.id.clone());
        session.invoice = Some(invoice.id);
        if order.trial && self.version >= crate::ApiVersion::Acacia {
            session.payment_status = "no_payment_required";
        }
        self.now = self.now.saturating_add(1);
        self.emit("checkout.session.completed", Object::Session(session));
        subscription
    }

    fn first_invoice(
        &mut self,
        customer: &mut Customer,
        subscription: &Subscription,
        order: &Order<'_>,
    ) -> Invoice {
        let mut lines = self.period_lines(subscription, "first");
        if order.trial {
            for line in &mut lines {
                line.amount_minor = 0;
                line.description = format!("Trial period for {}", line.price.product.name);
            }
        }
        let mut invoice =
            self.draft(customer, subscription, ("first", "subscription_create"), lines);
        self.finalize(&mut invoice);
        self.pay(customer, &mut invoice);
        invoice
    }

    /// Somebody buys something once, by card.
    pub(crate) fn purchase(&mut self, customer: &Customer, order: &Order<'_>) -> Charge {
        self.by_request();
        let mut session = self.session(customer, order, "payment");
        let charge = self.collect_once(customer, order, true);
        session.payment_intent = Some(charge.payment_intent.clone());
        self.emit("checkout.session.completed", Object::Session(session));
        charge
    }

    /// The money of a one-time purchase moves, or does not.
    pub(crate) fn collect_once(
        &mut self,
        customer: &Customer,
        order: &Order<'_>,
        succeeds: bool,
    ) -> Charge {
        let purpose = Purpose {
            key: order.key,
            amount_minor: order.amount_minor(),
            currency: &order.price.currency,
            description: &order.price.product.name,
            invoice: None,
            attempt: 1,
            metadata: order.metadata.clone(),
        };
        if succeeds { self.charge(customer, &purpose) } else { self.decline(customer, &purpose) }
    }

    /// A session runs out without having been finished.
    pub(crate) fn abandon(&mut self, customer: &Customer, order: &Order<'_>) {
        let mut session = self.session(customer, order, "subscription");
        session.status = "expired";
        session.payment_status = "unpaid";
        session.created = self.now.saturating_sub(DAY);
        session.expires_at = self.now;
        self.emit("checkout.session.expired", Object::Session(session));
    }

    /// Somebody buys something once by a payment that takes days; the session is complete and
    /// unpaid.
    pub(crate) fn purchase_delayed(&mut self, customer: &Customer, order: &Order<'_>) -> Session {
        self.by_request();
        let mut session = self.session(customer, order, "payment");
        session.payment_status = "unpaid";
        session.payment_method = "sepa_debit";
        session.payment_intent = Some(self.ids.long("pi_3", order.key));
        self.emit("checkout.session.completed", Object::Session(session.clone()));
        session
    }
}
