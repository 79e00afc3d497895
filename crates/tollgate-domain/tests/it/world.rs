//! A world of accounts as the server would keep it: links, facts, what was told, and the events
//! that wait for their owner. No storage, no time.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::catalog::builtin_text;
use tollgate_domain::catalog::parse::parse;
use tollgate_domain::decide::customer_gone;
use tollgate_domain::handover::Handover;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};
use tollgate_domain::owner::{Links, Regrouping};
use tollgate_domain::subscription::SubscriptionState;
use tollgate_domain::{
    Actor, BillingEventKind, Catalog, Decision, Facts, JournalEntry, Observation, Owner, decide,
    owner,
};

/// The `sietch` catalog, with a plan sold one-time as in `levels`, and our test prices.
pub(crate) fn catalog() -> Catalog {
    let one_time = "\n[[plans]]\nid = \"pro\"\nname = \"PRO\"\nrank = 60\none_time = 19000\ngrant_days = 365\n";
    let text = builtin_text("sietch").unwrap().to_owned() + one_time;
    let catalog = parse("sietch", "test.toml", &text).unwrap();
    let map = |target: &str, price: &str| (target.to_owned(), vec![price.to_owned()]);
    let prices = [
        map("basic", "price_basic"),
        map("premium", "price_premium"),
        map("boost", "price_boost"),
        map("badge", "price_badge"),
        map("pro", "price_pro"),
    ];
    catalog.with_prices(&prices).unwrap()
}

/// How often each kind was told, by name.
pub(crate) type Counts = BTreeMap<&'static str, usize>;

/// The part of the facts that `decide` says it reads, as a store loads it.
fn touched(facts: &Facts, observation: &Observation) -> Facts {
    let named = |id: &str| observation.references.iter().any(|object| object.as_str() == id);
    let mut part = facts.clone();
    part.customers.retain(|id, _| observation.customer.as_ref() == Some(id) || named(id.as_str()));
    part.subscriptions.retain(|id, _| named(id.as_str()));
    part.subscriptions.values_mut().for_each(|one| one.history.clear());
    part.invoices.retain(|id, _| named(id.as_str()));
    let same_payment = |intent: Option<&ObjectId>| intent.is_some_and(|id| named(id.as_str()));
    part.purchases
        .retain(|id, one| named(id.as_str()) || same_payment(one.payment_intent.as_ref()));
    part.adjustments.retain(|id, one| named(id.as_str()) || one.reference().is_some_and(named));
    part
}

/// Everything that must not depend on the order of arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) facts: BTreeMap<AccountId, Facts>,
    pub(crate) links: Links,
    pub(crate) journal: Counts,
    pub(crate) billing: Counts,
    pub(crate) processed: BTreeSet<EventId>,
    pub(crate) waiting: BTreeMap<EventId, Observation>,
}

impl World {
    /// One delivery, as the inbox takes it: a processed event is a duplicate, an event whose owner
    /// is unknown waits, and a processed event wakes those that wait for its links. Returns what
    /// was decided for this event, if anything.
    pub(crate) fn deliver(
        &mut self,
        observation: &Observation,
        catalog: &Catalog,
    ) -> Option<Decision> {
        if self.processed.contains(&observation.event) {
            return None;
        }
        let Some(decision) = self.process(observation, catalog) else {
            self.waiting.insert(observation.event.clone(), observation.clone());
            return None;
        };
        self.waiting.remove(&observation.event);
        while let Some(woken) = self.woken() {
            self.process(&woken, catalog).expect("a woken event has an owner");
            self.waiting.remove(&woken.event);
        }
        Some(decision)
    }

    pub(crate) fn after(events: &[Observation], catalog: &Catalog) -> Self {
        let mut world = Self::default();
        for event in events {
            world.deliver(event, catalog);
        }
        world
    }

    fn woken(&self) -> Option<Observation> {
        self.waiting.values().find(|waiting| self.owner(waiting) != Owner::Nobody).cloned()
    }

    fn owner(&self, observation: &Observation) -> Owner {
        owner::choose(observation, &self.links)
    }

    fn process(&mut self, observation: &Observation, catalog: &Catalog) -> Option<Decision> {
        let Owner::Found(found) = self.owner(observation) else { return None };
        for (regrouping, objects) in self.links.moves(&found.links) {
            self.hand_over(regrouping, &objects, observation);
        }
        self.links.apply(&found.links);
        let facts = self.account(&found.account);
        let decision = decide(observation, &found, &touched(facts, observation), catalog);
        self.take(&found.account, &decision);
        let others: Vec<AccountId> = self.facts.keys().cloned().collect();
        for account in others.iter().filter(|account| **account != found.account) {
            if let Some(decision) = customer_gone(self.account(account), observation) {
                self.take(account, &decision);
            }
        }
        self.processed.insert(observation.event.clone());
        Some(decision)
    }

    fn account(&mut self, account: &AccountId) -> &mut Facts {
        self.facts.entry(account.clone()).or_insert_with(|| Facts::unknown(account.clone()))
    }

    fn hand_over(
        &mut self,
        regrouping: &Regrouping,
        objects: &BTreeSet<ObjectId>,
        observation: &Observation,
    ) {
        let mut from = self.account(&regrouping.from).clone();
        let mut to = self.account(&regrouping.to).clone();
        let handover = Handover {
            subject: &regrouping.root,
            objects,
            is_payer: regrouping.is_payer,
            actor: Actor::Stripe(observation.event.clone()),
            reason: "evidence",
            at: observation.at,
        };
        let (gives, takes) = handover.decide(&from, &to);
        from.hand_over(&mut to, objects);
        self.facts.insert(from.account.clone(), from);
        self.facts.insert(to.account.clone(), to);
        self.take(&regrouping.from, &gives);
        self.take(&regrouping.to, &takes);
    }

    fn take(&mut self, account: &AccountId, decision: &Decision) {
        let facts = self.account(account);
        for change in &decision.changes {
            facts.apply(change);
        }
        // That something changed hands depends on the order; where it ends does not.
        let told = |entry: &&JournalEntry| !entry.kind.starts_with("object.");
        for entry in decision.journal.iter().filter(told) {
            *self.journal.entry(entry.kind).or_default() += 1;
        }
        for event in decision.billing() {
            *self.billing.entry(event.kind.as_str()).or_default() += 1;
        }
    }

    pub(crate) fn told(&self, kind: BillingEventKind) -> usize {
        self.billing.get(kind.as_str()).copied().unwrap_or_default()
    }

    /// The facts of the account every story is about.
    pub(crate) fn acme(&self) -> &Facts {
        self.facts.get("acme").expect("the account exists")
    }

    /// The state of one of its subscriptions.
    pub(crate) fn state(&self, id: &str) -> &SubscriptionState {
        self.acme().subscriptions[id].state().expect("a subscription has a state")
    }
}

impl PartialEq for World {
    /// What stands for a group, and why it belongs to its account, may differ; the account may not.
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
            && self.links.accounts() == other.links.accounts()
            && self.journal == other.journal
            && self.billing == other.billing
            && self.processed == other.processed
            && self.waiting == other.waiting
    }
}
