//! Deliveries: signed, in order, tried again, and as lossy as a plan asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, StatusCode};
use tollgate_sandbox::server::{DeliveryPlan, Outcome, RunningSandbox};

use super::support::{Endpoint, START, form, get, send, start};

async fn customers(sandbox: &RunningSandbox, count: usize) {
    for number in 0..count {
        let made = form(sandbox, "/v1/customers", &format!("name=Customer+{number}")).await;
        assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
    }
}

#[tokio::test]
async fn every_endpoint_gets_what_it_wants_signed_in_order_and_in_its_own_version() {
    let sandbox = start().await;
    let (all, some) = (Endpoint::listen().await, Endpoint::listen().await);
    let (_, secret) = all.register(&sandbox, "&api_version=2022-11-15").await;
    let only = format!(
        "url=http://{}/hook&enabled_events[]=customer.deleted&enabled_events[]=customer.updated",
        some.address
    );
    form(&sandbox, "/v1/webhook_endpoints", &only).await;
    customers(&sandbox, 20).await;
    let id = all_names(&sandbox).await;
    form(&sandbox, &format!("/v1/customers/{id}"), "name=Renamed").await;
    sandbox.settled().await;

    let names: Vec<_> =
        all.bodies().iter().map(|body| body["data"]["object"]["name"].clone()).collect();
    let expected: Vec<String> =
        (0..20).map(|n| format!("Customer {n}")).chain(["Renamed".to_owned()]).collect();
    assert_eq!(names, expected);
    assert!(all.bodies().iter().all(|body| body["api_version"] == "2022-11-15"));
    all.assert_signed(&secret, START);
    let kinds: Vec<String> = some.events().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["customer.updated"]);
    assert_eq!(some.bodies()[0]["api_version"], "2026-10-28.endive");
    sandbox.shutdown().await;
}

