//! The event envelope. Owns: telling snapshot events, thin events and everything else apart, and
//! the envelope's own fields in every API version. Must not know: what is inside `data.object`,
//! which types have effects, signatures.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::{EventId, ObjectId};

use crate::field::{Field, Text, Value, object_value};
use crate::thin::{BadReference, RelatedObject, ThinEvent};

/// Longest event type accepted, in bytes; Stripe's longest have some 70.
pub const TYPE_BYTES_MAX: usize = 128;
/// What ids of our own making begin with (see [`crate::fetched`]). Stripe's begin with `evt_`, so
/// a delivery with such an id is no event.
pub const OWN_ID_PREFIX: &str = "obs_";
/// Longest API version, request id or idempotency key kept, in bytes; longer ones are dropped.
pub const LABEL_BYTES_MAX: usize = 255;

/// What a body with a good signature turned out to be.
#[derive(Debug, Clone)]
pub enum Parsed<'a> {
    /// A snapshot event (API v1).
    Event(Envelope<'a>),
    /// A thin event (`v2.core.event`): it names an object instead of carrying it.
    Thin(ThinEvent<'a>),
    /// Neither. Sending it again cannot help, so it is stored as a dead letter.
    NotAnEvent {
        /// A stable label, free of anything the sender wrote.
        why: &'static str,
    },
}

/// A snapshot event. Texts are borrowed from the body and free of NUL.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// Stripe's id, unique within (livemode, account).
    pub id: EventId,
    /// The type, such as `customer.subscription.updated`: 1 to 128 of `a-z 0-9 _ . [ ]`
    /// (thin types have brackets).
    pub event_type: Cow<'a, str>,
    /// When Stripe made the event, whole seconds.
    pub created: Timestamp,
    /// Live mode or test mode.
    pub livemode: bool,
    /// The connected account it happened in; `None` for the endpoint's own account.
    pub account: Option<ObjectId>,
    /// The version whose shapes the body has. Informative: shapes are told by their fields. Old
    /// events have none, and odd ones exist (`2016-03-07; orders_beta=v3`).
    pub api_version: Option<Cow<'a, str>>,
    /// The API request that caused it; `None` when it happened by itself.
    pub request_id: Option<Cow<'a, str>>,
    /// That request's idempotency key.
    pub idempotency_key: Option<Cow<'a, str>>,
    /// Deliveries still open. Differs between deliveries of one event.
    pub pending_webhooks: Option<i64>,
    /// `data.object`, not read yet.
    pub object: &'a RawValue,
    /// `data.previous_attributes`, not read yet.
    pub previous_attributes: Option<&'a RawValue>,
}

impl Envelope<'_> {
    /// The id of the object the event is about, for looking stored events up by it. Reads the
    /// object once more, so it is for events that are not observed; `None` for an object without
    /// an id.
    pub fn object_id(&self) -> Option<ObjectId> {
        let object: Identified<'_> = serde_json::from_str(self.object.get()).ok()?;
        ObjectId::parse(object.id.given()?.as_str()).ok()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outer<'a> {
    #[serde(borrow)]
    id: Field<Text<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow, rename = "type")]
    event_type: Field<Text<'a>>,
    #[serde(borrow)]
    created: Field<Created<'a>>,
    livemode: Field<bool>,
    #[serde(borrow)]
    account: Field<Text<'a>>,
    #[serde(borrow)]
    api_version: Field<Text<'a>>,
    #[serde(borrow)]
    request: Field<Request<'a>>,
    pending_webhooks: Field<i64>,
    #[serde(borrow)]
    data: Field<Data<'a>>,
    #[serde(borrow)]
    context: Field<Text<'a>>,
    #[serde(borrow)]
    related_object: Field<Related<'a>>,
    #[serde(borrow)]
    snapshot_event: Field<Text<'a>>,
}

/// Unix seconds in snapshot events, RFC 3339 in thin ones.
enum Created<'a> {
    Seconds(i64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Value<'de> for Created<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self::Text(text))
    }

    fn from_integer(seconds: i64) -> Option<Self> {
        Some(Self::Seconds(seconds))
    }
}

/// An object since 2017-05-25, before that the bare request id.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    id: Field<Text<'a>>,
    #[serde(borrow)]
    idempotency_key: Field<Text<'a>>,
}

impl<'de: 'a, 'a> Value<'de> for Request<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self { id: Field::Given(Text(text)), idempotency_key: Field::Absent })
    }

    fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        crate::field::read_map(map).map(Some)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_attributes: Option<&'a RawValue>,
}
object_value!(Data);

/// Any object with an id.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Identified<'a> {
    #[serde(borrow)]
    id: Field<Text<'a>>,
}
object_value!(Identified);

/// The reference in a thin event. Its `url` is not read: where an object is found follows from its
/// type, and a path that came from outside is nothing to call.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Related<'a> {
    #[serde(borrow)]
    id: Field<Text<'a>>,
    #[serde(borrow, rename = "type")]
    object_type: Field<Text<'a>>,
}
object_value!(Related);

/// Reads an envelope of our own making, for [`crate::fetched`].
pub(crate) fn parse_own(body: &[u8]) -> Option<Envelope<'_>> {
    let outer: Outer<'_> = serde_json::from_slice(body).ok()?;
    let own = outer.object.given().map(Text::as_str) == Some(crate::fetched::OBJECT);
    envelope(outer).ok().filter(|envelope| own && envelope.id.as_str().starts_with(OWN_ID_PREFIX))
}

