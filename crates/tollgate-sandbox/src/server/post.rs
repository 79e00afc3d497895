//! Sending. Owns: one signed request to one endpoint and what came of it. Must not know: which
//! event goes where and when.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tollgate_domain::Timestamp;
use tollgate_stripe::SigningSecret;

use super::courier::Outcome;

/// Longest wait for an endpoint's answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most of an answer that is remembered.
const ANSWER_BYTES_KEPT: usize = 2_000;
/// What Stripe calls itself.
pub(crate) const USER_AGENT: &str = "Stripe/1.0 (+https://stripe.com/docs/webhooks)";
/// What Stripe calls its bodies.
pub(crate) const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// Sends; connections are kept.
#[derive(Debug, Clone)]
pub(crate) struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Poster {
    pub(crate) fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Signs a body with an endpoint's secret as of now and sends it there. Redirects are not
    /// followed, as Stripe does not follow them.
    pub(crate) async fn post(
        &self,
        url: &str,
        secret: &str,
        body: String,
        now: Timestamp,
    ) -> Outcome {
        let unanswered = |why: String| Outcome::Unanswered { why };
        let request = match request(url, secret, body, now) {
            Ok(request) => request,
            Err(why) => return unanswered(why),
        };
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| innermost(&error))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let kept = body.get(..ANSWER_BYTES_KEPT).unwrap_or(&body);
            Ok(Outcome::Answered { status, body: String::from_utf8_lossy(kept).into_owned() })
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(why)) => unanswered(why),
            Err(_) => unanswered(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }
}

fn request(
    url: &str,
    secret: &str,
    body: String,
    now: Timestamp,
) -> Result<Request<Full<Bytes>>, String> {
    let address: Uri = url.parse().map_err(|error| format!("{url} is no address: {error}"))?;
    if address.scheme_str() != Some("http") {
        return Err("the sandbox delivers over plain http only".to_owned());
    }
    let secret = SigningSecret::parse(secret, "endpoint").map_err(|error| error.to_string())?;
    let signature = crate::delivery::signature(&secret, &body, now);
    let signature = HeaderValue::from_str(&signature).map_err(|error| error.to_string())?;
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = address;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert("stripe-signature", signature);
    Ok(request)
}

/// The cause at the bottom says the most: `Connection refused`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
