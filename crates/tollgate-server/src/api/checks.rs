//! `POST /api/v1/feature-check` and its batch. Owns: what a check looks like on the wire. Must not
//! know: how entitlements are found (`engine`) or decided (`domain`).

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tollgate_domain::catalog::{Feature, FeatureKind};
use tollgate_domain::entitlement::{Answer, Resolution, Usage};
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Timestamp};

use super::auth::{Caller, Reach};
use super::body;
use super::client_address::Head;
use super::error::{ApiError, FieldError};
use super::explain::{Source, Trace};
use super::limits::Class;
use super::reply;
use crate::app::App;
use crate::cache::Entry;
use crate::engine::ReadAt;
use crate::metering::{self, Meter, Metered};
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

impl CheckIn<'_> {
    /// Whether nothing is asked but for one use, now.
    const fn is_plain(&self) -> bool {
        self.at.is_none() && !self.explain && !self.consume && self.requested_usage.is_none()
    }
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
    #[schema(format = DateTime)]
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
    #[schema(format = DateTime)]
    pub resets_at: Option<String>,
    /// For a denial: where to upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_url: Option<String>,
    /// Until when this answer holds without a new fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
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
    let ask: CheckIn<'_> = body::parse(&body)?;
    if let Some(ready) = ready_answer(&app, &caller, &ask) {
        return Ok(reply::json(ready?));
    }
    // Boxed, so that what a ready answer has no need of is not made room for.
    let answers =
        Box::pin(answer_all(&app, &caller, vec![ask])).await.map_err(|(_, error)| error)?;
    Ok(reply::json(answers.into_iter().next().unwrap_or_default()))
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
    let answers = answer_all(&app, &caller, checks).await;
    let answers = answers.map_err(|(place, error)| in_batch(place, error))?;
    for (place, answer) in answers.iter().enumerate() {
        if place > 0 {
            whole.push(b',');
        }
        whole.extend_from_slice(answer);
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
    let caller = app.authenticate(Head::of(&request), Scope::Check, Reach::Named).await?;
    app.admit(Class::Check, &caller.id)?;
    let body = body::read(request.into_body(), app.config.http.body_bytes_max, &app.bodies).await?;
    Ok((caller, body))
}

/// The reply to a plain check whose account's entry is at hand; `None` for any other.
fn ready_answer(app: &App, caller: &Caller, ask: &CheckIn<'_>) -> Option<Result<Bytes, ApiError>> {
    let (position, kind) = app.feature_position(&ask.feature)?;
    if !ask.is_plain() || matches!(kind, FeatureKind::Metered(_)) {
        return None;
    }
    let account = ask.account_id.as_ref();
    let entry = app.engine.cached(account, ask.min_revision.unwrap_or(0))?;
    if let Err(error) = caller.may_ask_about(account) {
        return Some(Err(error));
    }
    app.metrics.checks_cached.inc();
    Some(entry.answer(position, || plain_answer(&app.config.catalog, &entry, ask)))
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

/// A check that nothing can be said against.
struct Valid<'a> {
    ask: CheckIn<'a>,
    account: AccountId,
    feature: &'a Feature,
    at: Option<Timestamp>,
}

impl<'a> Valid<'a> {
    fn of(ask: CheckIn<'a>, caller: &Caller, catalog: &'a Catalog) -> Result<Self, ApiError> {
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
        let unknown = || ApiError::UnknownFeature(ask.feature.chars().take(80).collect());
        let feature = catalog.features.get(ask.feature.as_ref()).ok_or_else(unknown)?;
        Meter::check(feature, ask.consume)?;
        Ok(Self { ask, account, feature, at })
    }
}

/// Answers questions as JSON, in their order. A call that is refused has no effect: every question
/// is looked at and every revision reached before the first use is counted. An error comes with
/// the place of its question.
async fn answer_all(
    app: &App,
    caller: &Caller,
    asks: Vec<CheckIn<'_>>,
) -> Result<Vec<Bytes>, (usize, ApiError)> {
    let catalog = &app.config.catalog;
    let valid = asks.into_iter().enumerate();
    let valid = valid.map(|(place, ask)| Valid::of(ask, caller, catalog).map_err(|e| (place, e)));
    let valid: Vec<Valid<'_>> = valid.collect::<Result<_, _>>()?;
    let mut entries = Vec::with_capacity(valid.len());
    for (place, Valid { ask, account, at, .. }) in valid.iter().enumerate() {
        let min_revision = ask.min_revision.unwrap_or(0);
        let read = ReadAt { at: *at, min_revision, explain: ask.explain };
        let entry = app.engine.resolve(account, read).await;
        entries.push(entry.map_err(|error| (place, error.into()))?);
    }
    let now = app.clock.now();
    let mut meters = Vec::with_capacity(valid.len());
    for (place, (Valid { ask, account, feature, at }, entry)) in
        valid.iter().zip(&entries).enumerate()
    {
        let (requested, consume) = (ask.requested_usage.unwrap_or(1), ask.consume);
        let at = at.unwrap_or(now);
        let metered = Metered { account, feature, requested, consume, at };
        let meter = Meter::of(&app.engine, &entry.resolution, metered).await;
        meters.push(meter.map_err(|error| (place, error.into()))?);
    }
    let usages = metering::usages(&app.engine, &meters).await.map_err(|error| (0, error.into()))?;
    let counted = valid.iter().zip(&entries).zip(usages).enumerate();
    let answers = counted.map(|(place, ((valid, entry), usage))| {
        let answer = answer(app, valid, entry, usage).map_err(|error| (place, error))?;
        Ok(answer)
    });
    answers.collect()
}

fn answer(
    app: &App,
    valid: &Valid<'_>,
    entry: &Entry,
    usage: Option<Usage>,
) -> Result<Bytes, ApiError> {
    let (ask, catalog, resolution) = (&valid.ask, &app.config.catalog, &entry.resolution);
    if let (Some((position, _)), None, true) =
        (app.feature_position(&ask.feature), usage, ask.is_plain())
    {
        return entry.answer(position, || plain_answer(catalog, entry, ask));
    }
    let requested = ask.requested_usage.unwrap_or(1);
    let answer = tollgate_domain::answer(resolution, catalog, &ask.feature, requested, usage)
        .map_err(|_| ApiError::UnknownFeature(ask.feature.to_string()))?;
    rendered(catalog, resolution, &answer, ask)
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
