//! Tests of `regrade`: what an operator changes on purpose, and what heals by itself.

use super::*;
use crate::catalog::parse::parse;
use crate::catalog::{Catalog, builtin_text};
use crate::entitlement::resolve::resolve;
use crate::entitlement::scenario::{outcome, read, time};

fn terms(take_back: bool) -> Terms<'static> {
    Terms { by: "ann", reason: "the price list of 2026", take_back }
}

/// An account that bought once, recorded by the catalog of the day.
fn bought(line: &str) -> (Catalog, Facts) {
    let (catalog, mut facts) = read(&format!("catalog levels\nbuy c {line}"));
    for purchase in facts.purchases.values_mut() {
        purchase.sales = sale::sales(purchase, &catalog);
    }
    (catalog, facts)
}

fn levels(from: &str, to: &str) -> Catalog {
    let text = builtin_text("levels").unwrap();
    assert!(text.contains(from), "{from}");
    parse("levels", "test.toml", &text.replace(from, to)).unwrap()
}

fn after(facts: &Facts, decision: &Decision) -> Facts {
    let mut facts = facts.clone();
    decision.changes.iter().for_each(|change| facts.apply(change));
    facts
}

fn stands(facts: &Facts, catalog: &Catalog, at: &str) -> String {
    outcome(&resolve(facts, catalog, time(at)), catalog)
}

#[test]
fn a_new_catalog_leaves_a_buyer_alone_until_an_operator_regrades() {
    let (_, facts) = bought("pro paid=0d amount=19000");
    let shorter = levels("grant_days = 365", "grant_days = 30");
    assert_eq!(stands(&facts, &shorter, "40d"), "pro by grant c until 365d");
    let regrade = regrade(&facts, &shorter, terms(false), time("40d")).unwrap();
    assert_eq!(regrade.changed[0].from, "pro for 365 days");
    assert_eq!(regrade.changed[0].to, "pro for 30 days");
    let entry = &regrade.decision.journal[0];
    assert_eq!((entry.kind, entry.actor.clone()), ("sale.regraded", Actor::Person("ann".into())));
    assert_eq!(entry.details[2], ("reason", "the price list of 2026".to_owned()));
    assert_eq!(
        regrade.decision.billing().next().unwrap().kind,
        BillingEventKind::EntitlementsChanged
    );
    let facts = after(&facts, &regrade.decision);
    assert_eq!(stands(&facts, &shorter, "40d"), "free by default always");
    let again = super::regrade(&facts, &shorter, terms(false), time("41d")).unwrap();
    assert_eq!(again, Regrade::default(), "regrading twice changes nothing");
}

#[test]
fn what_today_confirms_nothing_of_is_kept_unless_it_is_to_be_taken_back() {
    let (_, facts) = bought("pro paid=0d amount=19000");
    let dearer = levels("one_time = 19000", "one_time = 24000");
    let kept = regrade(&facts, &dearer, terms(false), time("1d")).unwrap();
    assert!(kept.decision.changes.is_empty() && kept.changed.is_empty());
    assert_eq!((kept.kept[0].from.as_str(), kept.kept[0].to.as_str()), ("pro for 365 days", ""));
    let taken = regrade(&facts, &dearer, terms(true), time("1d")).unwrap();
    assert_eq!(taken.decision.billing().next().unwrap().kind, BillingEventKind::GrantRevoked);
    let facts = after(&facts, &taken.decision);
    assert_eq!(stands(&facts, &dearer, "1d"), "free by default always");
}

#[test]
fn an_act_needs_a_name_and_a_reason_and_unpaid_purchases_are_left_alone() {
    let (catalog, facts) = bought("pro amount=19000");
    let nameless = Terms { by: " ", ..terms(false) };
    assert!(regrade(&facts, &catalog, nameless, time("1d")).is_err());
    let unreasoned = Terms { reason: "because", ..terms(false) };
    assert!(regrade(&facts, &catalog, unreasoned, time("1d")).is_err());
    let shorter = levels("grant_days = 365", "grant_days = 30");
    assert_eq!(regrade(&facts, &shorter, terms(true), time("1d")).unwrap(), Regrade::default());
}

#[test]
fn a_purchase_nothing_confirmed_is_recorded_once_a_price_is_mapped() {
    let (catalog, facts) = bought("- paid=0d amount=12345 price=price_new");
    assert_eq!(stands(&facts, &catalog, "1d"), "free by default always");
    assert_eq!(settle(&facts, &catalog, time("1d")), None);
    let mapped = catalog.with_prices(&[("pro".to_owned(), vec!["price_new".to_owned()])]).unwrap();
    assert_eq!(stands(&facts, &mapped, "1d"), "pro by grant c until 365d", "at once");
    let decision = settle(&facts, &mapped, time("1d")).unwrap();
    assert_eq!(decision.journal[0].kind, "sale.recorded");
    assert_eq!(decision.billing().next().unwrap().kind, BillingEventKind::GrantCreated);
    let facts = after(&facts, &decision);
    assert_eq!(settle(&facts, &mapped, time("2d")), None);
    let gone = levels("grant_days = 365", "grant_days = 30");
    assert_eq!(stands(&facts, &gone, "1d"), "pro by grant c until 365d");
}

#[test]
fn what_is_recorded_after_its_money_was_given_back_is_revoked_at_once() {
    let (catalog, facts) = read(
        "catalog levels\nbuy c - paid=0d amount=12345 price=price_new names_owner\n\
         refund r c 12345 succeeded @1d effective=1d",
    );
    let mapped = catalog.with_prices(&[("pro".to_owned(), vec!["price_new".to_owned()])]).unwrap();
    let decision = settle(&facts, &mapped, time("2d")).unwrap();
    let kinds: Vec<_> = decision.billing().map(|told| told.kind).collect();
    assert_eq!(kinds, [BillingEventKind::GrantCreated, BillingEventKind::GrantRevoked]);
    let facts = after(&facts, &decision);
    assert_eq!(settle(&facts, &mapped, time("3d")), None);
}
