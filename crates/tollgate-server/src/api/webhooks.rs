//! `POST /api/v1/billing/webhook`. Owns: what Stripe sends and what it is answered. Must not know:
//! what an event does. Nothing is written before the signature holds.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::Instant;
use tollgate_domain::Timestamp;
use tollgate_stripe::SignatureError;

use super::client_address::Head;
use super::error::ApiError;
use super::limits::Class;
use super::{body, reply};
use crate::app::App;
use crate::intake::{Delivery, NotCommitted, Reply, read};
use crate::metrics::ReasonLabel;

/// The route Stripe is told of; the origin systems' paths lead to it too.
pub const PATH: &str = "/api/v1/billing/webhook";
/// How far the signature's time may be from ours, either way.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// The answer to a stored event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookReply)]
pub struct WebhookOut<'a> {
    /// Always true: the event is committed.
    pub received: bool,
    /// `processed`, `duplicate`, `ignored`, `waiting` or `failed`.
    pub status: &'static str,
    /// Stripe's id.
    pub event_id: &'a str,
    /// Stripe's type.
    pub event_type: &'a str,
    /// The status in words.
    pub message: &'a str,
    /// The account's revision after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// Takes one delivery in.
pub async fn receive(State(app): State<Arc<App>>, request: Request) -> Response {
    let begun = Instant::now();
    let now = app.clock.now();
    let client = Head::of(&request).client(&app.config);
    let response = match take(&app, request, begun, now).await {
        Ok(response) => response,
        Err(refusal) => refusal.note(&app, client).into_response(),
    };
    app.metrics.webhook_ack.observe(begun.elapsed().as_secs_f64());
    response
}

/// Why a delivery is not acknowledged.
struct Refusal {
    /// Told to the sender.
    error: ApiError,
    /// For metrics and the log, never for the sender: it would help whoever is guessing.
    reason: &'static str,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let reason = error.row().1;
        Self { error, reason }
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        Self { error: ApiError::InvalidSignature, reason: error.reason() }
    }
}

impl From<NotCommitted> for Refusal {
    fn from(why: NotCommitted) -> Self {
        let reason = match why {
            NotCommitted::Full => "queue_full",
            NotCommitted::Unavailable => "not_committed",
            NotCommitted::Stopping => "stopping",
        };
        Self { error: ApiError::NotCommitted, reason }
    }
}

impl Refusal {
    /// Counts it, and gives what the sender is told. Looked at after the signature, never before: a
    /// rightly signed event is taken whatever else came from its address.
    fn note(self, app: &App, client: IpAddr) -> ApiError {
        let label = ReasonLabel { reason: self.reason };
        app.metrics.webhooks_refused.get_or_create(&label).inc();
        app.webhooks_refused.note(self.reason, self.error.row().2);
        if self.error == ApiError::InvalidSignature {
            return app.failed(Class::BadSignature, client, self.error);
        }
        self.error
    }
}

async fn take(
    app: &App,
    request: Request,
    begun: Instant,
    now: Timestamp,
) -> Result<Response, Refusal> {
    if app.config.webhook_secrets.is_empty() {
        return Err(ApiError::WebhookNotConfigured.into());
    }
    let (parts, body) = request.into_parts();
    let signature = parts.headers.get("stripe-signature").map_or(&b""[..], |h| h.as_bytes());
    // Whoever does not even claim to have signed is not listened to.
    tollgate_stripe::signature::check_form(signature)?;
    let raw = body::read(body, app.config.http.webhook_body_bytes_max, &app.bodies).await?;
    let verified = tollgate_stripe::verify(signature, &raw, &app.secrets, now, TOLERANCE)?;
    let reading = read::read(&raw, &app.config.stripe);
    let (event_id, event_type) = (reading.key.event.clone(), reading.event_type.clone());
    let delivery =
        Delivery { signed_at: Some(verified.signed_at), begun, ..reading.delivered(&raw, now) };
    let reply = app.queue.submit(delivery).await?;
    Ok(answer(event_id.as_str(), &event_type, &reply)?)
}

fn answer(event_id: &str, event_type: &str, reply: &Reply) -> Result<Response, ApiError> {
    let out = WebhookOut {
        received: true,
        status: reply.status.as_str(),
        event_id,
        event_type,
        message: &reply.message,
        revision: reply.revision,
    };
    reply::of(&out)
}
