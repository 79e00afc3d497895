//! Boosts given by people. Owns: the rules for giving, taking back and ending them. Must not know:
//! bought boosts (they are subscriptions), levels and how they sustain.

use std::ops::RangeInclusive;

use crate::act::{self, Act, RevokeRefusal, TermsRefusal};
use crate::change::{Actor, BillingEventKind, Change, Decision};
use crate::facts::{BoostGrant, Facts};
use crate::ids::{FactId, MemberId};
use crate::note;
use crate::time::Timestamp;

/// How many boosts one act may give.
pub const COUNT: RangeInclusive<u32> = 1..=100;

/// Boosts someone wants to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBoost {
    /// A fresh id, `bo_…`.
    pub id: FactId,
    /// In whose name.
    pub member: Option<MemberId>,
    /// How many, 1 to 100.
    pub count: u32,
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who gives them.
    pub granted_by: String,
    /// Until when; `None` without end.
    pub expires_at: Option<Timestamp>,
}

/// Why boosts are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoostRefusal {
    /// Who, why or until when is not acceptable.
    #[error(transparent)]
    Terms(#[from] TermsRefusal),
    /// Too few or too many at once.
    #[error("1 to 100 boosts can be given at once, not {count}")]
    Count {
        /// How many were asked for.
        count: u32,
    },
}

/// Gives boosts.
pub fn give(facts: &Facts, new: NewBoost, now: Timestamp) -> Result<Decision, BoostRefusal> {
    act::check_terms(&new.reason, &new.granted_by, new.expires_at, now)?;
    act::check_id_free(facts.boosts.iter().any(|known| known.id == new.id), &new.id)?;
    if !COUNT.contains(&new.count) {
        return Err(BoostRefusal::Count { count: new.count });
    }
    let boost = BoostGrant {
        id: new.id,
        member: new.member,
        count: new.count,
        reason: new.reason.trim().to_owned(),
        granted_by: new.granted_by.trim().to_owned(),
        granted_at: now,
        expires_at: new.expires_at,
        revoked: None,
    };
    Ok(Act {
        journal_kind: "boost.given",
        billing_kind: BillingEventKind::BoostPurchased,
        subject: boost.id.as_str(),
        actor: Actor::Person(boost.granted_by.clone()),
        at: now,
        details: vec![
            ("count", boost.count.to_string()),
            ("reason", boost.reason.clone()),
            ("until", act::end_text(boost.expires_at)),
        ],
        summary: format!("{} boosts given", boost.count),
    }
    .decide(facts, Change::SaveBoost(boost.clone())))
}

/// Takes given boosts back; they stay on record.
pub fn revoke(
    facts: &Facts,
    id: &FactId,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Decision, RevokeRefusal> {
    let known = facts.boosts.iter().find(|boost| boost.id == *id);
    let known = known.ok_or_else(|| RevokeRefusal::NotFound { id: id.to_string() })?;
    let revocation =
        act::revocation(id, (known.revoked.as_ref(), known.expires_at), by, reason, now)?;
    let boost = BoostGrant { revoked: Some(revocation.clone()), ..known.clone() };
    Ok(Act {
        journal_kind: "boost.revoked",
        billing_kind: BillingEventKind::BoostCanceled,
        subject: id.as_str(),
        actor: Actor::Person(revocation.by),
        at: now,
        details: vec![
            ("count", boost.count.to_string()),
            ("reason", revocation.reason.unwrap_or_default()),
        ],
        summary: format!("{} given boosts revoked", boost.count),
    }
    .decide(facts, Change::SaveBoost(boost)))
}

/// Tells, once, that given boosts reached their end: `None` when they have not, were taken back
/// before, or were told of already. The level they made may sustain.
pub fn expired(facts: &Facts, id: &FactId, now: Timestamp) -> Option<Decision> {
    let boost = facts.boosts.iter().find(|boost| boost.id == *id)?;
    let end = act::ended(facts, id, boost.revoked.as_ref(), boost.expires_at, now)?;
    Some(
        Act {
            journal_kind: "boost.expired",
            billing_kind: BillingEventKind::BoostCanceled,
            subject: id.as_str(),
            actor: Actor::System,
            at: end,
            details: vec![("count", boost.count.to_string())],
            summary: format!("{} given boosts expired", boost.count),
        }
        .decide(facts, Change::Note(note::expired(id))),
    )
}

#[cfg(test)]
mod tests;
