//! Grants. Owns: the rules for giving, taking back and ending a plan for a span of time. Must not
//! know: how one is bought (that is a purchase), how a grant weighs against other sources.

use crate::act::{self, Act, RevokeRefusal, TermsRefusal};
use crate::catalog::Catalog;
use crate::change::{Actor, BillingEventKind, Change, Decision};
use crate::entitlement::resolve::grant_ends;
use crate::facts::{Facts, Grant};
use crate::ids::{FactId, PlanId};
use crate::note;
use crate::payment::Purchase;
use crate::time::Timestamp;

/// A grant someone asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// A fresh id, `gr_…`.
    pub id: FactId,
    /// The plan.
    pub plan: PlanId,
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who gives it.
    pub granted_by: String,
    /// Until when; `None` without end.
    pub expires_at: Option<Timestamp>,
}

/// Why a grant is refused.
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
}

/// Gives a plan for a span of time.
pub fn give(
    facts: &Facts,
    new: NewGrant,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<Decision, GrantRefusal> {
    act::check_terms(&new.reason, &new.granted_by, new.expires_at, now)?;
    act::check_id_free(facts.grants.iter().any(|known| known.id == new.id), &new.id)?;
    let Some((_, plan)) = catalog.find_plan(new.plan.as_str()) else {
        return Err(GrantRefusal::PlanUnknown { plan: new.plan.to_string() });
    };
    let grant = Grant {
        id: new.id,
        plan: new.plan,
        reason: new.reason.trim().to_owned(),
        granted_by: new.granted_by.trim().to_owned(),
        granted_at: now,
        expires_at: new.expires_at,
        revoked: None,
    };
    Ok(Act {
        journal_kind: "grant.created",
        billing_kind: BillingEventKind::GrantCreated,
        subject: grant.id.as_str(),
        actor: Actor::Person(grant.granted_by.clone()),
        at: now,
        details: vec![
            ("plan", grant.plan.to_string()),
            ("reason", grant.reason.clone()),
            ("until", act::end_text(grant.expires_at)),
        ],
        summary: format!("{} granted", plan.name),
    }
    .decide(facts, Change::SaveGrant(grant.clone())))
}

/// Takes a grant back; it stays on record.
pub fn revoke(
    facts: &Facts,
    id: &FactId,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Decision, RevokeRefusal> {
    let known = facts.grants.iter().find(|grant| grant.id == *id);
    let known = known.ok_or_else(|| RevokeRefusal::NotFound { id: id.to_string() })?;
    let revocation =
        act::revocation(id, (known.revoked.as_ref(), known.expires_at), by, reason, now)?;
    let grant = Grant { revoked: Some(revocation.clone()), ..known.clone() };
    Ok(Act {
        journal_kind: "grant.revoked",
        billing_kind: BillingEventKind::GrantRevoked,
        subject: id.as_str(),
        actor: Actor::Person(revocation.by),
        at: now,
        details: vec![
            ("plan", grant.plan.to_string()),
            ("reason", revocation.reason.unwrap_or_default()),
        ],
        summary: "Grant revoked".to_owned(),
    }
    .decide(facts, Change::SaveGrant(grant)))
}

/// Tells, once, that a grant reached its end: `None` when it has not, was taken back before, or
/// was told of already.
pub fn expired(facts: &Facts, id: &FactId, now: Timestamp) -> Option<Decision> {
    let grant = facts.grants.iter().find(|grant| grant.id == *id)?;
    let end = act::ended(facts, id, grant.revoked.as_ref(), grant.expires_at, now)?;
    Some(
        Act {
            journal_kind: "grant.expired",
            billing_kind: BillingEventKind::GrantExpired,
            subject: id.as_str(),
            actor: Actor::System,
            at: end,
            details: vec![("plan", grant.plan.to_string())],
            summary: "Grant expired".to_owned(),
        }
        .decide(facts, Change::Note(note::expired(id))),
    )
}

/// Tells, once for each plan a purchase sold, that it reached its end: empty when the purchase gives
/// no plan, was undone before, has not ended, or was told of already.
pub fn bought_expired(
    facts: &Facts,
    purchase: &Purchase,
    catalog: &Catalog,
    now: Timestamp,
) -> Vec<Decision> {
    let ends = grant_ends(purchase, facts, catalog).into_iter().enumerate();
    let expired = ends.filter(|(_, end)| *end <= now).filter_map(|(place, end)| {
        let key = note::bought_expired(&purchase.id, place);
        let act = Act {
            journal_kind: "grant.expired",
            billing_kind: BillingEventKind::GrantExpired,
            subject: purchase.id.as_str(),
            actor: Actor::System,
            at: end,
            details: vec![("bought", "yes".to_owned())],
            summary: "Bought grant expired".to_owned(),
        };
        (!facts.noted.contains(&key)).then(|| act.decide(facts, Change::Note(key)))
    });
    expired.collect()
}

#[cfg(test)]
mod tests;
