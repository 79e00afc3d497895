//! Timelines as scenarios: facts as text, spans as lines.

use super::super::scenario::{read, text, time};
use super::*;

fn spans(scenario: &str, from: &str, to: &str, now: &str) -> Vec<String> {
    let (catalog, facts) = read(scenario);
    let spans = timeline(&facts, &catalog, time(from), time(to), time(now)).spans;
    for (one, next) in spans.iter().zip(spans.iter().skip(1)) {
        assert_eq!(one.to, next.from, "no gaps");
    }
    spans
        .iter()
        .map(|span| {
            let plan = &catalog.plan(span.plan).unwrap().id;
            let grace = if span.in_grace { " in grace" } else { "" };
            let source = span.source.as_str();
            format!("{}..{} {plan} by {source}{grace}", text(span.from), text(span.to))
        })
        .collect()
}

#[test]
fn the_past_is_told_as_it_was_and_the_future_as_it_will_be() {
    let story = "
        sub s basic trialing @0d trial=7d
        sub s basic active @7d
        sub s premium active @20d
        waiver w elite @25d until=30d revoked=28d
        sub s premium past_due @37d1h
        invoice i s paid @39d created=37d fails=37d1h
        sub s premium active @39d
        sub s premium active @45d cancel_at=60d
    ";
    assert_eq!(
        spans(story, "-5d", "100d", "50d"),
        [
            "-5d..0d starter by default",
            "0d..20d basic by subscription",
            "20d..25d premium by subscription",
            "25d..28d elite by waiver",
            "28d..37d1h premium by subscription",
            "37d1h..38d1h premium by subscription in grace",
            "38d1h..39d starter by default",
            "39d..60d premium by subscription",
            "60d..100d starter by default",
        ]
    );
}

#[test]
fn asked_at_another_now_the_same_past_is_told() {
    let story = "sub s premium active @0d cancel_at=10d\nsub s premium active @5d\ngrant g elite @8d until=12d";
    let early = spans(story, "0d", "6d", "20d");
    assert_eq!(early, ["0d..6d premium by subscription"]);
    assert_eq!(
        spans(story, "0d", "20d", "20d"),
        [
            "0d..8d premium by subscription",
            "8d..12d elite by grant",
            "12d..20d premium by subscription",
        ]
    );
}

#[test]
fn a_forecast_alone_follows_the_ends_that_are_known() {
    let story =
        "waiver w elite @0d until=5d\nsub s premium trialing @0d trial=7d\nboosts b 2 @0d until=6d";
    assert_eq!(
        spans(story, "1d", "30d", "1d"),
        [
            "1d..5d elite by waiver",
            "5d..7d premium by subscription",
            "7d..8d premium by subscription in grace",
            "8d..13d basic by boost",
            "13d..30d starter by default",
        ]
    );
}

#[test]
fn an_empty_stretch_has_no_spans_and_an_account_without_facts_has_one() {
    assert!(spans("", "1d", "1d", "0d").is_empty());
    assert!(spans("", "2d", "1d", "0d").is_empty());
    assert_eq!(spans("", "1d", "2d", "0d"), ["1d..2d starter by default"]);
}

#[test]
fn what_is_bought_again_runs_from_its_own_payment_and_adds_nothing_to_the_first() {
    let twice = "catalog levels\nbuy a pro paid=0d amount=19000\nbuy b pro paid=100d amount=19000";
    assert_eq!(
        spans(twice, "0d", "500d", "500d"),
        ["0d..100d pro by grant", "100d..465d pro by grant", "465d..500d free by default"],
    );
    // Two of them are two units for as long as one.
    let (catalog, mut facts) = read("catalog levels\nbuy a pro paid=0d amount=1 price=price_pro");
    for purchase in facts.purchases.values_mut() {
        for line in &mut purchase.lines {
            line.quantity = 2;
        }
    }
    let resolved = resolve(&facts, &catalog, time("364d"));
    assert_eq!(resolved.considered[0].units, Some(2));
    assert_eq!(resolved.valid_until, Some(time("365d")));
}

/// A plan that changes every day.
fn restless() -> String {
    use std::fmt::Write as _;
    (0..=SPANS_MAX).fold(String::new(), |mut story, day| {
        let plan = if day % 2 == 0 { "basic" } else { "premium" };
        writeln!(story, "sub s {plan} active @{day}d").unwrap();
        story
    })
}

#[test]
fn a_timeline_has_a_bounded_number_of_spans() {
    let spans = spans(&restless(), "-1d", "2000d", "2000d");
    assert_eq!(spans.len(), SPANS_MAX);
    assert!(spans.last().unwrap().contains("..499d "), "{:?}", spans.last());
}

#[test]
fn a_timeline_that_was_cut_says_where_it_goes_on() {
    let (catalog, facts) = read(&restless());
    let (mut from, to) = (time("-1d"), time("2000d"));
    let mut pages = Vec::new();
    loop {
        let page = timeline(&facts, &catalog, from, to, to);
        assert_eq!(page.spans.last().map(|last| last.to), Some(page.cut_at.unwrap_or(to)));
        pages.push(page.spans.len());
        let Some(next) = page.cut_at else { break };
        from = next;
    }
    // A day of the default plan, one for each state, and the last state's rest.
    assert_eq!(pages, [SPANS_MAX, 2]);
}
