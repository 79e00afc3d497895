//! Duplicate subscriptions: two or more that give plans to one account at once. Owns: which there
//! are, which to keep unless somebody says otherwise, which may be ended, and what is unused of each.
//! Must not know: how one is ended.

use crate::catalog::{Catalog, PlanIndex};
use crate::entitlement::SourceKind;
use crate::entitlement::resolve::resolve;
use crate::facts::Facts;
use crate::ids::{InvoiceId, PriceRef, SubscriptionId};
use crate::money::Money;
use crate::payment::{Invoice, InvoiceStatus};
use crate::subscription::{Subscription, SubscriptionItem, SubscriptionState, SubscriptionStatus};
use crate::time::Timestamp;

/// Why a duplicate is not ours to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOurs {
    /// It also sells something that is not of the catalog: another product's subscription.
    Shared,
    /// It is of a connected Stripe account, in which nothing is ended. Facts do not tell; whoever
    /// knows where an object is read does.
    Connected,
}

/// One of the subscriptions that give plans to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Stripe's id.
    pub subscription: SubscriptionId,
    /// The plan it gives.
    pub plan: PlanIndex,
    /// Stripe's status; `None` where only paid invoices tell of the subscription.
    pub status: Option<SubscriptionStatus>,
    /// Why it is not ours to end; `None`: it is.
    pub not_ours: Option<NotOurs>,
    /// When it was made at Stripe.
    pub created: Option<Timestamp>,
    /// End of its period.
    pub period_end: Option<Timestamp>,
    /// What was paid for its present period.
    pub paid: Option<PaidPeriod>,
}

/// What was paid for a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidPeriod {
    /// By which invoice.
    pub invoice: InvoiceId,
    /// How much.
    pub amount: Money,
    /// The share of it that is not used yet, rounded down; what a refund of it would be at most.
    pub unused: Money,
}

/// The subscriptions that give plans at `now`, the one to keep first: the highest plan, then the
/// older one. Fewer than two are no duplicates, and the answer is empty.
pub fn duplicates(facts: &Facts, catalog: &Catalog, now: Timestamp) -> Vec<Duplicate> {
    let considered = resolve(facts, catalog, now).considered;
    let giving = considered
        .iter()
        .filter(|source| source.kind == SourceKind::Subscription && source.counts());
    let mut all: Vec<Duplicate> = giving
        .filter_map(|source| {
            let id = SubscriptionId::parse(source.id.as_deref()?).ok()?;
            let state = facts.subscriptions.get(id.as_str()).and_then(Subscription::state);
            Some(Duplicate {
                plan: source.plan?,
                status: state.map(|state| state.status.clone()),
                not_ours: state.filter(|state| is_shared(state, catalog)).map(|_| NotOurs::Shared),
                created: state.and_then(|state| state.created),
                period_end: state.and_then(SubscriptionState::period_end),
                paid: paid_period(&id, facts, now),
                subscription: id,
            })
        })
        .collect();
    if all.len() < 2 {
        return Vec::new();
    }
    all.sort_by(|a, b| {
        let age =
            |one: &Duplicate| (one.created.unwrap_or(Timestamp::MAX), one.subscription.clone());
        b.plan.cmp(&a.plan).then_with(|| age(a).cmp(&age(b)))
    });
    all
}

/// Whether ending a subscription that gives a plan would end something that is not ours.
fn is_shared(state: &SubscriptionState, catalog: &Catalog) -> bool {
    let sold: Vec<PriceRef<'_>> = state.items.iter().map(SubscriptionItem::price_ref).collect();
    catalog.managed(&sold, false).is_ok_and(|managed| !managed.whole)
}

/// The newest paid invoice of a subscription whose period is not over.
fn paid_period(subscription: &SubscriptionId, facts: &Facts, now: Timestamp) -> Option<PaidPeriod> {
    let mut paid: Vec<(&Invoice, Timestamp, Timestamp)> = facts
        .invoices
        .values()
        .filter(|invoice| invoice.subscription.as_ref() == Some(subscription))
        .filter(|invoice| invoice.state.status == InvoiceStatus::Paid)
        .filter_map(|invoice| {
            Some((invoice, invoice.state.period_start?, invoice.state.period_end?))
        })
        .filter(|(_, from, until)| from < until && *until > now)
        .collect();
    paid.sort_by_key(|(invoice, from, _)| (*from, invoice.id.clone()));
    let (invoice, from, until) = paid.pop()?;
    let currency = invoice.state.currency;
    let amount_minor = invoice.state.amount_paid_minor;
    let left = i128::from(until.millis() - now.max(from).millis());
    let whole = i128::from(until.millis() - from.millis());
    let unused = (i128::from(amount_minor) * left).checked_div(whole)?;
    Some(PaidPeriod {
        invoice: invoice.id.clone(),
        amount: Money { amount_minor, currency },
        unused: Money { amount_minor: i64::try_from(unused).ok()?, currency },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entitlement::scenario::{read, time};

    fn found(scenario: &str, at: &str) -> Vec<String> {
        let (catalog, facts) = read(scenario);
        let all = duplicates(&facts, &catalog, time(at));
        all.iter().map(|one| one.subscription.to_string()).collect()
    }

    #[test]
    fn the_highest_plan_and_then_the_older_one_is_kept() {
        let none: [&str; 0] = [];
        assert_eq!(found("sub s1 premium active @0d", "1d"), none);
        assert_eq!(found("sub s1 premium active @0d\nsub s2 basic canceled @0d", "1d"), none);
        assert_eq!(found("sub s1 basic active @0d\nsub s2 premium active @0d", "1d"), ["s2", "s1"]);
        assert_eq!(found("sub s2 basic active @0d\nsub s1 basic active @1d", "2d"), ["s1", "s2"]);
        assert_eq!(found("sub s1 basic active @0d\nsub s2 boost*3 active @0d", "1d"), none);
    }

    #[test]
    fn the_unused_share_is_rounded_down() {
        let (catalog, mut facts) =
            read("sub s1 basic active @0d\nsub s2 premium active @0d\ninvoice i1 s1 paid @0d");
        let invoice = facts.invoices.values_mut().next().unwrap();
        invoice.state.amount_paid_minor = 1_000;
        invoice.state.period_start = Some(time("0d"));
        invoice.state.period_end = Some(time("3d"));
        let all = duplicates(&facts, &catalog, time("1d"));
        let paid = all[1].paid.as_ref().unwrap();
        assert_eq!((paid.amount.amount_minor, paid.unused.amount_minor), (1_000, 666));
        assert_eq!(all[0].paid, None);
        let over = duplicates(&facts, &catalog, time("4d"));
        assert_eq!(over[1].paid, None, "its period is over");
    }
}
