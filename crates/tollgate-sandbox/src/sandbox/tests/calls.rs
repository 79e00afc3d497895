//! Tests of what every call has in common: keys, pages, paths, events. Owns: nothing else. Must not know: how replies are made.

use super::*;

fn keyed(key: &str, line: &str, form: &str) -> ApiRequest {
    ApiRequest { idempotency_key: Some(key.to_owned()), ..request(line, form) }
}

#[test]
fn a_repeated_key_gives_the_same_reply_and_acts_once() {
    let mut sandbox = sandbox();
    let create = keyed("k1", "POST /v1/customers", "name=a");
    let first = sandbox.call(&create);
    let again = sandbox.call(&create);
    assert!(again.idempotent_replayed && !first.idempotent_replayed);
    assert_eq!((&again.body, &again.request_id), (&first.body, &first.request_id));
    assert_eq!(sandbox.happenings().len(), 1);
    let event = ok(&mut sandbox, "GET /v1/events", "");
    assert_eq!(event["data"][0]["request"]["idempotency_key"], "k1");
    assert_eq!(event["data"][0]["request"]["id"], first.request_id);
}

#[test]
fn a_key_is_for_one_request_and_for_a_day() {
    let mut sandbox = sandbox();
    let made = sandbox.call(&keyed("k", "POST /v1/customers", "name=a"));
    let path = format!("POST /v1/customers/{}", text(&made.body, "id"));
    for (line, form) in [("POST /v1/customers", "name=b"), (path.as_str(), "name=a")] {
        let reply = sandbox.call(&keyed("k", line, form));
        assert_eq!((reply.status, fault(&reply).as_str()), (400, "idempotency_error/"), "{line}");
    }
    let long = sandbox.call(&keyed(&"k".repeat(256), "POST /v1/customers", ""));
    assert_eq!(fault(&long), "idempotency_error/");
    sandbox.advance_to(START + 86_400);
    let later = sandbox.call(&keyed("k", "POST /v1/customers", "name=b"));
    assert_eq!((later.status, later.idempotent_replayed), (200, false));
}

#[test]
fn a_refused_request_can_be_mended_under_its_key_and_reads_have_no_keys() {
    let mut sandbox = sandbox();
    assert_eq!(sandbox.call(&keyed("k", "POST /v1/customers", "nmae=a")).status, 400);
    assert_eq!(sandbox.call(&keyed("k", "POST /v1/customers", "name=a")).status, 200);
    assert_eq!(sandbox.call(&keyed("k", "GET /v1/customers", "")).status, 200);
}

#[test]
fn unknown_paths_and_methods_are_unrecognized() {
    let mut sandbox = sandbox();
    for line in ["GET /v1/nothing", "DELETE /v1/customers", "GET /v1/customers/", "GET /"] {
        let reply = sandbox.call(&request(line, ""));
        assert_eq!(reply.status, 404, "{line}");
        let message = text(&reply.body, "error.message");
        assert!(message.starts_with("Unrecognized request URL"), "{message}");
    }
}

#[test]
fn pages_follow_each_other_both_ways() {
    let mut sandbox = sandbox();
    let mut all: Vec<String> =
        (0..7).map(|_| text(&ok(&mut sandbox, "POST /v1/customers", ""), "id")).collect();
    all.reverse();
    let mut page = |form: &str| {
        let list = ok(&mut sandbox, "GET /v1/customers", form);
        assert_eq!(list["url"], "/v1/customers");
        (ids(&list), list["has_more"].as_bool().unwrap())
    };
    assert_eq!(page("limit=3"), (all[..3].to_vec(), true));
    assert_eq!(page(&format!("limit=3&starting_after={}", all[2])), (all[3..6].to_vec(), true));
    assert_eq!(page(&format!("limit=3&starting_after={}", all[5])), (all[6..].to_vec(), false));
    assert_eq!(page(&format!("limit=3&ending_before={}", all[6])), (all[3..6].to_vec(), true));
    assert_eq!(page(&format!("limit=3&ending_before={}", all[2])), (all[..2].to_vec(), false));
    assert_eq!(page("limit=1000"), (all.clone(), false));
    let none = refused(&mut sandbox, "GET /v1/customers", "starting_after=cus_none");
    assert_eq!(none, (400, "resource_missing/starting_after".to_owned()));
    let both = format!("starting_after={}&ending_before={}", all[0], all[1]);
    assert_eq!(refused(&mut sandbox, "GET /v1/customers", &both).0, 400);
}

