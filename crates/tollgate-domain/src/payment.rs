//! Payments. Owns: invoices, one-time purchases, refunds and disputes as ledger facts. Must not
//! know: which plan a price buys, who is entitled.
//!
//! A ledger fact only ever moves up its own ladder (an invoice: draft, open, uncollectible, void
//! or paid), so facts can be merged in any order.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{
    AdjustmentId, CustomerId, EventId, InvoiceId, MemberId, ObjectId, PlanId, PriceId, PriceRef,
    ProductId, SessionId, SubscriptionId,
};
use crate::money::{Currency, Money};
use crate::news::Told;
use crate::own_claim::OwnClaim;
use crate::time::Timestamp;

mod merge;
mod sold;
pub mod usage;

pub use sold::{Goods, PurchaseLine, Sale};

/// Stripe's status of an invoice, in the order it can only climb. `Paid` and `Void` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// Not final yet.
    Draft = 0,
    /// To be paid.
    Open = 1,
    /// Given up; may still be paid.
    Uncollectible = 2,
    /// Cancelled; final.
    Void = 3,
    /// Paid; final.
    Paid = 4,
}

// Stripe's texts.
crate::names!(InvoiceStatus {
    Draft => "draft",
    Open => "open",
    Uncollectible => "uncollectible",
    Void => "void",
    Paid => "paid",
});

impl InvoiceStatus {
    /// Reads Stripe's text; `None` for a text this version does not know.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }
}

/// One failed attempt to collect an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Stripe's `attempt_count`, from 1.
    pub attempt: u32,
    /// Stripe's time of the failure event (the earliest seen for this attempt).
    pub at: Timestamp,
}

/// The parts of an invoice that one event showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InvoiceState {
    /// Stripe's time of the event.
    pub at: Timestamp,
    /// The event.
    pub event: EventId,
    /// Stripe's status.
    pub status: InvoiceStatus,
    /// Minor units still to pay in all.
    pub amount_due_minor: i64,
    /// Minor units paid.
    pub amount_paid_minor: i64,
    /// Currency of the amounts.
    pub currency: Currency,
    /// `attempt_count`.
    pub attempt_count: u32,
    /// Why it was made: `subscription_cycle`, `subscription_create`, `manual`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_reason: Option<Box<str>>,
    /// `charge_automatically` or `send_invoice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_method: Option<Box<str>>,
    /// Link to Stripe's page; public to whoever has it, so never logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted_url: Option<Box<str>>,
    /// Start of what it bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_start: Option<Timestamp>,
    /// End of what it bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_end: Option<Timestamp>,
    /// When Stripe made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// What one line of an invoice bills: so many of a price for a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// The price, or the legacy plan id where there is no price.
    pub price: PriceId,
    /// The price's lookup key where the observation carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_key: Option<Box<str>>,
    /// The product of the price where the observation carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// How many; 1 where Stripe says nothing.
    pub quantity: u64,
    /// Minor units in the invoice's currency, before discounts and taxes; negative for what is
    /// given back.
    pub amount_minor: i64,
    /// First instant of the span.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
    /// It bills, or gives back, a part of a period because of a change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proration: bool,
    /// The item of the subscription, `si_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ObjectId>,
}

impl InvoiceLine {
    /// What the catalog is asked about its price.
    pub fn price_ref(&self) -> PriceRef<'_> {
        let (lookup_key, product) = (self.lookup_key.as_deref(), self.product.as_ref());
        PriceRef { id: &self.price, lookup_key, product }
    }
}

/// The lines of an invoice as one observation showed them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InvoiceLines {
    /// Stripe's time of the event.
    pub at: Timestamp,
    /// The event.
    pub event: EventId,
    /// The invoice's status then: the lines of a draft still change.
    pub status: InvoiceStatus,
    /// The observation showed the first lines only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The lines with a price and a span.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<InvoiceLine>,
}

/// Everything known of one invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Stripe's id.
    pub id: InvoiceId,
    /// The subscription it bills, when it bills one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// The customer it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The greatest observation by (status, time, attempts, event id), with the greatest
    /// `amount_paid_minor` of all.
    pub state: InvoiceState,
    /// What it bills, by the greatest observation that showed all lines, else by the greatest that
    /// showed some; `None` while none showed any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<InvoiceLines>,
    /// Failed attempts seen, by attempt number; numbers above [`FAILED_ATTEMPTS_MAX`] are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_attempts: Vec<FailedAttempt>,
    /// Earliest event that showed it paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
    /// What consumers were told of it once.
    #[serde(default, skip_serializing_if = "Told::is_empty")]
    pub told: Told,
}

/// Most failed attempts kept for an invoice; Stripe's retry plans have fewer.
pub const FAILED_ATTEMPTS_MAX: usize = 32;

