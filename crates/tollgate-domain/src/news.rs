//! News. Owns: what can come about of an object that consumers are told of once, the key of it, and
//! how it is told. Must not know: what leads there, when that is looked at.
//!
//! An object keeps in its own fact what of it was told (`told`). Whoever changes the fact looks at
//! what the object has come to by the change, adds what is not there yet, and tells of that: the keys
//! are written with the change, loaded with the object, and go where it goes. What an object has come
//! to, it has come to for ever, whatever becomes of it later. So in every order of events each of its
//! news is told exactly once, and nobody has to know how things were before.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::change::{BillingEvent, BillingEventKind};
use crate::ids::{InvoiceId, SubscriptionId};

/// Of which of its news an object has told. Where two of them are told of together, or one in
/// place of the other, it names both.
pub type Told = BTreeSet<News>;

/// Something that comes about of an object once, in the order in which it is told. The names are a
/// part of the stored form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// This attempt to collect an invoice wanted the customer to act (3-D Secure).
    ActionRequired(u32),
    /// An invoice became final (open or beyond).
    Finalized,
    /// An invoice was given up once.
    Uncollectible,
    /// An invoice was paid or voided.
    Settled,
    /// Money was taken for an invoice; one of nothing is no payment.
    Paid,
    /// This attempt to collect an invoice failed.
    AttemptFailed(u32),
    /// Collecting a renewal failed, which starts the grace.
    GraceStarted,
    /// The grace of a subscription ended without payment; a dunning cycle is named by its invoice.
    GraceEnded(Option<InvoiceId>),
    /// Money was taken for a one-time purchase.
    PurchasePaid,
    /// The delayed payment of a one-time purchase failed.
    PurchaseFailed,
    /// So many badges were bought and paid with one purchase.
    BadgePurchased(usize),
    /// The money of so many paid badges was given back or lost.
    BadgeRevoked(usize),
    /// So many plans for a span of time were bought and paid with one purchase.
    GrantCreated(usize),
    /// The money of so many paid plans was given back or lost.
    GrantRevoked(usize),
    /// The plan that a purchase sold in this line (`None`: as a whole), or what a person gave, reached its
    /// end.
    Expired(Option<Box<str>>),
    /// A refund took effect, or the total of a charge says that something of it was refunded.
    Refunded,
    /// A payment was disputed.
    Disputed,
    /// A subscription that carries boosts was in effect.
    BoostPurchased,
    /// A subscription that carries boosts ended.
    BoostCanceled,
}

impl News {
    /// That what was bought is taken back.
    pub(crate) const fn undone(&self) -> Option<Self> {
        if let Self::BadgePurchased(nth) = self {
            Some(Self::BadgeRevoked(*nth))
        } else if let Self::GrantCreated(nth) = self {
            Some(Self::GrantRevoked(*nth))
        } else {
            None
        }
    }

    /// What consumers are told of it; `id` is the object's.
    pub(crate) fn billing_event(
        &self,
        id: &str,
        subscription: Option<&SubscriptionId>,
        invoice: Option<&InvoiceId>,
    ) -> BillingEvent {
        use BillingEventKind as B;
        let (kind, summary) = match self {
            Self::ActionRequired(_) => {
                let summary = format!("Paying invoice {id} needs the customer to act");
                (B::PaymentActionRequired, summary)
            }
            Self::Finalized => (B::InvoiceUpdated, format!("Invoice {id} finalized")),
            Self::Uncollectible => {
                (B::InvoiceUpdated, format!("Invoice {id} marked uncollectible"))
            }
            Self::Settled => (B::InvoiceUpdated, format!("Invoice {id} settled")),
            Self::Paid => (B::PaymentSucceeded, format!("Invoice {id} paid")),
            Self::AttemptFailed(attempt) => {
                (B::PaymentFailed, format!("Attempt {attempt} to collect invoice {id} failed"))
            }
            Self::GraceStarted => {
                let summary = format!("Grace period started: invoice {id} was not paid");
                (B::GracePeriodStarted, summary)
            }
            Self::GraceEnded(_) => {
                (B::GracePeriodEnded, "Grace period ended without payment".to_owned())
            }
            Self::PurchasePaid => (B::PaymentSucceeded, format!("Purchase {id} paid")),
            Self::PurchaseFailed => (B::PaymentFailed, format!("Payment of purchase {id} failed")),
            Self::BadgePurchased(_) => (B::BadgePurchased, format!("Badge bought ({id})")),
            Self::BadgeRevoked(_) => {
                (B::BadgeRevoked, format!("Badge revoked: the payment of {id} was returned"))
            }
            Self::GrantCreated(_) => {
                (B::GrantCreated, format!("Plan bought for a span of time ({id})"))
            }
            Self::GrantRevoked(_) => {
                (B::GrantRevoked, format!("Grant revoked: the payment of {id} was returned"))
            }
            Self::Expired(_) => (B::GrantExpired, "Bought grant expired".to_owned()),
            Self::Refunded => (B::PaymentRefunded, format!("Payment refunded ({id})")),
            Self::Disputed => (B::PaymentDisputed, format!("Payment disputed ({id})")),
            Self::BoostPurchased => (B::BoostPurchased, format!("Boosts bought ({id})")),
            Self::BoostCanceled => (B::BoostCanceled, format!("Boosts ended ({id})")),
        };
        let told = BillingEvent::of_account(kind, summary);
        BillingEvent { subscription: subscription.cloned(), invoice: invoice.cloned(), ..told }
    }
}
