//! Stripe's API over HTTP. Owns: reading a request's head and body, what refuses it before the
//! sandbox sees it, the headers of the reply. Must not know: what a route does.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::LengthLimitError;
use serde_json::{Value, json};

use super::access::{Accounts, closed, forbidden};
use super::connection::BODY_BYTES_MAX;
use super::faults::Fault;
use super::stand::{Stand, lock};
use crate::pretty;
use crate::sandbox::{ApiReply, ApiRequest, Method, Params};
use crate::version::ApiVersion;

/// Longest idempotency key.
const KEY_BYTES_MAX: usize = 255;
/// Deepest nesting of a JSON body.
const NESTED_MAX: u8 = 10;

/// Marks a reply that must not be sent: the connection is cut instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutOff;

/// A request that never reaches the sandbox.
#[derive(Debug, Clone)]
struct Refused {
    status: StatusCode,
    kind: &'static str,
    code: Option<String>,
    message: String,
    should_retry: Option<bool>,
}

impl Refused {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = "invalid_request_error";
        Self { status, kind, code: None, message: message.into(), should_retry: None }
    }

    fn reply(self) -> ApiReply {
        let mut error = json!({"type": self.kind, "message": self.message});
        if let (Some(code), Some(fields)) = (self.code, error.as_object_mut()) {
            fields.insert("code".to_owned(), code.into());
        }
        ApiReply {
            status: self.status.as_u16(),
            body: json!({"error": error}),
            request_id: format!("req_{:014x}", fastrand::u64(..) >> 8),
            idempotent_replayed: false,
            should_retry: self.should_retry,
        }
    }
}

/// Serves everything under `/v1` and `/v2`.
pub(crate) async fn serve(State(stand): State<Arc<Stand>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
    let fault = lock(&stand.faults).strike(&method, &path, stand.clock.now().unix_seconds());
    if let Some(Fault::Slow { delay_ms }) = &fault {
        tokio::time::sleep(Duration::from_millis(*delay_ms)).await;
    }
    let version = parts.headers.get("stripe-version").cloned();
    let key = parts.headers.get("idempotency-key").cloned();
    let account = parts.headers.get("stripe-account").cloned();
    let reply = match &fault {
        Some(fault) if !fault.is_accepted() => None,
        Some(_) | None => {
            let key = authenticate(&parts.headers, &lock(&stand.accounts));
            let read = match &key {
                Ok(_) => read(&method, &path, parts.uri.query(), &parts.headers, body).await,
                Err(refused) => Err(refused.clone()),
            };
            Some(match (key, read) {
                (Ok(key), Ok((request, params))) => {
                    let account = account.as_ref().map(|named| named.to_str().unwrap_or_default());
                    stand.call((&key, account), &request, &params)
                }
                (_, Err(refused)) | (Err(refused), _) => refused.reply(),
            })
        }
    };
    let reply = match fault {
        Some(Fault::Status { status, code, should_retry, .. }) => {
            scripted(status, code, should_retry).reply()
        }
        Some(Fault::Timeout { .. }) => return std::future::pending().await,
        Some(Fault::Cut { .. }) => return cut_off(),
        Some(Fault::Slow { .. }) | None => {
            reply.unwrap_or_else(|| scripted(500, None, None).reply())
        }
    };
    respond(&stand, &reply, (version, key))
}

fn cut_off() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CutOff);
    response
}

/// An error of Stripe's that a script asked for.
fn scripted(status: u16, code: Option<String>, should_retry: Option<bool>) -> Refused {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (kind, usual, message) = match status {
        StatusCode::CONFLICT => (
            "invalid_request_error",
            Some("lock_timeout"),
            "This object cannot be accessed right now because another API request or Stripe process is \
             currently accessing it.",
        ),
        StatusCode::TOO_MANY_REQUESTS => (
            "invalid_request_error",
            Some("rate_limit"),
            "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        ),
        status if status.is_server_error() => {
            ("api_error", None, "An unknown error occurred (scripted by the sandbox).")
        }
        _ => ("invalid_request_error", None, "Scripted by the sandbox."),
    };
    let code = code.or_else(|| usual.map(str::to_owned));
    Refused { status, kind, code, message: message.to_owned(), should_retry }
}

async fn read(
    method: &str,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(ApiRequest, String), Refused> {
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        other => {
            let message = format!("Unrecognized request method {other}.");
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, message));
        }
    };
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        if error.into_inner().is::<LengthLimitError>() {
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large.")
        } else {
            let message = "The request body did not come completely and in time.";
            Refused::new(StatusCode::REQUEST_TIMEOUT, message)
        }
    })?;
    let body = std::str::from_utf8(&body)
        .map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "The request body is not UTF-8."))?;
    let body = if path.starts_with("/v2/") { json_as_form(body, headers)? } else { body.into() };
    let written = [query.unwrap_or_default(), &body].map(str::trim).join("&");
    let written = written.trim_matches('&').to_owned();
    let params = Params::from_form(&written)
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let request = ApiRequest {
        method,
        path: path.trim_end_matches('/').to_owned(),
        params,
        version: version(headers)?,
        idempotency_key: idempotency_key(headers)?,
    };
    Ok((request, written))
}

