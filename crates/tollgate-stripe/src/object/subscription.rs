//! Subscriptions. Owns: items against the legacy plan and quantity, periods per item against the
//! top level, and what `previous_attributes` says. Must not know: which price buys what.
//!
//! Periods are on the items since 2025-03-31.basil and on the subscription before. What sells is
//! `items.data[].price` since 2020, `items.data[].plan` before, and `plan` with `quantity` on the
//! subscription in the oldest shapes. A legacy plan's id is the price's id. `pending_update` and
//! `schedule` are not in effect: they are read as what is planned.

use serde::Deserialize;
use tollgate_domain::ids::{CustomerId, InvoiceId, ObjectId, SubscriptionId};
use tollgate_domain::observation::SeenSubscription;
use tollgate_domain::subscription::{
    CollectionPause, LifecycleRank, PendingUpdate, PreviousValues, SubscriptionItem,
    SubscriptionState, SubscriptionStatus, Version,
};
use tollgate_domain::{EventKind, Seen, Timestamp};

use super::schedule::{self, Schedule};
use super::{Price, Reader, References, Told, is_word, optional_text, optional_word};
use crate::event::Envelope;
use crate::field::{Field, List, Reference, Text, object_value};
use crate::observe::ObserveError;
use crate::owner::Metadata;

const READER: Reader = Reader { object: "subscription" };

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subscription<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow)]
    status: Field<Text<'a>>,
    #[serde(borrow)]
    customer: Field<Reference<'a>>,
    #[serde(borrow)]
    customer_account: Field<Reference<'a>>,
    #[serde(borrow)]
    items: Field<List<Item<'a>>>,
    #[serde(borrow)]
    plan: Field<Price<'a>>,
    quantity: Field<i64>,
    current_period_start: Field<Timestamp>,
    current_period_end: Field<Timestamp>,
    cancel_at_period_end: Field<bool>,
    cancel_at: Field<Timestamp>,
    canceled_at: Field<Timestamp>,
    ended_at: Field<Timestamp>,
    trial_end: Field<Timestamp>,
    #[serde(borrow)]
    pause_collection: Field<Pause<'a>>,
    billing_cycle_anchor: Field<Timestamp>,
    #[serde(borrow)]
    schedule: Field<Schedule<'a>>,
    #[serde(borrow)]
    pending_update: Field<Pending<'a>>,
    created: Field<Timestamp>,
    #[serde(borrow)]
    latest_invoice: Field<Reference<'a>>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pause<'a> {
    #[serde(borrow)]
    behavior: Field<Text<'a>>,
    resumes_at: Field<Timestamp>,
}
object_value!(Pause);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pending<'a> {
    expires_at: Field<Timestamp>,
    #[serde(borrow)]
    subscription_items: Field<List<schedule::Item<'a>>>,
}
object_value!(Pending);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    price: Field<Price<'a>>,
    #[serde(borrow)]
    plan: Field<Price<'a>>,
    quantity: Field<i64>,
    current_period_start: Field<Timestamp>,
    current_period_end: Field<Timestamp>,
}
object_value!(Item);

