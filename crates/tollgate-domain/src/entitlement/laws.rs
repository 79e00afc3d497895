//! Laws that hold for all facts, tested on random ones.

use proptest::prelude::*;

use super::resolve::{grace_windows, resolve};
use super::scenario::{read, time};
use super::timeline::timeline;
use super::{Considered, ReasonCode, Resolution, SourceKind, Standing, answer};
use crate::catalog::Catalog;
use crate::facts::Facts;
use crate::time::Timestamp;

const PLANS: [&str; 6] = ["starter", "basic", "premium", "exclusive", "elite", "enterprise"];

/// An instant in the first days, on a coarse grid so that instants coincide now and then.
fn when() -> impl Strategy<Value = String> {
    (0..24_u32, prop_oneof![4 => Just(0_u32), 1 => 0..23_u32])
        .prop_map(|(day, hour)| format!("{day}d{hour}h"))
}

fn maybe(key: &'static str) -> impl Strategy<Value = String> {
    prop::option::of(when())
        .prop_map(move |at| at.map_or(String::new(), |at| format!("{key}={at}")))
}

fn plan() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PLANS.to_vec())
}

fn subscription_line() -> impl Strategy<Value = String> {
    let id = prop::sample::select(vec!["s1", "s2", "s3"]);
    let item = prop_oneof![
        3 => plan().prop_map(str::to_owned),
        2 => (1..20_u32).prop_map(|count| format!("boost*{count}")),
        1 => Just("mystery".to_owned()),
        1 => (plan(), 1..9_u32).prop_map(|(plan, count)| format!("{plan},boost*{count}")),
    ];
    let status = prop::sample::select(vec![
        "active",
        "active",
        "active",
        "trialing",
        "past_due",
        "past_due",
        "unpaid",
        "paused",
        "incomplete",
        "canceled",
        "frozen",
    ]);
    (id, item, status, when(), maybe("cancel_at"), maybe("trial"), (when(), any::<bool>()))
        .prop_map(|(id, item, status, at, cancel_at, trial, (end, quits))| {
            let quits = if quits { "quits" } else { "" };
            format!("sub {id} {item} {status} @{at} {cancel_at} {trial} {quits} period=0d..{end}")
        })
}

fn own_line() -> impl Strategy<Value = String> {
    (0..4_u32, 0..4_u32, plan(), 1..20_u32, when(), maybe("until"), maybe("revoked")).prop_map(
        |(kind, id, plan, count, at, until, revoked)| match kind {
            0 => format!("waiver w{id} {plan} @{at} {until} {revoked}"),
            1 => format!("grant g{id} {plan} @{at} {until} {revoked}"),
            2 => format!("boosts b{id} {count} @{at} {until} {revoked}"),
            _ => format!("override o{id} max_members limit={count} @{at} {until} {revoked}"),
        },
    )
}

fn payment_line() -> impl Strategy<Value = String> {
    let status = prop::sample::select(vec!["open", "open", "paid", "void", "uncollectible"]);
    (0..3_u32, status, when(), when(), when()).prop_map(|(id, status, at, first, second)| {
        format!("invoice i{id}{at} s{} {status} @{at} fails={first},{second} created=0d", id + 1)
    })
}

fn facts_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![4 => subscription_line(), 3 => own_line(), 2 => payment_line()];
    prop::collection::vec(line, 0..10).prop_map(|lines| lines.join("\n"))
}

/// Everything of a resolution but the instant and the explanation.
fn shape(resolution: &Resolution) -> Resolution {
    Resolution {
        at: Timestamp::MIN,
        valid_until: None,
        told_until: None,
        considered: Vec::new(),
        overrides: Vec::new(),
        ..resolution.clone()
    }
}

/// What is known at `at`, as a reader of that instant sees it.
fn known_at(scenario: &str, at: &str) -> (Catalog, Facts) {
    let (catalog, facts) = read(scenario);
    let facts = facts.as_of(time(at));
    (catalog, facts)
}

