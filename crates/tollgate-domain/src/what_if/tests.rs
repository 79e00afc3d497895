//! What a changed catalog does, on facts written as text.

use std::fmt::Write as _;

use super::*;
use crate::catalog::builtin_text;
use crate::catalog::parse::parse;
use crate::entitlement::scenario::{read, time};
use crate::ids::AccountId;

/// A built-in catalog with some of its text changed, and the scenarios' prices.
fn changed(name: &str, changes: &[(&str, &str)]) -> Catalog {
    let mut text = builtin_text(name).unwrap().to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the catalog has no {from}");
        text = text.replacen(from, to, 1);
    }
    let catalog = parse(name, name, &text).unwrap_or_else(|faults| panic!("{faults}"));
    let map: Vec<(String, Vec<String>)> = catalog
        .plans
        .iter()
        .map(|plan| (plan.id.to_string(), vec![format!("price_{}", plan.id)]))
        .collect();
    catalog.with_prices(&map).unwrap()
}

/// An effect as one line.
fn told(effect: &Effect) -> String {
    let mut line = String::new();
    if let Some(moved) = &effect.plan {
        let (from, to) = (moved.source_before.as_str(), moved.source_after.as_str());
        write!(line, "{} by {from} > {} by {to};", moved.before, moved.after).unwrap();
    }
    let count = |limit: Limit| limit.count().map_or("-".to_owned(), |count| count.to_string());
    for (sign, keys) in [("+", &effect.gained), ("-", &effect.lost)] {
        for key in keys {
            write!(line, " {sign}{key}").unwrap();
        }
    }
    for (sign, moves) in [("^", &effect.raised), ("v", &effect.lowered)] {
        for moved in moves {
            let (before, after) = (count(moved.before), count(moved.after));
            write!(line, " {sign}{} {before}>{after}", moved.feature).unwrap();
        }
    }
    for over in &effect.exceeded {
        write!(line, " !{} {}/{}", over.feature, over.used, over.limit).unwrap();
    }
    for price in &effect.unpriced {
        write!(line, " ?{price}").unwrap();
    }
    line.trim().to_owned()
}

fn compare(scenario: &str, changes: &[(&str, &str)], at: &str, uses: &[Use]) -> String {
    let (today, facts) = read(scenario);
    let proposed = changed(&today.name, changes);
    told(&what_if(&facts, &today, &proposed, time(at), uses))
}

fn metered(feature: &str, period_start: &str, quantity: u64) -> Use {
    let period_start = Some(time(period_start));
    Use { feature: FeatureKey::parse(feature).unwrap(), period_start, quantity }
}

fn held(feature: &str, quantity: u64) -> Use {
    Use { feature: FeatureKey::parse(feature).unwrap(), period_start: None, quantity }
}

const PREMIUM: &str = "sub s premium active @0d";

#[test]
fn the_same_catalog_changes_nothing() {
    for scenario in ["unknown", "", PREMIUM, "waiver w elite @0d until=3d", "boosts b 9 @0d"] {
        let (today, facts) = read(scenario);
        let uses = [held("max_members", 10_000_000)];
        let effect = what_if(&facts, &today, &today, time("1d"), &uses);
        assert!(effect.is_none(), "{scenario}: {effect:?}");
    }
}

#[test]
fn features_and_limits_move_with_the_plan_that_has_them() {
    let less = [("    \"weekly_digest\",\n", ""), ("max_members = 1000", "max_members = 600")];
    assert_eq!(compare(PREMIUM, &less, "1d", &[]), "-weekly_digest vmax_members 1000>600");
    assert_eq!(compare("", &less, "1d", &[]), "", "the default plan has neither");
    let more = [
        ("features = [\"basic_tgr\"", "features = [\"white_label\", \"basic_tgr\""),
        ("max_members = 25", "max_members = 30"),
    ];
    assert_eq!(compare("", &more, "1d", &[]), "+white_label ^max_members 25>30");
    let unlimited = [("max_members = 7500", "max_members = \"unlimited\"")];
    let elite = "grant g elite @0d until=3d";
    assert_eq!(compare(elite, &unlimited, "1d", &[]), "^max_members 7500>-");
    assert_eq!(compare(elite, &unlimited, "3d", &[]), "", "the grant has ended by then");
}

