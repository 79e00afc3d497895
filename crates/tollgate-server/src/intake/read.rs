//! From raw bytes to a delivery's content. Owns: what is stored for bodies that are no event, and
//! which events belong to this deployment. Must not know: signatures, where the bytes came from.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tollgate_domain::ids::{EventId, ObjectId};
use tollgate_domain::{Seen, Timestamp};
use tollgate_store::inbox::EventKey;
use tollgate_stripe::thin::Task;
use tollgate_stripe::{Envelope, Observed, Parsed, ThinEvent, event, fetched, observe};

use super::delivery::{Content, Delivery};
use super::notice::{EVERYTHING, Notice};
use super::squeeze;
use crate::config::{Livemode, StripeConfig};

/// Why an event is stored and left alone.
pub mod ignored {
    /// It is of the other of Stripe's two worlds.
    pub const OTHER_MODE: &str = "other_mode";
    /// It is of a Stripe account that is not ours, connected to ours.
    pub const FOREIGN_ACCOUNT: &str = "foreign_account";
    /// It names no account of ours and sells nothing of the catalog.
    pub const FOREIGN: &str = tollgate_store::inbox::FOREIGN;
    /// It sells something of the catalog or names an owner in vain, and waited its days for an owner.
    pub const OWNER_UNKNOWN_EXPIRED: &str = tollgate_store::inbox::OWNER_UNKNOWN_EXPIRED;
    /// Stripe knows no such object, and neither did we.
    pub const OBJECT_GONE: &str = "object_gone";
    /// Stripe does not show the snapshot event that tells of it, and no object can be read instead.
    pub const NOT_SHOWN: &str = "not_shown";
    /// Something is sold by Billing v2, which is not read yet; there is a finding about it.
    pub const BILLING_V2: &str = "billing_v2";
    /// Something of Billing v2 is sold no more.
    pub const BILLING_V2_ENDED: &str = "billing_v2_ended";
    /// Something of Stripe's product catalog changed; nobody's entitlements do.
    pub const CATALOG_NOTICE: &str = "catalog_notice";
}

/// What a body turned out to be.
#[derive(Debug)]
pub struct Reading {
    /// What makes it the same event.
    pub key: EventKey,
    /// Stripe's type text; empty when the body has none.
    pub event_type: String,
    /// The API version that shaped it.
    pub api_version: Option<String>,
    /// Stripe's time of the event.
    pub created_at: Option<Timestamp>,
    /// The object it is about.
    pub object: Option<ObjectId>,
    /// What it tells.
    pub content: Content,
}

impl Reading {
    /// As a delivery of this body, of which nothing is known but that it came.
    pub fn delivered(self, body: &[u8], received_at: Timestamp) -> Delivery {
        Delivery {
            key: self.key,
            event_type: self.event_type,
            api_version: self.api_version,
            created_at: self.created_at,
            signed_at: None,
            received_at,
            object: self.object,
            body: squeeze::squeeze(body),
            content: self.content,
            lease_generation: None,
            begun: Instant::now(),
        }
    }
}

/// Reads a body whose signature holds. Total: every body becomes something that can be stored.
pub fn read(body: &[u8], ours: &StripeConfig) -> Reading {
    match event::parse(body) {
        Parsed::Event(envelope) => read_event(&envelope, ours),
        Parsed::Thin(thin) => Reading {
            object: thin.related().and_then(|related| related.id.clone()),
            content: thin_content(&thin, ours),
            key: EventKey {
                event: thin.id,
                livemode: thin.livemode,
                stripe_account: connected(thin.context.as_ref(), ours),
            },
            event_type: thin.event_type.into_owned(),
            api_version: None,
            created_at: Some(thin.created),
        },
        Parsed::NotAnEvent { why } => Reading {
            key: EventKey { event: body_id(body), livemode: false, stripe_account: String::new() },
            event_type: String::new(),
            api_version: None,
            created_at: None,
            object: None,
            content: Content::NoEvent(why),
        },
    }
}

/// An event that was read in a connected account, with that account's name: deliveries name it, and
/// what is stored must be read alike in every replay. An event that names one keeps it.
pub fn in_account(event: Box<RawValue>, account: Option<&str>) -> Box<RawValue> {
    let Some(account) = account else { return event };
    let read = serde_json::from_str::<BTreeMap<String, &RawValue>>(event.get());
    let Ok(mut fields) = read else { return event };
    let name = RawValue::from_string(serde_json::Value::from(account).to_string());
    let Ok(name) = name else { return event };
    let given = fields.get("account").is_some_and(|given| given.get() != "null");
    if !given {
        fields.insert("account".to_owned(), &name);
    }
    serde_json::value::to_raw_value(&fields).unwrap_or_else(|_| event.clone())
}

