//! Grace: after trials, failed payments and unknown statuses.

use super::*;
use crate::entitlement::scenario::{read, text};

#[test]
fn a_trial_turns_into_grace_at_its_end_and_closes_with_it() {
    check(
        "sub s premium trialing @0d trial=7d",
        "
        6d23h59m59s999ms: premium by subscription s until 7d
        7d: premium by subscription s in grace until 8d
        7d23h59m59s999ms: premium by subscription s in grace until 8d
        8d: starter by default always
    ",
    );
    stands(
        "sub s premium trialing @0d trial=7d",
        "8d",
        &["default -: in_force", "subscription s: trial_over"],
    );
    check(
        "sub s premium trialing @0d trial=7d\nsub s premium active @7d",
        "7d: premium by subscription s always",
    );
    // Set to end with the trial: no payment follows, so there is no grace.
    check(
        "sub s premium trialing @0d trial=7d quits period=0d..7d",
        "
        6d: premium by subscription s until 7d
        7d: starter by default always
    ",
    );
    check(
        "sub s premium trialing @0d trial=7d cancel_at=7d12h",
        "
        6d: premium by subscription s until 7d
        7d: premium by subscription s in grace until 7d12h
        7d12h: starter by default always
    ",
    );
}

#[test]
fn grace_runs_from_the_first_failed_payment_of_the_cycle() {
    let dunning = "
        sub s premium active @0d
        sub s premium past_due @30d1h
        invoice i s open @36d fails=30d1h,33d,36d
    ";
    check(
        dunning,
        "
        30d2h: premium by subscription s in grace until 31d1h
        31d59m59s999ms: premium by subscription s in grace until 31d1h
        31d1h: starter by default always
    ",
    );
    stands(dunning, "31d1h", &["default -: in_force", "subscription s: past_due"]);
    check(
        &format!("{dunning}\nsub s premium active @40d"),
        "40d: premium by subscription s always",
    );
    check(
        "sub s premium active @0d\nsub s premium past_due @30d1h\nsub s premium past_due @33d",
        "30d2h: premium by subscription s in grace until 31d1h",
    );
    check("sub s premium past_due @30d1h", "30d2h: premium by subscription s in grace until 31d1h");
}

#[test]
fn grace_belongs_to_its_own_cycle() {
    // An old failure that was settled otherwise does not use up the grace of a new cycle.
    check(
        "
        sub s premium active @0d
        invoice old s open fails=5d
        sub s premium active @10d
        sub s premium past_due @30d
        invoice new s open fails=30d
    ",
        "30d1h: premium by subscription s in grace until 31d",
    );
    // A paid or void invoice is not due, and another subscription's says nothing.
    for status in ["paid", "void"] {
        check(
            &format!(
                "
            sub s premium active @0d
            invoice i s {status} @31d fails=30d
            invoice other t open fails=29d
            sub s premium past_due @32d
        "
            ),
            "32d1h: premium by subscription s in grace until 33d",
        );
    }
    // Giving an invoice up starts no new grace while the subscription stays past due.
    check(
        "
        sub s premium active @0d
        sub s premium past_due @30d
        invoice one s uncollectible @50d fails=30d
        sub s premium past_due @60d
        invoice two s open fails=60d
    ",
        "60d1h: starter by default always",
    );
}

#[test]
fn an_unknown_status_holds_what_was_for_a_day() {
    check(
        "
        sub s premium active @0d
        sub s premium frozen @10d
        sub s premium frozen @10d12h
    ",
        "
        10d: premium by subscription s until 11d
        10d23h59m59s999ms: premium by subscription s until 11d
        11d: starter by default always
    ",
    );
    check("sub s premium paused @0d\nsub s premium frozen @10d", "10d: starter by default always");
    check(
        "sub s premium past_due @9d12h\nsub s premium frozen @10d",
        "10d: premium by subscription s in grace until 10d12h",
    );
    stands(
        "sub s premium active @0d\nsub s premium frozen @10d",
        "11d",
        &["default -: in_force", "subscription s: status_unknown"],
    );
}

#[test]
fn graces_are_listed_for_whoever_reports_their_end() {
    let (catalog, facts) = read(
        "
        sub a premium past_due @30d
        invoice i a open fails=30d1h
        sub b premium trialing @0d trial=7d
        sub c premium trialing @0d trial=7d quits period=0d..7d
        sub d premium active @0d
        sub e mystery past_due @0d
        sub f basic past_due @5d cancel_at=5d6h
    ",
    );
    let windows: Vec<String> = grace_windows(&facts, &catalog)
        .iter()
        .map(|window| {
            let invoice = window.invoice.as_ref().map_or("-", |invoice| invoice.as_str());
            format!(
                "{} {invoice} {}..{}",
                window.subscription,
                text(window.started_at),
                text(window.ends_at)
            )
        })
        .collect();
    assert_eq!(windows, ["a i 30d1h..31d1h", "b - 7d..8d", "f - 5d..5d6h"]);
}
