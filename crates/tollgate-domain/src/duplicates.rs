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
use crate::sale;
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
    /// By which invoices, the oldest first: that of the period, and those of changes within it.
    pub invoices: Vec<InvoiceId>,
    /// How much, without what was given back since: refunds, disputes, credits of changes.
    pub amount: Money,
    /// The share of it that is not used yet, rounded down: what is credited when it is ended. Taxes
    /// that were added to the prices are left out.
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

/// What was really paid for the time from now on, by all paid invoices of a subscription whose lines
/// reach beyond `now`, and what is unused of it.
fn paid_period(subscription: &SubscriptionId, facts: &Facts, now: Timestamp) -> Option<PaidPeriod> {
    let mut paid: Vec<&Invoice> = facts
        .invoices
        .values()
        .filter(|invoice| invoice.subscription.as_ref() == Some(subscription))
        .filter(|invoice| invoice.state.status == InvoiceStatus::Paid)
        .filter(|invoice| spans(invoice).iter().any(|span| span.end > now))
        .collect();
    paid.sort_by_key(|invoice| (invoice.made_at(), invoice.id.clone()));
    let currency = paid.last()?.state.currency;
    paid.retain(|invoice| invoice.state.currency == currency);
    let shares: Vec<Share> = paid.iter().map(|invoice| Share::of(invoice, facts, now)).collect();
    let amount = shares.iter().fold(0_i64, |sum, one| sum.saturating_add(one.paid_minor)).max(0);
    let unused = shares.iter().fold(0_i128, |sum, one| sum.saturating_add(one.unused_parts));
    let unused = i64::try_from(unused.div_euclid(PARTS)).unwrap_or(0).clamp(0, amount);
    let money = |amount_minor| Money { amount_minor, currency };
    let invoices = paid.into_iter().map(|invoice| invoice.id.clone()).collect();
    Some(PaidPeriod { invoices, amount: money(amount), unused: money(unused) })
}

/// Parts of a minor unit in which shares are added up, so that rounding each loses nothing.
const PARTS: i128 = 1_000_000;

/// What an invoice bills for a span of time.
struct BilledSpan {
    amount_minor: i64,
    start: Timestamp,
    end: Timestamp,
}

impl BilledSpan {
    /// What is unused of it, in [`PARTS`].
    fn unused_parts(&self, now: Timestamp) -> i128 {
        let whole = i128::from(self.end.millis()) - i128::from(self.start.millis());
        let left = i128::from(self.end.millis()) - i128::from(now.max(self.start).millis());
        let amount = i128::from(self.amount_minor).saturating_mul(PARTS);
        amount.saturating_mul(left.max(0)).checked_div_euclid(whole).unwrap_or(0)
    }
}

/// What an invoice bills: its lines, or where they are not all known its whole period.
fn spans(invoice: &Invoice) -> Vec<BilledSpan> {
    let state = &invoice.state;
    match &invoice.lines {
        Some(lines) if !lines.cut && !lines.all.is_empty() => lines
            .all
            .iter()
            .map(|line| BilledSpan {
                amount_minor: line.amount_minor,
                start: line.start,
                end: line.end,
            })
            .collect(),
        _ => {
            let whole = state.period_start.zip(state.period_end).filter(|(from, to)| from < to);
            let amount_minor = state.amount_paid_minor;
            whole.map(|(start, end)| BilledSpan { amount_minor, start, end }).into_iter().collect()
        }
    }
}

/// What one invoice adds to what was paid and to what is unused of it.
struct Share {
    paid_minor: i64,
    unused_parts: i128,
}

impl Share {
    fn of(invoice: &Invoice, facts: &Facts, now: Timestamp) -> Self {
        let Invoice { id, state, .. } = invoice;
        let paid = Money { amount_minor: state.amount_paid_minor, currency: state.currency };
        let kept = sale::kept_minor(paid, &facts.adjustments_of(id));
        let spans = spans(invoice);
        let billed = spans.iter().fold(0_i64, |sum, one| sum.saturating_add(one.amount_minor));
        let unused =
            spans.iter().fold(0_i128, |sum, one| sum.saturating_add(one.unused_parts(now)));
        if billed <= 0 {
            // A change to less: what it gave back is no longer there to be credited.
            return Self { paid_minor: billed, unused_parts: unused.min(0) };
        }
        // Discounts, refunds and a balance that was used make what was paid less than what was billed.
        let paid_share = unused.saturating_mul(i128::from(kept.min(billed)));
        let unused_parts = paid_share.div_euclid(i128::from(billed));
        let most = i128::from(kept).saturating_mul(PARTS);
        Self { paid_minor: kept, unused_parts: unused_parts.min(most) }
    }
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

    /// What was paid and what is unused at 15 days of 30, after a change at 10 days.
    fn after_change(lines: &str, amounts: &[i64], paid: i64, more: &str) -> (i64, i64) {
        let (catalog, mut facts) = read(&format!(
            "sub s1 basic active @0d\nsub s2 elite active @0d\n\
             invoice i1 s1 paid @0d for=si1/basic:0d..30d\n\
             invoice i2 s1 paid @10d for={lines}\n{more}"
        ));
        let billed = [("i1", vec![3_000], 3_000), ("i2", amounts.to_vec(), paid)];
        for (id, amounts, paid) in billed {
            let invoice = facts.invoices.get_mut(id).unwrap();
            invoice.state.amount_paid_minor = paid;
            let lines = invoice.lines.as_mut().unwrap();
            for (line, amount) in lines.all.iter_mut().zip(amounts) {
                line.amount_minor = amount;
            }
        }
        let all = duplicates(&facts, &catalog, time("15d"));
        let paid = all[1].paid.as_ref().unwrap();
        (paid.amount.amount_minor, paid.unused.amount_minor)
    }

    #[test]
    fn changes_within_a_period_count_by_what_was_paid_for_them() {
        let rise = "si1/premium:10d..30d,-si1/basic:10d..30d";
        assert_eq!(after_change(rise, &[4_000, -2_000], 2_000, ""), (5_000, 3_000));
        // A discount, or a balance that was used up, is no money.
        assert_eq!(after_change(rise, &[4_000, -2_000], 1_000, ""), (4_000, 2_250));
        // A tax on top is not credited.
        assert_eq!(after_change(rise, &[4_000, -2_000], 2_400, ""), (5_400, 3_000));
        // What a change to less gave back is gone.
        assert_eq!(after_change(rise, &[1_000, -2_000], 0, ""), (2_000, 750));
        assert_eq!(after_change(rise, &[0, -9_000], 0, ""), (0, 0));
    }
}
