//! Changes. Owns: what a decision consists of: changes of facts and entries of the account's journal.
//! Must not know: how any of them is written or published.

use crate::facts::{Customer, Facts};
use crate::finding::Finding;
use crate::ids::{AccountId, EventId, InvoiceId, ObjectId, SubscriptionId};
use crate::operator_fact::OperatorFact;
use crate::payment::{Adjustment, Invoice, InvoicePayment, Purchase};
use crate::subscription::{Schedule, Subscription, SubscriptionState};
use crate::time::Timestamp;

/// One change of an account's facts. Saving replaces the fact with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The account begins to exist.
    CreateAccount,
    /// The facts of these objects leave for another account; first of all changes of a decision.
    HandOver {
        /// The account they belong to from now on.
        to: AccountId,
        /// The objects, sorted.
        objects: Vec<ObjectId>,
    },
    /// The facts of these objects come from another account, by its `HandOver`.
    TakeOver {
        /// The account they belonged to.
        from: AccountId,
        /// The objects, sorted.
        objects: Vec<ObjectId>,
    },
    /// A customer.
    SaveCustomer(Customer),
    /// A subscription (its `history` is not written; see `AppendSubscriptionState`).
    SaveSubscription(Subscription),
    /// An observation is added to a subscription's history.
    AppendSubscriptionState(SubscriptionId, SubscriptionState),
    /// A schedule of a subscription.
    SaveSchedule(Schedule),
    /// An invoice.
    SaveInvoice(Invoice),
    /// A payment of an invoice.
    SaveInvoicePayment(InvoicePayment),
    /// A checkout session.
    SavePurchase(Purchase),
    /// A refund, dispute or refund total.
    SaveAdjustment(Adjustment),
    /// What a person gave, new or revoked.
    SaveOperatorFact(OperatorFact),
    /// A finding, opened or closed.
    SaveFinding(Finding),
}

/// Who caused something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Stripe, through this event.
    Stripe(EventId),
    /// A person or key, by name.
    Person(String),
    /// Tollgate itself (scheduler, migration).
    System,
}

/// One entry of an account's journal, before it has its place there. The journal is both the audit log and
/// what consumers are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// What happened, in the past tense and dotted, such as `subscription.updated`.
    pub kind: &'static str,
    /// The object it is about: a Stripe id or one of ours.
    pub subject: String,
    /// Who caused it.
    pub actor: Actor,
    /// When it happened (Stripe's time for Stripe's events).
    pub occurred_at: Timestamp,
    /// Named values, sorted by name, without secrets or personal data.
    pub details: Vec<(&'static str, String)>,
    /// What consumers are told by it; `None`: the entry is for the audit log alone.
    pub billing: Option<BillingEvent>,
}

impl JournalEntry {
    /// The Stripe event that caused it.
    pub const fn stripe_event(&self) -> Option<&EventId> {
        match &self.actor {
            Actor::Stripe(event) => Some(event),
            Actor::Person(_) | Actor::System => None,
        }
    }
}

/// The types of billing events published to consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BillingEventKind {
    /// `account.created`
    AccountCreated,
    /// `subscription.created`
    SubscriptionCreated,
    /// `subscription.updated`
    SubscriptionUpdated,
    /// `subscription.canceled`
    SubscriptionCanceled,
    /// `subscription.paused`
    SubscriptionPaused,
    /// `subscription.resumed`
    SubscriptionResumed,
    /// `subscription.trial_ending`
    SubscriptionTrialEnding,
    /// `payment.succeeded`
    PaymentSucceeded,
    /// `payment.failed`
    PaymentFailed,
    /// `payment.action_required`
    PaymentActionRequired,
    /// `payment.refunded`
    PaymentRefunded,
    /// `payment.disputed`
    PaymentDisputed,
    /// `invoice.updated`
    InvoiceUpdated,
    /// `grace_period.started`
    GracePeriodStarted,
    /// `grace_period.ended`
    GracePeriodEnded,
    /// `entitlements.changed`
    EntitlementsChanged,
    /// `waiver.granted`
    WaiverGranted,
    /// `waiver.revoked`
    WaiverRevoked,
    /// `waiver.expired`
    WaiverExpired,
    /// `grant.created`
    GrantCreated,
    /// `grant.revoked`
    GrantRevoked,
    /// `grant.expired`
    GrantExpired,
    /// `override.set`
    OverrideSet,
    /// `override.removed`
    OverrideRemoved,
    /// `boost.purchased`
    BoostPurchased,
    /// `boost.canceled`
    BoostCanceled,
    /// `badge.purchased`
    BadgePurchased,
    /// `badge.revoked`
    BadgeRevoked,
}

