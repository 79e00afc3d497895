//! Observations. Owns: what one Stripe event tells, free of JSON and of API versions. Must not
//! know: Stripe's field names, who the owner turns out to be.
//!
//! An observation holds the state of an object as the event showed it, never a difference and
//! never something read from the event's name alone.

use std::collections::BTreeSet;

use crate::drift::Drift;
use crate::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, InvoiceId, MemberId, ObjectId, SessionId,
    SubscriptionId,
};
use crate::money::Money;
use crate::payment::{
    AdjustmentKind, InvoiceLine, InvoiceState, PurchaseKind, PurchaseLine, SessionMode,
    SessionStatus,
};
use crate::subscription::{Phase, PlannedItem, SubscriptionState};
use crate::time::Timestamp;

/// The Stripe event types that have effects. Everything else is stored and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// `checkout.session.completed`
    CheckoutCompleted,
    /// `checkout.session.async_payment_succeeded`
    CheckoutAsyncSucceeded,
    /// `checkout.session.async_payment_failed`
    CheckoutAsyncFailed,
    /// `checkout.session.expired`
    CheckoutExpired,
    /// `customer.created`
    CustomerCreated,
    /// `customer.updated`
    CustomerUpdated,
    /// `customer.deleted`
    CustomerDeleted,
    /// `customer.subscription.created`
    SubscriptionCreated,
    /// `customer.subscription.updated`
    SubscriptionUpdated,
    /// `customer.subscription.deleted`
    SubscriptionDeleted,
    /// `customer.subscription.paused`
    SubscriptionPaused,
    /// `customer.subscription.resumed`
    SubscriptionResumed,
    /// `customer.subscription.trial_will_end`
    SubscriptionTrialWillEnd,
    /// `customer.subscription.pending_update_applied`
    SubscriptionPendingUpdateApplied,
    /// `customer.subscription.pending_update_expired`
    SubscriptionPendingUpdateExpired,
    /// `subscription_schedule.created`
    ScheduleCreated,
    /// `subscription_schedule.updated`, `….released`, `….canceled`, `….completed`, `….aborted`
    ScheduleChanged,
    /// `invoice.finalized`
    InvoiceFinalized,
    /// `invoice.paid`
    InvoicePaid,
    /// `invoice.payment_succeeded`
    InvoicePaymentSucceeded,
    /// `invoice.payment_failed`
    InvoicePaymentFailed,
    /// `invoice.payment_action_required`
    InvoicePaymentActionRequired,
    /// `invoice.updated`
    InvoiceUpdated,
    /// `invoice.voided`
    InvoiceVoided,
    /// `invoice.marked_uncollectible`
    InvoiceMarkedUncollectible,
    /// `invoice_payment.paid`
    InvoicePaymentPaid,
    /// `charge.refunded`
    ChargeRefunded,
    /// `refund.created`
    RefundCreated,
    /// `refund.updated`, and the older `charge.refund.updated`
    RefundUpdated,
    /// `refund.failed`
    RefundFailed,
    /// `charge.dispute.created`
    DisputeCreated,
    /// `charge.dispute.updated`
    DisputeUpdated,
    /// `charge.dispute.closed`
    DisputeClosed,
    /// `charge.dispute.funds_withdrawn`
    DisputeFundsWithdrawn,
    /// `charge.dispute.funds_reinstated`
    DisputeFundsReinstated,
    /// `price.created`, `price.updated`, `price.deleted`, `product.…`, `plan.…`
    CatalogChanged,
    /// `entitlements.active_entitlement_summary.updated`
    EntitlementSummaryUpdated,
    /// A customer as Stripe showed it when we asked; see [`FetchCause`].
    CustomerFetched,
    /// A subscription as Stripe showed it when we asked.
    SubscriptionFetched,
    /// A checkout session as Stripe showed it when we asked.
    SessionFetched,
    /// An invoice as Stripe showed it when we asked.
    InvoiceFetched,
    /// A refund as Stripe showed it when we asked.
    RefundFetched,
    /// A dispute as Stripe showed it when we asked.
    DisputeFetched,
    /// A charge with its refunds as Stripe showed it when we asked.
    ChargeFetched,
    /// A payment of an invoice as Stripe showed it when we asked.
    InvoicePaymentFetched,
}