/// The id of the newest customer.
async fn all_names(sandbox: &RunningSandbox) -> String {
    let list = get(sandbox, "/v1/customers?limit=1").await;
    list.body["data"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_by_the_sandboxs_clock_and_the_api_tells_how_it_stands() {
    let sandbox = start().await;
    let endpoint = Endpoint::listen().await;
    let (_, secret) = endpoint.register(&sandbox, "").await;
    endpoint.answer(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::FOUND]);
    customers(&sandbox, 1).await;
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 1);
    let event = get(&sandbox, "/v1/events?delivery_success=false").await;
    assert_eq!(event.body["data"][0]["pending_webhooks"], 1);

    sandbox.advance(Duration::from_secs(9));
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 1);
    sandbox.advance(Duration::from_secs(1));
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 2, "a redirect is a failure too");
    sandbox.advance(Duration::from_mins(1));
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 3);
    endpoint.assert_signed(&secret, START);

    let event = get(&sandbox, "/v1/events?delivery_success=true").await;
    assert_eq!(event.body["data"][0]["pending_webhooks"], 0);
    sandbox.advance(Duration::from_hours(100));
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 3);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn retries_end_after_three_days() {
    let sandbox = start().await;
    // Nobody listens there.
    let body = "url=http://127.0.0.1:1/hook&enabled_events[]=*";
    form(&sandbox, "/v1/webhook_endpoints", body).await;
    customers(&sandbox, 1).await;
    for _ in 0..1_000 {
        sandbox.settled().await;
        sandbox.advance(Duration::from_mins(5));
    }
    let attempts = sandbox.attempts();
    assert_eq!(attempts.len(), 13);
    assert!(attempts.iter().all(|one| matches!(one.outcome, Outcome::Unanswered { .. })));
    let last = attempts.last().unwrap();
    assert_eq!(last.next_attempt_at, None);
    let hours = (last.at - START.unix_seconds()) / 3600;
    assert!((60..=73).contains(&hours), "{hours}");
    let event = get(&sandbox, "/v1/events?delivery_success=false").await;
    assert_eq!(event.body["data"][0]["pending_webhooks"], 0);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_plan_loses_doubles_and_twins_deliveries_and_the_lost_can_be_sent_again() {
    let sandbox = start().await;
    let endpoint = Endpoint::listen().await;
    endpoint.register(&sandbox, "").await;
    let mut plan = DeliveryPlan { lose_percent: 100, ..DeliveryPlan::default() };
    sandbox.plan_deliveries(plan.clone());
    customers(&sandbox, 3).await;
    sandbox.settled().await;
    assert_eq!(endpoint.events(), []);
    let lost = sandbox.attempts();
    assert_eq!(lost.iter().filter(|one| one.outcome == Outcome::Lost).count(), 3);
    assert!(sandbox.resend(&lost[0].event));
    assert!(!sandbox.resend("evt_nothing"));
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 1);

    plan = DeliveryPlan { duplicate_percent: 100, twin_percent: 100, ..DeliveryPlan::default() };
    sandbox.plan_deliveries(plan);
    customers(&sandbox, 2).await;
    sandbox.settled().await;
    let events = endpoint.events();
    let after = &events[1..];
    assert_eq!(after.len(), 8, "two customers, each told twice under two ids");
    assert_eq!(after.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), 4);
    let listed = get(&sandbox, "/v1/events?limit=100").await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 3 + 4);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_plan_delays_shuffles_and_holds_deliveries() {
    let sandbox = start().await;
    let endpoint = Endpoint::listen().await;
    endpoint.register(&sandbox, "").await;
    let plan = DeliveryPlan { seed: 3, delay_max_s: 3_600, ..DeliveryPlan::default() };
    sandbox.plan_deliveries(plan);
    customers(&sandbox, 40).await;
    sandbox.settled().await;
    let at_once = endpoint.events().len();
    assert!(at_once < 5, "{at_once} of 40 were not delayed");
    sandbox.advance(Duration::from_mins(30));
    sandbox.settled().await;
    let halfway = endpoint.events().len();
    assert!((10..30).contains(&halfway), "{halfway} of 40 after half the time");
    sandbox.advance(Duration::from_mins(30));
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 40);

    sandbox.plan_deliveries(DeliveryPlan { shuffle: true, hold: true, ..DeliveryPlan::default() });
    customers(&sandbox, 40).await;
    sandbox.settled().await;
    assert_eq!(endpoint.events().len(), 40);
    sandbox.plan_deliveries(DeliveryPlan::default());
    sandbox.settled().await;
    let told: Vec<String> = endpoint.events()[40..].iter().map(|(_, id)| id.clone()).collect();
    let made: Vec<String> = sandbox
        .with(|sandbox| sandbox.happenings()[40..].iter().map(|one| one.id().to_owned()).collect());
    assert_ne!(told, made);
    assert_eq!(told.iter().collect::<BTreeSet<_>>(), made.iter().collect::<BTreeSet<_>>());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_disabled_gets_nothing_more() {
    let sandbox = start().await;
    let endpoint = Endpoint::listen().await;
    let (id, _) = endpoint.register(&sandbox, "").await;
    sandbox.plan_deliveries(DeliveryPlan { hold: true, ..DeliveryPlan::default() });
    customers(&sandbox, 3).await;
    let disabled = form(&sandbox, &format!("/v1/webhook_endpoints/{id}"), "disabled=true").await;
    assert_eq!(disabled.body["status"], "disabled");
    sandbox.plan_deliveries(DeliveryPlan::default());
    customers(&sandbox, 3).await;
    sandbox.settled().await;
    assert_eq!(endpoint.events(), []);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_happens_on_a_test_clock_that_is_ahead_is_told_at_once() {
    let sandbox = start().await;
    let endpoint = Endpoint::listen().await;
    endpoint.register(&sandbox, "").await;
    let make = async |path: &str, body: &str| {
        let made = form(&sandbox, path, body).await;
        assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
        made.body["id"].as_str().unwrap().to_owned()
    };
    let at = START.unix_seconds();
    let clocks = "/v1/test_helpers/test_clocks";
    let clock = make(clocks, &format!("frozen_time={at}")).await;
    let card = "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa";
    let customer = make("/v1/customers", &format!("test_clock={clock}&{card}")).await;
    let item = "items[0][price]=price_sietch_basic_monthly";
    make("/v1/subscriptions", &format!("customer={customer}&{item}")).await;
    let later = at + 40 * 86_400;
    make(&format!("{clocks}/{clock}/advance"), &format!("frozen_time={later}")).await;
    sandbox.settled().await;
    let paid = endpoint.events().iter().filter(|(kind, _)| kind == "invoice.paid").count();
    assert_eq!(paid, 2, "{:?}", endpoint.events());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_destination_is_sent_references_and_an_endpoint_objects_of_the_same_happenings() {
    let sandbox = start().await;
    let (thin, full) = (Endpoint::listen().await, Endpoint::listen().await);
    let wish = serde_json::json!({
        "name": "Tollgate", "type": "webhook_endpoint", "event_payload": "thin",
        "enabled_events": ["v1.customer.created"],
        "include": ["webhook_endpoint.signing_secret"],
        "webhook_endpoint": {"url": format!("http://{}/hook", thin.address)},
    });
    let path = "/v2/core/event_destinations";
    let headers = [("content-type", "application/json"), ("stripe-version", "2026-10-28.endive")];
    let made = send(&sandbox, Method::POST, path, (&wish.to_string(), &headers)).await.unwrap();
    assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
    let secret = made.body["webhook_endpoint"]["signing_secret"].as_str().unwrap();
    full.register(&sandbox, "").await;
    customers(&sandbox, 3).await;
    sandbox.settled().await;

    thin.assert_signed(secret, START);
    let bodies = thin.bodies();
    assert!(bodies.iter().all(|body| body["object"] == "v2.core.event" && body["data"].is_null()));
    let twins: Vec<_> = bodies.iter().map(|body| body["snapshot_event"].clone()).collect();
    let snapshots: Vec<_> = full.bodies().iter().map(|body| body["id"].clone()).collect();
    assert_eq!(twins, snapshots);
    // API v2 speaks JSON and has no default version.
    for (body, headers) in [("name=x", &headers[1..]), ("{}", &headers[..1]), ("[]", &headers[..])]
    {
        let refused = send(&sandbox, Method::POST, path, (body, headers)).await.unwrap();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
    }
    sandbox.shutdown().await;
}
