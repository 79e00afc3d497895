//! `POST /admin/reconcile` and `GET /admin/reconcile/runs`: comparing with Stripe, and how it went.
//! Owns: their JSON. Must not know: how anything is compared.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_store::reconciliation_runs::{self as runs, Run};
use tollgate_stripe::StripeError;

use crate::api::auth::Reach;
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::limits::Class;
use crate::api::query::Query;
use crate::api::{body, reply};
use crate::app::App;
use crate::billing::BillingError;
use crate::reconcile::{self, Kind, Order, ReconcileError, Report};
use crate::scope::Scope;

/// Runs shown unless asked otherwise.
const LIMIT_DEFAULT: u64 = 20;
/// Most runs shown.
const LIMIT_MAX: u64 = 100;

/// What to compare.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ReconciliationOrder)]
pub struct OrderIn {
    /// Find differences and repair nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Compare this account only.
    #[serde(default)]
    pub account_id: Option<String>,
    /// End whatever Stripe says is over, also where that concerns more than five accounts and one in
    /// a hundred; without it such a run repairs everything else and ends as `stopped`.
    #[serde(default)]
    pub allow_ends: bool,
}

/// A run that has begun.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReconciliationBegun)]
pub struct BegunOut {
    /// Its id; `GET /admin/reconcile/runs` tells how it goes.
    pub run_id: String,
    /// Always `running`.
    pub status: &'static str,
}

/// Runs, the newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReconciliationRuns)]
pub struct RunsOut {
    /// The runs.
    pub data: Vec<RunOut>,
    /// For `before` of the next request; missing at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_before: Option<String>,
}

/// One run.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReconciliationRun)]
pub struct RunOut {
    /// Its id.
    pub run_id: String,
    /// `events` (those that never came), `sweep` (and every object) or `import`.
    pub kind: String,
    /// The account, where it was about one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Whether nothing was repaired.
    pub dry_run: bool,
    /// `running`, `done`, `stopped` (something waits for your word) or `failed`.
    pub status: String,
    /// Why it stopped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it began.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it was last heard of.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// What it found so far.
    pub report: Report,
}

/// `POST /admin/reconcile`
pub async fn begin(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::Admin, Reach::Named).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    let (parts, content) = request.into_parts();
    Query::parse(parts.uri.query()).finish()?;
    let wanted: OrderIn = body::json(content, app.config.http.body_bytes_max, &app.bodies).await?;
    let account = wanted.account_id.as_deref().map(AccountId::parse).transpose();
    let account = account.map_err(|error| ApiError::field("accountId", error.to_string()))?;
    match &account {
        Some(account) => caller.may_ask_about(account.as_str())?,
        None => caller.may_ask_about_all()?,
    }
    let (dry, allow_ends) = (wanted.dry_run, wanted.allow_ends);
    let order = Order { kind: Kind::Sweep, account, dry, allow_ends };
    let begun = reconcile::begin(&app, order).await.map_err(refusal)?;
    let out = BegunOut { run_id: begun.id.clone(), status: "running" };
    let supervisor = app.supervisor.clone();
    supervisor.spawn_run(async move {
        let id = begun.id.clone();
        if let Err(error) = reconcile::carry_out(&app, begun, &|_, _| {}).await {
            tracing::warn!(run = id, %error, "reconciliation");
        }
    });
    let mut response = (StatusCode::ACCEPTED, reply::of(&out)?).into_response();
    if let Some(admitted) = admitted {
        admitted.mark(response.headers_mut());
    }
    Ok(response)
}

/// `GET /admin/reconcile/runs`
pub async fn runs(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::AdminRead, Reach::All).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    let mut query = Query::parse(request.uri().query());
    let (limit, before) = (query.number("limit"), query.text("before"));
    query.finish()?;
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be from 1 to {LIMIT_MAX}")));
    }
    let before = before.as_deref().map_or(Ok(Timestamp::MAX), Timestamp::parse);
    let before = before.map_err(|error| ApiError::field("before", error.to_string()))?;
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let found = runs::list(&app.engine.db, before, limit).await?;
    let full = u32::try_from(found.len()).is_ok_and(|count| count == limit);
    let next_before = found.last().filter(|_| full).map(|run| run.started_at.to_string());
    let out = RunsOut { data: found.into_iter().map(run_out).collect(), next_before };
    let mut response = reply::of(&out)?;
    if let Some(admitted) = admitted {
        admitted.mark(response.headers_mut());
    }
    Ok(response)
}

fn run_out(run: Run) -> RunOut {
    RunOut {
        run_id: run.id,
        kind: run.kind,
        account_id: run.account.map(|account| account.to_string()),
        dry_run: run.dry_run,
        status: run.status,
        error: run.error,
        started_at: run.started_at.to_string(),
        updated_at: run.updated_at.to_string(),
        finished_at: run.finished_at.map(|at| at.to_string()),
        report: serde_json::from_str(&run.report).unwrap_or_default(),
    }
}

fn refusal(error: ReconcileError) -> ApiError {
    match error {
        ReconcileError::NoKey => ApiError::StripeNotConfigured,
        ReconcileError::Busy | ReconcileError::LeaseLost => ApiError::ReconciliationRunning,
        ReconcileError::UnknownAccount(_) => ApiError::field("accountId", error.to_string()),
        ReconcileError::Stopping => ApiError::Stopping,
        ReconcileError::Store(error) => error.into(),
        ReconcileError::NotCommitted => ApiError::NotCommitted,
        // The first is found out at the end of a run only, long after the reply.
        ReconcileError::TooManyEnds { .. } | ReconcileError::Unwritable(_) => {
            ApiError::Internal(error.to_string())
        }
        ReconcileError::Stripe(StripeError::WrongKey { why }) => ApiError::WrongStripeKey(why),
        ReconcileError::Stripe(error) => BillingError::from(error).into(),
    }
}
