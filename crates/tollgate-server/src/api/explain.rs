//! Explanations on the wire. Owns: what a source and a trace look like, for every reply that shows
//! one. Must not know: routes.

use std::collections::BTreeMap;

use serde::Serialize;
use tollgate_domain::Catalog;
use tollgate_domain::catalog::{Allowance, Limit};
use tollgate_domain::entitlement::{Resolution, Standing};

/// Where a plan comes from.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Source<'a> {
    /// `waiver`, `subscription`, `boost`, `grant`, `default` or `override`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
}

impl<'a> Source<'a> {
    /// The source that won.
    pub fn of(resolution: &'a Resolution) -> Self {
        Self { kind: resolution.source.as_str(), id: resolution.source_id.as_deref() }
    }
}

/// Everything that was considered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The instant the answer is for.
    #[schema(format = DateTime)]
    pub at: String,
    /// Version of the catalog that decided.
    pub catalog_version: String,
    /// Every source, the winner first.
    pub sources: Vec<SourceTrace>,
    /// Every override.
    pub overrides: Vec<OverrideTrace>,
    /// Limits that are counted by the unit: how each came to its number, such as `12 x 1`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counted: BTreeMap<String, String>,
}

/// One source as it was considered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceTrace {
    /// What kind of source.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The plan it offers or would offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The rank of that plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// Units of the plan that were bought, such as seats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// Whether it is the one that decides.
    pub won: bool,
    /// Whether it counts at all.
    pub in_force: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<&'static str>,
    /// Since when it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// Until when it stands so without a new fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Since when it is held on stale evidence: its paid period is long over without any news.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub stale_since: Option<String>,
    /// The Stripe event or the person behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// A sentence for people.
    pub note: String,
}

/// One override as it was considered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverrideTrace {
    /// Its id.
    pub id: String,
    /// The feature.
    pub feature: String,
    /// Whether it counts.
    pub in_force: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<&'static str>,
    /// What it sets: `on`, `off`, or a limit.
    pub sets: String,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Who set it.
    pub cause: String,
}

impl Trace {
    /// The explanation of a resolution.
    pub fn of(resolution: &Resolution, catalog: &Catalog) -> Self {
        let sources = resolution.considered.iter().enumerate().map(|(place, source)| {
            let plan = source.plan.and_then(|index| catalog.plan(index));
            let (in_force, why_not) = standing(source.standing);
            SourceTrace {
                kind: source.kind.as_str(),
                id: source.id.clone(),
                tier: plan.map(|plan| plan.id.to_string()),
                rank: plan.map(|plan| plan.rank),
                units: source.units,
                won: place == 0,
                in_force,
                why_not,
                since: source.since.map(|at| at.to_string()),
                until: source.until.map(|at| at.to_string()),
                stale_since: source.stale_since.map(|at| at.to_string()),
                cause: source.cause.clone(),
                note: source.note.clone().into_owned(),
            }
        });
        let overrides = resolution.overrides.iter().map(|set| {
            let (in_force, why_not) = standing(set.standing);
            OverrideTrace {
                id: set.id.clone(),
                feature: set.feature.to_string(),
                in_force,
                why_not,
                sets: match set.sets {
                    None => "off".to_owned(),
                    Some(Allowance::On) => "on".to_owned(),
                    Some(Allowance::Limit(Limit::Unlimited)) => "unlimited".to_owned(),
                    Some(Allowance::Limit(Limit::Count(count))) => count.to_string(),
                    Some(Allowance::PerUnit(per_unit)) => format!("{} per unit", per_unit.each),
                },
                until: set.until.map(|at| at.to_string()),
                cause: set.cause.clone(),
            }
        });
        Self {
            at: resolution.at.to_string(),
            catalog_version: catalog.version.clone(),
            sources: sources.collect(),
            overrides: overrides.collect(),
            counted: resolution
                .counted
                .iter()
                .map(|(key, counted)| (key.to_string(), counted.to_string()))
                .collect(),
        }
    }
}

fn standing(standing: Standing) -> (bool, Option<&'static str>) {
    match standing {
        Standing::InForce | Standing::InGrace => (true, None),
        Standing::NotInForce(why) => (false, Some(why.as_str())),
    }
}