#[test]
fn a_plan_that_goes_away_takes_its_accounts_with_it() {
    let renamed =
        [("id = \"premium\"", "id = \"plus\""), ("plan = \"premium\"", "plan = \"plus\"")];
    let features = "-member_limit_1000 -member_limit_500 -nine_tier_system -position_alerts \
        -score_badge -stats_leaderboard -weekly_digest vmax_members 1000>25";
    assert_eq!(
        compare(PREMIUM, &renamed, "1d", &[]),
        format!("premium by subscription > starter by default; {features} ?price_premium")
    );
    assert_eq!(
        compare("waiver w premium @0d", &renamed, "1d", &[]),
        format!("premium by waiver > starter by default; {features}"),
        "no price was lost: a waiver names the plan itself"
    );
    let canceled = "sub s premium canceled @0d";
    assert_eq!(compare(canceled, &renamed, "1d", &[]), "", "it gave nothing anyway");
}

#[test]
fn past_sales_stay_whatever_is_proposed() {
    let (today, mut facts) = read("catalog levels\nbuy c pro paid=0d amount=19000");
    for purchase in facts.purchases.values_mut() {
        purchase.sales = crate::sale::sales(purchase, &today);
    }
    let effect = |changes: &[(&str, &str)], at| {
        what_if(&facts, &today, &changed("levels", changes), time(at), &[])
    };
    for (from, to, kept) in [
        ("one_time = 19000", "one_time = 24000", 1),
        ("grant_days = 365", "grant_days = 30", 1),
        ("name = \"PRO\"", "name = \"Pro\"", 0),
    ] {
        let effect = effect(&[(from, to)], "40d");
        assert!(effect.is_none(), "{to}: {effect:?}");
        assert_eq!((effect.kept_sales, effect.lost_grants.len()), (kept, 0), "{to}");
    }
    let over = effect(&[("grant_days = 365", "grant_days = 30")], "366d");
    assert_eq!(over.kept_sales, 0, "it ended");
    let renamed = effect(&[("id = \"pro\"", "id = \"plus\"")], "40d");
    assert_eq!(renamed.plan.unwrap().after.as_str(), "plus");
    assert!(renamed.lost_grants.is_empty());
    let lower = [("rank = 2", "rank = 9"), ("id = \"pro\"", "id = \"plus\"")];
    let lost = effect(&lower, "40d");
    assert_eq!(lost.lost_grants, [PlanId::parse("pro").unwrap()]);
    assert_eq!(lost.plan.as_ref().unwrap().after.as_str(), "trial");
    let mut summary = Summary::new(1);
    summary.add(&AccountId::parse("a").unwrap(), &lost);
    assert_eq!((summary.kept_sales, summary.lost_grants[&PlanId::parse("pro").unwrap()]), (1, 1));
}

#[test]
fn only_what_is_newly_over_a_limit_counts() {
    let lower = [("max_members = 1000", "max_members = 600")];
    let with = |members| compare(PREMIUM, &lower, "1d", &[held("max_members", members)]);
    assert_eq!(with(600), "vmax_members 1000>600");
    assert_eq!(with(601), "vmax_members 1000>600 !max_members 601/600");
    assert_eq!(with(1001), "vmax_members 1000>600", "it is over today's limit already");
}

