//! Peers that begin and do not end: each costs the sandbox a bounded time, and none holds up its stop.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate_sandbox::server::{self, RunningSandbox, ServerLimits, ServerOptions};

use super::support::{START, get};

/// More than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

async fn start(limits: ServerLimits) -> RunningSandbox {
    let catalog = crate::catalog("sietch");
    let options = ServerOptions { limits, ..ServerOptions::standing(&catalog, START, 7) };
    server::start(options).await.unwrap()
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer sk_test_tollgate\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
    )
}

async fn send(sandbox: &RunningSandbox, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(sandbox.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What comes until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // One that is cut may be reset.
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("the connection is closed").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_refused() {
    let sandbox = start(ServerLimits { body_timeout: SHORT, ..ServerLimits::default() }).await;
    for path in ["/v1/customers", "/_sandbox/faults", "/v1/nothing"] {
        let mut stream = send(&sandbox, &format!("{}email=", head(path, 100))).await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        if path == "/v1/customers" {
            assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        }
    }
    assert_eq!(get(&sandbox, "/v1/customers").await.status, 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn heads_that_do_not_end_and_idle_connections_are_closed() {
    let sandbox = start(ServerLimits { head_timeout: SHORT, ..ServerLimits::default() }).await;
    for text in ["", "POST /v1/customers HTTP/1.1\r\nhost: 127."] {
        let answer = rest(&mut send(&sandbox, text).await).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    let list = "GET /v1/customers HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let answer = rest(&mut send(&sandbox, list).await).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "answered, then closed: {answer}");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn bodies_and_connections_have_a_cap() {
    let sandbox = start(ServerLimits { connections_max: 1, ..ServerLimits::default() }).await;
    let mut held = send(&sandbox, &head("/v1/customers", 10)).await;
    assert_eq!(rest(&mut send(&sandbox, "").await).await, "", "no place is left");
    held.write_all(b"email=a%40").await.unwrap();
    let mut begun = [0; 12];
    held.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    drop(held);
    let sandbox_2 = start(ServerLimits::default()).await;
    for path in ["/v1/customers", "/_sandbox/faults"] {
        let text = head(path, 2_000_000).replace("x-www-form-urlencoded", "json");
        let mut stream = send(&sandbox_2, &text).await;
        let part = vec![b' '; 64 * 1024];
        // It may refuse before all has come.
        for _ in 0..31 {
            if stream.write_all(&part).await.is_err() {
                break;
            }
        }
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 413", "{path}");
    }
    sandbox.shutdown().await;
    sandbox_2.shutdown().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_those_who_do_not_end() {
    let sandbox = start(ServerLimits { drain: SHORT, ..ServerLimits::default() }).await;
    let mut streams = vec![
        send(&sandbox, "").await,
        send(&sandbox, "POST /v1/customers HTTP/1.1\r\nhost: 127.").await,
        send(&sandbox, &format!("{}email=", head("/v1/customers", 100))).await,
    ];
    // All of them were accepted before this one was answered.
    get(&sandbox, "/v1/customers").await;
    let began = Instant::now();
    sandbox.shutdown().await;
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
    for stream in &mut streams {
        rest(stream).await;
    }
}