/// Reads the body of a delivery. Never fails and never panics: what is no event says why.
pub fn parse(body: &[u8]) -> Parsed<'_> {
    let read = || {
        let text = std::str::from_utf8(body).map_err(|_| "not_utf8")?;
        if !text.trim_start().starts_with('{') {
            return Err(if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
                "not_an_object"
            } else {
                "not_json"
            });
        }
        let outer: Outer<'_> = serde_json::from_str(text)
            .map_err(|error| if error.is_data() { "repeated_field" } else { "not_json" })?;
        let (id, parsed) = match outer.object.given().map(Text::as_str) {
            Some("event") | None => {
                let event = envelope(outer)?;
                (event.id.clone(), Parsed::Event(event))
            }
            Some("v2.core.event") => {
                let event = thin(outer)?;
                (event.id.clone(), Parsed::Thin(event))
            }
            Some(_) => return Err("not_an_event"),
        };
        if id.as_str().starts_with(OWN_ID_PREFIX) { Err("reserved_id") } else { Ok(parsed) }
    };
    read().unwrap_or_else(|why| Parsed::NotAnEvent { why })
}

fn envelope(outer: Outer<'_>) -> Result<Envelope<'_>, &'static str> {
    let id = event_id(&outer.id)?;
    let event_type = event_type(outer.event_type)?;
    let created = match outer.created {
        Field::Given(Created::Seconds(seconds)) => Timestamp::from_unix_seconds(seconds),
        Field::Given(Created::Text(_)) | Field::Absent | Field::Null | Field::Garbled => {
            return Err("bad_created");
        }
    };
    let livemode = *outer.livemode.given().ok_or("bad_livemode")?;
    let account = match &outer.account {
        Field::Absent | Field::Null => None,
        Field::Given(text) => Some(ObjectId::parse(text.as_str()).map_err(|_| "bad_account")?),
        Field::Garbled => return Err("bad_account"),
    };
    let Field::Given(Data { object: Some(object), previous_attributes }) = outer.data else {
        return Err("no_data_object");
    };
    if !object.get().starts_with('{') {
        return Err("no_data_object");
    }
    let (request_id, idempotency_key) = match outer.request {
        Field::Given(request) => (label(request.id), label(request.idempotency_key)),
        Field::Absent | Field::Null | Field::Garbled => (None, None),
    };
    Ok(Envelope {
        id,
        event_type,
        created,
        livemode,
        account,
        api_version: label(outer.api_version),
        request_id,
        idempotency_key,
        pending_webhooks: outer.pending_webhooks.given().copied(),
        object,
        previous_attributes: previous_attributes.filter(|raw| raw.get().starts_with('{')),
    })
}

fn thin(outer: Outer<'_>) -> Result<ThinEvent<'_>, &'static str> {
    let Field::Given(Created::Text(created)) = &outer.created else { return Err("bad_created") };
    Ok(ThinEvent {
        id: event_id(&outer.id)?,
        event_type: event_type(outer.event_type)?,
        created: Timestamp::parse(created).map_err(|_| "bad_created")?,
        livemode: *outer.livemode.given().ok_or("bad_livemode")?,
        context: match &outer.context {
            Field::Absent | Field::Null => None,
            Field::Given(text) => Some(ObjectId::parse(text.as_str()).map_err(|_| "bad_context")?),
            Field::Garbled => return Err("bad_context"),
        },
        related_object: related(outer.related_object),
        snapshot_event: outer
            .snapshot_event
            .given()
            .and_then(|id| EventId::parse(id.as_str()).ok())
            .filter(|id| !id.as_str().starts_with(OWN_ID_PREFIX)),
    })
}

/// The object, or that what stands there is none. A few objects have no id, so it may be missing.
fn related(field: Field<Related<'_>>) -> Result<Option<RelatedObject<'_>>, BadReference> {
    let Related { id, object_type } = match field {
        Field::Absent | Field::Null => return Ok(None),
        Field::Garbled => return Err(BadReference),
        Field::Given(related) => related,
    };
    let id = match &id {
        Field::Absent | Field::Null => None,
        Field::Given(text) => Some(ObjectId::parse(text.as_str()).map_err(|_| BadReference)?),
        Field::Garbled => return Err(BadReference),
    };
    Ok(Some(RelatedObject { id, object_type: label(object_type).ok_or(BadReference)? }))
}

fn event_id(field: &Field<Text<'_>>) -> Result<EventId, &'static str> {
    field.given().and_then(|text| EventId::parse(text.as_str()).ok()).ok_or("bad_id")
}

fn event_type(field: Field<Text<'_>>) -> Result<Cow<'_, str>, &'static str> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.[]".contains(&byte);
    match field {
        Field::Given(Text(text))
            if !text.is_empty() && text.len() <= TYPE_BYTES_MAX && text.bytes().all(allowed) =>
        {
            Ok(text)
        }
        Field::Given(_) | Field::Absent | Field::Null | Field::Garbled => Err("bad_type"),
    }
}

/// A text that is only informative: odd ones (too long, with control characters) are dropped.
fn label(field: Field<Text<'_>>) -> Option<Cow<'_, str>> {
    match field {
        Field::Given(Text(text))
            if !text.is_empty()
                && text.len() <= LABEL_BYTES_MAX
                && !text.contains(char::is_control) =>
        {
            Some(text)
        }
        Field::Given(_) | Field::Absent | Field::Null | Field::Garbled => None,
    }
}

#[cfg(test)]
mod tests;
