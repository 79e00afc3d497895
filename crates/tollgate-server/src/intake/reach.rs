//! What a batch may reach. Owns: the accounts each delivery may turn out to belong to or concern, and
//! the objects it may read or change. Must not know: which of them it does. Pure.

use std::collections::HashMap;

use tollgate_domain::ids::{AccountId, AdjustmentId, CustomerId, ObjectId};
use tollgate_domain::{Observation, Seen};
use tollgate_store::facts::TouchedObjects;

use super::delivery::{Content, Delivery};
use super::work::Known;

/// The customer an observation shows deleted.
pub(super) fn deleted_customer(seen: &Observation) -> Option<&CustomerId> {
    let Seen::Customer(customer) = &seen.seen else { return None };
    customer.deleted.then_some(&customer.id)
}

/// What a delivery tells, where it tells anything by itself.
pub(super) fn observation(delivery: &Delivery) -> Option<&Observation> {
    match &delivery.content {
        Content::Effect(seen) => Some(seen),
        Content::Thin(_) | Content::Ignored(_) | Content::NoEvent(_) | Content::Garbled(_) => None,
    }
}

/// For each delivery the accounts it may belong to or concern: the one it claims, those its
/// references are linked to, those a customer pays for that it shows deleted, and those that other events of the batch connect it with.
pub(super) fn candidates(deliveries: &[&Delivery], known: &Known) -> Vec<Vec<AccountId>> {
    let stored = &known.links;
    let mut by_object: HashMap<&ObjectId, Vec<AccountId>> = HashMap::new();
    let mut all: Vec<Vec<AccountId>> = vec![Vec::new(); deliveries.len()];
    loop {
        let mut grown = false;
        for (delivery, mine) in deliveries.iter().zip(&mut all) {
            let Some(seen) = observation(delivery) else { continue };
            let before = mine.len();
            let claimed = seen.claim.iter().map(|claim| &claim.account);
            let linked = seen.references.iter().filter_map(|o| stored.get(o)).map(|l| &l.account);
            let near = seen.references.iter().filter_map(|o| by_object.get(o)).flatten();
            let email = seen.email.as_ref().map(|email| email.to_lowercase());
            let matched = email.and_then(|email| known.emails.get(&email));
            let payees = deleted_customer(seen).and_then(|id| known.payers.get(id));
            let payees = payees.into_iter().flatten();
            let found: Vec<AccountId> =
                claimed.chain(linked).chain(near).chain(matched).chain(payees).cloned().collect();
            for account in found {
                if !mine.contains(&account) {
                    mine.push(account);
                }
            }
            if mine.len() > before {
                grown = true;
                for object in &seen.references {
                    let known = by_object.entry(object).or_default();
                    known.extend(
                        mine.iter().filter(|a| !known.contains(a)).cloned().collect::<Vec<_>>(),
                    );
                }
            }
        }
        if !grown {
            return all;
        }
    }
}

/// Adds the objects one observation may read or change.
pub fn touch(objects: &mut TouchedObjects, seen: &Observation) {
    objects.customers.extend(seen.customer.clone());
    match &seen.seen {
        Seen::Customer(customer) => objects.customers.push(customer.id.clone()),
        Seen::Subscription(subscription) => {
            objects.subscriptions.push(subscription.id.clone());
            objects.schedules.extend(subscription.state.schedule.clone());
        }
        Seen::Schedule(schedule) => {
            objects.schedules.push(schedule.id.clone());
            objects.subscriptions.extend(schedule.subscription.clone());
        }
        Seen::Session(session) => {
            objects.purchases.push(session.id.clone());
            objects.subscriptions.extend(session.subscription.clone());
            objects.payment_intents.extend(session.payment_intent.clone());
        }
        Seen::Invoice(invoice) => {
            objects.invoices.push(invoice.id.clone());
            objects.subscriptions.extend(invoice.subscription.clone());
            objects.payment_intents.extend(invoice.payments.iter().cloned());
        }
        Seen::InvoicePayment(payment) => {
            objects.invoices.push(payment.invoice.clone());
            objects.payment_intents.extend(payment.payments.iter().cloned());
        }
        Seen::Adjustment(adjustment) => {
            objects.adjustments.push(adjustment.id.clone());
            // A charge's total of refunds and its refunds are told of together.
            let total = adjustment.charge.as_ref().map(|id| AdjustmentId::parse(id.as_str()));
            objects.adjustments.extend(total.and_then(Result::ok));
            objects.payment_intents.extend(adjustment.payment_intent.clone());
            objects.payment_intents.extend(adjustment.charge.clone());
        }
        Seen::CatalogObject(_) | Seen::EntitlementSummary(_) => {}
    }
}
