//! Tests of the order: seconds as lines, each event `id content<previous rank`.

use super::*;
use crate::ids::EventId;
use crate::subscription::{LifecycleRank, PreviousValues, SubscriptionStatus, Version};
use crate::time::Timestamp;

/// `b active<past_due created`: event b shows `active`, says `past_due` was before, and is a
/// `…created`. Previous and rank may be left out. `f active fetched:a+b`: asked for when a and b
/// were known.
fn state(text: &str) -> SubscriptionState {
    let mut words = text.split_whitespace();
    let event = words.next().unwrap();
    let content = words.next().unwrap();
    let (status, previous) = content.split_once('<').map_or((content, None), |(s, p)| (s, Some(p)));
    let mut covers = Vec::new();
    let rank = match words.next() {
        Some(word) if word.starts_with("fetched") => {
            let covered = word.trim_start_matches("fetched").trim_start_matches(':');
            let covered = covered.split('+').filter(|id| !id.is_empty());
            covers.extend(covered.map(|id| EventId::parse(id).unwrap()));
            LifecycleRank::Fetched
        }
        Some("created") => LifecycleRank::Created,
        Some("paused") => LifecycleRank::PausedOrResumed,
        Some("deleted") => LifecycleRank::Deleted,
        _ => LifecycleRank::Updated,
    };
    SubscriptionState {
        version: Version {
            at: Timestamp::from_unix_seconds(0),
            rank,
            event: EventId::parse(event).unwrap(),
        },
        status: SubscriptionStatus::parse(status),
        items: Vec::new(),
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
        previous: previous.map(|status| {
            let status = Some(SubscriptionStatus::parse(status));
            Box::new(PreviousValues { status, ..PreviousValues::default() })
        }),
        covers,
    }
}

/// The status a second ended with, `?` where it is uncertain.
fn outcome(states: &[SubscriptionState]) -> String {
    let id = SubscriptionId::parse("sub_1").unwrap();
    let mut states = states.iter().cloned();
    let mut subscription = Subscription::first_seen(id, None, None, states.next().unwrap());
    for state in states {
        subscription.observe(state);
    }
    let mark = if subscription.is_uncertain() { "?" } else { "" };
    format!("{}{mark}", subscription.state().unwrap().status.as_str())
}

#[test]
fn a_second_ends_where_its_events_lead() {
    for (second, expected) in [
        ("a active", "active"),
        ("b incomplete created, a active<incomplete", "active"),
        ("z active, a past_due<active", "past_due"),
        ("c active, b past_due<active, a unpaid<past_due", "unpaid"),
        // There and back again.
        ("z incomplete created, c active<incomplete, b paused<active, a active<paused", "active"),
        ("y active created, z past_due<active, a active<past_due", "active"),
        ("d active, z past_due<active, b active<past_due, a unpaid<active", "unpaid"),
        // The same content twice, for a change we do not look at.
        ("c active, b active, a past_due<active", "past_due"),
        // Nothing says which came later: the name decides, then the id.
        ("z incomplete created, a active", "active?"),
        ("a active, b past_due", "past_due?"),
        ("z active, a paused paused", "paused?"),
        // Both say the other was before.
        ("a past_due<active, b active<past_due", "active?"),
        // A fetched state shows what became of what it covers, lost events included.
        ("z active, a past_due, f unpaid fetched:a+z", "unpaid"),
        ("a past_due<active, f active fetched:a", "active"),
        ("b active<past_due, a past_due<active, f past_due fetched:a+b", "past_due"),
        // It may have crossed with an event it does not cover: what leaves it follows it.
        ("a past_due<active, f active fetched, b unpaid<past_due", "unpaid?"),
        ("a past_due<active, f past_due fetched, b unpaid<past_due", "unpaid?"),
        ("a past_due<active, f past_due fetched", "past_due"),
        ("y incomplete created, f active fetched:y, b past_due<active", "past_due?"),
        (
            "y incomplete created, f active fetched:y, b past_due<active, g past_due fetched:b+f+y",
            "past_due",
        ),
        // Nothing says which came later, so Stripe's own word counts until it is asked again.
        ("a past_due<active, f unpaid fetched", "unpaid?"),
        ("f active fetched, g paused fetched", "paused?"),
        ("f active fetched, g paused fetched, h active fetched:f+g", "active"),
        // Nonsense converges too.
        ("f active fetched:g, g paused fetched:f", "paused?"),
        ("z canceled deleted, f active fetched:z", "canceled"),
        // A final state ends it whatever the others say.
        ("z active<canceled, a canceled deleted", "canceled"),
    ] {
        let states: Vec<SubscriptionState> = second.split(", ").map(state).collect();
        let reversed: Vec<SubscriptionState> = states.iter().rev().cloned().collect();
        assert_eq!(outcome(&states), expected, "{second}");
        assert_eq!(outcome(&reversed), expected, "{second}, reversed");
        let latest = latest(states.iter()).unwrap().status.as_str();
        assert_eq!(latest, expected.trim_end_matches('?'), "{second}, from its history");
    }
}

#[test]
fn a_second_with_too_many_events_keeps_the_same_ones_in_every_order() {
    let states: Vec<SubscriptionState> =
        (0..CONTENDERS_MAX + 4).map(|n| state(&format!("evt_{n:02} active"))).collect();
    let kept = |states: &mut dyn Iterator<Item = &SubscriptionState>| {
        let id = SubscriptionId::parse("sub_1").unwrap();
        let mut one = Subscription::first_seen(id, None, None, states.next().unwrap().clone());
        states.for_each(|state| {
            one.observe(state.clone());
        });
        one.contenders
    };
    let forwards = kept(&mut states.iter());
    assert_eq!(forwards.len(), CONTENDERS_MAX);
    assert_eq!(forwards, kept(&mut states.iter().rev()));
}
