//! Checkout sessions. Owns: what checkout events do. Must not know: what a paid purchase entitles
//! to.
//!
//! A session is the key of a one-time purchase, so its twin events (completed, asynchronous
//! success) count once. Only a complete session can be paid: an open or expired one may carry
//! `no_payment_required`, and the success page proves nothing.
//!
//! What a paid session sold is recorded with it, so that a later catalog takes nothing of it back.

use std::collections::BTreeSet;

use super::{Draft, Primary, yes_no};
use crate::change::{BillingEvent, Change};
use crate::news::News;
use crate::observation::{EventKind, SeenSession};
use crate::own_claim::OwnClaim;
use crate::payment::{Adjustment, Purchase, PurchaseKind, Sale, SessionMode};
use crate::sale;

pub(super) fn decide<'a>(draft: &mut Draft<'a>, seen: &'a SeenSession) -> Primary {
    let facts = draft.facts;
    let observation = draft.observation;
    let known = facts.purchases.get(&seen.id);
    let failed = observation.kind == EventKind::CheckoutAsyncFailed;
    let shown = Purchase {
        names_owner: observation.claim.is_some(),
        own_claim: seen.subscription.is_none().then(|| OwnClaim::shown(observation)),
        ..Purchase::seen(seen, draft.member(), &observation.event, observation.at, failed)
    };
    look_at_prices(draft, seen, &shown);
    let paid = shown.paid_at.is_some();
    let mut after = match known {
        Some(known) => known.merged(&shown),
        None => shown,
    };
    if after.paid_at.is_some() {
        after.sales = sale::sales(&after, draft.catalog);
    }
    let details = details(seen, paid, &after.sales);
    tell_of_less(draft, known, &mut after);
    draft.meet_customer();
    tell(draft, &mut after, facts.adjustments.values());
    if known != Some(&after) {
        draft.change(Change::SavePurchase(after));
    }
    Primary::new(&seen.id, details)
}

/// Tells what a one-time purchase has come to, by itself and by what refunds and disputes it.
pub(super) fn tell<'f>(
    draft: &mut Draft<'_>,
    after: &mut Purchase,
    adjustments: impl Iterator<Item = &'f Adjustment>,
) {
    // The money of a subscription checkout is its invoice's.
    if after.mode != SessionMode::Payment {
        return;
    }
    let mut reached = BTreeSet::new();
    reached.extend(after.failed_at.map(|_| News::PurchaseFailed));
    if after.paid_at.is_some() {
        let cost = after.total.is_some_and(|total| total.amount_minor > 0);
        reached.extend(cost.then_some(News::PurchasePaid));
        reached.extend(sale::news(&after.sales));
        if sale::was_ever_undone(after, adjustments) {
            reached.extend(sale::news(&after.sales).iter().filter_map(News::undone));
        }
    }
    for news in reached {
        draft.tell(&mut after.told, news, &after.id, None, None);
    }
}

/// Tells that lines took back what a claim had seemed to buy. No news of the purchase: where the
/// lines are known first, there was nothing to take back.
fn tell_of_less(draft: &mut Draft<'_>, known: Option<&Purchase>, after: &mut Purchase) {
    let before = known.map_or(&[][..], |known| known.sales.as_slice());
    for undone in sale::take_back(&mut after.told, before, &after.sales) {
        let summary = format!("Purchase {} is of other prices than it claimed", after.id);
        let told = BillingEvent { summary, ..undone.billing_event(after.id.as_str(), None, None) };
        draft.journal(told.kind.as_str(), after.id.to_string(), Vec::new(), Some(told));
    }
}

/// An alert for a paid purchase that claims to sell something and whose price confirms nothing.
fn look_at_prices<'a>(draft: &mut Draft<'a>, seen: &'a SeenSession, shown: &Purchase) {
    let claims = matches!(seen.kind, PurchaseKind::Badge | PurchaseKind::Grant { .. });
    if claims && shown.paid_at.is_some() && sale::confirmed(shown, draft.catalog).is_empty() {
        draft.unknown_prices.extend(seen.lines.iter().map(|line| line.price.as_str()));
        if seen.lines.is_empty() {
            draft.unknown_prices.push("(none shown)");
        }
    }
}

fn details(seen: &SeenSession, paid: bool, sold: &[Sale]) -> Vec<(&'static str, String)> {
    let kind = match &seen.kind {
        PurchaseKind::Badge => "badge",
        PurchaseKind::Grant { .. } => "grant",
        PurchaseKind::Boost => "boost",
        PurchaseKind::Other => "other",
    };
    let mut details = Vec::with_capacity(7);
    // Lines are sorted, and one session is nearly always decided by one catalog.
    details.extend(sold.first().map(|sale| ("catalog", sale.catalog.to_string())));
    details.extend([("kind", kind.to_owned()), ("paid", yes_no(paid))]);
    if !sold.is_empty() {
        details.push(("sold", sale::listed(sold)));
    }
    details.push(("status", seen.status.as_str().to_owned()));
    details.extend(seen.subscription.as_ref().map(|id| ("subscription", id.to_string())));
    if let Some(total) = seen.total {
        details.push(("total", format!("{} {}", total.amount_minor, total.currency.as_str())));
    }
    details
}
