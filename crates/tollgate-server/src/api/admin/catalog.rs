//! `POST /admin/catalog/plan`: what a proposed catalog would do to every account. Owns: its JSON,
//! which the command line prints too. Must not know: how catalogs are compared.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header;
use serde::{Deserialize, Serialize};
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::parse::TEXT_BYTES_MAX;
use tollgate_domain::catalog::{CatalogErrors, Limit};
use tollgate_domain::ids::{AccountId, FeatureKey, PlanId, PriceId};
use tollgate_domain::what_if::summary::SAMPLES_MAX;
use tollgate_domain::what_if::{Effect, FeatureTally, LimitMove, Sample, Summary, Tally};

use crate::api::auth::Reach;
use crate::api::client_address::Head;
use crate::api::error::{ApiError, FieldError};
use crate::api::limits::Class;
use crate::api::query::Query;
use crate::api::{body, reply};
use crate::app::App;
use crate::scope::Scope;
use crate::what_if::{Comparison, ProposalError, compare_all, read_proposed};

/// Samples of each kind unless asked otherwise.
pub const SAMPLES_DEFAULT: usize = 20;
/// Longest body: a catalog's text as JSON, where every character can take two.
const BODY_BYTES_MAX: usize = 2 * TEXT_BYTES_MAX;
/// Share of the request's time that goes into accounts, in percent; then the rest is left to the
/// next request.
const TIME_PERCENT: u64 = 60;

/// What is proposed. A body of another type than JSON is the catalog's text itself, with the rest
/// in the query.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CatalogProposal)]
pub struct ProposalIn {
    /// The catalog, as the text of a TOML file.
    pub catalog: String,
    /// Compare at this instant, RFC 3339; now unless said.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub at: Option<String>,
    /// Accounts to show of each kind, 0 to 100; 20 unless said.
    #[serde(default)]
    pub samples: Option<u64>,
    /// Go on where an earlier reply ended.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Who gains, who loses, who would be over a limit.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlan)]
pub struct WhatIfOut<'a> {
    /// Version of the catalog in force.
    pub catalog_version: &'a str,
    /// Version the proposed catalog would have.
    pub proposed_version: &'a str,
    /// The instant compared.
    #[schema(format = DateTime)]
    pub at: String,
    /// Accounts looked at.
    pub accounts: u64,
    /// Accounts for which anything would be different.
    pub changed: u64,
    /// Accounts that would have more.
    pub gaining: TallyOut<'a>,
    /// Accounts that would have less.
    pub losing: TallyOut<'a>,
    /// Accounts that would be over a limit they are within today.
    pub exceeding: TallyOut<'a>,
    /// Accounts by the plan they have and would have.
    pub moves: Vec<MoveOut<'a>>,
    /// Features that would be touched.
    pub features: Vec<FeatureOut<'a>>,
    /// Prices that give a plan today and would not: add them to the proposed catalog.
    pub unpriced: Vec<UnpricedOut<'a>>,
    /// One-time purchases in force that the proposed catalog would sell otherwise or not at all, and
    /// that stay as they were sold.
    pub kept_sales: u64,
    /// Plans bought one-time of which nothing of the same rank would be left, with the accounts that
    /// bought them.
    pub lost_grants: Vec<LostGrantOut<'a>>,
    /// Whether these are all accounts. If not, ask again with the cursor, and add.
    pub complete: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// How many accounts, and the first of them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanTally)]
pub struct TallyOut<'a> {
    /// How many.
    pub accounts: u64,
    /// The first of them by id.
    pub samples: Vec<SampleOut<'a>>,
}

/// What would be different for one account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanSample)]
pub struct SampleOut<'a> {
    /// The account.
    pub account_id: &'a str,
    /// Its plan, when it would be another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierOut<'a>>,
    /// Features it would have and has not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gained: Vec<&'a str>,
    /// Features it has and would not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<&'a str>,
    /// Limits that would rise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub raised: Vec<LimitOut<'a>>,
    /// Limits that would fall.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lowered: Vec<LimitOut<'a>>,
    /// What would be over its limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceeded: Vec<ExcessOut<'a>>,
    /// Prices it pays that would give nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<&'a str>,
    /// Plans it bought one-time of which nothing of the same rank would be left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_grants: Vec<&'a str>,
}

/// A plan and its source, before and after.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanTier)]
pub struct TierOut<'a> {
    /// Today's plan.
    pub from: &'a str,
    /// Where it comes from.
    pub source_from: &'static str,
    /// The plan it would have.
    pub to: &'a str,
    /// Where that would come from.
    pub source_to: &'static str,
}

