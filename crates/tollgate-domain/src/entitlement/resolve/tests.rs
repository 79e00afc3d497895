//! Rules of resolution as scenarios: facts as text, then outcomes at instants.

use std::sync::Arc;

use super::super::scenario::{outcome, read, standings, text, time};
use super::super::{Absence, Billing};
use super::*;
use crate::catalog::{Allowance, Limit};

/// Checks a scenario at several instants: `7d: premium by subscription s1 until 30d`.
fn check(scenario: &str, expected: &str) {
    let (catalog, facts) = read(scenario);
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (at, expected) = line.split_once(": ").unwrap();
        let found = outcome(&resolve(&facts, &catalog, time(at)), &catalog);
        assert_eq!(found, expected, "at {at} in\n{scenario}");
    }
}

fn stands(scenario: &str, at: &str, expected: &[&str]) {
    let (catalog, facts) = read(scenario);
    assert_eq!(standings(&resolve(&facts, &catalog, time(at))), expected, "{scenario}");
}

#[test]
fn an_account_nobody_spoke_of_has_the_default_plan() {
    check("unknown", "0d: starter by default always");
    check("", "0d: starter by default always");
    let (catalog, facts) = read("unknown");
    assert!(!resolve(&facts, &catalog, time("0d")).known);
}

#[test]
fn each_status_gives_what_the_table_says() {
    for (status, expected) in [
        ("active", "premium by subscription s always"),
        ("trialing", "premium by subscription s always"),
        ("incomplete", "starter by default always"),
        ("incomplete_expired", "starter by default always"),
        ("unpaid", "starter by default always"),
        ("paused", "starter by default always"),
        ("canceled", "starter by default always"),
        ("something_new", "starter by default always"),
    ] {
        check(&format!("sub s premium {status} @0d"), &format!("1d: {expected}"));
    }
    check("sub s premium active @0d pause=open", "1d: premium by subscription s always");
}

/// Seats of an account with the `saas` catalog, how they were counted, and until when.
fn seats(scenario: &str, at: &str) -> String {
    let (catalog, facts) = read(&format!("catalog saas\n{scenario}"));
    let resolution = resolve(&facts, &catalog, time(at));
    let allowed = match resolution.allowances.get("seats") {
        Some(Allowance::Limit(limit)) => limit.count().unwrap().to_string(),
        Some(other @ (Allowance::On | Allowance::PerUnit(_))) => panic!("{other:?}"),
        None => "none".to_owned(),
    };
    let counted = resolution.counted.get("seats").map(|counted| format!(" ({counted})"));
    let until = resolution.valid_until.map(|until| format!(" until {}", text(until)));
    format!("{allowed}{}{}", counted.unwrap_or_default(), until.unwrap_or_default())
}

#[test]
fn seats_are_the_units_bought_times_what_each_gives() {
    for (scenario, expected) in [
        ("sub s pro*12 active @0d", "12 (12 x 1)"),
        ("sub s pro*12,pro*3 active @0d", "15 (15 x 1)"),
        ("sub s pro active @0d", "1 (1 x 1)"),
        ("sub s starter*12 active @0d", "1"),
        ("sub s starter*12,pro*3 active @0d", "3 (3 x 1)"),
        ("sub s pro*12 active @0d cancel_at=9d", "12 (12 x 1) until 9d"),
        // Of two subscriptions the greater counts: nobody has what both pay for together.
        ("sub s pro*12 active @0d\nsub t pro*5 active @0d", "12 (12 x 1)"),
        ("sub s starter*40 active @0d\nsub t pro*5 active @0d", "5 (5 x 1)"),
        // A plan that was given counts what is paid beside it, as long as it is paid.
        ("waiver w pro @0d", "1 (1 x 1)"),
        ("waiver w pro @0d\nsub s pro*12 active @0d", "12 (12 x 1)"),
        ("waiver w pro @0d\nsub s pro*12 active @0d cancel_at=9d", "12 (12 x 1) until 9d"),
        ("waiver w pro @0d\nsub s starter*12 active @0d", "12 (12 x 1)"),
        ("grant g pro @0d until=5d", "1 (1 x 1) until 5d"),
        ("override o seats limit=40 @0d\nsub s pro*12 active @0d", "40 (12 x 1)"),
    ] {
        assert_eq!(seats(scenario, "1d"), expected, "{scenario}");
    }
    assert_eq!(seats("waiver w pro @0d\nsub s pro*12 active @0d cancel_at=9d", "9d"), "1 (1 x 1)");
}

