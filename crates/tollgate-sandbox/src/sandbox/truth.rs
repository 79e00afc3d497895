//! The truth, for tests. Owns: the state in plain words, to be compared with what an engine made of
//! the events. Must not know: the engine.

use std::collections::BTreeMap;

use super::Sandbox;
use crate::object::Metadata;
use crate::object::adjustment::{Dispute, Refund};
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::invoice::Invoice;
use crate::object::session::Session;
use crate::object::stored::Stored;
use crate::object::subscription::Subscription;

/// Everything a customer has, each kind ordered by its ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerTruth {
    /// Its id, `cus_…`.
    pub id: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Whether an invoice is overdue.
    pub delinquent: bool,
    /// Its subscriptions, also those that are over.
    pub subscriptions: Vec<SubscriptionTruth>,
    /// Its invoices.
    pub invoices: Vec<InvoiceTruth>,
    /// Its checkout sessions.
    pub sessions: Vec<SessionTruth>,
    /// The refunds of its charges.
    pub refunds: Vec<AdjustmentTruth>,
    /// The disputes of its charges.
    pub disputes: Vec<AdjustmentTruth>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionTruth {
    /// Its id, `sub_…`.
    pub id: String,
    /// The status, as Stripe writes it.
    pub status: &'static str,
    /// What is held.
    pub items: Vec<ItemTruth>,
    /// Whether it ends with its period.
    pub cancel_at_period_end: bool,
    /// When it is going to end, in Unix seconds.
    pub cancel_at: Option<i64>,
    /// When that was asked for, in Unix seconds.
    pub canceled_at: Option<i64>,
    /// When it ended, in Unix seconds.
    pub ended_at: Option<i64>,
    /// The end of its trial, in Unix seconds.
    pub trial_end: Option<i64>,
    /// Why it is paused, if it is.
    pub paused: Option<&'static str>,
    /// What becomes of its invoices while collection is paused.
    pub pause_collection: Option<&'static str>,
    /// Whether a change waits for its payment.
    pub has_pending_update: bool,
    /// The schedule that changes it.
    pub schedule: Option<String>,
    /// Its newest invoice.
    pub latest_invoice: Option<String>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// One item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemTruth {
    /// Its id, `si_…`.
    pub id: String,
    /// The price, `price_…`.
    pub price: String,
    /// How many.
    pub quantity: u32,
    /// The running period, in Unix seconds: from, until.
    pub period: (i64, i64),
}

/// One invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceTruth {
    /// Its id, `in_…`.
    pub id: String,
    /// The status, as Stripe writes it.
    pub status: &'static str,
    /// The subscription it bills.
    pub subscription: Option<String>,
    /// Why it was made.
    pub billing_reason: &'static str,
    /// What is or was to be paid, in minor units.
    pub amount_due_minor: i64,
    /// What was paid, in minor units.
    pub amount_paid_minor: i64,
    /// How often it was tried.
    pub attempt_count: u32,
    /// When it is tried next, in Unix seconds.
    pub next_payment_attempt: Option<i64>,
    /// When it was paid, in Unix seconds.
    pub paid_at: Option<i64>,
}

/// One checkout session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTruth {
    /// Its id, `cs_…`.
    pub id: String,
    /// `payment`, `subscription` or `setup`.
    pub mode: &'static str,
    /// `open`, `complete` or `expired`.
    pub status: &'static str,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: &'static str,
    /// What came of it.
    pub subscription: Option<String>,
    /// What was paid with.
    pub payment_intent: Option<String>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// One refund or dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustmentTruth {
    /// Its id, `re_…` or `dp_…`.
    pub id: String,
    /// The charge, `ch_…`.
    pub charge: String,
    /// The payment intent, `pi_…`.
    pub payment_intent: String,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// The status, as Stripe writes it.
    pub status: &'static str,
}

