//! One-time purchases of a plan as sources. Owns: when a purchase counts, what proves it, when a
//! refund or dispute takes it back. Must not know: badges, other sources, who wins.
//!
//! What a purchase's metadata claims is never evidence. The plan is the one its price sells; where
//! the event showed no price we know, the claimed plan counts if what was asked for is exactly
//! that plan's one-time price. An amount of zero proves nothing.

use std::borrow::Cow;

use super::{Absence, Considered, SourceKind, Standing};
use crate::catalog::{Catalog, Interval, PlanIndex, PriceTarget};
use crate::facts::Facts;
use crate::ids::PlanId;
use crate::money::Money;
use crate::payment::{Adjustment, AdjustmentKind, Purchase, PurchaseKind, SessionMode};
use crate::time::Timestamp;

/// Considers a checkout session. `None` for one that sells no plan for a span of time: a badge,
/// or a subscription, which speaks for itself.
pub(super) fn consider(
    purchase: &Purchase,
    facts: &Facts,
    catalog: &Catalog,
    at: Timestamp,
) -> Option<Considered> {
    let PurchaseKind::Grant { claimed } = &purchase.kind else { return None };
    if purchase.mode != SessionMode::Payment {
        return None;
    }
    let bought = bought_plan(purchase, claimed.as_ref(), catalog);
    let span = bought.and_then(|(plan, days)| {
        Some((plan, purchase.paid_at?, purchase.paid_at?.plus_days(i64::from(days))))
    });
    let lost = taken_back(purchase, facts);
    let (standing, since, until) = match (span, lost) {
        (None, _) => (Standing::NotInForce(missing(purchase)), purchase.failed_at, None),
        (Some(_), Some(absence)) => (Standing::NotInForce(absence), None, None),
        (Some((_, _, end)), None) if at >= end => {
            (Standing::NotInForce(Absence::Expired), Some(end), None)
        }
        (Some((_, paid_at, end)), None) => (Standing::InForce, Some(paid_at), Some(end)),
    };
    let note = match standing {
        Standing::InForce | Standing::InGrace => "The plan was bought for a span of time.",
        Standing::NotInForce(absence) => absence.sentence(),
    };
    Some(Considered {
        kind: SourceKind::Grant,
        id: Some(purchase.id.as_str().to_owned()),
        plan: bought.map(|(plan, _)| plan),
        standing,
        since,
        until,
        cause: Some(purchase.event.as_str().to_owned()),
        note: Cow::Borrowed(note),
    })
}

/// Why a purchase that could count does not.
const fn missing(purchase: &Purchase) -> Absence {
    match (purchase.paid_at, purchase.failed_at) {
        (Some(_), _) => Absence::Unconfirmed,
        (None, Some(_)) => Absence::PaymentFailed,
        (None, None) => Absence::NotPaid,
    }
}

/// The plan a purchase proves and the days it lasts.
fn bought_plan(
    purchase: &Purchase,
    claimed: Option<&PlanId>,
    catalog: &Catalog,
) -> Option<(PlanIndex, u32)> {
    let sold = |price| match catalog.price_target(price, None) {
        Some(PriceTarget::Plan(plan)) => Some(plan),
        Some(PriceTarget::Badge | PriceTarget::Boost) | None => None,
    };
    let by_price = purchase.prices.iter().filter_map(sold).max();
    let index = match by_price {
        Some(index) => index,
        None => claimed_and_matched(purchase, claimed?, catalog)?,
    };
    Some((index, catalog.plan(index)?.grant_days?))
}

fn claimed_and_matched(
    purchase: &Purchase,
    claimed: &PlanId,
    catalog: &Catalog,
) -> Option<PlanIndex> {
    let asked = purchase.subtotal.or(purchase.total)?;
    let (index, plan) = catalog.find_plan(claimed.as_str())?;
    let matches = asked.amount_minor > 0
        && plan.prices.iter().any(|p| p.interval == Interval::OneTime && p.money == asked);
    matches.then_some(index)
}

/// Whether refunds or a dispute took a purchase back.
fn taken_back(purchase: &Purchase, facts: &Facts) -> Option<Absence> {
    let intent = purchase.payment_intent.as_ref()?;
    let of_purchase =
        || facts.adjustments.values().filter(|one| one.payment_intent.as_ref() == Some(intent));
    if of_purchase().any(|one| one.kind == AdjustmentKind::Dispute && &*one.status == "lost") {
        return Some(Absence::DisputeLost);
    }
    let asked = purchase.total.or(purchase.subtotal)?;
    is_refunded(asked, of_purchase).then_some(Absence::Refunded)
}

/// Whether all of an amount went back. Refunds and the charge's own total are two views of the
/// same money, so the greater one counts, not their sum.
fn is_refunded<'f, I: Iterator<Item = &'f Adjustment>>(
    asked: Money,
    of_purchase: impl Fn() -> I,
) -> bool {
    let same_money = |one: &&Adjustment| one.amount.currency == asked.currency;
    let refunds: i64 = of_purchase()
        .filter(|one| one.kind == AdjustmentKind::Refund)
        .filter(|one| !matches!(&*one.status, "failed" | "canceled"))
        .filter(same_money)
        .fold(0, |sum, one| sum.saturating_add(one.amount.amount_minor));
    let charges = of_purchase()
        .filter(|one| one.kind == AdjustmentKind::ChargeRefunds)
        .filter(same_money)
        .map(|one| one.amount.amount_minor)
        .max()
        .unwrap_or(0);
    asked.amount_minor > 0 && refunds.max(charges) >= asked.amount_minor
}

/// When the span of a paid purchase of a plan ends, for whoever reports its expiry; `None` for a
/// purchase that gives no plan.
pub fn grant_end(purchase: &Purchase, facts: &Facts, catalog: &Catalog) -> Option<Timestamp> {
    consider(purchase, facts, catalog, Timestamp::MIN).and_then(|considered| considered.until)
}
