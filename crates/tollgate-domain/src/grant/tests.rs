//! Tests of `grant`.

use super::*;
use crate::catalog::builtin;
use crate::entitlement::scenario::{read, time};
use crate::ids::AccountId;

fn id(text: &str) -> FactId {
    FactId::parse(text).unwrap()
}

fn asked() -> NewGrant {
    NewGrant {
        id: id("gr_1"),
        plan: PlanId::parse("pro").unwrap(),
        reason: "won the competition".to_owned(),
        granted_by: "paul".to_owned(),
        expires_at: Some(time("30d")),
    }
}

fn applied(mut facts: Facts, decision: &Decision) -> Facts {
    for change in &decision.changes {
        facts.apply(change);
    }
    facts
}

#[test]
fn a_grant_is_given_taken_back_and_told_of() {
    let catalog = builtin("levels").unwrap();
    let nobody = Facts::unknown(AccountId::parse("acme").unwrap());
    let given = give(&nobody, asked(), &catalog, time("0d")).unwrap();
    assert_eq!(given.billing().last().unwrap().kind, BillingEventKind::GrantCreated);
    let facts = applied(nobody.clone(), &given);
    assert_eq!(facts.grants[0].plan.as_str(), "pro");

    let taken = revoke(&facts, &id("gr_1"), "paul", Some("was a mistake"), time("1d")).unwrap();
    assert_eq!(taken.journal[0].details[1], ("reason", "was a mistake".to_owned()));
    let taken = applied(facts.clone(), &taken);
    assert_eq!(expired(&taken, &id("gr_1"), time("31d")), None);

    let ended = expired(&facts, &id("gr_1"), time("31d")).unwrap();
    assert_eq!(ended.journal[0].occurred_at, time("30d"));
    assert_eq!(expired(&applied(facts, &ended), &id("gr_1"), time("31d")), None);

    let unknown = NewGrant { plan: PlanId::parse("gold").unwrap(), ..asked() };
    let refused = give(&nobody, unknown, &catalog, time("0d"));
    assert_eq!(refused, Err(GrantRefusal::PlanUnknown { plan: "gold".to_owned() }));
}

#[test]
fn the_end_of_a_bought_grant_is_told_once() {
    let (catalog, facts) = read("catalog levels\nbuy c1 pro paid=0d amount=19000");
    let purchase = facts.purchases.values().next().unwrap();
    assert_eq!(bought_expired(&facts, purchase, &catalog, time("364d")), []);
    let ended = bought_expired(&facts, purchase, &catalog, time("370d")).remove(0);
    assert_eq!(ended.billing().next().unwrap().kind, BillingEventKind::GrantExpired);
    assert_eq!(ended.journal[0].occurred_at, time("365d"));
    let facts = applied(facts.clone(), &ended);
    assert_eq!(bought_expired(&facts, purchase, &catalog, time("370d")), []);
}
