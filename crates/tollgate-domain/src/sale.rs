//! Sales. Owns: what a one-time purchase really sells and whether the money stayed: the metadata
//! claims, the price or the amount confirms, refunds and disputes undo. Must not know: sessions
//! as Stripe sends them, who is entitled to what.

use crate::catalog::{Catalog, Interval, PlanIndex, PriceTarget};
use crate::ids::PriceRef;
use crate::money::Money;
use crate::payment::{Adjustment, AdjustmentKind, Purchase, PurchaseKind, SessionMode};

/// What a purchase was confirmed to sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sold {
    /// A member's score badge.
    Badge,
    /// A plan for the plan's `grant_days`.
    Plan(PlanIndex),
}

/// What a one-time purchase sells, paid or not; `None` when nothing confirms what it claims.
///
/// Confirmed by a price of the catalog among its lines, or, since a session's events rarely carry
/// lines, by a subtotal or total equal to the catalog's one-time price of what is claimed; an
/// amount of zero proves nothing. A price outranks the claim: it decides the plan. More that is
/// learned of a purchase never takes a confirmation back.
pub fn sold(purchase: &Purchase, catalog: &Catalog) -> Option<Sold> {
    if purchase.mode != SessionMode::Payment {
        return None;
    }
    let targets = || {
        purchase.prices.iter().filter_map(|price| {
            catalog.price_target(PriceRef { id: price, lookup_key: None, product: None })
        })
    };
    match &purchase.kind {
        PurchaseKind::Badge => {
            let badge = catalog.badge.as_ref()?;
            let priced = targets().any(|target| target == PriceTarget::Badge);
            (priced || costs(purchase, badge.price)).then_some(Sold::Badge)
        }
        PurchaseKind::Grant { claimed } => {
            let priced = targets()
                .filter_map(|target| match target {
                    PriceTarget::Plan(plan) => Some(plan),
                    PriceTarget::Badge | PriceTarget::Boost => None,
                })
                .filter(|plan| catalog.plan(*plan).is_some_and(|plan| plan.grant_days.is_some()))
                .max();
            priced
                .or_else(|| claimed_plan(purchase, catalog, claimed.as_ref()?.as_str()))
                .map(Sold::Plan)
        }
        PurchaseKind::Boost | PurchaseKind::Other => None,
    }
}

fn claimed_plan(purchase: &Purchase, catalog: &Catalog, claimed: &str) -> Option<PlanIndex> {
    let (index, plan) = catalog.find_plan(claimed)?;
    let costs_that = plan
        .prices
        .iter()
        .any(|price| price.interval == Interval::OneTime && costs(purchase, price.money));
    (plan.grant_days.is_some() && costs_that).then_some(index)
}

fn costs(purchase: &Purchase, price: Money) -> bool {
    price.amount_minor > 0 && [purchase.subtotal, purchase.total].contains(&Some(price))
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
    let asked = purchase.total.or(purchase.subtotal);
    let (mut refunds, mut failed, mut charged_back): (i64, i64, i64) = (0, 0, 0);
    for adjustment in adjustments.filter(|adjustment| concerns(adjustment, purchase)) {
        if adjustment.kind == AdjustmentKind::Dispute {
            if &*adjustment.status == "lost" {
                return Some(Undone::DisputeLost);
            }
            continue;
        }
        let amount = adjustment.amount;
        if asked.is_none_or(|asked| asked.currency != amount.currency) {
            continue;
        }
        match (adjustment.kind, &*adjustment.status) {
            (AdjustmentKind::Refund, "failed" | "canceled") => {
                failed = failed.saturating_add(amount.amount_minor);
            }
            (AdjustmentKind::Refund, _) => refunds = refunds.saturating_add(amount.amount_minor),
            (AdjustmentKind::ChargeRefunds | AdjustmentKind::Dispute, _) => {
                charged_back = charged_back.max(amount.amount_minor);
            }
        }
    }
    covers(asked, refunds.max(charged_back.saturating_sub(failed))).then_some(Undone::Refunded)
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