impl BillingEventKind {
    /// The type's name in every feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountCreated => "account.created",
            Self::SubscriptionCreated => "subscription.created",
            Self::SubscriptionUpdated => "subscription.updated",
            Self::SubscriptionCanceled => "subscription.canceled",
            Self::SubscriptionPaused => "subscription.paused",
            Self::SubscriptionResumed => "subscription.resumed",
            Self::SubscriptionTrialEnding => "subscription.trial_ending",
            Self::PaymentSucceeded => "payment.succeeded",
            Self::PaymentFailed => "payment.failed",
            Self::PaymentActionRequired => "payment.action_required",
            Self::PaymentRefunded => "payment.refunded",
            Self::PaymentDisputed => "payment.disputed",
            Self::InvoiceUpdated => "invoice.updated",
            Self::GracePeriodStarted => "grace_period.started",
            Self::GracePeriodEnded => "grace_period.ended",
            Self::EntitlementsChanged => "entitlements.changed",
            Self::WaiverGranted => "waiver.granted",
            Self::WaiverRevoked => "waiver.revoked",
            Self::WaiverExpired => "waiver.expired",
            Self::GrantCreated => "grant.created",
            Self::GrantRevoked => "grant.revoked",
            Self::GrantExpired => "grant.expired",
            Self::OverrideSet => "override.set",
            Self::OverrideRemoved => "override.removed",
            Self::BoostPurchased => "boost.purchased",
            Self::BoostCanceled => "boost.canceled",
            Self::BadgePurchased => "badge.purchased",
            Self::BadgeRevoked => "badge.revoked",
        }
    }
}

/// One value that changed, for consumers that show differences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Name of the field in the envelope, such as `status`.
    pub field: &'static str,
    /// Before; `None` when there was nothing.
    pub from: Option<String>,
    /// After; `None` when there is nothing.
    pub to: Option<String>,
}

/// What an entry of the journal tells consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingEvent {
    /// Its type.
    pub kind: BillingEventKind,
    /// One line for people, without personal data.
    pub summary: String,
    /// The subscription it is about; the envelope shows its state after the change.
    pub subscription: Option<SubscriptionId>,
    /// The invoice it is about; the envelope shows its state after the change.
    pub invoice: Option<InvoiceId>,
    /// What changed in that object.
    pub changes: Vec<FieldChange>,
}

/// Everything one event or one person's act does. Executed as a whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Changes of facts, in order.
    pub changes: Vec<Change>,
    /// Entries of the journal, in order; at least one for every decision taken.
    pub journal: Vec<JournalEntry>,
}

impl Decision {
    /// What consumers are told, in order.
    pub fn billing(&self) -> impl Iterator<Item = &BillingEvent> {
        self.journal.iter().filter_map(|entry| entry.billing.as_ref())
    }
}

impl BillingEvent {
    /// One that is about the account itself: about no subscription and no invoice.
    pub const fn of_account(kind: BillingEventKind, summary: String) -> Self {
        Self { kind, summary, subscription: None, invoice: None, changes: Vec::new() }
    }
}

impl Facts {
    /// The facts after a change: what the store will hold, for the next event of the same batch.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::CreateAccount => self.known = true,
            Change::HandOver { objects, .. } => self.forget(objects),
            // What comes is not in the change: see `Facts::hand_over`.
            Change::TakeOver { .. } => {}
            Change::SaveCustomer(customer) => {
                self.customers.insert(customer.id.clone(), customer.clone());
            }
            Change::SaveSubscription(saved) => {
                let history = self
                    .subscriptions
                    .get_mut(&saved.id)
                    .map(|known| std::mem::take(&mut known.history))
                    .unwrap_or_default();
                let subscription = Subscription { history, ..saved.clone() };
                self.subscriptions.insert(saved.id.clone(), subscription);
            }
            Change::AppendSubscriptionState(id, state) => {
                if let Some(subscription) = self.subscriptions.get_mut(id) {
                    subscription.remember(state.clone());
                }
            }
            Change::SaveInvoice(invoice) => {
                self.invoices.insert(invoice.id.clone(), invoice.clone());
            }
            Change::SaveSchedule(schedule) => {
                self.schedules.insert(schedule.id.clone(), schedule.clone());
            }
            Change::SaveInvoicePayment(paid) => {
                self.invoice_payments.insert(paid.payment.clone(), paid.clone());
            }
            Change::SavePurchase(purchase) => {
                self.purchases.insert(purchase.id.clone(), purchase.clone());
            }
            Change::SaveAdjustment(adjustment) => {
                self.adjustments.insert(adjustment.id.clone(), adjustment.clone());
            }
            Change::SaveOperatorFact(fact) => {
                self.operator_facts.insert(fact.id.clone(), fact.clone());
            }
            Change::SaveFinding(finding) => {
                self.findings.insert(finding.key(), finding.clone());
            }
        }
    }
}