pub(super) fn read(kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Subscription<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let id = READER.id(&object.id, "id", SubscriptionId::parse)?;
    let customer = READER.optional_id(&object.customer, "customer", CustomerId::parse)?;
    let customer_account = READER.payer(&object.customer_account)?;
    let version = Version { at: envelope.created, rank: rank(kind), event: envelope.id.clone() };
    let mut state = state(&object, version)?;
    state.previous = envelope
        .previous_attributes
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .and_then(|before: Subscription<'_>| previous(&before, &object, &state.items))
        .map(Box::new);
    Ok(Told {
        named: object.metadata.given().map(Metadata::named).unwrap_or_default(),
        references: References::of([
            Some(id.as_str()),
            customer.as_ref().map(CustomerId::as_str),
            customer_account.as_ref().map(ObjectId::as_str),
            state.schedule.as_ref().map(ObjectId::as_str),
        ]),
        customer,
        customer_account,
        email: None,
        seen: Seen::Subscription(SeenSubscription {
            state,
            schedule: object.schedule.given().and_then(|schedule| schedule.of(&id)),
            id,
        }),
    })
}

fn rank(kind: EventKind) -> LifecycleRank {
    if kind == EventKind::SubscriptionCreated {
        LifecycleRank::Created
    } else if kind == EventKind::SubscriptionPaused || kind == EventKind::SubscriptionResumed {
        LifecycleRank::PausedOrResumed
    } else if kind == EventKind::SubscriptionDeleted {
        LifecycleRank::Deleted
    } else if kind == EventKind::SubscriptionFetched {
        LifecycleRank::Fetched
    } else {
        LifecycleRank::Updated
    }
}

fn state(object: &Subscription<'_>, version: Version) -> Result<SubscriptionState, ObserveError> {
    let time =
        |field: &Field<Timestamp>, name| READER.optional(field, name).map(Option::<&_>::copied);
    Ok(SubscriptionState {
        version,
        status: SubscriptionStatus::parse(READER.word(&object.status, "status")?),
        items: items(object)?,
        cancel_at_period_end: READER
            .optional(&object.cancel_at_period_end, "cancel_at_period_end")?
            .is_some_and(|flag| *flag),
        cancel_at: time(&object.cancel_at, "cancel_at")?,
        canceled_at: time(&object.canceled_at, "canceled_at")?,
        ended_at: time(&object.ended_at, "ended_at")?,
        trial_end: time(&object.trial_end, "trial_end")?,
        collection_pause: pause(object)?,
        billing_anchor: time(&object.billing_cycle_anchor, "billing_cycle_anchor")?,
        schedule: READER.optional(&object.schedule, "schedule")?.and_then(Schedule::id),
        pending_update: READER
            .optional(&object.pending_update, "pending_update")?
            .and_then(pending),
        items_cut: object.items.given().is_some_and(|items| items.cut),
        created: time(&object.created, "created")?,
        latest_invoice: READER.optional_id(
            &object.latest_invoice,
            "latest_invoice",
            InvoiceId::parse,
        )?,
        previous: None,
        covers: Vec::new(),
    })
}

fn pause(object: &Subscription<'_>) -> Result<Option<CollectionPause>, ObserveError> {
    let Some(pause) = READER.optional(&object.pause_collection, "pause_collection")? else {
        return Ok(None);
    };
    let resumes_at = READER.optional(&pause.resumes_at, "pause_collection.resumes_at")?.copied();
    Ok(Some(CollectionPause { behavior: optional_word(&pause.behavior), resumes_at }))
}

/// A change that awaits its payment; `None` where it does not say until when. Items that are taken
/// away have no price and are left out.
fn pending(update: &Pending<'_>) -> Option<PendingUpdate> {
    let items = update.subscription_items.given().into_iter().flat_map(List::given);
    let items = items.filter_map(schedule::Item::planned).collect();
    Some(PendingUpdate { items, expires_at: *update.expires_at.given()? })
}

/// The period of items that do not have their own.
#[derive(Clone, Copy)]
struct Period {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

fn items(object: &Subscription<'_>) -> Result<Vec<SubscriptionItem>, ObserveError> {
    let period = Period {
        start: READER.optional(&object.current_period_start, "current_period_start")?.copied(),
        end: READER.optional(&object.current_period_end, "current_period_end")?.copied(),
    };
    let listed = READER.optional(&object.items, "items")?;
    if let Some(list) = listed.filter(|list| !list.data.is_empty()) {
        return list.data.iter().map(|element| item(element, period)).collect();
    }
    match READER.optional(&object.plan, "plan")? {
        Some(plan) => Ok(vec![sold(plan, &object.quantity, period).ok_or(READER.garbled("plan"))?]),
        None if listed.is_some() => Ok(Vec::new()),
        None => Err(READER.missing("items")),
    }
}

fn item(element: &Field<Item<'_>>, top: Period) -> Result<SubscriptionItem, ObserveError> {
    let item = element.given().ok_or(READER.garbled("items.data"))?;
    let start = READER.optional(&item.current_period_start, "items.data.current_period_start")?;
    let end = READER.optional(&item.current_period_end, "items.data.current_period_end")?;
    let period = Period { start: start.copied().or(top.start), end: end.copied().or(top.end) };
    let price = READER.required(item.price.or(&item.plan), "items.data.price")?;
    sold(price, &item.quantity, period).ok_or(READER.garbled("items.data"))
}

/// `None` when the price has no usable id or the quantity is not a count. Metered items have no
/// quantity and count once, whatever is written there.
fn sold(price: &Price<'_>, quantity: &Field<i64>, period: Period) -> Option<SubscriptionItem> {
    let quantity = match quantity {
        _ if price.is_metered() => 1,
        Field::Given(number) => u64::try_from(*number).ok()?,
        Field::Absent | Field::Null => 1,
        Field::Garbled => return None,
    };
    Some(SubscriptionItem {
        price: price.price_id()?,
        lookup_key: optional_text(&price.lookup_key),
        product: price.product(),
        quantity,
        period_start: period.start,
        period_end: period.end,
    })
}

/// The values before, as far as they are listed and readable; `None` when there is nothing of use.
fn previous(
    before: &Subscription<'_>,
    now: &Subscription<'_>,
    items_now: &[SubscriptionItem],
) -> Option<PreviousValues> {
    let values = PreviousValues {
        status: before
            .status
            .given()
            .filter(|text| is_word(text.as_str()))
            .map(|text| SubscriptionStatus::parse(text.as_str())),
        items: previous_items(before, now, items_now),
        cancel_at_period_end: before.cancel_at_period_end.given().copied(),
        cancel_at: listed(&before.cancel_at),
        canceled_at: listed(&before.canceled_at),
        ended_at: listed(&before.ended_at),
        trial_end: listed(&before.trial_end),
        collection_paused: is_set(&before.pause_collection),
        schedule: match &before.schedule {
            Field::Null => Some(None),
            Field::Given(schedule) => schedule.id().map(Some),
            Field::Absent | Field::Garbled => None,
        },
        update_pending: is_set(&before.pending_update),
        latest_invoice: match &before.latest_invoice {
            Field::Null => Some(None),
            Field::Given(id) => InvoiceId::parse(&id.0).ok().map(Some),
            Field::Absent | Field::Garbled => None,
        },
    };
    (values != PreviousValues::default()).then_some(values)
}

/// A value before: the outer `None` when it is not listed, the inner when it was null.
#[expect(clippy::option_option, reason = "the form of the domain's `PreviousValues`")]
fn listed<T: Copy>(field: &Field<T>) -> Option<Option<T>> {
    match field {
        Field::Given(value) => Some(Some(*value)),
        Field::Null => Some(None),
        Field::Absent | Field::Garbled => None,
    }
}

/// Whether a value was set before; `None` when it is not listed.
fn is_set<T>(field: &Field<T>) -> Option<bool> {
    match field {
        Field::Given(_) => Some(true),
        Field::Null => Some(false),
        Field::Absent | Field::Garbled => None,
    }
}

/// The items before. Shapes before basil list a renewal as a change of the top-level period and
/// the oldest list a change of plan at the top level; both become the whole items as they were,
/// which is what newer shapes list. Elements that cannot be read (shapes to 2017-04-06 list only
/// the changed parts) say nothing.
fn previous_items(
    before: &Subscription<'_>,
    now: &Subscription<'_>,
    items_now: &[SubscriptionItem],
) -> Option<Vec<SubscriptionItem>> {
    let start = before.current_period_start.given().copied();
    let end = before.current_period_end.given().copied();
    let period = Period {
        start: start.or(now.current_period_start.given().copied()),
        end: end.or(now.current_period_end.given().copied()),
    };
    if before.items.is_listed() {
        let list = before.items.given()?;
        return list.data.iter().map(|element| item(element, period).ok()).collect();
    }
    let moved = start.is_some() || end.is_some();
    let resold = before.plan.is_listed() || before.quantity.is_listed();
    if !moved && !resold {
        return None;
    }
    let mut items = items_now.to_vec();
    for item in &mut items {
        item.period_start = start.or(item.period_start);
        item.period_end = end.or(item.period_end);
    }
    if resold {
        let [only] = items.as_mut_slice() else { return None };
        if let Some(plan) = before.plan.given() {
            only.price = plan.price_id()?;
            only.lookup_key = optional_text(&plan.lookup_key);
            only.product = plan.product().or(only.product.take());
        }
        if let Some(quantity) = before.quantity.given() {
            only.quantity = u64::try_from(*quantity).ok()?;
        }
    }
    Some(items)
}
