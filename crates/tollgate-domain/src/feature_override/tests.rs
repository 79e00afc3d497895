//! Tests of `feature_override`.

use super::*;
use crate::catalog::builtin;
use crate::ids::AccountId;

fn noon() -> Timestamp {
    Timestamp::parse("2026-11-21T12:00:00Z").unwrap()
}

fn asked(id: &str, feature: &str, effect: OverrideEffect) -> NewOverride {
    NewOverride {
        id: FactId::parse(id).unwrap(),
        feature: FeatureKey::parse(feature).unwrap(),
        effect,
        reason: "agreed in the contract".to_owned(),
        granted_by: "paul".to_owned(),
        expires_at: None,
    }
}

fn applied(mut facts: Facts, decision: &Decision) -> Facts {
    for change in &decision.changes {
        facts.apply(change);
    }
    facts
}

#[test]
fn a_new_override_of_a_feature_takes_the_place_of_the_old_one() {
    let catalog = builtin("sietch").unwrap();
    let facts = Facts::unknown(AccountId::parse("acme").unwrap());
    let on = asked("ov_1", "basic_tgr", OverrideEffect::On);
    let facts = applied(facts.clone(), &set(&facts, on, &catalog, noon()).unwrap());
    let off = asked("ov_2", "basic_tgr", OverrideEffect::Off);
    let other = asked("ov_3", "max_members", OverrideEffect::Limit(Some(7)));
    let later = noon().plus_hours(1);
    let facts = applied(facts.clone(), &set(&facts, off, &catalog, later).unwrap());
    let facts = applied(facts.clone(), &set(&facts, other, &catalog, later).unwrap());
    let in_force: Vec<_> = facts
        .overrides
        .iter()
        .filter(|one| one.revoked.is_none())
        .map(|one| (one.id.as_str(), one.effect))
        .collect();
    assert_eq!(in_force, [("ov_2", OverrideEffect::Off), ("ov_3", OverrideEffect::Limit(Some(7)))]);
    let replaced = facts.overrides[0].revoked.as_ref().unwrap();
    assert_eq!(replaced.reason.as_deref(), Some("replaced by ov_2"));
}

#[test]
fn an_override_must_fit_its_feature() {
    let catalog = builtin("sietch").unwrap();
    let facts = Facts::unknown(AccountId::parse("acme").unwrap());
    let refused = set(&facts, asked("ov_1", "levitation", OverrideEffect::On), &catalog, noon());
    assert!(matches!(refused, Err(OverrideRefusal::FeatureUnknown { .. })));
    let limit = OverrideEffect::Limit(Some(3));
    let refused = set(&facts, asked("ov_1", "basic_tgr", limit), &catalog, noon());
    assert!(matches!(refused, Err(OverrideRefusal::NoLimit { .. })));
}

#[test]
fn an_override_is_removed_once() {
    let catalog = builtin("sietch").unwrap();
    let facts = Facts::unknown(AccountId::parse("acme").unwrap());
    let on = asked("ov_1", "basic_tgr", OverrideEffect::On);
    let facts = applied(facts.clone(), &set(&facts, on, &catalog, noon()).unwrap());
    let id = FactId::parse("ov_1").unwrap();
    let removed = remove(&facts, &id, "paul", None, noon()).unwrap();
    assert_eq!(removed.billing().next().unwrap().kind, BillingEventKind::OverrideRemoved);
    let facts = applied(facts, &removed);
    let again = remove(&facts, &id, "paul", None, noon());
    assert!(matches!(again, Err(RevokeRefusal::AlreadyRevoked { .. })));
}
