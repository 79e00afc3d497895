//! One batch in memory. Owns: which accounts and objects it touches, and the decisions about its
//! events in order. Must not know: SQL, transactions, time. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;

use tollgate_domain::change::Change;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::owner::{self, Owner};
use tollgate_domain::{Catalog, Decision, Facts, Link, Observation, Seen, Timestamp, finding};
use tollgate_store::StoreError;
use tollgate_store::facts::{Touched, TouchedObjects};
use tollgate_store::inbox::{EventKey, EventStatus, KnownEvent};

use super::delivery::{Content, Delivery};

/// What came of one delivery, before anything is written.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Done before; nothing to write but the count.
    Duplicate,
    /// The same event as an earlier one of this batch.
    Repeats(usize),
    /// Stored without effects.
    Ignored(&'static str),
    /// Stored until its owner is known, which a link of one of these objects may tell.
    Waiting(Vec<ObjectId>),
    /// Stored to be tried again.
    Failed(String),
    /// Its decision, for its account.
    Decided(AccountId, Decision),
}

/// Takes a decision down, with the facts as it left them: the next one changes them again.
pub(super) type Enter<'a> = dyn FnMut(&Decision, &Facts) -> Result<(), StoreError> + 'a;

/// The links known to a batch: those of the database and those it has made itself.
#[derive(Debug, Default)]
struct Links {
    stored: HashMap<ObjectId, Link>,
    made: HashMap<ObjectId, Link>,
}

impl Links {
    fn find(&self, object: &ObjectId) -> Option<&Link> {
        self.stored.get(object).or_else(|| self.made.get(object))
    }
}

/// One batch.
#[derive(Debug)]
pub(super) struct Work<'a> {
    deliveries: &'a [Delivery],
    links: Links,
    /// The accounts each delivery may turn out to belong to.
    candidates: Vec<Vec<AccountId>>,
    /// Events whose effects were committed before and that someone replays.
    replayed: HashSet<EventKey>,
    /// When the batch is processed: findings are reviewed as of then.
    now: Timestamp,
}

impl<'a> Work<'a> {
    /// All objects whose links the batch needs.
    pub(super) fn references(deliveries: &[Delivery]) -> Vec<ObjectId> {
        let all: HashSet<&ObjectId> =
            deliveries.iter().filter_map(observation).flat_map(|seen| &seen.references).collect();
        all.into_iter().cloned().collect()
    }

    /// A batch whose stored links are known.
    pub(super) fn new(
        deliveries: &'a [Delivery],
        stored: HashMap<ObjectId, Link>,
        now: Timestamp,
    ) -> Self {
        let candidates = candidates(deliveries, &stored);
        let links = Links { stored, made: HashMap::new() };
        Self { deliveries, links, candidates, replayed: HashSet::new(), now }
    }

    /// Every account the batch may touch, sorted.
    pub(super) fn accounts(&self) -> Vec<AccountId> {
        let mut all: Vec<AccountId> = self.candidates.iter().flatten().cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every object the batch may touch, by account.
    pub(super) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for (delivery, accounts) in self.deliveries.iter().zip(&self.candidates) {
            let Some(seen) = observation(delivery) else { continue };
            for account in accounts {
                touch(touched.accounts.entry(account.clone()).or_default(), seen);
            }
        }
        touched
    }

