//! Random subscriptions and what is planned for them.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tollgate_domain::subscription::{
    CollectionPause, LifecycleRank, PendingUpdate, Phase, PlannedItem, PlannedPrice,
    PreviousValues, Schedule, ScheduleVersion, Subscription, SubscriptionItem, SubscriptionState,
    SubscriptionStatus, Version,
};

use super::{
    boxed_text, customer_id, event_id, instant, invoice_id, member_id, object_id, own_claim,
    price_id, product_id, subscription_id, text,
};

pub(super) fn status() -> impl Strategy<Value = SubscriptionStatus> {
    let known = prop::sample::select(vec![
        "incomplete",
        "incomplete_expired",
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "canceled",
    ]);
    prop_oneof![known.prop_map(str::to_owned), text()]
        .prop_map(|text| SubscriptionStatus::parse(&text))
}

pub(super) fn item() -> impl Strategy<Value = SubscriptionItem> {
    let period = (option::of(instant()), option::of(instant()));
    (price_id(), boxed_text(), option::of(product_id()), any::<u64>(), period).prop_map(
        |(price, lookup_key, product, quantity, (period_start, period_end))| SubscriptionItem {
            price,
            lookup_key,
            product,
            quantity,
            period_start,
            period_end,
        },
    )
}

fn previous() -> impl Strategy<Value = PreviousValues> {
    let maybe = || option::of(option::of(instant()));
    (
        option::of(status()),
        option::of(vec(item(), 0..3)),
        option::of(any::<bool>()),
        (maybe(), maybe(), maybe(), maybe()),
        (option::of(any::<bool>()), option::of(any::<bool>())),
        (option::of(option::of(invoice_id())), option::of(option::of(object_id()))),
    )
        .prop_map(|(status, items, at_end, times, flags, objects)| {
            let (collection_paused, update_pending) = flags;
            let (latest_invoice, schedule) = objects;
            PreviousValues {
                status,
                items,
                cancel_at_period_end: at_end,
                cancel_at: times.0,
                canceled_at: times.1,
                ended_at: times.2,
                trial_end: times.3,
                collection_paused,
                schedule,
                update_pending,
                latest_invoice,
            }
        })
}

fn version() -> impl Strategy<Value = Version> {
    (instant(), 0_i64..5, event_id()).prop_map(|(at, rank, event)| Version {
        at,
        rank: LifecycleRank::from_i64(rank).unwrap(),
        event,
    })
}

pub(crate) fn state() -> impl Strategy<Value = SubscriptionState> {
    let maybe = || option::of(instant());
    (
        (version(), status(), vec(item(), 0..4), any::<bool>(), any::<bool>()),
        (maybe(), maybe(), maybe(), maybe(), maybe(), maybe()),
        (
            option::of(invoice_id()),
            option::of(object_id()),
            option::of(pause()),
            option::of(pending()),
        ),
        (option::of(previous()), vec(event_id(), 0..3)),
    )
        .prop_map(
            |(
                (version, status, items, at_end, items_cut),
                times,
                (latest_invoice, schedule, collection_pause, pending_update),
                (previous, covers),
            )| {
                SubscriptionState {
                    version,
                    status,
                    items,
                    cancel_at_period_end: at_end,
                    cancel_at: times.0,
                    canceled_at: times.1,
                    ended_at: times.2,
                    trial_end: times.3,
                    collection_pause,
                    billing_anchor: times.5,
                    schedule,
                    pending_update,
                    items_cut,
                    created: times.4,
                    latest_invoice,
                    previous: previous.map(Box::new),
                    covers,
                }
            },
        )
}

fn pause() -> impl Strategy<Value = CollectionPause> {
    (boxed_text(), option::of(instant()))
        .prop_map(|(behavior, resumes_at)| CollectionPause { behavior, resumes_at })
}

pub(super) fn planned() -> impl Strategy<Value = PlannedItem> {
    item().prop_map(|item| PlannedItem {
        price: item.price,
        lookup_key: item.lookup_key,
        product: None,
        interval: None,
        quantity: item.quantity,
    })
}

fn pending() -> impl Strategy<Value = PendingUpdate> {
    (vec(planned(), 0..3), instant())
        .prop_map(|(items, expires_at)| PendingUpdate { items, expires_at })
}

pub(super) fn schedule() -> impl Strategy<Value = Schedule> {
    let phase = (instant(), option::of(instant()), vec(planned(), 0..3))
        .prop_map(|(start, end, items)| Phase { start, end, items });
    let version = (any::<bool>(), instant(), any::<u8>(), event_id())
        .prop_map(|(over, at, rank, event)| ScheduleVersion { over, at, rank, event });
    let price = (instant(), boxed_text(), any::<bool>()).prop_map(|(at, key, yearly)| {
        let interval = yearly.then_some(tollgate_domain::catalog::Interval::Year);
        PlannedPrice { at, lookup_key: key, product: None, interval }
    });
    let prices = vec((item(), price), 0..3).prop_map(|all| {
        all.into_iter().map(|(item, price)| (item.price, price)).collect::<BTreeMap<_, _>>()
    });
    let about = (object_id(), option::of(subscription_id()), any::<bool>(), any::<bool>());
    (about, version, vec(phase, 0..3), prices).prop_map(
        |((id, subscription, cancels, tied), version, phases, prices)| Schedule {
            id,
            subscription,
            version,
            phases,
            cancels,
            tied,
            prices,
        },
    )
}

pub(super) fn subscription() -> impl Strategy<Value = Subscription> {
    let owner = (option::of(customer_id()), option::of(member_id()), option::of(own_claim()));
    let parts = (subscription_id(), owner, vec(state(), 1..4));
    parts.prop_map(|(id, (customer, member, own_claim), states)| {
        let mut states = states.into_iter();
        let first = states.next().unwrap();
        let mut subscription = Subscription::first_seen(id, customer, member, first.clone());
        subscription.remember(first);
        for state in states {
            subscription.observe(state.clone());
            subscription.remember(state);
        }
        subscription.own_claim = own_claim;
        subscription
    })
}
