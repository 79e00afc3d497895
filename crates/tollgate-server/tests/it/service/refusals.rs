//! What a sender or a caller can get wrong, and what each is told.

use crate::support::{Settings, TestApp, TestDatabase};
use serde_json::json;
use tollgate_server::scope::Scope;

/// Method, path, with a key or with these headers, body; expected status and code.
type Mistake<'a> = (&'a str, &'a str, Option<&'a [(&'a str, &'a str)]>, &'a str, u16, &'a str);

const CHECK: &str = "/api/v1/feature-check";
const TIMELINE: &str = "/api/v1/accounts/a/timeline";

const MISTAKES: [Mistake<'_>; 20] = [
    ("POST", CHECK, Some(&[]), "{}", 401, "key_missing"),
    ("POST", CHECK, Some(&[("x-api-key", "nonsense")]), "{}", 401, "key_invalid"),
    ("POST", CHECK, Some(&[("authorization", "Bearer tg_test_x_y")]), "{}", 401, "key_invalid"),
    ("POST", CHECK, None, "{", 400, "invalid_json"),
    ("POST", CHECK, None, "\u{0}", 400, "invalid_json"),
    ("POST", CHECK, None, "{}", 400, "invalid_request"),
    ("POST", CHECK, None, r#"{"accountId":"a","feature":"x","colour":1}"#, 400, "invalid_request"),
    ("POST", CHECK, None, r#"{"accountId":"a b","feature":"x"}"#, 400, "invalid_request"),
    ("POST", CHECK, None, r#"{"accountId":"a","feature":"teleport"}"#, 400, "unknown_feature"),
    ("POST", CHECK, None, r#"{"accountId":"a","feature":"x","at":"soon"}"#, 400, "invalid_request"),
    ("GET", CHECK, None, "", 405, "method_not_allowed"),
    ("POST", "/api/v1/feature-check/batch", None, r#"{"checks":[]}"#, 400, "invalid_request"),
    ("GET", "/api/v1/entitlements", None, "", 400, "invalid_request"),
    ("GET", "/api/v1/entitlements?accountId=a&colour=red", None, "", 400, "invalid_request"),
    ("GET", "/api/v1/entitlements?accountId=a&tenantId=b", None, "", 400, "invalid_request"),
    ("GET", "/api/v1/accounts/a%20b/timeline", None, "", 400, "invalid_request"),
    ("GET", TIMELINE, Some(&[]), "", 401, "key_missing"),
    ("GET", "/nowhere", None, "", 404, "not_found"),
    ("PUT", "/webhooks/stripe", Some(&[]), "", 405, "method_not_allowed"),
    (
        "POST",
        "/webhooks/stripe",
        Some(&[("content-encoding", "gzip")]),
        "",
        415,
        "unsupported_encoding",
    ),
];

#[tokio::test]
async fn every_mistake_has_its_status_and_code() {
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database).await;
    let key = app.key.clone();
    let with_key = [("x-api-key", key.as_str())];
    let large = "x".repeat(64 * 1024 + 1);
    let span = format!("{TIMELINE}?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z");
    let consume = r#"{"accountId":"a","feature":"weekly_digest","consume":true}"#;
    let late = format!("{TIMELINE}?to=9999-12-31T00:00:00Z");
    let more: [Mistake<'_>; 4] = [
        ("GET", &late, None, "", 400, "invalid_request"),
        ("POST", CHECK, None, &large, 413, "body_too_large"),
        ("POST", CHECK, None, consume, 400, "feature_not_metered"),
        ("GET", &span, None, "", 400, "invalid_request"),
    ];
    for (method, path, headers, body, status, code) in MISTAKES.into_iter().chain(more) {
        let headers = headers.unwrap_or(&with_key);
        let answer = app.request(method, path, headers, body.to_owned()).await;
        let case = format!(
            "{method} {path} {}: {}",
            body.chars().take(60).collect::<String>(),
            answer.text
        );
        assert_eq!(answer.status, status, "{case}");
        assert_eq!(answer.field("code"), code, "{case}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{case}");
        assert_eq!(
            answer.field("requestId"),
            answer.headers["x-request-id"].to_str().unwrap(),
            "{case}"
        );
        assert!(!answer.field("detail").is_empty(), "{case}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_path_that_is_no_text_and_a_limit_out_of_bounds_are_refused_like_all_else() {
    let database = TestDatabase::sqlite();
    let environment = vec![("STRIPE_SECRET_KEY".into(), "sk_test_tollgate_refusals".into())];
    let app = TestApp::start_with(&database, Settings { environment, ..Settings::default() }).await;
    let key = app.make_key(&[Scope::Check, Scope::Billing, Scope::Admin], None).await;
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    for (method, path, field) in [
        ("GET", "/api/v1/accounts/%ff/timeline", "path"),
        ("POST", "/api/v1/billing/checkout/%ff/sync", "path"),
        ("POST", "/admin/duplicates/%ff/resolve", "path"),
        ("PUT", "/admin/accounts/%ff/email", "path"),
        ("GET", "/docs/%ff", "path"),
        ("GET", "/admin/reconcile/runs?limit=0", "limit"),
        ("GET", "/admin/reconcile/runs?limit=9223372036854775808", "limit"),
        ("GET", "/admin/reconcile/runs?limit=-1", "limit"),
        ("GET", "/admin/findings?limit=0", "limit"),
    ] {
        let answer = app.request(method, path, &headers, "{}").await;
        let case = format!("{method} {path}: {}", answer.text);
        assert_eq!(answer.status, 400, "{case}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{case}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{case}");
        assert_eq!(
            answer.field("requestId"),
            answer.headers["x-request-id"].to_str().unwrap(),
            "{case}"
        );
    }
    app.stop().await;
}

/// Every route that takes a JSON body, and one that would do.
const BODIES: [(&str, &str, &str); 12] = [
    ("POST", "/api/v1/feature-check", r#"["acme","weekly_digest",1,false]"#),
    (
        "POST",
        "/api/v1/feature-check/batch",
        r#"[[{"accountId":"acme","feature":"weekly_digest"}]]"#,
    ),
    ("POST", "/api/v1/feature-check/batch", r#"{"checks":[["acme","weekly_digest"]]}"#),
    ("POST", "/api/v1/billing/checkout", r#"["acme","premium"]"#),
    ("POST", "/api/v1/billing/portal", r#"["acme"]"#),
    ("POST", "/api/v1/billing/subscription/change", r#"["acme","premium"]"#),
    ("POST", "/api/v1/billing/subscription/cancel", r#"["acme",true]"#),
    ("POST", "/api/v1/billing/subscription/resume", r#"["acme"]"#),
    ("POST", "/admin/duplicates/acme/resolve", r"[null,false,true]"),
    ("POST", "/admin/relink", r#"["sub_1","acme","she wrote to us"]"#),
    ("POST", "/admin/reconcile", r"[true]"),
    ("PUT", "/admin/accounts/acme/email", r#"["ann@example.com"]"#),
];

#[tokio::test]
async fn an_array_is_no_object() {
    let database = TestDatabase::sqlite();
    let environment = vec![("STRIPE_SECRET_KEY".into(), "sk_test_tollgate_refusals".into())];
    let app = TestApp::start_with(&database, Settings { environment, ..Settings::default() }).await;
    let key = app.make_key(&[Scope::Check, Scope::Billing, Scope::Admin], None).await;
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    for (method, path, body) in BODIES {
        let answer = app.request(method, path, &headers, body).await;
        let case = format!("{method} {path} {body}: {}", answer.text);
        assert_eq!(
            (answer.status, answer.field("code").as_str()),
            (400, "invalid_request"),
            "{case}"
        );
        assert!(answer.text.contains("expected a JSON object"), "{case}");
    }
    for (path, body, field) in [
        (
            "/api/v1/billing/checkout",
            r#"{"accountId":"a","tier":"basic","quantity":-3}"#,
            "quantity",
        ),
        (
            "/api/v1/feature-check",
            r#"{"accountId":"a","feature":"x","requestedUsage":"1"}"#,
            "requestedUsage",
        ),
        (
            "/api/v1/feature-check/batch",
            r#"{"checks":[{"accountId":"a","feature":"x","consume":1}]}"#,
            "checks[0].consume",
        ),
    ] {
        let answer = app.request("POST", path, &headers, body).await;
        assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_webhook_body_may_have_a_mebibyte_and_no_more() {
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database).await;
    let at_limit = app.deliver(&"x".repeat(1024 * 1024)).await;
    assert_eq!((at_limit.status, at_limit.field("status").as_str()), (200, "failed"));
    let beyond = app.deliver(&"x".repeat(1024 * 1024 + 1)).await;
    assert_eq!((beyond.status, beyond.field("code").as_str()), (413, "body_too_large"));
    app.stop().await;
}

#[tokio::test]
async fn a_key_may_what_its_scopes_and_its_account_say() {
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database).await;
    let nothing = app.make_key(&[], None).await;
    let usage = app.make_key(&[Scope::Usage], None).await;
    let bound = app.make_key(&[Scope::Check], Some("acme")).await;
    let ask = |account: &str| json!({"accountId": account, "feature": "weekly_digest"}).to_string();
    for (key, account, status, code) in [
        (&nothing, "acme", 403, "scope_missing"),
        (&usage, "acme", 403, "scope_missing"),
        (&bound, "globex", 403, "account_forbidden"),
        (&bound, "acme", 200, ""),
    ] {
        let headers = [("x-api-key", key.as_str())];
        let answer = app.request("POST", "/api/check", &headers, ask(account)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status != 200 {
            assert_eq!(answer.field("code"), code);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn public_routes_are_limited_and_say_so() {
    let database = TestDatabase::sqlite();
    let settings = Settings {
        environment: vec![("TOLLGATE__RATE__PUBLIC_PER_MIN".into(), "3".into())],
        ..Settings::default()
    };
    let app = TestApp::start_with(&database, settings).await;
    for left in [2, 1, 0] {
        let answer = app.request("GET", "/api/v1/plans", &[], "").await;
        assert_eq!(answer.status, 200);
        let header = answer.headers["ratelimit"].to_str().unwrap();
        assert!(header.starts_with(&format!("\"public\";r={left}")), "{header}");
    }
    let refused = app.request("GET", "/api/v1/plans", &[], "").await;
    assert_eq!((refused.status, refused.field("code").as_str()), (429, "rate_limited"));
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.headers.contains_key("ratelimit-policy"));
    // A caller cannot escape by claiming to be a proxy.
    let forged = app.request("GET", "/api/v1/plans", &[("x-forwarded-for", "10.1.2.3")], "").await;
    assert_eq!(forged.status, 429);
    app.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_a_caller_cannot_write_itself_another_address() {
    let database = TestDatabase::sqlite();
    let environment = vec![
        ("TOLLGATE__RATE__PUBLIC_PER_MIN".into(), "3".into()),
        ("TOLLGATE__HTTP__TRUSTED_PROXIES".into(), "127.0.0.0/8".into()),
    ];
    let app = TestApp::start_with(&database, Settings { environment, ..Settings::default() }).await;
    let mut admitted = 0;
    for number in 0..12 {
        // The proxy appends whom it got the request from to what the client wrote.
        let written = format!("203.0.113.{number}, x{number}, 192.0.2.1");
        let headers = [("x-forwarded-for", written.as_str()), ("forwarded", "for=203.0.113.1")];
        let answer = app.request("GET", "/api/v1/plans", &headers, "").await;
        admitted += u32::from(answer.status == 200);
    }
    assert_eq!(admitted, 3);
    let other = app.request("GET", "/api/v1/plans", &[("x-forwarded-for", "192.0.2.2")], "").await;
    assert_eq!(other.status, 200, "another client has a quota of its own");
    app.stop().await;
}

#[tokio::test]
async fn without_a_secret_events_are_refused_so_that_stripe_keeps_them() {
    let database = TestDatabase::sqlite();
    let mut config = crate::support::config(&database.url(), &Settings::default());
    config.webhook_secrets.clear();
    let clock = tollgate_server::clock::Clock::System;
    let running = tollgate_server::run::start(config, clock).await.unwrap();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http();
    let url = format!("http://{}/webhooks/stripe", running.address);
    let answer = crate::support::send(&client, "POST", &url, &[], "{}".into()).await;
    assert_eq!((answer.status, answer.field("code").as_str()), (503, "webhook_not_configured"));
    assert!(answer.headers.contains_key("retry-after"));
    running.shutdown(tollgate_server::run::Leave::AtOnce).await;
}
