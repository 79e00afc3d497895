//! Health and metrics. Owns: what "alive", "ready" and "healthy" mean.
//!
//! Alive: the process answers. Ready: the database answers, has our schema and takes writes, every
//! background task runs, the API key is not one of another Stripe account, and the engine is not
//! stopping. Healthy: ready, and nothing is missing that a part of the product needs.
//!
//! Stripe that cannot be reached does not make an instance unready: checks are answered and webhooks
//! taken without it, and taking every instance out at once would turn Stripe's outage into ours.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tollgate_store::migrations;

use crate::app::App;
use crate::stripe::{Contact, KeyStanding};
use crate::supervisor::TaskKind;

/// How a component stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Component {
    /// `ok`, `off`, `failing`, or `unknown` before it was first used.
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
    /// The version of the database's schema that this binary works with.
    pub schema_version: u32,
    /// Whether the engine is about to stop: it answers, but nothing new should be sent to it.
    pub stopping: bool,
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
    let wrong_key = matches!(app.stripe_guard.standing(), KeyStanding::Wrong(_));
    let ready = running && !wrong_key && !health.stopping;
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
    let database = match app.readiness.database(&app.engine.db, app.clock.now()).await {
        Ok(()) => OK,
        Err(trouble) => Component::because("failing", trouble),
    };
    let tasks = tasks(app);
    let counts = if database.status == "ok" { app.open_findings().await.ok() } else { None };
    let open = counts.iter().flat_map(|counts| counts.iter()).filter(|(_, count)| **count > 0);
    let findings = open.map(|(code, count)| (code.as_str(), *count)).collect();
    let webhook = if app.config.webhook_secrets.is_empty() {
        Component::because("off", "STRIPE_WEBHOOK_SECRET is not set")
    } else {
        OK
    };
    let stripe = stripe(app);
    let status = match (database.status, tasks.status, webhook.status, stripe.status) {
        ("ok", "ok", "ok", "ok" | "off" | "unknown") => "healthy",
        ("ok", ..) => "degraded",
        _ => "unhealthy",
    };
    Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        schema_version: migrations::known(),
        stopping: app.is_stopping(),
        tasks,
        database,
        redis: Component { status: "off", detail: None },
        stripe,
        webhook,
        findings,
    }
}

/// Tasks that ended and have not begun anew yet, and tasks that hang.
fn tasks(app: &App) -> Component {
    let names = |kinds: Vec<TaskKind>| {
        kinds.into_iter().map(TaskKind::as_str).collect::<Vec<_>>().join(", ")
    };
    let (down, stuck) = (names(app.supervisor.down()), names(app.supervisor.stuck()));
    match (down.as_str(), stuck.as_str()) {
        ("", "") => OK,
        ("", stuck) => Component::because("failing", format!("not moving: {stuck}; see the log")),
        (down, _) => Component::because("failing", format!("not running: {down}; see the log")),
    }
}

fn stripe(app: &App) -> Component {
    if app.config.stripe.secret_key.is_none() {
        return Component::because("off", "STRIPE_SECRET_KEY is not set");
    }
    match (app.stripe_guard.standing(), app.stripe_contact.get()) {
        (KeyStanding::Wrong(why), _) => Component::because("failing", why.code()),
        (_, Contact::Fails) => {
            Component::because("failing", "Stripe cannot be reached; see the log")
        }
        (_, Contact::None) => Component::because("unknown", "Stripe has not been called yet"),
        (KeyStanding::Right(_), Contact::Answers) => OK,
        (KeyStanding::Unasked, Contact::Answers) => Component::because(
            "failing",
            "Stripe refuses the key, or what it opens is not known yet",
        ),
    }
}
