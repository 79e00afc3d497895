//! Subscriptions. Owns: what is known of one Stripe subscription and which of several observations
//! is its state. Must not know: plans (the catalog), other sources of access, how it is stored.
//!
//! A subscription is a set of versioned observations. Its state is the greatest of them under a
//! total order, so the set can be filled in any order and with repetitions and the state is the
//! same (Stripe promises neither order nor single delivery, and times have whole seconds).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::text_form;
use crate::ids::{
    CustomerId, EventId, InvoiceId, MemberId, ObjectId, PriceId, PriceRef, ProductId,
    SubscriptionId,
};
use crate::news::Told;
use crate::own_claim::OwnClaim;
use crate::time::Timestamp;

pub mod order;
mod plan_ahead;

pub use plan_ahead::{Phase, PlannedItem, PlannedPrice, Schedule, ScheduleVersion};

/// Stripe's status of a subscription; an open set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubscriptionStatus {
    /// First payment failed or needs action; no access.
    Incomplete,
    /// First payment never came; final.
    IncompleteExpired,
    /// In its trial; access.
    Trialing,
    /// Paid; access.
    Active,
    /// A renewal failed; access until the grace ends.
    PastDue,
    /// Retries ended without payment; no access.
    Unpaid,
    /// Paused; no access.
    Paused,
    /// Ended; final, the id never lives again.
    Canceled,
    /// A status this version does not know; the last known good holds for 24 hours.
    Unknown(Box<str>),
}

impl SubscriptionStatus {
    /// Reads Stripe's text.
    pub fn parse(text: &str) -> Self {
        match text {
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "trialing" => Self::Trialing,
            "active" => Self::Active,
            "past_due" => Self::PastDue,
            "unpaid" => Self::Unpaid,
            "paused" => Self::Paused,
            "canceled" => Self::Canceled,
            other => Self::Unknown(other.into()),
        }
    }

    /// Stripe's text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
            Self::Unknown(text) => text,
        }
    }

    /// Whether it says that nothing is due: a dunning cycle begins after the last such status.
    pub const fn is_settled(&self) -> bool {
        !matches!(self, Self::PastDue | Self::Unpaid | Self::Unknown(_))
    }

    /// Whether no later observation can lead out of this status.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

text_form!(SubscriptionStatus, |text| {
    Ok::<_, std::convert::Infallible>(SubscriptionStatus::parse(text))
});

/// What one item of a subscription sells.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubscriptionItem {
    /// The price, or the legacy plan id where there is no price.
    pub price: PriceId,
    /// The price's lookup key where the observation carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_key: Option<Box<str>>,
    /// The product the price is of, where the observation carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// How many; 1 for a metered price, which has no quantity. A quantity of 0 sells nothing.
    pub quantity: u64,
    /// Start of the current period of this item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_start: Option<Timestamp>,
    /// End of the current period of this item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_end: Option<Timestamp>,
}

impl SubscriptionItem {
    /// What the catalog is asked about its price.
    pub fn price_ref(&self) -> PriceRef<'_> {
        let (lookup_key, product) = (self.lookup_key.as_deref(), self.product.as_ref());
        PriceRef { id: &self.price, lookup_key, product }
    }
}

/// A pause of collecting a subscription's invoices.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CollectionPause {
    /// What becomes of invoices meanwhile: `keep_as_draft`, `mark_uncollectible` or `void`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Box<str>>,
    /// When collecting goes on by itself; `None`: when somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes_at: Option<Timestamp>,
}

/// A change of a subscription that is not in effect until its invoice is paid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingUpdate {
    /// What it would sell; empty where the change leaves the items as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<PlannedItem>,
    /// When the change is given up.
    pub expires_at: Timestamp,
}

/// How far along its life an event's name puts an observation; breaks ties within one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleRank {
    /// `…created`.
    Created = 0,
    /// `…updated`, `…trial_will_end`, `…pending_update_*`, and embedded objects.
    Updated = 1,
    /// `…paused` and `…resumed`.
    PausedOrResumed = 2,
    /// `…deleted`.
    Deleted = 3,
    /// The object itself, when we asked for it: it shows every event up to then, also lost ones.
    Fetched = 4,
}

impl LifecycleRank {
    /// The rank as a small number for storage.
    pub const fn as_i64(self) -> i64 {
        self as i64
    }

    /// Back from [`Self::as_i64`]; `None` for any other number.
    pub const fn from_i64(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Created),
            1 => Some(Self::Updated),
            2 => Some(Self::PausedOrResumed),
            3 => Some(Self::Deleted),
            4 => Some(Self::Fetched),
            _ => None,
        }
    }
}

/// When and by what a state was observed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Stripe's time of the event, whole seconds.
    pub at: Timestamp,
    /// Rank of the event's name.
    pub rank: LifecycleRank,
    /// The event.
    pub event: EventId,
}