/// A limit, before and after; `null` is unlimited.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanLimit)]
pub struct LimitOut<'a> {
    /// The feature.
    pub feature: &'a str,
    /// Today's limit.
    pub from: Option<u64>,
    /// The limit it would have.
    pub to: Option<u64>,
}

/// More in use than would be allowed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanExcess)]
pub struct ExcessOut<'a> {
    /// The feature.
    pub feature: &'a str,
    /// Units in use.
    pub used: u64,
    /// Units that would be allowed.
    pub limit: u64,
}

/// Accounts that would go from one plan to another.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanMove)]
pub struct MoveOut<'a> {
    /// Today's plan.
    pub from: &'a str,
    /// The plan they would have.
    pub to: &'a str,
    /// How many.
    pub accounts: u64,
}

/// Accounts by what would happen to one feature.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanFeature)]
pub struct FeatureOut<'a> {
    /// The feature.
    pub feature: &'a str,
    /// Accounts that would gain it.
    pub gained: u64,
    /// Accounts that would lose it.
    pub lost: u64,
    /// Accounts with a higher limit.
    pub raised: u64,
    /// Accounts with a lower limit.
    pub lowered: u64,
    /// Accounts over the limit.
    pub exceeded: u64,
}

/// A price that would give nothing.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanPrice)]
pub struct UnpricedOut<'a> {
    /// The Stripe price.
    pub price: &'a str,
    /// Accounts that pay it.
    pub accounts: u64,
}

/// A plan that was bought one-time and would be gone.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPlanLostGrant)]
pub struct LostGrantOut<'a> {
    /// The plan, by the id it was sold under.
    pub plan: &'a str,
    /// Accounts that bought it.
    pub accounts: u64,
}

/// `POST /admin/catalog/plan`
pub async fn plan(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let begun = tokio::time::Instant::now();
    let caller = app.authenticate(Head::of(&request), Scope::AdminRead, Reach::All).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    let proposal = read(&app, request).await?;
    let now = app.clock.now();
    let (at, samples_max, after) = checked(&proposal, now)?;
    let proposed = read_proposed(&app.config, "catalog", &proposal.catalog).map_err(refusal)?;
    let today = &app.engine.catalog;
    let comparison = Comparison { today, proposed: &proposed, at, now, samples_max };
    let time = app.config.http.request_timeout_ms.saturating_mul(TIME_PERCENT) / 100;
    let time = Duration::from_millis(time);
    let go_on = |_| begun.elapsed() < time;
    let (summary, next) = compare_all(&app.engine.db, comparison, after, go_on).await?;
    let out = what_if_out(&summary, comparison, next.as_ref());
    let mut response = reply::of(&out)?;
    if let Some(admitted) = admitted {
        admitted.mark(response.headers_mut());
    }
    Ok(response)
}

async fn read(app: &App, request: Request) -> Result<ProposalIn, ApiError> {
    let (parts, content) = request.into_parts();
    let content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|kind| kind.contains("json"));
    let mut query = Query::parse(parts.uri.query());
    if is_json {
        query.finish()?;
        return body::json(content, BODY_BYTES_MAX, &app.bodies).await;
    }
    let (at, samples) = (query.text("at"), query.number("samples"));
    let cursor = query.text("cursor");
    query.finish()?;
    let bytes: Bytes = body::read(content, BODY_BYTES_MAX, &app.bodies).await?;
    let catalog = String::from_utf8(bytes.into())
        .map_err(|_| ApiError::field("catalog", "is not UTF-8; send the text of a TOML file"))?;
    Ok(ProposalIn { catalog, at, samples, cursor })
}

type Checked = (Timestamp, usize, Option<AccountId>);

fn checked(proposal: &ProposalIn, now: Timestamp) -> Result<Checked, ApiError> {
    let mut errors = Vec::new();
    let at = proposal.at.as_deref().map_or(Ok(now), Timestamp::parse);
    let at = at.map_err(|error| errors.push(FieldError::new("at", error.to_string())));
    let samples = proposal
        .samples
        .map_or(SAMPLES_DEFAULT, |samples| usize::try_from(samples).unwrap_or(usize::MAX));
    if samples > SAMPLES_MAX {
        errors.push(FieldError::new("samples", format!("must be 0 to {SAMPLES_MAX}")));
    }
    let after = proposal.cursor.as_deref().map(|cursor| {
        let bytes = hex::decode(cursor).ok()?;
        AccountId::parse(std::str::from_utf8(&bytes).ok()?).ok()
    });
    if after == Some(None) {
        errors.push(FieldError::new("cursor", "is not one of ours; send nextCursor as it came"));
    }
    match (at, errors.is_empty()) {
        (Ok(at), true) => Ok((at, samples, after.flatten())),
        _ => Err(ApiError::InvalidRequest(errors)),
    }
}

