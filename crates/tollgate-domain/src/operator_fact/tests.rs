//! Granting, revoking and expiring, as scripts: what each line does and what is told of it.

use super::*;
use crate::entitlement::scenario::{read, text, time};
use crate::ids::AccountId;

/// What a line asks to be granted, with terms that are acceptable.
fn asked(words: &[&str], catalog: &Catalog) -> Result<NewOperatorFact, GrantRefusal> {
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let plan = |id: &str| PlanId::parse(id).unwrap();
    let effect = match *words {
        ["waiver", _, id, ..] if !id.contains('=') => Effect::waiver(Some(plan(id)), catalog)?,
        ["waiver", ..] => Effect::waiver(None, catalog)?,
        ["grant", _, id, ..] => Effect::Grant { plan: plan(id) },
        ["boosts", _, count, ..] => Effect::Boost { member: None, count: count.parse().unwrap() },
        ["override", _, feature, what, ..] => Effect::Override {
            feature: FeatureKey::parse(feature).unwrap(),
            what: match what {
                "on" => OverrideEffect::On,
                "off" => OverrideEffect::Off,
                limit => OverrideEffect::Limit(limit.parse().ok()),
            },
        },
        _ => panic!("what is {words:?}?"),
    };
    Ok(NewOperatorFact {
        id: FactId::parse(words[1]).unwrap(),
        effect,
        reason: "  partner of the house ".to_owned(),
        granted_by: " paul".to_owned(),
        expires_at: value("until").map(time),
        internal_notes: None,
    })
}

/// What a decision tells, such as `waiver.granted of wv_1 by paul @1d: … (plan=basic)`; the type of
/// the billing event where it is another one than the journal's.
fn told(decision: &Decision) -> String {
    let all = decision.journal.iter().map(|entry| {
        let event = entry.billing.as_ref().expect("consumers are told of it");
        let by = match &entry.actor {
            Actor::Person(name) => name.as_str(),
            Actor::System => "nobody",
            Actor::Stripe(_) => "Stripe",
        };
        let kinds = if entry.kind == event.kind.as_str() {
            entry.kind.to_owned()
        } else {
            format!("{}/{}", entry.kind, event.kind.as_str())
        };
        let details: Vec<String> =
            entry.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (subject, at) = (&entry.subject, text(entry.occurred_at));
        format!("{kinds} of {subject} by {by} @{at}: {} ({})", event.summary, details.join(", "))
    });
    all.collect::<Vec<_>>().join("; ")
}

/// Plays lines such as `1d revoke wv_1 jessica was_a_mistake` for the account `acme`; the account at
/// the end, and what each line tells, or why it is refused.
fn play(script: &str) -> (Facts, Vec<String>) {
    let (catalog, _) = read("");
    let mut facts = Facts::unknown(AccountId::parse("acme").unwrap());
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut results = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = time(words[0]);
        let id = || FactId::parse(words[2]).unwrap();
        let decided = match words[1..] {
            ["revoke", _, by, ..] => {
                let reason = words.get(4).map(|reason| reason.replace('_', " "));
                revoke(&facts, &id(), by, reason.as_deref(), now).map_err(|error| error.to_string())
            }
            ["expire", _] => expire(&facts, &id(), now).ok_or_else(|| "nothing".to_owned()),
            _ => asked(&words[1..], &catalog)
                .and_then(|new| grant(&facts, new, &catalog, now))
                .map_err(|error| error.to_string()),
        };
        results.push(decided.as_ref().map_or_else(Clone::clone, told));
        for change in decided.iter().flat_map(|decision| &decision.changes) {
            facts.apply(change);
        }
    }
    (facts, results)
}

fn expect(script: &str, expected: &[&str]) {
    assert_eq!(play(script).1, expected, "{script}");
}

