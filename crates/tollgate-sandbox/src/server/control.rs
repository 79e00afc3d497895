//! Control over the sandbox itself, under `/_sandbox`. Owns: the JSON of clock, faults, deliveries
//! and stories, for the command line and for tests in other languages. Must not know: Stripe's API.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::deed::{CheckoutWord, Deed, DeedError, DisputeWord, Done};
use super::faults::FaultRule;
use super::plan::DeliveryPlan;
use super::stand::{Stand, lock};
use super::story::Story;
use crate::sandbox::{PageError, PageResult};
use crate::version::ApiVersion;

/// Longest wait for deliveries.
const SETTLE_MAX: Duration = Duration::from_mins(1);
/// Most attempts shown at once.
const SHOWN_MAX: usize = 1_000;

/// The routes.
pub(crate) fn routes() -> Router<Arc<Stand>> {
    Router::new()
        .route("/_sandbox", get(state))
        .route("/_sandbox/clock", get(clock).post(advance))
        .route("/_sandbox/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_sandbox/deliveries", get(deliveries))
        .route("/_sandbox/deliveries/plan", get(plan).put(set_plan))
        .route("/_sandbox/deliveries/settle", post(settle))
        .route("/_sandbox/events/{event}/resend", post(resend))
        .route("/_sandbox/scenario", post(tell))
        .route("/_sandbox/checkout", post(checkout))
        .route("/_sandbox/settle", post(settle_payment))
        .route("/_sandbox/card", post(card))
        .route("/_sandbox/dispute", post(dispute))
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    pub(crate) fn bad(why: &(impl ToString + ?Sized)) -> Self {
        Self(StatusCode::BAD_REQUEST, why.to_string())
    }

    pub(crate) fn missing(why: &(impl ToString + ?Sized)) -> Self {
        Self(StatusCode::NOT_FOUND, why.to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

pub(crate) type Answer = Result<Json<Value>, Refusal>;

/// A body of a known shape.
pub(crate) type Body<T> = Result<Json<T>, JsonRejection>;

async fn state(State(stand): State<Arc<Stand>>) -> Json<Value> {
    let (events, endpoints) =
        stand.with(|sandbox| (sandbox.happenings().len(), sandbox.endpoints().len()));
    let courier = lock(&stand.courier);
    Json(json!({
        "sandbox": "tollgate",
        "url": stand.site,
        "apiVersion": ApiVersion::default().as_str(),
        "clock": time(&stand),
        "events": events,
        "endpoints": endpoints,
        "deliveriesOpen": courier.open(),
        "deliveryAttempts": courier.count(),
    }))
}

/// The clock, as told everywhere.
pub(crate) fn time(stand: &Stand) -> Value {
    let now = stand.clock.now();
    json!({
        "now": now.to_string(),
        "nowMs": now.millis(),
        "aheadMs": stand.clock.ahead_ms(),
        "running": stand.clock.is_running(),
    })
}

async fn clock(State(stand): State<Arc<Stand>>) -> Json<Value> {
    Json(time(&stand))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_s: Option<u64>,
    /// Unix seconds.
    to: Option<i64>,
}

async fn advance(State(stand): State<Arc<Stand>>, body: Body<Advance>) -> Answer {
    let Json(asked) = body?;
    let by = match (asked.advance_s, asked.to) {
        (Some(seconds), None) => Duration::from_secs(seconds),
        (None, Some(to)) => {
            let ms = to.saturating_mul(1000).saturating_sub(stand.clock.now().millis());
            let ms = u64::try_from(ms).map_err(|_| Refusal::bad("time never goes back"))?;
            Duration::from_millis(ms)
        }
        _ => return Err(Refusal::bad("exactly one of advanceS and to is given")),
    };
    if by > super::clock::ADVANCE_MAX {
        return Err(Refusal::bad("the clock is moved by ten years at most"));
    }
    let before = stand.with(|sandbox| sandbox.happenings().len());
    stand.advance(by);
    let events = stand.with(|sandbox| sandbox.happenings().len()).saturating_sub(before);
    let mut answer = time(&stand);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("events".to_owned(), events.into());
    }
    Ok(Json(answer))
}

async fn faults(State(stand): State<Arc<Stand>>) -> Json<Value> {
    Json(json!({"faults": lock(&stand.faults).rules()}))
}

async fn add_fault(State(stand): State<Arc<Stand>>, body: Body<FaultRule>) -> Answer {
    let Json(rule) = body?;
    if !lock(&stand.faults).add(rule) {
        return Err(Refusal::bad("there are too many rules already; DELETE them first"));
    }
    Ok(faults(State(stand)).await)
}

async fn clear_faults(State(stand): State<Arc<Stand>>) -> Json<Value> {
    lock(&stand.faults).clear();
    faults(State(stand)).await
}

async fn plan(State(stand): State<Arc<Stand>>) -> Json<DeliveryPlan> {
    Json(lock(&stand.courier).plan.clone())
}

async fn set_plan(
    State(stand): State<Arc<Stand>>,
    body: Body<DeliveryPlan>,
) -> Result<Json<DeliveryPlan>, Refusal> {
    let Json(plan) = body?;
    lock(&stand.courier).plan = plan.clone();
    stand.wake();
    Ok(Json(plan))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn deliveries(State(stand): State<Arc<Stand>>, Query(query): Query<Since>) -> Json<Value> {
    let courier = lock(&stand.courier);
    let shown: Vec<_> = courier.attempts_since(query.since).take(SHOWN_MAX).collect();
    Json(json!({"deliveries": shown, "open": courier.open()}))
}

/// Waits until nothing is due any more, at most a minute. Whether that was reached.
async fn wait(stand: &Stand) -> bool {
    tokio::time::timeout(SETTLE_MAX, stand.settled()).await.is_ok()
}

async fn settle(State(stand): State<Arc<Stand>>) -> Json<Value> {
    let settled = wait(&stand).await;
    let courier = lock(&stand.courier);
    Json(json!({"settled": settled, "open": courier.open(), "deliveryAttempts": courier.count()}))
}

async fn resend(State(stand): State<Arc<Stand>>, Path(event): Path<String>) -> Answer {
    if !stand.resend(&event, None) {
        return Err(Refusal::missing(&format!("no event {event}, or nobody who wants it")));
    }
    Ok(Json(json!({"event": event})))
}

/// Tells a story, waits for its deliveries, and says how they went.
async fn tell(State(stand): State<Arc<Stand>>, body: Body<Story>) -> Answer {
    let Json(story) = body?;
    // Its own, whatever the plan of other events is.
    let plan = DeliveryPlan {
        seed: story.seed,
        duplicate_percent: if story.duplicate { 100 } else { 0 },
        shuffle: story.shuffle,
        api_versions: story.version().map_err(|error| Refusal::bad(&error))?.into_iter().collect(),
        ..DeliveryPlan::default()
    };
    let before = lock(&stand.courier).count();
    let known: Vec<String> = stand.with(|sandbox| ids(sandbox.happenings()));
    let done =
        stand.perform(Deed::Tell { story }, Some(plan)).map_err(|error| Refusal::bad(&error))?;
    let Done::Told(events) = done else { return Err(Refusal::bad("nothing was told")) };
    // Told again with the same seed: the same events, so they are only sent again.
    for event in events.iter().filter(|event| known.contains(event)) {
        stand.resend(event, None);
    }
    let settled = wait(&stand).await;
    let courier = lock(&stand.courier);
    let attempts = courier.attempts_since(before).filter(|one| events.contains(&one.event));
    let attempts: Vec<_> = attempts.take(SHOWN_MAX).collect();
    Ok(Json(json!({"events": events, "settled": settled, "deliveries": attempts})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkout {
    session: String,
    outcome: CheckoutWord,
}

/// Does what somebody would do on the hosted page.
async fn checkout(State(stand): State<Arc<Stand>>, body: Body<Checkout>) -> Answer {
    let Json(Checkout { session, outcome }) = body?;
    match stand
        .perform(Deed::Checkout { session, outcome }, None)
        .map_err(|error| refused(&error))?
    {
        Done::Page(PageResult::GoTo(url)) => Ok(Json(json!({"outcome": "complete", "url": url}))),
        Done::Page(PageResult::Declined(why)) => {
            Ok(Json(json!({"outcome": "declined", "why": why})))
        }
        Done::Told(_) | Done::Object(_) | Done::Quiet => Ok(Json(json!({}))),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    session: String,
    succeeds: bool,
}

async fn settle_payment(State(stand): State<Arc<Stand>>, body: Body<Settle>) -> Answer {
    let Json(Settle { session, succeeds }) = body?;
    stand.perform(Deed::Settle { session, succeeds }, None).map_err(|error| refused(&error))?;
    Ok(Json(json!({"settled": succeeds})))
}

/// A customer, by id or by the account it stands for, and a card's word.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCard {
    customer: String,
    card: String,
}

async fn card(State(stand): State<Arc<Stand>>, body: Body<NewCard>) -> Answer {
    let Json(NewCard { customer, card }) = body?;
    let customer = stand.customer(&customer);
    stand
        .perform(Deed::Card { customer: customer.clone(), card }, None)
        .map_err(|error| refused(&error))?;
    Ok(Json(json!({"customer": customer})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispute {
    charge: String,
    what: DisputeWord,
}

async fn dispute(State(stand): State<Arc<Stand>>, body: Body<Dispute>) -> Answer {
    let Json(Dispute { charge, what }) = body?;
    match stand.perform(Deed::Dispute { charge, what }, None).map_err(|error| refused(&error))? {
        Done::Object(dispute) => Ok(Json(json!({"dispute": dispute}))),
        Done::Page(_) | Done::Told(_) | Done::Quiet => Ok(Json(json!({}))),
    }
}

fn refused(error: &DeedError) -> Refusal {
    let unknown = matches!(error, DeedError::Page(PageError::Unknown { .. }));
    if unknown { Refusal::missing(error) } else { Refusal::bad(error) }
}

fn ids(happenings: &[crate::event::Happening]) -> Vec<String> {
    happenings.iter().map(|one| one.id().to_owned()).collect()
}
