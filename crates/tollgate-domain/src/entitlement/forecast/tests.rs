//! Forecasts as scenarios.

use super::*;
use crate::entitlement::scenario::{outcome, read, text, time};
use crate::entitlement::timeline::timeline;

fn check(scenario: &str, expected: &str) {
    let (catalog, facts) = read(scenario);
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (at, expected) = line.split_once(": ").unwrap();
        let found = outcome(&forecast(&facts, &catalog, time(at)), &catalog);
        assert_eq!(found, expected, "at {at} in\n{scenario}");
    }
}

/// The pending change of the subscription `s`, such as `basic at 30d`.
fn pending(scenario: &str) -> String {
    let (catalog, facts) = read(scenario);
    let Some(change) = pending_change(&facts, &facts.subscriptions["s"], &catalog) else {
        return "-".to_owned();
    };
    let plan = change.plan.map_or("?", |plan| catalog.plan(plan).unwrap().id.as_str());
    let when = if change.awaits_payment { "if paid before" } else { "at" };
    format!("{plan} {when} {}", text(change.at))
}

const ELITE: &str = "sub s elite active @0d period=0d..30d schedule=p";

#[test]
fn a_planned_change_is_foretold_and_not_in_effect() {
    let later = format!("{ELITE}\nplan p s elite:0d..30d,basic:30d..60d @5d");
    check(
        &later,
        "
        29d: elite by subscription s until 30d
        30d: basic by subscription s always
        40d: basic by subscription s always
    ",
    );
    let (catalog, facts) = read(&later);
    let now = resolve(&facts, &catalog, time("40d"));
    assert_eq!(outcome(&now, &catalog), "elite by subscription s always", "nobody said it began");
    assert_eq!(pending(&later), "basic at 30d");
    let spans = timeline(&facts, &catalog, time("0d"), time("50d"), time("6d")).spans;
    let spans: Vec<String> = spans
        .iter()
        .map(|span| format!("{} {}", text(span.from), catalog.plan(span.plan).unwrap().id))
        .collect();
    assert_eq!(spans, ["0d elite", "30d basic"]);
    // Dearer ones too, several, and an end.
    let up =
        format!("{ELITE}\nplan p s elite:0d..30d,basic:30d..60d,enterprise:60d..90d @5d cancels");
    check(
        &up,
        "
        31d: basic by subscription s until 60d
        61d: enterprise by subscription s until 90d
        90d: starter by default always
    ",
    );
}

#[test]
fn a_plan_holds_while_its_schedule_rules_the_subscription() {
    let plan = "plan p s elite:0d..30d,basic:30d..60d @5d";
    for (scenario, expected) in [
        // Begun: the subscription shows it.
        (format!("{ELITE}\n{plan}\nsub s basic active @30d schedule=p"), "-"),
        // Released, by the schedule's own word or the subscription's.
        (format!("{ELITE}\n{plan} over"), "-"),
        (format!("{ELITE}\n{plan}\nsub s elite active @6d"), "-"),
        // Newer than what is known of the subscription.
        (format!("sub s elite active @0d\n{plan}"), "basic at 30d"),
        (format!("sub s elite active @9d\n{plan}"), "-"),
        (format!("{ELITE}\n{plan}\nsub s elite canceled @9d schedule=p"), "-"),
        // Another one's.
        (format!("{ELITE}\nplan p t elite:0d..30d,basic:30d..60d @5d"), "-"),
        // Nothing changes but the time.
        (format!("{ELITE}\nplan p s elite:0d..30d,elite:30d..60d @5d"), "-"),
        (format!("{ELITE}\nplan p s elite:0d..30d,elite*3:30d..60d @5d"), "elite at 30d"),
        (format!("{ELITE}\nplan p s elite:0d..30d,mystery:30d..60d @5d"), "? at 30d"),
    ] {
        assert_eq!(pending(&scenario), expected, "{scenario}");
    }
    // Its price may be ours by a lookup key that nobody showed, so nothing is foretold of it.
    check(
        &format!("{ELITE}\nplan p s elite:0d..30d,mystery:30d..60d @5d"),
        "40d: elite by subscription s always",
    );
}

#[test]
fn a_change_that_awaits_its_payment_is_shown_and_not_foretold() {
    let scenario = "sub s basic active @0d period=0d..30d pending=1d to=elite";
    assert_eq!(pending(scenario), "elite if paid before 1d");
    check(scenario, "2d: basic by subscription s always");
}
