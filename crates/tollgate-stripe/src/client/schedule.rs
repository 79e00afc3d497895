//! Subscription schedules: changes that wait for the period end. Owns: making, filling and
//! releasing one. Must not know: why a change waits.

use serde::Deserialize;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::SubscriptionId;

use crate::client::StripeClient;
use crate::client::error::StripeError;
use crate::client::request::{ApiPath, Form, Operation};
use crate::client::secret::IdempotencyKey;
use crate::client::subscription::{Item, ItemChange};

const CREATE: Operation = Operation::post("subscription_schedules.create");
const RETRIEVE: Operation = Operation::get("subscription_schedules.retrieve");
const UPDATE: Operation = Operation::post("subscription_schedules.update");
const RELEASE: Operation = Operation::post("subscription_schedules.release");
const PATH: &str = "/v1/subscription_schedules";

/// A schedule, as far as we fill it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Stripe's id.
    pub id: String,
    /// The phase that is on now.
    pub present: Option<Phase>,
    /// Prices and quantities of the phases to come.
    pub coming: Vec<(String, u64)>,
}

/// The span of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// Its first instant.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

#[derive(Deserialize)]
struct Body {
    id: String,
    current_phase: Option<Span>,
    #[serde(default)]
    phases: Vec<PhaseBody>,
}

#[derive(Deserialize)]
struct Span {
    start_date: i64,
    end_date: i64,
}

#[derive(Deserialize)]
struct PhaseBody {
    start_date: i64,
    items: Vec<PhaseItem>,
}

#[derive(Deserialize)]
struct PhaseItem {
    price: Reference,
    quantity: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Object { id: String },
}

impl Body {
    fn read(self) -> Schedule {
        let present = self.current_phase.map(|span| Phase {
            start: Timestamp::from_unix_seconds(span.start_date),
            end: Timestamp::from_unix_seconds(span.end_date),
        });
        let coming = self
            .phases
            .into_iter()
            .filter(|phase| present.is_some_and(|now| phase.start_date >= now.end.unix_seconds()));
        let coming = coming
            .flat_map(|phase| phase.items)
            .map(|item| match item.price {
                Reference::Id(id) | Reference::Object { id } => (id, item.quantity.unwrap_or(1)),
            })
            .collect();
        Schedule { id: self.id, present, coming }
    }
}

/// The parameters of a schedule that keeps what is paid for until the phase's end and then sells
/// something else; after that the subscription goes on without a schedule.
pub fn change_at_end(present: Phase, items: &[Item], change: ItemChange<'_>) -> Form {
    let mut form = Form::new()
        .with("end_behavior", "release")
        .with("proration_behavior", "none")
        .with("phases[0][start_date]", present.start.unix_seconds().to_string())
        .with("phases[0][end_date]", present.end.unix_seconds().to_string())
        .with("phases[1][proration_behavior]", "none");
    for (place, item) in items.iter().enumerate() {
        let (price, quantity) = (item.price.id.as_str(), item.quantity);
        form = form
            .with(format!("phases[0][items][{place}][price]"), price)
            .with(format!("phases[0][items][{place}][quantity]"), quantity.to_string());
        let (price, quantity) = if item.id == change.item {
            (change.price, change.quantity)
        } else {
            (price, quantity)
        };
        form = form
            .with(format!("phases[1][items][{place}][price]"), price)
            .with(format!("phases[1][items][{place}][quantity]"), quantity.to_string());
    }
    form
}

impl StripeClient {
    /// Puts a subscription as it is under a schedule.
    pub async fn create_schedule(
        &self,
        subscription: &SubscriptionId,
        key: &IdempotencyKey,
    ) -> Result<Schedule, StripeError> {
        let form = Form::new().with("from_subscription", subscription.as_str());
        let fetched = self.call(CREATE, &ApiPath::new(PATH), &form, Some(key)).await?;
        Ok(fetched.json::<Body>()?.read())
    }

    /// Reads a schedule.
    pub async fn schedule(&self, id: &str) -> Result<Schedule, StripeError> {
        let fetched = self.call(RETRIEVE, &ApiPath::new(PATH).id(id), &Form::new(), None).await?;
        Ok(fetched.json::<Body>()?.read())
    }

    /// Fills a schedule from [`change_at_end`].
    pub async fn update_schedule(
        &self,
        id: &str,
        form: &Form,
        key: &IdempotencyKey,
    ) -> Result<Schedule, StripeError> {
        let fetched = self.call(UPDATE, &ApiPath::new(PATH).id(id), form, Some(key)).await?;
        Ok(fetched.json::<Body>()?.read())
    }

    /// Takes a subscription out of its schedule; it goes on as it is.
    pub async fn release_schedule(
        &self,
        id: &str,
        key: &IdempotencyKey,
    ) -> Result<(), StripeError> {
        let path = ApiPath::new(PATH).id(id).then("/release");
        self.call(RELEASE, &path, &Form::new(), Some(key)).await.map(|_| ())
    }
}
