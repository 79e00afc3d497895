//! `GET /api/v1/entitlements`. Owns: what entitlements and explanations look like on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tollgate_domain::catalog::{Allowance, FeatureKind};
use tollgate_domain::entitlement::Resolution;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Timestamp};

use super::client_address::Head;
use super::error::ApiError;
use super::explain::{Source, Trace};
use super::limits::Class;
use super::query::Query;
use super::reply;
use crate::api::auth::Reach;
use crate::app::App;
use crate::engine::{Engine, ReadAt};
use crate::metering::{self, Meter, Metered};
use crate::scope::Scope;

/// All entitlements of an account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Entitlements)]
pub struct EntitlementsOut<'a> {
    /// The account.
    pub account_id: &'a str,
    /// The plan in force.
    pub tier: &'a str,
    /// Its name for people.
    pub tier_name: &'a str,
    /// Its rank.
    pub rank: u32,
    /// Where it comes from.
    pub source: Source<'a>,
    /// The limit `max_members`; `null` is unlimited, absent where the catalog has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_members: Option<Option<u64>>,
    /// Keys of the features that are on.
    pub features: Vec<&'a str>,
    /// Limits and quotas by feature; `null` is unlimited.
    pub limits: BTreeMap<&'a str, Option<u64>>,
    /// Used in the present period, by metered feature.
    pub usage: BTreeMap<&'a str, u64>,
    /// A payment has failed and the grace has not ended.
    pub in_grace_period: bool,
    /// End of that grace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub grace_until: Option<String>,
    /// Until when this holds without a new fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub valid_until: Option<String>,
    /// The revision of the account this was made from.
    pub revision: u64,
    /// Version of the catalog that decided.
    pub catalog_version: &'a str,
    /// Everything that was considered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// `GET /api/v1/entitlements`
pub async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::Check, Reach::Named).await?;
    app.admit(Class::Check, &caller.id)?;
    let asked = asked(request.uri().query())?;
    caller.may_ask_about(asked.account.as_str())?;
    let (body, tag) = read(&app, &asked).await?;
    let known = request.headers().get(header::IF_NONE_MATCH);
    if known.is_some_and(|sent| names(sent, &tag)) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        response.headers_mut().insert(header::ETAG, tag);
        return Ok(response);
    }
    let mut response = reply::json(body);
    let private = HeaderValue::from_static("private, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, private);
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

struct Asked {
    account: AccountId,
    read: ReadAt,
    explain: bool,
}

fn asked(query: Option<&str>) -> Result<Asked, ApiError> {
    let mut query = Query::parse(query);
    let account = query.account();
    let at = query.time("at");
    let min_revision = query.number("minRevision").unwrap_or(0);
    let explain = query.flag("explain");
    query.finish()?;
    let account = account.ok_or_else(|| ApiError::field("accountId", "is missing"))?;
    Ok(Asked { account, read: ReadAt { at, min_revision, explain }, explain })
}

async fn read(app: &App, asked: &Asked) -> Result<(Bytes, HeaderValue), ApiError> {
    let entry = app.engine.resolve(&asked.account, asked.read).await?;
    let catalog = &app.config.catalog;
    let metered = catalog.features.values().any(|f| matches!(f.kind, FeatureKind::Metered(_)));
    if asked.read.at.is_none() && !asked.explain && !metered {
        let make = || rendered(&asked.account, &entry.resolution, catalog, BTreeMap::new(), None);
        return entry.entitlements(make);
    }
    let at = asked.read.at.unwrap_or_else(|| app.clock.now());
    let usage = usage(&app.engine, &asked.account, &entry.resolution, (catalog, at)).await?;
    let trace = asked.explain.then(|| Trace::of(&entry.resolution, catalog));
    rendered(&asked.account, &entry.resolution, catalog, usage, trace)
}

async fn usage<'a>(
    engine: &Engine,
    account: &AccountId,
    resolution: &Resolution,
    (catalog, at): (&'a Catalog, Timestamp),
) -> Result<BTreeMap<&'a str, u64>, ApiError> {
    let features: Vec<_> = catalog.features.values().collect();
    let mut meters = Vec::with_capacity(features.len());
    for feature in &features {
        let metered = Metered { account, feature, requested: 0, consume: false, at };
        meters.push(Meter::of(engine, resolution, metered).await?);
    }
    let usages = metering::usages(engine, &meters).await?;
    let used = features.iter().zip(usages);
    Ok(used.filter_map(|(feature, usage)| Some((feature.key.as_str(), usage?.used))).collect())
}

fn rendered(
    account: &AccountId,
    resolution: &Resolution,
    catalog: &Catalog,
    usage: BTreeMap<&str, u64>,
    trace: Option<Trace>,
) -> Result<(Bytes, HeaderValue), ApiError> {
    let plan = catalog.plan(resolution.plan);
    let limits: BTreeMap<&str, Option<u64>> = resolution
        .allowances
        .iter()
        .filter_map(|(key, allowance)| match allowance {
            Allowance::On | Allowance::PerUnit(_) => None,
            Allowance::Limit(limit) => Some((key.as_str(), limit.count())),
        })
        .collect();
    let out = EntitlementsOut {
        account_id: account.as_str(),
        tier: plan.map_or("", |plan| plan.id.as_str()),
        tier_name: plan.map_or("", |plan| plan.name.as_str()),
        rank: plan.map_or(0, |plan| plan.rank),
        source: Source::of(resolution),
        max_members: limits.get("max_members").copied(),
        features: resolution
            .allowances
            .iter()
            .filter(|(_, allowance)| matches!(allowance, Allowance::On))
            .map(|(key, _)| key.as_str())
            .collect(),
        limits,
        usage,
        in_grace_period: resolution.in_grace,
        grace_until: resolution.grace_until.map(|at| at.to_string()),
        valid_until: resolution.valid_until.map(|at| at.to_string()),
        revision: resolution.revision,
        catalog_version: &catalog.version,
        trace,
    };
    let body = reply::bytes(&out)?;
    let hash = hex::encode(Sha256::digest(&body));
    let tag = format!("\"{}\"", hash.get(..32).unwrap_or_default());
    let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
    Ok((body, tag))
}

/// Whether a list of entity tags names this one; a weak one does too, for bodies are compared.
fn names(sent: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(sent), Ok(tag)) = (sent.to_str(), tag.to_str()) else { return false };
    sent.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
