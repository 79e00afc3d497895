//! `stripe listen`. Owns: the session the official CLI asks for and the websocket over which it is
//! sent events. Must not know: where the CLI forwards them to.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tollgate_stripe::SigningSecret;

use super::post::{CONTENT_TYPE, USER_AGENT};
use super::stand::Stand;
use crate::event::Happening;
use crate::id::Ids;
use crate::pretty;
use crate::sandbox::{ApiReply, ApiRequest, Method};
use crate::version::ApiVersion;

/// The protocol the CLI speaks.
const PROTOCOL: &str = "stripecli-devproxy-v1";
/// Where it is spoken.
pub(crate) const PATH: &str = "/_sandbox/listen/{device}";

impl Stand {
    /// `POST /v1/stripecli/sessions`: where to listen and the secret events are signed with, which
    /// is the same for a device each time.
    pub(crate) fn listening_session(&self, request: &ApiRequest) -> Option<ApiReply> {
        if request.method != Method::Post || request.path != "/v1/stripecli/sessions" {
            return None;
        }
        let device = request.params.text("device_name").unwrap_or("device");
        let id = Ids::new("listen").make("", 24, device);
        let address = self.site.replacen("http://", "ws://", 1);
        let body = json!({
            "websocket_id": id,
            "websocket_url": format!("{address}/_sandbox/listen/{id}"),
            "websocket_authorized_feature": "webhooks",
            "reconnect_delay": 5,
            "secret": secret(&id),
            "default_version": ApiVersion::default().as_str(),
            "latest_version": ApiVersion::default().as_str(),
            "display_connect_filter_warning": false,
            "device_token": id,
        });
        Some(ApiReply {
            status: 200,
            body,
            request_id: format!("req_{:014x}", fastrand::u64(..) >> 8),
            idempotent_replayed: false,
            should_retry: None,
        })
    }
}

fn secret(device: &str) -> String {
    Ids::new("listen/secret").make("whsec_", 48, device)
}

/// Opens the websocket.
pub(crate) async fn open(
    State(stand): State<Arc<Stand>>,
    Path(device): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let latest = headers.get("stripe-version").and_then(|value| value.to_str().ok());
    let version = latest.and_then(ApiVersion::not_after).unwrap_or_default();
    upgrade.protocols([PROTOCOL]).on_upgrade(move |socket| talk(stand, device, version, socket))
}

/// Sends every new event until the other side goes away.
async fn talk(stand: Arc<Stand>, device: String, version: ApiVersion, mut socket: WebSocket) {
    let mut news = stand.news.subscribe();
    loop {
        tokio::select! {
            event = news.recv() => match event {
                Ok(happening) => {
                    let message = letter(&stand, &device, version, &happening);
                    if socket.send(Message::text(message)).await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "a listener is too slow"),
                Err(RecvError::Closed) => return,
            },
            // What the CLI tells of its deliveries is of no use here, but must be read.
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

fn letter(stand: &Stand, device: &str, version: ApiVersion, happening: &Happening) -> String {
    let body = pretty::print(&happening.show(version, 1));
    let signature = SigningSecret::parse(&secret(device), "listen")
        .map(|secret| crate::delivery::signature(&secret, &body, stand.clock.now()));
    json!({
        "type": "webhook_event",
        "endpoint": {"api_version": null, "livemode": false, "connect": false},
        "event_payload": body,
        "http_headers": {
            "Stripe-Signature": signature.unwrap_or_default(),
            "Content-Type": CONTENT_TYPE,
            "User-Agent": USER_AGENT,
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
        },
        "webhook_conversation_id": Ids::new("listen/conversation").long("wc_", happening.id()),
        "webhook_id": Ids::new("listen/webhook").long("wh_", happening.id()),
    })
    .to_string()
}