/// Reads a body as it is stored: those of our own making are told by their ids, which no delivery
/// can have.
pub fn read_stored(id: &EventId, body: &[u8], ours: &StripeConfig) -> Content {
    if !id.as_str().starts_with(event::OWN_ID_PREFIX) {
        return read(body, ours).content;
    }
    match fetched::read(body).map(|fetched| fetched.told) {
        Some(Ok(seen)) => Content::Effect(Box::new(seen)),
        Some(Err(error)) => Content::Garbled(error.to_string()),
        None => Content::Garbled("the stored observation cannot be read".to_owned()),
    }
}

fn read_event(envelope: &Envelope<'_>, ours: &StripeConfig) -> Reading {
    let content = content(envelope, ours);
    let object = match &content {
        Content::Effect(seen) => seen.references.first().cloned(),
        Content::Thin(_) | Content::Ignored(_) | Content::NoEvent(_) | Content::Garbled(_) => {
            envelope.object_id()
        }
    };
    Reading {
        key: EventKey {
            event: envelope.id.clone(),
            livemode: envelope.livemode,
            stripe_account: connected(envelope.account.as_ref(), ours),
        },
        event_type: envelope.event_type.to_string(),
        api_version: envelope.api_version.as_ref().map(ToString::to_string),
        created_at: Some(envelope.created),
        object,
        content,
    }
}

/// Why an event of a mode and a connected account is none of ours.
fn not_ours(
    livemode: bool,
    account: Option<&ObjectId>,
    ours: &StripeConfig,
) -> Option<&'static str> {
    if ours.mode.is_some_and(|mode: Livemode| !mode.matches(livemode)) {
        return Some(ignored::OTHER_MODE);
    }
    is_foreign_account(account, ours).then_some(ignored::FOREIGN_ACCOUNT)
}

fn thin_content(thin: &ThinEvent<'_>, ours: &StripeConfig) -> Content {
    if let Some(reason) = not_ours(thin.livemode, thin.context.as_ref(), ours) {
        return Content::Ignored(reason);
    }
    let as_object = |event: &EventId| ObjectId::parse(event.as_str()).ok();
    let (asks, object, nothing) = match (thin.task(), thin.twin()) {
        (Task::Object(_, id), _) => (Some(id), None, None),
        (Task::Happening(snapshot, object), _) => (as_object(&snapshot), object, None),
        (Task::CompareAll, _) => (ObjectId::parse(EVERYTHING).ok(), None, None),
        (Task::Unreadable, _) => {
            return Content::Garbled("related_object names no object".to_owned());
        }
        (Task::SoldByBillingV2, _) => return Content::Ignored(ignored::BILLING_V2),
        (Task::EndedInBillingV2, _) => return Content::Ignored(ignored::BILLING_V2_ENDED),
        // That it was told has to be known: its snapshot event was not missed.
        (Task::Nothing { reason }, Some(twin)) => (as_object(twin), None, Some(reason)),
        (Task::Nothing { reason }, None) => return Content::Ignored(reason),
    };
    match asks {
        Some(asks) => Content::Thin(Notice {
            asks,
            object,
            snapshot: thin.twin().cloned(),
            created: thin.created,
            nothing,
        }),
        None => Content::Garbled("what the event names is no id".to_owned()),
    }
}

fn content(envelope: &Envelope<'_>, ours: &StripeConfig) -> Content {
    if let Some(reason) = not_ours(envelope.livemode, envelope.account.as_ref(), ours) {
        return Content::Ignored(reason);
    }
    match observe(&from_our_side(envelope, ours)) {
        Ok(Observed::Effect(seen)) if matches!(seen.seen, Seen::CatalogObject(_)) => {
            Content::Ignored(ignored::CATALOG_NOTICE)
        }
        Ok(Observed::Effect(seen)) => Content::Effect(Box::new(seen)),
        Ok(Observed::Ignored { reason }) => Content::Ignored(reason),
        Err(error) => Content::Garbled(error.to_string()),
    }
}

/// Whether an event happened in a connected account that is not named as ours. Whoever runs that
/// account writes its metadata, its prices and its lookup keys.
fn is_foreign_account(account: Option<&ObjectId>, ours: &StripeConfig) -> bool {
    let is_ours = |account: &ObjectId| {
        let mut known = ours.account.iter().chain(&ours.accounts);
        known.any(|known| known == account.as_str())
    };
    account.is_some_and(|account| !is_ours(account))
}

/// The connected account an event came from, as it stands in the event's key; empty for our own one,
/// whether an event names it or not: destinations of an organization name it, and what is asked for
/// does not.
fn connected(account: Option<&ObjectId>, ours: &StripeConfig) -> String {
    let account = account.filter(|account| ours.account.as_deref() != Some(account.as_str()));
    account.map(ToString::to_string).unwrap_or_default()
}

