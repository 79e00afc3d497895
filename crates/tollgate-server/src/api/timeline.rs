//! `GET /api/v1/accounts/{id}/timeline`. Owns: its JSON. Must not know: how spans are found.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use tollgate_domain::entitlement::timeline::{self, Span, Timeline};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Timestamp};

use super::client_address::Head;
use super::error::ApiError;
use super::explain::Source;
use super::limits::Class;
use super::path::PathParameter;
use super::query::Query;
use super::reply;
use crate::api::auth::Reach;
use crate::app::App;
use crate::scope::Scope;

/// Days before and after now that are shown unless asked otherwise.
pub const DEFAULT_DAYS: i64 = 30;

/// Spans of time with the plan in each.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Timeline)]
pub struct TimelineOut<'a> {
    /// The account.
    pub account_id: &'a str,
    /// The present: spans that begin after it are a forecast.
    #[schema(format = DateTime)]
    pub now: String,
    /// The revision of the account this was made from.
    pub revision: u64,
    /// Spans in order, without gaps; at most 500.
    pub spans: Vec<SpanOut<'a>>,
    /// There are more before `to`: ask again with `from` = `nextFrom`.
    pub truncated: bool,
    /// Where the spans go on, when they were cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_from: Option<String>,
}

/// One span of time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineSpan)]
pub struct SpanOut<'a> {
    /// Its first instant.
    #[schema(format = DateTime)]
    pub from: String,
    /// The first instant after it.
    #[schema(format = DateTime)]
    pub to: String,
    /// The plan in force.
    pub tier: &'a str,
    /// Where it comes from.
    pub source: Source<'a>,
    /// A payment has failed and the grace has not ended.
    pub in_grace_period: bool,
    /// It begins after now: what happens if nothing new happens.
    pub forecast: bool,
}

/// `GET /api/v1/accounts/{id}/timeline`
pub async fn show(
    State(app): State<Arc<App>>,
    PathParameter(id): PathParameter,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::Check, Reach::Named).await?;
    app.admit(Class::Check, &caller.id)?;
    let account =
        AccountId::parse(&id).map_err(|error| ApiError::field("id", error.to_string()))?;
    caller.may_ask_about(account.as_str())?;
    read(&app, &account, request.uri().query()).await
}

async fn read(app: &App, account: &AccountId, query: Option<&str>) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let mut query = Query::parse(query);
    let from = query.time("from").unwrap_or(now.plus_days(-DEFAULT_DAYS));
    let to = query.time("to").unwrap_or(now.plus_days(DEFAULT_DAYS));
    query.finish()?;
    if from >= to {
        return Err(ApiError::field("to", "must be after from"));
    }
    let catalog = &app.config.catalog;
    let window = Window::spanning(from, to, now, catalog);
    let facts = app.engine.load_window(account, 0, window).await?;
    let timeline = timeline::timeline(&facts, catalog, from, to, now);
    reply::of(&timeline_out(catalog, (account, facts.revision), &timeline, now))
}

/// A timeline as it is shown, with whose it is and from which revision.
pub(crate) fn timeline_out<'a>(
    catalog: &'a Catalog,
    (account, revision): (&'a AccountId, u64),
    timeline: &'a Timeline,
    now: Timestamp,
) -> TimelineOut<'a> {
    TimelineOut {
        account_id: account.as_str(),
        now: now.to_string(),
        revision,
        spans: timeline.spans.iter().map(|span| span_out(catalog, span, now)).collect(),
        truncated: timeline.cut_at.is_some(),
        next_from: timeline.cut_at.map(|at| at.to_string()),
    }
}

fn span_out<'a>(catalog: &'a Catalog, span: &'a Span, now: Timestamp) -> SpanOut<'a> {
    SpanOut {
        from: span.from.to_string(),
        to: span.to.to_string(),
        tier: catalog.plan(span.plan).map_or("", |plan| plan.id.as_str()),
        source: Source { kind: span.source.as_str(), id: span.source_id.as_deref() },
        in_grace_period: span.in_grace,
        forecast: span.from > now,
    }
}
