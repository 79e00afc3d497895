//! Facts. Owns: everything known about one account, the input of `decide` and `resolve`. Must not
//! know: how facts are stored or where they came from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, MemberId,
    ObjectId, PlanId, SessionId, SubscriptionId,
};
use crate::own_claim::OwnClaim;
use crate::payment::{Adjustment, Invoice, InvoicePayment, Purchase};
use crate::subscription::{Schedule, Subscription};
use crate::time::Timestamp;

mod hand_over;
mod past;
mod relevance;

pub use relevance::{Relevance, Window};

/// A Stripe customer that belongs to the account or to one of its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Stripe's id.
    pub id: CustomerId,
    /// The member it stands for; `None` for the account itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
    /// E-mail as Stripe has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Box<str>>,
    /// When it was first seen deleted at Stripe, which ends its subscriptions; absorbs. Known to
    /// every account it pays for, unlike its other news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Stripe's time of the deciding event; `None` when only other objects named the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The deciding event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Whom its own metadata names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_claim: Option<OwnClaim>,
}

/// A plan given without charge (a fee waiver). At most one is active per account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Our id, `wv_…`.
    pub id: FactId,
    /// The plan given.
    pub plan: PlanId,
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who gave it.
    pub granted_by: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when; `None` without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Notes for operators, at most 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_notes: Option<String>,
    /// Taken back early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// Who took one of our own facts back, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A plan for a span of time, given by a person (bought grants are purchases).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Our id, `gr_…`.
    pub id: FactId,
    /// The plan given.
    pub plan: PlanId,
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub granted_by: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when; `None` without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Taken back early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// Boosts given by a person (bought boosts are subscriptions).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoostGrant {
    /// Our id, `bo_…`.
    pub id: FactId,
    /// In whose name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
    /// How many, 1 to 100.
    pub count: u32,
    /// Why.
    pub reason: String,
    /// Who gave them.
    pub granted_by: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when; `None` without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Taken back early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// What an override does to its feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideEffect {
    /// The feature is on whatever the plan says.
    On,
    /// The feature is off whatever the plan says.
    Off,
    /// The feature is on with this limit; `None` is unlimited.
    Limit(Option<u64>),
}

/// One feature of one account decided by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Our id, `ov_…`.
    pub id: FactId,
    /// The feature.
    pub feature: FeatureKey,
    /// What it does.
    pub effect: OverrideEffect,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub granted_by: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when; `None` without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Taken back early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// Everything known about one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose facts these are.
    pub account: AccountId,
    /// Whether the account exists; an unknown account has the default plan.
    pub known: bool,
    /// Raised by every committed change; 0 for an unknown account.
    pub revision: u64,
    /// Stripe customers.
    pub customers: BTreeMap<CustomerId, Customer>,
    /// Stripe subscriptions, of the account and of its boosting members.
    pub subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Invoices.
    pub invoices: BTreeMap<InvoiceId, Invoice>,
    /// Schedules of subscriptions, ended ones included.
    pub schedules: BTreeMap<ObjectId, Schedule>,
    /// Which payment paid which invoice.
    pub invoice_payments: BTreeMap<ObjectId, InvoicePayment>,
    /// Checkout sessions, one-time purchases among them.
    pub purchases: BTreeMap<SessionId, Purchase>,
    /// Refunds, disputes and refund totals.
    pub adjustments: BTreeMap<AdjustmentId, Adjustment>,
    /// Waivers, past ones included.
    pub waivers: Vec<Waiver>,
    /// Grants given by people, past ones included.
    pub grants: Vec<Grant>,
    /// Boosts given by people, past ones included.
    pub boosts: Vec<BoostGrant>,
    /// Overrides, past ones included.
    pub overrides: Vec<Override>,
    /// Keys of what happened once and is not to be reported again (see [`crate::note`]).
    pub noted: BTreeSet<String>,
    /// Open findings, and closed ones that were loaded, by [`Finding::key`].
    pub findings: BTreeMap<String, Finding>,
}

impl Facts {
    /// The refunds and disputes about what paid an invoice.
    pub fn adjustments_of(&self, invoice: &InvoiceId) -> Vec<&Adjustment> {
        let payments = self.invoice_payments.values().filter(|paid| paid.invoice == *invoice);
        let payments: Vec<&ObjectId> = payments.map(|paid| &paid.payment).collect();
        let about = self.adjustments.values().filter(|adjustment| {
            let named = [adjustment.payment_intent.as_ref(), adjustment.charge.as_ref()];
            named.into_iter().flatten().any(|payment| payments.contains(&payment))
        });
        about.collect()
    }

    /// Takes in facts that were read later, where they are not known: what is known is as new.
    pub fn absorb(&mut self, read: Self) {
        fn fill<K: Ord, V>(known: &mut BTreeMap<K, V>, read: BTreeMap<K, V>) {
            for (key, value) in read {
                known.entry(key).or_insert(value);
            }
        }
        fill(&mut self.customers, read.customers);
        fill(&mut self.subscriptions, read.subscriptions);
        fill(&mut self.invoices, read.invoices);
        fill(&mut self.schedules, read.schedules);
        fill(&mut self.invoice_payments, read.invoice_payments);
        fill(&mut self.purchases, read.purchases);
        fill(&mut self.adjustments, read.adjustments);
        fill(&mut self.findings, read.findings);
        self.noted.extend(read.noted);
    }

    /// The facts of an account nobody has spoken of yet.
    pub fn unknown(account: AccountId) -> Self {
        Self {
            account,
            known: false,
            revision: 0,
            customers: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            invoices: BTreeMap::new(),
            schedules: BTreeMap::new(),
            invoice_payments: BTreeMap::new(),
            purchases: BTreeMap::new(),
            adjustments: BTreeMap::new(),
            waivers: Vec::new(),
            grants: Vec::new(),
            boosts: Vec::new(),
            overrides: Vec::new(),
            noted: BTreeSet::new(),
            findings: BTreeMap::new(),
        }
    }

    /// The member who bought a subscription: named by its own events, else by the checkout that
    /// started it, else by its customer. `None` for one the account bought for itself.
    pub fn buyer<'f>(&'f self, subscription: &'f Subscription) -> Option<&'f MemberId> {
        let started =
            |purchase: &&Purchase| purchase.subscription.as_ref() == Some(&subscription.id);
        let named =
            || self.purchases.values().filter(started).filter_map(|one| one.member.as_ref());
        let customer = || self.customers.get(subscription.customer.as_ref()?)?.member.as_ref();
        subscription.member.as_ref().or_else(|| named().min()).or_else(customer)
    }
}