#[test]
fn an_item_with_quantity_0_sells_nothing() {
    check("sub s premium*0 active @0d", "1d: starter by default always");
    check("sub s basic,premium*0 active @0d", "1d: basic by subscription s always");
    check("sub s boost*0,basic active @0d", "1d: basic by subscription s always");
    stands(
        "sub s premium*0 active @0d",
        "1d",
        &["default -: in_force", "subscription s: nothing_sold"],
    );
    stands(
        "sub s mystery active @0d",
        "1d",
        &["default -: in_force", "subscription s: price_unknown"],
    );
}

#[test]
fn an_end_that_is_set_takes_effect_at_its_instant() {
    let ends = "
        9d23h59m59s999ms: premium by subscription s until 10d
        10d: starter by default always
    ";
    check("sub s premium active @0d cancel_at=10d", ends);
    check("sub s premium active @0d quits period=0d..10d", ends);
    check(
        "sub s premium past_due @9d12h cancel_at=10d",
        "9d13h: premium by subscription s in grace until 10d",
    );
    stands(
        "sub s premium active @0d cancel_at=10d",
        "10d",
        &["default -: in_force", "subscription s: ended"],
    );
    check(
        "sub s premium active @0d quits\nsub s premium active @1d",
        "40d: premium by subscription s always",
    );
    check("sub s premium active @0d period=0d..30d", "99d: premium by subscription s always");
}

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
fn the_price_decides_the_plan_and_an_unknown_one_decides_nothing() {
    check("sub s basic,elite,premium active @0d", "1d: elite by subscription s always");
    check("sub s mystery,basic active @0d", "1d: basic by subscription s always");
    check("sub s mystery active @0d", "1d: starter by default always");
    stands(
        "sub s mystery active @0d",
        "1d",
        &["default -: in_force", "subscription s: price_unknown"],
    );
    let (catalog, facts) = read("sub s mystery active @0d");
    let healed =
        catalog.with_prices(&[("elite".to_owned(), vec!["price_mystery".to_owned()])]).unwrap();
    assert_eq!(
        outcome(&resolve(&facts, &healed, time("1d")), &healed),
        "elite by subscription s always"
    );
}

#[test]
fn the_highest_plan_wins_and_equal_ones_by_kind() {
    check("sub s elite active @0d\nwaiver w premium @0d", "1d: elite by subscription s always");
    check(
        "sub s premium active @0d\nwaiver w premium @0d\ngrant g premium @0d",
        "1d: premium by waiver w always",
    );
    check(
        "sub s premium active @0d\nboosts b 7 @0d\ngrant g premium @0d",
        "1d: premium by subscription s always",
    );
    check("boosts b 7 @0d\ngrant g premium @0d", "1d: premium by boost always");
    check("grant g starter @0d", "1d: starter by grant g always");
    check(
        "sub s premium active @0d cancel_at=9d\nsub t premium active @0d\nsub u premium past_due @0d12h",
        "1d: premium by subscription t always",
    );
    check(
        "waiver w elite @0d until=5d\nsub s premium active @0d cancel_at=8d\ngrant g basic @0d until=20d",
        "
        0d: elite by waiver w until 5d
        5d: premium by subscription s until 8d
        8d: basic by grant g until 20d
        20d: starter by default always
    ",
    );
}

#[test]
fn waivers_and_grants_end_by_time_or_by_hand() {
    check(
        "waiver w enterprise @0d until=5d",
        "
        4d23h59m59s999ms: enterprise by waiver w until 5d
        5d: starter by default always
    ",
    );
    check("waiver w enterprise @0d revoked=2d", "3d: starter by default always");
    stands(
        "waiver w enterprise @0d revoked=2d",
        "3d",
        &["default -: in_force", "waiver w: revoked"],
    );
    stands("waiver w enterprise @0d until=2d", "3d", &["default -: in_force", "waiver w: expired"]);
    stands("waiver w vanished @0d", "3d", &["default -: in_force", "waiver w: plan_unknown"]);
    check(
        "grant g premium @0d until=5d\ngrant h premium @0d until=9d",
        "1d: premium by grant h until 9d",
    );
    // Known a moment before its own time, by a clock that is a little ahead: it counts.
    check("waiver w enterprise @5ms", "0d: enterprise by waiver w always");
}

