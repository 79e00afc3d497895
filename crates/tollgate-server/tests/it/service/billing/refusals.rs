//! What stands in the way of a purchase, and what each is told.

use serde_json::{Value, json};
use tollgate_server::scope::Scope;

use super::shop::Shop;
use crate::support::{Answer, Settings, TestApp, TestDatabase};

const CHECKOUT: &str = "/api/v1/billing/checkout";

fn asking(changes: &[(&str, Value)]) -> Value {
    let mut asking = Shop::asking("acme", "premium");
    for (name, value) in changes {
        asking[*name] = value.clone();
    }
    asking
}

async fn refused(app: &TestApp, body: &Value, status: u16, code: &str) {
    let answer = app.post(CHECKOUT, body).await;
    assert_eq!((answer.status, answer.field("code")), (status, code.to_owned()), "{}", answer.text);
}

#[tokio::test]
async fn every_purchase_that_cannot_be_made_has_its_code() {
    let database = TestDatabase::sqlite();
    let shop = Shop::open(&database).await;
    for (field, value, code) in [
        ("successUrl", json!("https://evil.test/x"), "redirect_not_allowed"),
        ("cancelUrl", json!("javascript:alert(1)"), "redirect_not_allowed"),
        ("tier", json!("gold"), "unknown_plan"),
        ("tier", json!("enterprise"), "plan_not_self_serve"),
        ("tier", json!("starter"), "plan_not_self_serve"),
        ("interval", json!("once"), "interval_not_offered"),
        ("interval", json!("weekly"), "invalid_request"),
        ("quantity", json!(0), "invalid_request"),
        ("email", json!("nobody"), "invalid_request"),
        ("accountId", json!("a b"), "invalid_request"),
        ("colour", json!("red"), "invalid_request"),
    ] {
        refused(&shop.app, &asking(&[(field, value)]), 400, code).await;
    }
    assert!(shop.customers("acme").is_empty(), "nothing was begun at Stripe");
    shop.close().await;
}

#[tokio::test]
async fn keys_need_the_scope_and_stay_with_their_account() {
    let database = TestDatabase::sqlite();
    let shop = Shop::open(&database).await;
    for (scope, account, code) in [
        (Scope::Check, None, "scope_missing"),
        (Scope::Billing, Some("other"), "account_forbidden"),
    ] {
        let key = shop.app.make_key(&[scope], account).await;
        let headers = [("x-api-key", key.as_str())];
        let body = asking(&[]).to_string();
        let answer = shop.app.request("POST", CHECKOUT, &headers, body).await;
        assert_eq!((answer.status, answer.field("code")), (403, code.to_owned()));
        let portal = "/api/v1/billing/portal?accountId=acme";
        let answer = shop.app.request("GET", portal, &headers, "").await;
        assert_eq!((answer.status, answer.field("code")), (403, code.to_owned()));
    }
    shop.close().await;
}