    /// Decides about every delivery. Events whose owner becomes known later in the batch are
    /// decided then, so that only those wait whose owner is really unknown.
    pub(super) fn decide(
        &mut self,
        known: &HashMap<EventKey, KnownEvent>,
        facts: &mut BTreeMap<AccountId, Facts>,
        catalog: &Catalog,
        enter: &mut Enter<'_>,
    ) -> Result<Vec<Verdict>, StoreError> {
        self.replayed = known
            .iter()
            .filter(|(_, event)| event.account.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        let mut first: HashMap<&EventKey, usize> = HashMap::new();
        let mut verdicts = Vec::with_capacity(self.deliveries.len());
        for (place, delivery) in self.deliveries.iter().enumerate() {
            let done = known.get(&delivery.key).is_some_and(|event| is_done(event.status));
            verdicts.push(match first.get(&delivery.key) {
                Some(earlier) => Verdict::Repeats(*earlier),
                None if done => Verdict::Duplicate,
                None => self.decide_one(place, facts, catalog, enter)?,
            });
            first.entry(&delivery.key).or_insert(place);
        }
        while self.decide_waiting(&mut verdicts, facts, catalog, enter)? {}
        Ok(verdicts)
    }

    /// Tries the waiting ones again; returns whether one of them was decided.
    fn decide_waiting(
        &mut self,
        verdicts: &mut [Verdict],
        facts: &mut BTreeMap<AccountId, Facts>,
        catalog: &Catalog,
        enter: &mut Enter<'_>,
    ) -> Result<bool, StoreError> {
        let mut progress = false;
        for (place, verdict) in verdicts.iter_mut().enumerate() {
            if matches!(verdict, Verdict::Waiting(_)) {
                *verdict = self.decide_one(place, facts, catalog, enter)?;
                progress |= !matches!(verdict, Verdict::Waiting(_));
            }
        }
        Ok(progress)
    }

    fn decide_one(
        &mut self,
        place: usize,
        facts: &mut BTreeMap<AccountId, Facts>,
        catalog: &Catalog,
        enter: &mut Enter<'_>,
    ) -> Result<Verdict, StoreError> {
        let Some(delivery) = self.deliveries.get(place) else {
            return Ok(Verdict::Waiting(Vec::new()));
        };
        let seen = match &delivery.content {
            Content::Ignored(reason) => return Ok(Verdict::Ignored(reason)),
            Content::Garbled(why) => return Ok(Verdict::Failed(why.clone())),
            Content::Effect(seen) => seen,
        };
        let owner = owner::choose(seen, |object| self.links.find(object));
        let Owner::Found(owner) = owner else { return Ok(Verdict::Waiting(self.awaited(seen))) };
        let Some(facts) = facts.get_mut(&owner.account) else {
            let why = "the owner changed while the event was processed";
            return Ok(Verdict::Failed(why.to_owned()));
        };
        // A defect in a rule must cost one event, not the neighbours it was committed with.
        let decided = std::panic::catch_unwind(AssertUnwindSafe(|| {
            tollgate_domain::decide(seen, &owner, facts, catalog)
        }));
        let Ok(mut decision) = decided else {
            let why = "a rule failed on this event; please report it";
            return Ok(Verdict::Failed(why.to_owned()));
        };
        // A replay that changes nothing must tell nothing: journal and consumers know already.
        if self.replayed.contains(&delivery.key) && !decision.changes.iter().any(is_news) {
            decision = Decision::default();
        }
        for change in &decision.changes {
            facts.apply(change);
            if let Change::Link(link) = change {
                self.links.made.entry(link.object.clone()).or_insert_with(|| link.clone());
            }
        }
        // What follows from the facts that an operator must hear of is a fact like them.
        let findings = finding::review(facts, catalog, self.now);
        for change in &findings {
            facts.apply(change);
        }
        decision.changes.extend(findings);
        enter(&decision, facts)?;
        Ok(Verdict::Decided(owner.account, decision))
    }

    /// What a waiting event waits for: those of its objects that have no link yet. One that is
    /// linked and did not lead to the owner would wake the event again and again for nothing.
    fn awaited(&self, seen: &Observation) -> Vec<ObjectId> {
        let unlinked = seen.references.iter().filter(|object| self.links.find(object).is_none());
        unlinked.cloned().collect()
    }

    /// The objects this batch linked.
    pub(super) fn linked(self) -> Vec<ObjectId> {
        let stored = self.links.stored;
        self.links.made.into_keys().filter(|object| !stored.contains_key(object)).collect()
    }
}

/// Whether a change can be news when its event's effects were committed before. What an event adds
/// to a history and which objects it links was written then, whatever has come since.
const fn is_news(change: &Change) -> bool {
    !matches!(change, Change::AppendSubscriptionState(..) | Change::Link(_))
}

/// Only these are duplicates; a failed, waiting, received or dead event is run again.
const fn is_done(status: EventStatus) -> bool {
    status.is_final()
}

fn observation(delivery: &Delivery) -> Option<&Observation> {
    match &delivery.content {
        Content::Effect(seen) => Some(seen),
        Content::Ignored(_) | Content::Garbled(_) => None,
    }
}

/// For each delivery the accounts it may belong to: the one it claims, those its references are
/// linked to, and those that other events of the batch connect it with.
fn candidates(deliveries: &[Delivery], stored: &HashMap<ObjectId, Link>) -> Vec<Vec<AccountId>> {
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
            let found: Vec<AccountId> = claimed.chain(linked).chain(near).cloned().collect();
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
fn touch(objects: &mut TouchedObjects, seen: &Observation) {
    objects.noted.extend(seen.references.iter().cloned());
    objects.customers.extend(seen.customer.clone());
    match &seen.seen {
        Seen::Customer(customer) => objects.customers.push(customer.id.clone()),
        Seen::Subscription(subscription) => objects.subscriptions.push(subscription.id.clone()),
        Seen::Session(session) => {
            objects.purchases.push(session.id.clone());
            objects.subscriptions.extend(session.subscription.clone());
            objects.payment_intents.extend(session.payment_intent.clone());
        }
        Seen::Invoice(invoice) => {
            objects.invoices.push(invoice.id.clone());
            objects.subscriptions.extend(invoice.subscription.clone());
        }
        Seen::InvoicePayment(payment) => objects.invoices.push(payment.invoice.clone()),
        Seen::Adjustment(adjustment) => {
            objects.adjustments.push(adjustment.id.clone());
            objects.payment_intents.extend(adjustment.payment_intent.clone());
        }
        Seen::CatalogObject(_) | Seen::EntitlementSummary(_) => {}
    }
}