/// The JSON body of API v2 as the form it would be in API v1. It must name the version it speaks.
fn json_as_form(body: &str, headers: &HeaderMap) -> Result<Cow<'static, str>, Refused> {
    if !headers.contains_key("stripe-version") {
        let message = "Please provide a Stripe-Version header: API v2 has no default version.";
        return Err(Refused::new(StatusCode::BAD_REQUEST, message));
    }
    if body.trim().is_empty() {
        return Ok("".into());
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    let read = serde_json::from_str::<Value>(body).ok().filter(Value::is_object);
    let (true, Some(read)) = (is_json, read) else {
        let message = "The request body must be a JSON object (Content-Type: application/json).";
        return Err(Refused::new(StatusCode::BAD_REQUEST, message));
    };
    let mut pairs = Vec::new();
    flatten("", &read, 0, &mut pairs);
    Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into())
}

/// Names with brackets for what JSON nests. What is nested deeper than any parameter is left out.
fn flatten(name: &str, value: &Value, depth: u8, pairs: &mut Vec<(String, String)>) {
    if depth > NESTED_MAX {
        return;
    }
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}[{key}]") };
    let deeper = depth.saturating_add(1);
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(&inner(key), value, deeper, pairs));
        }
        Value::Array(elements) => {
            let numbered = elements.iter().enumerate();
            numbered.for_each(|(at, one)| flatten(&inner(&at.to_string()), one, deeper, pairs));
        }
        Value::Null => pairs.push((name.to_owned(), String::new())),
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => pairs.push((name.to_owned(), value.to_string())),
    }
}

/// The key of a request, by `Authorization: Bearer` or as the user of Basic. Any test key opens
/// the sandbox: it holds nothing secret, and a key of a live account must never get here, but for
/// those that were given an account of their own.
fn authenticate(headers: &HeaderMap, accounts: &Accounts) -> Result<String, Refused> {
    let refused = |message: &str| Err(Refused::new(StatusCode::UNAUTHORIZED, message));
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(key) = header.and_then(key) else {
        return refused(
            "You did not provide an API key. You need to provide your API key in the Authorization \
             header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        );
    };
    if accounts.has(&key) {
        return Ok(key);
    }
    if ["sk_live_", "rk_live_", "pk_live_"].iter().any(|start| key.starts_with(start)) {
        return refused(
            "This is a live key, and the sandbox is not Stripe. Use a test key (sk_test_…).",
        );
    }
    let tests = ["sk_test_", "rk_test_", "pk_test_"];
    if tests.iter().any(|start| key.len() > start.len() && key.starts_with(start)) {
        Ok(key)
    } else {
        refused("Invalid API Key provided. The sandbox takes any test key (sk_test_…).")
    }
}

fn key(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = String::from_utf8(base64(rest.trim())?).ok()?;
    Some(plain.split(':').next().unwrap_or_default().to_owned())
}

/// Decodes standard base64; `None` for anything else.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// The version asked for. Versions the sandbox does not speak are answered in the newest one it
/// speaks that is not newer: within a train, months only add.
fn version(headers: &HeaderMap) -> Result<Option<ApiVersion>, Refused> {
    let Some(value) = headers.get("stripe-version") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let found = ApiVersion::not_after(text);
    found.map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        Refused::new(StatusCode::BAD_REQUEST, format!("Invalid Stripe API version: {shown}"))
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = "Idempotency-Key must be 1 to 255 characters long.";
        return Err(Refused::new(StatusCode::BAD_REQUEST, message));
    }
    Ok(Some(key.to_owned()))
}

type Echoed = (Option<HeaderValue>, Option<HeaderValue>);

