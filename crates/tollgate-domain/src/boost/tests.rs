//! Tests of `boost`.

use super::*;
use crate::ids::AccountId;

fn noon() -> Timestamp {
    Timestamp::parse("2026-11-21T12:00:00Z").unwrap()
}

fn asked(count: u32) -> NewBoost {
    NewBoost {
        id: FactId::parse("bo_1").unwrap(),
        member: None,
        count,
        reason: "thanks for the help".to_owned(),
        granted_by: "paul".to_owned(),
        expires_at: Some(noon().plus_days(30)),
    }
}

#[test]
fn between_one_and_a_hundred_boosts_are_given_at_once() {
    let nobody = Facts::unknown(AccountId::parse("acme").unwrap());
    for count in [0, 101, u32::MAX] {
        assert_eq!(give(&nobody, asked(count), noon()), Err(BoostRefusal::Count { count }));
    }
    for count in [1, 100] {
        let given = give(&nobody, asked(count), noon()).unwrap();
        assert_eq!(given.billing().last().unwrap().kind, BillingEventKind::BoostPurchased);
    }
}

#[test]
fn given_boosts_are_taken_back_or_end_and_each_is_told_once() {
    let mut facts = Facts::unknown(AccountId::parse("acme").unwrap());
    for change in give(&facts, asked(3), noon()).unwrap().changes {
        facts.apply(&change);
    }
    let id = FactId::parse("bo_1").unwrap();
    let taken = revoke(&facts, &id, "paul", None, noon().plus_days(1)).unwrap();
    assert_eq!(taken.journal[0].kind, "boost.revoked");
    let ended = expired(&facts, &id, noon().plus_days(30)).unwrap();
    assert_eq!(ended.journal[0].kind, "boost.expired");
    for change in ended.changes {
        facts.apply(&change);
    }
    assert_eq!(expired(&facts, &id, noon().plus_days(31)), None);
}
