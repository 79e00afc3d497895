//! Strangers: whoever asks without a key or signs without the secret, and often. They are told to
//! wait; nobody else is, not even from the same address.

use serde_json::json;
use tollgate_server::scope::Scope;

use crate::support::{Answer, SECRET, Settings, TestApp, TestDatabase};

const CHECK: &str = "/api/v1/feature-check";
const WEBHOOK: &str = "/webhooks/stripe";

/// A server with these quotas.
async fn limited(quotas: &[(&str, &str)]) -> (TestDatabase, TestApp) {
    let database = TestDatabase::sqlite();
    let mut environment =
        vec![("TOLLGATE__HTTP__TRUSTED_PROXIES".to_owned(), "127.0.0.0/8".to_owned())];
    let variable = |name: &str| format!("TOLLGATE__RATE__{name}_PER_MIN");
    environment.extend(quotas.iter().map(|(name, quota)| (variable(name), (*quota).to_owned())));
    let app = TestApp::start_with(&database, Settings { environment, ..Settings::default() }).await;
    (database, app)
}

fn outcome(answer: &Answer) -> (u16, String) {
    let refused = answer.status >= 400;
    (answer.status, if refused { answer.field("code") } else { String::new() })
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The value of one counter.
async fn counted(app: &TestApp, counter: &str) -> u64 {
    let shown = app.request("GET", "/metrics", &[], "").await.text;
    let line = shown.lines().find(|line| line.starts_with(counter));
    line.and_then(|line| line.rsplit_once(' '))
        .map_or(0, |(_, value)| value.parse().expect("a count"))
}

/// A check from an address, by what is sent as the key.
async fn check_from(app: &TestApp, address: &str, key: Option<&str>) -> Answer {
    let mut headers = vec![("x-forwarded-for", address), ("content-type", "application/json")];
    headers.extend(key.map(|key| ("x-api-key", key)));
    let ask = json!({"accountId": "acme", "feature": "weekly_digest"});
    app.request("POST", CHECK, &headers, ask.to_string()).await
}

#[tokio::test]
async fn an_address_that_guesses_keys_is_told_to_wait_and_valid_keys_are_not() {
    let (_database, app) = limited(&[("UNAUTHORIZED", "3")]).await;
    let unknown = app.key.replace("tg_test_", "tg_test_x");
    let address = "192.0.2.1";
    assert_eq!(check_from(&app, address, Some(&app.key)).await.status, 200);
    for (key, code) in [
        (None, "key_missing"),
        (Some("nonsense"), "key_invalid"),
        (Some(unknown.as_str()), "key_invalid"),
    ] {
        assert_eq!(outcome(&check_from(&app, address, key).await), refused(401, code));
    }
    for key in [None, Some("nonsense"), Some(unknown.as_str())] {
        let answer = check_from(&app, address, key).await;
        assert_eq!(outcome(&answer), refused(429, "rate_limited"));
        let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(answer.headers["ratelimit-policy"], "\"unauthorized\";q=3;w=60");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(counted(&app, "tollgate_rate_limited_total{reason=\"unauthorized\"}").await, 3);
    // Keys that are valid are none of this, not even one that was made just now.
    assert_eq!(check_from(&app, address, Some(&app.key)).await.status, 200);
    let made = app.make_key(&[Scope::Check], None).await;
    assert_eq!(check_from(&app, address, Some(&made)).await.status, 200);
    // Nor is another address.
    let other = check_from(&app, "192.0.2.2", Some("nonsense")).await;
    assert_eq!(outcome(&other), refused(401, "key_invalid"));
    app.stop().await;
}

#[tokio::test]
async fn a_right_signature_passes_however_many_wrong_ones_came_before() {
    let (_database, app) = limited(&[("BAD_SIGNATURES", "3")]).await;
    let events = app.scenario("checkout", "acme");
    let forged = format!("t={},v1={}", app.now().unix_seconds(), "0".repeat(64));
    let from = |signature: String, address: &'static str, body: String| {
        let app = &app;
        async move {
            let headers = [("stripe-signature", signature.as_str()), ("x-forwarded-for", address)];
            app.request("POST", WEBHOOK, &headers, body).await
        }
    };
    for signature in ["", "t=1", forged.as_str()] {
        let answer = from(signature.to_owned(), "192.0.2.1", events[0].body.clone()).await;
        assert_eq!(outcome(&answer), refused(400, "invalid_signature"));
    }
    for signature in ["", forged.as_str()] {
        let answer = from(signature.to_owned(), "192.0.2.1", events[0].body.clone()).await;
        assert_eq!(outcome(&answer), refused(429, "rate_limited"));
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(counted(&app, "tollgate_rate_limited_total{reason=\"bad_signatures\"}").await, 2);
    // Why they were refused is counted all the same.
    assert_eq!(counted(&app, "tollgate_webhooks_refused_total{reason=\"mismatch\"}").await, 2);
    let secret = tollgate_stripe::SigningSecret::parse(SECRET, "test").unwrap();
    for event in &events {
        let right = tollgate_stripe::sign(&secret, event.body.as_bytes(), app.now());
        let answer = from(right, "192.0.2.1", event.body.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let elsewhere = from(forged, "192.0.2.2", events[0].body.clone()).await;
    assert_eq!(outcome(&elsewhere), refused(400, "invalid_signature"));
    app.stop().await;
}

#[tokio::test]
async fn whatever_needs_no_key_has_a_quota_but_for_what_load_balancers_ask() {
    let (_database, app) = limited(&[("PUBLIC", "2"), ("HEALTH", "2")]).await;
    let alone = [
        "/health",
        "/openapi.json",
        "/docs",
        "/docs/docs.js",
        "/docs/errors",
        "/",
        "/api/v1/plans",
        "/api/features",
        "/metrics",
    ];
    for (number, path) in alone.into_iter().enumerate() {
        let address = format!("192.0.2.{number}");
        let from = [("x-forwarded-for", address.as_str())];
        for left in [1, 0] {
            let answer = app.request("GET", path, &from, "").await;
            assert!(answer.status < 400, "{path}: {}", answer.text);
            let told = answer.headers["ratelimit"].to_str().unwrap();
            assert!(told.contains(&format!("r={left};")), "{path}: {told}");
        }
        let answer = app.request("GET", path, &from, "").await;
        assert_eq!(outcome(&answer), refused(429, "rate_limited"), "{path}");
        assert!(answer.headers.contains_key("retry-after"), "{path}");
        // Asked in another way it is the same.
        assert_eq!(app.request("POST", path, &from, "").await.status, 429, "{path}");
        for probe in ["/livez", "/readyz"] {
            assert_eq!(app.request("GET", probe, &from, "").await.status, 200, "{probe}");
        }
    }
    // Whoever reads plans takes nothing from whoever watches.
    let from = [("x-forwarded-for", "192.0.2.6")];
    assert_eq!(app.request("GET", "/health", &from, "").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn addresses_of_one_ipv6_network_have_one_quota() {
    let (_database, app) = limited(&[("PUBLIC", "2")]).await;
    let from = |address: &'static str| {
        let app = &app;
        async move {
            app.request("GET", "/api/v1/plans", &[("x-forwarded-for", address)], "").await.status
        }
    };
    assert_eq!(from("2001:db8:0:1::1").await, 200);
    assert_eq!(from("2001:db8:0:1:ffff::2").await, 200);
    assert_eq!(from("2001:db8:0:1::3").await, 429);
    assert_eq!(from("2001:db8:0:2::1").await, 200, "another network");
    // As a dual-stack socket sees IPv4: each address for itself.
    assert_eq!(from("::ffff:192.0.2.1").await, 200);
    assert_eq!(from("192.0.2.1").await, 200);
    assert_eq!(from("::ffff:192.0.2.1").await, 429);
    assert_eq!(from("::ffff:192.0.2.2").await, 200);
    app.stop().await;
}