#[test]
fn boosts_make_levels_by_their_sum() {
    for (boosts, plan) in [
        (1, "starter by default"),
        (2, "basic by boost"),
        (6, "basic by boost"),
        (7, "premium by boost"),
        (13, "premium by boost"),
        (14, "exclusive by boost"),
        (29, "exclusive by boost"),
        (30, "elite by boost"),
        (3000, "elite by boost"),
    ] {
        check(&format!("sub a boost*{boosts} active @0d"), &format!("1d: {plan} always"));
    }
    check(
        "sub a boost*3 active @0d\nsub b boost*2 active @0d\nboosts c 2 @0d",
        "1d: premium by boost always",
    );
    for status in ["trialing", "canceled", "paused", "unpaid"] {
        check(&format!("sub a boost*7 {status} @0d"), "1d: starter by default always");
    }
    check("sub a basic,boost*7 active @0d", "1d: premium by boost always");
    stands("boosts b 1 @0d", "1d", &["default -: in_force", "boost -: too_few_boosts"]);
}

#[test]
fn boosts_keep_counting_through_the_grace_of_a_failed_payment() {
    let dunning = "
        sub a boost*7 active @0d
        sub a boost*7 past_due @30d1h
        invoice i a open fails=30d,33d
    ";
    // Until the grace ends a day after the first failure, and the level seven days longer.
    check(
        dunning,
        "
        30d2h: premium by boost until 38d
        37d23h59m59s999ms: premium by boost until 38d
        38d: starter by default always
    ",
    );
    check(&format!("{dunning}\nsub a boost*7 active @34d"), "45d: premium by boost always");
    // A plan of the same subscription brings its own grace.
    check(
        "sub a basic,boost*7 past_due @30d cancel_at=30d6h",
        "30d1h: premium by boost until 37d6h",
    );
    let (catalog, facts) = read(dunning);
    let windows = grace_windows(&facts, &catalog);
    assert_eq!(windows.iter().map(|one| text(one.ends_at)).collect::<Vec<_>>(), ["31d"]);
    let (catalog, facts) = read("sub a boost*7 trialing @0d trial=7d");
    assert!(grace_windows(&facts, &catalog).is_empty());
}

#[test]
fn a_boost_level_is_sustained_for_seven_days() {
    check(
        "sub a boost*7 active @0d\nsub a boost*7 canceled @10d",
        "
        9d: premium by boost until 17d
        16d23h59m59s999ms: premium by boost until 17d
        17d: starter by default always
    ",
    );
    check(
        "sub a boost*7 active @0d\nsub a boost*2 active @10d",
        "
        10d: premium by boost until 17d
        17d: basic by boost always
    ",
    );
    check(
        "sub a boost*7 active @0d\nsub a boost*2 active @10d\nsub a boost*7 active @16d",
        "16d: premium by boost always",
    );
    check("sub a boost*7 active @0d cancel_at=10d", "5d: premium by boost until 17d");
    check(
        "boosts b 7 @0d until=10d\nboosts c 2 @0d",
        "
        5d: premium by boost until 17d
        17d: basic by boost always
    ",
    );
    check(
        "boosts b 14 @0d revoked=3d\nsub a boost*7 active @0d",
        "
        4d: exclusive by boost until 10d
        10d: premium by boost always
    ",
    );
    // One leaves at the instant another comes: the level never fell.
    check(
        "sub a boost*7 active @0d\nsub a boost*7 canceled @10d\nsub b boost*7 active @10d",
        "11d: premium by boost always",
    );
    // News from before the end of an ended subscription that arrive late.
    check(
        "sub a boost*7 active @0d\nsub a boost*7 canceled @10d\nsub a boost*7 active @30d",
        "31d: starter by default always",
    );
}