impl EventKind {
    /// Whether the event belongs to an account. One that does not (something of Stripe's catalog
    /// changed) is stored as `ignored` with the reason `catalog_notice` and never decided.
    pub const fn needs_owner(self) -> bool {
        !matches!(self, Self::CatalogChanged)
    }

    /// Kind of the one journal entry that every processed event of this type leaves.
    pub const fn journal_kind(self) -> &'static str {
        match self {
            Self::CheckoutCompleted => "checkout.completed",
            Self::CheckoutAsyncSucceeded => "checkout.async_payment_succeeded",
            Self::CheckoutAsyncFailed => "checkout.async_payment_failed",
            Self::CheckoutExpired => "checkout.expired",
            Self::CustomerCreated => "customer.created",
            Self::CustomerUpdated => "customer.updated",
            Self::CustomerDeleted => "customer.deleted",
            Self::SubscriptionCreated => "subscription.created",
            Self::SubscriptionUpdated => "subscription.updated",
            Self::SubscriptionDeleted => "subscription.deleted",
            Self::SubscriptionPaused => "subscription.paused",
            Self::SubscriptionResumed => "subscription.resumed",
            Self::SubscriptionTrialWillEnd => "subscription.trial_will_end",
            Self::SubscriptionPendingUpdateApplied => "subscription.pending_update_applied",
            Self::SubscriptionPendingUpdateExpired => "subscription.pending_update_expired",
            Self::ScheduleCreated => "subscription_schedule.created",
            Self::ScheduleChanged => "subscription_schedule.changed",
            Self::InvoiceFinalized => "invoice.finalized",
            Self::InvoicePaid => "invoice.paid",
            Self::InvoicePaymentSucceeded => "invoice.payment_succeeded",
            Self::InvoicePaymentFailed => "invoice.payment_failed",
            Self::InvoicePaymentActionRequired => "invoice.payment_action_required",
            Self::InvoiceUpdated => "invoice.updated",
            Self::InvoiceVoided => "invoice.voided",
            Self::InvoiceMarkedUncollectible => "invoice.marked_uncollectible",
            Self::InvoicePaymentPaid => "invoice_payment.paid",
            Self::ChargeRefunded => "charge.refunded",
            Self::RefundCreated => "refund.created",
            Self::RefundUpdated => "refund.updated",
            Self::RefundFailed => "refund.failed",
            Self::DisputeCreated => "dispute.created",
            Self::DisputeUpdated => "dispute.updated",
            Self::DisputeClosed => "dispute.closed",
            Self::DisputeFundsWithdrawn => "dispute.funds_withdrawn",
            Self::DisputeFundsReinstated => "dispute.funds_reinstated",
            Self::CatalogChanged => "catalog.changed",
            Self::EntitlementSummaryUpdated => "entitlements.summary_updated",
            Self::CustomerFetched
            | Self::SubscriptionFetched
            | Self::SessionFetched
            | Self::InvoiceFetched
            | Self::RefundFetched
            | Self::DisputeFetched
            | Self::ChargeFetched
            | Self::InvoicePaymentFetched => "reconciled",
        }
    }
}

/// Who an object says it belongs to, from its metadata (or a session's `client_reference_id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerClaim {
    /// The account named.
    pub account: AccountId,
    /// The member named.
    pub member: Option<MemberId>,
    /// The event says that the object's metadata was changed by what it tells of.
    pub edited: bool,
}

/// Why Stripe was asked for an object. What it showed is an observation like any other: it takes
/// part in the same order, is stored in the same inbox and can be replayed from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FetchCause {
    /// Events left a doubt (two of one second, a list that was cut, an object never seen before).
    Doubt,
    /// Thin events named it.
    ThinEvent,
    /// Somebody came back from the checkout page before its event did.
    Sync,
    /// An account that existed at Stripe before was taken over.
    Import,
    /// A comparison found ours to differ, in this way.
    Drift(Drift),
}

