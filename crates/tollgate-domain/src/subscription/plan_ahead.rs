//! Changes of a subscription that are planned and not in effect. Owns: schedules and their phases,
//! and which of several observations of one is its state. Must not know: what a price sells.

use serde::{Deserialize, Serialize};

use crate::ids::{EventId, ObjectId, PriceId, PriceRef, ProductId, SubscriptionId};
use crate::subscription::SubscriptionItem;
use crate::time::Timestamp;

/// What an item would sell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedItem {
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
}

impl PlannedItem {
    /// What the catalog is asked about its price.
    pub fn price_ref(&self) -> PriceRef<'_> {
        let (lookup_key, product) = (self.lookup_key.as_deref(), self.product.as_ref());
        PriceRef { id: &self.price, lookup_key, product }
    }

    /// The item as it would be in effect for a span of time.
    pub fn in_effect(&self, start: Timestamp, end: Option<Timestamp>) -> SubscriptionItem {
        SubscriptionItem {
            price: self.price.clone(),
            lookup_key: self.lookup_key.clone(),
            product: self.product.clone(),
            quantity: self.quantity,
            period_start: Some(start),
            period_end: end,
        }
    }
}

/// A span of a schedule with what is sold in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Phase {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it; `None` where Stripe says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// What is sold in it.
    pub items: Vec<PlannedItem>,
}

/// When and by what a schedule was observed; greater ones came later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScheduleVersion {
    /// It has ended (completed, released or canceled), which it never leaves again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// Stripe's time of the event, whole seconds.
    pub at: Timestamp,
    /// In one second: its creation first, what we asked for last.
    pub rank: u8,
    /// The event.
    pub event: EventId,
}

/// A schedule of a subscription: what it will sell from when on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Stripe's id, `sub_sched_…`.
    pub id: ObjectId,
    /// The subscription it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// Its greatest observation.
    pub version: ScheduleVersion,
    /// Its phases, also those that are over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// The subscription ends with the last phase; else it goes on as it is then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancels: bool,
}

impl Schedule {
    /// Both observations of one schedule together.
    pub fn merged(&self, other: &Self) -> Self {
        let (top, low) = if other.version > self.version { (other, self) } else { (self, other) };
        // An ended schedule may no longer name its subscription.
        let subscription = top.subscription.clone().or_else(|| low.subscription.clone());
        Self { subscription, ..top.clone() }
    }
}
