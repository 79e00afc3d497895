//! Forms of values inside a column. Owns: the JSON of nested values, texts of enums, numbers that
//! stand for instants and counters. Must not know: tables.
//!
//! JSON written by any version must be read by every later one: add fields as optional, never
//! change the meaning of a name.

use std::fmt;
use std::marker::PhantomData;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, MemberId,
    ObjectId, PlanId, PriceId, SessionId, SubscriptionId,
};
use tollgate_domain::payment::FailedAttempt;

mod subscription;

pub(crate) use subscription::{StateCell, StateRef, states_from_json, states_to_json};

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

/// Writes a value as JSON. Cannot fail for the types used here, whose keys are texts.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
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

/// `with` for ids.
pub(crate) mod key {
    use super::{Deserializer, Key, KeyVisitor, PhantomData, Serializer};

    pub(crate) fn serialize<K: Key, S: Serializer>(key: &K, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(key.text())
    }

    pub(crate) fn deserialize<'de, K: Key, D: Deserializer<'de>>(from: D) -> Result<K, D::Error> {
        from.deserialize_str(KeyVisitor(PhantomData))
    }
}

/// An id inside another type.
pub(crate) struct KeyCell<K>(pub(crate) K);

impl<'de, K: Key> Deserialize<'de> for KeyCell<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        key::deserialize(from).map(Self)
    }
}

impl<K: Key> Serialize for KeyCell<&K> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.text())
    }
}

/// `with` for ids that may be missing.
pub(crate) mod opt_key {
    use super::{Deserialize, Deserializer, Key, KeyCell, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(crate) fn serialize<K: Key, S: Serializer>(
        key: &Option<K>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        key.as_ref().map(KeyCell).serialize(to)
    }

    pub(crate) fn deserialize<'de, K: Key, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<K>, D::Error> {
        Ok(Option::<KeyCell<K>>::deserialize(from)?.map(|cell| cell.0))
    }
}

/// `with` for instants: Unix milliseconds.
pub(crate) mod instant {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.millis())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_millis)
    }
}

/// `with` for instants that may be missing.
pub(crate) mod opt_instant {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(crate) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::millis).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Timestamp::from_millis))
    }
}

/// Failed attempts as `[[attempt, at], …]`.
pub(crate) fn attempts_to_json(attempts: &[FailedAttempt]) -> String {
    let pairs = attempts.iter().map(|failed| (failed.attempt, failed.at.millis()));
    to_json(&pairs.collect::<Vec<_>>())
}

/// Back from [`attempts_to_json`].
pub(crate) fn attempts_from_json(text: &str) -> Result<Vec<FailedAttempt>, serde_json::Error> {
    let pairs: Vec<(u32, i64)> = serde_json::from_str(text)?;
    let attempt = |(attempt, at)| FailedAttempt { attempt, at: Timestamp::from_millis(at) };
    Ok(pairs.into_iter().map(attempt).collect())
}

/// Prices as a list of texts.
pub(crate) fn prices_to_json(prices: &[PriceId]) -> String {
    to_json(&prices.iter().map(KeyCell).collect::<Vec<_>>())
}

/// Back from [`prices_to_json`].
pub(crate) fn prices_from_json(text: &str) -> Result<Vec<PriceId>, serde_json::Error> {
    let cells: Vec<KeyCell<PriceId>> = serde_json::from_str(text)?;
    Ok(cells.into_iter().map(|cell| cell.0).collect())
}