/// The parts of a subscription that decide access, as one event showed them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubscriptionState {
    /// When and by what it was observed.
    pub version: Version,
    /// Stripe's status.
    pub status: SubscriptionStatus,
    /// What is sold; `pending_update` and schedules are not in effect and not here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<SubscriptionItem>,
    /// Ends at the period end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_at_period_end: bool,
    /// Ends at this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_at: Option<Timestamp>,
    /// When the end was asked for (not when it ends).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_at: Option<Timestamp>,
    /// When it really ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// End of the trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_end: Option<Timestamp>,
    /// Collecting its invoices is paused; the status stays active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_pause: Option<CollectionPause>,
    /// The day and time of day its periods begin at; not in shapes before 2018.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_anchor: Option<Timestamp>,
    /// The schedule that changes it later, `sub_sched_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ObjectId>,
    /// A change that takes effect when it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_update: Option<PendingUpdate>,
    /// The observation showed the first items only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub items_cut: bool,
    /// When the subscription was created at Stripe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The newest invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_invoice: Option<InvoiceId>,
    /// What the event says the values were before, for the chain test of ties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<PreviousValues>>,
    /// For a fetched state: the observations that were known when Stripe was asked, so that this
    /// one came after them although all of them may be of one second. Empty for events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<EventId>,
}

impl SubscriptionState {
    /// The items that sell something: those with a quantity.
    pub fn selling(&self) -> impl Iterator<Item = &SubscriptionItem> {
        self.items.iter().filter(|item| item.quantity > 0)
    }

    /// Whether it may be what a change at an instant replaced.
    pub fn replaced_by(&self, change_at: Timestamp) -> bool {
        let stands = self.status.is_settled() && !self.status.is_terminal();
        stands && self.version.at < change_at
    }

    /// End of the current period: the latest of the items', for access.
    pub fn period_end(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(|item| item.period_end).max()
    }

    /// Start of the current period: the earliest of the items'.
    pub fn period_start(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(|item| item.period_start).min()
    }

    /// The instant at which the subscription is to end, when an end is set.
    pub fn pending_end(&self) -> Option<Timestamp> {
        self.cancel_at.or_else(|| if self.cancel_at_period_end { self.period_end() } else { None })
    }
}

/// Stripe's `data.previous_attributes`, normalised; a field is `Some` when the event lists it.
/// Fields that are themselves nullable are `Some(None)` when they were null before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PreviousValues {
    /// The status before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SubscriptionStatus>,
    /// The items before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<SubscriptionItem>>,
    /// `cancel_at_period_end` before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_at_period_end: Option<bool>,
    /// `cancel_at` before.
    #[serde(
        default,
        deserialize_with = "crate::codec::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub cancel_at: Option<Option<Timestamp>>,
    /// `canceled_at` before.
    #[serde(
        default,
        deserialize_with = "crate::codec::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub canceled_at: Option<Option<Timestamp>>,
    /// `ended_at` before.
    #[serde(
        default,
        deserialize_with = "crate::codec::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<Option<Timestamp>>,
    /// `trial_end` before.
    #[serde(
        default,
        deserialize_with = "crate::codec::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub trial_end: Option<Option<Timestamp>>,
    /// Whether collecting was paused before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_paused: Option<bool>,
    /// The schedule before.
    #[serde(
        default,
        deserialize_with = "crate::codec::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub schedule: Option<Option<ObjectId>>,
    /// Whether a change awaited its payment before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_pending: Option<bool>,
    /// `latest_invoice` before.
    #[serde(
        default,
        deserialize_with = "crate::codec::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub latest_invoice: Option<Option<InvoiceId>>,
}

/// A lookup key of a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceKey {
    /// The key.
    pub key: Box<str>,
    /// The newest observation that showed it: a key may go over to another price.
    pub version: Version,
}

/// Everything known of one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Stripe's id.
    pub id: SubscriptionId,
    /// Stripe's customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The member its own events name; see `Facts::buyer` for who bought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
    /// The observations that compete to be the state: those that share the greatest
    /// (terminal, second). Never empty; sorted by (rank, event id).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contenders: Vec<SubscriptionState>,
    /// While every contender shows a part of the items only: the greatest observations that showed
    /// all of them, in the same order. Else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whole: Vec<SubscriptionState>,
    /// The lookup keys its items ever showed of their prices: lines of invoices since 2025 and planned
    /// items name prices by their ids alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub price_keys: BTreeMap<PriceId, PriceKey>,
    /// Whom its own metadata names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_claim: Option<OwnClaim>,
    /// What consumers were told of it once.
    #[serde(default, skip_serializing_if = "Told::is_empty")]
    pub told: Told,
    /// The observations that were loaded, oldest first, contenders included: at least those from
    /// the last settled one before the window of [`crate::facts::Window`] to its end.
    #[serde(skip)]
    pub history: Vec<SubscriptionState>,
}
