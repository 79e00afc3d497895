//! Owners. Owns: which account an event belongs to, given what its object claims and which links
//! are stored. Must not know: where links are kept, what the event does.
//!
//! The rules: metadata names the owner unless a stored link says otherwise;
//! then the link wins and the claim is reported. Metadata can be edited by whoever holds a
//! restricted key and `client_reference_id` by whoever opens the page, links cannot.

use crate::change::Link;
use crate::ids::{AccountId, MemberId, ObjectId};
use crate::observation::{Observation, OwnerClaim, Seen};
use crate::payment::AdjustmentKind;

/// The owner an event was found to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOwner {
    /// The account.
    pub account: AccountId,
    /// The member the object stands for.
    pub member: Option<MemberId>,
    /// The account the object's metadata names although a stored link says otherwise.
    pub contradicted: Option<AccountId>,
}

/// What the search for an event's owner came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// It belongs to this account.
    Found(FoundOwner),
    /// Nobody yet: the event waits until one of its references is linked.
    Nobody,
}

/// Finds the owner of an event. `links` answers for one object; the event's references are asked
/// in their order, the most telling first.
///
/// A member's own Stripe customer may pay for several accounts. Its link therefore contradicts no
/// claim that names the same member, gives way to any other link, and does not decide alone over
/// something that belongs to another object (an invoice to its subscription, a refund to its
/// payment): that one waits for the object's own link, or the order of arrival would choose.
pub fn choose<'l>(
    observation: &Observation,
    links: impl Fn(&ObjectId) -> Option<&'l Link>,
) -> Owner {
    let mut own: Option<&Link> = None;
    let mut shared: Option<&Link> = None;
    for object in &observation.references {
        match links(object) {
            Some(link) if link.member.is_some() && is_customer(observation, object) => {
                shared = shared.or(Some(link));
            }
            Some(link) => own = own.or(Some(link)),
            None => {}
        }
        if own.is_some() {
            break;
        }
    }
    match (&observation.claim, own, shared) {
        (Some(claim), Some(link), _) if link.account == claim.account => {
            by_claim(claim, Some(link))
        }
        (Some(claim), None, Some(link))
            if link.account == claim.account || link.member == claim.member =>
        {
            by_claim(claim, Some(link))
        }
        (Some(claim), None, None) => by_claim(claim, None),
        (Some(claim), Some(link), _) | (Some(claim), None, Some(link)) => {
            by_link(link, Some(&claim.account))
        }
        (None, Some(link), _) => by_link(link, None),
        (None, None, Some(link)) if !belongs_to_another(observation) => by_link(link, None),
        (None, None, _) => Owner::Nobody,
    }
}

fn by_claim(claim: &OwnerClaim, link: Option<&Link>) -> Owner {
    let member = claim.member.clone().or_else(|| link.and_then(|link| link.member.clone()));
    Owner::Found(FoundOwner { account: claim.account.clone(), member, contradicted: None })
}

fn by_link(link: &Link, contradicted: Option<&AccountId>) -> Owner {
    Owner::Found(FoundOwner {
        account: link.account.clone(),
        member: link.member.clone(),
        contradicted: contradicted.cloned(),
    })
}

fn is_customer(observation: &Observation, object: &ObjectId) -> bool {
    let same = |id: &str| id == object.as_str();
    observation.customer.as_ref().is_some_and(|customer| same(customer.as_str()))
        || matches!(&observation.seen, Seen::Customer(seen) if same(seen.id.as_str()))
}

/// Whether the object is part of another one, which will be linked by its own events.
fn belongs_to_another(observation: &Observation) -> bool {
    match &observation.seen {
        Seen::Invoice(invoice) => invoice.subscription.is_some(),
        Seen::InvoicePayment(_) => true,
        Seen::Adjustment(seen) => {
            seen.payment_intent.is_some()
                || (seen.charge.is_some() && seen.kind != AdjustmentKind::ChargeRefunds)
        }
        Seen::Customer(_)
        | Seen::Subscription(_)
        | Seen::Session(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => false,
    }
}

#[cfg(test)]
mod tests;
