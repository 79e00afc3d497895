//! The JSON of a subscription's observations. Owns: the names of its fields. Must not know: which
//! column it stands in.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::{EventId, InvoiceId, PriceId};
use tollgate_domain::subscription::{
    LifecycleRank, PreviousValues, SubscriptionItem, SubscriptionState, SubscriptionStatus, Version,
};

use super::{Key, KeyCell, instant, key, opt_instant, opt_key, to_json};

/// `with` for a previous value: missing, `null` and a value are three different things.
mod twice {
    use super::{
        Deserializer, Key, KeyCell, Serialize, Serializer, Timestamp, opt_instant, opt_key,
    };

    /// A field that is there.
    #[expect(clippy::option_option, reason = "null and a value are two things")]
    pub(super) fn instant<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Option<Timestamp>>, D::Error> {
        opt_instant::deserialize(from).map(Some)
    }

    #[expect(clippy::option_option, reason = "null and a value are two things")]
    pub(super) fn key<'de, K: Key, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Option<K>>, D::Error> {
        opt_key::deserialize(from).map(Some)
    }

    #[expect(clippy::ref_option, clippy::option_option, reason = "the shape serde asks for")]
    pub(super) fn write_instant<S: Serializer>(
        at: &Option<Option<Timestamp>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        at.flatten().map(Timestamp::millis).serialize(to)
    }

    #[expect(clippy::ref_option, clippy::option_option, reason = "the shape serde asks for")]
    pub(super) fn write_key<K: Key, S: Serializer>(
        key: &Option<Option<K>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        key.as_ref().and_then(Option::as_ref).map(KeyCell).serialize(to)
    }
}

mod status {
    use super::{Cow, Deserialize, Deserializer, Serializer, SubscriptionStatus};

    pub(super) fn serialize<S: Serializer>(
        status: &SubscriptionStatus,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(status.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SubscriptionStatus, D::Error> {
        Cow::<'de, str>::deserialize(from).map(|text| SubscriptionStatus::parse(&text))
    }
}

mod opt_status {
    use super::{Cow, Deserialize, Deserializer, Serialize, Serializer, SubscriptionStatus};

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        status: &Option<SubscriptionStatus>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        status.as_ref().map(SubscriptionStatus::as_str).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SubscriptionStatus>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(from)?;
        Ok(text.map(|text| SubscriptionStatus::parse(&text)))
    }
}

mod keys {
    use super::{Deserialize, Deserializer, EventId, KeyCell, Serializer, key};

