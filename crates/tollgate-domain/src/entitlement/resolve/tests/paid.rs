//! What was paid: lines of invoices, and changes that were not paid.

use super::*;
use crate::entitlement::Billing;
use crate::entitlement::scenario::{read, time};

#[test]
fn a_paid_line_gives_its_plan_where_nothing_else_is_known_of_the_subscription() {
    let paid = "invoice i s paid @0d reason=subscription_create for=premium:0d..30d";
    check(
        paid,
        "
        1h: premium by subscription s until 30d
        29d23h59m59s999ms: premium by subscription s until 30d
        30d: premium by subscription s in grace until 31d
        31d: starter by default always
    ",
    );
    stands(paid, "31d", &["default -: in_force", "subscription s: lapsed"]);
    // A renewal that is paid goes on; one that is not leaves the grace.
    check(
        &format!("{paid}\ninvoice j s paid @30d1h for=premium:30d..60d"),
        "30d2h: premium by subscription s until 60d",
    );
    check(
        &format!("{paid}\ninvoice j s open @30d1h fails=30d1h for=premium:30d..60d"),
        "30d2h: premium by subscription s in grace until 31d",
    );
    // A trial's invoice of nothing, and boosts.
    check(
        "invoice i s paid @0d for=premium:0d..7d",
        "7d: premium by subscription s in grace until 8d",
    );
    check(
        "invoice i s paid @0d for=boost*7:0d..30d",
        "
        1d: premium by boost until 38d
        38d: starter by default always
    ",
    );
    stands(
        "invoice i s paid @0d for=mystery:0d..30d",
        "1d",
        &["default -: in_force", "subscription s: price_unknown"],
    );
    // Once Stripe tells of the subscription itself, that decides.
    for status in ["canceled", "unpaid", "paused", "incomplete_expired"] {
        check(&format!("{paid}\nsub s premium {status} @5d"), "6d: starter by default always");
    }
    check(&format!("{paid}\nsub s basic active @5d"), "6d: basic by subscription s always");
    let (catalog, facts) = read(paid);
    let outcome = resolve(&facts, &catalog, time("1d"));
    assert_eq!(outcome.billing_period, Some(Billing { start: time("0d"), end: time("30d") }));
}

#[test]
fn only_a_paid_invoice_proves_and_only_while_its_money_stays() {
    let nothing = "1d: starter by default always";
    for status in ["draft", "open", "uncollectible", "void"] {
        check(&format!("invoice i s {status} @0d for=premium:0d..30d"), nothing);
    }
    let paid = "invoice i s paid @0d for=premium:0d..30d\npays c i";
    for (lines, expected) in [
        ("refund r c 3500 succeeded @5d", "starter by default always"),
        ("refund r c 3499 succeeded @5d", "premium by subscription s until 30d"),
        ("refund r other 3500 succeeded @5d", "premium by subscription s until 30d"),
        ("charge ch c 3500 full @5d", "starter by default always"),
        ("dispute d c 3500 lost @5d", "starter by default always"),
        ("dispute d c 3500 won @5d", "premium by subscription s until 30d"),
        ("customer k deleted=5d", "premium by subscription s until 30d"),
    ] {
        check(&format!("{paid}\n{lines}"), &format!("6d: {expected}"));
    }
    let customers = "invoice i s paid @0d for=premium:0d..30d customer=k\ncustomer k deleted=5d";
    check(customers, "6d: starter by default always");
    stands(customers, "6d", &["default -: in_force", "subscription s: customer_deleted"]);
}

