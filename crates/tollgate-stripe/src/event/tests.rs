//! What is an event, what is a thin event, and what is neither.

use super::*;

fn event(body: &str) -> Envelope<'_> {
    let parsed = parse(body.as_bytes());
    let Parsed::Event(envelope) = parsed else { panic!("no event: {parsed:?}") };
    envelope
}

fn why(body: &[u8]) -> &'static str {
    let parsed = parse(body);
    let Parsed::NotAnEvent { why } = parsed else { panic!("not refused: {parsed:?}") };
    why
}

/// A whole event with one top-level field set to another JSON text.
fn with(field: &str, json: &str) -> String {
    let mut fields = vec![
        ("id", r#""evt_1""#),
        ("object", r#""event""#),
        ("type", r#""customer.created""#),
        ("created", "1700000000"),
        ("livemode", "false"),
        ("data", r#"{"object":{"id":"cus_1"}}"#),
    ];
    match fields.iter_mut().find(|(name, _)| *name == field) {
        Some(known) => known.1 = json,
        None => fields.push((field, json)),
    }
    let text: Vec<String> = fields.iter().map(|(name, json)| format!("{name:?}:{json}")).collect();
    format!("{{{}}}", text.join(","))
}

#[test]
fn an_envelope_is_read_whole() {
    let body = r#" {"id":"evt_1","object":"event","account":"acct_1","api_version":"2026-10-28.endive",
        "created":1700000000,"data":{"object":{"id":"cus_1"},"previous_attributes":{"email":null}},
        "livemode":true,"pending_webhooks":2,"request":{"id":"req_1","idempotency_key":"key"},
        "type":"customer.updated","context":"acct_1","unheard_of":[1]}"#;
    let envelope = event(body);
    assert_eq!(envelope.id.as_str(), "evt_1");
    assert_eq!(envelope.event_type, "customer.updated");
    assert_eq!(envelope.created, Timestamp::from_unix_seconds(1_700_000_000));
    assert!(envelope.livemode);
    assert_eq!(envelope.account.unwrap().as_str(), "acct_1");
    assert_eq!(envelope.api_version.as_deref(), Some("2026-10-28.endive"));
    assert_eq!(envelope.request_id.as_deref(), Some("req_1"));
    assert_eq!(envelope.idempotency_key.as_deref(), Some("key"));
    assert_eq!(envelope.pending_webhooks, Some(2));
    assert_eq!(envelope.object.get(), r#"{"id":"cus_1"}"#);
    assert_eq!(envelope.previous_attributes.unwrap().get(), r#"{"email":null}"#);
    assert!(matches!(envelope.event_type, Cow::Borrowed(_)), "nothing is copied");
}

#[test]
fn old_and_odd_envelopes_are_events_too() {
    let body = with("request", r#""req_plain""#);
    assert_eq!(event(&body).request_id.as_deref(), Some("req_plain"));
    for none in ["null", "{}", r#"{"id":null}"#, "7", "[]"] {
        assert_eq!(event(&with("request", none)).request_id, None, "{none}");
    }
    let body = with("api_version", r#""2016-03-07; orders_beta=v3""#);
    assert_eq!(event(&body).api_version.as_deref(), Some("2016-03-07; orders_beta=v3"));
    for dropped in ["null", "17", r#""a\u0000b""#, &format!("{:?}", "x".repeat(256))] {
        assert_eq!(event(&with("api_version", dropped)).api_version, None, "{dropped}");
    }
    assert_eq!(event(&with("created", "1700000000.0")).created.unix_seconds(), 1_700_000_000);
    assert_eq!(event(&with("object", "null")).id.as_str(), "evt_1");
    assert_eq!(event(&with("account", "null")).account, None);
    assert_eq!(event(&with("type", r#""a\u002eb""#)).event_type, "a.b");
    let body = with("data", r#"{"object":{},"previous_attributes":[1]}"#);
    assert!(event(&body).previous_attributes.is_none());
}

#[test]
fn what_is_no_event_says_why() {
    let table: &[(&str, &[u8])] = &[
        ("not_json", b""),
        ("not_json", b"{"),
        ("not_json", b"hello"),
        ("not_json", b"{\"id\":\"evt_1\"}}"),
        ("not_json", b"\xef\xbb\xbf{}"),
        ("not_utf8", b"{\"id\":\"\xff\"}"),
        ("not_an_object", b"[1,2]"),
        ("not_an_object", b"null"),
        ("not_an_object", b"\"evt_1\""),
        ("repeated_field", b"{\"id\":\"evt_1\",\"id\":\"evt_2\"}"),
        ("bad_id", b"{}"),
    ];
    for (expected, body) in table {
        assert_eq!(why(body), *expected, "{}", String::from_utf8_lossy(body));
    }
    for (expected, field, json) in [
        ("bad_id", "id", "null"),
        ("bad_id", "id", r#""evt 1""#),
        ("bad_id", "id", r#""evt\u0000""#),
        ("not_an_event", "object", r#""customer""#),
        ("bad_type", "type", "null"),
        ("bad_type", "type", r#""""#),
        ("bad_type", "type", r#""customer created""#),
        ("bad_type", "type", &format!("{:?}", "x".repeat(129))),
        ("bad_created", "created", r#""2026-11-21T10:00:00Z""#),
        ("bad_created", "created", "1.5"),
        ("bad_created", "created", "1e300"),
        ("bad_livemode", "livemode", "null"),
        ("bad_livemode", "livemode", r#""false""#),
        ("bad_account", "account", r#""a b""#),
        ("bad_account", "account", "{}"),
        ("no_data_object", "data", "null"),
        ("no_data_object", "data", "[]"),
        ("no_data_object", "data", "{}"),
        ("no_data_object", "data", r#"{"object":null}"#),
        ("no_data_object", "data", r#"{"object":"cus_1"}"#),
    ] {
        assert_eq!(why(with(field, json).as_bytes()), expected, "{field}: {json}");
    }
}

#[test]
fn the_object_of_an_event_can_be_named_without_observing_it() {
    for (object, expected) in [
        (r#"{"object":"payment_intent","id":"pi_1","deep":[[1]]}"#, Some("pi_1")),
        (r#"{"id":"pi 1"}"#, None),
        (r#"{"id":7}"#, None),
        ("{}", None),
    ] {
        let body = with("data", &format!(r#"{{"object":{object}}}"#));
        assert_eq!(event(&body).object_id().as_ref().map(AsRef::as_ref), expected, "{object}");
    }
}

/// A whole thin event with one top-level field set to another JSON text.
fn thin_with(field: &str, json: &str) -> String {
    let mut fields = vec![
        ("id", r#""evt_thin_1""#),
        ("object", r#""v2.core.event""#),
        ("type", r#""v1.customer.subscription.updated""#),
        ("created", r#""2026-11-21T10:00:00.250Z""#),
        ("livemode", "true"),
        (
            "related_object",
            r#"{"id":"sub_1","type":"subscription","url":"/v1/subscriptions/sub_1"}"#,
        ),
        ("snapshot_event", r#""evt_1""#),
    ];
    match fields.iter_mut().find(|(name, _)| *name == field) {
        Some(known) => known.1 = json,
        None => fields.push((field, json)),
    }
    let text: Vec<String> = fields.iter().map(|(name, json)| format!("{name:?}:{json}")).collect();
    format!("{{{}}}", text.join(","))
}

fn thin(body: &str) -> ThinEvent<'_> {
    let parsed = parse(body.as_bytes());
    let Parsed::Thin(thin) = parsed else { panic!("not thin: {parsed:?}") };
    thin
}

#[test]
fn a_thin_event_names_its_object() {
    let body = thin_with("changes", r#"{"before":{"status":"active"},"after":{}}"#);
    let event = thin(&body);
    assert_eq!(event.id.as_str(), "evt_thin_1");
    assert_eq!(event.event_type, "v1.customer.subscription.updated");
    assert_eq!(event.created.millis(), 1_795_255_200_250);
    assert!(event.livemode && event.context.is_none());
    let related = event.related_object.unwrap().unwrap();
    assert_eq!((related.id.unwrap().as_str(), &*related.object_type), ("sub_1", "subscription"));
    assert_eq!(event.snapshot_event.unwrap().as_str(), "evt_1");
}

#[test]
fn a_thin_event_may_lack_what_not_every_happening_has() {
    assert_eq!(thin(&thin_with("related_object", "null")).related_object, Ok(None));
    for odd in [
        "{}",
        "[]",
        "7",
        r#"{"id":"sub_1"}"#,
        r#"{"id":7,"type":"subscription"}"#,
        r#"{"id":"sub 1","type":"subscription"}"#,
        r#"{"id":"sub_1","type":["subscription"]}"#,
    ] {
        let body = thin_with("related_object", odd);
        assert_eq!(thin(&body).related_object, Err(BadReference), "{odd}");
    }
    let body =
        thin_with("related_object", r#"{"type":"discount","url":"/v1/customers/c/discount"}"#);
    let related = thin(&body).related_object.unwrap().unwrap();
    assert_eq!((related.id, &*related.object_type), (None, "discount"));
    for none in ["null", "7", r#""evt 1""#, r#""obs_1""#] {
        assert!(thin(&thin_with("snapshot_event", none)).snapshot_event.is_none(), "{none}");
    }
    let body = thin_with("type", r#""v2.core.account[requirements].updated""#);
    assert_eq!(thin(&body).event_type, "v2.core.account[requirements].updated");
    let body = thin_with("context", r#""acct_2""#);
    assert_eq!(thin(&body).context.unwrap().as_str(), "acct_2");
}

#[test]
fn what_is_no_thin_event_says_why() {
    for (expected, field, json) in [
        ("bad_id", "id", "null"),
        ("reserved_id", "id", r#""obs_1""#),
        ("bad_type", "type", r#""""#),
        ("bad_created", "created", "1795255200"),
        ("bad_created", "created", r#""yesterday""#),
        ("bad_created", "created", "null"),
        ("bad_livemode", "livemode", "null"),
        ("bad_context", "context", "{}"),
        ("bad_context", "context", r#""a b""#),
    ] {
        assert_eq!(why(thin_with(field, json).as_bytes()), expected, "{field}: {json}");
    }
}