impl Sandbox {
    /// Everything as it is, by customer and ordered by their ids.
    pub fn truth(&self) -> Vec<CustomerTruth> {
        self.world.objects.all::<Customer>().map(|customer| self.truth_of(customer)).collect()
    }

    fn truth_of(&self, customer: &Customer) -> CustomerTruth {
        let id = customer.id.as_str();
        CustomerTruth {
            id: customer.id.clone(),
            metadata: customer.metadata.clone(),
            deleted: customer.deleted,
            delinquent: customer.delinquent,
            subscriptions: self.all_of(|one: &Subscription| one.customer == id, subscription),
            invoices: self.all_of(|one: &Invoice| one.bill_to.customer == id, invoice),
            sessions: self.all_of(|one: &Session| belongs(one, id), session),
            refunds: self.all_of(|one: &Refund| self.was_charged(&one.charge, id), refund),
            disputes: self.all_of(|one: &Dispute| self.was_charged(&one.charge, id), dispute),
        }
    }

    fn all_of<T: Stored, U>(&self, is: impl Fn(&T) -> bool, tell: fn(&T) -> U) -> Vec<U> {
        self.world.objects.all::<T>().filter(|one| is(one)).map(tell).collect()
    }

    fn was_charged(&self, charge: &str, customer: &str) -> bool {
        let charge = self.world.objects.get::<Charge>(charge);
        charge.is_some_and(|charge| charge.customer.as_deref() == Some(customer))
    }
}

fn subscription(one: &Subscription) -> SubscriptionTruth {
    let item = |item: &crate::object::subscription::Item| ItemTruth {
        id: item.id.clone(),
        price: item.price.id.clone(),
        quantity: item.quantity,
        period: (item.period_start, item.period_end),
    };
    SubscriptionTruth {
        id: one.id.clone(),
        status: one.status,
        items: one.items.iter().map(item).collect(),
        cancel_at_period_end: one.cancel_at_period_end,
        cancel_at: one.cancel_at,
        canceled_at: one.canceled_at,
        ended_at: one.ended_at,
        trial_end: one.trial_end,
        paused: one.paused.as_ref().map(|paused| paused.reason),
        pause_collection: one.terms.pause_collection.as_ref().map(|pause| pause.behavior),
        has_pending_update: one.pending_update.is_some(),
        schedule: one.terms.schedule.clone(),
        latest_invoice: one.latest_invoice.clone(),
        metadata: plain(&one.metadata),
    }
}

fn invoice(one: &Invoice) -> InvoiceTruth {
    InvoiceTruth {
        id: one.id.clone(),
        status: one.status,
        subscription: one.subscription.clone(),
        billing_reason: one.billing_reason,
        amount_due_minor: one.due_minor(),
        amount_paid_minor: one.amount_paid_minor,
        attempt_count: one.attempt_count,
        next_payment_attempt: one.next_payment_attempt,
        paid_at: one.paid_at,
    }
}

fn session(one: &Session) -> SessionTruth {
    SessionTruth {
        id: one.id.clone(),
        mode: one.mode,
        status: one.status,
        payment_status: one.payment_status,
        subscription: one.subscription.clone(),
        payment_intent: one.payment_intent.clone(),
        metadata: plain(&one.metadata),
    }
}

fn refund(one: &Refund) -> AdjustmentTruth {
    AdjustmentTruth {
        id: one.id.clone(),
        charge: one.charge.clone(),
        payment_intent: one.payment_intent.clone(),
        amount_minor: one.amount_minor,
        status: one.status,
    }
}

fn dispute(one: &Dispute) -> AdjustmentTruth {
    AdjustmentTruth {
        id: one.id.clone(),
        charge: one.charge.clone(),
        payment_intent: one.payment_intent.clone(),
        amount_minor: one.amount_minor,
        status: one.status,
    }
}

fn plain(metadata: &Metadata) -> BTreeMap<String, String> {
    metadata.clone()
}

fn belongs(session: &Session, customer: &str) -> bool {
    session.customer.as_deref() == Some(customer)
}