#[test]
fn a_purchase_counts_when_paid_and_proven() {
    let year = "3d: pro by grant c until 368d";
    let nothing = "3d: free by default always";
    for (line, expected) in [
        ("buy c pro paid=3d price=price_pro", year),
        ("buy c trial paid=3d price=price_pro", year),
        ("buy c pro paid=3d amount=19000", year),
        ("buy c pro paid=3d subtotal=19000 amount=9500", year),
        ("buy c pro paid=3d amount=19000 price=price_mystery", nothing),
        ("buy c trial paid=3d price=levels_trial", "3d: trial by grant c until 10d"),
        ("buy c trial paid=3d amount=0", nothing),
        ("buy c pro paid=3d amount=18999", nothing),
        ("buy c pro paid=3d amount=19000 currency=eur", nothing),
        ("buy c pro paid=3d amount=9500 subtotal=9500", nothing),
        ("buy c pro paid=3d", nothing),
        ("buy c free paid=3d price=price_free", nothing),
        ("buy c pro amount=19000", nothing),
        ("buy c pro failed=2d amount=19000", nothing),
        ("buy c pro paid=3d amount=19000 subscription", nothing),
        ("buy c badge paid=3d price=price_pro", year),
        ("buy c - paid=3d price=price_pro", year),
        ("buy c - paid=3d amount=19000", nothing),
        ("buy c pro paid=3d price=price_trial,price_pro", year),
    ] {
        check(&format!("catalog levels\n{line}"), expected);
    }
    check(
        "catalog levels\nbuy c trial paid=3d price=levels_trial",
        "
        9d23h59m59s999ms: trial by grant c until 10d
        10d: free by default always
    ",
    );
    stands(
        "catalog levels\nbuy c pro failed=2d amount=19000",
        "3d",
        &["default -: in_force", "grant c: payment_failed"],
    );
    stands(
        "catalog levels\nbuy c pro paid=2d amount=1",
        "3d",
        &["default -: in_force", "grant c: unconfirmed"],
    );
    stands(
        "catalog levels\nbuy c - paid=2d amount=500 names_owner\nbuy d - paid=2d amount=500\nbuy f - amount=5 names_owner\nbuy e badge paid=2d amount=1",
        "3d",
        &["default -: in_force", "grant c: unconfirmed"],
    );
    stands(
        "catalog levels\nbuy c pro paid=2d price=price_pro,price_trial",
        "12d",
        &["grant c: in_force", "default -: in_force", "grant c: expired"],
    );
}

#[test]
fn a_full_refund_or_a_lost_dispute_takes_a_purchase_back() {
    let kept = "5d: pro by grant c until 368d";
    let gone = "5d: free by default always";
    for (lines, expected) in [
        ("refund r c 19000 succeeded @4d", gone),
        ("refund r c 18999 succeeded @4d", kept),
        ("refund r c 9000 succeeded @4d\nrefund s c 10000 pending @4d", gone),
        ("refund r c 19000 failed @4d", kept),
        ("refund r c 19000 canceled @4d", kept),
        ("refund r c 19000 succeeded @4d currency=eur", kept),
        ("refund r other 19000 succeeded @4d", kept),
        ("charge ch c 19000 full @4d", gone),
        ("charge ch c 10000 partial @4d\nrefund r c 10000 succeeded @4d", kept),
        ("dispute d c 19000 needs_response @4d", kept),
        ("dispute d c 19000 won @4d", kept),
        ("dispute d c 19000 lost @4d", gone),
    ] {
        check(&format!("catalog levels\nbuy c pro paid=3d amount=19000\n{lines}"), expected);
    }
}

