//! Facts as they were. Owns: taking away what was not known yet at an instant. Must not know: who
//! asks, what the facts entitle to.
//!
//! Stripe's observations count from Stripe's time of their event, operator facts from their
//! granting. An invoice keeps its greatest state only; where that came later, what it was before
//! is put together from the instants it keeps (made, failed, paid).

use crate::facts::Facts;
use crate::operator_fact::OperatorFact;
use crate::payment::{Adjustment, AdjustmentKind, Invoice, InvoiceStatus, Purchase};
use crate::subscription::{Subscription, SubscriptionState};
use crate::time::Timestamp;

impl Facts {
    /// The facts as they were known at `at`, to be asked, not to be decided on: what was told of
    /// them is not what was told by then.
    pub fn as_of(&self, at: Timestamp) -> Self {
        let mut past = Self::unknown(self.account.clone());
        past.known = self.known;
        past.revision = self.revision;
        for (id, customer) in &self.customers {
            let mut customer = customer.clone();
            customer.deleted_at = customer.deleted_at.filter(|deleted| *deleted <= at);
            past.customers.insert(id.clone(), customer);
        }
        let subscriptions = self.subscriptions.values().filter_map(|one| one.as_of(at));
        past.subscriptions.extend(subscriptions.map(|one| (one.id.clone(), one)));
        let schedules = self.schedules.iter().filter(|(_, one)| one.version.at <= at);
        past.schedules.extend(schedules.map(|(id, one)| (id.clone(), one.clone())));
        let invoices = self.invoices.values().filter_map(|one| one.as_of(at));
        past.invoices.extend(invoices.map(|one| (one.id.clone(), one)));
        let payments = self.invoice_payments.iter().filter(|(_, one)| one.at <= at);
        past.invoice_payments.extend(payments.map(|(id, one)| (id.clone(), one.clone())));
        let purchases = self.purchases.values().filter_map(|one| one.as_of(at));
        past.purchases.extend(purchases.map(|one| (one.id.clone(), one)));
        let adjustments = self.adjustments.values().filter_map(|one| one.as_of(at));
        past.adjustments.extend(adjustments.map(|one| (one.id.clone(), one)));
        let given = self.operator_facts.values().filter_map(|one| one.as_of(at));
        past.operator_facts.extend(given.map(|one| (one.id.clone(), one)));
        past
    }

    /// Every instant after `from` and not after `to` at which something became known, sorted.
    pub(crate) fn instants_between(&self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let mut instants = Vec::new();
        for subscription in self.subscriptions.values() {
            let states = subscription.history.iter().chain(&subscription.contenders);
            instants.extend(states.map(|state| state.version.at));
        }
        for invoice in self.invoices.values() {
            instants.push(invoice.state.at);
            instants.extend(invoice.state.created);
            instants.extend(invoice.paid_at);
            instants.extend(invoice.failed_attempts.iter().map(|failed| failed.at));
        }
        instants.extend(self.customers.values().filter_map(|one| one.deleted_at));
        instants.extend(self.schedules.values().map(|one| one.version.at));
        instants.extend(self.invoice_payments.values().map(|one| one.at));
        for purchase in self.purchases.values() {
            instants.extend(purchase.paid_at);
            instants.extend(purchase.failed_at);
        }
        for adjustment in self.adjustments.values() {
            instants.push(adjustment.at);
            instants.extend(adjustment.effective_at);
        }
        for fact in self.operator_facts.values() {
            instants.push(fact.terms.granted_at);
            instants.extend(fact.revocation.as_ref().map(|revocation| revocation.at));
        }
        instants.retain(|instant| from < *instant && *instant <= to);
        instants.sort_unstable();
        instants.dedup();
        instants
    }
}

impl Subscription {
    /// The subscription by the observations up to `at`; `None` when there were none.
    fn as_of(&self, at: Timestamp) -> Option<Self> {
        let mut past = Self {
            customer: self.customer.clone(),
            member: self.member.clone(),
            price_keys: self.price_keys.clone(),
            ..Self::unobserved(self.id.clone())
        };
        let by_then = |state: &&SubscriptionState| state.version.at <= at;
        let known = self.history.iter().chain(&self.whole).chain(&self.contenders);
        for state in known.filter(by_then) {
            past.observe(state.clone());
        }
        past.history.extend(self.history.iter().filter(by_then).cloned());
        (!past.contenders.is_empty()).then_some(past)
    }
}

impl Invoice {
    /// The invoice as far as it was known at `at`; `None` when nothing of it was.
    fn as_of(&self, at: Timestamp) -> Option<Self> {
        let mut past = self.clone();
        past.failed_attempts.retain(|failed| failed.at <= at);
        past.paid_at = self.paid_at.filter(|paid| *paid <= at);
        if self.state.at <= at {
            return Some(past);
        }
        let created = self.state.created.filter(|created| *created <= at);
        let failed = past.failed_attempts.iter().map(|failed| failed.at).max();
        past.state.at = created.into_iter().chain(failed).chain(past.paid_at).max()?;
        past.lines = past.lines.filter(|lines| lines.at <= at || past.paid_at.is_some());
        if past.paid_at.is_none() {
            past.state.status = self.state.status.min(InvoiceStatus::Open);
            past.state.amount_paid_minor = 0;
        }
        let attempts = past.failed_attempts.iter().map(|failed| failed.attempt).max();
        past.state.attempt_count = attempts.unwrap_or(0);
        Some(past)
    }
}

impl Purchase {
    /// The purchase as far as its payment was known at `at`; `None` when nothing of it was.
    fn as_of(&self, at: Timestamp) -> Option<Self> {
        let paid_at = self.paid_at.filter(|paid| *paid <= at);
        let failed_at = self.failed_at.filter(|failed| *failed <= at);
        (paid_at.is_some() || failed_at.is_some()).then(|| Self {
            paid_at,
            failed_at,
            ..self.clone()
        })
    }
}

impl Adjustment {
    /// The adjustment as it was known at `at`; `None` when it was not. One that had taken effect
    /// and was taken back later (a refund that failed) is in effect in between.
    fn as_of(&self, at: Timestamp) -> Option<Self> {
        if self.at <= at {
            return Some(self.clone());
        }
        let effective = self.effective_at.filter(|effective| *effective <= at)?;
        let status = match self.kind {
            AdjustmentKind::Refund => "succeeded",
            AdjustmentKind::Dispute => "lost",
            AdjustmentKind::ChargeRefunds => "full",
        };
        Some(Self { at: effective, status: status.into(), ..self.clone() })
    }
}

impl OperatorFact {
    /// The fact as it was at `at`; `None` when it was not granted yet.
    fn as_of(&self, at: Timestamp) -> Option<Self> {
        let revocation = self.revocation.clone().filter(|revocation| revocation.at <= at);
        (self.terms.granted_at <= at).then(|| Self { revocation, ..self.clone() })
    }
}

#[cfg(test)]
mod tests;
