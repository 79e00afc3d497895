//! The sandbox's own front page. Owns: what it shows of the account, and its buttons: time, cards,
//! payments on their way, deliveries. Must not know: how they are done.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::super::courier::Courier;
use super::super::deed::{Deed, DeedError};
use super::super::stand::{Stand, lock};
use super::words;
use super::{go_to, page, refused};
use crate::event::Happening;
use crate::object::customer::Customer;
use crate::object::stored::Stored;
use crate::object::subscription::Subscription;
use crate::sandbox::{ApiRequest, Method, PageError, Params, Sandbox, WebhookEndpoint};
use crate::thin::EventForm;
use crate::version::ApiVersion;

/// Most rows of a table.
const ROWS_MAX: usize = 25;

/// How far the clock's buttons move it.
const STEPS: [(u64, &str); 5] = [
    (3_600, "+1 hour"),
    (86_400, "+1 day"),
    (3 * 86_400, "+3 days"),
    (7 * 86_400, "+1 week"),
    (31 * 86_400, "+31 days"),
];

#[derive(Debug, Template)]
#[template(path = "dashboard.html")]
struct Front {
    site: String,
    notice: Option<String>,
    now: String,
    now_rfc3339: String,
    ahead: String,
    version: &'static str,
    steps: Vec<Step>,
    figures: Vec<Figure>,
    subscriptions: Vec<SubscriptionRow>,
    sessions: Vec<SessionRow>,
    events: Vec<EventRow>,
    endpoints: Vec<EndpointRow>,
}

#[derive(Debug)]
struct Step {
    seconds: u64,
    label: &'static str,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    value: usize,
}

#[derive(Debug)]
struct SubscriptionRow {
    id: String,
    customer: String,
    customer_id: String,
    plan: String,
    status: String,
    tone: &'static str,
    until: String,
}

#[derive(Debug)]
struct SessionRow {
    id: String,
    status: String,
    tone: &'static str,
    total: String,
    unsettled: bool,
}

#[derive(Debug)]
struct EventRow {
    id: String,
    kind: &'static str,
    time: String,
    delivered: &'static str,
    asked: bool,
    tone: &'static str,
}

#[derive(Debug)]
struct EndpointRow {
    url: String,
    status: &'static str,
    tone: &'static str,
    detail: String,
}

impl Front {
    fn of(stand: &Stand, sandbox: &mut Sandbox, notice: Option<String>) -> Self {
        let now = stand.clock.now();
        let courier = lock(&stand.courier);
        let ahead_s = stand.clock.ahead_ms().div_euclid(1000);
        Self {
            site: stand.site.clone(),
            notice,
            now: words::instant(now.unix_seconds()),
            now_rfc3339: now.to_string(),
            ahead: if ahead_s > 0 {
                format!("{} ahead of this machine", words::span(ahead_s))
            } else {
                "UTC, as on this machine".to_owned()
            },
            version: ApiVersion::default().as_str(),
            steps: STEPS.map(|(seconds, label)| Step { seconds, label }).into(),
            figures: figures(sandbox, &courier),
            subscriptions: subscriptions(sandbox),
            sessions: sessions(sandbox),
            events: events(sandbox.happenings(), &courier),
            endpoints: sandbox.endpoints().iter().map(EndpointRow::of).collect(),
        }
    }
}

fn figures(sandbox: &Sandbox, courier: &Courier) -> Vec<Figure> {
    fn count<T: Stored>(sandbox: &Sandbox, that: impl Fn(&&T) -> bool) -> usize {
        sandbox.world.objects.all::<T>().filter(that).count()
    }
    let live = |one: &&Subscription| matches!(one.status, "active" | "trialing" | "past_due");
    vec![
        Figure { name: "Customers", value: count::<Customer>(sandbox, |one| !one.deleted) },
        Figure { name: "Live subscriptions", value: count(sandbox, live) },
        Figure { name: "Events", value: sandbox.happenings().len() },
        Figure { name: "Deliveries waiting", value: courier.open() },
    ]
}

