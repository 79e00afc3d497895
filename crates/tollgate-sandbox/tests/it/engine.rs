//! A small engine: the rules alone. An event is read, its owner found, its effects decided and
//! applied; one without an owner waits until something is linked.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::ids::{AccountId, EventId};
use tollgate_domain::owner::{Links, choose};
use tollgate_domain::{Catalog, Facts, Observation, Owner, decide};

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Engine {
    pub(crate) facts: BTreeMap<AccountId, Facts>,
    pub(crate) links: Links,
    /// How often which kind of thing was told: to the journal, to consumers.
    pub(crate) told: BTreeMap<(&'static str, &'static str), usize>,
    pub(crate) processed: BTreeSet<EventId>,
    pub(crate) waiting: Vec<Observation>,
    /// Repetitions are decided again instead of being recognised.
    pub(crate) forgetful: bool,
}

impl Engine {
    pub(crate) fn receive(&mut self, catalog: &Catalog, observation: &Observation) {
        if !self.take(catalog, observation) {
            self.waiting.push(observation.clone());
            return;
        }
        loop {
            let waiting = std::mem::take(&mut self.waiting);
            let before = waiting.len();
            for observation in waiting {
                if !self.take(catalog, &observation) {
                    self.waiting.push(observation);
                }
            }
            if self.waiting.len() == before {
                return;
            }
        }
    }

    /// Whether the event's owner is known, and so its effects are in.
    fn take(&mut self, catalog: &Catalog, observation: &Observation) -> bool {
        if self.processed.contains(&observation.event) && !self.forgetful {
            return true;
        }
        let Owner::Found(owner) = choose(observation, &self.links) else {
            return false;
        };
        let unknown = || Facts::unknown(owner.account.clone());
        let facts = self.facts.entry(owner.account.clone()).or_insert_with(unknown);
        let decision = decide(observation, &owner, facts, catalog);
        for change in &decision.changes {
            facts.apply(change);
        }
        self.links.apply(&owner.links);
        for entry in &decision.journal {
            *self.told.entry(("journal", entry.kind)).or_default() += 1;
        }
        for event in decision.billing() {
            *self.told.entry(("consumers", event.kind.as_str())).or_default() += 1;
        }
        self.processed.insert(observation.event.clone());
        true
    }
}

/// Everything received in this order.
pub(crate) fn run(catalog: &Catalog, observations: &[Observation]) -> Engine {
    let mut engine = Engine::default();
    for observation in observations {
        engine.receive(catalog, observation);
    }
    engine
}
