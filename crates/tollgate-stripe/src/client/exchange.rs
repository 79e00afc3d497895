//! One request over the network and its reply. Owns: headers, TLS, the limits of a reply, reading
//! Stripe's clock. Must not know: when a request is repeated.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use serde::de::DeserializeOwned;
use tollgate_domain::Timestamp;

use crate::client::error::{Refusal, StripeError, Unreachable};
use crate::client::options::ClientOptions;
use crate::client::patience::Failure;
use crate::client::request::{ApiPath, Form, Method, Operation};
use crate::client::secret::{IdempotencyKey, KeyMode};

/// Most bytes of a reply that are read. A page of a hundred invoices with their lines is below it.
pub(super) const REPLY_BYTES_MAX: usize = 16 << 20;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const STRIPE_ACCOUNT: HeaderName = HeaderName::from_static("stripe-account");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const LIMITED_REASON: HeaderName = HeaderName::from_static("stripe-rate-limited-reason");

/// A success: what Stripe sent, and when by Stripe's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The body as it came.
    pub body: Vec<u8>,
    /// The reply's `Date`: Stripe's clock, whole seconds. What a read object is a state of.
    pub date: Timestamp,
    /// The id support asks for.
    pub request_id: Option<String>,
    /// The first answer to this idempotency key, given again: its body is as old as that.
    pub replayed: bool,
}

impl Fetched {
    /// Reads the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, StripeError> {
        serde_json::from_slice(&self.body).map_err(|_| StripeError::Garbled {
            what: "the body is not the object that was asked for",
            request_id: self.request_id.clone(),
        })
    }
}

/// A request, ready to be sent any number of times.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) operation: Operation,
    pub(super) path: &'a ApiPath,
    pub(super) form: &'a Form,
    pub(super) key: Option<&'a IdempotencyKey>,
    /// The connected account (`acct_…`) it is for instead of the one in the options.
    pub(super) account: Option<&'a str>,
}

/// No date yet.
const NEVER: i64 = i64::MIN;

/// The connection to Stripe.
#[derive(Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
    try_timeout: Duration,
    /// Milliseconds; [`NEVER`] before the first reply.
    last_date: AtomicI64,
}

/// The HTTP client could not be set up: no root certificates, a header that cannot be sent, or a
/// live key for a host that is not Stripe's.
#[derive(Debug, thiserror::Error)]
#[error("the client for Stripe cannot be set up: {0}")]
pub struct SetupError(String);

