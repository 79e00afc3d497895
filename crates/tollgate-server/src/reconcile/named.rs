//! What thin events name. Owns: reading it once for all events that wait for it, and letting those
//! events go on. Must not know: when it is done, what an object means.
//!
//! An object is asked for like any doubtful one. A snapshot event is fetched and delivered to the
//! intake as if it had come by itself, so the happening has one row under its own id however often
//! and in whichever form it is told.

use serde_json::value::RawValue;
use tollgate_domain::ids::ObjectId;
use tollgate_domain::{FetchCause, FindingCode, Timestamp};
use tollgate_store::doubts::{self, NewDoubt};
use tollgate_store::findings;
use tollgate_store::inbox::{self, EventKey, EventStatus};
use tollgate_store::thin_events::{self, End, Ending, OpenEvent};
use tollgate_stripe::client::{ApiPath, Form, Operation, StripeClient, StripeError};
use tollgate_stripe::fetched::FetchedKind;

use super::settle::{Outcome, Take, Why, settle};
use super::{ReconcileError, connected};
use crate::app::App;
use crate::intake::notice::{EVERYTHING, THIN_EVENTS};
use crate::intake::{Content, Delivery, ReplyStatus, read, squeeze};

/// What ids of Stripe's events begin with.
const EVENT: &str = "evt_";
/// Read thin events are remembered so long: longer than Stripe delivers or lists an event.
const KEPT_DAYS: i64 = 35;

/// Whether something a thin event asks for is a snapshot event.
pub fn is_event(asks: &str) -> bool {
    asks.starts_with(EVENT)
}

/// What came of reading what thin events name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It was read.
    Read,
    /// Nothing waits for it any more.
    NotNeeded,
    /// Stripe does not show it; the events wait on.
    NotShown,
}

/// Whether thin events count here: another instance may have taken the first one.
pub async fn heed(app: &App) -> Result<(), ReconcileError> {
    if !app.intake.heeds_thin_events() && thin_events::any(&app.engine.db).await? {
        app.intake.heed_thin_events();
    }
    Ok(())
}

/// Reads an object that thin events wait for, unless snapshot events told of all they tell.
pub async fn read_object(
    app: &App,
    client: &StripeClient,
    kind: FetchedKind,
    asks: &ObjectId,
) -> Result<Reading, ReconcileError> {
    let waiting = untold(app, asks).await?;
    if waiting.is_empty() {
        return Ok(Reading::NotNeeded);
    }
    let Some(client) = &client_of_events(app, client, &waiting) else {
        return let_foreign_go_on(app, asks, waiting).await;
    };
    let why = Why::Cause(FetchCause::ThinEvent);
    let settled = settle(app, client, kind, asks.as_str(), why, Take::All).await?;
    tracing::debug!(object = asks.as_str(), outcome = ?settled.outcome, "read for thin events");
    let (how, at) = match (settled.at, settled.outcome) {
        (Some(at), _) => (Ending::Read, at),
        // A draft that was deleted, say: there is nothing it could tell, now or later.
        (None, Outcome::Gone) => (Ending::Gone, app.clock.now()),
        (None, _) => return Ok(Reading::NotShown),
    };
    answer(app, asks, waiting, End { how, at, account: settled.account }).await?;
    Ok(Reading::Read)
}

/// The client for the Stripe account in which events happened: what they name is read there. `None`:
/// it is not among ours any more.
fn client_of_events(app: &App, client: &StripeClient, events: &[EventKey]) -> Option<StripeClient> {
    let account = events.first().map_or("", |key| &key.stripe_account);
    if account.is_empty() {
        return Some(client.clone());
    }
    app.config.stripe.is_connected(account).then(|| client.for_connected(account))
}

/// Lets events go on whose Stripe account is not among ours any more: the intake sets them aside.
async fn let_foreign_go_on(
    app: &App,
    asks: &ObjectId,
    waiting: Vec<EventKey>,
) -> Result<Reading, ReconcileError> {
    let end = End { how: Ending::Gone, at: app.clock.now(), account: None };
    answer(app, asks, waiting, end).await?;
    Ok(Reading::Read)
}