#[test]
fn metered_uses_count_in_their_own_period_alone() {
    let fewer = [("analyses = 100", "analyses = 40")];
    let pro = "catalog propiq\nsub s pro active @0d";
    let with = |start, used| compare(pro, &fewer, "40d", &[metered("analyses", start, used)]);
    assert_eq!(with("31d", 41), "vanalyses 100>40 !analyses 41/40");
    assert_eq!(with("31d", 40), "vanalyses 100>40");
    assert_eq!(with("0d", 99), "vanalyses 100>40", "last month is over");
    // Counted by billing period, the month's count says nothing of it.
    let other = [("analyses = 100", "analyses = 40"), ("calendar_month", "billing_period")];
    let paid = "catalog propiq\nsub s pro active @0d period=10d..41d";
    let uses = [metered("analyses", "31d", 99), metered("analyses", "10d", 41)];
    assert_eq!(compare(paid, &other, "40d", &uses), "vanalyses 100>40 !analyses 41/40");
    assert_eq!(compare(paid, &other, "40d", &uses[..1]), "vanalyses 100>40");
}

#[test]
fn a_feature_that_is_gone_exceeds_while_it_is_used() {
    let gone = [("quotas = { analyses = 5 }", "")];
    let uses = [metered("analyses", "0d", 2)];
    assert_eq!(compare("catalog propiq", &gone, "1d", &uses), "-analyses !analyses 2/0");
    assert_eq!(compare("catalog propiq", &gone, "1d", &[]), "-analyses");
}

#[test]
fn overrides_hold_under_any_catalog() {
    let less = [("max_members = 1000", "max_members = 600")];
    let promised = format!("{PREMIUM}\noverride o max_members limit=900 @0d until=2d");
    assert_eq!(compare(&promised, &less, "1d", &[]), "");
    assert_eq!(compare(&promised, &less, "2d", &[]), "vmax_members 1000>600");
}

#[test]
fn a_summary_counts_all_and_keeps_the_first_few() {
    let (today, facts) = read(PREMIUM);
    let (_, nothing) = read("");
    let proposed = changed(
        "sietch",
        &[("    \"weekly_digest\",\n", ""), ("max_members = 1000", "max_members = 2000")],
    );
    let mut summary = Summary::new(2);
    for number in 0..5 {
        let account = AccountId::parse(&format!("a{number}")).unwrap();
        let one = |facts| what_if(facts, &today, &proposed, time("1d"), &[]);
        summary.add(&account, &one(&facts));
        summary.add(&account, &one(&nothing));
    }
    assert_eq!((summary.accounts, summary.changed), (10, 5));
    assert_eq!((summary.gaining.accounts, summary.losing.accounts), (5, 5));
    let samples: Vec<&str> =
        summary.losing.samples.iter().map(|sample| sample.account.as_str()).collect();
    assert_eq!(samples, ["a0", "a1"]);
    assert_eq!(summary.exceeding, Tally::default());
    let digest = summary.features.get("weekly_digest").copied().unwrap();
    assert_eq!(digest, FeatureTally { lost: 5, ..FeatureTally::default() });
    assert_eq!(summary.features.get("max_members").unwrap().raised, 5);
    assert!(summary.moves.is_empty());
    let mut many = Summary::new(usize::MAX);
    for number in 0..=summary::SAMPLES_MAX {
        let account = AccountId::parse(&format!("a{number}")).unwrap();
        many.add(&account, &what_if(&facts, &today, &proposed, time("1d"), &[]));
    }
    assert_eq!(many.losing.samples.len(), summary::SAMPLES_MAX);
}

#[test]
fn a_summary_counts_moves_and_lost_prices() {
    let (today, facts) = read(PREMIUM);
    let proposed = changed(
        "sietch",
        &[("id = \"premium\"", "id = \"plus\""), ("plan = \"premium\"", "plan = \"plus\"")],
    );
    let mut summary = Summary::new(1);
    for name in ["a", "b"] {
        let effect = what_if(&facts, &today, &proposed, time("1d"), &[]);
        summary.add(&AccountId::parse(name).unwrap(), &effect);
    }
    let plan = |id| PlanId::parse(id).unwrap();
    assert_eq!(summary.moves, [((plan("premium"), plan("starter")), 2)].into());
    assert_eq!(summary.unpriced, [(PriceId::parse("price_premium").unwrap(), 2)].into());
}
