//! Tests of what counts as a difference and of which class it is.

use super::*;
use crate::catalog::builtin;
use crate::ids::ObjectId;
use crate::ids::{AccountId, CustomerId, PriceId, SubscriptionId};
use crate::observation::EventKind;
use crate::observation::{FetchCause, SeenSubscription};
use crate::subscription::LifecycleRank;
use crate::subscription::Version;

const NOW: i64 = 1_795_000_000;

/// `evt_1 active` at a second: an event; `obs_1 active` a fetched state.
fn seen(id: &str, status: &str, second: i64) -> Observation {
    let event = EventId::parse(id).unwrap();
    let at = Timestamp::from_unix_seconds(NOW + second);
    let fetched = id.starts_with("obs_");
    let rank = if fetched { LifecycleRank::Fetched } else { LifecycleRank::Updated };
    Observation {
        event: event.clone(),
        at,
        kind: if fetched { EventKind::SubscriptionFetched } else { EventKind::SubscriptionUpdated },
        fetched: fetched.then_some(FetchCause::Doubt),
        claim: None,
        invalid_claim: None,
        references: vec![ObjectId::parse("sub_1").unwrap()],
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        customer_account: None,
        email: None,
        seen: Seen::Subscription(SeenSubscription {
            id: SubscriptionId::parse("sub_1").unwrap(),
            state: SubscriptionState {
                version: Version { at, rank, event },
                status: SubscriptionStatus::parse(status),
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

fn owner() -> FoundOwner {
    FoundOwner::known(AccountId::parse("acme").unwrap())
}

/// The facts after events, and the doubts each left.
fn after(events: &[Observation]) -> (Facts, Vec<Vec<Doubt>>) {
    let catalog = builtin("sietch").unwrap();
    let mut facts = Facts::unknown(owner().account);
    let mut left = Vec::new();
    for event in events {
        let decision = decide(event, &owner(), &facts, &catalog);
        for change in &decision.changes {
            facts.apply(change);
        }
        let doubts = doubts(event, &decision, &facts);
        left.push(doubts.into_iter().map(|(_, doubt)| doubt).collect());
    }
    (facts, left)
}

fn covering(mut observation: Observation, facts: &Facts) -> Observation {
    let (covers, _) = covered(facts, "sub_1");
    if let Seen::Subscription(seen) = &mut observation.seen {
        seen.state.covers = covers;
    }
    observation
}

fn compared(observation: &Observation, facts: &Facts) -> Comparison {
    compare(observation, &owner(), facts, &builtin("sietch").unwrap())
}

#[test]
fn when_something_was_seen_is_no_difference() {
    let (facts, _) = after(&[seen("evt_1", "active", 0)]);
    assert_eq!(compared(&seen("obs_1", "active", 99), &facts), Comparison::Same);
    let Comparison::Differs(changes) = compared(&seen("obs_1", "unpaid", 99), &facts) else {
        panic!("the same")
    };
    let [only] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((only.field, only.to.as_deref()), ("status", Some("unpaid")));
}

#[test]
fn what_ended_is_no_difference_whatever_is_shown() {
    let (facts, _) = after(&[seen("evt_1", "canceled", 0)]);
    assert_eq!(compared(&seen("obs_1", "active", 99), &facts), Comparison::Same);
}

#[test]
fn a_doubt_is_settled_without_a_difference() {
    let (facts, doubts) = after(&[seen("evt_b", "active", 0), seen("evt_a", "past_due", 0)]);
    assert_eq!(doubts, [vec![Doubt::FirstSight], vec![Doubt::Tie]]);
    let shown = covering(seen("obs_1", "active", 0), &facts);
    assert_eq!(compared(&shown, &facts), Comparison::Unsettled);
}

#[test]
fn an_event_from_just_before_a_reply_that_did_not_know_it_is_asked_about() {
    let first = seen("evt_1", "active", 0);
    let (facts, _) = after(std::slice::from_ref(&first));
    let reply = covering(seen("obs_1", "active", 10), &facts);
    let left = |event| after(&[first.clone(), reply.clone(), event]).1.pop().unwrap();
    assert_eq!(left(seen("evt_2", "unpaid", 9)), [Doubt::Crossed]);
    assert_eq!(left(seen("evt_2", "unpaid", 1)), []);
    assert_eq!(left(seen("evt_2", "unpaid", 11)), []);
}

#[test]
fn differences_have_the_class_the_evidence_says() {
    let shown = seen("obs_1", "unpaid", 99);
    let (known, _) = after(&[seen("evt_1", "active", 5)]);
    let (tied, _) = after(&[seen("evt_2", "active", 5), seen("evt_1", "unpaid", 5)]);
    let nothing = Facts::unknown(owner().account);
    let whole_since = |second| Evidence {
        stuck: false,
        whole_since: Some(Timestamp::from_unix_seconds(NOW + second)),
    };
    for (facts, evidence, class) in [
        (&nothing, whole_since(0), Drift::MissedEvent),
        (&known, Evidence::default(), Drift::MissedEvent),
        (&known, whole_since(6), Drift::MissedEvent),
        (&known, whole_since(0), Drift::EditedInStripe),
        (&tied, whole_since(0), Drift::OutOfOrder),
        (&known, Evidence { stuck: true, ..whole_since(0) }, Drift::OurError),
    ] {
        assert_eq!(classify(&shown, facts, evidence), class, "{evidence:?}");
    }
}

#[test]
fn only_what_is_live_can_sell_something_unknown() {
    let catalog = builtin("sietch").unwrap();
    let unmapped = |status| {
        let mut one = seen("evt_1", status, 0);
        if let Seen::Subscription(seen) = &mut one.seen {
            seen.state.items[0].lookup_key = None;
        }
        sells_unknown(&one.seen, &catalog)
    };
    assert!(unmapped("active") && !unmapped("canceled"));
    assert!(!sells_unknown(&seen("evt_1", "active", 0).seen, &catalog));
}

#[test]
fn classes_have_names() {
    for drift in Drift::ALL {
        assert_eq!(Drift::parse(drift.as_str()), Some(drift));
        let cause = FetchCause::Drift(drift);
        assert_eq!(FetchCause::parse(cause.as_str()), Some(cause));
    }
}
