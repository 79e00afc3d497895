//! The two laws of `decide`: in any order and with any repetition the events of an account end in
//! the same facts, and the same kinds of things are told equally often.
//!
//! For short stories every order is tried, by way of sets: if for each set of events and each
//! further event, taking that event in leads to *the* world of the larger set, then all orders of
//! all subsets agree. That covers the n! orders in n * 2^n steps.

use proptest::prelude::*;
use tollgate_domain::Catalog;
use tollgate_domain::ids::EventId;
use tollgate_domain::payment::AdjustmentKind;
use tollgate_domain::subscription::{LifecycleRank, SubscriptionState, Version};
use tollgate_domain::{BillingEventKind, Observation, Timestamp};

mod owners;
pub(crate) mod scenarios;
mod soup;

use crate::story::Story;
use crate::world::{Counts, World, catalog};

/// Every order of every subset of the events.
fn assert_every_order_agrees(story: &Story, catalog: &Catalog) {
    let events = &story.events;
    let mut worlds: Vec<World> = vec![World::default()];
    for set in 1..1usize << events.len() {
        let mut members = (0..events.len()).filter(|index| set >> index & 1 == 1);
        let first = members.next().unwrap();
        let after = |last: usize| {
            let mut world = worlds[set & !(1 << last)].clone();
            world.deliver(&events[last], catalog);
            world
        };
        let expected = after(first);
        for last in members {
            let other = after(last);
            assert!(
                other == expected,
                "{}: {:?} last or {:?} last differ\n{}",
                story.name,
                events[last].kind,
                events[first].kind,
                difference(&expected, &other),
            );
        }
        worlds.push(expected);
    }
}

fn difference(a: &World, b: &World) -> String {
    lines_that_differ(a, b)
}

fn lines_that_differ(a: &impl std::fmt::Debug, b: &impl std::fmt::Debug) -> String {
    let (a, b) = (format!("{a:#?}"), format!("{b:#?}"));
    let lines = a.lines().zip(b.lines()).filter(|(a, b)| a != b).take(12);
    lines.map(|(a, b)| ["-", a, "\n+", b, "\n"].concat()).collect()
}

/// Times as told, times that tie by the hour, and everything in one second.
const GRAINS: [i64; 3] = [1, 3_600, 100_000_000];

#[test]
fn every_order_of_every_scenario_ends_in_the_same_world() {
    let catalog = catalog();
    for story in scenarios::all() {
        assert!(story.events.len() <= 8, "{} is too long to try every order", story.name);
        for grain in GRAINS {
            assert_every_order_agrees(&story.clone().coarse(grain), &catalog);
            assert_every_order_agrees(&story.clone().coarse(grain).unchained(), &catalog);
        }
    }
}

#[test]
fn every_order_agrees_when_one_event_alone_names_the_owner() {
    let catalog = catalog();
    for story in scenarios::all() {
        for by in 0..story.events.len() {
            assert_every_order_agrees(&story.clone().claimed_once(by), &catalog);
        }
    }
}

#[test]
fn every_order_agrees_when_stripe_was_asked_in_between() {
    let catalog = catalog();
    for story in scenarios::all() {
        for place in 0..story.events.len() {
            let Some(asked) = story.clone().with_asking(place) else { continue };
            assert_every_order_agrees(&asked.clone().coarse(GRAINS[2]), &catalog);
            assert_every_order_agrees(&asked.unchained(), &catalog);
        }
    }
}

#[test]
fn asking_stripe_makes_up_for_every_lost_event() {
    let catalog = catalog();
    for story in scenarios::all() {
        let whole = Shown::of(&World::after(&story.events, &catalog));
        for lost in 0..1usize << story.events.len() {
            let came = story.events.iter().enumerate().filter(|(bit, _)| lost >> bit & 1 == 0);
            let mut events: Vec<Observation> = came.map(|(_, event)| event.clone()).collect();
            events.extend(story.asked_at_the_end());
            let world = World::after(&events, &catalog);
            assert!(world.waiting.is_empty(), "{}: {:?}", story.name, world.waiting);
            assert_eq!(Shown::of(&world), whole, "{}, without {lost:b}", story.name);
        }
    }
}

/// The present of an account, without when and by what it became known.
#[derive(Debug, PartialEq)]
struct Shown(Vec<String>);

impl Shown {
    fn of(world: &World) -> Self {
        let facts = world.acme();
        let mut shown = Vec::new();
        for (id, one) in &facts.subscriptions {
            let state = one.state().unwrap();
            let certain = if one.is_uncertain() { "?" } else { "" };
            let state = SubscriptionState {
                version: Version {
                    at: Timestamp::MIN,
                    rank: LifecycleRank::Updated,
                    event: event(),
                },
                previous: None,
                covers: Vec::new(),
                ..state.clone()
            };
            shown.push(format!("{id}{certain} {:?} {state:?}", one.customer));
        }
        for (id, one) in &facts.invoices {
            let (status, paid) = (one.state.status, one.state.amount_paid_minor);
            shown.push(format!("{id} {:?} {status:?} {paid}", one.subscription));
        }
        for (id, one) in &facts.purchases {
            let paid = one.paid_at.is_some();
            shown.push(format!(
                "{id} {:?} {:?} {paid} {:?} {:?}",
                one.kind, one.status, one.total, one.sales
            ));
        }
        for (id, one) in &facts.adjustments {
            if one.kind != AdjustmentKind::ChargeRefunds {
                shown.push(format!("{id} {} {:?}", one.status, one.amount));
            }
        }
        for (id, one) in &facts.customers {
            shown.push(format!("{id} {:?} {}", one.email, one.deleted_at.is_some()));
        }
        Self(shown)
    }
}

