//! `POST /api/v1/billing/webhook`. Owns: what Stripe sends and what it is answered. Must not know:
//! what an event does. Nothing is written before the signature holds.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;
use tokio::time::Instant;
use tollgate_domain::Timestamp;
use tollgate_stripe::SignatureError;

use super::error::ApiError;
use super::{body, reply};
use crate::app::App;
use crate::intake::{Delivery, NotCommitted, Reply, read, squeeze};
use crate::metrics::{EventLabels, ReasonLabel};

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
    let response = match take(&app, request, begun, now).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    app.metrics.webhook_ack.observe(begun.elapsed().as_secs_f64());
    response
}

async fn take(
    app: &App,
    request: Request,
    begun: Instant,
    now: Timestamp,
) -> Result<Response, ApiError> {
    if app.config.webhook_secrets.is_empty() {
        return Err(ApiError::WebhookNotConfigured);
    }
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(ApiError::UnsupportedEncoding);
    }
    let signature = parts.headers.get("stripe-signature").map_or(&b""[..], |h| h.as_bytes());
    // Whoever does not even claim to have signed is not listened to.
    tollgate_stripe::signature::check_form(signature).map_err(|error| refuse(app, error))?;
    let raw = body::read(body, app.config.http.webhook_body_bytes_max, &app.bodies).await?;
    let verified = tollgate_stripe::verify(signature, &raw, &app.secrets, now, TOLERANCE)
        .map_err(|error| refuse(app, error))?;
    let reading = read::read(&raw, &app.config.stripe);
    let (event_id, event_type) = (reading.key.event.clone(), reading.event_type.clone());
    let delivery = Delivery {
        key: reading.key,
        event_type: reading.event_type,
        api_version: reading.api_version,
        created_at: reading.created_at,
        signed_at: Some(verified.signed_at),
        received_at: now,
        object: reading.object,
        body: squeeze::squeeze(&raw),
        content: reading.content,
        lease_generation: None,
        begun,
    };
    match app.queue.submit(delivery).await {
        Ok(reply) => answer(event_id.as_str(), &event_type, &reply),
        Err(why) => {
            let result = match why {
                NotCommitted::Full => "queue_full",
                NotCommitted::Unavailable => "unavailable",
                NotCommitted::Stopping => "stopping",
            };
            let labels = EventLabels { event_type: "other".to_owned(), result };
            app.metrics.webhook_events.get_or_create(&labels).inc();
            Err(ApiError::NotCommitted)
        }
    }
}

/// The reason goes into a metric, never into the reply: it would help whoever is guessing.
fn refuse(app: &App, error: SignatureError) -> ApiError {
    let label = ReasonLabel { reason: error.reason() };
    app.metrics.signatures_rejected.get_or_create(&label).inc();
    if let Some(unsaid) = app.refused_signatures.admit(Instant::now()) {
        tracing::warn!(reason = error.reason(), unsaid, "signature refused");
    }
    ApiError::InvalidSignature
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