/// That a payment intent or charge paid an invoice: refunds and disputes name the payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoicePayment {
    /// The payment intent or charge.
    pub payment: ObjectId,
    /// The invoice.
    pub invoice: InvoiceId,
    /// The earliest event that said so.
    pub at: Timestamp,
}

impl Invoice {
    /// Stripe's time of the first failed attempt.
    pub fn first_failed_at(&self) -> Option<Timestamp> {
        self.failed_attempts.iter().map(|failed| failed.at).min()
    }
}

/// What a checkout session sells, by its metadata; the price must confirm it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseKind {
    /// A member's score badge, one-time.
    Badge,
    /// A plan for a span of time, with the plan its metadata claims.
    Grant {
        /// The plan claimed; counts only when the price or the amount paid confirms it.
        claimed: Option<PlanId>,
    },
    /// Boosts of a member; the subscription carries them.
    Boost,
    /// Anything else: a subscription checkout, or something not ours.
    Other,
}

/// How a checkout session stands, in the order it can only climb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// The customer has not finished.
    Open = 0,
    /// Ran out.
    Expired = 1,
    /// The customer finished; money may still be on its way.
    Complete = 2,
}

impl SessionStatus {
    /// Reads Stripe's text; `None` for a text this version does not know.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "expired" => Some(Self::Expired),
            "complete" => Some(Self::Complete),
            _ => None,
        }
    }

    /// Stripe's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Expired => "expired",
            Self::Complete => "complete",
        }
    }
}

/// Stripe's mode of a checkout session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionMode {
    /// One-time payment.
    Payment,
    /// Starts a subscription.
    Subscription,
    /// Saves a payment method; sells nothing.
    Setup,
}

/// Everything known of one checkout session: the key of a one-time purchase, so that twin events
/// for one purchase count once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Stripe's session id.
    pub id: SessionId,
    /// Payment, subscription or setup.
    pub mode: SessionMode,
    /// What it sells by its metadata.
    pub kind: PurchaseKind,
    /// An observation of it named the account itself, so it was meant for us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names_owner: bool,
    /// Who bought, inside the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
    /// The subscription it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// The payment intent that carried the money; refunds and disputes refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<ObjectId>,
    /// Its lines by id, as far as an observation carried them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<PurchaseLine>,
    /// Every amount the goods may have cost: before and after discounts and taxes, in each currency
    /// the session was told in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub amounts: BTreeSet<Money>,
    /// What was asked for in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// How it stands.
    pub status: SessionStatus,
    /// Earliest event that showed it paid (`paid` or `no_payment_required`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
    /// Earliest event that said the delayed payment failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// The earliest event that paid it, by `(paid_at, id)`; while unpaid, the least event id.
    pub event: EventId,
    /// Whom its own metadata names; not of one that started a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_claim: Option<OwnClaim>,
    /// What it gave, recorded when it was first found paid and confirmed; see [`crate::sale`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sales: Vec<Sale>,
    /// What consumers were told of it once.
    #[serde(default, skip_serializing_if = "Told::is_empty")]
    pub told: Told,
}

impl Purchase {
    /// Whether it sells a badge and names no member who could wear it.
    pub(crate) fn gives_nobody(&self, sales: &[Sale]) -> bool {
        self.member.is_none() && sales.iter().any(|sale| sale.goods == Goods::Badge)
    }
}

/// What kind of adjustment a ledger row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentKind {
    /// One refund (`re_…`).
    Refund,
    /// One dispute (`dp_…`).
    Dispute,
    /// A charge's running total of refunds (`ch_…`).
    ChargeRefunds,
}

impl AdjustmentKind {
    /// Name in storage and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::ChargeRefunds => "charge_refunds",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "refund" => Some(Self::Refund),
            "dispute" => Some(Self::Dispute),
            "charge_refunds" => Some(Self::ChargeRefunds),
            _ => None,
        }
    }
}

/// A refund, a dispute, or a charge's total of refunds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// Stripe's id of the refund, dispute or charge.
    pub id: AdjustmentId,
    /// Which of the three.
    pub kind: AdjustmentKind,
    /// The payment intent it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<ObjectId>,
    /// The charge it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ObjectId>,
    /// The amount refunded or disputed (a charge: refunded in total).
    pub amount: Money,
    /// Stripe's status text; a charge: `full` or `partial`.
    pub status: Box<str>,
    /// Stripe's time of the deciding event.
    pub at: Timestamp,
    /// The deciding event.
    pub event: EventId,
    /// Earliest event that showed the refund succeeded, the dispute lost or the charge fully
    /// refunded. Never taken back, so that "was revoked" is reported once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// What consumers were told of it once.
    #[serde(default, skip_serializing_if = "Told::is_empty")]
    pub told: Told,
}
