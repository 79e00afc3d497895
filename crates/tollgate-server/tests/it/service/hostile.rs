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
    let signed = format!("Stripe-Signature: t=1,v1={}", "0".repeat(64));
    let body = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\n{signed}\r\nContent-Length: 100\r\n\r\nhalf"
    );
    let (answer, elapsed) = talk(&app, body.as_bytes()).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_twice_or_encoded_is_refused_whatever_it_asks_for() {
    let database = TestDatabase::sqlite();
    let app = impatient(&database).await;
    let of = |head: &str| format!("GET /api/v1/plans HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
    let long = |bytes| format!("Host: a\r\nX-Long: {}\r\n", "x".repeat(bytes));
    for (head, status) in [
        ("Host: a\r\n", "200"),
        ("Host: a\r\nContent-Encoding: identity\r\n", "200"),
        ("", "400"),
        ("Host: a\r\nHost: b\r\n", "400"),
        ("Host: a\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y\r\n", "400"),
        ("Host: a\r\nX-API-Key: x\r\nX-API-Key: y\r\n", "400"),
        ("Host: a\r\nStripe-Signature: t=1\r\nStripe-Signature: t=2\r\n", "400"),
        ("Host: a\r\nContent-Encoding: gzip\r\n", "415"),
        (&long(31_000), "200"),
        (&long(33_000), "431"),
        (&long(60_000), "431"),
    ] {
        let (answer, _) = talk(&app, of(head).as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head:?}: {answer}");
        // What fills the buffer before it is whole is refused by whoever reads it, without words.
        let read = status != "200" && head.len() < 40_000;
        assert!(!read || answer.contains("application/problem+json"), "{answer}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_before_the_body_was_read_says_that_the_connection_ends() {
    let (_database, app) = small(&[]).await;
    let head = |path: &str, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{more}Content-Length: 2\r\n\r\n"
        )
    };
    for (path, more) in
        [("/api/v1/feature-check", ""), ("/webhooks/stripe", "Stripe-Signature: none\r\n")]
    {
        let mut stream = TcpStream::connect(app.running.address).await.expect("a connection");
        // The body comes once the refusal is there.
        answered(&mut stream, head(path, more).as_bytes(), "connection: close").await.expect(path);
    }
    // One that came whole with its head is read away, and leaves the connection to the next.
    let mut stream = TcpStream::connect(app.running.address).await.expect("a connection");
    let refused = [head("/api/v1/feature-check", ""), "{}".to_owned()].concat();
    for _ in 0..2 {
        answered(&mut stream, refused.as_bytes(), "key_missing").await.expect("an answer");
    }
    // So does one that was read.
    let mut stream = TcpStream::connect(app.running.address).await.expect("a connection");
    let whole = [
        head("/api/v1/feature-check", &format!("Authorization: Bearer {}\r\n", app.key)),
        "{}".to_owned(),
    ]
    .concat();
    for _ in 0..2 {
        answered(&mut stream, whole.as_bytes(), "}").await.expect("an answer");
    }
    app.stop().await;
}

/// A server with few connections, whose other limits are far away.
async fn small(extra: &[(&str, &str)]) -> (TestDatabase, TestApp) {
    let database = TestDatabase::sqlite();
    let mut environment = vec![
        ("TOLLGATE__HTTP__HEADER_TIMEOUT_MS".to_owned(), "60000".to_owned()),
        ("TOLLGATE__HTTP__CONNECTIONS_MAX".to_owned(), "4".to_owned()),
        ("TOLLGATE__RATE__PUBLIC_PER_MIN".to_owned(), "none".to_owned()),
    ];
    environment.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let app = TestApp::start_with(&database, Settings { environment, ..Settings::default() }).await;
    (database, app)
}

const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
const PLANS: &[u8] = b"GET /api/v1/plans HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends bytes and reads until the answer contains a text; what came instead where it never does.
async fn answered(stream: &mut TcpStream, bytes: &[u8], part: &str) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if text.contains(part) {
            return Ok(());
        }
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
        match read {
            Ok(Ok(count)) if count > 0 => answer.extend_from_slice(&piece[..count]),
            _ => return Err(text.chars().take(200).collect()),
        }
    }
}

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.running.address).await.expect("a connection")
}

