//! Operator facts as sources: waivers, grants given by people, and overrides. Owns: when each
//! counts and what overrides do to a plan's features. Must not know: Stripe, who wins.
//!
//! A fact counts from the moment it is known (asking for the past goes through `Facts::as_of`,
//! which takes away what was not known then) and until it expires or is taken back. So the clocks
//! of several instances may differ a little without an answer falling behind a revision.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Absence, Considered, OverrideConsidered, SourceKind, Standing};
use crate::catalog::{Allowance, Catalog, FeatureKind, Limit};
use crate::facts::Facts;
use crate::ids::{FactId, FeatureKey};
use crate::operator_fact::{Effect, OperatorFact, OverrideEffect};
use crate::time::Timestamp;

/// A waiver or a grant as a source; `None` for what gives no plan.
pub(super) fn consider(
    fact: &OperatorFact,
    catalog: &Catalog,
    at: Timestamp,
) -> Option<Considered> {
    let (kind, plan, note) = match &fact.effect {
        Effect::Waiver { plan } => (SourceKind::Waiver, plan, "The fee is waived."),
        Effect::Grant { plan } => (SourceKind::Grant, plan, "The plan was given."),
        Effect::Boost { .. } | Effect::Override { .. } => return None,
    };
    let plan = catalog.find_plan(plan.as_str()).map(|(index, _)| index);
    let (standing, since) = match (plan, standing(fact, at)) {
        (None, (Standing::InForce, since)) => (Standing::NotInForce(Absence::PlanUnknown), since),
        (_, standing) => standing,
    };
    let (until, note) = match standing {
        Standing::InForce | Standing::InGrace => (fact.terms.expires_at, note),
        Standing::NotInForce(absence) => (None, absence.sentence()),
    };
    Some(Considered {
        kind,
        id: Some(fact.id.as_str().to_owned()),
        plan,
        units: None,
        standing,
        since: Some(since),
        until,
        stale_since: None,
        billing: None,
        cause: Some(fact.terms.granted_by.clone()),
        note: Cow::Borrowed(note),
    })
}

/// How an operator fact stands, and since when.
fn standing(fact: &OperatorFact, at: Timestamp) -> (Standing, Timestamp) {
    match (&fact.revocation, fact.terms.expires_at) {
        (Some(revocation), _) => (Standing::NotInForce(Absence::Revoked), revocation.at),
        (None, Some(end)) if at >= end => (Standing::NotInForce(Absence::Expired), end),
        (None, _) => (Standing::InForce, fact.terms.granted_at),
    }
}

/// The features of an account after its overrides.
pub(super) struct Overridden {
    pub(super) allowances: Arc<BTreeMap<FeatureKey, Allowance>>,
    /// The override in force by feature.
    pub(super) by: BTreeMap<FeatureKey, String>,
    pub(super) considered: Vec<OverrideConsidered>,
    /// The first end of an override in force.
    pub(super) until: Option<Timestamp>,
}

/// Applies an account's overrides to what its plan gives: of several for one feature the newest
/// counts.
pub(super) fn override_features(
    given: &Arc<BTreeMap<FeatureKey, Allowance>>,
    facts: &Facts,
    catalog: &Catalog,
    at: Timestamp,
) -> Overridden {
    let mut overrides: Vec<_> = facts.overrides().collect();
    overrides.sort_unstable_by_key(|&(fact, ..)| (fact.terms.granted_at, &fact.id));
    let mut result = Overridden {
        allowances: Arc::clone(given),
        by: BTreeMap::new(),
        considered: Vec::with_capacity(overrides.len()),
        until: None,
    };
    let standing_of = |fact: &OperatorFact, feature: &FeatureKey| {
        if !catalog.features.contains_key(feature) {
            return Standing::NotInForce(Absence::FeatureUnknown);
        }
        standing(fact, at).0
    };
    let counts = |(fact, feature, _): &&(&OperatorFact, &FeatureKey, OverrideEffect)| {
        standing_of(fact, feature) == Standing::InForce
    };
    let newest: BTreeMap<&FeatureKey, &FactId> =
        overrides.iter().filter(counts).map(|&(fact, feature, _)| (feature, &fact.id)).collect();
    for &(fact, feature, what) in &overrides {
        let sets = effect(feature, what, given.get(feature).copied(), catalog);
        let mut standing = standing_of(fact, feature);
        if standing == Standing::InForce {
            if newest.get(feature) == Some(&&fact.id) {
                result.enforce(fact, feature, sets);
            } else {
                standing = Standing::NotInForce(Absence::Superseded);
            }
        }
        result.considered.push(OverrideConsidered {
            id: fact.id.as_str().to_owned(),
            feature: feature.clone(),
            until: fact.terms.expires_at.filter(|_| standing == Standing::InForce),
            standing,
            sets,
            cause: fact.terms.granted_by.clone(),
        });
    }
    result
}

impl Overridden {
    fn enforce(&mut self, fact: &OperatorFact, feature: &FeatureKey, sets: Option<Allowance>) {
        let allowances = Arc::make_mut(&mut self.allowances);
        match sets {
            Some(allowance) => allowances.insert(feature.clone(), allowance),
            None => allowances.remove(feature),
        };
        self.by.insert(feature.clone(), fact.id.as_str().to_owned());
        self.until = self.until.into_iter().chain(fact.terms.expires_at).min();
    }
}

/// What an override makes of what the plan gives. Switching a counted feature on leaves the plan's
/// number, or none where the plan has none; a number for a boolean feature switches it on.
fn effect(
    feature: &FeatureKey,
    what: OverrideEffect,
    inherited: Option<Allowance>,
    catalog: &Catalog,
) -> Option<Allowance> {
    let known = catalog.features.get(feature);
    let boolean = known.is_some_and(|known| known.kind == FeatureKind::Boolean);
    match what {
        OverrideEffect::Off => None,
        OverrideEffect::On | OverrideEffect::Limit(_) if boolean => Some(Allowance::On),
        OverrideEffect::On => inherited.or(Some(Allowance::Limit(Limit::Unlimited))),
        OverrideEffect::Limit(Some(count)) => Some(Allowance::Limit(Limit::Count(count))),
        OverrideEffect::Limit(None) => Some(Allowance::Limit(Limit::Unlimited)),
    }
}