/// Lets the events go on that waited for something that has its answer, and those that came meanwhile
/// and are older. Should this process end before they did, the retry worker sees to them.
async fn answer(
    app: &App,
    asks: &ObjectId,
    waiting: Vec<EventKey>,
    end: End,
) -> Result<(), ReconcileError> {
    let (db, now) = (&app.engine.db, app.clock.now());
    let others = thin_events::settle(db, asks, &waiting, &end, now).await?;
    run_again(app, waiting.into_iter().chain(others)).await
}

/// The events that wait for something and whose happening no snapshot event told of. The others go
/// on.
async fn untold(app: &App, asks: &ObjectId) -> Result<Vec<EventKey>, ReconcileError> {
    let mut first = None;
    loop {
        let open = thin_events::open(&app.engine.db, asks).await?;
        let begins = open.first().map(|one| one.key.clone());
        // All of a page were told of and went on: behind them there may be others.
        let untold = let_told_go_on(app, open).await?;
        if !untold.is_empty() || begins.is_none() || begins == first {
            return Ok(untold);
        }
        first = begins;
    }
}

/// Lets those events go on whose happening a snapshot event told of; the others are returned.
async fn let_told_go_on(app: &App, open: Vec<OpenEvent>) -> Result<Vec<EventKey>, ReconcileError> {
    let snapshot = |one: &OpenEvent| {
        let key = &one.key;
        let event = one.snapshot.clone()?;
        let stripe_account = key.stripe_account.clone();
        Some(EventKey { event, livemode: key.livemode, stripe_account })
    };
    let snapshots: Vec<EventKey> = open.iter().filter_map(snapshot).collect();
    let known = inbox::known_now(&app.engine.db, &snapshots).await?;
    // One that was set aside, failed or waits has told nothing yet.
    let tells = |key| known.get(&key).is_some_and(|event| event.status == EventStatus::Processed);
    let told = |one: &OpenEvent| snapshot(one).is_some_and(tells);
    let (told, untold): (Vec<OpenEvent>, Vec<OpenEvent>) = open.into_iter().partition(told);
    run_again(app, told.into_iter().map(|one| one.key)).await?;
    Ok(untold.into_iter().map(|one| one.key).collect())
}

/// Reads the snapshot event that thin events wait for. Where Stripe does not show it (it is too
/// old, or the key may not read events), their object is asked for instead.
pub async fn read_happening(
    app: &App,
    client: &StripeClient,
    asks: &ObjectId,
) -> Result<Reading, ReconcileError> {
    let waiting = untold(app, asks).await?;
    if waiting.is_empty() {
        return Ok(Reading::NotNeeded);
    }
    let Some(client) = &client_of_events(app, client, &waiting) else {
        return let_foreign_go_on(app, asks, waiting).await;
    };
    let operation = Operation::get("events.retrieve");
    let path = ApiPath::new("/v1/events").id(asks.as_str());
    let (event, at) = match client.call(operation, &path, &Form::new(), None).await {
        Ok(fetched) => (fetched.json::<Box<RawValue>>()?, fetched.date),
        Err(error) if connected::is_closed(client, &error) => return Err(error.into()),
        Err(StripeError::Refused { refusal }) if refusal.is_missing() || refusal.is_forbidden() => {
            return ask_for_objects(app, asks).await;
        }
        Err(error) => return Err(error.into()),
    };
    let event = read::in_account(event, client.connected());
    let reading = read::read(event.get().as_bytes(), &app.config.stripe);
    if reading.key.event.as_str() != asks.as_str() {
        return ask_for_objects(app, asks).await;
    }
    let delivery = reading.delivered(event.get().as_bytes(), app.clock.now());
    let reply = app.intake.process(&[delivery]).await.into_iter().next().flatten();
    let reply = reply.ok_or(ReconcileError::NotCommitted)?;
    if reply.status == ReplyStatus::Failed {
        // It cannot be read; its object may be.
        return ask_for_objects(app, asks).await;
    }
    // It is in the inbox, where it goes on by itself should it wait for its owner.
    answer(app, asks, waiting, End { how: Ending::Told, at, account: reply.account }).await?;
    Ok(Reading::Read)
}