fn in_order(one: &Considered, next: &Considered) -> bool {
    (next.counts(), next.plan) <= (one.counts(), one.plan)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn valid_until_is_exact_to_the_millisecond(scenario in facts_text(), at in when()) {
        let (catalog, facts) = known_at(&scenario, &at);
        let mut now = resolve(&facts, &catalog, time(&at));
        // Follow time to the last change.
        for _ in 0..40 {
            let Some(until) = now.valid_until else { break };
            prop_assert!(until > now.at, "validity ends after it began");
            let middle = Timestamp::from_millis(i64::midpoint(now.at.millis(), until.millis()));
            for still in [middle, until.plus_ms(-1)] {
                let same = resolve(&facts, &catalog, still);
                prop_assert_eq!(shape(&same), shape(&now));
                prop_assert_eq!(same.valid_until, now.valid_until);
            }
            let next = resolve(&facts, &catalog, until);
            prop_assert_ne!(shape(&next), shape(&now));
            now = next;
        }
        if now.valid_until.is_none() {
            prop_assert_eq!(shape(&resolve(&facts, &catalog, now.at.plus_days(4000))), shape(&now));
        }
    }

    #[test]
    fn without_news_the_plan_only_falls(scenario in facts_text(), at in when(), days in 0..60_i64) {
        let (catalog, facts) = known_at(&scenario, &at);
        let now = resolve(&facts, &catalog, time(&at));
        let later = resolve(&facts, &catalog, time(&at).plus_days(days));
        prop_assert!(later.plan <= now.plan);
    }

    #[test]
    fn a_waiver_or_a_grant_never_lowers(
        scenario in facts_text(), at in when(), plan in plan(), kind in prop::sample::select(vec!["waiver", "grant"]),
    ) {
        let (catalog, facts) = read(&scenario);
        let (_, more) = read(&format!("{scenario}\n{kind} added {plan} @0d"));
        let without = resolve(&facts, &catalog, time(&at));
        let with = resolve(&more, &catalog, time(&at));
        let (given, _) = catalog.find_plan(plan).unwrap();
        prop_assert_eq!(with.plan, without.plan.max(given));
        for (key, allowance) in without.allowances.iter() {
            let kept = with.allowances.get(key);
            prop_assert!(kept.is_some(), "{} of {:?} is gone", key, allowance);
        }
    }

    #[test]
    fn the_explanation_agrees_with_the_outcome(scenario in facts_text(), at in when()) {
        let (catalog, facts) = read(&scenario);
        let now = resolve(&facts, &catalog, time(&at));
        let winner = now.considered.first().unwrap();
        prop_assert!(winner.counts());
        prop_assert_eq!(winner.plan, Some(now.plan));
        prop_assert_eq!((winner.kind, &winner.id), (now.source, &now.source_id));
        prop_assert_eq!(winner.standing == Standing::InGrace, now.in_grace);
        for (one, next) in now.considered.iter().zip(now.considered.iter().skip(1)) {
            prop_assert!(in_order(one, next), "{:?} before {:?}", one, next);
        }
        for source in &now.considered {
            prop_assert!(!source.note.is_empty());
            prop_assert!(source.until.is_none_or(|until| source.counts() && until > now.at));
        }
        for (feature, id) in &now.overridden {
            let considered = now.overrides.iter().find(|set| set.id == *id).unwrap();
            prop_assert_eq!(considered.standing, Standing::InForce);
            prop_assert_eq!(considered.sets, now.allowances.get(feature).copied());
        }
    }

    #[test]
    fn answers_agree_with_the_allowances(scenario in facts_text(), at in when(), requested in 0..3000_u64) {
        let (catalog, facts) = read(&scenario);
        let now = resolve(&facts, &catalog, time(&at));
        for key in catalog.features.keys() {
            let answer = answer::answer(&now, &catalog, key.as_str(), requested, None).unwrap();
            let denied_words = answer.reason >= ReasonCode::FeatureNotInPlan;
            prop_assert_eq!(answer.can_access, !denied_words, "{}", answer.reason.as_str());
            prop_assert!(answer.can_access || answer.required_plan.is_some() || answer.override_id.is_some());
            if let Some(plan) = answer.required_plan {
                prop_assert!(plan > now.plan, "a higher plan is what it takes");
            }
        }
    }

    #[test]
    fn an_account_nobody_spoke_of_has_the_default_plan_whenever(at in when()) {
        let (catalog, facts) = read("unknown");
        let now = resolve(&facts, &catalog, time(&at));
        prop_assert_eq!((now.plan, now.source, now.valid_until), (catalog.default_plan, SourceKind::Default, None));
    }

    #[test]
    fn a_timeline_agrees_with_resolving_each_instant(scenario in facts_text(), now in when(), at in when()) {
        let (catalog, facts) = read(&scenario);
        let (now, at) = (time(&now), time(&at));
        let spans = timeline(&facts, &catalog, time("-1d"), time("60d"), now).spans;
        prop_assert_eq!(spans.first().map(|span| span.from), Some(time("-1d")));
        prop_assert_eq!(spans.last().map(|span| span.to), Some(time("60d")));
        let there = if at < now {
            resolve(&facts.as_of(at), &catalog, at)
        } else {
            resolve(&facts, &catalog, at)
        };
        let span = spans.iter().find(|span| span.from <= at && at < span.to).unwrap();
        prop_assert_eq!(
            (span.plan, span.source, &span.source_id, span.in_grace),
            (there.plan, there.source, &there.source_id, there.in_grace)
        );
        for (one, next) in spans.iter().zip(spans.iter().skip(1)) {
            prop_assert_eq!(one.to, next.from);
            prop_assert_ne!(
                (one.plan, one.source, &one.source_id, one.in_grace),
                (next.plan, next.source, &next.source_id, next.in_grace)
            );
        }
    }

    #[test]
    fn graces_listed_are_the_graces_seen(scenario in facts_text()) {
        let (catalog, facts) = read(&scenario);
        for window in grace_windows(&facts, &catalog) {
            prop_assert!(window.started_at < window.ends_at);
            let id = Some(window.subscription.as_str().to_owned());
            let sources = resolve(&facts, &catalog, window.started_at).considered;
            // Boosts are not a source of their own but part of the level.
            if !sources.iter().any(|source| source.id == id) {
                continue;
            }
            let standing = |at| {
                let resolution = resolve(&facts, &catalog, at);
                let id = Some(window.subscription.as_str().to_owned());
                resolution.considered.into_iter().find(|source| source.id == id).unwrap().standing
            };
            prop_assert_eq!(standing(window.ends_at.plus_ms(-1)), Standing::InGrace);
            prop_assert!(matches!(standing(window.ends_at), Standing::NotInForce(_)));
        }
    }

    #[test]
    fn the_order_of_observations_does_not_matter(scenario in facts_text(), at in when()) {
        let (catalog, facts) = read(&scenario);
        let mut other = facts.clone();
        for subscription in other.subscriptions.values_mut() {
            let states: Vec<_> = subscription.history.drain(..).rev().collect();
            subscription.contenders.clear();
            for state in states {
                subscription.observe(state.clone());
                subscription.remember(state);
            }
        }
        prop_assert_eq!(resolve(&other, &catalog, time(&at)), resolve(&facts, &catalog, time(&at)));
    }
}