#[test]
fn a_cursor_need_not_be_among_what_is_filtered() {
    let mut sandbox = sandbox();
    let made = ok(&mut sandbox, "POST /v1/customers", "name=a");
    let path = format!("POST /v1/customers/{}", text(&made, "id"));
    for name in ["b", "c", "d"] {
        ok(&mut sandbox, &path, &format!("name={name}"));
    }
    let all = ids(&ok(&mut sandbox, "GET /v1/events", ""));
    let newer = format!("type=customer.updated&limit=2&ending_before={}", all[3]);
    let page = ok(&mut sandbox, "GET /v1/events", &newer);
    assert_eq!((ids(&page), page["has_more"].as_bool()), (all[1..3].to_vec(), Some(true)));
    let older = format!("type=customer.created&starting_after={}", all[0]);
    let page = ok(&mut sandbox, "GET /v1/events", &older);
    assert_eq!((ids(&page), page["has_more"].as_bool()), (all[3..].to_vec(), Some(false)));
}

#[test]
fn the_same_calls_give_the_same_bytes_and_other_seeds_other_ids() {
    let tell = |seed| {
        let mut sandbox = Sandbox::new(SandboxOptions { seed, now: START, ..Default::default() });
        let made = ok(&mut sandbox, "POST /v1/customers", "name=a");
        (made, ok(&mut sandbox, "GET /v1/events", ""))
    };
    assert_eq!(tell(1), tell(1));
    assert_ne!(tell(1).0["id"], tell(2).0["id"]);
}

#[test]
fn events_are_listed_by_type_and_time_for_thirty_days() {
    let mut sandbox = sandbox();
    let made = ok(&mut sandbox, "POST /v1/customers", "name=a");
    sandbox.advance_to(START + 100);
    let path = format!("/v1/customers/{}", text(&made, "id"));
    ok(&mut sandbox, &format!("POST {path}"), "name=b");
    let mut list = |form: &str| {
        let list = ok(&mut sandbox, "GET /v1/events", form);
        let kinds = list["data"].as_array().unwrap().iter().map(|event| text(event, "type"));
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(list(""), ["customer.updated", "customer.created"]);
    assert_eq!(list("type=customer.created"), ["customer.created"]);
    assert_eq!(list("type=customer.*").len(), 2);
    assert_eq!(list("types[]=customer.updated&types[]=charge.failed"), ["customer.updated"]);
    assert_eq!(list(&format!("created[gte]={}", START + 1)), ["customer.updated"]);
    assert_eq!(list("delivery_success=true").len(), 2);
    let first = text(&ok(&mut sandbox, "GET /v1/events", ""), "data.1.id");
    let state = super::super::DeliveryState { pending: 2, failed: true };
    sandbox.record_delivery(&first, state);
    let event = ok(&mut sandbox, &format!("GET /v1/events/{first}"), "");
    assert_eq!(event["pending_webhooks"], 2);
    assert_eq!(
        ids(&ok(&mut sandbox, "GET /v1/events", "delivery_success=false")),
        std::slice::from_ref(&first)
    );
    sandbox.advance_to(START + 30 * 86_400 + 1);
    assert_eq!(ids(&ok(&mut sandbox, "GET /v1/events", "")).len(), 1);
    let old = refused(&mut sandbox, &format!("GET /v1/events/{first}"), "");
    assert_eq!(old, (404, "resource_missing/id".to_owned()));
}

#[test]
fn a_story_that_is_adopted_becomes_state_and_events_once() {
    let mut sandbox = sandbox();
    let account = tollgate_domain::ids::AccountId::parse("acme").unwrap();
    let at = tollgate_domain::Timestamp::from_unix_seconds(START);
    let options = crate::ScenarioOptions::new(account, at);
    let story = crate::Scenario::find("checkout").unwrap();
    let happenings = story.happenings(&catalog(), &options).unwrap();
    sandbox.adopt(happenings.clone());
    sandbox.adopt(happenings.clone());
    assert_eq!(sandbox.happenings().len(), happenings.len());
    let customers = ok(&mut sandbox, "GET /v1/customers", "");
    assert_eq!(customers["data"][0]["metadata"]["account_id"], "acme");
    let line = format!("GET /v1/customers/{}", text(&customers, "data.0.id"));
    let form = "expand[]=invoice_settings.default_payment_method&expand[]=subscriptions";
    let customer = ok(&mut sandbox, &line, form);
    assert_eq!(customer["invoice_settings"]["default_payment_method"]["card"]["last4"], "4242");
    assert_eq!(customer["subscriptions"]["data"][0]["status"], "active");
}