#[test]
fn each_kind_is_granted_revoked_and_expired_under_its_own_names() {
    const ACCOUNT: &str = "account.created of acme by paul @0d: Account created ()";
    const WHY: &str = "reason=partner of the house, until=2026-01-08T00:00:00Z";
    for (asked, granted, revoked, expired) in [
        (
            "waiver x",
            "waiver.granted of x by paul @0d: Waiver of Enterprise granted (plan=enterprise, WHY)",
            "waiver.revoked of x by ann @1d: Waiver revoked (plan=enterprise, reason=a mistake)",
            "waiver.expired of x by nobody @7d: Waiver expired (plan=enterprise)",
        ),
        (
            "waiver x premium",
            "waiver.granted of x by paul @0d: Waiver of Premium granted (plan=premium, WHY)",
            "waiver.revoked of x by ann @1d: Waiver revoked (plan=premium, reason=a mistake)",
            "waiver.expired of x by nobody @7d: Waiver expired (plan=premium)",
        ),
        (
            "grant x premium",
            "grant.created of x by paul @0d: Premium granted (plan=premium, WHY)",
            "grant.revoked of x by ann @1d: Grant revoked (plan=premium, reason=a mistake)",
            "grant.expired of x by nobody @7d: Grant expired (plan=premium)",
        ),
        (
            "boosts x 3",
            "boost.given/boost.purchased of x by paul @0d: 3 boosts given (count=3, WHY)",
            "boost.revoked/boost.canceled of x by ann @1d: 3 given boosts revoked \
                (count=3, reason=a mistake)",
            "boost.expired/boost.canceled of x by nobody @7d: 3 given boosts expired (count=3)",
        ),
        (
            "override x basic_tgr off",
            "override.set of x by paul @0d: Token-gated roles set to off \
                (effect=off, feature=basic_tgr, WHY)",
            "override.removed of x by ann @1d: Override of basic_tgr removed \
                (feature=basic_tgr, reason=a mistake)",
            "override.expired/override.removed of x by nobody @7d: Override of basic_tgr expired \
                (feature=basic_tgr)",
        ),
    ] {
        let grants = format!("0d {asked} until=7d");
        let granted = format!("{ACCOUNT}; {}", granted.replace("WHY", WHY));
        expect(&format!("{grants}\n1d revoke x ann a_mistake"), &[&granted, revoked]);
        expect(&format!("{grants}\n9d expire x"), &[&granted, expired]);
        let (facts, _) = play(&grants);
        let fact = facts.operator_facts.values().next().unwrap();
        assert!(facts.known);
        assert_eq!(
            (fact.terms.reason.as_str(), fact.terms.granted_by.as_str()),
            ("partner of the house", "paul")
        );
    }
}

#[test]
fn unacceptable_terms_are_refused_for_every_kind() {
    type Edit = fn(&mut NewOperatorFact);
    let (catalog, facts) = read("");
    let now = time("0d");
    let bad: [(Edit, TermsRefusal); 7] = [
        (|new| new.reason = "too short".to_owned(), TermsRefusal::Reason { chars: 9 }),
        (|new| new.reason = format!("  {}  ", "y".repeat(9)), TermsRefusal::Reason { chars: 9 }),
        (|new| new.reason = "x".repeat(501), TermsRefusal::Reason { chars: 501 }),
        (|new| new.internal_notes = Some("n".repeat(1001)), TermsRefusal::Notes { chars: 1001 }),
        (|new| new.granted_by = " ".to_owned(), TermsRefusal::Actor { chars: 0 }),
        (|new| new.granted_by = "p".repeat(129), TermsRefusal::Actor { chars: 129 }),
        (|new| new.expires_at = Some(time("0d")), TermsRefusal::Expiry { expires_at: now, now }),
    ];
    let good: [Edit; 4] = [
        |new| new.reason = "é".repeat(10),
        |new| new.reason = "x".repeat(500),
        |new| new.internal_notes = Some("n".repeat(1000)),
        |new| new.expires_at = Some(time("1ms")),
    ];
    for line in ["waiver x", "grant x basic", "boosts x 1", "override x max_members 7"] {
        let granted = |edit: Edit| {
            let words: Vec<&str> = line.split(' ').collect();
            let mut new = asked(&words, &catalog).unwrap();
            edit(&mut new);
            grant(&facts, new, &catalog, now)
        };
        for (edit, refusal) in &bad {
            assert_eq!(granted(*edit), Err(refusal.clone().into()), "{line}");
        }
        for edit in good {
            assert!(granted(edit).is_ok(), "{line}");
        }
    }
}

#[test]
fn what_the_catalog_lacks_or_excludes_is_refused() {
    for (asked, refusal) in [
        ("waiver x imaginary", "the catalog has no plan imaginary"),
        ("grant x gold", "the catalog has no plan gold"),
        ("boosts x 0", "1 to 100 boosts can be given at once, not 0"),
        ("boosts x 101", "1 to 100 boosts can be given at once, not 101"),
        ("boosts x 4294967295", "1 to 100 boosts can be given at once, not 4294967295"),
        ("override x levitation on", "the catalog has no feature levitation"),
        ("override x basic_tgr 3", "basic_tgr is on or off and has no limit to set"),
        ("override x basic_tgr unlimited", "basic_tgr is on or off and has no limit to set"),
    ] {
        expect(&format!("0d {asked}"), &[refusal]);
    }
    for asked in ["boosts x 1", "boosts x 100", "override x max_members unlimited"] {
        let (facts, told) = play(&format!("0d {asked}"));
        assert_eq!(facts.operator_facts.len(), 1, "{told:?}");
    }
}

#[test]
fn an_id_is_given_once() {
    for second in ["waiver x", "grant x basic", "boosts x 1", "override x basic_tgr on"] {
        let (facts, told) = play(&format!("0d grant x premium\n1d {second}"));
        assert_eq!(told[1], "x exists already");
        let plan = PlanId::parse("premium").unwrap();
        assert_eq!(facts.operator_facts["x"].effect, Effect::Grant { plan });
    }
}

