//! Overrides. Owns: the rules for deciding one feature of one account by hand. Must not know: how
//! an override changes the answer.
//!
//! At most one override of a feature is in force: a new one takes the place of the old one, which
//! stays on record as taken back.

use crate::act::{self, Act, RevokeRefusal, TermsRefusal};
use crate::catalog::{Catalog, FeatureKind};
use crate::change::{Actor, BillingEventKind, Change, Decision};
use crate::facts::{Facts, Override, OverrideEffect, Revocation};
use crate::ids::{FactId, FeatureKey};
use crate::note;
use crate::time::Timestamp;

/// An override someone asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOverride {
    /// A fresh id, `ov_…`.
    pub id: FactId,
    /// The feature.
    pub feature: FeatureKey,
    /// What it does.
    pub effect: OverrideEffect,
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who sets it.
    pub granted_by: String,
    /// Until when; `None` without end.
    pub expires_at: Option<Timestamp>,
}

/// Why an override is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideRefusal {
    /// Who, why or until when is not acceptable.
    #[error(transparent)]
    Terms(#[from] TermsRefusal),
    /// The catalog has no such feature.
    #[error("the catalog has no feature {feature}")]
    FeatureUnknown {
        /// The feature asked for.
        feature: FeatureKey,
    },
    /// A feature that is only on or off has no limit to set.
    #[error("{feature} is on or off and has no limit to set")]
    NoLimit {
        /// The feature asked for.
        feature: FeatureKey,
    },
}

/// Decides one feature by hand.
pub fn set(
    facts: &Facts,
    new: NewOverride,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<Decision, OverrideRefusal> {
    act::check_terms(&new.reason, &new.granted_by, new.expires_at, now)?;
    act::check_id_free(facts.overrides.iter().any(|known| known.id == new.id), &new.id)?;
    let Some(feature) = catalog.features.get(&new.feature) else {
        return Err(OverrideRefusal::FeatureUnknown { feature: new.feature });
    };
    if matches!((feature.kind, new.effect), (FeatureKind::Boolean, OverrideEffect::Limit(_))) {
        return Err(OverrideRefusal::NoLimit { feature: new.feature });
    }
    let set = Override {
        id: new.id,
        feature: new.feature,
        effect: new.effect,
        reason: new.reason.trim().to_owned(),
        granted_by: new.granted_by.trim().to_owned(),
        granted_at: now,
        expires_at: new.expires_at,
        revoked: None,
    };
    let act = Act {
        journal_kind: "override.set",
        billing_kind: BillingEventKind::OverrideSet,
        subject: set.id.as_str(),
        actor: Actor::Person(set.granted_by.clone()),
        at: now,
        details: vec![
            ("effect", effect_text(set.effect)),
            ("feature", set.feature.to_string()),
            ("reason", set.reason.clone()),
            ("until", act::end_text(set.expires_at)),
        ],
        summary: format!("{} set to {}", feature.name, effect_text(set.effect)),
    };
    let mut decision = act.decide(facts, Change::SaveOverride(set.clone()));
    decision.changes.extend(replaced(facts, &set, now));
    Ok(decision)
}

/// The overrides of the same feature in force until now, taken back.
fn replaced<'a>(
    facts: &'a Facts,
    set: &'a Override,
    now: Timestamp,
) -> impl Iterator<Item = Change> + 'a {
    facts
        .overrides
        .iter()
        .filter(move |known| {
            known.feature == set.feature
                && act::in_force(known.revoked.as_ref(), known.expires_at, now)
        })
        .map(move |known| {
            let revoked = Revocation {
                at: now,
                by: set.granted_by.clone(),
                reason: Some(format!("replaced by {}", set.id)),
            };
            Change::SaveOverride(Override { revoked: Some(revoked), ..known.clone() })
        })
}

/// Takes an override back; it stays on record.
pub fn remove(
    facts: &Facts,
    id: &FactId,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Decision, RevokeRefusal> {
    let known = facts.overrides.iter().find(|known| known.id == *id);
    let known = known.ok_or_else(|| RevokeRefusal::NotFound { id: id.to_string() })?;
    let revocation =
        act::revocation(id, (known.revoked.as_ref(), known.expires_at), by, reason, now)?;
    let removed = Override { revoked: Some(revocation.clone()), ..known.clone() };
    Ok(Act {
        journal_kind: "override.removed",
        billing_kind: BillingEventKind::OverrideRemoved,
        subject: id.as_str(),
        actor: Actor::Person(revocation.by),
        at: now,
        details: vec![
            ("feature", removed.feature.to_string()),
            ("reason", revocation.reason.unwrap_or_default()),
        ],
        summary: format!("Override of {} removed", removed.feature),
    }
    .decide(facts, Change::SaveOverride(removed)))
}

/// Tells, once, that an override reached its end: `None` when it has not, was taken back before,
/// or was told of already.
pub fn expired(facts: &Facts, id: &FactId, now: Timestamp) -> Option<Decision> {
    let known = facts.overrides.iter().find(|known| known.id == *id)?;
    let end = act::ended(facts, id, known.revoked.as_ref(), known.expires_at, now)?;
    Some(
        Act {
            journal_kind: "override.expired",
            billing_kind: BillingEventKind::OverrideRemoved,
            subject: id.as_str(),
            actor: Actor::System,
            at: end,
            details: vec![("feature", known.feature.to_string())],
            summary: format!("Override of {} expired", known.feature),
        }
        .decide(facts, Change::Note(note::expired(id))),
    )
}

fn effect_text(effect: OverrideEffect) -> String {
    match effect {
        OverrideEffect::On => "on".to_owned(),
        OverrideEffect::Off => "off".to_owned(),
        OverrideEffect::Limit(Some(limit)) => limit.to_string(),
        OverrideEffect::Limit(None) => "unlimited".to_owned(),
    }
}

#[cfg(test)]
mod tests;