/// The newest objects of a list of the API.
fn list(sandbox: &mut Sandbox, path: &str) -> Vec<Value> {
    let params = Params::from_form(&format!("limit={ROWS_MAX}")).unwrap_or_default();
    let reply = sandbox.call(&ApiRequest::new(Method::Get, path, params));
    reply.body.get("data").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn subscriptions(sandbox: &Sandbox) -> Vec<SubscriptionRow> {
    let all = sandbox.world.objects.newest_first::<Subscription>();
    let row = |one: &Subscription| {
        let customer = sandbox.world.objects.get::<Customer>(&one.customer);
        let name = customer.and_then(|known| known.name.clone().or_else(|| known.email.clone()));
        let plans = one.items.iter().map(|item| match item.quantity {
            1 => item.price.product.name.clone(),
            count => format!("{count} × {}", item.price.product.name),
        });
        let end = one.items.iter().map(|item| item.period_end).max();
        SubscriptionRow {
            id: one.id.clone(),
            customer: name.unwrap_or_else(|| one.customer.clone()),
            customer_id: one.customer.clone(),
            plan: plans.collect::<Vec<_>>().join(", "),
            status: words::status(one.status),
            tone: words::tone(one.status),
            until: end.map(words::day).unwrap_or_default(),
        }
    };
    all.into_iter().take(ROWS_MAX).map(row).collect()
}

fn sessions(sandbox: &mut Sandbox) -> Vec<SessionRow> {
    let row = |one: &Value| {
        let (status, paid) = (text(one, "/status"), text(one, "/payment_status"));
        let unsettled = status == "complete" && paid == "unpaid";
        let status = if unsettled { "waiting" } else { status };
        let total = one.get("amount_total").and_then(Value::as_i64).unwrap_or_default();
        SessionRow {
            id: text(one, "/id").to_owned(),
            status: words::status(status),
            tone: words::tone(status),
            total: words::money(total, text(one, "/currency")),
            unsettled,
        }
    };
    list(sandbox, "/v1/checkout/sessions").iter().map(row).collect()
}

fn events(happenings: &[Happening], courier: &Courier) -> Vec<EventRow> {
    let row = |one: &Happening| {
        let state = courier.progress(one.id());
        let delivered = match state {
            None => "nobody asked",
            Some(state) if state.pending > 0 && state.failed => "trying again",
            Some(state) if state.pending > 0 => "waiting",
            Some(state) if state.failed => "failed",
            Some(_) => "delivered",
        };
        EventRow {
            id: one.id().to_owned(),
            kind: one.kind(),
            time: words::instant(one.created()),
            delivered,
            asked: state.is_some(),
            tone: if delivered == "trying again" { "warn" } else { words::tone(delivered) },
        }
    };
    happenings.iter().rev().take(ROWS_MAX).map(row).collect()
}

impl EndpointRow {
    fn of(endpoint: &WebhookEndpoint) -> Self {
        let status = if endpoint.enabled { "enabled" } else { "disabled" };
        let version = match endpoint.form {
            EventForm::Thin => "thin",
            EventForm::Snapshot => {
                endpoint.api_version.map_or("the account's version", ApiVersion::as_str)
            }
        };
        let wanted = match endpoint.enabled_events.as_slice() {
            [all] if all == "*" => "all events".to_owned(),
            some => format!("{} types of events", some.len()),
        };
        let detail = format!("{wanted}, {version}");
        Self { url: endpoint.url.clone(), status, tone: words::tone(status), detail }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Told {
    done: Option<String>,
}

pub(super) async fn show(State(stand): State<Arc<Stand>>, Query(told): Query<Told>) -> Response {
    let notice = match told.done.as_deref() {
        Some("clock") => Some("The clock was moved; what became due has happened."),
        Some("good") => Some("Payments of this customer succeed from now on."),
        Some("declined") => Some("Payments of this customer fail from now on."),
        Some("settled") => Some("The payment is decided."),
        Some("resent") => Some("The event is on its way again."),
        Some(_) | None => None,
    };
    let notice = notice.map(str::to_owned);
    let front = stand.with(|sandbox| Front::of(&stand, sandbox, notice));
    page(StatusCode::OK, &front)
}

#[derive(Debug, Deserialize)]
pub(super) struct Advance {
    advance: u64,
}

pub(super) async fn advance(
    State(stand): State<Arc<Stand>>,
    Form(asked): Form<Advance>,
) -> Response {
    stand.advance(Duration::from_secs(asked.advance));
    go_to("/?done=clock")
}

#[derive(Debug, Deserialize)]
pub(super) struct NewCard {
    customer: String,
    card: String,
}

pub(super) async fn card(State(stand): State<Arc<Stand>>, Form(asked): Form<NewCard>) -> Response {
    let NewCard { customer, card } = asked;
    let done = if card == "good" { "/?done=good" } else { "/?done=declined" };
    answer(stand.perform(Deed::Card { customer, card }, None).map(|_| ()), done)
}

#[derive(Debug, Deserialize)]
pub(super) struct Settle {
    session: String,
    succeeds: bool,
}

pub(super) async fn settle(State(stand): State<Arc<Stand>>, Form(asked): Form<Settle>) -> Response {
    let Settle { session, succeeds } = asked;
    let deed = Deed::Settle { session, succeeds };
    answer(stand.perform(deed, None).map(|_| ()), "/?done=settled")
}

#[derive(Debug, Deserialize)]
pub(super) struct Resend {
    event: String,
}

pub(super) async fn resend(State(stand): State<Arc<Stand>>, Form(asked): Form<Resend>) -> Response {
    if stand.resend(&asked.event, None) {
        return go_to("/?done=resent");
    }
    let message = "Nobody has asked for events of this type.".to_owned();
    refused(&PageError::Refused { message })
}

fn answer(done: Result<(), DeedError>, then: &str) -> Response {
    match done {
        Ok(()) => go_to(then),
        Err(DeedError::Page(error)) => refused(&error),
        Err(error) => refused(&PageError::Refused { message: error.to_string() }),
    }
}
