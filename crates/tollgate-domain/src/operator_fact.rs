//! Operator facts: what people give an account beside what it bought. Owns: their shape, and the one
//! set of rules for granting, revoking and expiring them. Must not know: how a fact weighs against
//! other sources (`entitlement::operator_fact`), what is bought, how a person was identified.
//!
//! Kinds differ in their [`Effect`], in what is checked of it and in what journal and events call it;
//! all else is shared. At most one waiver of an account and one override of a feature are in force.
//! That is checked against the facts given; the store must decide and commit under the account's lock
//! for it to hold under concurrency.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::act::{self, Act, TermsRefusal};
use crate::catalog::{Catalog, FeatureKind, Plan};
use crate::change::{Actor, BillingEventKind, Change, Decision};
use crate::facts::Facts;
use crate::ids::{FactId, FeatureKey, MemberId, PlanId};
use crate::news::{News, Told};
use crate::time::Timestamp;

/// How many boosts can be given at once.
const BOOST_COUNT: RangeInclusive<u32> = 1..=100;

/// Something a person gave an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorFact {
    /// Our id: `wv_…` of a waiver, `gr_…` of a grant, `bo_…` of boosts, `ov_…` of an override.
    pub id: FactId,
    /// What it gives.
    pub effect: Effect,
    /// Who gave it, why and until when.
    pub terms: Terms,
    /// Taken back early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// What consumers were told of it once.
    #[serde(default, skip_serializing_if = "Told::is_empty")]
    pub told: Told,
}

/// What an operator fact gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// A plan without charge (a fee waiver).
    Waiver {
        /// The plan.
        plan: PlanId,
    },
    /// A plan for a span of time (bought ones are purchases).
    Grant {
        /// The plan.
        plan: PlanId,
    },
    /// Boosts (bought ones are subscriptions).
    Boost {
        /// In whose name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
        /// How many, 1 to 100.
        count: u32,
    },
    /// One feature decided by hand.
    Override {
        /// The feature.
        feature: FeatureKey,
        /// What becomes of it.
        what: OverrideEffect,
    },
}

/// What an override does to its feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideEffect {
    /// The feature is on whatever the plan says.
    On,
    /// The feature is off whatever the plan says.
    Off,
    /// The feature is on with this limit; `None` is unlimited.
    Limit(Option<u64>),
}

/// Who gave an operator fact, why and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who gave it.
    pub granted_by: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when; `None` without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Notes for operators, at most 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_notes: Option<String>,
}

/// Who took an operator fact back, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An operator fact someone asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperatorFact {
    /// A fresh id.
    pub id: FactId,
    /// What to give.
    pub effect: Effect,
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who gives it.
    pub granted_by: String,
    /// Until when; `None` without end.
    pub expires_at: Option<Timestamp>,
    /// Notes for operators, at most 1000 characters.
    pub internal_notes: Option<String>,
}

