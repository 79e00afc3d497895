//! Rules of answers as scenarios: facts as text, a question, the answer as one line.

use super::super::resolve::resolve;
use super::super::scenario::{read, text, time};
use super::*;

/// The answer as one line, such as `no usage_limit_reached needs pro limit 5 used 5 until 31d`.
fn ask(scenario: &str, at: &str, feature: &str, requested: u64, used: Option<u64>) -> String {
    let (catalog, facts) = read(scenario);
    let resolution = resolve(&facts, &catalog, time(at));
    let month = crate::catalog::MeterPeriod::CalendarMonth;
    let resets_at = resolution.meter_span(month, time(at)).end;
    let usage = used.map(|used| Usage { used, counted: false, resets_at });
    let answer = answer(&resolution, &catalog, feature, requested, usage).unwrap();
    assert!(answer.message.ends_with('.'), "{}", answer.message);
    let mut words = vec![
        if answer.can_access { "yes" } else { "no" }.to_owned(),
        answer.reason.as_str().to_owned(),
    ];
    if let Some(plan) = answer.required_plan {
        words.push(format!("needs {}", catalog.plan(plan).unwrap().id));
    }
    match answer.limit {
        Some(Limit::Count(count)) => words.push(format!("limit {count}")),
        Some(Limit::Unlimited) => words.push("unlimited".to_owned()),
        None => {}
    }
    words.extend(answer.usage.map(|usage| format!("used {usage}")));
    words.extend(answer.override_id.map(|id| format!("override {id}")));
    words.extend(answer.valid_until.map(|until| format!("until {}", text(until))));
    words.join(" ")
}

fn check(scenario: &str, feature: &str, expected: &str) {
    assert_eq!(ask(scenario, "10d", feature, 1, None), expected, "{feature} in\n{scenario}");
}

#[test]
fn each_source_gives_its_own_reason() {
    for (scenario, expected) in [
        ("waiver w premium @0d", "yes granted_by_waiver"),
        ("sub s premium active @0d", "yes granted_by_subscription"),
        ("sub s premium trialing @0d", "yes granted_by_subscription"),
        ("boosts b 7 @0d", "yes granted_by_boost"),
        ("grant g premium @0d until=20d", "yes granted_by_grant until 20d"),
        ("sub s premium past_due @9d12h", "yes granted_by_grace until 10d12h"),
        ("override o weekly_digest on @0d", "yes granted_by_override override o"),
        ("unknown\noverride o weekly_digest on @0d", "yes granted_by_override override o"),
    ] {
        check(scenario, "weekly_digest", expected);
    }
    check("", "basic_tgr", "yes granted_by_default_plan");
    check("unknown", "basic_tgr", "yes account_unknown");
}

#[test]
fn a_denial_gives_the_first_reason_that_holds() {
    let overdue = "sub o premium past_due @1d";
    let canceled = "sub c premium canceled @1d";
    let expired = "waiver w premium @0d until=1d";
    for (lines, expected) in [
        (vec![], "no feature_not_in_plan needs premium"),
        (vec!["waiver w premium @0d revoked=1d"], "no feature_not_in_plan needs premium"),
        (vec!["sub p premium paused @1d"], "no feature_not_in_plan needs premium"),
        (vec!["sub i premium incomplete @1d"], "no feature_not_in_plan needs premium"),
        (vec![expired], "no waiver_expired needs premium"),
        (vec![expired, canceled], "no subscription_canceled needs premium"),
        (vec!["sub e premium active @1d cancel_at=5d"], "no subscription_canceled needs premium"),
        (vec![expired, canceled, overdue], "no payment_past_due needs premium"),
        (vec!["sub u premium unpaid @1d"], "no payment_past_due needs premium"),
        (vec!["sub t premium trialing @1d trial=5d"], "no payment_past_due needs premium"),
        // What was lost must have had the feature.
        (vec!["sub c basic canceled @1d"], "no feature_not_in_plan needs premium"),
        (vec![overdue, "unknown"], "no account_unknown needs premium"),
        (vec![overdue, "override o weekly_digest off @0d"], "no denied_by_override override o"),
        (
            vec!["waiver w elite @0d", "override o weekly_digest off @0d until=20d"],
            "no denied_by_override override o until 20d",
        ),
    ] {
        check(&lines.join("\n"), "weekly_digest", expected);
    }
    check("", "white_label", "no feature_not_in_plan needs enterprise");
}

