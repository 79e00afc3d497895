//! A client and an endpoint. Owns: requests to a running sandbox, and an endpoint that remembers
//! what it was sent. Must not know: what is tested.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tollgate_domain::Timestamp;
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_stripe::SigningSecret;

/// When every test begins: 2026-10-31T12:00:00Z.
pub(super) const START: Timestamp = Timestamp::from_unix_seconds(1_793_448_000);

/// Signatures in tests are checked against this much.
const TOLERANCE: Duration = Duration::from_mins(5);

/// Starts a sandbox whose clock stands still.
pub(super) async fn start() -> RunningSandbox {
    let catalog = crate::catalog("sietch");
    server::start(ServerOptions::standing(&catalog, START, 7)).await.unwrap()
}

/// An answer of the sandbox.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request with a test key; an error is a connection without an answer.
pub(super) async fn send(
    sandbox: &RunningSandbox,
    method: Method,
    path: &str,
    (body, headers): (&str, &[(&str, &str)]),
) -> Result<Answer, String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", sandbox.url()))
        .header(header::AUTHORIZATION, "Bearer sk_test_tollgate");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let response = client.request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// `POST` of a form that must be answered.
pub(super) async fn form(sandbox: &RunningSandbox, path: &str, body: &str) -> Answer {
    send(sandbox, Method::POST, path, (body, &[])).await.unwrap()
}

/// `GET` that must be answered.
pub(super) async fn get(sandbox: &RunningSandbox, path: &str) -> Answer {
    send(sandbox, Method::GET, path, ("", &[])).await.unwrap()
}

/// The text of a page, or of anything else that is shown.
pub(super) async fn page(sandbox: &RunningSandbox, path: &str) -> String {
    let (status, _, text) = exchange(Request::get(address(sandbox, path)), "").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    text
}

/// Sends a form as a page's button does: the status, and where it leads or what it shows.
pub(super) async fn press(
    sandbox: &RunningSandbox,
    path: &str,
    body: &str,
) -> (StatusCode, String) {
    let request = Request::post(address(sandbox, path))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin");
    let (status, headers, text) = exchange(request, body).await;
    let leads = headers.get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
    (status, leads.unwrap_or(text))
}

fn address(sandbox: &RunningSandbox, path: &str) -> String {
    format!("{}{path}", sandbox.url())
}

async fn exchange(request: http::request::Builder, body: &str) -> (StatusCode, HeaderMap, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (parts.status, parts.headers, text)
}

/// A webhook endpoint.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    received: Vec<(HeaderMap, Bytes)>,
    answers: VecDeque<StatusCode>,
}

impl Endpoint {
    /// Listens; answers 200.
    pub(super) async fn listen() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// Registers it for all events and returns its id and secret.
    pub(super) async fn register(&self, sandbox: &RunningSandbox, more: &str) -> (String, String) {
        let body = format!("url=http://{}/hook&enabled_events[]=*{more}", self.address);
        let made = form(sandbox, "/v1/webhook_endpoints", &body).await;
        assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
        let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    /// The next requests are answered with these instead of 200.
    pub(super) fn answer(&self, statuses: &[StatusCode]) {
        self.inner.lock().unwrap().answers.extend(statuses);
    }

    /// The bodies received so far.
    pub(super) fn bodies(&self) -> Vec<Value> {
        let inner = self.inner.lock().unwrap();
        inner.received.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    /// Types and ids received so far.
    pub(super) fn events(&self) -> Vec<(String, String)> {
        let text = |body: &Value, name: &str| body[name].as_str().unwrap().to_owned();
        self.bodies().iter().map(|body| (text(body, "type"), text(body, "id"))).collect()
    }

    /// Every request so far carries a signature that holds at an instant.
    pub(super) fn assert_signed(&self, secret: &str, at: Timestamp) {
        let secrets = [SigningSecret::parse(secret, "test").unwrap()];
        for (headers, body) in &self.inner.lock().unwrap().received {
            let header = headers.get("stripe-signature").unwrap().as_bytes();
            tollgate_stripe::verify(header, body, &secrets, at, TOLERANCE).unwrap();
        }
    }
}

async fn receive(
    State(inner): State<Arc<Mutex<Inner>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut inner = inner.lock().unwrap();
    inner.received.push((headers, body));
    inner.answers.pop_front().unwrap_or(StatusCode::OK)
}
