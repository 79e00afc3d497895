//! Facts that change hands. Owns: which facts go along with objects that turn out to belong to
//! another account. Must not know: why they do, which objects go along.

use std::collections::BTreeSet;

use crate::facts::{Customer, Facts};
use crate::ids::{CustomerId, ObjectId};
use crate::own_claim::OwnClaim;

impl Facts {
    /// Gives the facts of these objects to another account: subscriptions with all that was seen of
    /// them, invoices, purchases and adjustments, each with what was told of it. Customers stay; see [`Customer::without_news`].
    pub fn hand_over(&mut self, to: &mut Self, objects: &BTreeSet<ObjectId>) {
        let goes = |id: &str| objects.contains(id);
        to.subscriptions.extend(self.subscriptions.extract_if(.., |id, _| goes(id.as_str())));
        to.invoices.extend(self.invoices.extract_if(.., |id, _| goes(id.as_str())));
        to.schedules.extend(self.schedules.extract_if(.., |id, _| goes(id.as_str())));
        let paid = self.invoice_payments.extract_if(.., |id, _| goes(id.as_str()));
        to.invoice_payments.extend(paid);
        to.purchases.extend(self.purchases.extract_if(.., |id, _| goes(id.as_str())));
        to.adjustments.extend(self.adjustments.extract_if(.., |id, _| goes(id.as_str())));
    }

    /// Forgets the facts of objects that another account has now.
    pub(crate) fn forget(&mut self, objects: &[ObjectId]) {
        let objects: BTreeSet<ObjectId> = objects.iter().cloned().collect();
        self.hand_over(&mut Self::unknown(self.account.clone()), &objects);
    }

    /// Customers that the facts of these objects name.
    pub fn customers_of(&self, objects: &BTreeSet<ObjectId>) -> BTreeSet<CustomerId> {
        let goes = |id: &str| objects.contains(id);
        let subscribers = self.subscriptions.values().filter(|one| goes(one.id.as_str()));
        let billed = self.invoices.values().filter(|one| goes(one.id.as_str()));
        let customers = subscribers.map(|one| &one.customer).chain(billed.map(|one| &one.customer));
        customers.flatten().cloned().collect()
    }
}

impl Customer {
    /// A customer that is only named: nothing that its own events told, but that it is gone, which
    /// concerns whomever it pays for.
    pub fn without_news(&self) -> Self {
        Self { email: None, at: None, event: None, own_claim: None, ..self.clone() }
    }

    /// All that two accounts know of one customer.
    pub fn merged(&self, other: &Self) -> Self {
        let order = |one: &Self| (one.at, one.event.clone());
        let newer = if order(other) > order(self) { other } else { self };
        let members = self.member.iter().chain(&other.member);
        let deleted_at = self.deleted_at.into_iter().chain(other.deleted_at).min();
        Self {
            member: members.min().cloned(),
            deleted_at,
            email: newer.email.clone().filter(|_| deleted_at.is_none()),
            own_claim: OwnClaim::newest(self.own_claim.as_ref(), other.own_claim.as_ref()),
            ..newer.clone()
        }
    }
}
