//! Tests of `sale`: what is claimed, what is shown, what is sold, and what stays sold.

use super::*;
use crate::catalog::parse::parse;
use crate::catalog::{builtin, builtin_text};
use crate::entitlement::scenario::read;

/// A purchase of a scenario line, by the `levels` catalog with its test prices.
fn bought(line: &str) -> (Catalog, Purchase) {
    let (catalog, facts) = read(&format!("catalog levels\nbuy c {line}"));
    (catalog, facts.purchases.into_values().next().unwrap())
}

/// What a catalog sells in a purchase, such as `pro for 365 days`.
fn sold_by(line: &str, change: impl Fn(Catalog) -> Catalog) -> String {
    let (catalog, purchase) = bought(line);
    listed(&sales(&purchase, &change(catalog)))
}

fn sold(line: &str) -> String {
    sold_by(line, |catalog| catalog)
}

/// `levels` with another text, and its test prices.
fn levels(from: &str, to: &str) -> Catalog {
    let text = builtin_text("levels").unwrap();
    assert!(text.contains(from), "{from}");
    let catalog = parse("levels", "test.toml", &text.replace(from, to)).unwrap();
    let prices: Vec<(String, Vec<String>)> = catalog
        .plans
        .iter()
        .map(|plan| (plan.id.to_string(), vec![format!("price_{}", plan.id)]))
        .collect();
    catalog.with_prices(&prices).unwrap()
}

/// The purchase with its sales recorded by the catalog of the day.
fn recorded(line: &str) -> Purchase {
    let (catalog, mut purchase) = bought(line);
    purchase.sales = sales(&purchase, &catalog);
    assert!(!purchase.sales.is_empty(), "{line}");
    purchase
}

#[test]
fn prices_decide_and_a_claim_needs_its_amount() {
    let (pro, trial) = ("pro for 365 days", "trial for 7 days");
    for (line, expected) in [
        ("pro paid=0d amount=19000", pro),
        ("pro paid=0d amount=18999", ""),
        ("pro paid=0d amount=1 price=price_pro", pro),
        ("pro paid=0d amount=19000 price=price_trial", trial),
        ("- paid=0d amount=1 price=price_pro", pro),
        ("- paid=0d amount=19000", ""),
        ("gold paid=0d amount=19000", ""),
        ("pro amount=19000", pro),
        // An amount of nothing proves nothing.
        ("trial paid=0d amount=0", ""),
        ("trial paid=0d amount=0 price=price_trial", trial),
        // A plan that is not sold one-time cannot be bought so.
        ("free paid=0d amount=0 price=price_free", ""),
        // Lines that are known decide alone: another price of the same amount is another thing.
        ("pro paid=0d amount=19000 price=price_mystery", ""),
        ("pro paid=0d amount=19000 price=price_pro*0", ""),
        // A subscription speaks for itself.
        ("pro paid=0d amount=19000 price=price_pro subscription", ""),
        // A discount leaves the subtotal, and an amount of another currency is another number.
        ("pro paid=0d subtotal=19000 amount=9500", pro),
        ("pro paid=0d amount=19000 currency=eur", ""),
        // The metadata says what is meant; the price says what it is.
        ("badge paid=0d amount=1 price=price_pro", pro),
    ] {
        assert_eq!(sold(line), expected, "{line}");
    }
}

#[test]
fn each_line_is_a_purchase_of_its_own() {
    for (line, expected) in [
        ("pro paid=0d price=price_pro,price_trial", "pro for 365 days, trial for 7 days"),
        ("pro paid=0d price=price_pro,price_pro", "pro for 365 days, pro for 365 days"),
        ("pro paid=0d price=price_pro*3", "3 x pro for 365 days"),
        ("pro paid=0d price=price_pro*0,price_trial", "trial for 7 days"),
        ("- paid=0d price=price_mystery,price_pro", "pro for 365 days"),
    ] {
        assert_eq!(sold(line), expected, "{line}");
    }
}

#[test]
fn any_price_of_a_product_sells_what_the_product_is_mapped_to() {
    let mapped = |catalog: Catalog| {
        catalog.with_prices(&[("pro".to_owned(), vec!["prod_pro".to_owned()])]).unwrap()
    };
    let line = "- paid=0d amount=12345 product=prod_pro";
    assert_eq!(sold_by(line, mapped), "pro for 365 days");
    assert_eq!(sold(line), "");
}

#[test]
fn an_amount_counts_in_every_currency_the_catalog_names() {
    let euros = |_| {
        levels(
            "one_time = 19000",
            "one_time = 19000\ncurrency_options = { eur = { one_time = 17500 }, jpy = { monthly = 2500, one_time = 25000 } }",
        )
    };
    for (line, expected) in [
        ("pro paid=0d amount=17500 currency=eur", "pro for 365 days"),
        ("pro paid=0d amount=25000 currency=jpy", "pro for 365 days"),
        ("pro paid=0d amount=19000", "pro for 365 days"),
        ("pro paid=0d amount=2500 currency=jpy", ""),
        ("pro paid=0d amount=17500", ""),
        ("pro paid=0d amount=17500 currency=gbp", ""),
    ] {
        assert_eq!(sold_by(line, euros), expected, "{line}");
    }
}

