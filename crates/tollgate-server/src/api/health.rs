//! Health and metrics. Owns: what "alive", "ready" and "healthy" mean.
//!
//! Alive: the process answers. Ready: the database answers, every background task runs, and the
//! engine is not stopping.
//! Healthy: ready, and nothing is missing that a part of the product needs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::app::App;
use crate::stripe::KeyStanding;
use crate::supervisor::TaskKind;

/// How a component stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Component {
    /// `ok`, `off` or `failing`.
    pub status: &'static str,
    /// Why, where it is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Cow<'static, str>>,
}

/// How everything stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Health {
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: &'static str,
    /// The version of this binary.
    pub version: &'static str,
    /// Background tasks.
    pub tasks: Component,
    /// The database.
    pub database: Component,
    /// Redis; not used by this version.
    pub redis: Component,
    /// The Stripe API key.
    pub stripe: Component,
    /// The webhook secret.
    pub webhook: Component,
    /// How many findings are open, by code; `GET /admin/findings` tells of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub findings: BTreeMap<&'static str, u64>,
}

const OK: Component = Component { status: "ok", detail: None };

impl Component {
    fn because(status: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: Some(why.into()) }
    }
}

/// Where the process says that it lives; answered however many connections are open.
pub const LIVE: &str = "/livez";

/// `GET /livez`
pub async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let health = look(&app).await;
    let running = health.database.status == "ok" && health.tasks.status == "ok";
    let ready = running && !app.is_stopping();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(health)).into_response()
}

/// `GET /health`
pub async fn health(State(app): State<Arc<App>>) -> Response {
    let health = look(&app).await;
    let status = match health.status {
        "unhealthy" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (status, axum::Json(health)).into_response()
}

/// `GET /metrics`
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    // A database that is away must not take the metrics with it.
    app.open_findings().await.ok();
    app.metrics.connections.set(i64::try_from(app.connections.get()).unwrap_or(i64::MAX));
    let mut response = app.metrics.render().into_response();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

async fn look(app: &App) -> Health {
    let database = match app.engine.db.ping().await {
        Ok(()) => OK,
        Err(_) => Component::because("failing", "the database does not answer"),
    };
    let down: Vec<&str> = app.supervisor.down().into_iter().map(TaskKind::as_str).collect();
    let tasks = match down.as_slice() {
        [] => OK,
        down => {
            Component::because("failing", format!("not running: {}; see the log", down.join(", ")))
        }
    };
    let counts = if database.status == "ok" { app.open_findings().await.ok() } else { None };
    let open = counts.iter().flat_map(|counts| counts.iter()).filter(|(_, count)| **count > 0);
    let findings = open.map(|(code, count)| (code.as_str(), *count)).collect();
    let webhook = if app.config.webhook_secrets.is_empty() {
        Component::because("off", "STRIPE_WEBHOOK_SECRET is not set")
    } else {
        OK
    };
    let stripe = match (&app.config.stripe.secret_key, app.stripe_guard.standing()) {
        (None, _) => Component::because("off", "STRIPE_SECRET_KEY is not set"),
        (Some(_), KeyStanding::Wrong(why)) => Component::because("failing", why.code()),
        (Some(_), KeyStanding::Right(_) | KeyStanding::Unasked) => OK,
    };
    let status = match (database.status, tasks.status, webhook.status, stripe.status) {
        ("ok", "ok", "ok", "ok" | "off") => "healthy",
        ("ok", ..) => "degraded",
        _ => "unhealthy",
    };
    Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        tasks,
        database,
        redis: Component { status: "off", detail: None },
        stripe,
        webhook,
        findings,
    }
}