#[test]
fn limits_say_how_much_there_may_be() {
    let members = |scenario, requested| ask(scenario, "10d", "max_members", requested, None);
    assert_eq!(members("", 25), "yes granted_by_default_plan limit 25");
    assert_eq!(members("", 26), "no usage_limit_reached needs basic limit 25");
    assert_eq!(members("", 600), "no usage_limit_reached needs premium limit 25");
    assert_eq!(members("", 8000), "no usage_limit_reached needs enterprise limit 25");
    assert_eq!(members("waiver w enterprise @0d", u64::MAX), "yes granted_by_waiver unlimited");
    assert_eq!(
        members("override o max_members limit=30 @0d", 30),
        "yes granted_by_override limit 30 override o"
    );
    assert_eq!(
        members("override o max_members limit=30 @0d", 31),
        "no usage_limit_reached limit 30 override o"
    );
}

#[test]
fn metered_features_count_what_was_used() {
    let analyses = |scenario: &str, requested, used| {
        ask(&format!("catalog propiq\n{scenario}"), "10d", "analyses", requested, used)
    };
    assert_eq!(analyses("", 1, Some(4)), "yes granted_by_default_plan limit 5 used 4 until 31d");
    assert_eq!(
        analyses("", 1, Some(5)),
        "no usage_limit_reached needs starter limit 5 used 5 until 31d"
    );
    assert_eq!(
        analyses("", 2, Some(4)),
        "no usage_limit_reached needs starter limit 5 used 4 until 31d"
    );
    assert_eq!(analyses("", 0, Some(5)), "yes granted_by_default_plan limit 5 used 5 until 31d");
    assert_eq!(analyses("", 1, None), "yes granted_by_default_plan limit 5");
    assert_eq!(
        analyses("", 30, Some(5)),
        "no usage_limit_reached needs pro limit 5 used 5 until 31d"
    );
    assert_eq!(
        analyses("sub s pro active @0d cancel_at=20d", 1, Some(99)),
        "yes granted_by_subscription limit 100 used 99 until 20d"
    );
    assert_eq!(
        analyses("sub s elite active @0d", u64::MAX, Some(99)),
        "yes granted_by_subscription unlimited used 99 until 31d"
    );
    // A count is nothing to a feature that is not metered.
    assert_eq!(ask("", "10d", "basic_tgr", 5, Some(9)), "yes granted_by_default_plan");
}

#[test]
fn units_that_were_counted_are_not_asked_for_again() {
    let (catalog, facts) = read("catalog propiq");
    let resolution = resolve(&facts, &catalog, time("10d"));
    for (used, requested) in [(1, 1), (5, 1), (5, 5)] {
        let usage = Usage { used, counted: true, resets_at: time("31d") };
        let answer = answer(&resolution, &catalog, "analyses", requested, Some(usage)).unwrap();
        assert_eq!((answer.can_access, answer.usage), (true, Some(used)));
    }
}

#[test]
fn a_feature_that_is_not_in_the_catalog_is_refused() {
    let (catalog, facts) = read("");
    let resolution = resolve(&facts, &catalog, time("0d"));
    let error = answer(&resolution, &catalog, &"x".repeat(500), 1, None).unwrap_err();
    assert_eq!(error.feature.len(), 80);
}

#[test]
fn messages_are_sentences_for_people() {
    let message = |scenario: &str, feature: &str, used: Option<u64>| {
        let (catalog, facts) = read(scenario);
        let resolution = resolve(&facts, &catalog, time("10d"));
        let usage = used.map(|used| Usage { used, counted: false, resets_at: time("31d") });
        answer(&resolution, &catalog, feature, 1, usage).unwrap().message
    };
    for (scenario, feature, used, expected) in [
        ("", "weekly_digest", None, "Weekly digest needs Premium; this account has Starter."),
        ("sub s premium active @0d", "weekly_digest", None, "Premium includes Weekly digest."),
        (
            "unknown",
            "weekly_digest",
            None,
            "This account is not known; Weekly digest needs Premium.",
        ),
        (
            "unknown",
            "basic_tgr",
            None,
            "This account is not known; Starter, which everyone has, includes Token-gated roles.",
        ),
        (
            "sub s premium past_due @1d",
            "weekly_digest",
            None,
            "A payment is overdue; Weekly digest comes back once it is paid.",
        ),
        (
            "sub s premium canceled @1d",
            "weekly_digest",
            None,
            "The subscription that included Weekly digest has ended; Weekly digest needs Premium.",
        ),
        ("catalog propiq", "analyses", Some(5), "5 of 5 Property analyses are used."),
    ] {
        assert_eq!(message(scenario, feature, used), expected);
    }
}