impl Wire {
    pub(super) fn new(options: &ClientOptions) -> Result<Self, SetupError> {
        if options.secret_key.mode() == KeyMode::Live && !options.api_base.takes_live_keys() {
            let base = options.api_base.as_str();
            return Err(SetupError(format!(
                "a live key is not sent to {base}, which is not Stripe's; use a test key"
            )));
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(IDLE);
        if options.api_base.is_loopback() {
            // Nothing of this machine needs the system's root certificates.
            builder = builder.tls_backend_preconfigured(rootless()?);
        } else {
            // The platform's own verifier and roots, computing with ring. A provider that somebody
            // installed before is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let http = builder.build().map_err(|error| SetupError(causes(&error)))?;
        Ok(Self {
            http,
            base: options.api_base.as_str().to_owned(),
            headers: headers(options)?,
            try_timeout: options.try_timeout,
            last_date: AtomicI64::new(NEVER),
        })
    }

    /// The date of the newest reply.
    pub(super) fn last_date(&self) -> Option<Timestamp> {
        let millis = self.last_date.load(Ordering::Relaxed);
        (millis != NEVER).then(|| Timestamp::from_millis(millis))
    }

    /// Sends once and reads the whole reply.
    pub(super) async fn send(
        &self,
        request: &Request<'_>,
        left: Duration,
    ) -> Result<Result<Fetched, StripeError>, Failure> {
        let exchange = self.exchange(request);
        match tokio::time::timeout(self.try_timeout.min(left), exchange).await {
            Ok(done) => done,
            Err(_) => Err(Failure::Silent {
                how: Unreachable::Timeout,
                detail: "no reply within the time allowed".to_owned(),
            }),
        }
    }

    async fn exchange(
        &self,
        request: &Request<'_>,
    ) -> Result<Result<Fetched, StripeError>, Failure> {
        let mut response = self.build(request).send().await.map_err(silent)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let date = text(&headers, &DATE).and_then(|date| read_date(&date));
        if let Some(date) = date {
            self.last_date.store(date.millis(), Ordering::Relaxed);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len().saturating_add(chunk.len()) > REPLY_BYTES_MAX {
                return Ok(Err(garbled("the reply is too long", &headers)));
            }
            body.extend_from_slice(&chunk);
        }
        if !(200..300).contains(&status) {
            return Err(Failure::Answered(Refusal {
                request_id: text(&headers, &REQUEST_ID),
                limit: text(&headers, &LIMITED_REASON),
                should_retry: text(&headers, &SHOULD_RETRY).and_then(|word| word.parse().ok()),
                ..Refusal::read(status, &body)
            }));
        }
        let Some(date) = date else {
            return Ok(Err(garbled("the reply has no usable Date header", &headers)));
        };
        Ok(Ok(Fetched {
            body,
            date,
            request_id: text(&headers, &REQUEST_ID),
            replayed: text(&headers, &IDEMPOTENT_REPLAYED).as_deref() == Some("true"),
        }))
    }

    fn build(&self, request: &Request<'_>) -> reqwest::RequestBuilder {
        let path = request.path.as_str();
        let mut url = format!("{}{path}", self.base);
        let encoded = request.form.encoded();
        let method = request.operation.method();
        if method != Method::Post && !encoded.is_empty() {
            url.push('?');
            url.push_str(&encoded);
        }
        let builder = match method {
            Method::Get => self.http.get(url),
            Method::Delete => self.http.delete(url),
            // API v2 speaks JSON in its bodies.
            Method::Post if path.starts_with("/v2/") => {
                let builder = self.http.post(url).header(CONTENT_TYPE, "application/json");
                builder.body(request.form.json().to_string())
            }
            Method::Post => self
                .http
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(encoded),
        };
        let mut headers = self.headers.clone();
        if request.account.is_some() {
            headers.remove(STRIPE_ACCOUNT);
        }
        let builder = builder.headers(headers);
        // A name that cannot be sent fails the request: it never goes to another account.
        let builder = match request.account {
            Some(account) => builder.header(STRIPE_ACCOUNT, account),
            None => builder,
        };
        match request.key {
            Some(key) => builder.header(IDEMPOTENCY_KEY, key.as_str()),
            None => builder,
        }
    }
}

fn rootless() -> Result<rustls::ClientConfig, SetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError(error.to_string()))?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn headers(options: &ClientOptions) -> Result<HeaderMap, SetupError> {
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| SetupError("a header cannot be sent".to_owned()))
    };
    let mut headers = HeaderMap::new();
    let mut bearer = value(&options.secret_key.bearer())?;
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(STRIPE_VERSION, value(options.version)?);
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
    );
    if let Some(account) = &options.account {
        headers.insert(STRIPE_ACCOUNT, value(account)?);
    }
    Ok(headers)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

fn garbled(what: &'static str, headers: &HeaderMap) -> StripeError {
    StripeError::Garbled { what, request_id: text(headers, &REQUEST_ID) }
}

/// HTTP's date, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn read_date(text: &str) -> Option<Timestamp> {
    let instant = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_unix_seconds(instant.as_second()))
}

fn silent(error: reqwest::Error) -> Failure {
    let how = if error.is_timeout() && !error.is_connect() {
        Unreachable::Timeout
    } else if error.is_connect() || error.is_builder() {
        Unreachable::Connect
    } else {
        Unreachable::Cut
    };
    Failure::Silent { how, detail: causes(&error.without_url()) }
}

/// An error with its causes in one line. Without the URL there is nothing private in it.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_clock_is_read_from_the_date() {
        let read = |text| read_date(text).map(|at| at.to_string());
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(), Some("1994-11-06T08:49:37Z"));
        assert_eq!(read("yesterday"), None);
    }
}