    #[derive(Deserialize)]
    struct Cell(#[serde(with = "key")] EventId);

    pub(super) fn serialize<S: Serializer>(ids: &[EventId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(KeyCell))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<EventId>, D::Error> {
        Ok(Vec::<Cell>::deserialize(from)?.into_iter().map(|cell| cell.0).collect())
    }
}

mod rank {
    use super::*;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
    pub(super) fn serialize<S: Serializer>(rank: &LifecycleRank, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(rank.as_i64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<LifecycleRank, D::Error> {
        let number = i64::deserialize(from)?;
        LifecycleRank::from_i64(number).ok_or_else(|| D::Error::custom("no such lifecycle rank"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
const fn is_false(truth: &bool) -> bool {
    !*truth
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Version")]
struct VersionForm {
    #[serde(with = "instant")]
    at: Timestamp,
    #[serde(with = "rank")]
    rank: LifecycleRank,
    #[serde(with = "key")]
    event: EventId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SubscriptionItem")]
struct ItemForm {
    #[serde(with = "key")]
    price: PriceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lookup_key: Option<Box<str>>,
    quantity: u64,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    period_start: Option<Timestamp>,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    period_end: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ItemCell(#[serde(with = "ItemForm")] SubscriptionItem);

struct ItemRef<'a>(&'a SubscriptionItem);

impl Serialize for ItemRef<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        ItemForm::serialize(self.0, to)
    }
}

mod items {
    use super::{Deserialize, Deserializer, ItemCell, ItemRef, Serializer, SubscriptionItem};

    pub(super) fn serialize<S: Serializer>(
        items: &[SubscriptionItem],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(items.iter().map(ItemRef))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<SubscriptionItem>, D::Error> {
        let cells = Vec::<ItemCell>::deserialize(from)?;
        Ok(cells.into_iter().map(|cell| cell.0).collect())
    }
}

mod opt_items {
    use super::{Deserializer, Serializer, SubscriptionItem};

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        items: &Option<Vec<SubscriptionItem>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match items {
            Some(items) => super::items::serialize(items, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Vec<SubscriptionItem>>, D::Error> {
        super::items::deserialize(from).map(Some)
    }
}

#[expect(clippy::option_option, reason = "not listed, null before, and a value are three things")]
#[derive(Serialize, Deserialize)]
#[serde(remote = "PreviousValues")]
struct PreviousForm {
    #[serde(default, with = "opt_status", skip_serializing_if = "Option::is_none")]
    status: Option<SubscriptionStatus>,
    #[serde(default, with = "opt_items", skip_serializing_if = "Option::is_none")]
    items: Option<Vec<SubscriptionItem>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancel_at_period_end: Option<bool>,
    #[serde(
        default,
        deserialize_with = "twice::instant",
        serialize_with = "twice::write_instant",
        skip_serializing_if = "Option::is_none"
    )]
    cancel_at: Option<Option<Timestamp>>,
    #[serde(
        default,
        deserialize_with = "twice::instant",
        serialize_with = "twice::write_instant",
        skip_serializing_if = "Option::is_none"
    )]
    canceled_at: Option<Option<Timestamp>>,
    #[serde(
        default,
        deserialize_with = "twice::instant",
        serialize_with = "twice::write_instant",
        skip_serializing_if = "Option::is_none"
    )]
    ended_at: Option<Option<Timestamp>>,
    #[serde(
        default,
        deserialize_with = "twice::instant",
        serialize_with = "twice::write_instant",
        skip_serializing_if = "Option::is_none"
    )]
    trial_end: Option<Option<Timestamp>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collection_paused: Option<bool>,
    #[serde(
        default,
        deserialize_with = "twice::key",
        serialize_with = "twice::write_key",
        skip_serializing_if = "Option::is_none"
    )]
    latest_invoice: Option<Option<InvoiceId>>,
}

mod previous {
    use super::{Deserialize, Deserializer, PreviousForm, PreviousValues, Serializer};

    #[derive(Deserialize)]
    struct Cell(#[serde(with = "PreviousForm")] PreviousValues);

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        values: &Option<Box<PreviousValues>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match values {
            Some(values) => PreviousForm::serialize(values, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Box<PreviousValues>>, D::Error> {
        Ok(Option::<Cell>::deserialize(from)?.map(|cell| Box::new(cell.0)))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SubscriptionState")]
struct StateForm {
    #[serde(with = "VersionForm")]
    version: Version,
    #[serde(with = "status")]
    status: SubscriptionStatus,
    #[serde(with = "items")]
    items: Vec<SubscriptionItem>,
    #[serde(default, skip_serializing_if = "is_false")]
    cancel_at_period_end: bool,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    cancel_at: Option<Timestamp>,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    canceled_at: Option<Timestamp>,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    trial_end: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_false")]
    collection_paused: bool,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    #[serde(default, with = "opt_key", skip_serializing_if = "Option::is_none")]
    latest_invoice: Option<InvoiceId>,
    #[serde(default, with = "previous", skip_serializing_if = "Option::is_none")]
    previous: Option<Box<PreviousValues>>,
    #[serde(default, with = "keys", skip_serializing_if = "Vec::is_empty")]
    covers: Vec<EventId>,
}

/// An observation of a subscription, to be written.
pub(crate) struct StateRef<'a>(pub(crate) &'a SubscriptionState);

impl Serialize for StateRef<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        StateForm::serialize(self.0, to)
    }
}

/// An observation of a subscription, read.
#[derive(Deserialize)]
pub(crate) struct StateCell(#[serde(with = "StateForm")] pub(crate) SubscriptionState);

/// Observations as one JSON text.
pub(crate) fn states_to_json(states: &[SubscriptionState]) -> String {
    to_json(&states.iter().map(StateRef).collect::<Vec<_>>())
}

/// Back from [`states_to_json`].
pub(crate) fn states_from_json(text: &str) -> Result<Vec<SubscriptionState>, serde_json::Error> {
    let cells: Vec<StateCell> = serde_json::from_str(text)?;
    Ok(cells.into_iter().map(|cell| cell.0).collect())
}
