//! Sales. Owns: what a one-time purchase really sold and whether the money stayed: prices decide, a
//! claim needs its amount, refunds and disputes undo. Must not know: sessions as Stripe sends them,
//! who is entitled to what.
//!
//! What was sold stays sold: [`sales`] gives what was recorded under another catalog as it is, and
//! asks today's catalog only about what it decided itself or nobody has decided yet. Within one
//! catalog it is a function of the purchase's facts alone, so their order does not matter.

use crate::catalog::{Catalog, Interval, Plan, PlanIndex, PriceTarget};
use crate::ids::PriceRef;
use crate::money::{Currency, Money};
use crate::news::{News, Told};
use crate::payment::{
    Adjustment, AdjustmentKind, Goods, Purchase, PurchaseKind, PurchaseLine, Sale, SessionMode,
};

/// Everything a one-time purchase sold, paid or not, by line; empty when nothing confirms it.
///
/// What was recorded by another version of the catalog is final. Lines that were not recorded then
/// are asked of today's catalog, so that a price mapped later heals. A sale of the whole session
/// becomes that of the line that turns out to sell the same; until there is one it stands for all.
pub fn sales(purchase: &Purchase, catalog: &Catalog) -> Vec<Sale> {
    let kept = purchase.sales.iter().filter(|sale| *sale.catalog != *catalog.version);
    let mut all: Vec<Sale> = kept.cloned().collect();
    let confirmed = confirmed(purchase, catalog);
    if let Some(whole) = all.iter_mut().find(|sale| sale.line.is_none()) {
        let same = confirmed.iter().find(|found| found.line.is_some() && sells_same(whole, found));
        let Some(found) = same else { return all };
        let (goods, catalog) = (whole.goods.clone(), whole.catalog.clone());
        *whole = Sale { goods, catalog, ..found.clone() };
    }
    for found in confirmed {
        let fits = match &found.line {
            Some(_) => all.iter().all(|kept| kept.line != found.line),
            None => all.is_empty(),
        };
        if fits {
            all.push(found);
        }
    }
    all.sort_unstable();
    all
}

/// What this catalog says a purchase sells, whatever was recorded of it.
///
/// Confirmed by the prices of its lines: each line that is a one-time price of the catalog is a sale
/// of its own, whatever the metadata claims. A session's events rarely carry lines: while none is
/// known, by an amount equal to the catalog's one-time price of what is claimed, in any currency the
/// catalog names; an amount of zero proves nothing. Once lines are known they decide alone, so that it
/// does not matter when they became known.
pub fn confirmed(purchase: &Purchase, catalog: &Catalog) -> Vec<Sale> {
    if purchase.mode != SessionMode::Payment {
        return Vec::new();
    }
    if purchase.lines.is_empty() {
        return claimed_sale(purchase, catalog).into_iter().collect();
    }
    let lines = purchase.lines.iter().filter(|line| line.quantity > 0);
    lines.filter_map(|line| line_sale(line, catalog)).collect()
}

/// Whether a line sells what the whole session was recorded to sell: the same plan, or the one that
/// has its rank now, for whatever span today's catalog gives it.
fn sells_same(whole: &Sale, line: &Sale) -> bool {
    match (&whole.goods, &line.goods) {
        (Goods::Badge, Goods::Badge) => true,
        (Goods::Plan { plan: one, rank, .. }, Goods::Plan { plan: other, rank: now, .. }) => {
            one == other || rank == now
        }
        (Goods::Badge, Goods::Plan { .. }) | (Goods::Plan { .. }, Goods::Badge) => false,
    }
}

fn line_sale(line: &PurchaseLine, catalog: &Catalog) -> Option<Sale> {
    let goods = match catalog.price_target(line.price_ref())? {
        PriceTarget::Badge => Goods::Badge,
        PriceTarget::Plan(plan) => plan_goods(catalog.plan(plan)?)?,
        PriceTarget::Boost | PriceTarget::Usage(_) => return None,
    };
    Some(Sale {
        line: Some(line.id.clone()),
        goods,
        price: Some(line.price.clone()),
        product: line.product.clone(),
        quantity: line.quantity,
        amount: line.total,
        catalog: catalog.version.as_str().into(),
    })
}