#[tokio::test]
async fn every_head_that_is_none_is_answered_at_once() {
    let (_database, app) = small(&[]).await;
    let long = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: {}", "a".repeat(33 * 1024));
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "X-Some: a\r\n".repeat(200));
    let twice = [LIVE, LIVE].concat();
    let cases: [(&[u8], &str); 11] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "HTTP/1.1 400"),
        (b"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /livez HTTP/1.1\r\nHost a\r\n\r\n", "HTTP/1.1 400"),
        (b"G\x00T /livez HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /livez HTTP/1.1\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400"),
        (long.as_bytes(), "HTTP/1.1 431"),
        (many.as_bytes(), "HTTP/1.1 431"),
        // What follows a whole request does not keep its answer back.
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n\r\n", "ok\n"),
        (b"\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "ok\n"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HT", "ok\n"),
        (&twice, "ok\n"),
    ];
    for (bytes, expected) in cases {
        let told = answered(&mut connect(&app).await, bytes, expected).await;
        let shown = String::from_utf8_lossy(bytes).chars().take(60).collect::<String>();
        assert_eq!(told, Ok(()), "{shown:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn whoever_finds_no_connection_free_is_told_so() {
    for (setting, max) in [("CONNECTIONS_MAX", 4), ("CONNECTIONS_PER_ADDRESS_MAX", 2)] {
        let name = format!("TOLLGATE__HTTP__{setting}");
        let (_database, app) = small(&[(&name, &max.to_string())]).await;
        let mut open = Vec::new();
        for _ in 0..max {
            let mut stream = connect(&app).await;
            assert_eq!(answered(&mut stream, LIVE, "ok\n").await, Ok(()));
            open.push(stream);
        }
        let mut refused = connect(&app).await;
        assert_eq!(
            answered(&mut refused, PLANS, "too_many_connections").await,
            Ok(()),
            "{setting}"
        );
        let mut probe = connect(&app).await;
        assert_eq!(answered(&mut probe, LIVE, "ok\n").await, Ok(()), "it lives all the same");
        // As soon as one is given up, the next may have it.
        open.pop();
        while answered(&mut connect(&app).await, PLANS, "HTTP/1.1 200").await.is_err() {}
        app.stop().await;
    }
}

#[tokio::test]
async fn peers_that_never_read_are_cut_off() {
    let (_database, app) = small(&[("TOLLGATE__HTTP__WRITE_TIMEOUT_MS", "200")]).await;
    let many = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&app).await;
        stream.write_all(&many).await.expect("written");
        deaf.push(stream);
    }
    let begun = Instant::now();
    while answered(&mut connect(&app).await, PLANS, "HTTP/1.1 200").await.is_err() {
        assert!(begun.elapsed() < Duration::from_mins(1), "they hold all connections");
    }
    drop(deaf);
    app.stop().await;
}

#[tokio::test]
async fn a_stop_is_noticed_while_every_connection_is_taken() {
    let (_database, app) = small(&[("TOLLGATE__HTTP__DRAIN_MS", "60000")]).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&app).await;
        assert_eq!(answered(&mut stream, LIVE, "ok\n").await, Ok(()));
        open.push(stream);
    }
    let begun = Instant::now();
    app.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn bodies_take_no_more_memory_than_there_is_for_them() {
    let (_database, app) = small(&[
        ("TOLLGATE__HTTP__BODIES_BYTES_MAX", "200000"),
        ("TOLLGATE__HTTP__REQUEST_TIMEOUT_MS", "60000"),
    ])
    .await;
    let head = |length: usize, signed: &str| {
        format!(
            "POST /api/v1/billing/webhook HTTP/1.1\r\nHost: a\r\n{signed}Content-Length: {length}\r\n\r\n"
        )
    };
    let signed = format!("Stripe-Signature: t=1,v1={}\r\n", "0".repeat(64));
    // What is not even signed, or too long by its own word, is refused before its body is here.
    let unsigned =
        answered(&mut connect(&app).await, head(500_000, "").as_bytes(), "invalid_signature").await;
    assert_eq!(unsigned, Ok(()));
    let long =
        answered(&mut connect(&app).await, head(50_000_000, &signed).as_bytes(), "body_too_large")
            .await;
    assert_eq!(long, Ok(()));
    let mut first = connect(&app).await;
    let most = [head(500_000, &signed).as_bytes(), " ".repeat(190_000).as_bytes()].concat();
    first.write_all(&most).await.expect("written");
    // Until the first one has been read so far, the second has room.
    loop {
        let mut second = connect(&app).await;
        match answered(&mut second, &most, "overloaded").await {
            Ok(()) => break,
            Err(instead) => assert_eq!(instead, "", "an answer to half a body"),
        }
    }
    drop(first);
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
    let environment = vec![("TOLLGATE__RATE__BAD_SIGNATURES_PER_MIN".into(), "none".into())];
    let settings = Settings { environment, ..Settings::default() };
    let app = runtime.block_on(TestApp::start_with(&database, settings));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_keeps_browsers_from_guessing_keeping_and_embedding() {
    let (_database, app) = small(&[]).await;
    for (request, status) in [
        ("GET /livez HTTP/1.1\r\nHost: a\r\n", 200),
        ("GET /openapi.json HTTP/1.1\r\nHost: a\r\n", 200),
        ("GET /docs HTTP/1.1\r\nHost: a\r\n", 200),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n", 404),
        ("GET /admin/findings HTTP/1.1\r\nHost: a\r\n", 401),
        ("POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n", 400),
        ("GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        ("GET /api/v1/accounts/%ff/entitlements HTTP/1.1\r\nHost: a\r\n", 0),
    ] {
        let request = format!("{request}Connection: close\r\n\r\n");
        let (answer, _) = talk(&app, request.as_bytes()).await;
        let found: u16 = answer.get(9..12).unwrap_or_default().parse().unwrap_or_default();
        if status == 0 {
            assert!((400..500).contains(&found), "{answer}");
        } else {
            assert_eq!(found, status, "{answer}");
        }
        let head = answer.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
        for said in [
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-",
        ] {
            assert!(head.contains(said), "{request}{answer}");
        }
        if found >= 400 {
            assert!(head.contains("application/problem+json"), "{answer}");
        }
    }
    app.stop().await;
}
