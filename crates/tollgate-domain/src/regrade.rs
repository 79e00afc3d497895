//! Past sales and today's catalog. Owns: recording sales that only today's catalog confirms, and
//! deciding past sales again on purpose. Must not know: who asks for it, over which accounts.
//!
//! A sale is recorded when it is first found paid and confirmed, and a later catalog leaves it alone.
//! Two things remain: a purchase nothing confirmed then, which [`settle`] records once a catalog
//! confirms it; and an operator who wants past sales to follow today's catalog, which is
//! [`regrade`].

use crate::act::{self, TermsRefusal};
use crate::catalog::Catalog;
use crate::change::{Actor, BillingEvent, BillingEventKind, Change, Decision, JournalEntry};
use crate::facts::Facts;
use crate::ids::SessionId;
use crate::news::News;
use crate::payment::{Purchase, Sale};
use crate::sale;
use crate::time::Timestamp;

/// A past purchase that today's catalog sells otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regraded {
    /// The checkout session.
    pub session: SessionId,
    /// What it sold, as [`sale::listed`] says it.
    pub from: String,
    /// What it sells by today's catalog; empty for nothing.
    pub to: String,
}

/// What regrading an account comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regrade {
    /// Everything that is to be done; empty when nothing is.
    pub decision: Decision,
    /// Purchases that are decided anew, by session.
    pub changed: Vec<Regraded>,
    /// Purchases of which today's catalog confirms nothing, left as they were.
    pub kept: Vec<Regraded>,
}

/// Who regrades and why.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The person or key, 1 to 128 characters.
    pub by: &'a str,
    /// 10 to 500 characters.
    pub reason: &'a str,
    /// Also take back what today's catalog does not confirm at all.
    pub take_back: bool,
}

impl Terms<'_> {
    /// Whether the name and the reason are acceptable, however many accounts there are.
    pub fn check(&self, now: Timestamp) -> Result<(), TermsRefusal> {
        act::check_terms(self.reason, self.by, None, now)
    }
}

/// Decides an account's paid purchases again by today's catalog, journalled. What today's catalog
/// does not confirm at all stays as it was sold, unless the terms say to take it back.
///
/// Errors: the name or the reason is not acceptable.
pub fn regrade(
    facts: &Facts,
    catalog: &Catalog,
    terms: Terms<'_>,
    now: Timestamp,
) -> Result<Regrade, TermsRefusal> {
    terms.check(now)?;
    let mut regrade = Regrade::default();
    let actor = Actor::Person(terms.by.trim().to_owned());
    for purchase in facts.purchases.values().filter(|one| one.paid_at.is_some()) {
        let fresh = sale::confirmed(purchase, catalog);
        if sale::same_goods(&purchase.sales, &fresh) {
            continue;
        }
        let moved = Regraded {
            session: purchase.id.clone(),
            from: sale::listed(&purchase.sales),
            to: sale::listed(&fresh),
        };
        if fresh.is_empty() && !terms.take_back {
            regrade.kept.push(moved);
            continue;
        }
        let mut details = vec![
            ("catalog", catalog.version.clone()),
            ("from", or_nothing(&moved.from)),
            ("reason", terms.reason.trim().to_owned()),
            ("to", or_nothing(&moved.to)),
        ];
        details.sort_unstable();
        let entry = JournalEntry {
            kind: "sale.regraded",
            subject: purchase.id.to_string(),
            actor: actor.clone(),
            occurred_at: now,
            details,
            billing: None,
        };
        record(&mut regrade.decision, (facts, purchase), fresh, &entry);
        regrade.changed.push(moved);
    }
    Ok(regrade)
}

/// Records what today's catalog confirms of paid purchases and no catalog did before: a price was
/// mapped since. `None` when there is nothing.
pub fn settle(facts: &Facts, catalog: &Catalog, now: Timestamp) -> Option<Decision> {
    let mut decision = Decision::default();
    for purchase in facts.purchases.values().filter(|one| one.paid_at.is_some()) {
        let sales = sale::sales(purchase, catalog);
        if sales.len() <= purchase.sales.len() {
            continue;
        }
        let entry = JournalEntry {
            kind: "sale.recorded",
            subject: purchase.id.to_string(),
            actor: Actor::System,
            occurred_at: now,
            details: vec![("catalog", catalog.version.clone()), ("sold", sale::listed(&sales))],
            billing: None,
        };
        record(&mut decision, (facts, purchase), sales, &entry);
    }
    (!decision.changes.is_empty()).then_some(decision)
}

/// Saves the sales with their entry, and tells of what was not sold before, what is not sold any more, and
/// what was given back.
fn record(
    decision: &mut Decision,
    (facts, purchase): (&Facts, &Purchase),
    sales: Vec<Sale>,
    entry: &JournalEntry,
) {
    let (before, sold) = (sale::news(&purchase.sales), sale::news(&sales));
    let summary = format!("Purchase {} sells {}", purchase.id, or_nothing(&sale::listed(&sales)));
    let mut after = Purchase { sales, ..purchase.clone() };
    let mut news = sale::take_back(&mut after.told, &purchase.sales, &after.sales);
    news.extend(sold.difference(&before).cloned());
    if sale::was_ever_undone(&after, facts.adjustments.values()) {
        let undone = sold.iter().filter_map(News::undone);
        let undone: Vec<News> = undone.filter(|one| !after.told.contains(one)).collect();
        after.told.extend(undone.iter().cloned());
        news.extend(undone);
    }
    news.sort_by_key(|one| matches!(one, News::BadgePurchased(_) | News::BadgeRevoked(_)));
    after.told.extend(sold);
    let tell = |one: &News| one.billing_event(purchase.id.as_str(), None, None).kind;
    let mut kinds: Vec<BillingEventKind> = news.iter().map(tell).collect();
    if kinds.is_empty() {
        kinds.push(BillingEventKind::EntitlementsChanged);
    }
    let mut told = kinds.into_iter().map(|kind| BillingEvent::of_account(kind, summary.clone()));
    let first = JournalEntry { billing: told.next(), ..entry.clone() };
    decision.journal.push(first);
    decision.journal.extend(told.map(|told| JournalEntry {
        kind: told.kind.as_str(),
        details: Vec::new(),
        billing: Some(told),
        ..entry.clone()
    }));
    decision.changes.push(Change::SavePurchase(after));
}

fn or_nothing(listed: &str) -> String {
    if listed.is_empty() { "nothing".to_owned() } else { listed.to_owned() }
}

#[cfg(test)]
mod tests;