#[tokio::test]
async fn without_a_key_or_with_billing_off_the_routes_say_so() {
    for (environment, code) in
        [(Vec::new(), "config_missing"), (vec![("ENABLE_BILLING", "false")], "billing_disabled")]
    {
        let database = TestDatabase::sqlite();
        let environment = environment
            .into_iter()
            .map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned()))
            .collect();
        let settings = Settings { environment, ..Settings::default() };
        let mut app = TestApp::start_with(&database, settings).await;
        app.key = app.make_key(&[Scope::Billing], None).await;
        refused(&app, &asking(&[]), 503, code).await;
        if code == "billing_disabled" {
            // Every route of billing is closed, and the webhook is not.
            for path in ["subscription", "invoices", "portal"] {
                let answer = app.get(&format!("/api/v1/billing/{path}?accountId=acme")).await;
                assert_eq!((answer.status, answer.field("code")), (503, code.to_owned()), "{path}");
            }
            let events = app.scenario("checkout", "acme");
            let statuses = app.deliver_all(&events).await;
            assert!(statuses.iter().any(|status| status == "processed"), "{statuses:?}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn sessions_that_are_of_no_use_have_their_codes() {
    let database = TestDatabase::sqlite();
    let shop = Shop::open(&database).await;
    for (session, status, code) in [
        ("cs_test_nothing", 404, "checkout_session_not_found"),
        ("cs_live_123", 409, "wrong_key_mode"),
        ("a%20b", 400, "invalid_request"),
    ] {
        let answer = shop.sync(session).await;
        assert_eq!((answer.status, answer.field("code")), (status, code.to_owned()));
    }
    let session = shop.session("acme", "premium").await;
    let answer = shop.sync(&session).await;
    assert_eq!((answer.status, answer.field("status")), (200, "open".to_owned()));
    shop.advance(std::time::Duration::from_hours(24));
    let answer = shop.sync(&session).await;
    assert_eq!((answer.status, answer.field("code")), (410, "checkout_session_expired".to_owned()));
    assert_ne!(shop.session("acme", "premium").await, session);
    shop.close().await;
}

#[tokio::test]
async fn prices_that_do_not_fit_the_catalog_have_their_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.toml");
    let text = r#"
        [catalog]
        currency = "eur"
        default_plan = "free"
        upgrade_url = "/up"
        [features.reports]
        [[plans]]
        id = "free"
        rank = 0
        [[plans]]
        id = "premium"
        rank = 1
        monthly = 3500
        lookup_keys = ["sietch_premium_monthly"]
        features = ["reports"]
        [[plans]]
        id = "unmapped"
        rank = 2
        monthly = 9900
        [[plans]]
        id = "elsewhere"
        rank = 3
        monthly = 9900
        stripe_prices = ["price_nobody_has"]
    "#;
    std::fs::write(&path, text).expect("a file");
    let database = TestDatabase::sqlite();
    let catalog = Some(path.to_string_lossy().into_owned());
    let shop = Shop::open_selling(&database, catalog).await;
    refused(&shop.app, &asking(&[]), 409, "price_currency_mismatch").await;
    let unmapped = asking(&[("tier", json!("unmapped"))]);
    refused(&shop.app, &unmapped, 503, "price_mapping_missing").await;
    let elsewhere = asking(&[("tier", json!("elsewhere"))]);
    refused(&shop.app, &elsewhere, 503, "missing_price_id").await;
    shop.close().await;
}

#[tokio::test]
async fn the_allow_list_is_what_counts() {
    let database = TestDatabase::sqlite();
    let rules = "https://app.example.com,https://*.example.org/pay";
    let environment = vec![("TOLLGATE__BILLING__REDIRECT_ALLOW".to_owned(), rules.to_owned())];
    let shop = Shop::open_with(&database, environment).await;
    refused(&shop.app, &asking(&[]), 400, "redirect_not_allowed").await;
    let good = asking(&[
        ("successUrl", json!("https://app.example.com/done?s={CHECKOUT_SESSION_ID}")),
        ("cancelUrl", json!("https://eu.example.org/pay/back")),
    ]);
    let answer = shop.app.post(CHECKOUT, &good).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    shop.close().await;
}

/// What a caller is told, without what differs between any two requests.
fn told(answer: &Answer) -> (u16, Vec<String>, Value) {
    let mut body = answer.json();
    body["requestId"] = Value::Null;
    let names = answer.headers.keys().map(ToString::to_string).collect();
    (answer.status, names, body)
}

#[tokio::test]
async fn a_bound_key_cannot_tell_anothers_session_from_none() {
    let database = TestDatabase::sqlite();
    let mut shop = Shop::open(&database).await;
    let open = shop.session("acme", "premium").await;
    let paid = shop.session("globex", "basic").await;
    shop.pay(&paid);
    shop.deliver_events().await;
    let (bound, free) = (
        shop.app.make_key(&[Scope::Billing], Some("other")).await,
        shop.app.make_key(&[Scope::Billing], None).await,
    );
    let asked_of_stripe = async || -> u64 {
        let shown = shop.app.get("/metrics").await.text;
        let calls =
            shown.lines().filter(|line| line.starts_with("tollgate_stripe_requests_total{"));
        let counts = calls.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        counts.sum()
    };
    let sync = async |session: &str, key: &str| {
        let path = format!("{CHECKOUT}/{session}/sync");
        shop.app.request("POST", &path, &[("x-api-key", key)], "").await
    };
    let before = asked_of_stripe().await;
    let none = told(&sync("cs_test_nothing", &bound).await);
    assert_eq!((none.0, &none.2["code"]), (404, &json!("checkout_session_not_found")));
    assert_eq!(told(&sync(&open, &bound).await), none, "one that is open");
    assert_eq!(told(&sync(&paid, &bound).await), none, "one that is paid");
    assert_eq!(
        told(&sync("cs_test_nothing", &free).await),
        none,
        "nor does it look like a refusal"
    );
    // Each cost one request to Stripe, so the time tells nothing either.
    assert_eq!(asked_of_stripe().await, before + 4);
    assert_eq!(sync(&open, &free).await.status, 200);
    shop.close().await;
}