/// What the metadata claims, where the amount is right.
fn claimed_sale(purchase: &Purchase, catalog: &Catalog) -> Option<Sale> {
    let (goods, amount) = match &purchase.kind {
        PurchaseKind::Badge => {
            let badge = catalog.badge.as_ref()?;
            (Goods::Badge, asked(purchase, badge.amounts())?)
        }
        PurchaseKind::Grant { claimed } => {
            let (_, plan) = catalog.find_plan(claimed.as_ref()?.as_str())?;
            let once = plan.prices.iter().filter(|price| price.interval == Interval::OneTime);
            let amounts = once.flat_map(crate::catalog::PlanPrice::amounts);
            (plan_goods(plan)?, asked(purchase, amounts)?)
        }
        PurchaseKind::Boost | PurchaseKind::Other => return None,
    };
    Some(Sale {
        line: None,
        goods,
        price: None,
        product: None,
        quantity: 1,
        amount: Some(amount),
        catalog: catalog.version.as_str().into(),
    })
}

fn plan_goods(plan: &Plan) -> Option<Goods> {
    Some(Goods::Plan { plan: plan.id.clone(), rank: plan.rank, days: plan.grant_days? })
}

/// The first of these amounts that the goods of a purchase may have cost.
fn asked(purchase: &Purchase, amounts: impl IntoIterator<Item = Money>) -> Option<Money> {
    amounts.into_iter().find(|price| price.amount_minor > 0 && purchase.amounts.contains(price))
}

/// What consumers are told was bought with these sales, one by one.
pub fn news(sales: &[Sale]) -> Told {
    let (mut badges, mut plans) = (0, 0);
    let one = |sale: &Sale| match &sale.goods {
        Goods::Badge => {
            badges += 1;
            News::BadgePurchased(badges)
        }
        Goods::Plan { .. } => {
            plans += 1;
            News::GrantCreated(plans)
        }
    };
    sales.iter().map(one).collect()
}

/// Brings what was told of sales up to other sales. Forgets that those were told of which are no more, so
/// that they are told of again if they come back. Returns what is told of instead, plans first: nothing
/// of what was given back before.
pub fn take_back(told: &mut Told, before: &[Sale], after: &[Sale]) -> Vec<News> {
    let kept = news(after);
    let lost = news(before).into_iter().rev().filter(|one| !kept.contains(one));
    let undone: Vec<News> = lost.filter_map(|lost| lost.undone()).collect();
    let new = undone.iter().filter(|one| !told.contains(*one)).cloned().collect();
    told.retain(|one| !undone.contains(one.undone().as_ref().unwrap_or(one)));
    // The sale of the whole session has become that of a line.
    for line in after.iter().filter(|sale| sale.line.is_some()) {
        if before.iter().any(|sale| line.is_part_of(sale)) && told.remove(&News::Expired(None)) {
            told.insert(News::Expired(line.line.clone()));
        }
    }
    new
}

/// Whether both give the same, by whichever catalog.
pub fn same_goods(one: &[Sale], other: &[Sale]) -> bool {
    let same =
        |(a, b): (&Sale, &Sale)| a.line == b.line && a.goods == b.goods && a.quantity == b.quantity;
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// Sales in words, such as `pro for 365 days, 2 x badge`.
pub fn listed(sales: &[Sale]) -> String {
    let one = |sale: &Sale| {
        let goods = match &sale.goods {
            Goods::Badge => "badge".to_owned(),
            Goods::Plan { plan, days, .. } => format!("{plan} for {days} days"),
        };
        if sale.quantity == 1 { goods } else { format!("{} x {goods}", sale.quantity) }
    };
    sales.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The plan that stands for one that was sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoldPlan {
    /// The plan.
    pub index: PlanIndex,
    /// The catalog has nothing of the same rank any more, and this plan gives less.
    pub lost: bool,
}

impl Catalog {
    /// The plan that stands for one that was sold: the plan of that id; where the catalog has none,
    /// the plan its price sells now (it was renamed), the plan of the same rank, or the highest
    /// below it. `None` where nothing but the default plan is left.
    pub fn plan_sold(&self, sale: &Sale) -> Option<SoldPlan> {
        let Goods::Plan { plan, rank, .. } = &sale.goods else { return None };
        if let Some((index, _)) = self.find_plan(plan.as_str()) {
            return Some(SoldPlan { index, lost: false });
        }
        let renamed = sale.price_ref().and_then(|price: PriceRef<'_>| self.price_target(price));
        if let Some(PriceTarget::Plan(index)) = renamed {
            let lost = self.plan(index).is_some_and(|plan| plan.rank < *rank);
            return Some(SoldPlan { index, lost });
        }
        let plans = self.plans.iter().enumerate();
        let (index, found) = plans.rev().find(|(_, plan)| plan.rank <= *rank)?;
        let index = PlanIndex(index);
        (index > self.default_plan).then_some(SoldPlan { index, lost: found.rank < *rank })
    }
}

/// Why the money of a purchase is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Undone {
    /// All of it was given back, or is on its way.
    Refunded,
    /// A dispute was lost.
    DisputeLost,
}

/// Whether and why the money of a purchase is gone now.
///
/// Refunds and the charge's own total are two views of the same money, so the greater counts, not
/// their sum. A refund that failed gives the money back to us, and Stripe sends no event that
/// takes it out of the charge's total, so it is taken out here.
pub fn undone<'a>(
    purchase: &Purchase,
    adjustments: impl Iterator<Item = &'a Adjustment>,
) -> Option<Undone> {
    let asked = purchase.total;
    taken_back(asked, adjustments.filter(|adjustment| concerns(adjustment, purchase)))
}

/// Whether and why money that was asked for is gone now, by all refunds and disputes about it; the
/// rule of [`undone`].
pub fn taken_back<'a>(
    asked: Option<Money>,
    adjustments: impl Iterator<Item = &'a Adjustment>,
) -> Option<Undone> {
    let all: Vec<&Adjustment> = adjustments.collect();
    let lost = |one: &&&Adjustment| one.kind == AdjustmentKind::Dispute && &*one.status == "lost";
    if all.iter().find(lost).is_some() {
        return Some(Undone::DisputeLost);
    }
    let refunded = asked.map_or(0, |asked| refunded_minor(asked.currency, &all));
    covers(asked, refunded).then_some(Undone::Refunded)
}

