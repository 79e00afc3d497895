//! Claims of an object's own metadata, in every order, with and without a person's word.

use super::*;

fn claim(second: i64, account: &str) -> OwnClaim {
    OwnClaim {
        account: AccountId::parse(account).ok(),
        at: Timestamp::from_unix_seconds(second),
        event: EventId::parse(&format!("evt_{second}")).unwrap(),
        overruled: None,
    }
}

fn known(all: &[&OwnClaim]) -> OwnClaim {
    let first: Option<OwnClaim> = None;
    all.iter().fold(first, |known, one| OwnClaim::newest(known.as_ref(), Some(one))).unwrap()
}

#[test]
fn the_newest_claim_counts_in_every_order() {
    let owner = AccountId::parse("acme").unwrap();
    let (own, other, nobody) = (claim(1, "acme"), claim(2, "other"), claim(3, "no id"));
    let against = |all: &[&OwnClaim]| known(all).against(&owner).map(ToString::to_string);
    for all in [[&own, &other], [&other, &own]] {
        assert_eq!(against(&all).as_deref(), Some("other"));
    }
    for all in [[&own, &other, &nobody], [&nobody, &other, &own], [&other, &nobody, &own]] {
        assert_eq!(against(&all), None, "it names nobody any more");
    }
}

#[test]
fn what_was_overruled_stays_so_in_every_order_until_a_person_speaks_again() {
    let owner = AccountId::parse("acme").unwrap();
    let said = claim(1, "other").overruled_for(&owner).unwrap();
    assert_eq!(said.against(&owner), None);
    assert_eq!(said.overruled_for(&owner), None, "saying it again changes nothing");
    let (agrees, again, third) = (claim(2, "acme"), claim(3, "other"), claim(4, "third"));
    for all in [[&said, &agrees, &again], [&said, &again, &agrees], [&again, &said, &agrees]] {
        assert_eq!(known(&all).against(&owner), None);
    }
    let news = known(&[&said, &third]);
    let third = AccountId::parse("third").unwrap();
    assert_eq!(news.against(&owner), Some(&third));
    // Given to the third account: what was overruled for the first one is news for this one.
    let moved = news.overruled_for(&third).unwrap();
    let back = known(&[&moved, &claim(5, "other")]);
    assert!(back.against(&third).is_some());
}
