//! Ends that no event announces. Owns: which of an account's ends have come and are to be told of,
//! and when to look again. Must not know: who looks, access (it changes at its instant by itself).

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::change::{Change, Decision};
use crate::entitlement::resolve::{grace_windows, grant_ends};
use crate::entitlement::stale::overdue_since;
use crate::facts::Facts;
use crate::finding;
use crate::ids::{FactId, SubscriptionId};
use crate::subscription::Subscription;
use crate::time::Timestamp;
use crate::{boost, decide, feature_override, grant, waiver};

/// Everything to be told of at an instant: ended graces, and bought grants and our own facts that
/// ran out. Each is told once; an empty decision when there is nothing.
pub fn ended(facts: &Facts, catalog: &Catalog, now: Timestamp) -> Decision {
    let mut whole = Decision::default();
    // Two windows may share one note; the second must see what the first one noted.
    let mut told: BTreeSet<String> = BTreeSet::new();
    let mut add = |one: Option<Decision>| {
        let Some(one) = one else { return };
        let mut notes: Vec<&String> = Vec::new();
        for change in &one.changes {
            if let Change::Note(key) = change {
                notes.push(key);
            }
        }
        if notes.iter().any(|key| told.contains(*key)) {
            return;
        }
        told.extend(notes.into_iter().cloned());
        whole.changes.extend(one.changes);
        whole.journal.extend(one.journal);
    };
    for window in &grace_windows(facts, catalog) {
        add(decide::grace_ended(facts, window, now));
    }
    for purchase in facts.purchases.values() {
        for one in grant::bought_expired(facts, purchase, catalog, now) {
            add(Some(one));
        }
    }
    for (id, kind) in expired(facts, now) {
        add(match kind {
            Kind::Waiver => waiver::expired(facts, &id, now),
            Kind::Grant => grant::expired(facts, &id, now),
            Kind::Boost => boost::expired(facts, &id, now),
            Kind::Override => feature_override::expired(facts, &id, now),
        });
    }
    whole
}

/// The subscriptions of which news are overdue at `now`, about which Stripe is to be asked.
pub fn stale(facts: &Facts, now: Timestamp) -> Vec<&SubscriptionId> {
    let is_stale =
        |one: &&Subscription| overdue_since(one, facts).is_some_and(|since| since <= now);
    facts.subscriptions.values().filter(is_stale).map(|one| &one.id).collect()
}

/// The next instant after `now` at which [`ended`], [`stale`] or a finding may be new; `None`:
/// only a new fact can bring one.
pub fn next_end(facts: &Facts, catalog: &Catalog, now: Timestamp) -> Option<Timestamp> {
    let graces = grace_windows(facts, catalog).into_iter().map(|window| window.ends_at);
    let own = own_ends(facts).map(|(_, end, _)| end);
    let bought = facts.purchases.values().flat_map(|purchase| grant_ends(purchase, facts, catalog));
    let stale = facts.subscriptions.values().filter_map(|one| overdue_since(one, facts));
    let unclear = facts.subscriptions.values().filter_map(Subscription::unclear_since);
    let unheard = facts.purchases.values().filter_map(|one| finding::unheard_since(one, facts));
    let unclear = unclear.chain(unheard);
    graces.chain(own).chain(bought).chain(stale).chain(unclear).filter(|end| *end > now).min()
}

/// What has to be done about an account's ends after changes of its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Nothing: the changes bring no end and take none away.
    None,
    /// [`ended`] and [`next_end`] of the facts at hand.
    Here,
    /// The same of facts that have to be loaded first: objects came from another account or went
    /// to one.
    Reload,
}

/// What has to be done after `changes`.
pub fn look_after(changes: &[Change]) -> Look {
    changes.iter().map(look_after_one).max().unwrap_or(Look::None)
}

const fn look_after_one(change: &Change) -> Look {
    match change {
        Change::HandOver { .. } | Change::TakeOver { .. } => Look::Reload,
        Change::SaveSubscription(_)
        | Change::SaveInvoice(_)
        | Change::SavePurchase(_)
        | Change::SaveAdjustment(_)
        | Change::SaveWaiver(_)
        | Change::SaveGrant(_)
        | Change::SaveBoost(_)
        | Change::SaveOverride(_) => Look::Here,
        Change::CreateAccount
        | Change::SaveCustomer(_)
        | Change::AppendSubscriptionState(..)
        | Change::SaveSchedule(_)
        | Change::SaveInvoicePayment(_)
        | Change::SaveFinding(_)
        | Change::Note(_) => Look::None,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Waiver,
    Grant,
    Boost,
    Override,
}

fn expired(facts: &Facts, now: Timestamp) -> impl Iterator<Item = (FactId, Kind)> + '_ {
    own_ends(facts).filter(move |(_, end, _)| *end <= now).map(|(id, _, kind)| (id.clone(), kind))
}

/// The ends of our own facts that nobody took back early.
fn own_ends(facts: &Facts) -> impl Iterator<Item = (&FactId, Timestamp, Kind)> {
    let waivers = facts
        .waivers
        .iter()
        .filter(|fact| fact.revoked.is_none())
        .filter_map(|fact| fact.expires_at.map(|end| (&fact.id, end, Kind::Waiver)));
    let grants = facts
        .grants
        .iter()
        .filter(|fact| fact.revoked.is_none())
        .filter_map(|fact| fact.expires_at.map(|end| (&fact.id, end, Kind::Grant)));
    let boosts = facts
        .boosts
        .iter()
        .filter(|fact| fact.revoked.is_none())
        .filter_map(|fact| fact.expires_at.map(|end| (&fact.id, end, Kind::Boost)));
    let overrides = facts
        .overrides
        .iter()
        .filter(|fact| fact.revoked.is_none())
        .filter_map(|fact| fact.expires_at.map(|end| (&fact.id, end, Kind::Override)));
    waivers.chain(grants).chain(boosts).chain(overrides)
}

#[cfg(test)]
mod tests;