fn respond(stand: &Stand, reply: &ApiReply, (version, key): Echoed) -> Response {
    let mut response = Response::new(Body::from(pretty::print(&reply.body)));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Stripe's clock as its clients see it: the sandbox's, not the machine's.
    if let Some(date) = http_date(stand.clock.now().unix_seconds()) {
        headers.insert(header::DATE, date);
    }
    if let Ok(id) = HeaderValue::from_str(&reply.request_id) {
        headers.insert("request-id", id);
    }
    let default = || HeaderValue::from_static(ApiVersion::default().as_str());
    headers.insert("stripe-version", version.unwrap_or_else(default));
    if let Some(key) = key {
        headers.insert("idempotency-key", key);
    }
    if reply.idempotent_replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    if let Some(should) = reply.should_retry {
        let text = if should { "true" } else { "false" };
        headers.insert("stripe-should-retry", HeaderValue::from_static(text));
    }
    if reply.status == StatusCode::TOO_MANY_REQUESTS.as_u16() {
        let reason = HeaderValue::from_static("endpoint-rate");
        headers.insert("stripe-rate-limited-reason", reason);
    }
    response
}

fn http_date(seconds: i64) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_second(seconds).ok()?;
    let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()?;
    HeaderValue::from_str(&text).ok()
}

impl Stand {
    /// Answers a request of the API, with what only the server can do besides. `account` is the
    /// connected account the request names, if it names one.
    pub(crate) fn call(
        &self,
        (key, account): (&str, Option<&str>),
        request: &ApiRequest,
        params: &str,
    ) -> ApiReply {
        let now = self.clock.now().unix_seconds();
        if let Some(other) = lock(&self.accounts).of(key, now) {
            if let Some(named) = account.filter(|named| *named != other.account()) {
                return closed(key, named);
            }
            let refused = forbidden(key, request, other.account());
            return refused.unwrap_or_else(|| other.call(request));
        }
        let own = lock(&self.sandbox).account().to_owned();
        if let Some(named) = account.filter(|named| *named != own) {
            let mut accounts = lock(&self.accounts);
            let connected = accounts.connected(named, now);
            return connected.map_or_else(|| closed(key, named), |one| one.call(request));
        }
        if let Some(refused) = forbidden(key, request, &own) {
            return refused;
        }
        if let Some(reply) = self.listening_session(request) {
            return reply;
        }
        let reply = self.answer(request, params);
        if reply.status < 300 {
            self.resend_if_asked(request);
        }
        reply
    }

    /// `POST /v1/events/{event}/retry`: `stripe events resend`.
    fn resend_if_asked(&self, request: &ApiRequest) {
        let event =
            request.path.strip_prefix("/v1/events/").and_then(|rest| rest.strip_suffix("/retry"));
        let Some(event) = event.filter(|_| request.method == Method::Post) else { return };
        if request.params.text("for_stripecli") == Some("true") {
            let all = lock(&self.sandbox);
            let found = all.happenings().iter().find(|one| one.id() == event).cloned();
            if let Some(happening) = found {
                self.news.send(happening).ok();
            }
        } else {
            self.resend(event, request.params.text("webhook_endpoint"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        headers
    }

    #[test]
    fn any_test_key_opens_and_a_live_key_never_does() {
        for good in ["Bearer sk_test_1", "bearer rk_test_1", "Basic c2tfdGVzdF8xOg=="] {
            assert!(authenticate(&with(good), &Accounts::default()).is_ok(), "{good}");
        }
        for bad in ["Bearer sk_live_1", "Bearer sk_test_", "Bearer x", "Basic !!", "sk_test_1"] {
            let refused = authenticate(&with(bad), &Accounts::default()).unwrap_err();
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{bad}");
            assert!(!refused.message.contains("sk_live_1"), "a key is never repeated");
        }
        assert!(authenticate(&HeaderMap::new(), &Accounts::default()).is_err());
    }

    #[test]
    fn base64_is_decoded_and_nothing_else() {
        assert_eq!(base64("c2tfdGVzdF8xOg==").unwrap(), b"sk_test_1:");
        assert_eq!(base64("YQ").unwrap(), b"a");
        assert_eq!(base64("c2t f"), None);
    }

    #[test]
    fn dates_are_written_as_http_wants_them() {
        let date = http_date(1_795_268_471).unwrap();
        assert_eq!(date.to_str().unwrap(), "Sat, 21 Nov 2026 13:41:11 GMT");
    }

    #[test]
    fn scripted_errors_look_like_stripes() {
        let reply = scripted(429, None, Some(true)).reply();
        assert_eq!((reply.status, reply.should_retry), (429, Some(true)));
        assert_eq!(reply.body["error"]["code"], "rate_limit");
        assert_eq!(scripted(500, None, None).reply().body["error"]["type"], "api_error");
        let own = scripted(409, Some("idempotency_key_in_use".to_owned()), None).reply();
        assert_eq!(own.body["error"]["code"], "idempotency_key_in_use");
    }
}