#[test]
fn overrides_come_after_the_plan() {
    let (catalog, facts) = read(
        "
        sub s premium active @0d
        override a white_label on @0d until=5d
        override b weekly_digest off @0d
        override c max_members limit=7 @0d
        override d max_members unlimited @1d until=9d
        override e vanished on @0d
        override f stats_leaderboard limit=3 @0d
    ",
    );
    let now = resolve(&facts, &catalog, time("2d"));
    assert_eq!(outcome(&now, &catalog), "premium by subscription s until 5d");
    let has = |resolution: &Resolution, key: &str| resolution.allowances.get(key).copied();
    assert_eq!(has(&now, "white_label"), Some(Allowance::On));
    assert_eq!(has(&now, "weekly_digest"), None);
    assert_eq!(has(&now, "max_members"), Some(Allowance::Limit(Limit::Unlimited)));
    assert_eq!(has(&now, "stats_leaderboard"), Some(Allowance::On));
    assert_eq!(now.overridden["max_members"], "d");
    let standing: Vec<Standing> = now.overrides.iter().map(|set| set.standing).collect();
    assert_eq!(standing[2], Standing::NotInForce(Absence::Superseded));
    assert_eq!(standing[4], Standing::NotInForce(Absence::FeatureUnknown));
    let later = resolve(&facts, &catalog, time("9d"));
    assert_eq!(has(&later, "max_members"), Some(Allowance::Limit(Limit::Count(7))));
    assert_eq!(has(&later, "white_label"), None);
    assert_eq!(later.valid_until, None);
    // A plan's own features are shared, not copied, where nothing is overridden.
    let (catalog, facts) = read("sub s premium active @0d");
    let plain = resolve(&facts, &catalog, time("2d"));
    assert!(Arc::ptr_eq(&plain.allowances, &catalog.plan(plain.plan).unwrap().allowances));
}

#[test]
fn an_override_that_switches_a_counted_feature_on_keeps_the_plans_number() {
    let limit = |facts: &str| {
        let (catalog, facts) = read(facts);
        resolve(&facts, &catalog, time("1d")).allowances.get("analyses").copied()
    };
    let number = |count| Some(Allowance::Limit(Limit::Count(count)));
    assert_eq!(limit("catalog propiq\noverride a analyses on @0d"), number(5));
    assert_eq!(limit("catalog propiq\noverride a analyses limit=8 @0d"), number(8));
    assert_eq!(limit("catalog propiq\noverride a analyses off @0d"), None);
}

#[test]
fn the_explanation_names_causes_and_instants() {
    let (catalog, facts) = read(
        "
        sub s premium past_due @3d
        waiver w basic @0d until=20d
        sub t basic canceled @2d ended=1d12h
    ",
    );
    let now = resolve(&facts, &catalog, time("3d1h"));
    let lines: Vec<String> = now
        .considered
        .iter()
        .map(|line| {
            let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), text);
            format!(
                "{} {} {}..{} {}",
                line.kind.as_str(),
                line.id.as_deref().unwrap_or("-"),
                time(line.since),
                time(line.until),
                line.cause.as_deref().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "subscription s 3d..4d evt_001",
            "waiver w 0d..20d ann",
            "default - -..- -",
            "subscription t 1d12h..- evt_003",
        ]
    );
    assert!(now.considered.iter().all(|line| line.note.ends_with('.')));
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

#[test]
fn the_period_of_the_winning_subscription_is_told() {
    let (catalog, facts) =
        read("sub s premium active @0d period=0d..30d\nwaiver w premium @0d until=9d");
    assert_eq!(resolve(&facts, &catalog, time("1d")).billing_period, None);
    assert_eq!(
        resolve(&facts, &catalog, time("9d")).billing_period,
        Some(Billing { start: time("0d"), end: time("30d") })
    );
}

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

/// A catalog of the name with one more setting.
fn check_with(setting: &str, scenario: &str, expected: &str) {
    let (_, facts) = read(scenario);
    let catalog = crate::entitlement::scenario::sietch_with(setting);
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (at, expected) = line.split_once(": ").unwrap();
        let found = outcome(&resolve(&facts, &catalog, time(at)), &catalog);
        assert_eq!(found, expected, "at {at} with {setting} in\n{scenario}");
    }
}

