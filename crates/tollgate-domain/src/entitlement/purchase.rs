//! One-time purchases of a plan as sources. Owns: when a sale counts and how long. Must not know:
//! what proves or undoes it (that is `sale`), badges, other sources, who wins.

use std::borrow::Cow;

use super::{Absence, Considered, SourceKind, Standing};
use crate::catalog::Catalog;
use crate::facts::Facts;
use crate::payment::{Goods, Purchase, PurchaseKind, Sale, SessionMode};
use crate::sale::{self, Undone};
use crate::time::Timestamp;

/// Considers a checkout session: one source for each plan it sold. Nothing for a badge, and for a
/// subscription, which speaks for itself.
pub(super) fn consider<'a>(
    purchase: &'a Purchase,
    facts: &'a Facts,
    catalog: &'a Catalog,
    at: Timestamp,
) -> impl Iterator<Item = Considered> + use<'a> {
    let sales = sale::sales(purchase, catalog);
    let missing = sales.is_empty().then(|| consider_missing(purchase)).flatten();
    let lost = sales.first().and_then(|_| taken_back(purchase, facts));
    let plans = sales.into_iter().filter(|sale| matches!(sale.goods, Goods::Plan { .. }));
    let sold = plans.map(move |sale| consider_sale(purchase, &sale, lost, catalog, at));
    missing.into_iter().chain(sold)
}

/// A purchase that could give a plan and does not: it claims one, or it was meant for us, paid, and
/// sold nothing of the catalog.
fn consider_missing(purchase: &Purchase) -> Option<Considered> {
    let claims = matches!(purchase.kind, PurchaseKind::Grant { .. });
    let unknown =
        purchase.kind == PurchaseKind::Other && purchase.names_owner && purchase.paid_at.is_some();
    if purchase.mode != SessionMode::Payment || !(claims || unknown) {
        return None;
    }
    let absence = match (purchase.paid_at, purchase.failed_at) {
        (Some(_), _) => Absence::Unconfirmed,
        (None, Some(_)) => Absence::PaymentFailed,
        (None, None) => Absence::NotPaid,
    };
    Some(Considered {
        since: purchase.failed_at.filter(|_| absence == Absence::PaymentFailed),
        ..considered(purchase, Standing::NotInForce(absence), absence.sentence())
    })
}

fn consider_sale(
    purchase: &Purchase,
    sale: &Sale,
    lost: Option<Absence>,
    catalog: &Catalog,
    at: Timestamp,
) -> Considered {
    let plan = catalog.plan_sold(sale);
    let span = purchase.paid_at.zip(end(purchase, sale));
    let absence = match (span, lost, plan) {
        (None, _, _) if purchase.failed_at.is_some() => Some(Absence::PaymentFailed),
        (None, _, _) => Some(Absence::NotPaid),
        (Some(_), Some(absence), _) => Some(absence),
        (Some((_, end)), None, _) if at >= end => Some(Absence::Expired),
        (Some(_), None, None) => Some(Absence::PlanUnknown),
        (Some(_), None, Some(_)) => None,
    };
    let (standing, since, until, note) = match (absence, span) {
        (None, span) => {
            let note = if plan.is_some_and(|plan| plan.lost) {
                "The plan bought is no longer in the catalog; this one stands for it."
            } else {
                "The plan was bought for a span of time."
            };
            (Standing::InForce, span.map(|span| span.0), span.map(|span| span.1), note)
        }
        (Some(absence), span) => {
            let since = if absence == Absence::PaymentFailed {
                purchase.failed_at
            } else {
                span.map(|span| span.1).filter(|_| absence == Absence::Expired)
            };
            (Standing::NotInForce(absence), since, None, absence.sentence())
        }
    };
    Considered {
        plan: plan.map(|plan| plan.index),
        units: Some(sale.quantity),
        since,
        until,
        ..considered(purchase, standing, note)
    }
}

fn considered(purchase: &Purchase, standing: Standing, note: &'static str) -> Considered {
    Considered {
        kind: SourceKind::Grant,
        id: Some(purchase.id.as_str().to_owned()),
        plan: None,
        units: None,
        standing,
        since: None,
        until: None,
        stale_since: None,
        billing: None,
        cause: Some(purchase.event.as_str().to_owned()),
        note: Cow::Borrowed(note),
    }
}

/// When what a sale gave ends; `None` for a badge and while it is not paid.
fn end(purchase: &Purchase, sale: &Sale) -> Option<Timestamp> {
    match &sale.goods {
        Goods::Plan { days, .. } => Some(purchase.paid_at?.plus_days(i64::from(*days))),
        Goods::Badge => None,
    }
}

/// Whether refunds or a dispute took a purchase back.
fn taken_back(purchase: &Purchase, facts: &Facts) -> Option<Absence> {
    match sale::undone(purchase, facts.adjustments.values())? {
        Undone::DisputeLost => Some(Absence::DisputeLost),
        Undone::Refunded => Some(Absence::Refunded),
    }
}

/// The plans that a paid purchase sold, with the ends of their spans, for whoever reports their expiry;
/// empty for a purchase that gives no plan or was taken back. In the order of its lines.
pub fn grant_ends(purchase: &Purchase, facts: &Facts, catalog: &Catalog) -> Vec<(Sale, Timestamp)> {
    if taken_back(purchase, facts).is_some() {
        return Vec::new();
    }
    let sales = sale::sales(purchase, catalog);
    let ends = sales.into_iter().filter_map(|sale| end(purchase, &sale).map(|end| (sale, end)));
    ends.collect()
}
