//! When an account is looked at again, as scenarios.

use super::*;
use crate::entitlement::scenario::{read, text, time};

/// When to look after a change of everything in the scenario, by the facts in it.
fn looks(scenario: &str, now: &str) -> String {
    let (catalog, facts) = read(scenario);
    let subscriptions = facts.subscriptions.values().cloned().map(Change::SaveSubscription);
    let invoices = facts.invoices.values().cloned().map(Change::SaveInvoice);
    let purchases = facts.purchases.values().cloned().map(Change::SavePurchase);
    let adjustments = facts.adjustments.values().cloned().map(Change::SaveAdjustment);
    let grants = facts.grants.iter().cloned().map(Change::SaveGrant);
    let changes: Vec<Change> =
        subscriptions.chain(invoices).chain(purchases).chain(adjustments).chain(grants).collect();
    look_after(&changes, &facts, &catalog, time(now)).map_or_else(|| "-".to_owned(), text)
}

#[test]
fn an_account_is_looked_at_when_something_of_it_ends() {
    for (scenario, now, expected) in [
        // A grace needs the failures of all invoices.
        ("sub s premium past_due @3d", "3d", "3d"),
        ("invoice i s open fails=3d", "3d", "3d"),
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
    let change = Change::SaveSubscription(facts.subscriptions["s"].clone());
    for told in &ended(&facts.clone(), &catalog, time("9d")).changes {
        facts.apply(told);
    }
    let look = |at: &str| look_after(std::slice::from_ref(&change), &facts, &catalog, time(at));
    // News are overdue three days after the trial; from then on they are asked for.
    assert_eq!((look("9d"), look("10d")), (Some(time("10d")), Some(time("10d"))));
}
