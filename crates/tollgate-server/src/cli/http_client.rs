//! A small HTTP client. Owns: one request, one whole answer, within a time. Must not know: what is
//! sent where. Plain HTTP only: it talks to servers of our own.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tollgate_domain::Timestamp;
use tollgate_stripe::client::read_date;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer read.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Sends requests; connections are kept and shared.
#[derive(Debug, Clone)]
pub(super) struct HttpClient {
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct HttpAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// The answering machine's clock, in whole seconds.
    pub(super) date: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// Nobody listens there, or the connection broke.
    #[error("{address} cannot be reached: {cause}")]
    Unreachable { address: String, cause: String },
    /// No answer in time.
    #[error("{address} did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut { address: String },
    /// The request or the answer cannot be made sense of.
    #[error("{address}: {cause}")]
    Garbled { address: String, cause: String },
}

impl HttpClient {
    pub(super) fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(super) async fn get(&self, address: &Uri) -> Result<HttpAnswer, HttpError> {
        self.send(Method::GET, address, HeaderMap::new(), Bytes::new()).await
    }

    pub(super) async fn post(
        &self,
        address: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpAnswer, HttpError> {
        self.send(Method::POST, address, headers, body).await
    }

    /// `POST` of a JSON body; the answer read as JSON, null where it is none.
    pub(super) async fn post_json(
        &self,
        address: &Uri,
        body: &serde_json::Value,
    ) -> Result<(StatusCode, serde_json::Value), HttpError> {
        let mut headers = HeaderMap::new();
        let json = http::HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, json);
        let answer = self.post(address, headers, Bytes::from(body.to_string())).await?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    async fn send(
        &self,
        method: Method,
        address: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpAnswer, HttpError> {
        let garbled = |cause: String| HttpError::Garbled { address: address.to_string(), cause };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = address.clone();
        *request.headers_mut() = headers;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| {
                let cause = innermost(&error);
                HttpError::Unreachable { address: address.to_string(), cause }
            })?;
            let status = answer.status();
            let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(read_date);
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| garbled(error.to_string()))?.to_bytes();
            Ok(HttpAnswer { status, body, date })
        };
        let timed_out = |_| HttpError::TimedOut { address: address.to_string() };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(timed_out)?
    }
}

/// The cause at the bottom says the most: `Connection refused`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Reads the address of a server; https is refused with a reason.
pub(super) fn parse_address(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{text:?} is no address: {error}"))?;
    match uri.scheme_str() {
        Some("http") if uri.authority().is_some() => Ok(uri),
        Some("https") => Err(format!(
            "{text:?}: only plain HTTP is spoken here; give the server's own address behind the proxy"
        )),
        _ => Err(format!("{text:?} must look like http://127.0.0.1:8080")),
    }
}