impl FetchCause {
    /// All, for reading names back.
    const ALL: [Self; 9] = [
        Self::Doubt,
        Self::ThinEvent,
        Self::Sync,
        Self::Import,
        Self::Drift(Drift::MissedEvent),
        Self::Drift(Drift::OutOfOrder),
        Self::Drift(Drift::EditedInStripe),
        Self::Drift(Drift::UnknownPrice),
        Self::Drift(Drift::OurError),
    ];

    /// Name in the journal and in stored bodies: a class of drift by its own.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Doubt => "doubt",
            Self::ThinEvent => "thin_event",
            Self::Sync => "sync",
            Self::Import => "import",
            Self::Drift(drift) => drift.as_str(),
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}

/// What one event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The event.
    pub event: EventId,
    /// Stripe's time of the event, whole seconds.
    pub at: Timestamp,
    /// The event's type.
    pub kind: EventKind,
    /// Why we asked; `None` for what Stripe told by itself.
    pub fetched: Option<FetchCause>,
    /// The owner the object names, if it names one.
    pub claim: Option<OwnerClaim>,
    /// The object names an owner in a way that cannot be an account id, and in no other: the names
    /// under which it does so, such as `userId`.
    pub invalid_claim: Option<&'static str>,
    /// Objects that may lead to the owner, the most telling first: the object itself, its
    /// subscription, session, customer, payment intent, charge, invoice.
    pub references: Vec<ObjectId>,
    /// The customer the object belongs to.
    pub customer: Option<CustomerId>,
    /// The account (`acct_…`) that stands for the customer in newer versions of the API.
    pub customer_account: Option<ObjectId>,
    /// The customer's e-mail, as far as the event shows it.
    pub email: Option<Box<str>>,
    /// The object.
    pub seen: Seen,
}

impl Observation {
    /// Leaves out what whoever made a price could choose freely: its lookup key and its product. For
    /// prices of other Stripe accounts, so that only their ids can be mapped.
    pub fn forget_chosen_names(&mut self) {
        match &mut self.seen {
            Seen::Subscription(seen) => {
                let state = &mut seen.state;
                let previous = state.previous.iter_mut();
                let before = previous.flat_map(|previous| previous.items.iter_mut().flatten());
                for item in state.items.iter_mut().chain(before) {
                    (item.lookup_key, item.product) = (None, None);
                }
                let pending = state.pending_update.iter_mut();
                forget_planned(pending.flat_map(|update| update.items.iter_mut()));
                forget_planned(seen.schedule.iter_mut().flat_map(SeenSchedule::planned_items));
            }
            Seen::Schedule(seen) => forget_planned(seen.planned_items()),
            Seen::Session(seen) => {
                for line in &mut seen.lines {
                    (line.lookup_key, line.product) = (None, None);
                }
            }
            Seen::Invoice(seen) => {
                for line in seen.lines.iter_mut().flat_map(|lines| lines.all.iter_mut()) {
                    (line.lookup_key, line.product) = (None, None);
                }
            }
            Seen::Customer(_)
            | Seen::InvoicePayment(_)
            | Seen::Adjustment(_)
            | Seen::CatalogObject(_)
            | Seen::EntitlementSummary(_) => {}
        }
    }
}

fn forget_planned<'s>(items: impl Iterator<Item = &'s mut PlannedItem>) {
    for item in items {
        (item.lookup_key, item.product) = (None, None);
    }
}

/// The object an event showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A customer.
    Customer(SeenCustomer),
    /// A subscription.
    Subscription(SeenSubscription),
    /// A schedule of a subscription.
    Schedule(SeenSchedule),
    /// A checkout session.
    Session(SeenSession),
    /// An invoice.
    Invoice(SeenInvoice),
    /// A payment of an invoice; links the payment intent or charge to the invoice's owner.
    InvoicePayment(SeenInvoicePayment),
    /// A refund, a dispute or a charge with its refunds.
    Adjustment(SeenAdjustment),
    /// Something of the catalog at Stripe (`price`, `product`, `plan`) changed.
    CatalogObject(SeenCatalogObject),
    /// Stripe's own view of a customer's features.
    EntitlementSummary(SeenEntitlementSummary),
}

