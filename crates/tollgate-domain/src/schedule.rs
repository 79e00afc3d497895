//! Ends that no event announces. Owns: which of an account's ends have come and are to be told of,
//! and when to look again. Must not know: who looks, access (it changes at its instant by itself).

use crate::act::Act;
use crate::catalog::Catalog;
use crate::change::{Actor, Change, Decision};
use crate::entitlement::resolve::{grace_windows, grant_ends};
use crate::entitlement::stale::overdue_since;
use crate::facts::Facts;
use crate::ids::{FactId, SubscriptionId};
use crate::news::News;
use crate::payment::Purchase;
use crate::subscription::Subscription;
use crate::time::Timestamp;
use crate::{decide, finding, operator_fact};

/// Everything to be told of at an instant: ended graces, and bought grants and operator facts
/// that ran out. Each is told once; an empty decision when there is nothing.
pub fn ended(facts: &Facts, catalog: &Catalog, now: Timestamp) -> Decision {
    let windows = grace_windows(facts, catalog);
    let graces = windows.iter().filter_map(|window| decide::grace_ended(facts, window, now));
    let purchases = facts.purchases.values();
    let bought = purchases.flat_map(|purchase| bought_expired(facts, purchase, catalog, now));
    let mut given: Vec<(Timestamp, &FactId)> = given_ends(facts).collect();
    given.sort_unstable();
    let given = given.into_iter().filter_map(|(_, id)| operator_fact::expire(facts, id, now));
    let mut whole = Decision::default();
    for one in graces.chain(bought).chain(given) {
        whole.changes.extend(one.changes);
        whole.journal.extend(one.journal);
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
    let given = given_ends(facts).map(|(end, _)| end);
    let bought = facts.purchases.values().flat_map(|purchase| grant_ends(purchase, facts, catalog));
    let bought = bought.map(|(_, end)| end);
    let stale = facts.subscriptions.values().filter_map(|one| overdue_since(one, facts));
    let unclear = facts.subscriptions.values().filter_map(Subscription::unclear_since);
    let unheard = facts.purchases.values().filter_map(|one| finding::unheard_since(one, facts));
    let unclear = unclear.chain(unheard);
    graces.chain(given).chain(bought).chain(stale).chain(unclear).filter(|end| *end > now).min()
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
        | Change::SaveOperatorFact(_) => Look::Here,
        Change::CreateAccount
        | Change::SaveCustomer(_)
        | Change::AppendSubscriptionState(..)
        | Change::SaveSchedule(_)
        | Change::SaveInvoicePayment(_)
        | Change::SaveFinding(_) => Look::None,
    }
}

/// The ends of operator facts, of those that were not revoked.
fn given_ends(facts: &Facts) -> impl Iterator<Item = (Timestamp, &FactId)> {
    facts.operator_facts.values().filter_map(|fact| Some((fact.ends_at()?, &fact.id)))
}

/// Tells, once for each plan a purchase sold, that it reached its end: empty when the purchase gives
/// no plan, was undone before, has not ended, or was told of already.
fn bought_expired(
    facts: &Facts,
    purchase: &Purchase,
    catalog: &Catalog,
    now: Timestamp,
) -> Vec<Decision> {
    let mut told = purchase.told.clone();
    let mut expired = Vec::new();
    for (sale, end) in grant_ends(purchase, facts, catalog) {
        // Until it is recorded as a line's, it is told of as the whole session's.
        let whole = purchase.sales.iter().any(|kept| sale.is_part_of(kept));
        let news = News::Expired(sale.line.filter(|_| !whole));
        if end > now || told.contains(&news) {
            continue;
        }
        let billing = news.billing_event(purchase.id.as_str(), None, None);
        told.insert(news);
        let after = Purchase { told: told.clone(), ..purchase.clone() };
        let act = Act {
            journal_kind: billing.kind.as_str(),
            billing_kind: billing.kind,
            subject: purchase.id.as_str(),
            actor: Actor::System,
            at: end,
            details: vec![("bought", "yes".to_owned())],
            summary: billing.summary,
        };
        expired.push(act.decide(facts, Change::SavePurchase(after)));
    }
    expired
}

#[cfg(test)]
mod tests;
