//! Tests of API v2: event destinations, and events in the thin form.

use super::*;
use crate::thin::EventForm;

const CREATE: &str = "POST /v2/core/event_destinations";
const WISH: &str = "name=Tollgate&type=webhook_endpoint&event_payload=thin\
    &enabled_events[0]=v1.customer.created&webhook_endpoint[url]=https://app.example.org/hook\
    &metadata[a]=b";

#[test]
fn a_destination_tells_its_secret_once_and_its_address_when_asked() {
    let mut sandbox = sandbox();
    let form = format!("{WISH}&include[0]=webhook_endpoint.signing_secret");
    let made = ok(&mut sandbox, CREATE, &form);
    assert_eq!(made["object"], "v2.core.event_destination");
    assert_eq!((&made["event_payload"], &made["status"]), (&"thin".into(), &"enabled".into()));
    assert_eq!(made["created"], "2026-11-02T10:00:00.000Z");
    assert!(text(&made, "webhook_endpoint.signing_secret").starts_with("whsec_"));
    assert_eq!(made["webhook_endpoint"]["url"], Value::Null);
    let path = format!("/v2/core/event_destinations/{}", text(&made, "id"));
    let include = "include[0]=webhook_endpoint.url&include[1]=webhook_endpoint.signing_secret";
    for (line, list) in [(format!("GET {path}"), false), (CREATE.replace("POST", "GET"), true)] {
        let plain = ok(&mut sandbox, &line, "");
        let asked = ok(&mut sandbox, &line, include);
        let one = |body: &Value| if list { body["data"][0].clone() } else { body.clone() };
        assert_eq!(one(&plain)["webhook_endpoint"], serde_json::json!({}));
        let url = serde_json::json!({"url": "https://app.example.org/hook"});
        assert_eq!(one(&asked)["webhook_endpoint"], url, "the secret is told once");
    }
    assert_eq!(ids(&ok(&mut sandbox, "GET /v1/webhook_endpoints", "")).len(), 0);
    assert_eq!(sandbox.endpoints()[0].form, EventForm::Thin);
}

#[test]
fn a_destination_can_be_changed_switched_and_deleted() {
    let mut sandbox = sandbox();
    let path =
        format!("/v2/core/event_destinations/{}", text(&ok(&mut sandbox, CREATE, WISH), "id"));
    let form = "enabled_events[0]=v1.invoice.paid&metadata[c]=d&name=Other";
    let changed = ok(&mut sandbox, &format!("POST {path}"), form);
    assert_eq!(changed["enabled_events"], serde_json::json!(["v1.invoice.paid"]));
    assert_eq!(changed["metadata"], serde_json::json!({"a": "b", "c": "d"}));
    assert_eq!(changed["name"], "Other");
    let off = ok(&mut sandbox, &format!("POST {path}/disable"), "");
    assert_eq!(off["status_details"]["disabled"]["reason"], "user");
    assert!(!sandbox.endpoints()[0].wants("invoice.paid"));
    ok(&mut sandbox, &format!("POST {path}/enable"), "");
    assert!(sandbox.endpoints()[0].wants("invoice.paid"));
    assert!(!sandbox.endpoints()[0].wants("customer.created"));
    ok(&mut sandbox, &format!("DELETE {path}"), "");
    assert_eq!(refused(&mut sandbox, &format!("GET {path}"), "").0, 404);
}

#[test]
fn a_destination_that_makes_no_sense_is_refused() {
    let mut sandbox = sandbox();
    for (from, to, fault) in [
        ("event_payload=thin", "event_payload=thick", "invalid_request_error/event_payload"),
        ("v1.customer.created", "customer.created", "invalid_request_error/enabled_events"),
        ("v1.customer.created", "v2.billing.x", "invalid_request_error/enabled_events"),
        ("https://app", "app", "url_invalid/webhook_endpoint[url]"),
        ("name=Tollgate&", "", "parameter_missing/name"),
        (
            "&metadata[a]=b",
            "&snapshot_api_version=2026-10-28.endive",
            "invalid_request_error/snapshot_api_version",
        ),
    ] {
        let form = WISH.replace(from, to);
        assert_eq!(refused(&mut sandbox, CREATE, &form).1, fault, "{form}");
    }
    let endpoint = "url=https://app.example.org/hook&enabled_events[]=*";
    let made = text(&ok(&mut sandbox, "POST /v1/webhook_endpoints", endpoint), "id");
    let line = format!("GET /v2/core/event_destinations/{made}");
    assert_eq!(refused(&mut sandbox, &line, "").0, 404);
}

#[test]
fn every_happening_is_told_in_both_forms() {
    let mut sandbox = sandbox();
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", "name=A"), "id");
    let snapshot = sandbox.happenings()[0].id().to_owned();
    let listed = ok(&mut sandbox, "GET /v2/core/events", &format!("object_id={customer}"));
    let event = &listed["data"][0];
    assert_eq!(
        (&event["object"], &event["type"]),
        (&"v2.core.event".into(), &"v1.customer.created".into())
    );
    assert_eq!(event["snapshot_event"], *snapshot);
    let url = format!("/v1/customers/{customer}");
    let related = serde_json::json!({"id": customer, "type": "customer", "url": url});
    assert_eq!(event["related_object"], related);
    assert!(text(event, "created").starts_with("2026-11-02T10:00:00."));
    assert_eq!(event["reason"]["type"], "request");
    let line = format!("GET /v2/core/events/{}", text(event, "id"));
    assert_eq!(ok(&mut sandbox, &line, ""), *event);
    assert_eq!(refused(&mut sandbox, &format!("GET /v2/core/events/{snapshot}"), "").0, 404);
    assert_eq!(ok(&mut sandbox, &format!("GET {url}"), "")["id"], *customer);
}

#[test]
fn thin_events_are_listed_in_pages() {
    let mut sandbox = sandbox();
    for number in 0..5 {
        ok(&mut sandbox, "POST /v1/customers", &format!("name={number}"));
    }
    let mut found = Vec::new();
    let mut query = "types[0]=v1.customer.created&limit=2".to_owned();
    loop {
        let page = ok(&mut sandbox, "GET /v2/core/events", &query);
        found.extend(ids(&page));
        let Some(next) = page["next_page_url"].as_str() else { break };
        query = next.split_once('?').unwrap().1.to_owned();
    }
    let told = sandbox.happenings().iter().rev().map(crate::Happening::thin_id);
    assert_eq!(found, told.collect::<Vec<_>>());
    let none = ok(&mut sandbox, "GET /v2/core/events", "types[0]=customer.created");
    assert_eq!(ids(&none).len(), 0);
}
