//! Forms of values inside a column. Owns: keys, and numbers that stand for counters. Must not know:
//! tables.

use std::fmt;
use std::marker::PhantomData;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_domain::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, MemberId,
    ObjectId, PlanId, PriceId, SessionId, SubscriptionId,
};

use crate::error::StoreError;

/// A text of a checked alphabet.
pub(crate) trait Key: Sized {
    fn read(text: &str) -> Option<Self>;
    fn text(&self) -> &str;
}

macro_rules! keys {
    ($($name:ident),*) => {$(
        impl Key for $name {
            fn read(text: &str) -> Option<Self> {
                Self::parse(text).ok()
            }
            fn text(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}
keys!(
    AccountId,
    AdjustmentId,
    CustomerId,
    EventId,
    FactId,
    FeatureKey,
    InvoiceId,
    MemberId,
    ObjectId,
    PlanId,
    PriceId,
    SessionId,
    SubscriptionId
);

/// A counter as a column holds it. Counters start at 0 and never come near 2^63.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A counter from its column; a negative one reads as 0.
pub(crate) fn uncount(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A small counter from its column, clamped.
pub(crate) fn small(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// Writes a value as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    Ok(serde_json::to_string(value)?)
}

struct KeyVisitor<K>(PhantomData<K>);

impl<K: Key> Visitor<'_> for KeyVisitor<K> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id of its alphabet")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<K, E> {
        K::read(text).ok_or_else(|| E::custom(format_args!("{text:?} is no id of its kind")))
    }
}

/// An id inside another type.
pub(crate) struct KeyCell<K>(pub(crate) K);

impl<'de, K: Key> Deserialize<'de> for KeyCell<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(KeyVisitor(PhantomData)).map(Self)
    }
}

impl<K: Key> Serialize for KeyCell<&K> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.text())
    }
}
