//! Scripted faults: what a client sees, and whether the request took effect.

use std::time::Duration;

use http::{Method, StatusCode};
use tollgate_sandbox::server::{Fault, FaultRule, RunningSandbox};

use super::support::{form, get, send, start};

async fn count(sandbox: &RunningSandbox) -> usize {
    let list = get(sandbox, "/v1/customers?limit=100").await;
    list.body["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn scripted_errors_look_like_stripes_and_come_as_often_as_asked() {
    let sandbox = start().await;
    let fault =
        Fault::Status { status: 429, code: None, should_retry: Some(true), accepted: false };
    assert!(sandbox.add_fault(FaultRule::new("/v1/customers", 2, fault)));
    for _ in 0..2 {
        let refused = form(&sandbox, "/v1/customers", "").await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.header("stripe-should-retry"), "true");
        assert_eq!(refused.header("stripe-rate-limited-reason"), "endpoint-rate");
        assert_eq!(refused.body["error"]["code"], "rate_limit");
    }
    assert_eq!(form(&sandbox, "/v1/customers", "").await.status, StatusCode::OK);
    assert_eq!(count(&sandbox).await, 1);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_connection_is_cut_before_or_after_the_effect() {
    let sandbox = start().await;
    for (accepted, expected) in [(false, 0), (true, 1)] {
        sandbox.add_fault(FaultRule::new("/v1/customers", 1, Fault::Cut { accepted }));
        let cut = send(&sandbox, Method::POST, "/v1/customers", ("", &[])).await;
        assert!(cut.is_err(), "{cut:?}");
        assert_eq!(count(&sandbox).await, expected);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_request_that_is_never_answered_may_have_taken_effect() {
    let sandbox = start().await;
    for (accepted, expected) in [(false, 0), (true, 1)] {
        sandbox.add_fault(FaultRule::new("/v1/customers", 1, Fault::Timeout { accepted }));
        let request = send(&sandbox, Method::POST, "/v1/customers", ("", &[]));
        let answer = tokio::time::timeout(Duration::from_millis(300), request).await;
        assert!(answer.is_err(), "{answer:?}");
        assert_eq!(count(&sandbox).await, expected);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_outage_begins_and_ends_by_the_sandboxs_clock() {
    let sandbox = start().await;
    let now = sandbox.clock().now().unix_seconds();
    let fault = Fault::Status { status: 503, code: None, should_retry: None, accepted: false };
    let outage = FaultRule {
        times: None,
        from: Some(now + 60),
        until: Some(now + 120),
        ..FaultRule::new("*", 0, fault)
    };
    sandbox.add_fault(outage);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(get(&sandbox, "/v1/customers").await.status.as_u16());
        sandbox.advance(Duration::from_mins(1));
    }
    assert_eq!(statuses, [200, 503, 200]);
    sandbox.shutdown().await;
}