/// Why an operator fact is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefusal {
    /// Who, why or until when is not acceptable.
    #[error(transparent)]
    Terms(#[from] TermsRefusal),
    /// The catalog has no such plan.
    #[error("the catalog has no plan {plan}")]
    PlanUnknown {
        /// The plan asked for.
        plan: String,
    },
    /// Another waiver is in force (a conflict).
    #[error("waiver {id} is in force; take it back first")]
    AlreadyActive {
        /// The waiver in force.
        id: FactId,
    },
    /// Too few or too many boosts at once.
    #[error("1 to 100 boosts can be given at once, not {count}")]
    Count {
        /// How many were asked for.
        count: u32,
    },
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

/// Why an operator fact cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevokeRefusal {
    /// The account has none with this id.
    #[error("the account has no {id}")]
    NotFound {
        /// The id.
        id: FactId,
    },
    /// It was taken back before.
    #[error("{id} was taken back at {at} already")]
    AlreadyRevoked {
        /// The id.
        id: FactId,
        /// When.
        at: Timestamp,
    },
    /// It ended by itself before.
    #[error("{id} ended at {at} already")]
    AlreadyEnded {
        /// The id.
        id: FactId,
        /// When.
        at: Timestamp,
    },
    /// Who or why is not acceptable.
    #[error(transparent)]
    Terms(#[from] TermsRefusal),
}

/// Grants an operator fact. An override takes the place of the one in force for the same feature,
/// which stays on record as revoked.
pub fn grant(
    facts: &Facts,
    new: NewOperatorFact,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<Decision, GrantRefusal> {
    act::check_terms(&new.reason, &new.granted_by, new.expires_at, now)?;
    act::check_notes(new.internal_notes.as_deref())?;
    act::check_id_free(facts.operator_facts.contains_key(&new.id), &new.id)?;
    let summary = check_effect(&new.effect, facts, catalog, now)?;
    let terms = Terms {
        reason: new.reason.trim().to_owned(),
        granted_by: new.granted_by.trim().to_owned(),
        granted_at: now,
        expires_at: new.expires_at,
        internal_notes: new.internal_notes,
    };
    let fact =
        OperatorFact { id: new.id, effect: new.effect, terms, revocation: None, told: Told::new() };
    let mut details = vec![
        fact.effect.detail(),
        ("reason", fact.terms.reason.clone()),
        ("until", fact.terms.expires_at.map_or("never".to_owned(), |end| end.to_string())),
    ];
    if let Effect::Override { what, .. } = &fact.effect {
        details.push(("effect", what.to_string()));
    }
    let by = Actor::Person(fact.terms.granted_by.clone());
    let act = fact.act(fact.effect.names().granted, by, now, details, summary);
    let mut decision = act.decide(facts, Change::SaveOperatorFact(fact.clone()));
    decision.changes.extend(replaced(facts, &fact));
    Ok(decision)
}

/// Whether an effect may be granted; the line that tells of it.
fn check_effect(
    effect: &Effect,
    facts: &Facts,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<String, GrantRefusal> {
    match effect {
        Effect::Waiver { plan } => {
            let plan = find_plan(plan, catalog)?;
            match facts.waiver_in_force(now) {
                Some((fact, _)) => Err(GrantRefusal::AlreadyActive { id: fact.id.clone() }),
                None => Ok(format!("Waiver of {} granted", plan.name)),
            }
        }
        Effect::Grant { plan } => Ok(format!("{} granted", find_plan(plan, catalog)?.name)),
        Effect::Boost { count, .. } if BOOST_COUNT.contains(count) => {
            Ok(format!("{count} boosts given"))
        }
        Effect::Boost { count, .. } => Err(GrantRefusal::Count { count: *count }),
        Effect::Override { feature, what } => match catalog.features.get(feature) {
            None => Err(GrantRefusal::FeatureUnknown { feature: feature.clone() }),
            Some(known) => match (known.kind, what) {
                (FeatureKind::Boolean, OverrideEffect::Limit(_)) => {
                    Err(GrantRefusal::NoLimit { feature: feature.clone() })
                }
                _ => Ok(format!("{} set to {what}", known.name)),
            },
        },
    }
}

fn find_plan<'c>(id: &PlanId, catalog: &'c Catalog) -> Result<&'c Plan, GrantRefusal> {
    let found = catalog.find_plan(id.as_str()).map(|(_, plan)| plan);
    found.ok_or_else(|| GrantRefusal::PlanUnknown { plan: id.to_string() })
}

/// The overrides of the same feature in force until now, revoked.
fn replaced(facts: &Facts, new: &OperatorFact) -> Vec<Change> {
    let Effect::Override { feature, .. } = &new.effect else { return Vec::new() };
    let at = new.terms.granted_at;
    let same = facts.overrides().filter(|(known, of, _)| *of == feature && known.in_force(at));
    let revoked = same.map(|(known, ..)| {
        let by = new.terms.granted_by.clone();
        let reason = Some(format!("replaced by {}", new.id));
        Change::SaveOperatorFact(known.revoked(Revocation { at, by, reason }))
    });
    revoked.collect()
}

/// Revokes an operator fact; it stays on record. The reason is optional.
pub fn revoke(
    facts: &Facts,
    id: &FactId,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Decision, RevokeRefusal> {
    let id = id.clone();
    let Some(known) = facts.operator_facts.get(&id) else {
        return Err(RevokeRefusal::NotFound { id });
    };
    if let Some(Revocation { at, .. }) = known.revocation {
        return Err(RevokeRefusal::AlreadyRevoked { id, at });
    }
    if let Some(at) = known.terms.expires_at.filter(|at| *at <= now) {
        return Err(RevokeRefusal::AlreadyEnded { id, at });
    }
    act::check_actor(by)?;
    let (by, reason) = (by.trim(), reason.map_or("", str::trim));
    let chars = reason.chars().count();
    if chars > act::REASON_CHARS_MAX {
        return Err(TermsRefusal::Reason { chars }.into());
    }
    let details = vec![known.effect.detail(), ("reason", reason.to_owned())];
    let name = known.effect.names().revoked;
    let line = known.effect.ended_line(name);
    let act = known.act(name, Actor::Person(by.to_owned()), now, details, line);
    let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
    let revoked = known.revoked(Revocation { at: now, by: by.to_owned(), reason });
    Ok(act.decide(facts, Change::SaveOperatorFact(revoked)))
}

/// Tells, once, that an operator fact reached its end: `None` when it has not, was revoked before, or
/// was told of already. Access ended at the instant itself, whenever this is told.
pub fn expire(facts: &Facts, id: &FactId, now: Timestamp) -> Option<Decision> {
    let known = facts.operator_facts.get(id)?;
    let end = known.ends_at().filter(|end| *end <= now)?;
    if known.told.contains(&News::Expired(None)) {
        return None;
    }
    let after = OperatorFact { told: [News::Expired(None)].into(), ..known.clone() };
    let name = known.effect.names().expired;
    let (details, line) = (vec![known.effect.detail()], known.effect.ended_line(name));
    let act = known.act(name, Actor::System, end, details, line);
    Some(act.decide(facts, Change::SaveOperatorFact(after)))
}

impl OperatorFact {
    /// Whether it is in force at an instant.
    pub fn in_force(&self, at: Timestamp) -> bool {
        self.revocation.is_none() && self.terms.expires_at.is_none_or(|end| at < end)
    }

    /// When it ends by itself; `None` without end and when it was revoked.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.terms.expires_at.filter(|_| self.revocation.is_none())
    }

    fn revoked(&self, revocation: Revocation) -> Self {
        Self { revocation: Some(revocation), ..self.clone() }
    }

    fn act(
        &self,
        (journal_kind, billing_kind): EventName,
        actor: Actor,
        at: Timestamp,
        details: Vec<(&'static str, String)>,
        summary: String,
    ) -> Act<'_> {
        Act { journal_kind, billing_kind, subject: self.id.as_str(), actor, at, details, summary }
    }
}

/// What journal and billing events call something that happened.
type EventName = (&'static str, BillingEventKind);

/// What they call that a fact of one kind was granted, revoked and expired.
struct EventNames {
    granted: EventName,
    revoked: EventName,
    expired: EventName,
}

impl Effect {
    /// A waiver of this plan, else of the highest one of the catalog.
    pub fn waiver(plan: Option<PlanId>, catalog: &Catalog) -> Result<Self, GrantRefusal> {
        let plan = plan.or_else(|| catalog.plans.last().map(|plan| plan.id.clone()));
        let plan = plan.ok_or_else(|| GrantRefusal::PlanUnknown { plan: String::new() })?;
        Ok(Self::Waiver { plan })
    }

    const fn names(&self) -> EventNames {
        use BillingEventKind as B;
        match self {
            Self::Waiver { .. } => EventNames {
                granted: ("waiver.granted", B::WaiverGranted),
                revoked: ("waiver.revoked", B::WaiverRevoked),
                expired: ("waiver.expired", B::WaiverExpired),
            },
            Self::Grant { .. } => EventNames {
                granted: ("grant.created", B::GrantCreated),
                revoked: ("grant.revoked", B::GrantRevoked),
                expired: ("grant.expired", B::GrantExpired),
            },
            Self::Boost { .. } => EventNames {
                granted: ("boost.given", B::BoostPurchased),
                revoked: ("boost.revoked", B::BoostCanceled),
                expired: ("boost.expired", B::BoostCanceled),
            },
            Self::Override { .. } => EventNames {
                granted: ("override.set", B::OverrideSet),
                revoked: ("override.removed", B::OverrideRemoved),
                expired: ("override.expired", B::OverrideRemoved),
            },
        }
    }

    /// What the journal says of it whatever happens.
    fn detail(&self) -> (&'static str, String) {
        match self {
            Self::Waiver { plan } | Self::Grant { plan } => ("plan", plan.to_string()),
            Self::Boost { count, .. } => ("count", count.to_string()),
            Self::Override { feature, .. } => ("feature", feature.to_string()),
        }
    }

    /// The line that tells of its end, which ends as the journal's name of it does.
    fn ended_line(&self, (name, _): EventName) -> String {
        let verb = name.split_once('.').map_or(name, |(_, verb)| verb);
        match self {
            Self::Waiver { .. } => format!("Waiver {verb}"),
            Self::Grant { .. } => format!("Grant {verb}"),
            Self::Boost { count, .. } => format!("{count} given boosts {verb}"),
            Self::Override { feature, .. } => format!("Override of {feature} {verb}"),
        }
    }
}

impl fmt::Display for OverrideEffect {
    /// `on`, `off`, `unlimited` or the number of the limit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Limit(Some(limit)) => limit.fmt(f),
            Self::Limit(None) => f.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests;
