//! `POST /api/v1/feature-check` and its batch. Owns: what a check looks like on the wire. Must not
//! know: how entitlements are found (`engine`) or decided (`domain`).

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tollgate_domain::catalog::FeatureKind;
use tollgate_domain::entitlement::{Answer, Resolution};
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Timestamp};

use super::auth::{Caller, Reach};
use super::body;
use super::error::{ApiError, FieldError};
use super::explain::{Source, Trace};
use super::limits::Class;
use super::reply;
use crate::app::App;
use crate::cache::Entry;
use crate::engine::{Metered, ReadAt};
use crate::scope::Scope;

/// Most checks in one batch.
pub const BATCH_MAX: usize = 100;

/// One question about one feature.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = FeatureCheck)]
pub struct CheckIn<'a> {
    /// The account; `communityId`, `tenantId` and `userId` mean the same.
    #[serde(borrow, alias = "communityId", alias = "tenantId", alias = "userId")]
    #[schema(value_type = String, example = "acme")]
    pub account_id: Cow<'a, str>,
    /// The feature's key.
    #[serde(borrow)]
    #[schema(value_type = String, example = "weekly_digest")]
    pub feature: Cow<'a, str>,
    /// How many uses or units are asked for; 1 unless said.
    pub requested_usage: Option<u64>,
    /// Count the uses if they are allowed; metered features only.
    #[serde(default)]
    pub consume: bool,
    /// Answer from this revision of the account or a later one.
    pub min_revision: Option<u64>,
    /// Answer as of this instant instead of now (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(borrow)]
    pub at: Option<Cow<'a, str>>,
    /// Say what was considered and why.
    #[serde(default)]
    pub explain: bool,
}

/// The answer to one question.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeatureCheckResult)]
pub struct CheckOut<'a> {
    /// The feature asked about.
    pub feature: &'a str,
    /// May the account use it?
    pub can_access: bool,
    /// Why.
    pub reason: Reason<'a>,
    /// The plan in force.
    pub tier: &'a str,
    /// For a denial: the cheapest plan that has the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_tier: Option<&'a str>,
    /// Where the plan comes from.
    pub source: Source<'a>,
    /// A payment has failed and the grace has not ended.
    pub in_grace_period: bool,
    /// End of that grace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<String>,
    /// The limit, for limits and metered features that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Used in this period, uses counted by this check included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<u64>,
    /// Left in this period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// There is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlimited: Option<bool>,
    /// When the count starts again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
    /// For a denial: where to upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_url: Option<String>,
    /// Until when this answer holds without a new fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// The revision of the account this answer was made from.
    pub revision: u64,
    /// Everything that was considered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// Why a check said what it said.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CheckReason)]
pub struct Reason<'a> {
    /// Stable code.
    pub code: &'static str,
    /// A sentence for people.
    pub message: &'a str,
}

/// Several questions.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeatureCheckBatch)]
pub struct BatchIn<'a> {
    /// At most 100.
    #[serde(borrow, deserialize_with = "body::objects")]
    pub checks: Vec<CheckIn<'a>>,
}

/// `POST /api/v1/feature-check`
pub async fn check(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (caller, body) = admit(&app, request).await?;
    Ok(reply::json(answer(&app, &caller, body::parse(&body)?).await?))
}

/// `POST /api/v1/feature-check/batch`
pub async fn batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (caller, body) = admit(&app, request).await?;
    let BatchIn { checks } = body::parse(&body)?;
    if checks.is_empty() || checks.len() > BATCH_MAX {
        return Err(ApiError::field("checks", format!("must hold 1 to {BATCH_MAX} checks")));
    }
    let mut whole = Vec::with_capacity(checks.len().saturating_mul(400));
    whole.extend_from_slice(b"{\"results\":[");
    for (place, check) in checks.into_iter().enumerate() {
        let reply = answer(&app, &caller, check).await.map_err(|error| in_batch(place, error))?;
        if place > 0 {
            whole.push(b',');
        }
        whole.extend_from_slice(&reply);
    }
    whole.extend_from_slice(b"]}");
    Ok(reply::json(whole.into()))
}

/// Names the check at fault.
fn in_batch(place: usize, error: ApiError) -> ApiError {
    if let ApiError::UnknownFeature(key) = error {
        let message = format!("the catalog has no feature {key:?}");
        return ApiError::field(format!("checks[{place}].feature"), message);
    }
    if let ApiError::InvalidRequest(errors) = error {
        let named =
            |e: FieldError| FieldError::new(format!("checks[{place}].{}", e.field), e.message);
        return ApiError::InvalidRequest(errors.into_iter().map(named).collect());
    }
    error
}

async fn admit(app: &App, request: Request<Body>) -> Result<(Arc<Caller>, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let caller = app.authenticate(&parts.headers, Scope::Check, Reach::Named).await?;
    app.admit(Class::Check, &caller.id)?;
    let body = body::read(body, app.config.http.body_bytes_max, &app.bodies).await?;
    Ok((caller, body))
}

