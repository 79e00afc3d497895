//! Changes of a subscription that are planned and not in effect. Owns: schedules and their phases,
//! and which of several observations of one is its state. Must not know: what a price sells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Interval;
use crate::ids::{EventId, ObjectId, PriceId, PriceRef, ProductId, SubscriptionId};
use crate::observation::SeenSchedule;
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
    /// How often the price is paid, where the observation carries it and plans are sold so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// How many; 1 where Stripe says nothing.
    pub quantity: u64,
}

impl PlannedItem {
    /// What the catalog is asked about its price.
    pub fn price_ref(&self) -> PriceRef<'_> {
        let (lookup_key, product) = (self.lookup_key.as_deref(), self.product.as_ref());
        PriceRef { id: &self.price, lookup_key, product }
    }

    /// What it shows of its price; `None` where that is the id alone, as in events of schedules.
    fn price_shown(&self, at: Timestamp) -> Option<PlannedPrice> {
        let (lookup_key, product) = (self.lookup_key.clone(), self.product.clone());
        let any = lookup_key.is_some() || product.is_some() || self.interval.is_some();
        any.then_some(PlannedPrice { at, lookup_key, product, interval: self.interval })
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

/// What was shown of a planned price beside its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedPrice {
    /// Stripe's time of the observation.
    pub at: Timestamp,
    /// Its lookup key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_key: Option<Box<str>>,
    /// Its product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// How often it is paid, where plans are sold so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
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
    /// Observations of the same second and rank show different plans: which came last is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tied: bool,
    /// What was ever shown of its prices: events show their ids alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<PriceId, PlannedPrice>,
}

impl Schedule {
    /// A schedule as one observation shows it.
    pub fn shown(seen: &SeenSchedule, version: ScheduleVersion) -> Self {
        let items = seen.phases.iter().flat_map(|phase| &phase.items);
        let prices =
            items.filter_map(|item| Some((item.price.clone(), item.price_shown(version.at)?)));
        Self {
            id: seen.id.clone(),
            subscription: seen.subscription.clone(),
            prices: prices.collect(),
            version,
            phases: seen.phases.clone(),
            cancels: seen.cancels,
            tied: false,
        }
    }

    /// Both observations of one schedule together.
    pub fn merged(&self, other: &Self) -> Self {
        let (top, low) = if other.version > self.version { (other, self) } else { (self, other) };
        // An ended schedule may no longer name its subscription.
        let subscription = top.subscription.clone().or_else(|| low.subscription.clone());
        let mut prices = top.prices.clone();
        for (price, shown) in &low.prices {
            let known = prices.entry(price.clone()).or_insert_with(|| shown.clone());
            if shown > known {
                known.clone_from(shown);
            }
        }
        let place = |one: &Self| (one.version.over, one.version.at, one.version.rank);
        let differs = place(top) == place(low) && (low.tied || !top.plans_the_same(low));
        Self { subscription, prices, tied: top.tied || differs, ..top.clone() }
    }

    /// Whether both plan the same, however much they show of the prices.
    fn plans_the_same(&self, other: &Self) -> bool {
        let item = |item: &PlannedItem| (item.price.clone(), item.quantity);
        let phase = |phase: &Phase| {
            let items: Vec<_> = phase.items.iter().map(item).collect();
            (phase.start, phase.end, items)
        };
        let phases = |one: &Self| one.phases.iter().map(phase).collect::<Vec<_>>();
        self.cancels == other.cancels && phases(self) == phases(other)
    }

    /// Prices of which no more than the id was shown.
    pub fn prices_unseen(&self) -> impl Iterator<Item = &PriceId> {
        let items = self.phases.iter().flat_map(|phase| &phase.items);
        items.map(|item| &item.price).filter(|price| !self.prices.contains_key(*price))
    }

    /// When the subscription ends with the last phase.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.phases.last()?.end.filter(|_| self.cancels)
    }
}