#[test]
fn stale_evidence_holds_or_ends_as_the_catalog_says() {
    let active = "sub s premium active @0d period=0d..30d";
    let since = |scenario: &str, at: &str| {
        let (catalog, facts) = read(scenario);
        let now = resolve(&facts, &catalog, time(at));
        let source = now.considered.iter().find(|one| one.id.as_deref() == Some("s")).unwrap();
        assert_eq!(source.note.contains("stale evidence since"), source.stale_since.is_some());
        source.stale_since.map_or_else(|| "-".to_owned(), text)
    };
    assert_eq!(since(active, "32d23h"), "-");
    assert_eq!(since(active, "33d"), "33d");
    assert_eq!(since(active, "70d"), "33d");
    check(active, "70d: premium by subscription s always");
    // News of any kind, and a payment, make it fresh again.
    assert_eq!(since(&format!("{active}\nsub s premium active @40d period=0d..30d"), "42d"), "-");
    assert_eq!(since(&format!("{active}\nsub s premium active @40d period=0d..30d"), "43d"), "43d");
    let renewed = format!("{active}\ninvoice j s paid @30d1h for=premium:30d..60d");
    assert_eq!(since(&renewed, "62d"), "-");
    assert_eq!(since(&renewed, "63d"), "63d");
    assert_eq!(since("sub s premium active @0d", "900d"), "-");
    check_with(
        "stale = \"end\"",
        active,
        "
        29d: premium by subscription s until 30d
        30d: premium by subscription s in grace until 31d
        31d: starter by default always
    ",
    );
    check_with("stale = \"end\"", &renewed, "59d: premium by subscription s until 60d");
    check_with("stale = \"end\"", &format!("{active} quits"), "30d: starter by default always");
    check_with(
        "stale = \"end\"",
        "sub s boost*7 active @0d period=0d..30d",
        "37d: premium by boost until 38d\n38d: starter by default always",
    );
}

#[test]
fn boosts_that_were_paid_count_where_the_news_of_the_status_was_lost() {
    let paid = "invoice i s paid @2h reason=subscription_create for=boost*7:0d..30d";
    check(&format!("sub s boost*7 incomplete @0d\n{paid}"), "3h: premium by boost until 37d");
    check(
        "sub s boost*7 unpaid @45d\ninvoice j s paid @50d for=boost*7:30d..60d",
        "51d: premium by boost until 67d",
    );
}

#[test]
fn subscriptions_end_with_their_customer() {
    for status in ["active", "trialing", "past_due"] {
        let scenario = format!("customer c deleted=3h\nsub s premium {status} @0d customer=c");
        check(&scenario, "3h: starter by default always");
        stands(&scenario, "4h", &["default -: in_force", "subscription s: customer_deleted"]);
    }
    check(
        "customer c deleted=5d\nsub s premium active @0d customer=c",
        "4d: premium by subscription s until 5d",
    );
    check(
        "customer d deleted=5d\nsub s premium active @0d customer=c",
        "9d: premium by subscription s always",
    );
    check(
        "customer c deleted=5d\nsub a boost*7 active @0d customer=c",
        "11d: premium by boost until 12d\n12d: starter by default always",
    );
    // What Stripe says of the end itself goes before.
    stands(
        "customer c deleted=5d\nsub s premium canceled @5d customer=c",
        "6d",
        &["default -: in_force", "subscription s: canceled"],
    );
}

#[test]
fn a_cut_list_of_items_takes_nothing_away() {
    let whole = "sub s boost,premium active @0d";
    check(&format!("{whole}\nsub s boost active @1d cut"), "2d: premium by subscription s always");
    check(&format!("sub s boost active @1d cut\n{whole}"), "2d: premium by subscription s always");
    // Everything else that it shows counts.
    check(
        &format!("{whole}\nsub s boost active @1d cut cancel_at=9d"),
        "2d: premium by subscription s until 9d",
    );
    check(&format!("{whole}\nsub s boost canceled @1d cut"), "2d: starter by default always");
    check(
        &format!("{whole}\nsub s boost active @1d cut\nsub s basic active @2d"),
        "3d: basic by subscription s always",
    );
    check("sub s basic active @1d cut", "2d: basic by subscription s always");
}

#[test]
fn a_pause_of_collection_keeps_access_unless_the_catalog_says_otherwise() {
    let paused = "sub s premium active @0d pause=20d";
    check(paused, "1d: premium by subscription s always");
    let none = "pause_collection_access = \"none\"";
    check_with(none, paused, "1d: starter by default always\n21d: starter by default always");
    check_with(
        none,
        &format!("{paused}\nsub s premium active @20d"),
        "21d: premium by subscription s always",
    );
    check_with(none, "sub a boost*7 active @0d pause=open", "1d: starter by default always");
}