#[test]
fn at_most_one_waiver_is_in_force() {
    let second = |when: &str| {
        let (facts, told) = play(&format!("0d waiver wv_1 until=7d\n{when} waiver wv_2"));
        let held =
            facts.waiver_in_force(time(when)).map(|(fact, plan)| format!("{} {plan}", fact.id));
        (told[1].starts_with("waiver.granted"), held.unwrap())
    };
    assert_eq!(second("0d"), (false, "wv_1 enterprise".to_owned()));
    assert_eq!(second("6d23h59m59s999ms"), (false, "wv_1 enterprise".to_owned()));
    assert_eq!(second("7d"), (true, "wv_2 enterprise".to_owned()), "the first has just ended");
    let (_, told) = play("0d waiver wv_1\n0d waiver wv_2 basic");
    assert_eq!(told[1], "waiver wv_1 is in force; take it back first");
    let (facts, told) = play("0d waiver wv_1\n1d revoke wv_1 ann\n1d waiver wv_2 basic");
    assert!(told[2].starts_with("waiver.granted of wv_2"), "{told:?}");
    assert_eq!(facts.operator_facts.len(), 2, "what was revoked stays on record");
    let (_, told) =
        play("0d grant gr_1 elite\n0d grant gr_2 elite\n0d boosts bo_1 3\n0d boosts bo_2 3");
    assert!(!told.iter().any(|line| line.contains("in force")), "{told:?}");
}

#[test]
fn a_new_override_of_a_feature_takes_the_place_of_the_old_one() {
    let (facts, told) = play(
        "
        0d override ov_1 basic_tgr on
        1h override ov_2 basic_tgr off
        1h override ov_3 max_members 7
        ",
    );
    assert!(told[1].starts_with("override.set of ov_2") && !told[1].contains("ov_1"), "{told:?}");
    let in_force: Vec<_> = facts
        .overrides()
        .filter(|(fact, ..)| fact.in_force(time("1h")))
        .map(|(fact, _, what)| (fact.id.as_str(), what))
        .collect();
    assert_eq!(in_force, [("ov_2", OverrideEffect::Off), ("ov_3", OverrideEffect::Limit(Some(7)))]);
    let replaced = facts.operator_facts["ov_1"].revocation.clone();
    let (at, by) = (time("1h"), "paul".to_owned());
    assert_eq!(replaced, Some(Revocation { at, by, reason: Some("replaced by ov_2".to_owned()) }));
    let (facts, _) = play("0d override ov_1 basic_tgr on until=1d\n1d override ov_2 basic_tgr off");
    assert_eq!(facts.operator_facts["ov_1"].revocation, None, "it had ended by itself");
}

#[test]
fn what_was_given_is_revoked_once_and_stays_on_record() {
    for asked in ["waiver x", "grant x basic", "boosts x 3", "override x basic_tgr on"] {
        let given = format!("0d {asked} until=7d");
        for (more, refusal) in [
            ("1d revoke y ann", "the account has no y"),
            ("7d revoke x ann", "x ended at 2026-01-08T00:00:00Z already"),
            (
                "1h revoke x ann\n2h revoke x ann",
                "x was taken back at 2026-01-01T01:00:00Z already",
            ),
            (
                "1h revoke x ann\n9d revoke x ann",
                "x was taken back at 2026-01-01T01:00:00Z already",
            ),
            ("1h revoke x ann\n9d expire x", "nothing"),
        ] {
            let (_, told) = play(&format!("{given}\n{more}"));
            assert_eq!(told.last().unwrap(), refusal, "{asked}, {more}");
        }
        let (facts, _) = play(&format!("{given}\n1h revoke x ann _"));
        let fact = &facts.operator_facts["x"];
        let (at, by) = (time("1h"), "ann".to_owned());
        assert_eq!(
            fact.revocation,
            Some(Revocation { at, by, reason: None }),
            "blank is no reason"
        );
        assert_eq!((fact.in_force(at), fact.ends_at()), (false, None));
        let (facts, _) = play(&given);
        let revoked = |by: &str, reason: &str| revoke(&facts, &fact.id, by, Some(reason), at);
        let refused = |refusal: TermsRefusal| Err(refusal.into());
        assert_eq!(revoked(" ", ""), refused(TermsRefusal::Actor { chars: 0 }));
        assert_eq!(revoked("ann", &"x".repeat(501)), refused(TermsRefusal::Reason { chars: 501 }));
    }
}

#[test]
fn an_end_is_told_once_at_its_instant() {
    for asked in ["waiver x", "grant x basic", "boosts x 3", "override x basic_tgr on"] {
        let script = format!(
            "
            0d {asked} until=7d
            6d23h59m59s999ms expire x
            10d expire x
            11d expire x
            11d expire y
            "
        );
        let (facts, told) = play(&script);
        assert_eq!(
            (told[1].as_str(), &told[3..]),
            ("nothing", &["nothing".to_owned(), "nothing".to_owned()][..])
        );
        assert!(told[2].contains("of x by nobody @7d"), "{}", told[2]);
        assert_eq!(facts.operator_facts["x"].told.len(), 1);
    }
    expect("0d grant x basic\n9d expire x", &[&play("0d grant x basic").1[0], "nothing"]);
}
