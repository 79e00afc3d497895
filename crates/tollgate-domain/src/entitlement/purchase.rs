//! One-time purchases of a plan as sources. Owns: when a purchase counts and how long. Must not
//! know: what proves or undoes it (that is `sale`), badges, other sources, who wins.

use std::borrow::Cow;

use super::{Absence, Considered, SourceKind, Standing};
use crate::catalog::{Catalog, PlanIndex};
use crate::facts::Facts;
use crate::payment::{Purchase, PurchaseKind, SessionMode};
use crate::sale::{self, Sold, Undone};
use crate::time::Timestamp;

/// Considers a checkout session. `None` for one that sells no plan for a span of time: a badge,
/// or a subscription, which speaks for itself.
pub(super) fn consider(
    purchase: &Purchase,
    facts: &Facts,
    catalog: &Catalog,
    at: Timestamp,
) -> Option<Considered> {
    let PurchaseKind::Grant { .. } = &purchase.kind else { return None };
    if purchase.mode != SessionMode::Payment {
        return None;
    }
    let bought = bought_plan(purchase, catalog);
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
        units: bought.map(|_| 1),
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
fn bought_plan(purchase: &Purchase, catalog: &Catalog) -> Option<(PlanIndex, u32)> {
    match sale::sold(purchase, catalog)? {
        Sold::Plan(index) => Some((index, catalog.plan(index)?.grant_days?)),
        Sold::Badge => None,
    }
}

/// Whether refunds or a dispute took a purchase back.
fn taken_back(purchase: &Purchase, facts: &Facts) -> Option<Absence> {
    match sale::undone(purchase, facts.adjustments.values())? {
        Undone::DisputeLost => Some(Absence::DisputeLost),
        Undone::Refunded => Some(Absence::Refunded),
    }
}

/// When the span of a paid purchase of a plan ends, for whoever reports its expiry; `None` for a
/// purchase that gives no plan.
pub fn grant_end(purchase: &Purchase, facts: &Facts, catalog: &Catalog) -> Option<Timestamp> {
    consider(purchase, facts, catalog, Timestamp::MIN).and_then(|considered| considered.until)
}
