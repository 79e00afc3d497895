//! Customers. Owns: what customer events and Stripe's own feature summaries do. Must not know:
//! subscriptions; that those of a deleted customer are over follows from the facts together.

use super::{Draft, Primary, least_member, yes_no};
use crate::change::{Actor, Change, Decision, JournalEntry};
use crate::facts::{Customer, Facts};
use crate::observation::{Observation, Seen, SeenCustomer, SeenEntitlementSummary};
use crate::own_claim::OwnClaim;
use crate::time::Timestamp;

pub(super) fn decide(draft: &mut Draft<'_>, seen: &SeenCustomer) -> Primary {
    let observation = draft.observation;
    let known = draft.facts.customers.get(&seen.id);
    let shown = (Some(observation.at), Some(&observation.event));
    let newer = known.is_none_or(|known| shown > (known.at, known.event.as_ref()));
    let member = least_member(known.and_then(|known| known.member.as_ref()), draft.member());
    let deleted_at = known.and_then(|known| known.deleted_at);
    let deleted_at = deleted_at.into_iter().chain(draft.owner.customer_gone_at).min();
    let email =
        if newer { seen.email.clone() } else { known.and_then(|known| known.email.clone()) };
    let customer = Customer {
        id: seen.id.clone(),
        member,
        // What Stripe was told to forget is not kept here either.
        email: email.filter(|_| deleted_at.is_none()),
        deleted_at,
        at: if newer { Some(observation.at) } else { known.and_then(|known| known.at) },
        event: if newer {
            Some(observation.event.clone())
        } else {
            known.and_then(|known| known.event.clone())
        },
        own_claim: OwnClaim::newest(
            known.and_then(|known| known.own_claim.as_ref()),
            Some(&OwnClaim::shown(observation)),
        ),
    };
    if known != Some(&customer) {
        draft.change(Change::SaveCustomer(customer));
    }
    Primary::new(&seen.id, vec![("applied", yes_no(newer)), ("deleted", yes_no(seen.deleted))])
}

/// What an account decides that a deleted customer pays for although it belongs to another: that it
/// is gone, which ends what it pays for. `None` when that is known already, or the customer is not.
///
/// Of the facts it reads the customer only.
pub fn customer_gone(facts: &Facts, observation: &Observation) -> Option<Decision> {
    let Seen::Customer(seen) = &observation.seen else { return None };
    let known = facts.customers.get(&seen.id).filter(|_| seen.deleted)?;
    let gone = known.gone_since(observation.at)?;
    let mut decision = Decision::default();
    if known.deleted_at.is_none() {
        decision.journal.push(gone_entry(&gone, observation));
    }
    decision.changes.push(Change::SaveCustomer(gone));
    Some(decision)
}

/// What the journal of an account says that is not the customer's own.
pub(super) fn gone_entry(gone: &Customer, observation: &Observation) -> JournalEntry {
    let at = gone.deleted_at.map(|at| ("deleted_at", at.to_string()));
    JournalEntry {
        kind: "customer.gone",
        subject: gone.id.to_string(),
        actor: Actor::Stripe(observation.event.clone()),
        occurred_at: observation.at,
        details: at.into_iter().collect(),
        billing: None,
    }
}

impl Customer {
    /// The same, gone since then; `None` when it is known to be gone for so long.
    pub(super) fn gone_since(&self, at: Timestamp) -> Option<Self> {
        let news = self.deleted_at.is_none_or(|known| at < known);
        news.then(|| Self { deleted_at: Some(at), email: None, ..self.clone() })
    }
}

pub(super) fn decide_summary(draft: &mut Draft<'_>, seen: &SeenEntitlementSummary) -> Primary {
    draft.meet_customer();
    let mut features: Vec<&str> = seen.lookup_keys.iter().map(AsRef::as_ref).collect();
    features.sort_unstable();
    let customer = draft.observation.customer.as_ref().map_or("", AsRef::as_ref);
    Primary::new(&customer, vec![("features", features.join(","))])
}