#[test]
fn what_is_given_back_counts_no_longer_and_what_was_paid_last_does() {
    let first = "invoice i s paid @0d for=si/basic:0d..30d";
    let up = "invoice j s paid @10d for=-si/basic:10d..30d,si/premium:10d..30d";
    let down = "invoice k s paid @20d for=-si/premium:20d..30d,si/basic:20d..30d";
    let at = |lines: &[&str], expected: &str| check(&lines.join("\n"), expected);
    at(&[first, up], "11d: premium by subscription s until 30d");
    at(&[first, up, down], "21d: basic by subscription s until 30d");
    // The upgrade's money went back, so it never was.
    at(
        &[first, up, "pays c j", "refund r c 3500 succeeded @12d"],
        "13d: basic by subscription s until 30d",
    );
    // Changed without anything given back: the one paid last counts, and no other rises after it.
    at(
        &[
            "invoice i s paid @0d for=si/premium:0d..365d",
            "invoice j s paid @9d for=si/basic:9d..40d",
        ],
        "
        10d: basic by subscription s until 40d
        40d: basic by subscription s in grace until 41d
        41d: starter by default always
    ",
    );
    // Two items of one subscription: the higher plan, as far as it is paid.
    at(
        &["invoice i s paid @0d for=sa/premium:0d..30d,sb/basic:0d..60d"],
        "
        1d: premium by subscription s until 30d
        30d: basic by subscription s until 60d
    ",
    );
}

const PAID: &str = "
        sub s premium active @0d period=0d..30d latest=i
        invoice i s paid @0d for=premium:0d..30d
    ";
const UNPAID_CHANGE: &str = "
        invoice j s open @10d fails=10d,13d reason=subscription_update created=10d for=-premium:10d..30d,elite:10d..30d
        sub s elite past_due @10d period=0d..30d latest=j
    ";

#[test]
fn an_unpaid_change_leaves_what_was_paid_before() {
    let (paid, change) = (PAID, UNPAID_CHANGE);
    let whole = format!("{paid}{change}");
    check(
        &whole,
        "
        10d: premium by subscription s until 30d
        20d: premium by subscription s until 30d
        29d23h59m59s999ms: premium by subscription s until 30d
        30d: premium by subscription s in grace until 31d
        31d: starter by default always
    ",
    );
    stands(&whole, "31d", &["default -: in_force", "subscription s: past_due"]);
    let (catalog, facts) = read(&whole);
    let windows = grace_windows(&facts, &catalog);
    let spans: Vec<_> = windows.iter().map(|one| (one.started_at, one.ends_at)).collect();
    assert_eq!(spans, [(time("30d"), time("31d"))], "the renewal is due when what was paid ends");
    // The renewal of what was paid: collected an hour later, or not.
    check(
        &format!("{whole}\ninvoice k s paid @30d1h for=premium:30d..60d"),
        "30d2h: premium by subscription s until 60d",
    );
    check(
        &format!("{whole}\ninvoice k s open @30d1h fails=30d1h for=premium:30d..60d"),
        "30d2h: premium by subscription s in grace until 31d\n31d: starter by default always",
    );
    // The news of the last payment was lost: what the subscription showed reaches farther.
    let lost = whole
        .replace("period=0d..30d", "period=30d..60d")
        .replace("10d", "40d")
        .replace("13d", "43d");
    let lost = lost.replace("active @0d", "active @30d");
    check(
        &lost,
        "41d: premium by subscription s until 60d\n60d: premium by subscription s in grace until 61d",
    );
}

#[test]
fn an_unpaid_change_ends_with_its_payment_or_its_subscription() {
    let (paid, change) = (PAID, UNPAID_CHANGE);
    let whole = format!("{paid}{change}");
    // Paid after all, voided, or ended.
    check(&format!("{whole}\nsub s elite active @14d"), "15d: elite by subscription s always");
    check(&format!("{whole}\nsub s elite canceled @14d"), "15d: starter by default always");
    check(
        &format!("{paid}\npays c i\nrefund r c 3500 succeeded @12d{change}"),
        "13d: starter by default always",
    );
    // The invoice has not been heard of, but what is paid covers the time.
    check(
        &format!("{paid}\nsub s elite past_due @10d period=0d..30d latest=j"),
        "11d: premium by subscription s until 30d",
    );
    // No line was ever seen: what the subscription sold before the change was made.
    check(
        &format!("sub s premium active @0d period=0d..30d{change}"),
        "
        11d: premium by subscription s until 30d
        30d: premium by subscription s in grace until 31d
        31d: starter by default always
    ",
    );
    // Nothing is known of what was paid before.
    check(
        change,
        "10d1h: elite by subscription s in grace until 11d\n11d: starter by default always",
    );
    // The renewal's invoice is due, too, and nothing failed yet (the customer pays by transfer).
    check(
        &format!(
            "{paid}
            invoice j s open @30d for=premium:30d..60d
            invoice k s open @37d reason=subscription_update created=37d for=elite:37d..60d
            sub s elite past_due @38d period=30d..60d latest=k"
        ),
        "38d1h: premium by subscription s in grace until 39d\n39d: starter by default always",
    );
    // Set to end before.
    let ends = whole.replace("past_due @10d", "past_due @10d cancel_at=20d");
    check(&ends, "11d: premium by subscription s until 20d\n20d: starter by default always");
}

