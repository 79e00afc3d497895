//! Handing over. Owns: what two accounts decide when objects of the one turn out to be the other's,
//! by evidence that came late or by a person's word. Must not know: how the objects were found,
//! how facts are stored.

use std::collections::BTreeSet;

use crate::act::{TermsRefusal, begin_account, check_terms};
use crate::change::{Actor, BillingEvent, BillingEventKind, Change, Decision, JournalEntry};
use crate::facts::Facts;
use crate::finding::{self, FindingCode};
use crate::ids::ObjectId;
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
    decision.journal.push(JournalEntry {
        kind: "object.linked",
        subject: object.to_string(),
        actor,
        occurred_at: at,
        details: vec![("reason", reason.to_owned())],
    });
    decision
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
        let settled = self.objects.iter().filter_map(|object| {
            finding::close(from, FindingCode::ClaimContradicts, object.as_str(), self.at)
        });
        gives.changes.extend(settled);
        gives.journal.push(self.entry("object.handed_over", ("to", to.account.as_str())));
        takes.journal.push(self.entry("object.taken_over", ("from", from.account.as_str())));
        gives.billing.push(self.told("Objects were handed over to another account"));
        takes.billing.push(self.told("Objects were taken over from another account"));
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
            let told = if goes { known.clone() } else { known.without_news() };
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

    fn told(&self, summary: &str) -> BillingEvent {
        BillingEvent {
            kind: BillingEventKind::EntitlementsChanged,
            occurred_at: self.at,
            stripe_event: match &self.actor {
                Actor::Stripe(event) => Some(event.clone()),
                Actor::Person(_) | Actor::System => None,
            },
            summary: summary.to_owned(),
            subscription: None,
            invoice: None,
            changes: Vec::new(),
        }
    }

    fn entry(&self, kind: &'static str, (way, account): (&'static str, &str)) -> JournalEntry {
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
        }
    }
}