#[test]
fn what_was_sold_stays_sold_whatever_the_catalog_says_later() {
    let dearer = levels("one_time = 19000", "one_time = 24000");
    let shorter = levels("grant_days = 365", "grant_days = 30");
    let gone = levels("one_time = 19000\ngrant_days = 365\n", "");
    let removed = levels("id = \"pro\"", "id = \"plus\"");
    for line in ["pro paid=0d amount=19000", "- paid=0d amount=19000 price=price_pro"] {
        let purchase = recorded(line);
        for catalog in [&dearer, &shorter, &gone, &removed] {
            assert_eq!(sales(&purchase, catalog), purchase.sales, "{line}");
        }
    }
    let amount = "pro paid=0d amount=19000";
    assert_eq!(sold_by(amount, |_| dearer.clone()), "", "what nobody recorded is asked anew");
    assert_eq!(sold_by(amount, |_| shorter.clone()), "pro for 30 days");
}

#[test]
fn lines_nobody_could_confirm_heal_beside_those_that_were_sold() {
    let purchase = recorded("- paid=0d price=price_pro,price_new");
    let mapped = |target: &str| {
        let map = |target: &str, price: &str| (target.to_owned(), vec![price.to_owned()]);
        let today = levels("grant_days = 365", "grant_days = 30");
        today.with_prices(&[map(target, "price_new")]).unwrap()
    };
    assert_eq!(listed(&sales(&purchase, &mapped("trial"))), "pro for 365 days, trial for 7 days");
    assert_eq!(listed(&sales(&purchase, &mapped("free"))), "pro for 365 days");
    // A session that was confirmed as a whole by its amount is not sold again by its lines.
    let mut whole = recorded("pro paid=0d amount=19000");
    let (_, lined) = bought("pro paid=0d amount=19000 price=price_new");
    whole.lines = lined.lines;
    assert_eq!(listed(&sales(&whole, &mapped("trial"))), "pro for 365 days");
}

#[test]
fn it_does_not_matter_when_the_lines_become_known() {
    let dearer = levels("one_time = 19000", "one_time = 24000");
    let shorter = levels("grant_days = 365", "grant_days = 30");
    let renamed = levels("id = \"pro\"", "id = \"plus\"");
    let renamed = renamed.with_prices(&[("plus".to_owned(), vec!["price_pro".to_owned()])]);
    let renamed = renamed.unwrap();
    let terms = |purchase: &Purchase, catalog: &Catalog| {
        let sales = sales(purchase, catalog);
        sales.into_iter().map(|sale| (sale.line, sale.goods, sale.quantity)).collect::<Vec<_>>()
    };
    for prices in ["price_pro", "price_pro,price_trial", "price_mystery,price_pro"] {
        let lined = recorded(&format!("pro paid=0d amount=19000 price={prices}"));
        let mut whole = recorded("pro paid=0d amount=19000");
        whole.lines = lined.lines.clone();
        for catalog in [&bought("pro").0, &dearer, &shorter, &renamed] {
            assert_eq!(terms(&whole, catalog), terms(&lined, catalog), "{prices}");
        }
    }
}

#[test]
fn another_plan_stands_for_one_that_was_removed() {
    let ranked = |purchase: &Purchase, catalog: &Catalog| {
        let found = catalog.plan_sold(&purchase.sales[0]);
        found.map(|sold| (catalog.plan(sold.index).unwrap().id.to_string(), sold.lost))
    };
    let is = |plan: &str, lost| Some((plan.to_owned(), lost));
    let by_price = recorded("- paid=0d price=price_pro");
    let by_amount = recorded("pro paid=0d amount=19000");
    let same = levels("one_time = 19000", "one_time = 24000");
    assert_eq!(ranked(&by_price, &same), is("pro", false));
    let renamed = levels("id = \"pro\"", "id = \"plus\"");
    assert_eq!(ranked(&by_price, &renamed), is("plus", false), "the plan of the same rank");
    let text = builtin_text("levels").unwrap();
    let without_pro = text.split("[[plans]]\nid = \"pro\"").next().unwrap();
    let only_lower = parse("levels", "test.toml", without_pro).unwrap();
    assert_eq!(ranked(&by_amount, &only_lower), is("trial", true));
    let map = [("trial".to_owned(), vec!["price_pro".to_owned()])];
    let lower_of_price = only_lower.with_prices(&map).unwrap();
    assert_eq!(ranked(&by_price, &lower_of_price), is("trial", true), "its price sells less now");
    let only_free = without_pro.split("# Costs nothing").next().unwrap();
    let only_free = parse("levels", "test.toml", only_free).unwrap();
    assert_eq!(ranked(&by_amount, &only_free), None);
}

#[test]
fn a_catalog_without_badges_sells_none() {
    let (_, facts) = read("buy c badge paid=0d amount=499");
    let badge = facts.purchases.values().next().unwrap();
    assert_eq!(listed(&sales(badge, &builtin("sietch").unwrap())), "badge");
    assert_eq!(listed(&sales(badge, &builtin("levels").unwrap())), "");
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
