//! Tests of the parts of a decision that only show from inside: what is not written.

use super::*;
use crate::catalog::builtin;
use crate::ids::{AccountId, EventId, ObjectId, PriceId, SubscriptionId};
use crate::observation::{EventKind, SeenSubscription};
use crate::subscription::{
    LifecycleRank, SubscriptionItem, SubscriptionState, SubscriptionStatus, Version,
};

fn observation(event: &str, second: i64) -> Observation {
    let event = EventId::parse(event).unwrap();
    let at = Timestamp::from_unix_seconds(second);
    let object = |id: &str| ObjectId::parse(id).unwrap();
    Observation {
        event: event.clone(),
        at,
        kind: EventKind::SubscriptionUpdated,
        fetched: None,
        claim: None,
        invalid_claim: None,
        references: vec![object("sub_1"), object("cus_1")],
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        customer_account: None,
        email: None,
        seen: Seen::Subscription(SeenSubscription {
            id: SubscriptionId::parse("sub_1").unwrap(),
            state: SubscriptionState {
                version: Version { at, rank: LifecycleRank::Updated, event },
                status: SubscriptionStatus::Active,
                items: vec![SubscriptionItem {
                    price: PriceId::parse("price_1").unwrap(),
                    lookup_key: Some("sietch_premium_monthly".into()),
                    product: None,
                    quantity: 1,
                    period_start: None,
                    period_end: None,
                }],
                cancel_at_period_end: false,
                cancel_at: None,
                canceled_at: None,
                ended_at: None,
                trial_end: None,
                collection_pause: None,
                billing_anchor: None,
                schedule: None,
                pending_update: None,
                items_cut: false,
                created: None,
                latest_invoice: None,
                previous: None,
                covers: Vec::new(),
            },
            schedule: None,
        }),
    }
}

/// Decides and applies; returns the names of the changes.
fn take(facts: &mut Facts, observation: &Observation) -> Vec<String> {
    let account = facts.account.clone();
    let owner = FoundOwner::known(account);
    let decision = decide(observation, &owner, facts, &builtin("sietch").unwrap());
    for change in &decision.changes {
        facts.apply(change);
    }
    let name = |change| {
        let text = format!("{change:?}");
        text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
    };
    decision.changes.iter().map(name).collect()
}

#[test]
fn only_what_changes_is_written() {
    let mut facts = Facts::unknown(AccountId::parse("acme").unwrap());
    let all = ["CreateAccount", "SaveCustomer", "SaveSubscription"];
    let history = "AppendSubscriptionState";
    assert_eq!(take(&mut facts, &observation("evt_1", 10)), [&all[..], &[history]].concat());
    assert_eq!(take(&mut facts, &observation("evt_2", 20)), ["SaveSubscription", history]);
    assert_eq!(take(&mut facts, &observation("evt_3", 5)), [history], "a stale event is kept");
    let history = &facts.subscriptions["sub_1"].history;
    assert_eq!(history.len(), 3, "saving a subscription leaves its history alone");
}

#[test]
fn events_of_stripes_catalog_belong_to_nobody() {
    assert!(!EventKind::CatalogChanged.needs_owner());
    assert!(EventKind::EntitlementSummaryUpdated.needs_owner());
    assert!(EventKind::SubscriptionUpdated.needs_owner());
}
