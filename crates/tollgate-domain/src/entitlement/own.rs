//! Our own facts as sources: waivers, grants given by people, and overrides. Owns: when each
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
use crate::facts::{Grant, Override, OverrideEffect, Revocation, Waiver};
use crate::ids::{FeatureKey, PlanId};
use crate::time::Timestamp;

pub(super) fn consider_waiver(waiver: &Waiver, catalog: &Catalog, at: Timestamp) -> Considered {
    let given = Given {
        kind: SourceKind::Waiver,
        id: waiver.id.as_str(),
        plan: &waiver.plan,
        by: &waiver.granted_by,
        granted_at: waiver.granted_at,
        expires_at: waiver.expires_at,
        revoked: waiver.revoked.as_ref(),
        note: "The fee is waived.",
    };
    given.consider(catalog, at)
}

pub(super) fn consider_grant(grant: &Grant, catalog: &Catalog, at: Timestamp) -> Considered {
    let given = Given {
        kind: SourceKind::Grant,
        id: grant.id.as_str(),
        plan: &grant.plan,
        by: &grant.granted_by,
        granted_at: grant.granted_at,
        expires_at: grant.expires_at,
        revoked: grant.revoked.as_ref(),
        note: "The plan was given.",
    };
    given.consider(catalog, at)
}

/// What waivers and grants have in common.
struct Given<'f> {
    kind: SourceKind,
    id: &'f str,
    plan: &'f PlanId,
    by: &'f str,
    granted_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked: Option<&'f Revocation>,
    note: &'static str,
}

impl Given<'_> {
    fn consider(&self, catalog: &Catalog, at: Timestamp) -> Considered {
        let plan = catalog.find_plan(self.plan.as_str()).map(|(index, _)| index);
        let (standing, since) =
            match (plan, standing(self.granted_at, self.expires_at, self.revoked, at)) {
                (None, (Standing::InForce, since)) => {
                    (Standing::NotInForce(Absence::PlanUnknown), since)
                }
                (_, standing) => standing,
            };
        let (until, note) = match standing {
            Standing::InForce | Standing::InGrace => (self.expires_at, self.note),
            Standing::NotInForce(absence) => (None, absence.sentence()),
        };
        Considered {
            kind: self.kind,
            id: Some(self.id.to_owned()),
            plan,
            units: None,
            standing,
            since,
            until,
            stale_since: None,
            billing: None,
            cause: Some(self.by.to_owned()),
            note: Cow::Borrowed(note),
        }
    }
}

/// How one of our own facts stands, and since when.
fn standing(
    granted_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked: Option<&Revocation>,
    at: Timestamp,
) -> (Standing, Option<Timestamp>) {
    match (revoked, expires_at) {
        (Some(revoked), _) => (Standing::NotInForce(Absence::Revoked), Some(revoked.at)),
        (None, Some(end)) if at >= end => (Standing::NotInForce(Absence::Expired), Some(end)),
        (None, _) => (Standing::InForce, Some(granted_at)),
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
    overrides: &[Override],
    catalog: &Catalog,
    at: Timestamp,
) -> Overridden {
    let mut result = Overridden {
        allowances: Arc::clone(given),
        by: BTreeMap::new(),
        considered: Vec::with_capacity(overrides.len()),
        until: None,
    };
    let standing_of = |set: &Override| {
        if !catalog.features.contains_key(set.feature.as_str()) {
            return Standing::NotInForce(Absence::FeatureUnknown);
        }
        standing(set.granted_at, set.expires_at, set.revoked.as_ref(), at).0
    };
    let newest = |feature: &FeatureKey| {
        overrides
            .iter()
            .filter(|set| set.feature == *feature && standing_of(set) == Standing::InForce)
            .max_by_key(|set| (set.granted_at, &set.id))
    };
    for set in overrides {
        let inherited = given.get(set.feature.as_str()).copied();
        let sets = effect(set, inherited, catalog);
        let mut standing = standing_of(set);
        if standing == Standing::InForce {
            if newest(&set.feature).is_some_and(|newest| newest.id == set.id) {
                result.enforce(set, sets);
            } else {
                standing = Standing::NotInForce(Absence::Superseded);
            }
        }
        result.considered.push(OverrideConsidered {
            id: set.id.as_str().to_owned(),
            feature: set.feature.clone(),
            until: set.expires_at.filter(|_| standing == Standing::InForce),
            standing,
            sets,
            cause: set.granted_by.clone(),
        });
    }
    result
}

impl Overridden {
    fn enforce(&mut self, set: &Override, sets: Option<Allowance>) {
        let allowances = Arc::make_mut(&mut self.allowances);
        match sets {
            Some(allowance) => allowances.insert(set.feature.clone(), allowance),
            None => allowances.remove(set.feature.as_str()),
        };
        self.by.insert(set.feature.clone(), set.id.as_str().to_owned());
        self.until = self.until.into_iter().chain(set.expires_at).min();
    }
}

/// What an override makes of what the plan gives. Switching a counted feature on leaves the plan's
/// number, or none where the plan has none; a number for a boolean feature switches it on.
fn effect(set: &Override, inherited: Option<Allowance>, catalog: &Catalog) -> Option<Allowance> {
    let feature = catalog.features.get(set.feature.as_str());
    let boolean = feature.is_some_and(|feature| feature.kind == FeatureKind::Boolean);
    match set.effect {
        OverrideEffect::Off => None,
        OverrideEffect::On | OverrideEffect::Limit(_) if boolean => Some(Allowance::On),
        OverrideEffect::On => inherited.or(Some(Allowance::Limit(Limit::Unlimited))),
        OverrideEffect::Limit(Some(count)) => Some(Allowance::Limit(Limit::Count(count))),
        OverrideEffect::Limit(None) => Some(Allowance::Limit(Limit::Unlimited)),
    }
}
