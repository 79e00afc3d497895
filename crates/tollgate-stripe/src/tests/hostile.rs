//! Whatever the bytes are: no panic, no overflow of the stack, no error that quotes them.

use crate::{Envelope, Observed, Parsed, event, observe};
use proptest::prelude::*;
use serde_json::Value;

/// Events with the most different shapes, as seeds for mutation.
const SEEDS: [&str; 10] = [
    include_str!("../../testdata/events/2017-08-15/customer.subscription.updated.upgrade.json"),
    include_str!("../../testdata/events/2017-08-15/invoice.paid.json"),
    include_str!(
        "../../testdata/events/2026-10-28.endive/customer.subscription.updated.renewal.json"
    ),
    include_str!("../../testdata/events/2026-10-28.endive/invoice.paid.expanded_payments.json"),
    include_str!("../../testdata/events/2026-10-28.endive/invoice_payment.paid.json"),
    include_str!("../../testdata/events/2026-10-28.endive/checkout.session.completed.grant.json"),
    include_str!("../../testdata/events/2026-10-28.endive/customer.updated.json"),
    include_str!("../../testdata/events/2026-10-28.endive/charge.refunded.json"),
    include_str!("../../testdata/events/2026-10-28.endive/charge.dispute.closed.json"),
    include_str!(
        "../../testdata/events/2026-10-28.endive/entitlements.active_entitlement_summary.updated.json"
    ),
];
/// A thread of a server has more.
const SMALL_STACK_BYTES: usize = 192 * 1024;

/// Takes a body all the way; what comes out is checked for texts no column could hold.
fn swallow(body: &[u8]) {
    let Parsed::Event(envelope) = event::parse(body) else { return };
    assert_clean(&envelope);
    match observe(&envelope) {
        Ok(Observed::Effect(observation)) => {
            assert!(!format!("{observation:?}").contains("\\0"), "NUL in {observation:?}");
        }
        Ok(Observed::Ignored { .. }) => {}
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 120 && text.is_ascii(), "{text}");
        }
    }
}

fn assert_clean(envelope: &Envelope<'_>) {
    for text in [&envelope.api_version, &envelope.request_id, &envelope.idempotency_key]
        .into_iter()
        .flatten()
    {
        assert!(!text.contains('\0'));
    }
}

/// Paths to every value of a document.
fn paths(value: &Value, here: &str, into: &mut Vec<String>) {
    into.push(here.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                paths(field, &format!("{here}/{name}"), into);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                paths(element, &format!("{here}/{index}"), into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every value of an event replaced by every kind of value, one at a time.
#[test]
fn any_value_may_be_anything() {
    let odd: Vec<Value> = [
        "null",
        "true",
        "-1",
        "5.5",
        "18446744073709551615",
        r#""\u0000""#,
        "[]",
        "[null,[]]",
        r#"{"id":{"id":"x"}}"#,
        r#"{"data":[0,{}],"has_more":"yes"}"#,
    ]
    .iter()
    .map(|text| serde_json::from_str(text).unwrap())
    .collect();
    for seed in SEEDS {
        let mut event: Value = serde_json::from_str(seed).unwrap();
        let mut all = Vec::new();
        paths(&event, "", &mut all);
        for path in all {
            for value in &odd {
                let place = event.pointer_mut(&path).unwrap();
                let before = std::mem::replace(place, value.clone());
                swallow(event.to_string().as_bytes());
                *event.pointer_mut(&path).unwrap() = before;
            }
        }
    }
}

/// A missing field is an error that names it or does not matter; it is never a panic.
#[test]
fn any_field_may_be_missing() {
    for seed in SEEDS {
        let whole: Value = serde_json::from_str(seed).unwrap();
        let mut all = Vec::new();
        paths(&whole, "", &mut all);
        for path in all {
            let Some((parent, name)) = path.rsplit_once('/') else { continue };
            let mut changed = whole.clone();
            if let Some(fields) = changed.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.remove(name);
                swallow(changed.to_string().as_bytes());
            }
        }
    }
}

#[test]
fn depth_does_not_reach_the_stack() {
    let depth = 100_000;
    let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = format!("{}1{}", r#"{"id":"#.repeat(depth / 4), "}".repeat(depth / 4));
    let lists = format!("{}0{}", r#"{"data":["#.repeat(depth / 8), "]}".repeat(depth / 8));
    let mut bodies =
        vec![arrays.clone(), objects.clone(), "[".repeat(depth), r#"{"a":"#.repeat(depth)];
    for bomb in [&arrays, &objects, &lists] {
        for field in
            ["customer", "items", "metadata", "plan", "status", "latest_invoice", "unheard_of"]
        {
            for place in ["object", "previous_attributes"] {
                let (object, previous) =
                    if place == "object" { (bomb.as_str(), "0") } else { ("0", bomb.as_str()) };
                bodies.push(format!(
                    r#"{{"id":"evt_1","type":"customer.subscription.updated","created":1,"livemode":true,
                    "data":{{"object":{{"id":"sub_1","status":"active","{field}":{object},"items":{{"data":[]}}}},
                    "previous_attributes":{{"{field}":{previous}}}}}}}"#
                ));
            }
        }
        bodies.push(format!(r#"{{"id":"evt_1","data":{bomb}}}"#));
        bodies.push(format!(r#"{{"id":{bomb}}}"#));
    }
    std::thread::Builder::new()
        .stack_size(SMALL_STACK_BYTES)
        .spawn(move || bodies.iter().for_each(|body| swallow(body.as_bytes())))
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_list_of_very_many_elements_is_cut() {
    let elements = vec![r#"{"price":"p","quantity":1}"#; 20_000].join(",");
    let body = format!(
        r#"{{"id":"evt_1","type":"customer.subscription.updated","created":1,"livemode":true,
        "data":{{"object":{{"id":"sub_1","status":"active","items":{{"data":[{elements}],"has_more":false}}}}}}}}"#
    );
    let Parsed::Event(envelope) = event::parse(body.as_bytes()) else { panic!("no event") };
    let Ok(Observed::Effect(observation)) = observe(&envelope) else { panic!("not observed") };
    let tollgate_domain::observation::Seen::Subscription(seen) = observation.seen else { panic!() };
    assert!(seen.state.items_cut);
    assert_eq!(seen.state.items.len(), 256);
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        swallow(&body);
    }

    #[test]
    fn no_text_of_json_characters_is_too_odd(body in r#"[\[\]{}":,0-9a-z\\u.eE+ -]{0,200}"#) {
        swallow(body.as_bytes());
        swallow(format!(r#"{{"id":"evt_1","type":"invoice.paid","created":1,"livemode":true,"data":{{"object":{{{body}}}}}}}"#).as_bytes());
    }

    #[test]
    fn no_damage_to_an_event_is_too_odd(
        seed in 0..SEEDS.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..8),
    ) {
        let mut body = SEEDS[seed].as_bytes().to_vec();
        for (place, byte, how) in damage {
            let place = place.index(body.len());
            match how {
                0 => body[place] = byte,
                1 => body.insert(place, byte),
                _ => { body.remove(place); }
            }
        }
        swallow(&body);
    }

    #[test]
    fn no_text_in_a_field_is_too_odd(seed in 0..SEEDS.len(), place in any::<prop::sample::Index>(), text in ".{0,40}") {
        let mut whole: Value = serde_json::from_str(SEEDS[seed]).unwrap();
        let mut all = Vec::new();
        paths(&whole, "", &mut all);
        *whole.pointer_mut(&all[place.index(all.len())]).unwrap() = Value::String(text);
        swallow(whole.to_string().as_bytes());
    }
}
