//! Events. Owns: the envelope around an object, and what an event says of the values before. Must
//! not know: why an event happens.

use serde_json::{Map, Value, json};

use crate::object::Object;
use crate::pretty;
use crate::version::ApiVersion;

/// One event, ready to be signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeEvent {
    /// Its id, `evt_…`.
    pub id: String,
    /// Its type, such as `invoice.paid`.
    pub kind: String,
    /// Stripe's time of it, in Unix seconds.
    pub created: i64,
    /// The version its body is written in.
    pub api_version: ApiVersion,
    /// The bytes Stripe would send: JSON with two spaces of indentation.
    pub body: String,
}

/// Something that happened at Stripe, not yet written in any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) created: i64,
    pub(crate) object: Object,
    /// The object before, for events that tell what changed.
    pub(crate) before: Option<Object>,
    /// What caused it; `None` for what Stripe does by itself.
    pub(crate) cause: Option<Cause>,
}

/// The API request that caused something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) request: String,
    pub(crate) idempotency_key: Option<String>,
}

impl Cause {
    /// A request under a key that was made up for it.
    pub(crate) fn with_made_up_key(request: String) -> Self {
        let idempotency_key = Some(idempotency_key(&request));
        Self { request, idempotency_key }
    }
}

impl Happening {
    /// The event's id, `evt_…`; the same in every version.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The event's type, such as `invoice.paid`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Stripe's time of the event, in Unix seconds.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// The same told once more, as Stripe sometimes does: under an id of its own.
    pub(crate) fn twin(&self) -> Self {
        Self { id: crate::id::Ids::new("twin").long("evt_1", &self.id), ..self.clone() }
    }

    /// The event as an endpoint of this API version receives it.
    pub fn render(&self, version: ApiVersion) -> StripeEvent {
        self.finish(self.object.show(version), version)
    }

    /// The event with an object that was edited after it was shown.
    pub(crate) fn finish(&self, object: Value, version: ApiVersion) -> StripeEvent {
        StripeEvent {
            id: self.id.clone(),
            kind: self.kind.to_owned(),
            created: self.created,
            api_version: version,
            body: pretty::print(&self.envelope(object, version, 1)),
        }
    }

    /// The event as the API shows it, with so many deliveries still to be made.
    pub(crate) fn show(&self, version: ApiVersion, pending_webhooks: usize) -> Value {
        self.envelope(self.object.show(version), version, pending_webhooks)
    }

    fn envelope(&self, object: Value, version: ApiVersion, pending_webhooks: usize) -> Value {
        let mut data = Map::new();
        data.insert("object".to_owned(), object);
        if let Some(before) = &self.before {
            let now = self.object.show(version);
            data.insert("previous_attributes".to_owned(), previous(&before.show(version), &now));
        }
        let cause = self.cause.as_ref();
        json!({
            "id": self.id,
            "object": "event",
            "api_version": version.as_str(),
            "created": self.created,
            "data": data,
            "livemode": false,
            "pending_webhooks": pending_webhooks,
            "request": {
                "id": cause.map(|cause| &cause.request),
                "idempotency_key": cause.and_then(|cause| cause.idempotency_key.as_ref()),
            },
            "type": self.kind,
        })
    }
}

/// The key under which an application made a request; of the look of a UUID.
fn idempotency_key(request: &str) -> String {
    let digits: String = request
        .bytes()
        .rev()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .cycle()
        .take(32)
        .collect();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// `previous_attributes`: the old value of every field that changed. Objects are compared field by
/// field, arrays are given whole, and a field that was not there before is null.
fn previous(before: &Value, now: &Value) -> Value {
    let (Value::Object(before), Value::Object(now)) = (before, now) else {
        return before.clone();
    };
    let mut changed = Map::new();
    for (name, old) in before {
        match now.get(name) {
            Some(new) if new == old => {}
            Some(new) if old.is_object() && new.is_object() => {
                changed.insert(name.clone(), previous(old, new));
            }
            Some(_) | None => {
                changed.insert(name.clone(), old.clone());
            }
        }
    }
    for name in now.keys().filter(|name| !before.contains_key(*name)) {
        changed.insert(name.clone(), Value::Null);
    }
    Value::Object(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_attributes_hold_old_values_and_whole_arrays() {
        let before = json!({
            "status": "active", "same": 1, "items": {"data": [1, 2], "has_more": false},
            "metadata": {"a": "1"}, "gone": true,
        });
        let now = json!({
            "status": "past_due", "same": 1, "items": {"data": [1, 3], "has_more": false},
            "metadata": {"a": "1", "b": "2"},
        });
        let expected = json!({
            "status": "active", "items": {"data": [1, 2]}, "metadata": {"b": null}, "gone": true,
        });
        assert_eq!(previous(&before, &now), expected);
    }

    #[test]
    fn idempotency_keys_look_like_uuids() {
        let key = idempotency_key("req_abcdefghijklmn");
        assert_eq!(key.len(), 36);
        assert_eq!(key.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
