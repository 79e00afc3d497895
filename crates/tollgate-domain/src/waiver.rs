//! Waivers. Owns: the rules for giving, taking back and ending a fee waiver. Must not know: how
//! a waiver weighs against other sources.
//!
//! At most one waiver of an account is in force. The rule is checked against the facts given; the
//! store must decide and commit under the account's lock for it to hold under concurrency.

use crate::act::{self, Act, RevokeRefusal, TermsRefusal};
use crate::catalog::{Catalog, Plan};
use crate::change::{Actor, BillingEventKind, Change, Decision};
use crate::facts::{Facts, Waiver};
use crate::ids::{FactId, PlanId};
use crate::note;
use crate::time::Timestamp;

/// A waiver someone asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWaiver {
    /// A fresh id, `wv_…`.
    pub id: FactId,
    /// The plan; `None` for the highest of the catalog.
    pub plan: Option<PlanId>,
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who gives it.
    pub granted_by: String,
    /// Until when; `None` without end.
    pub expires_at: Option<Timestamp>,
    /// Notes for operators, at most 1000 characters.
    pub internal_notes: Option<String>,
}

/// Why a waiver is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaiverRefusal {
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
}

/// The waiver in force at an instant.
pub fn active(facts: &Facts, now: Timestamp) -> Option<&Waiver> {
    facts
        .waivers
        .iter()
        .find(|waiver| act::in_force(waiver.revoked.as_ref(), waiver.expires_at, now))
}

/// Gives a waiver.
pub fn grant(
    facts: &Facts,
    new: NewWaiver,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<Decision, WaiverRefusal> {
    act::check_terms(&new.reason, &new.granted_by, new.expires_at, now)?;
    act::check_notes(new.internal_notes.as_deref())?;
    act::check_id_free(facts.waivers.iter().any(|known| known.id == new.id), &new.id)?;
    let plan = plan(catalog, new.plan.as_ref())?;
    if let Some(waiver) = active(facts, now) {
        return Err(WaiverRefusal::AlreadyActive { id: waiver.id.clone() });
    }
    let waiver = Waiver {
        id: new.id,
        plan: plan.id.clone(),
        reason: new.reason.trim().to_owned(),
        granted_by: new.granted_by.trim().to_owned(),
        granted_at: now,
        expires_at: new.expires_at,
        internal_notes: new.internal_notes,
        revoked: None,
    };
    Ok(Act {
        journal_kind: "waiver.granted",
        billing_kind: BillingEventKind::WaiverGranted,
        subject: waiver.id.as_str(),
        actor: Actor::Person(waiver.granted_by.clone()),
        at: now,
        details: vec![
            ("plan", waiver.plan.to_string()),
            ("reason", waiver.reason.clone()),
            ("until", act::end_text(waiver.expires_at)),
        ],
        summary: format!("Waiver of {} granted", plan.name),
    }
    .decide(facts, Change::SaveWaiver(waiver.clone())))
}

fn plan<'c>(catalog: &'c Catalog, asked: Option<&PlanId>) -> Result<&'c Plan, WaiverRefusal> {
    let found = match asked {
        Some(id) => catalog.find_plan(id.as_str()).map(|(_, plan)| plan),
        None => catalog.plans.last(),
    };
    found.ok_or_else(|| WaiverRefusal::PlanUnknown {
        plan: asked.map_or_else(String::new, ToString::to_string),
    })
}

/// Takes a waiver back; it stays on record.
pub fn revoke(
    facts: &Facts,
    id: &FactId,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Decision, RevokeRefusal> {
    let known = facts.waivers.iter().find(|waiver| waiver.id == *id);
    let known = known.ok_or_else(|| RevokeRefusal::NotFound { id: id.to_string() })?;
    let revocation =
        act::revocation(id, (known.revoked.as_ref(), known.expires_at), by, reason, now)?;
    let waiver = Waiver { revoked: Some(revocation.clone()), ..known.clone() };
    Ok(Act {
        journal_kind: "waiver.revoked",
        billing_kind: BillingEventKind::WaiverRevoked,
        subject: id.as_str(),
        actor: Actor::Person(revocation.by),
        at: now,
        details: vec![
            ("plan", waiver.plan.to_string()),
            ("reason", revocation.reason.unwrap_or_default()),
        ],
        summary: "Waiver revoked".to_owned(),
    }
    .decide(facts, Change::SaveWaiver(waiver)))
}

/// Tells, once, that a waiver reached its end: `None` when it has not, was taken back before, or
/// was told of already. Access ended at the instant itself, whenever this is told.
pub fn expired(facts: &Facts, id: &FactId, now: Timestamp) -> Option<Decision> {
    let waiver = facts.waivers.iter().find(|waiver| waiver.id == *id)?;
    let end = act::ended(facts, id, waiver.revoked.as_ref(), waiver.expires_at, now)?;
    Some(
        Act {
            journal_kind: "waiver.expired",
            billing_kind: BillingEventKind::WaiverExpired,
            subject: id.as_str(),
            actor: Actor::System,
            at: end,
            details: vec![("plan", waiver.plan.to_string())],
            summary: "Waiver expired".to_owned(),
        }
        .decide(facts, Change::Note(note::expired(id))),
    )
}

#[cfg(test)]
mod tests;
