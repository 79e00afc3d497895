//! Rules of resolution as scenarios: facts as text, then outcomes at instants.

use std::sync::Arc;

use super::super::scenario::{outcome, read, standings, text, time};
use super::super::{Absence, Billing};
use super::*;
use crate::catalog::{Allowance, Limit};

mod boosts;
mod grace;
mod paid;

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
    let absent: Vec<_> = now
        .overrides
        .iter()
        .filter(|set| set.standing != Standing::InForce)
        .map(|set| (set.id.as_str(), set.standing))
        .collect();
    let of = |absence| Standing::NotInForce(absence);
    assert_eq!(absent, [("c", of(Absence::Superseded)), ("e", of(Absence::FeatureUnknown))]);
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
fn the_period_of_the_winning_subscription_is_told() {
    let (catalog, facts) =
        read("sub s premium active @0d period=0d..30d\nwaiver w premium @0d until=9d");
    assert_eq!(resolve(&facts, &catalog, time("1d")).billing_period, None);
    assert_eq!(
        resolve(&facts, &catalog, time("9d")).billing_period,
        Some(Billing { start: time("0d"), end: time("30d") })
    );
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