fn refusal(error: ProposalError) -> ApiError {
    match error {
        ProposalError::Catalog(CatalogErrors { faults, .. }) => {
            let fault = |fault: tollgate_domain::catalog::Fault| {
                let hint = fault.hint.map_or_else(String::new, |hint| format!(" ({hint})"));
                let place = format!("catalog:{}:{}", fault.line, fault.column);
                FieldError::new(place, format!("{}{hint}", fault.what))
            };
            ApiError::InvalidCatalog(faults.into_iter().map(fault).collect())
        }
        ProposalError::Overlay(faults) => {
            let fault = |what| FieldError::new("catalog", what);
            ApiError::InvalidCatalog(faults.into_iter().map(fault).collect())
        }
    }
}

/// A summary as it is shown.
pub(crate) fn what_if_out<'a>(
    summary: &'a Summary,
    comparison: Comparison<'a>,
    next: Option<&AccountId>,
) -> WhatIfOut<'a> {
    WhatIfOut {
        catalog_version: &comparison.today.version,
        proposed_version: &comparison.proposed.version,
        at: comparison.at.to_string(),
        accounts: summary.accounts,
        changed: summary.changed,
        gaining: tally_out(&summary.gaining),
        losing: tally_out(&summary.losing),
        exceeding: tally_out(&summary.exceeding),
        moves: summary
            .moves
            .iter()
            .map(|((from, to), accounts)| MoveOut {
                from: from.as_str(),
                to: to.as_str(),
                accounts: *accounts,
            })
            .collect(),
        features: summary
            .features
            .iter()
            .map(|(key, tally)| feature_out(key.as_str(), *tally))
            .collect(),
        unpriced: summary
            .unpriced
            .iter()
            .map(|(price, accounts)| UnpricedOut { price: price.as_str(), accounts: *accounts })
            .collect(),
        kept_sales: summary.kept_sales,
        lost_grants: summary
            .lost_grants
            .iter()
            .map(|(plan, accounts)| LostGrantOut { plan: plan.as_str(), accounts: *accounts })
            .collect(),
        complete: next.is_none(),
        next_cursor: next.map(|account| hex::encode(account.as_str())),
    }
}

fn tally_out(tally: &Tally) -> TallyOut<'_> {
    TallyOut { accounts: tally.accounts, samples: tally.samples.iter().map(sample_out).collect() }
}

fn feature_out(feature: &str, tally: FeatureTally) -> FeatureOut<'_> {
    let FeatureTally { gained, lost, raised, lowered, exceeded } = tally;
    FeatureOut { feature, gained, lost, raised, lowered, exceeded }
}

fn sample_out(sample: &Sample) -> SampleOut<'_> {
    let Effect { plan, gained, lost, raised, lowered, exceeded, unpriced, lost_grants, .. } =
        &sample.effect;
    SampleOut {
        account_id: sample.account.as_str(),
        tier: plan.as_ref().map(|moved| TierOut {
            from: moved.before.as_str(),
            source_from: moved.source_before.as_str(),
            to: moved.after.as_str(),
            source_to: moved.source_after.as_str(),
        }),
        gained: gained.iter().map(FeatureKey::as_str).collect(),
        lost: lost.iter().map(FeatureKey::as_str).collect(),
        raised: raised.iter().map(limit_out).collect(),
        lowered: lowered.iter().map(limit_out).collect(),
        exceeded: exceeded
            .iter()
            .map(|over| ExcessOut {
                feature: over.feature.as_str(),
                used: over.used,
                limit: over.limit,
            })
            .collect(),
        unpriced: unpriced.iter().map(PriceId::as_str).collect(),
        lost_grants: lost_grants.iter().map(PlanId::as_str).collect(),
    }
}

fn limit_out(moved: &LimitMove) -> LimitOut<'_> {
    LimitOut {
        feature: moved.feature.as_str(),
        from: Limit::count(moved.before),
        to: Limit::count(moved.after),
    }
}