#[test]
fn an_old_invoice_that_is_paid_late_changes_nothing_of_what_was_paid_since() {
    let paid = "
        invoice j s paid @30d for=basic:30d..60d
        invoice i s paid @40d for=basic:0d..30d
    ";
    check(paid, "41d: basic by subscription s until 60d");
    check(
        &format!(
            "{paid}
            invoice k s open @45d fails=45d reason=subscription_update created=45d for=elite:45d..60d
            sub s elite past_due @45d period=30d..60d latest=k"
        ),
        "46d: basic by subscription s until 60d",
    );
}

#[test]
fn a_change_that_was_paid_begins_no_billing_period() {
    let (catalog, facts) = read(
        "
        invoice i s paid @0d for=si/basic:0d..30d
        invoice j s paid @10d for=-si/basic:10d..30d,si/premium:10d..30d
    ",
    );
    let outcome = resolve(&facts, &catalog, time("11d"));
    assert_eq!(outcome.billing_period, Some(Billing { start: time("0d"), end: time("30d") }));
}

#[test]
fn the_line_of_a_trial_ends_with_the_trial() {
    check(
        "
        sub s premium trialing @0d trial=30d period=0d..30d
        invoice i s paid @0d for=premium=0:0d..30d
        invoice j s open @2d for=premium:2d..32d
        sub s premium past_due @9d trial=2d period=2d..32d latest=j
    ",
        "9d1h: premium by subscription s in grace until 10d\n10d: starter by default always",
    );
}

#[test]
fn a_renewal_that_fails_is_in_grace_with_the_plan_that_was_paid() {
    let renewal = "
        sub s premium active @0d period=0d..30d
        invoice i s paid @0d for=premium:0d..30d
        invoice j s open @30d1h fails=30d1h for=premium:30d..60d
        sub s premium past_due @30d1h period=30d..60d latest=j
    ";
    check(renewal, "30d2h: premium by subscription s in grace until 31d1h");
    // Changed in the meantime, and that not paid either: the grace is that of what was paid.
    check(
        &format!(
            "{renewal}
            invoice k s open @30d3h fails=30d3h reason=subscription_update created=30d3h for=elite:30d..60d
            sub s elite past_due @30d3h period=30d..60d latest=k"
        ),
        "
        30d4h: premium by subscription s in grace until 31d1h
        31d1h: starter by default always
    ",
    );
    // Paid, and the news of the status lost.
    check(&renewal.replace("open @30d1h", "paid @33d"), "40d: premium by subscription s until 60d");
}

#[test]
fn a_payment_newer_than_the_status_counts() {
    let first = "invoice i s paid @1h reason=subscription_create for=premium:0d..30d";
    check(
        &format!("sub s premium incomplete @0d\n{first}"),
        "2h: premium by subscription s until 30d",
    );
    check(
        "sub s premium trialing @0d trial=7d period=0d..7d\ninvoice i s paid @7d1h for=premium:7d..37d",
        "
        6d: premium by subscription s until 7d
        8d: premium by subscription s until 37d
        37d: premium by subscription s in grace until 38d
        38d: starter by default always
    ",
    );
    let late = "invoice j s paid @50d for=premium:30d..60d";
    check(
        &format!("sub s premium unpaid @45d\n{late}"),
        "51d: premium by subscription s until 60d",
    );
    check(&format!("sub s premium unpaid @55d\n{late}"), "56d: starter by default always");
    check(&format!("sub s premium paused @45d\n{late}"), "51d: starter by default always");
}