/// Has the objects read of events whose snapshot event Stripe does not show. Those that name none are
/// set aside.
async fn ask_for_objects(app: &App, asks: &ObjectId) -> Result<Reading, ReconcileError> {
    let (db, at) = (&app.engine.db, app.clock.now());
    let objects = thin_events::ask_instead(db, asks).await?;
    let doubt = |object| NewDoubt { object, reason: doubts::THIN_EVENT, at };
    let doubts: Vec<NewDoubt> = objects.into_iter().map(doubt).collect();
    let mut tx = db.begin().await?;
    doubts::raise(&mut tx, &doubts).await?;
    app.intake.commit(tx, &[]).await?;
    loop {
        let left = thin_events::open(db, asks).await?;
        if left.is_empty() {
            return Ok(Reading::NotNeeded);
        }
        let left: Vec<EventKey> = left.into_iter().map(|one| one.key).collect();
        tracing::warn!(event.id = asks.as_str(), events = left.len(), "Stripe does not show it");
        answer(app, asks, left, End { how: Ending::NotShown, at, account: None }).await?;
    }
}

/// Hands stored thin events to the intake again.
async fn run_again(app: &App, keys: impl Iterator<Item = EventKey>) -> Result<(), ReconcileError> {
    let db = &app.engine.db;
    let mut deliveries = Vec::new();
    for key in keys {
        let rows = inbox::find(db, &key.event).await?;
        let Some(row) = rows.into_iter().find(|row| row.key == key) else { continue };
        let Some(body) = inbox::body(db, &key).await? else { continue };
        let content = match squeeze::restore(db, &body).await {
            Ok(raw) => read::read_stored(&key.event, &raw, &app.config.stripe),
            Err(error) => Content::Garbled(error.to_string()),
        };
        deliveries.push(Delivery::of_row(row, body, content));
    }
    let replies = app.intake.process(&deliveries).await;
    if replies.iter().any(Option::is_none) {
        return Err(ReconcileError::NotCommitted);
    }
    Ok(())
}

/// When the engine starts with a key: everything that thin events wait for is asked for, for they
/// may have come while there was none. What else is wrong with their destinations is found again by
/// the next event.
pub async fn ask_for_all(app: &App) -> Result<u64, ReconcileError> {
    let (db, now) = (&app.engine.db, app.clock.now());
    heed(app).await?;
    thin_events::forget(db, now.plus_days(-KEPT_DAYS)).await?;
    if thin_events::count_open(db).await?.0 == 0 {
        can_be_read(app).await?;
    }
    Ok(thin_events::ask_all(db, doubts::THIN_EVENT, EVERYTHING, now).await?)
}

/// A key is here that reads what thin events tell of, or none of them waits.
pub async fn can_be_read(app: &App) -> Result<(), ReconcileError> {
    let mut tx = app.engine.db.begin().await?;
    let now = app.clock.now();
    findings::close_unowned(&mut tx, FindingCode::ThinWithoutKey, THIN_EVENTS, now).await?;
    app.intake.commit(tx, &[]).await?;
    Ok(())
}

/// The thin events that wait for a comparison of everything.
pub async fn waiting_for_everything(app: &App) -> Result<Vec<EventKey>, ReconcileError> {
    let Ok(everything) = ObjectId::parse(EVERYTHING) else { return Ok(Vec::new()) };
    let open = thin_events::open(&app.engine.db, &everything).await?;
    Ok(open.into_iter().map(|one| one.key).collect())
}

/// Everything was compared, from this time on: of the events that waited for it these, and all that
/// are older, go on.
pub async fn everything_was_compared(
    app: &App,
    waiting: Vec<EventKey>,
    began: Timestamp,
) -> Result<(), ReconcileError> {
    let Ok(everything) = ObjectId::parse(EVERYTHING) else { return Ok(()) };
    let end = End { how: Ending::Read, at: began, account: None };
    answer(app, &everything, waiting, end).await
}