/// An event that names our own account is one of ours: only those of others name another account.
fn from_our_side<'e, 'b>(
    envelope: &'e Envelope<'b>,
    ours: &StripeConfig,
) -> std::borrow::Cow<'e, Envelope<'b>> {
    let sent = envelope.account.as_ref().map(AsRef::as_ref);
    if sent.is_some() && sent == ours.account.as_deref() {
        return std::borrow::Cow::Owned(Envelope { account: None, ..envelope.clone() });
    }
    std::borrow::Cow::Borrowed(envelope)
}

/// A body without an id is the same body when it has the same bytes.
fn body_id(body: &[u8]) -> EventId {
    let hash = hex::encode(Sha256::digest(body));
    let text = format!("body_{}", hash.get(..40).unwrap_or_default());
    EventId::parse(&text).unwrap_or_else(|_| unreachable_id())
}

/// `body_` and hexadecimal digits are a valid id by construction.
#[expect(clippy::expect_used, reason = "a constant that is a valid id")]
fn unreachable_id() -> EventId {
    EventId::parse("body").expect("a valid id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> StripeConfig {
        StripeConfig::default()
    }

    fn ignored(body: &str, ours: &StripeConfig) -> &'static str {
        let Content::Ignored(reason) = read(body.as_bytes(), ours).content else {
            panic!("not ignored: {body}")
        };
        reason
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let event = r#"{"id":"evt_1","object":"event","type":"ping","created":1,"livemode":true,"account":"acct_2","data":{"object":{}}}"#;
        let own = event.replace(r#""account":"acct_2","#, "");
        let test = StripeConfig { mode: Some(Livemode::Test), ..any() };
        let named = |account: &str| StripeConfig { accounts: vec![account.to_owned()], ..any() };
        assert_eq!(ignored(event, &test), ignored::OTHER_MODE);
        assert_eq!(ignored(event, &any()), ignored::FOREIGN_ACCOUNT);
        assert_eq!(ignored(event, &named("acct_1")), ignored::FOREIGN_ACCOUNT);
        assert_eq!(ignored(event, &named("acct_2")), "type_without_effects");
        let own_account = StripeConfig { account: Some("acct_2".into()), ..any() };
        assert_eq!(ignored(event, &own_account), "type_without_effects");
        assert_eq!(ignored(&own, &named("acct_2")), "type_without_effects");
        assert_eq!(ignored(&own, &any()), "type_without_effects");
    }

    #[test]
    fn an_event_that_names_our_own_account_is_the_same_event() {
        let snapshot = r#"{"id":"evt_1","object":"event","type":"ping","created":1,"livemode":true,"account":"acct_1","data":{"object":{}}}"#;
        let thin = r#"{"id":"evt_2","object":"v2.core.event","type":"v1.customer.updated","created":"2026-11-21T10:00:00.000Z","livemode":true,"context":"acct_1","related_object":{"id":"cus_1","type":"customer","url":"/v1/customers/cus_1"}}"#;
        let own = StripeConfig { account: Some("acct_1".into()), ..any() };
        let named = StripeConfig { accounts: vec!["acct_1".into()], ..any() };
        for body in [snapshot, thin] {
            assert_eq!(read(body.as_bytes(), &own).key.stripe_account, "");
            assert_eq!(read(body.as_bytes(), &named).key.stripe_account, "acct_1");
        }
        for ours in [own, named] {
            assert!(matches!(read(thin.as_bytes(), &ours).content, Content::Thin(_)));
        }
        assert_eq!(ignored(thin, &any()), ignored::FOREIGN_ACCOUNT);
    }

    #[test]
    fn an_event_that_was_read_in_an_account_is_the_one_it_delivers() {
        let delivered = r#"{"id":"evt_1","object":"event","type":"ping","created":1,"livemode":true,"account":"acct_1","data":{"object":{"amount":1.50}}}"#;
        let named = StripeConfig { accounts: vec!["acct_1".into()], ..any() };
        let nameless = delivered.replace(r#""account":"acct_1","#, "");
        let null = delivered.replace(r#""acct_1""#, "null");
        for text in [delivered, &nameless, &null] {
            let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
            let read_there = in_account(raw(text), Some("acct_1"));
            assert!(read_there.get().contains("1.50"), "as it came: {read_there}");
            assert_eq!(read(read_there.get().as_bytes(), &named).key.stripe_account, "acct_1");
            assert_eq!(in_account(raw(text), None).get(), text);
        }
    }

    #[test]
    fn a_signed_body_that_cannot_be_read_is_nothing_to_be_ignored() {
        for body in ["hello", "[]", "{}", r#"{"object":"customer","id":"cus_1"}"#] {
            let content = read(body.as_bytes(), &any()).content;
            assert!(matches!(content, Content::NoEvent(_)), "{body}: {content:?}");
        }
    }

    #[test]
    fn a_body_without_an_id_is_known_by_its_bytes() {
        let (a, b) = (read(b"hello", &any()), read(b"hello", &any()));
        assert_eq!(a.key, b.key);
        assert_ne!(a.key, read(b"hello ", &any()).key);
    }
}
