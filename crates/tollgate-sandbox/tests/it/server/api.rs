//! The API over HTTP: heads, keys, versions, the clock in the reply.

use std::time::Duration;

use http::{Method, StatusCode};

use tollgate_sandbox::sandbox::{Sandbox, SandboxOptions};

use super::support::{START, form, get, send, start};

#[tokio::test]
async fn a_call_is_answered_with_stripes_headers_and_the_sandboxs_time() {
    let sandbox = start().await;
    let headers = [("idempotency-key", "k1"), ("stripe-version", "2026-05-27.dahlia")];
    let first =
        send(&sandbox, Method::POST, "/v1/customers", ("name=Acme", &headers)).await.unwrap();
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header("date"), "Sat, 31 Oct 2026 12:00:00 GMT");
    assert_eq!(first.header("stripe-version"), "2026-05-27.dahlia");
    assert_eq!(first.header("idempotency-key"), "k1");
    assert_eq!(first.header("content-type"), "application/json");
    assert!(first.header("request-id").starts_with("req_"));
    assert_eq!(first.header("idempotent-replayed"), "");

    let again =
        send(&sandbox, Method::POST, "/v1/customers", ("name=Acme", &headers)).await.unwrap();
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.body, first.body);

    sandbox.advance(Duration::from_hours(25));
    let later = get(&sandbox, "/v1/customers?limit=1").await;
    assert_eq!(later.header("date"), "Sun, 01 Nov 2026 13:00:00 GMT");
    assert_eq!(later.body["data"][0]["created"], START.unix_seconds());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_connected_accounts_objects_are_shown_to_requests_that_name_it() {
    let sandbox = start().await;
    let now = START.unix_seconds();
    let other = Sandbox::new(SandboxOptions { seed: 8, now, ..SandboxOptions::default() });
    let account = sandbox.connect(other);
    let named = [("stripe-account", account.as_str())];
    let made = send(&sandbox, Method::POST, "/v1/customers", ("name=Acme", &named)).await.unwrap();
    let path = format!("/v1/customers/{}", made.body["id"].as_str().unwrap());
    let shown = send(&sandbox, Method::GET, &path, ("", &named)).await.unwrap();
    assert_eq!(shown.body, made.body);
    let hidden = get(&sandbox, &path).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    assert_eq!(hidden.body["error"]["code"], "resource_missing");
    assert_eq!(get(&sandbox, "/v1/customers").await.body["data"].as_array().map(Vec::len), Some(0));
    // Its own name opens it, too; any other one nothing.
    let own = get(&sandbox, "/v1/account").await.body["id"].as_str().unwrap().to_owned();
    let own = [("stripe-account", own.as_str())];
    let hidden = send(&sandbox, Method::GET, &path, ("", &own)).await.unwrap();
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    sandbox.disconnect(&account);
    let closed = send(&sandbox, Method::GET, &path, ("", &named)).await.unwrap();
    assert_eq!(closed.status, StatusCode::FORBIDDEN);
    assert_eq!(closed.body["error"]["code"], "account_invalid");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_is_no_request_of_stripes_is_refused_in_stripes_shape() {
    let sandbox = start().await;
    for (headers, status) in [
        (("authorization", "Basic eDo="), StatusCode::UNAUTHORIZED),
        (("authorization", "Bearer sk_live_abc"), StatusCode::UNAUTHORIZED),
        (("stripe-version", "yesterday"), StatusCode::BAD_REQUEST),
        (("idempotency-key", ""), StatusCode::BAD_REQUEST),
    ] {
        let mut request = http::Request::get(format!("{}/v1/customers", sandbox.url()));
        if headers.0 != "authorization" {
            request = request.header("authorization", "Bearer sk_test_1");
        }
        let request = request.header(headers.0, headers.1);
        let answer = raw(request).await;
        assert_eq!(answer.0, status, "{headers:?}");
        assert_eq!(answer.1["error"]["type"], "invalid_request_error", "{headers:?}");
    }
    let missing = get(&sandbox, "/v1/nothing").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let bad = form(&sandbox, "/v1/customers", "a[b=1").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let large = "a".repeat(1024 * 1024 + 1);
    let large = form(&sandbox, "/v1/customers", &large).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    sandbox.shutdown().await;
}

async fn raw(request: http::request::Builder) -> (StatusCode, serde_json::Value) {
    use http_body_util::BodyExt as _;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Empty<bytes::Bytes>>();
    let response =
        client.request(request.body(http_body_util::Empty::new()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn pages_of_other_sites_and_other_names_of_this_machine_are_kept_out() {
    let sandbox = start().await;
    let rebound = [("host", "rebound.example")];
    let other = [("origin", "https://other.example")];
    let navigated = [("sec-fetch-site", "cross-site")];
    for headers in [&rebound, &other, &navigated] {
        for path in ["/v1/events", "/v2/core/events", "/v1/customers/search"] {
            let answer = send(&sandbox, Method::GET, path, ("", headers)).await.unwrap();
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        }
    }
    assert_eq!(get(&sandbox, "/v1/events").await.status, StatusCode::OK, "a program");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_portal_leads_back_to_web_addresses_only() {
    let sandbox = start().await;
    let customer = form(&sandbox, "/v1/customers", "name=Acme").await;
    let customer = customer.body["id"].as_str().unwrap().to_owned();
    for (back, status) in [
        ("https://app.example/billing", StatusCode::OK),
        ("javascript:alert(1)", StatusCode::BAD_REQUEST),
        ("//other.example", StatusCode::BAD_REQUEST),
    ] {
        let body = format!("customer={customer}&return_url={back}");
        let made = form(&sandbox, "/v1/billing_portal/sessions", &body).await;
        assert_eq!(made.status, status, "{back}: {:?}", made.body);
    }
    sandbox.shutdown().await;
}
