//! Peers that are slow, silent or malicious, on raw sockets; and bytes that mean nothing.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Settings, TestApp, TestDatabase};

async fn impatient(database: &TestDatabase) -> TestApp {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = vec![
        variable("TOLLGATE__HTTP__HEADER_TIMEOUT_MS", "300"),
        variable("TOLLGATE__HTTP__KEEP_ALIVE_MS", "4000"),
        variable("TOLLGATE__HTTP__REQUEST_TIMEOUT_MS", "1000"),
    ];
    TestApp::start_with(database, Settings { environment, ..Settings::default() }).await
}

/// Sends bytes, then nothing; returns what came back and after how long the peer hung up.
async fn talk(app: &TestApp, bytes: &[u8]) -> (String, Duration) {
    let mut stream = TcpStream::connect(app.running.address).await.expect("a connection");
    let begun = Instant::now();
    stream.write_all(bytes).await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test]
async fn half_a_head_and_half_a_body_do_not_hold_a_connection() {
    let database = TestDatabase::sqlite();
    let app = impatient(&database).await;
    let (_, elapsed) = talk(&app, b"GET /livez HTTP/1.1\r\nHost: a\r\n").await;
    assert!(
        elapsed >= Duration::from_millis(250) && elapsed < Duration::from_millis(3_500),
        "{elapsed:?}"
    );
    let (answer, elapsed) = talk(&app, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        elapsed >= Duration::from_millis(3_900) && elapsed < Duration::from_secs(12),
        "idle: {elapsed:?}"
    );
    let body = b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf";
    let (answer, elapsed) = talk(&app, body).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"timeout\""), "{answer}");
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
    app.stop().await;
}

#[tokio::test]
async fn ambiguous_and_oversized_requests_are_refused() {
    let database = TestDatabase::sqlite();
    let app = impatient(&database).await;
    let smuggled = b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let (answer, _) = talk(&app, smuggled).await;
    assert!(!answer.contains("ok\n"), "a second request came out of the body: {answer}");
    let mut huge = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: ".to_vec();
    huge.extend(std::iter::repeat_n(b'a', 1024 * 1024));
    huge.extend(b"\r\n\r\n");
    let (answer, _) = talk(&app, &huge).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{}", answer.chars().take(80).collect::<String>());
    assert_eq!(app.request("GET", "/livez", &[], "").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_stop_lets_open_requests_finish() {
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database).await;
    let events = app.scenario("checkout", "acme");
    let base = app.base.clone();
    let before = app.deliver(&events[0].body).await;
    assert_eq!(before.status, 200);
    app.stop().await;
    let address = base.trim_start_matches("http://");
    assert!(TcpStream::connect(address).await.is_err(), "still listening");
}

#[test]
fn no_bytes_make_the_interface_panic_or_fail() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = TestDatabase::sqlite();
    let app = runtime.block_on(TestApp::start(&database));
    let routes = ["/api/v1/feature-check", "/api/v1/feature-check/batch"];
    let json = prop_oneof![
        any::<Vec<u8>>(),
        "[ -~]{0,60}".prop_map(String::into_bytes),
        ("[a-z_]{0,12}", "[ -~]{0,20}").prop_map(|(k, v)| format!(
            "{{\"accountId\":{v:?},\"{k}\":{v:?},\"feature\":\"weekly_digest\"}}"
        )
        .into_bytes()),
    ];
    let query = "[ -~]{0,60}"
        .prop_map(|text| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&(json, query, "[ -~]{0,80}"), |(body, query, signature)| {
            runtime.block_on(async {
                for route in routes {
                    let headers = [("x-api-key", app.key.as_str())];
                    let answer = app.request("POST", route, &headers, body.clone()).await;
                    prop_assert!(answer.status < 500, "{} {}", answer.status, answer.text);
                }
                let headers = [("stripe-signature", signature.trim())];
                let answer = app.request("POST", "/webhooks/stripe", &headers, body.clone()).await;
                prop_assert_eq!(answer.status, 400);
                let text = String::from_utf8_lossy(&body).into_owned();
                let answer = app.deliver(&text).await;
                prop_assert_eq!(answer.status, 200, "{}", answer.text);
                let path = format!("/api/v1/entitlements?{query}");
                let answer = app.get(&path).await;
                prop_assert!(answer.status < 500, "{} {}", path, answer.text);
                Ok(())
            })
        })
        .expect("no bytes do harm");
    runtime.block_on(app.stop());
}