fn event() -> EventId {
    EventId::parse("evt_any").unwrap()
}

#[test]
fn nobody_is_left_waiting_when_the_checkout_alone_names_the_owner() {
    let catalog = catalog();
    for story in [
        scenarios::checkout(),
        scenarios::refund(),
        scenarios::dispute(),
        scenarios::async_payment(),
    ] {
        let by = story
            .events
            .iter()
            .position(|event| matches!(event.seen, tollgate_domain::Seen::Session(_)));
        let story = story.claimed_once(by.unwrap());
        let reversed: Vec<Observation> = story.events.iter().rev().cloned().collect();
        let world = World::after(&reversed, &catalog);
        assert!(world.waiting.is_empty(), "{}: {:?}", story.name, world.waiting.keys());
    }
}

/// Billing events that news of objects make: those that do not count Stripe's events.
fn news(world: &World) -> Counts {
    let counts_events = |name: &str| name.starts_with("subscription.");
    world
        .billing
        .iter()
        .filter(|(name, _)| !counts_events(name))
        .map(|(name, count)| (*name, *count))
        .collect()
}

#[test]
fn twin_events_are_told_of_once() {
    let catalog = catalog();
    for story in scenarios::all().into_iter().chain([scenarios::long_life()]) {
        let once = World::after(&story.events, &catalog);
        let mut doubled = story.twins();
        doubled.extend(story.events.iter().rev().cloned());
        let twice = World::after(&doubled, &catalog);
        assert_eq!(news(&once), news(&twice), "{}", story.name);
    }
}

#[test]
fn scenarios_tell_what_happened() {
    use BillingEventKind as B;
    let catalog = catalog();
    let told = |story: Story| World::after(&story.events, &catalog);

    let world = told(scenarios::checkout());
    assert_eq!(world.told(B::AccountCreated), 1);
    assert_eq!(world.told(B::PaymentSucceeded), 1, "paid and payment_succeeded are one payment");
    assert_eq!((world.told(B::SubscriptionCreated), world.told(B::SubscriptionUpdated)), (1, 1));

    let world = told(scenarios::dunning_with_recovery());
    assert_eq!((world.told(B::PaymentFailed), world.told(B::PaymentSucceeded)), (2, 1));
    assert_eq!((world.told(B::GracePeriodStarted), world.told(B::PaymentActionRequired)), (1, 1));

    let world = told(scenarios::dunning_to_cancellation());
    assert_eq!((world.told(B::PaymentFailed), world.told(B::GracePeriodStarted)), (3, 1));
    assert_eq!((world.told(B::PaymentSucceeded), world.told(B::SubscriptionCanceled)), (0, 1));

    let world = told(scenarios::refund());
    assert_eq!((world.told(B::BadgePurchased), world.told(B::BadgeRevoked)), (1, 1));
    assert_eq!((world.told(B::PaymentSucceeded), world.told(B::PaymentRefunded)), (1, 1));

    let world = told(scenarios::dispute());
    assert_eq!((world.told(B::GrantCreated), world.told(B::GrantRevoked)), (1, 1));
    assert_eq!(world.told(B::PaymentDisputed), 1);

    let world = told(scenarios::async_payment());
    assert_eq!((world.told(B::GrantCreated), world.told(B::GrantRevoked)), (1, 0));

    let world = told(scenarios::bought_in_two_lines());
    assert_eq!((world.told(B::GrantCreated), world.told(B::GrantRevoked)), (1, 1));
    assert_eq!((world.told(B::BadgePurchased), world.told(B::BadgeRevoked)), (1, 1));

    let world = told(scenarios::pause_and_resume());
    assert_eq!((world.told(B::SubscriptionPaused), world.told(B::SubscriptionResumed)), (1, 1));
}

/// Deliveries of all `count` events and of some of them again, in any order.
fn deliveries(count: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..count, 0..count)
        .prop_map(move |repeats| (0..count).chain(repeats).collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_long_life_in_any_order_with_repeats_ends_in_the_same_world(
        grain in prop::sample::select(GRAINS.to_vec()),
        arrivals in deliveries(LONG_LIFE_EVENTS),
    ) {
        let catalog = catalog();
        let events = scenarios::long_life().coarse(grain).events;
        let arrived: Vec<Observation> = arrivals.iter().map(|index| events[*index].clone()).collect();
        let (shuffled, told) = (World::after(&arrived, &catalog), World::after(&events, &catalog));
        prop_assert!(shuffled == told, "{}", difference(&told, &shuffled));
    }

    #[test]
    fn nonsense_converges_too(story in soup::soup(6)) {
        assert_every_order_agrees(&story, &catalog());
    }
}

const LONG_LIFE_EVENTS: usize = 19;

#[test]
fn the_long_life_has_as_many_events_as_the_property_shuffles() {
    assert_eq!(scenarios::long_life().events.len(), LONG_LIFE_EVENTS);
}
