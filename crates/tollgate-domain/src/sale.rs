//! Sales. Owns: what a one-time purchase really sells and whether the money stayed: the metadata
//! claims, the price or the amount confirms, refunds and disputes undo. Must not know: sessions
//! as Stripe sends them, who is entitled to what.

use crate::catalog::{Catalog, Interval, PlanIndex, PriceTarget};
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
/// lines, by a subtotal equal to the catalog's one-time price of what is claimed. A price
/// outranks the claim: it decides the plan.
pub fn sold(purchase: &Purchase, catalog: &Catalog) -> Option<Sold> {
    if purchase.mode != SessionMode::Payment {
        return None;
    }
    let targets = || purchase.prices.iter().filter_map(|price| catalog.price_target(price, None));
    let amount = purchase.subtotal.or(purchase.total);
    match &purchase.kind {
        PurchaseKind::Badge => {
            let badge = catalog.badge.as_ref()?;
            let confirmed =
                targets().any(|target| target == PriceTarget::Badge) || amount == Some(badge.price);
            confirmed.then_some(Sold::Badge)
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
                .or_else(|| claimed_at(catalog, claimed.as_ref()?.as_str(), amount?))
                .map(Sold::Plan)
        }
        PurchaseKind::Boost | PurchaseKind::Other => None,
    }
}

fn claimed_at(catalog: &Catalog, claimed: &str, amount: Money) -> Option<PlanIndex> {
    let (index, plan) = catalog.find_plan(claimed)?;
    let costs_that = plan
        .prices
        .iter()
        .any(|price| price.interval == Interval::OneTime && price.money == amount);
    (plan.grant_days.is_some() && costs_that).then_some(index)
}

/// Whether the money of a purchase is gone now: refunded in full or lost in a dispute, refunds
/// that failed not counted.
pub fn is_undone<'a>(
    purchase: &Purchase,
    adjustments: impl Iterator<Item = &'a Adjustment>,
) -> bool {
    let mut refunded: i64 = 0;
    let mut failed_refund = false;
    let mut charge_full = false;
    for adjustment in adjustments.filter(|adjustment| concerns(adjustment, purchase)) {
        match adjustment.kind {
            AdjustmentKind::Dispute if &*adjustment.status == "lost" => return true,
            AdjustmentKind::Dispute => {}
            AdjustmentKind::Refund => match &*adjustment.status {
                "succeeded" if same_currency(purchase, adjustment) => {
                    refunded = refunded.saturating_add(adjustment.amount.amount_minor);
                }
                "failed" | "canceled" => failed_refund = true,
                _ => {}
            },
            AdjustmentKind::ChargeRefunds => charge_full |= &*adjustment.status == "full",
        }
    }
    // Stripe sends no event that takes the charge's total back when a refund fails.
    (charge_full && !failed_refund) || covers(purchase, refunded)
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
    covers(purchase, refunded)
}

/// Whether a refund or dispute is about the payment of a purchase.
pub fn concerns(adjustment: &Adjustment, purchase: &Purchase) -> bool {
    adjustment.payment_intent.is_some() && adjustment.payment_intent == purchase.payment_intent
}

fn same_currency(purchase: &Purchase, adjustment: &Adjustment) -> bool {
    purchase.total.is_some_and(|total| total.currency == adjustment.amount.currency)
}

fn covers(purchase: &Purchase, refunded: i64) -> bool {
    purchase.total.is_some_and(|total| total.amount_minor > 0 && refunded >= total.amount_minor)
}