/// Minor units given back, or on their way, by all refunds about one payment; the rule of [`undone`].
fn refunded_minor(currency: Currency, adjustments: &[&Adjustment]) -> i64 {
    let (mut refunds, mut failed, mut charged_back): (i64, i64, i64) = (0, 0, 0);
    for adjustment in adjustments {
        let amount = adjustment.amount;
        if amount.currency != currency {
            continue;
        }
        match (adjustment.kind, &*adjustment.status) {
            (AdjustmentKind::Refund, "failed" | "canceled") => {
                failed = failed.saturating_add(amount.amount_minor);
            }
            (AdjustmentKind::Refund, _) => refunds = refunds.saturating_add(amount.amount_minor),
            (AdjustmentKind::ChargeRefunds, _) => {
                charged_back = charged_back.max(amount.amount_minor);
            }
            (AdjustmentKind::Dispute, _) => {}
        }
    }
    refunds.max(charged_back.saturating_sub(failed))
}

/// What is left of a payment after refunds and disputes, in minor units, never below zero. Money that
/// a dispute holds back counts as gone until the dispute is won.
pub fn kept_minor(paid: Money, adjustments: &[&Adjustment]) -> i64 {
    let disputed = adjustments.iter().filter(|one| {
        let open = !one.status.starts_with("warning_") && &*one.status != "won";
        one.kind == AdjustmentKind::Dispute && open && one.amount.currency == paid.currency
    });
    let disputed = disputed.fold(0_i64, |sum, one| sum.saturating_add(one.amount.amount_minor));
    let gone = refunded_minor(paid.currency, adjustments).saturating_add(disputed);
    paid.amount_minor.saturating_sub(gone).max(0)
}

/// Whether the money of a purchase was ever gone, even if a refund failed later. Only ever
/// becomes true, so that "was revoked" is reported once in any order of events.
pub fn was_ever_undone<'a>(
    purchase: &Purchase,
    adjustments: impl Iterator<Item = &'a Adjustment>,
) -> bool {
    let mut refunded: i64 = 0;
    for adjustment in
        adjustments.filter(|one| one.effective_at.is_some() && concerns(one, purchase))
    {
        match adjustment.kind {
            AdjustmentKind::Dispute | AdjustmentKind::ChargeRefunds => return true,
            AdjustmentKind::Refund if same_currency(purchase, adjustment) => {
                refunded = refunded.saturating_add(adjustment.amount.amount_minor);
            }
            AdjustmentKind::Refund => {}
        }
    }
    covers(purchase.total, refunded)
}

/// Whether a refund or dispute is about the payment of a purchase.
pub fn concerns(adjustment: &Adjustment, purchase: &Purchase) -> bool {
    adjustment.payment_intent.is_some() && adjustment.payment_intent == purchase.payment_intent
}

fn same_currency(purchase: &Purchase, adjustment: &Adjustment) -> bool {
    purchase.total.is_some_and(|total| total.currency == adjustment.amount.currency)
}

fn covers(asked: Option<Money>, refunded: i64) -> bool {
    asked.is_some_and(|asked| asked.amount_minor > 0 && refunded >= asked.amount_minor)
}

#[cfg(test)]
mod tests;
