//! Control of a running sandbox, and what it remembers of an earlier run.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate_sandbox::server::{
    self, RunningSandbox, SandboxClock, ServerOptions, ahead_of_machine_ms,
};

use super::support::{Answer, Endpoint, START, form, get, send, start};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

async fn post(sandbox: &RunningSandbox, path: &str, body: &Value) -> Answer {
    send(sandbox, Method::POST, path, (&body.to_string(), JSON)).await.unwrap()
}

#[tokio::test]
async fn the_clock_is_told_and_moved_ahead_and_never_back() {
    let sandbox = start().await;
    let told = get(&sandbox, "/_sandbox/clock").await.body;
    assert_eq!(told["nowMs"], START.millis());
    let moved = post(&sandbox, "/_sandbox/clock", &json!({"advanceS": 90_000})).await;
    assert_eq!(moved.body["nowMs"], START.plus_hours(25).millis());
    let to = START.plus_hours(30).unix_seconds();
    assert_eq!(post(&sandbox, "/_sandbox/clock", &json!({"to": to})).await.status, StatusCode::OK);
    assert_eq!(sandbox.with(|account| account.now()), to);
    for refused in
        [json!({"to": to - 1}), json!({}), json!({"advanceS": 1, "to": to}), json!({"by": 1})]
    {
        let answer = post(&sandbox, "/_sandbox/clock", &refused).await;
        assert!(answer.status.is_client_error(), "{refused}");
        assert!(answer.body["error"].is_string(), "{refused}");
    }
    assert_eq!(sandbox.with(|account| account.now()), to);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_story_is_told_becomes_part_of_the_account_and_says_how_its_deliveries_went() {
    let sandbox = start().await;
    let endpoint = Endpoint::listen().await;
    endpoint.register(&sandbox, "").await;
    let story =
        json!({"scenario": "checkout", "account": "acme", "seed": 1, "apiVersion": "2022-11-15"});
    let told = post(&sandbox, "/_sandbox/scenario", &story).await.body;
    let events = told["events"].as_array().unwrap().len();
    assert_eq!(told["settled"], true);
    assert_eq!(told["deliveries"].as_array().unwrap().len(), events);
    assert!(told["deliveries"].as_array().unwrap().iter().all(|one| one["status"] == 200));
    assert!(endpoint.bodies().iter().all(|body| body["api_version"] == "2022-11-15"));
    let customers = get(&sandbox, "/v1/customers").await.body;
    assert_eq!(customers["data"][0]["metadata"]["account_id"], "acme");

    // The same again is nothing new, but is delivered again; twice as often where it is wanted.
    let again = post(&sandbox, "/_sandbox/scenario", &story).await.body;
    assert_eq!(again["events"], told["events"]);
    assert_eq!(endpoint.events().len(), 2 * events);
    assert_eq!(sandbox.with(|account| account.happenings().len()), events);
    let doubled = json!({"scenario": "dunning", "account": "acme", "duplicate": true, "times": 2});
    let doubled = post(&sandbox, "/_sandbox/scenario", &doubled).await.body;
    let told = doubled["events"].as_array().unwrap().len();
    assert_eq!(doubled["deliveries"].as_array().unwrap().len(), 2 * told);

    for (refused, hint) in [
        (json!({"scenario": "duning", "account": "acme"}), "dunning"),
        (json!({"account": "acme"}), "exactly one"),
        (json!({"scenario": "dunning", "account": "ac me"}), "account"),
        (json!({"scenario": "dunning", "account": "acme", "plan": "gold"}), "gold"),
    ] {
        let answer = post(&sandbox, "/_sandbox/scenario", &refused).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.body["error"].as_str().unwrap().contains(hint), "{:?}", answer.body);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn faults_and_plans_are_set_over_http_and_shown() {
    let sandbox = start().await;
    let rule =
        json!({"path": "/v1/customers", "times": 1, "fault": {"kind": "status", "status": 500}});
    let set = post(&sandbox, "/_sandbox/faults", &rule).await;
    assert_eq!(set.body["faults"][0]["times"], 1);
    assert_eq!(form(&sandbox, "/v1/customers", "").await.status.as_u16(), 500);
    assert_eq!(form(&sandbox, "/v1/customers", "").await.status.as_u16(), 200);
    let plan = json!({"losePercent": 10, "apiVersions": ["basil"]});
    let body = plan.to_string();
    let set =
        send(&sandbox, Method::PUT, "/_sandbox/deliveries/plan", (&body, JSON)).await.unwrap();
    assert_eq!(set.body["losePercent"], 10);
    let shown = get(&sandbox, "/_sandbox/deliveries/plan").await.body;
    assert_eq!(shown["apiVersions"], json!(["2025-03-31.basil"]));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn another_site_in_the_browser_can_do_nothing() {
    let sandbox = start().await;
    let body = json!({"advanceS": 60}).to_string();
    for header in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        let headers = [JSON[0], header];
        let answer =
            send(&sandbox, Method::POST, "/_sandbox/clock", (&body, &headers)).await.unwrap();
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{header:?}");
    }
    assert_eq!(sandbox.clock().now(), START);
    sandbox.shutdown().await;
}

async fn remembering(journal: &std::path::Path) -> RunningSandbox {
    let catalog = crate::catalog("sietch");
    let mut options = ServerOptions::new(&catalog, SandboxClock::running(0), 3);
    options.journal = Some(journal.to_owned());
    server::start(options).await.unwrap()
}

/// Everything the API and the events tell.
async fn everything(sandbox: &RunningSandbox) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["customers", "products", "prices", "events", "webhook_endpoints"] {
        all.push(get(sandbox, &format!("/v1/{path}?limit=100")).await.body["data"].clone());
    }
    all
}

#[tokio::test]
async fn an_account_that_is_kept_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    assert_eq!(ahead_of_machine_ms(&journal).unwrap(), 0);
    let first = remembering(&journal).await;
    form(&first, "/v1/customers", "name=One&metadata[a]=b").await;
    get(&first, "/v1/customers").await;
    let secret = first.register("app", "http://127.0.0.1:1/hook").unwrap().secret;
    post(&first, "/_sandbox/clock", &json!({"advanceS": 90_000})).await;
    let headers = [("idempotency-key", "k")];
    send(&first, Method::POST, "/v1/customers", ("name=Two", &headers)).await.unwrap();
    post(&first, "/_sandbox/scenario", &json!({"scenario": "checkout", "account": "acme"})).await;
    first.tell_demo();
    let before = everything(&first).await;
    let now = first.clock().now();
    first.shutdown().await;

    assert_eq!(ahead_of_machine_ms(&journal).unwrap(), 90_000_000);
    // A line that was cut off by a crash is as if it had not been written.
    let mut text = std::fs::read(&journal).unwrap();
    text.extend_from_slice(br#"{"at":1,"ahead"#);
    std::fs::write(&journal, text).unwrap();
    let second = remembering(&journal).await;
    let mut after = everything(&second).await;
    // Whether an event was delivered is not remembered.
    for events in after.iter_mut().zip(&before).filter(|(after, _)| after[0]["object"] == "event") {
        for (after, before) in
            events.0.as_array_mut().unwrap().iter_mut().zip(events.1.as_array().unwrap())
        {
            after["pending_webhooks"] = before["pending_webhooks"].clone();
        }
    }
    assert_eq!(after, before);
    assert!(second.clock().now() >= now);
    assert_eq!(second.attempts(), [], "what was delivered is not delivered again");
    assert_eq!(second.register("app", "http://127.0.0.1:2/hook").unwrap().secret, secret);
    let again = send(&second, Method::POST, "/v1/customers", ("name=Two", &headers)).await.unwrap();
    assert_eq!(again.header("idempotent-replayed"), "true");
    second.shutdown().await;

    std::fs::write(&journal, "no journal\n").unwrap();
    let catalog = crate::catalog("sietch");
    let mut options = ServerOptions::new(&catalog, SandboxClock::running(0), 3);
    options.journal = Some(journal);
    assert!(server::start(options).await.unwrap_err().to_string().contains("line 1"));
}