/// Answers one question as JSON.
async fn answer(app: &App, caller: &Caller, ask: CheckIn<'_>) -> Result<Bytes, ApiError> {
    let account = ask.account_id.as_ref();
    let position = app.feature_position(&ask.feature);
    let plain = ask.at.is_none() && !ask.explain && !ask.consume && ask.requested_usage.is_none();
    if let (Some((position, FeatureKind::Boolean | FeatureKind::Limit)), true) = (position, plain)
        && let Some(entry) = app.engine.cached(account, ask.min_revision.unwrap_or(0))
    {
        caller.may_ask_about(account)?;
        app.metrics.checks_cached.inc();
        return entry.answer(position, || plain_answer(&app.config.catalog, &entry, &ask));
    }
    answer_slowly(app, caller, &ask).await
}

/// The reply to a plain check, from the entry alone.
fn plain_answer(catalog: &Catalog, entry: &Entry, ask: &CheckIn<'_>) -> Result<Bytes, ApiError> {
    let answer = tollgate_domain::answer(&entry.resolution, catalog, &ask.feature, 1, None)
        .map_err(|_| ApiError::UnknownFeature(ask.feature.to_string()))?;
    rendered(catalog, &entry.resolution, &answer, ask)
}

fn rendered(
    catalog: &Catalog,
    resolution: &Resolution,
    answer: &Answer,
    ask: &CheckIn<'_>,
) -> Result<Bytes, ApiError> {
    render(catalog, resolution, answer, ask).map(Bytes::from).map_err(reply::unwritable)
}

async fn answer_slowly(app: &App, caller: &Caller, ask: &CheckIn<'_>) -> Result<Bytes, ApiError> {
    let mut errors = Vec::new();
    let account = AccountId::parse(&ask.account_id)
        .map_err(|error| errors.push(FieldError::new("accountId", error.to_string())));
    let at = ask.at.as_deref().map(Timestamp::parse).transpose();
    let at = at.map_err(|error| errors.push(FieldError::new("at", error.to_string())));
    if ask.consume && ask.at.is_some() {
        errors.push(FieldError::new("consume", "cannot be combined with at"));
    }
    let (Ok(account), Ok(at), true) = (account, at, errors.is_empty()) else {
        return Err(ApiError::InvalidRequest(errors));
    };
    caller.may_ask_about(account.as_str())?;
    let catalog = &app.config.catalog;
    let feature = catalog
        .features
        .get(ask.feature.as_ref())
        .ok_or_else(|| ApiError::UnknownFeature(ask.feature.chars().take(80).collect()))?;
    let read = ReadAt { at, min_revision: ask.min_revision.unwrap_or(0), explain: ask.explain };
    let resolution = app.engine.resolve(&account, read).await?;
    let requested = ask.requested_usage.unwrap_or(1);
    let at = at.unwrap_or_else(|| app.clock.now());
    let metered = Metered { account: &account, feature, requested, consume: ask.consume, at };
    let usage = app.engine.usage(&resolution.resolution, metered).await?;
    let answer =
        tollgate_domain::answer(&resolution.resolution, catalog, &ask.feature, requested, usage)
            .map_err(|_| ApiError::UnknownFeature(ask.feature.to_string()))?;
    rendered(catalog, &resolution.resolution, &answer, ask)
}

/// The reply in JSON.
pub(crate) fn render(
    catalog: &Catalog,
    resolution: &Resolution,
    answer: &Answer,
    ask: &CheckIn<'_>,
) -> Result<Vec<u8>, serde_json::Error> {
    let required = answer.required_plan.and_then(|index| catalog.plan(index));
    let limit = answer.limit.and_then(tollgate_domain::catalog::Limit::count);
    let out = CheckOut {
        feature: &ask.feature,
        can_access: answer.can_access,
        reason: Reason { code: answer.reason.as_str(), message: &answer.message },
        tier: catalog.plan(resolution.plan).map_or("", |plan| plan.id.as_str()),
        required_tier: required.map(|plan| plan.id.as_str()),
        source: match &answer.override_id {
            Some(id) => Source { kind: "override", id: Some(id) },
            None => Source::of(resolution),
        },
        in_grace_period: resolution.in_grace,
        grace_until: resolution.grace_until.map(|at| at.to_string()),
        limit,
        usage: answer.usage,
        remaining: limit.zip(answer.usage).map(|(limit, usage)| limit.saturating_sub(usage)),
        unlimited: answer.limit.map(|limit| limit.count().is_none()),
        resets_at: answer.resets_at.map(|at| at.to_string()),
        upgrade_url: required
            .zip(AccountId::parse(&ask.account_id).ok())
            .and_then(|(plan, account)| catalog.upgrade_link(plan, &account)),
        valid_until: resolution.valid_until.map(|at| at.to_string()),
        revision: resolution.revision,
        trace: ask.explain.then(|| Trace::of(resolution, catalog)),
    };
    serde_json::to_vec(&out)
}
