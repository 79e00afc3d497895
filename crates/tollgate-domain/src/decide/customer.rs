//! Customers. Owns: what customer events and Stripe's own feature summaries do. Must not know:
//! subscriptions; that those of a deleted customer are over follows from the facts together.

use super::{Draft, Primary, least_member, yes_no};
use crate::change::Change;
use crate::facts::Customer;
use crate::observation::{SeenCustomer, SeenEntitlementSummary};

pub(super) fn decide(draft: &mut Draft<'_>, seen: &SeenCustomer) -> Primary {
    let observation = draft.observation;
    let known = draft.facts.customers.get(&seen.id);
    let shown = (Some(observation.at), Some(&observation.event));
    let newer = known.is_none_or(|known| shown > (known.at, known.event.as_ref()));
    let member = least_member(known.and_then(|known| known.member.as_ref()), draft.member());
    let shown_deleted = seen.deleted.then_some(observation.at);
    let deleted_at =
        known.and_then(|known| known.deleted_at).into_iter().chain(shown_deleted).min();
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
    };
    if known != Some(&customer) {
        draft.change(Change::SaveCustomer(customer));
    }
    Primary {
        subject: seen.id.to_string(),
        details: vec![("applied", yes_no(newer)), ("deleted", yes_no(seen.deleted))],
    }
}

pub(super) fn decide_summary(draft: &mut Draft<'_>, seen: &SeenEntitlementSummary) -> Primary {
    draft.meet_customer();
    let mut features: Vec<&str> = seen.lookup_keys.iter().map(AsRef::as_ref).collect();
    features.sort_unstable();
    Primary {
        subject: draft.observation.customer.as_ref().map_or_else(String::new, ToString::to_string),
        details: vec![("features", features.join(","))],
    }
}
