//! When an account is looked at again, as scenarios.

use super::*;
use crate::change::BillingEventKind;
use crate::entitlement::scenario::{read, text, time};

/// When an account is looked at again: at once while something is to be told or asked, else when
/// the next end comes.
fn next_look(facts: &Facts, catalog: &Catalog, now: Timestamp) -> Option<Timestamp> {
    let due = ended(facts, catalog, now) != Decision::default() || !stale(facts, now).is_empty();
    if due { Some(now) } else { next_end(facts, catalog, now) }
}

fn looks(scenario: &str, now: &str) -> String {
    let (catalog, facts) = read(scenario);
    next_look(&facts, &catalog, time(now)).map_or_else(|| "-".to_owned(), text)
}

#[test]
fn an_account_is_looked_at_when_something_of_it_ends() {
    for (scenario, now, expected) in [
        // A grace, and one of which another invoice's failure says that it is over.
        ("sub s premium past_due @3d", "3d", "4d"),
        ("sub s premium past_due @3d\ninvoice i s open fails=2d", "3d", "3d"),
        // After a trial its grace.
        ("sub s premium trialing @0d trial=7d", "0d", "8d"),
        ("sub s premium trialing @0d trial=7d", "9d", "9d"),
        // A bought grant, also one that is told of after its end.
        ("catalog levels\nbuy c pro paid=3d amount=19000", "3d", "368d"),
        ("catalog levels\nbuy c pro paid=3d amount=19000", "400d", "400d"),
        (
            "catalog levels\nbuy c pro paid=3d amount=19000\nrefund r c 19000 succeeded @4d",
            "4d",
            "-",
        ),
        ("catalog levels\nbuy c pro amount=19000", "3d", "-"),
        // What turns stale, and what is so when it is first told of.
        ("sub s premium active @0d period=0d..30d", "1d", "33d"),
        ("sub s premium active @0d period=0d..30d", "40d", "40d"),
        // What a person gave.
        ("grant g premium @0d until=5d", "0d", "5d"),
        ("grant g premium @0d", "0d", "-"),
    ] {
        assert_eq!(looks(scenario, now), expected, "at {now} in {scenario}");
    }
}

#[test]
fn what_was_told_needs_no_look() {
    let (catalog, mut facts) = read("sub s premium trialing @0d trial=7d");
    for told in &ended(&facts.clone(), &catalog, time("9d")).changes {
        facts.apply(told);
    }
    let look = |at: &str| next_look(&facts, &catalog, time(at));
    // News are overdue three days after the trial; from then on they are asked for.
    assert_eq!((look("9d"), look("10d")), (Some(time("10d")), Some(time("10d"))));
}

#[test]
fn what_changes_hands_is_looked_at_with_all_facts() {
    let (to, objects) = (crate::ids::AccountId::parse("b").unwrap(), Vec::new());
    let (_, facts) = read("sub s premium active @0d period=0d..30d");
    let saved = Change::SaveSubscription(facts.subscriptions["s"].clone());
    let moved = Change::HandOver { to, objects };
    let known = Change::CreateAccount;
    for (changes, look) in [
        (vec![known.clone()], Look::None),
        (vec![known, saved.clone()], Look::Here),
        (vec![moved, saved], Look::Reload),
    ] {
        assert_eq!(look_after(&changes), look, "{changes:?}");
    }
}

#[test]
fn the_end_of_a_bought_grant_is_told_once() {
    let (catalog, mut facts) = read("catalog levels\nbuy c1 pro paid=0d amount=19000");
    let told_at = |facts: &Facts, at: &str| ended(facts, &catalog, time(at));
    assert_eq!(told_at(&facts, "364d"), Decision::default());
    let decision = told_at(&facts, "370d");
    let told = decision
        .journal
        .iter()
        .filter_map(|one| Some((one.billing.as_ref()?.kind, one.occurred_at)));
    let kinds: Vec<_> = told.collect();
    assert_eq!(kinds, [(BillingEventKind::GrantExpired, time("365d"))]);
    for change in &decision.changes {
        facts.apply(change);
    }
    assert_eq!(told_at(&facts, "370d"), Decision::default());
}

#[test]
fn what_people_gave_is_told_of_in_the_order_of_its_ends() {
    let (catalog, facts) = read(
        "
        waiver a elite @0d until=3d
        boosts b 3 @0d until=2d
        grant c elite @0d until=1d
        override d white_label on @0d until=4d
        grant e elite @0d until=1d revoked=1h
        ",
    );
    let told = |at: &str| -> Vec<String> {
        let journal = ended(&facts, &catalog, time(at)).journal;
        journal.iter().map(|entry| format!("{} {}", entry.kind, entry.subject)).collect()
    };
    assert_eq!(told("23h"), [""; 0]);
    assert_eq!(told("3d"), ["grant.expired c", "boost.expired b", "waiver.expired a"]);
}

/// What is told of ends, after which it is known as told.
fn tell(facts: &mut Facts, catalog: &Catalog, at: &str) -> Vec<Timestamp> {
    let decision = ended(facts, catalog, time(at));
    decision.changes.iter().for_each(|change| facts.apply(change));
    decision.journal.iter().map(|entry| entry.occurred_at).collect()
}

#[test]
fn a_price_that_is_mapped_later_shifts_no_end_that_was_told() {
    let (catalog, mut facts) =
        read("catalog levels\nbuy c - paid=0d amount=9 price=price_new,price_trial names_owner");
    assert_eq!(tell(&mut facts, &catalog, "8d"), [time("7d")], "of the second line");
    let mapped = catalog.with_prices(&[("pro".to_owned(), vec!["price_new".to_owned()])]).unwrap();
    assert_eq!(tell(&mut facts, &mapped, "9d"), []);
    assert_eq!(tell(&mut facts, &mapped, "366d"), [time("365d")], "of the first line");
}

#[test]
fn the_end_of_a_whole_session_is_the_end_of_the_line_it_becomes() {
    let (catalog, mut facts) = read("catalog levels\nbuy c pro paid=0d amount=19000");
    for purchase in facts.purchases.values_mut() {
        purchase.sales = crate::sale::sales(purchase, &catalog);
    }
    assert_eq!(tell(&mut facts, &catalog, "366d"), [time("365d")]);
    // Its lines become known, and later what they sell.
    let lined = read("catalog levels\nbuy c pro paid=0d amount=19000 price=price_new").1;
    let purchase = facts.purchases.values_mut().next().unwrap();
    purchase.lines = lined.purchases.into_values().next().unwrap().lines;
    let mapped = catalog.with_prices(&[("pro".to_owned(), vec!["price_new".to_owned()])]).unwrap();
    assert_eq!(tell(&mut facts, &mapped, "367d"), [], "before it is recorded");
    let healed = crate::sale::sales(facts.purchases.values().next().unwrap(), &mapped);
    let purchase = facts.purchases.values_mut().next().unwrap();
    let before = std::mem::replace(&mut purchase.sales, healed);
    let now = purchase.sales.clone();
    assert_eq!(crate::sale::take_back(&mut purchase.told, &before, &now), []);
    assert!(now[0].line.is_some());
    assert_eq!(tell(&mut facts, &mapped, "368d"), [], "after it was recorded");
}
