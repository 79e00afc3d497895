//! Subscription schedules. Owns: what is planned for a subscription, in every shape. Must not know:
//! whether a phase has begun.
//!
//! What a phase sells is `phases[].items[].price` since 2020, `phases[].plans[].plan` before. A
//! schedule that was released names its subscription in `released_subscription`.

use serde::Deserialize;
use tollgate_domain::ids::{CustomerId, ObjectId, SubscriptionId};
use tollgate_domain::observation::SeenSchedule;
use tollgate_domain::subscription::{Phase, PlannedItem};
use tollgate_domain::{EventKind, Seen, Timestamp};

use super::{Price, Reader, References, Told, optional_text};
use crate::event::Envelope;
use crate::field::{Field, List, Reference, Text, Value, object_value, read_map};
use crate::observe::ObserveError;
use crate::owner::Metadata;

const READER: Reader = Reader { object: "subscription_schedule" };

/// A schedule, as an event's object or where a subscription shows it whole.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Schedule<'a> {
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
    subscription: Field<Reference<'a>>,
    #[serde(borrow)]
    released_subscription: Field<Reference<'a>>,
    #[serde(borrow)]
    end_behavior: Field<Text<'a>>,
    #[serde(borrow)]
    phases: Field<List<PhaseShown<'a>>>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PhaseShown<'a> {
    start_date: Field<Timestamp>,
    end_date: Field<Timestamp>,
    #[serde(borrow)]
    items: Field<List<Item<'a>>>,
    #[serde(borrow)]
    plans: Field<List<Item<'a>>>,
}
object_value!(PhaseShown);

/// An item that is planned, of a phase or of an update that awaits its payment.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    price: Field<Price<'a>>,
    #[serde(borrow)]
    plan: Field<Price<'a>>,
    quantity: Field<i64>,
}
object_value!(Item);

impl Item<'_> {
    /// What it would sell; `None` without a readable price or quantity.
    pub(super) fn planned(&self) -> Option<PlannedItem> {
        let price = self.price.or(&self.plan).given()?;
        let quantity = match &self.quantity {
            Field::Given(number) => u64::try_from(*number).ok()?,
            Field::Absent | Field::Null => 1,
            Field::Garbled => return None,
        };
        Some(PlannedItem {
            price: price.price_id()?,
            lookup_key: optional_text(&price.lookup_key),
            product: price.product(),
            interval: price.interval(),
            quantity,
        })
    }
}

impl PhaseShown<'_> {
    /// The phase; `None` where a part of it cannot be read, for half a phase would be a wrong one.
    fn phase(&self) -> Option<Phase> {
        let items = self.items.or(&self.plans).given()?;
        let planned = items.data.iter().map(|item| item.given()?.planned());
        Some(Phase {
            start: *self.start_date.given()?,
            end: self.end_date.given().copied(),
            items: planned.collect::<Option<_>>()?,
        })
    }
}

/// A schedule by its id alone.
impl<'de: 'a, 'a> Value<'de> for Schedule<'a> {
    fn from_text(text: std::borrow::Cow<'de, str>) -> Option<Self> {
        Some(Self { id: Field::Given(Reference(text)), ..Self::default() })
    }

    fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        read_map(map).map(Some)
    }
}

impl Schedule<'_> {
    /// Its id.
    pub(super) fn id(&self) -> Option<ObjectId> {
        ObjectId::parse(&self.id.given()?.0).ok()
    }

    /// What it shows as a part of its subscription; `None` where that is no more than an id.
    pub(super) fn of(&self, subscription: &SubscriptionId) -> Option<SeenSchedule> {
        let seen = self.seen()?;
        Some(SeenSchedule { subscription: Some(subscription.clone()), ..seen })
    }

    fn seen(&self) -> Option<SeenSchedule> {
        let phases = self.phases.given()?;
        let subscription = self.subscription.or(&self.released_subscription).given();
        Some(SeenSchedule {
            id: self.id()?,
            subscription: subscription.and_then(|id| SubscriptionId::parse(&id.0).ok()),
            over: self.status.given().is_some_and(|status| {
                matches!(status.as_str(), "completed" | "released" | "canceled")
            }),
            phases: phases.given().filter_map(PhaseShown::phase).collect(),
            cancels: self.end_behavior.given().is_some_and(|end| end.as_str() == "cancel"),
        })
    }
}

pub(super) fn read(_kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Schedule<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let id = READER.id(&object.id, "id", ObjectId::parse)?;
    READER.required(&object.status, "status")?;
    READER.required(&object.phases, "phases")?;
    let customer = READER.optional_id(&object.customer, "customer", CustomerId::parse)?;
    let customer_account = READER.payer(&object.customer_account)?;
    let seen = object.seen().ok_or(READER.garbled("phases"))?;
    Ok(Told {
        named: object.metadata.given().map(Metadata::named).unwrap_or_default(),
        references: References::of([
            Some(id.as_str()),
            seen.subscription.as_ref().map(SubscriptionId::as_str),
            customer.as_ref().map(CustomerId::as_str),
            customer_account.as_ref().map(ObjectId::as_str),
        ]),
        customer,
        customer_account,
        email: None,
        seen: Seen::Schedule(seen),
    })
}
