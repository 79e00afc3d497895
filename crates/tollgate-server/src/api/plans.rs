//! `GET /api/v1/plans` and `/features`: the catalog as the public may see it. Owns: its JSON.
//! Stripe's price ids are left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use tollgate_domain::Catalog;
use tollgate_domain::catalog::{
    Allowance, Feature, FeatureKind, Interval, MeterPeriod, PerUnit, Plan,
};

use super::error::ApiError;
use super::query::Query;
use super::reply;
use crate::app::App;

/// All plans.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Plans)]
pub struct PlansOut<'a> {
    /// Version of the catalog.
    pub catalog_version: &'a str,
    /// Plans by rising rank.
    pub data: Vec<PlanOut<'a>>,
}

/// One plan.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Plan)]
pub struct PlanOut<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name for people.
    pub name: &'a str,
    /// Its rank.
    pub rank: u32,
    /// Whether it is the plan of whoever has no other.
    pub default: bool,
    /// Whether customers may buy it by themselves.
    pub self_serve: bool,
    /// Days of trial.
    pub trial_days: u32,
    /// What it costs.
    pub prices: Vec<PriceOut<'a>>,
    /// Keys of the features that are on.
    pub features: Vec<&'a str>,
    /// Limits and quotas by feature, with one unit of the plan; `null` is unlimited.
    pub limits: BTreeMap<&'a str, Option<u64>>,
    /// Limits and quotas that grow with the quantity bought. Where there are any, the plan is sold by
    /// the unit and `quantity` is how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_unit: BTreeMap<&'a str, PerUnitOut>,
}

/// A limit that is multiplied by the quantity bought.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlanPerUnit)]
pub struct PerUnitOut {
    /// How many for each unit.
    pub each: u64,
    /// At most so many in all; `null` without bound.
    pub max: Option<u64>,
}

/// One price of a plan.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlanPrice)]
pub struct PriceOut<'a> {
    /// Minor units.
    pub amount_cents: i64,
    /// ISO 4217, lower case.
    pub currency: &'a str,
    /// `month`, `year` or `one_time`.
    pub interval: &'static str,
    /// Minor units in further currencies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub currency_options: BTreeMap<&'a str, i64>,
}

/// All features.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Features)]
pub struct FeaturesOut<'a> {
    /// Version of the catalog.
    pub catalog_version: &'a str,
    /// Features by key.
    pub data: Vec<FeatureOut<'a>>,
}

/// One feature.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Feature)]
pub struct FeatureOut<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its name for people.
    pub name: &'a str,
    /// `boolean`, `limit` or `metered`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For metered features: `calendar_month` or `billing_period`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<&'static str>,
    /// The lowest plan that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowest_tier: Option<&'a str>,
}

/// `GET /api/v1/plans`
pub async fn plans(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let catalog = &app.config.catalog;
    let data = catalog.plans.iter().map(|plan| plan_out(catalog, plan)).collect();
    public(&request, &PlansOut { catalog_version: &catalog.version, data })
}

/// `GET /api/v1/features`
pub async fn features(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let catalog = &app.config.catalog;
    let data = catalog.features.values().map(|feature| feature_out(catalog, feature)).collect();
    public(&request, &FeaturesOut { catalog_version: &catalog.version, data })
}

fn public<T: Serialize>(request: &Request, out: &T) -> Result<Response, ApiError> {
    Query::parse(request.uri().query()).finish()?;
    reply::of(out)
}

/// A plan as it is shown.
pub(crate) fn plan_out<'a>(catalog: &'a Catalog, plan: &'a Plan) -> PlanOut<'a> {
    let default = catalog.plan(catalog.default_plan).is_some_and(|d| d.id == plan.id);
    PlanOut {
        id: plan.id.as_str(),
        name: &plan.name,
        rank: plan.rank,
        default,
        self_serve: plan.self_serve,
        trial_days: plan.trial_days,
        prices: plan
            .prices
            .iter()
            .map(|price| PriceOut {
                amount_cents: price.money.amount_minor,
                currency: price.money.currency.as_str(),
                interval: match price.interval {
                    Interval::Month => "month",
                    Interval::Year => "year",
                    Interval::OneTime => "one_time",
                },
                currency_options: price
                    .options
                    .iter()
                    .map(|(currency, amount)| (currency.as_str(), *amount))
                    .collect(),
            })
            .collect(),
        features: plan
            .allowances
            .iter()
            .filter(|(_, allowance)| matches!(allowance, Allowance::On))
            .map(|(key, _)| key.as_str())
            .collect(),
        limits: plan
            .allowances
            .iter()
            .filter_map(|(key, allowance)| match allowance {
                Allowance::On => None,
                Allowance::Limit(limit) => Some((key.as_str(), limit.count())),
                Allowance::PerUnit(per_unit) => Some((key.as_str(), Some(per_unit.of(1)))),
            })
            .collect(),
        per_unit: plan
            .allowances
            .iter()
            .filter_map(|(key, allowance)| match allowance {
                Allowance::PerUnit(PerUnit { each, max }) => {
                    Some((key.as_str(), PerUnitOut { each: *each, max: *max }))
                }
                Allowance::On | Allowance::Limit(_) => None,
            })
            .collect(),
    }
}

fn feature_out<'a>(catalog: &'a Catalog, feature: &'a Feature) -> FeatureOut<'a> {
    let (kind, period) = match feature.kind {
        FeatureKind::Boolean => ("boolean", None),
        FeatureKind::Limit => ("limit", None),
        FeatureKind::Metered(MeterPeriod::CalendarMonth) => ("metered", Some("calendar_month")),
        FeatureKind::Metered(MeterPeriod::BillingPeriod) => ("metered", Some("billing_period")),
    };
    let lowest = catalog.plans.iter().find(|plan| plan.allowances.contains_key(&feature.key));
    FeatureOut {
        key: feature.key.as_str(),
        name: &feature.name,
        kind,
        period,
        lowest_tier: lowest.map(|plan| plan.id.as_str()),
    }
}
