//! Forecasts as scenarios.

use super::*;
use crate::entitlement::scenario::{outcome, read, text, time};
use crate::entitlement::timeline::timeline;
use crate::subscription::PlannedPrice;

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
    let plan = if change.ends { "end" } else { plan };
    let when = if change.awaits_payment { "if paid before" } else { "at" };
    let units = change.quantity.filter(|units| *units != 1);
    let units = units.map_or_else(String::new, |units| format!("{units} x "));
    format!("{units}{plan} {when} {}", text(change.at))
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
        (format!("{ELITE}\nplan p s elite:0d..30d,elite*3:30d..60d @5d"), "3 x elite at 30d"),
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
fn a_change_to_what_is_known_to_sell_nothing_is_foretold() {
    let (catalog, mut facts) =
        read(&format!("{ELITE}\nplan p s elite:0d..30d,mystery:30d..60d @5d"));
    let outcome_at = |facts: &Facts| outcome(&forecast(facts, &catalog, time("40d")), &catalog);
    assert_eq!(outcome_at(&facts), "elite by subscription s always", "its price was not shown");
    let plan = facts.schedules.values_mut().next().unwrap();
    let price = plan.phases[1].items[0].price.clone();
    let product = crate::ids::ProductId::parse("prod_other").ok();
    let read = PlannedPrice { at: time("5d"), lookup_key: None, product, interval: None };
    plan.prices.insert(price, read);
    assert_eq!(outcome_at(&facts), "starter by default always");
}

#[test]
fn a_change_at_the_end_of_a_trial_leaves_nothing_of_what_was_tried() {
    let trial = "sub s elite trialing @0d trial=7d period=0d..7d schedule=p\n\
        invoice i s paid @0d for=elite=0:0d..7d\n\
        plan p s elite:0d..7d,basic:7d..37d @1d";
    check(trial, "6d: elite by subscription s until 7d");
    check(trial, "7d: basic by subscription s in grace until 8d");
}

#[test]
fn the_end_of_a_schedule_that_cancels_is_the_subscriptions() {
    let ends = format!("{ELITE}\nplan p s elite:0d..30d,elite:30d..60d @5d cancels");
    assert_eq!(pending(&ends), "end at 60d");
    let (catalog, facts) = read(&ends);
    let at = |at: &str| outcome(&resolve(&facts, &catalog, time(at)), &catalog);
    assert_eq!(at("40d"), "elite by subscription s until 60d");
    assert_eq!(at("60d"), "starter by default always");
    let first = format!("{ELITE}\nplan p s elite:0d..30d,basic:30d..60d @5d cancels");
    assert_eq!(pending(&first), "basic at 30d", "one after the other");
    for goes_on in ["over cancels", ""] {
        let plan = format!("{ELITE}\nplan p s elite:0d..30d @5d {goes_on}");
        assert_eq!(pending(&plan), "-", "{goes_on}");
        check(&plan, "90d: elite by subscription s always");
    }
    // It was to end and did not: what Stripe told since then counts.
    let alive = format!("{ends}\nsub s elite active @61d schedule=p");
    check(&alive, "70d: elite by subscription s always");
}

#[test]
fn plans_of_one_second_that_differ_are_tied_in_any_order() {
    let seen = |phases: &str, event: &str| {
        let (_, facts) = read(&format!("{ELITE}\nplan p s {phases} @5d"));
        let mut one = facts.schedules.values().next().unwrap().clone();
        one.version.event = crate::ids::EventId::parse(event).unwrap();
        one
    };
    let one = seen("elite:0d..30d,basic:30d..60d", "evt_1");
    let other = seen("elite:0d..30d,premium:30d..60d", "evt_2");
    let same = seen("elite:0d..30d,premium:30d..60d", "evt_3");
    let mut asked = seen("elite:0d..30d,basic:30d..60d", "evt_0");
    asked.version.rank = 2;
    assert!(!other.merged(&same).tied && !one.tied);
    for all in [[&one, &other, &same], [&same, &other, &one], [&other, &one, &same]] {
        let merged = all[0].merged(all[1]).merged(all[2]);
        assert!(merged.tied && merged == all[2].merged(&all[1].merged(all[0])));
        let settled = merged.merged(&asked);
        assert!(!settled.tied && settled.phases == asked.phases);
        assert_eq!(settled, asked.merged(&merged));
    }
}

#[test]
fn a_change_that_awaits_its_payment_is_shown_and_not_foretold() {
    let scenario = "sub s basic active @0d period=0d..30d pending=1d to=elite";
    assert_eq!(pending(scenario), "elite if paid before 1d");
    check(scenario, "2d: basic by subscription s always");
}
