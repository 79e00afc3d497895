//! Handing over. Owns: what two accounts decide when objects of the one turn out to be the other's,
//! by evidence that came late or by a person's word. Must not know: how the objects were found,
//! how facts are stored.

use std::collections::BTreeSet;

use crate::act::{TermsRefusal, begin_account, check_terms};
use crate::change::{Actor, BillingEvent, BillingEventKind, Change, Decision, JournalEntry};
use crate::facts::{Customer, Facts};
use crate::ids::{AccountId, ObjectId};
use crate::own_claim::OwnClaim;
use crate::payment::Purchase;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// Most objects named in a journal entry; the count is told of all.
const NAMED_MAX: usize = 20;

/// Whether a person may move something with this reason and in this name.
pub fn check(reason: &str, by: &str, now: Timestamp) -> Result<(), TermsRefusal> {
    check_terms(reason, by, None, now)
}

/// What an account decides to which a person gives an object that belonged to none. What is known
/// of the object comes with the events that wait for it.
pub fn linked(
    facts: &Facts,
    object: &ObjectId,
    actor: Actor,
    reason: &str,
    at: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    begin_account(&mut decision, facts, &actor, at);
    decision.journal.push(said("object.linked", object, actor, reason, at));
    decision
}

/// A person's word on one object.
fn said(
    kind: &'static str,
    object: &ObjectId,
    actor: Actor,
    reason: &str,
    at: Timestamp,
) -> JournalEntry {
    let details = vec![("reason", reason.to_owned())];
    JournalEntry {
        kind,
        subject: object.to_string(),
        actor,
        occurred_at: at,
        details,
        billing: None,
    }
}

/// What an account decides of whose objects a person says that they are its own, as they are: the
/// claims of their metadata against that are known to be wrong. Empty where there are none.
pub fn confirmed(
    facts: &Facts,
    subject: &ObjectId,
    objects: &BTreeSet<ObjectId>,
    actor: Actor,
    reason: &str,
    at: Timestamp,
) -> Decision {
    let changes = overruled(facts, objects, &facts.account);
    let mut decision = Decision { changes, ..Decision::default() };
    let customers = facts.customers.values().filter(|one| objects.contains(one.id.as_str()));
    decision.changes.extend(customers.filter_map(|one| {
        let own_claim = Some(one.own_claim.as_ref()?.overruled_for(&facts.account)?);
        Some(Change::SaveCustomer(Customer { own_claim, ..one.clone() }))
    }));
    if !decision.changes.is_empty() {
        decision.journal.push(said("object.confirmed", subject, actor, reason, at));
    }
    decision
}

/// Subscriptions and purchases among these objects that name another account than the one which has
/// them by a person's word.
fn overruled(facts: &Facts, objects: &BTreeSet<ObjectId>, owner: &AccountId) -> Vec<Change> {
    let after = |id: &str, claim: &Option<OwnClaim>| {
        claim.as_ref().filter(|_| objects.contains(id))?.overruled_for(owner)
    };
    let subscriptions = facts.subscriptions.values().filter_map(|one| {
        let own_claim = Some(after(one.id.as_str(), &one.own_claim)?);
        let history = Vec::new();
        Some(Change::SaveSubscription(Subscription { own_claim, history, ..one.clone() }))
    });
    let purchases = facts.purchases.values().filter_map(|one| {
        let own_claim = Some(after(one.id.as_str(), &one.own_claim)?);
        Some(Change::SavePurchase(Purchase { own_claim, ..one.clone() }))
    });
    subscriptions.chain(purchases).collect()
}

/// Objects that go from one account to another.
#[derive(Debug, Clone)]
pub struct Handover<'a> {
    /// The object it is about.
    pub subject: &'a ObjectId,
    /// All objects that go along, the subject included.
    pub objects: &'a BTreeSet<ObjectId>,
    /// The subject stands for a customer, whose own news go along.
    pub is_payer: bool,
    /// Who caused it.
    pub actor: Actor,
    /// Why, for people.
    pub reason: &'a str,
    /// When.
    pub at: Timestamp,
}

impl Handover<'_> {
    /// What the two accounts decide. The facts are those before; of them it reads `known`, the
    /// customers and the objects.
    pub fn decide(&self, from: &Facts, to: &Facts) -> (Decision, Decision) {
        let (mut gives, mut takes) = (Decision::default(), Decision::default());
        if !to.known {
            begin_account(&mut takes, to, &self.actor, self.at);
        }
        let objects: Vec<ObjectId> = self.objects.iter().cloned().collect();
        gives.changes.push(Change::HandOver { to: to.account.clone(), objects: objects.clone() });
        takes.changes.push(Change::TakeOver { from: from.account.clone(), objects });
        self.hand_over_customers(from, to, &mut gives, &mut takes);
        if matches!(self.actor, Actor::Person(_)) {
            takes.changes.extend(overruled(from, self.objects, &to.account));
        }
        let told = "Objects were handed over to another account";
        gives.journal.push(self.entry("object.handed_over", ("to", to.account.as_str()), told));
        let told = "Objects were taken over from another account";
        takes.journal.push(self.entry("object.taken_over", ("from", from.account.as_str()), told));
        (gives, takes)
    }

    /// The customers of what goes are known to the other account too. The news of a customer go to
    /// whom it belongs to; what stays behind may still name it.
    fn hand_over_customers(
        &self,
        from: &Facts,
        to: &Facts,
        gives: &mut Decision,
        takes: &mut Decision,
    ) {
        let mut customers = from.customers_of(self.objects);
        let own = from.customers.keys().find(|id| id.as_str() == self.subject.as_str());
        customers.extend(own.filter(|_| self.is_payer).cloned());
        for id in customers {
            let Some(known) = from.customers.get(&id) else { continue };
            let goes = self.is_payer && id.as_str() == self.subject.as_str();
            let mut told = if goes { known.clone() } else { known.without_news() };
            if matches!(self.actor, Actor::Person(_)) {
                let said = told.own_claim.as_ref().and_then(|one| one.overruled_for(&to.account));
                told.own_claim = said.or(told.own_claim);
            }
            let met = to.customers.get(&id);
            let merged = met.map_or_else(|| told.clone(), |met| met.merged(&told));
            if met != Some(&merged) {
                takes.changes.push(Change::SaveCustomer(merged));
            }
            let left = known.without_news();
            if goes && left != *known {
                gives.changes.push(Change::SaveCustomer(left));
            }
        }
    }

    fn entry(
        &self,
        kind: &'static str,
        (way, account): (&'static str, &str),
        summary: &str,
    ) -> JournalEntry {
        let named = self.objects.iter().take(NAMED_MAX).map(ObjectId::as_str);
        let named: Vec<&str> = named.collect();
        let mut details = vec![
            ("count", self.objects.len().to_string()),
            ("objects", named.join(",")),
            ("reason", self.reason.to_owned()),
            (way, account.to_owned()),
        ];
        details.sort_unstable();
        JournalEntry {
            kind,
            subject: self.subject.to_string(),
            actor: self.actor.clone(),
            occurred_at: self.at,
            details,
            billing: Some(BillingEvent::of_account(
                BillingEventKind::EntitlementsChanged,
                summary.to_owned(),
            )),
        }
    }
}
