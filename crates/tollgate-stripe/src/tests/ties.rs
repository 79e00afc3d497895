//! Events of one second, told apart by their `previous_attributes` in whatever API version each of
//! them came.

use crate::{Observed, Parsed, event, observe};
use tollgate_domain::observation::Seen;
use tollgate_domain::subscription::{Subscription, SubscriptionState, SubscriptionStatus};

/// A subscription event in the shapes before basil: periods at the top level.
fn old(id: &str, event_type: &str, status: &str, price: &str, previous: &str) -> SubscriptionState {
    let object = format!(
        r#""current_period_start":1789552800,"current_period_end":1792144800,
        "plan":{{"id":"{price}","object":"plan"}},"quantity":1,
        "items":{{"object":"list","data":[{{"id":"si_1","plan":{{"id":"{price}"}},"quantity":1}}]}}"#
    );
    state(id, event_type, status, &object, previous)
}

/// The same since basil: periods on the items.
fn new(id: &str, event_type: &str, status: &str, price: &str, previous: &str) -> SubscriptionState {
    let object =
        format!(r#""items":{{"object":"list","data":[{}],"has_more":false}}"#, new_item(price));
    state(id, event_type, status, &object, previous)
}

fn new_item(price: &str) -> String {
    format!(
        r#"{{"id":"si_1","price":{{"id":"{price}"}},"quantity":1,
        "current_period_start":1789552800,"current_period_end":1792144800}}"#
    )
}

fn state(
    id: &str,
    event_type: &str,
    status: &str,
    object: &str,
    previous: &str,
) -> SubscriptionState {
    let body = format!(
        r#"{{"id":"{id}","object":"event","type":"customer.subscription.{event_type}","created":1789552800,
        "livemode":false,"data":{{"object":{{"id":"sub_1","object":"subscription","status":"{status}",
        "customer":"cus_1",{object}}},"previous_attributes":{previous}}}}}"#
    );
    let Parsed::Event(envelope) = event::parse(body.as_bytes()) else { panic!("no event: {body}") };
    let Observed::Effect(observation) = observe(&envelope).unwrap() else { panic!("ignored") };
    let Seen::Subscription(seen) = observation.seen else { panic!("no subscription") };
    seen.state
}

/// The state after the events arrived in every order, each twice; it must be one and certain.
fn settled(states: &[SubscriptionState]) -> SubscriptionState {
    let mut ends = Vec::new();
    for order in orders(states.len()) {
        let arrivals: Vec<_> =
            order.iter().chain(&order).map(|index| states[*index].clone()).collect();
        let (first, rest) = arrivals.split_first().unwrap();
        let id = tollgate_domain::ids::SubscriptionId::parse("sub_1").unwrap();
        let mut subscription = Subscription::first_seen(id, None, None, first.clone());
        for state in rest {
            subscription.observe(state.clone());
        }
        assert!(!subscription.is_uncertain(), "order {order:?}");
        ends.push(subscription.state().unwrap().clone());
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");
    ends.remove(0)
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in orders(count - 1) {
        for place in 0..=shorter.len() {
            let mut order = shorter.clone();
            order.insert(place, count - 1);
            all.push(order);
        }
    }
    all
}

#[test]
fn a_chain_of_updates_ends_at_its_end_whatever_the_ids_say() {
    // The ids run backwards, so that only the chain can tell.
    let states = [
        old("evt_9", "created", "incomplete", "price_a", "null"),
        old("evt_8", "updated", "active", "price_a", r#"{"status":"incomplete"}"#),
        old("evt_7", "updated", "active", "price_b", r#"{"plan":{"id":"price_a"}}"#),
        old("evt_6", "updated", "past_due", "price_b", r#"{"status":"active"}"#),
    ];
    let end = settled(&states);
    assert_eq!(end.version.event.as_str(), "evt_6");
    assert_eq!(end.status, SubscriptionStatus::PastDue);
}

#[test]
fn a_chain_holds_across_api_versions() {
    let listed = format!(r#"{{"items":{{"data":[{}]}}}}"#, new_item("price_a"));
    let states = [
        old("evt_9", "created", "incomplete", "price_a", "null"),
        new("evt_8", "updated", "active", "price_a", r#"{"status":"incomplete"}"#),
        new("evt_7", "updated", "active", "price_b", &listed),
        old(
            "evt_6",
            "updated",
            "active",
            "price_c",
            r#"{"plan":{"id":"price_b","object":"plan"}}"#,
        ),
    ];
    let end = settled(&states);
    assert_eq!(end.items[0].price.as_str(), "price_c");
}

#[test]
fn the_end_of_a_subscription_beats_every_chain() {
    let states = [
        new("evt_3", "deleted", "canceled", "price_a", "null"),
        new("evt_2", "updated", "active", "price_a", r#"{"status":"incomplete"}"#),
        new("evt_1", "created", "incomplete", "price_a", "null"),
    ];
    assert_eq!(settled(&states).status, SubscriptionStatus::Canceled);
}
