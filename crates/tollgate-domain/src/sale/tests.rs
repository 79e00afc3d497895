//! Tests of `sale`: what is claimed, what is shown, what is sold.

use super::*;
use crate::catalog::parse::parse;
use crate::catalog::{builtin, builtin_text};
use crate::entitlement::scenario::read;
use crate::ids::{PlanId, PriceId};
use crate::money::Currency;
use crate::observation::SeenSession;
use crate::payment::SessionStatus;
use crate::time::Timestamp;

fn cents(amount_minor: i64) -> Money {
    Money { amount_minor, currency: Currency::parse("usd").unwrap() }
}

fn purchase(kind: PurchaseKind, price: Option<&str>, subtotal: i64, total: i64) -> Purchase {
    let seen = SeenSession {
        id: crate::ids::SessionId::parse("cs_1").unwrap(),
        mode: SessionMode::Payment,
        kind,
        subscription: None,
        payment_intent: None,
        prices: price.map(|price| PriceId::parse(price).unwrap()).into_iter().collect(),
        subtotal: Some(cents(subtotal)),
        total: Some(cents(total)),
        status: SessionStatus::Complete,
        paid: true,
    };
    let event = crate::ids::EventId::parse("evt_1").unwrap();
    Purchase::seen(&seen, None, &event, Timestamp::from_unix_seconds(0), false)
}

/// `levels` with price ids for its plans.
fn levels() -> Catalog {
    let map = |plan: &str, price: &str| (plan.to_owned(), vec![price.to_owned()]);
    let catalog = builtin("levels").unwrap();
    catalog.with_prices(&[map("pro", "price_pro"), map("trial", "price_trial")]).unwrap()
}

fn sold_plan(claimed: Option<&str>, price: Option<&str>, amount: i64) -> Option<String> {
    let claimed = claimed.map(|plan| PlanId::parse(plan).unwrap());
    let catalog = levels();
    match sold(&purchase(PurchaseKind::Grant { claimed }, price, amount, amount), &catalog)? {
        Sold::Plan(plan) => Some(catalog.plan(plan).unwrap().id.to_string()),
        Sold::Badge => Some("badge".to_owned()),
    }
}

#[test]
fn the_price_decides_the_plan_and_a_claim_needs_its_amount() {
    for (claimed, price, amount, expected) in [
        (Some("pro"), None, 19_000, Some("pro")),
        (Some("pro"), None, 18_999, None),
        (Some("pro"), Some("price_pro"), 1, Some("pro")),
        (Some("pro"), Some("price_trial"), 19_000, Some("trial")),
        (None, Some("price_pro"), 1, Some("pro")),
        (None, None, 19_000, None),
        (Some("gold"), None, 19_000, None),
        // An amount of nothing proves nothing.
        (Some("trial"), None, 0, None),
        (Some("trial"), Some("price_trial"), 0, Some("trial")),
        // A plan that is not sold one-time cannot be bought so.
        (Some("free"), None, 0, None),
    ] {
        let sold = sold_plan(claimed, price, amount);
        assert_eq!(sold.as_deref(), expected, "{claimed:?} {price:?} {amount}");
    }
}

#[test]
fn a_discount_does_not_hide_what_was_bought() {
    let badge = |subtotal, total| purchase(PurchaseKind::Badge, None, subtotal, total);
    let catalog = builtin("sietch").unwrap();
    assert_eq!(sold(&badge(499, 0), &catalog), Some(Sold::Badge));
    assert_eq!(sold(&badge(500, 500), &catalog), None);
    let euros = Currency::parse("eur").unwrap();
    let foreign = Some(Money { amount_minor: 499, currency: euros });
    let purchase = Purchase { subtotal: foreign, total: foreign, ..badge(499, 499) };
    assert_eq!(sold(&purchase, &catalog), None, "numbers of other currencies are other numbers");
    let subscription = Purchase { mode: SessionMode::Subscription, ..badge(499, 499) };
    assert_eq!(sold(&subscription, &catalog), None, "a subscription speaks for itself");
}

#[test]
fn a_catalog_without_badges_sells_none() {
    let text = builtin_text("levels").unwrap();
    let catalog = parse("levels", "test.toml", text).unwrap();
    assert_eq!(sold(&purchase(PurchaseKind::Badge, None, 499, 499), &catalog), None);
}

#[test]
fn a_failed_refund_counts_against_the_charges_total_by_its_amount() {
    for (adjustments, expected) in [
        ("charge ch c1 19000 full @1d", Some(Undone::Refunded)),
        ("charge ch c1 19000 full @1d\nrefund r c1 19000 failed @1d", None),
        ("charge ch c1 19000 full @1d\nrefund r c1 1 failed @1d", None),
        (
            "charge ch c1 19000 full @1d\nrefund r c1 9000 failed @1d\nrefund s c1 19000 succeeded @1d",
            Some(Undone::Refunded),
        ),
        ("dispute d c1 19000 lost @1d", Some(Undone::DisputeLost)),
        ("dispute d c1 19000 won @1d", None),
    ] {
        let text = format!("catalog levels\nbuy c1 pro paid=0d amount=19000\n{adjustments}");
        let (_, facts) = read(&text);
        let purchase = facts.purchases.values().next().unwrap();
        assert_eq!(undone(purchase, facts.adjustments.values()), expected, "{adjustments}");
    }
}