/// A customer as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCustomer {
    /// Stripe's id.
    pub id: CustomerId,
    /// E-mail.
    pub email: Option<Box<str>>,
    /// Deleted at Stripe.
    pub deleted: bool,
}

/// A subscription as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSubscription {
    /// Stripe's id.
    pub id: SubscriptionId,
    /// Its state, version included.
    pub state: SubscriptionState,
    /// The schedule that changes it later, where the object shows it whole.
    pub schedule: Option<SeenSchedule>,
}

/// A schedule as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSchedule {
    /// Stripe's id.
    pub id: ObjectId,
    /// The subscription it changes, or changed until it was released.
    pub subscription: Option<SubscriptionId>,
    /// It has ended (completed, released or canceled).
    pub over: bool,
    /// Its phases.
    pub phases: Vec<Phase>,
    /// The subscription ends with the last phase.
    pub cancels: bool,
}

impl SeenSchedule {
    fn planned_items(&mut self) -> impl Iterator<Item = &mut PlannedItem> {
        self.phases.iter_mut().flat_map(|phase| phase.items.iter_mut())
    }
}

/// A checkout session as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSession {
    /// Stripe's id.
    pub id: SessionId,
    /// Payment, subscription or setup.
    pub mode: SessionMode,
    /// What it sells by its metadata.
    pub kind: PurchaseKind,
    /// The subscription it started.
    pub subscription: Option<SubscriptionId>,
    /// The payment intent.
    pub payment_intent: Option<ObjectId>,
    /// Its lines, where present.
    pub lines: Vec<PurchaseLine>,
    /// The list of lines was cut (`has_more`), so some may be missing.
    pub lines_cut: bool,
    /// Every amount the goods may have cost: before and after discounts and taxes, in each currency
    /// the session is told in.
    pub amounts: BTreeSet<Money>,
    /// In all.
    pub total: Option<Money>,
    /// How it stands.
    pub status: SessionStatus,
    /// `payment_status` is `paid` or `no_payment_required`.
    pub paid: bool,
}

/// An invoice as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenInvoice {
    /// Stripe's id.
    pub id: InvoiceId,
    /// The subscription it bills.
    pub subscription: Option<SubscriptionId>,
    /// Its state.
    pub state: InvoiceState,
    /// Its lines; `None` where the event shows none.
    pub lines: Option<SeenLines>,
    /// Payment intent and charge that pay it, where present (shapes before basil).
    pub payments: Vec<ObjectId>,
}

/// Lines of an invoice as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLines {
    /// Those with a price and a span.
    pub all: Vec<InvoiceLine>,
    /// The list was cut (`has_more`), so there are more.
    pub cut: bool,
}

/// A payment of an invoice as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenInvoicePayment {
    /// The invoice.
    pub invoice: InvoiceId,
    /// Payment intent and charge.
    pub payments: Vec<ObjectId>,
}

/// A refund, a dispute or a charge with its refunds as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenAdjustment {
    /// Stripe's id.
    pub id: AdjustmentId,
    /// Which of the three.
    pub kind: AdjustmentKind,
    /// The payment intent.
    pub payment_intent: Option<ObjectId>,
    /// The charge.
    pub charge: Option<ObjectId>,
    /// The amount refunded or disputed.
    pub amount: Money,
    /// Stripe's status text; a charge: `full` or `partial`.
    pub status: Box<str>,
}

/// A catalog object as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCatalogObject {
    /// `price`, `product` or `plan`.
    pub object: &'static str,
    /// Stripe's id.
    pub id: ObjectId,
}

/// Stripe's own view of a customer's features as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEntitlementSummary {
    /// Lookup keys of the features Stripe holds active.
    pub lookup_keys: Vec<Box<str>>,
}
