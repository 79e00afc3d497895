//! Events that never came. Owns: which of Stripe's events the inbox does not have, brought in
//! through the intake, and since when none can be missing. Must not know: what an event does.
//!
//! Stripe lists events newest first and for 30 days. A long gap is therefore filled in spans of
//! time, the oldest first; the end of each span that is filled is remembered, so a run that is
//! broken off goes on there. Looking back a little from there finds what was listed late.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};
use tollgate_domain::owner::{self, Owner};
use tollgate_domain::{Drift, FetchCause, Observation, Timestamp};
use tollgate_store::inbox::{self, EventKey};
use tollgate_store::{StoreError, links, meta, thin_events};
use tollgate_stripe::EVENT_TYPES;
use tollgate_stripe::client::{ApiPath, Cursor, Form, Operation, StripeClient};

use super::run::{Course, Kind};
use super::{Example, ReconcileError, Step, connected};
use crate::app::App;
use crate::intake::read::{self, Reading};
use crate::intake::{Content, Delivery};
use crate::workers;

/// How far back Stripe lists events.
const LISTED_DAYS: i64 = 30;
/// How far before the end of what is filled to look again: events may be listed late.
const LOOK_BACK_MS: i64 = 15 * 60_000;
/// A delivery takes so long when nothing is wrong; younger events are not missed yet.
const UNDER_WAY_MS: i64 = 60_000;
/// Longest span listed at once.
const SPAN_MS: i64 = 86_400_000;
/// Shortest span a crowded one is divided into.
const SPAN_MS_MIN: i64 = 60_000;
/// Events of one span held in memory; beyond it the span is divided.
const SPAN_EVENTS_MAX: usize = 5_000;
/// Types Stripe takes in one request.
const TYPES_MAX: usize = 20;
/// Events given to the intake at once.
const BATCH: usize = 100;
/// Where the database remembers what is filled; of a connected account, with its id behind it.
const META: &str = "events_whole";

/// Since when, and until when, every event of a Stripe account is in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whole {
    since: Timestamp,
    until: Timestamp,
}

/// The row of the table `meta` for a connected account (`acct_…`), or for our own.
fn name(account: Option<&str>) -> Cow<'static, str> {
    account.map_or(META.into(), |account| format!("{META}_{account}").into())
}

impl Whole {
    async fn find(app: &App, account: Option<&str>) -> Result<Option<Self>, StoreError> {
        let text = meta::find(&app.engine.db, &name(account)).await?;
        Ok(text.and_then(|text| {
            let (since, until) = text.split_once(' ')?;
            let instant = |text: &str| text.parse().ok().map(Timestamp::from_millis);
            Some(Self { since: instant(since)?, until: instant(until)? })
        }))
    }

    async fn save(self, app: &App, account: Option<&str>) -> Result<(), StoreError> {
        let text = format!("{} {}", self.since.millis(), self.until.millis());
        meta::save(&app.engine.db, &name(account), &text).await
    }
}

/// From when on events are looked for where none were before: an import showed what came earlier.
pub(super) async fn begin_at(app: &App, at: Timestamp) -> Result<(), StoreError> {
    for account in connected::stripe_accounts(app) {
        if Whole::find(app, account.as_deref()).await?.is_none() {
            Whole { since: at, until: at }.save(app, account.as_deref()).await?;
        }
    }
    Ok(())
}

/// Since when no event of any Stripe account of ours can have been missed.
pub(super) async fn whole_since(app: &App) -> Result<Option<Timestamp>, StoreError> {
    let mut latest = None;
    for account in connected::stripe_accounts(app) {
        let Some(whole) = Whole::find(app, account.as_deref()).await? else { return Ok(None) };
        latest = latest.max(Some(whole.since));
    }
    Ok(latest)
}

/// Whether Stripe was asked for its events before.
pub(super) async fn was_asked(app: &App) -> Result<bool, StoreError> {
    Ok(Whole::find(app, None).await?.is_some())
}

/// Whether events should be looked for again.
pub async fn is_due(app: &App, every_ms: i64) -> Result<bool, StoreError> {
    // A run fills all accounts; one that does not let the key in must not make runs due all the time.
    let whole = Whole::find(app, None).await?;
    Ok(whole.is_none_or(|whole| whole.until.plus_ms(every_ms) <= app.clock.now()))
}

/// Brings in every event that Stripe lists, of any account of ours, and the inbox does not have.
pub(super) async fn fill(course: &mut Course<'_>) -> Result<(), ReconcileError> {
    let mut latest = None;
    for account in connected::stripe_accounts(course.app) {
        let client = connected::client_of(&course.client, account.as_deref());
        latest = latest.max(fill_account(course, &client).await?);
    }
    course.whole_since = latest;
    // What waited for an owner that was brought in just now comes before any comparison.
    let settles = !course.order.dry && course.order.account.is_none();
    while settles && workers::retry::round(course.app).await? > 0 {
        course.beat(Step::Events).await?;
    }
    Ok(())
}

/// Does so for the account a client is for. Returns since when none of its events can be missing.
async fn fill_account(
    course: &mut Course<'_>,
    client: &StripeClient,
) -> Result<Option<Timestamp>, ReconcileError> {
    let account = client.connected();
    let now = course.app.clock.now();
    let oldest = now.plus_days(-LISTED_DAYS);
    let known = Whole::find(course.app, account).await?;
    let from = known.map_or(oldest, |whole| whole.until.plus_ms(-LOOK_BACK_MS).max(oldest));
    // A gap longer than Stripe's list begins anew: what lies in it may have been missed.
    let since = known.filter(|whole| whole.until >= oldest).map_or(oldest, |whole| whole.since);
    // What is very young is still on its way. A comparison of objects needs it all the same.
    let end = (course.order.kind == Kind::Events).then(|| now.plus_ms(-UNDER_WAY_MS));
    let (mut from, mut span_ms) = (from, SPAN_MS);
    loop {
        let to = from.plus_ms(span_ms);
        let last = to >= end.unwrap_or(now);
        let bound = if last { end } else { Some(to) };
        let listed = match list(course, client, (from, bound), span_ms).await {
            // What it would have told cannot be asked for until it lets the key in again.
            Err(ReconcileError::Stripe(error)) if course.is_closed(client, &error) => {
                return Ok(Some(since));
            }
            listed => listed?,
        };
        let Some(listed) = listed else {
            span_ms = (span_ms / 2).max(SPAN_MS_MIN);
            continue;
        };
        for batch in listed.chunks(BATCH) {
            take(course, batch).await?;
        }
        course.beat(Step::Events).await?;
        // What was passed over for being another account's is still to be looked for.
        if !course.order.dry && course.order.account.is_none() {
            let until = if last { end.unwrap_or(now) } else { to };
            Whole { since, until }.save(course.app, account).await?;
        }
        if last {
            return Ok(Some(since));
        }
        from = to;
    }
}

#[derive(Deserialize)]
struct Listed {
    created: i64,
}

/// The events of a span, the oldest first; `None` when there are too many to hold.
async fn list(
    course: &mut Course<'_>,
    client: &StripeClient,
    (from, to): (Timestamp, Option<Timestamp>),
    span_ms: i64,
) -> Result<Option<Vec<Box<RawValue>>>, ReconcileError> {
    // By time; those of one second in the order in which Stripe made them.
    let mut all: BTreeMap<(i64, usize), Box<RawValue>> = BTreeMap::new();
    for types in EVENT_TYPES.chunks(TYPES_MAX) {
        let mut filter = Form::new().with("created[gte]", from.unix_seconds().to_string());
        filter = filter.with_some("created[lt]", to.map(|to| to.unix_seconds().to_string()));
        for name in types {
            filter = filter.with("types[]", *name);
        }
        let mut cursor = Cursor::Newest;
        loop {
            let path = ApiPath::new("/v1/events");
            let page = client.page(Operation::get("events.list"), &path, &filter, &cursor).await?;
            let last = page.last_id();
            for item in page.items {
                let Ok(listed) = serde_json::from_str::<Listed>(item.get()) else {
                    course.report.unreadable = course.report.unreadable.saturating_add(1);
                    continue;
                };
                // The list is newest first, so what comes later in it happened earlier.
                all.insert(
                    (listed.created, usize::MAX.saturating_sub(all.len())),
                    read::in_account(item, client.connected()),
                );
            }
            if all.len() > SPAN_EVENTS_MAX && span_ms > SPAN_MS_MIN {
                return Ok(None);
            }
            match last {
                Some(last) if page.has_more => cursor = Cursor::After(last),
                _ => break,
            }
        }
    }
    let listed: Vec<Box<RawValue>> = all.into_values().collect();
    let count = u64::try_from(listed.len()).unwrap_or(u64::MAX);
    course.report.events = course.report.events.saturating_add(count);
    Ok(Some(listed))
}

/// Gives the intake those of some events that the inbox does not have.
async fn take(course: &mut Course<'_>, events: &[Box<RawValue>]) -> Result<(), ReconcileError> {
    let ours = &course.app.config.stripe;
    let read = |event: &RawValue| read::read(event.get().as_bytes(), ours);
    let readings: Vec<Reading> = events.iter().map(|event| read(event)).collect();
    let keys: Vec<EventKey> = readings.iter().map(|reading| reading.key.clone()).collect();
    let known = inbox::known_now(&course.app.engine.db, &keys).await?;
    // What a thin event told of, or is about to, was not missed.
    let ids: Vec<EventId> = keys.iter().map(|key| key.event.clone()).collect();
    let told = thin_events::twins(&course.app.engine.db, &ids).await?;
    let received_at = course.app.clock.now();
    let mut missed = Vec::new();
    for (reading, event) in readings.into_iter().zip(events) {
        if !known.contains_key(&reading.key) && !told.contains_key(&reading.key.event) {
            missed.push(reading.delivered(event.get().as_bytes(), received_at));
        }
    }
    let mut owners = owners(course.app, &missed).await?;
    if let Some(only) = &course.order.account {
        let mut kept = owners.iter().map(|owner| owner.as_ref() == Some(only));
        missed.retain(|_| kept.next().unwrap_or(false));
        owners.retain(|owner| owner.as_ref() == Some(only));
    }
    let replies =
        if course.order.dry { Vec::new() } else { course.app.intake.process(&missed).await };
    if replies.iter().any(Option::is_none) {
        return Err(ReconcileError::NotCommitted);
    }
    let repaired = !course.order.dry;
    for (place, delivery) in missed.iter().enumerate() {
        let reply = replies.get(place).and_then(Option::as_ref);
        let taken = reply.and_then(|reply| reply.account.as_ref());
        let account = taken.or_else(|| owners.get(place).and_then(Option::as_ref));
        count(course, delivery, account, repaired);
    }
    Ok(())
}

/// Whose each of some events is, as far as metadata and stored links tell before they are taken in.
async fn owners(app: &App, events: &[Delivery]) -> Result<Vec<Option<AccountId>>, StoreError> {
    let seen: Vec<Option<&Observation>> = events.iter().map(told).collect();
    let references: Vec<ObjectId> =
        seen.iter().flatten().flat_map(|seen| &seen.references).cloned().collect();
    let links = links::find_now(&app.engine.db, &references).await?;
    let owner = |seen: Option<&Observation>| match owner::choose(seen?, &links) {
        Owner::Found(owner) => Some(owner.account),
        Owner::Nobody => None,
    };
    Ok(seen.into_iter().map(owner).collect())
}

fn told(delivery: &Delivery) -> Option<&Observation> {
    match &delivery.content {
        Content::Effect(told) => Some(told),
        Content::Thin(_) | Content::Ignored(_) | Content::NoEvent(_) | Content::Garbled(_) => None,
    }
}

/// Counts an event that the inbox did not have. One that is older than this database was never
/// missed: it is history that is brought in.
fn count(
    course: &mut Course<'_>,
    delivery: &Delivery,
    account: Option<&AccountId>,
    repaired: bool,
) {
    let is_history =
        delivery.created_at.zip(course.history_until).is_some_and(|(happened, history_until)| {
            happened.unix_seconds() < history_until.unix_seconds()
        });
    let drift = if is_history {
        course.report.imported = course.report.imported.saturating_add(1);
        FetchCause::Import.as_str()
    } else {
        course.report.found(Drift::MissedEvent, repaired);
        Drift::MissedEvent.as_str()
    };
    course.report.show(|| Example {
        object: delivery.key.event.to_string(),
        account_id: account.map(ToString::to_string),
        drift: drift.to_owned(),
        changes: vec![match &delivery.object {
            Some(object) => format!("{} of {object}", delivery.event_type),
            None => delivery.event_type.clone(),
        }],
        repaired,
    });
    // A repair of what the event says is found once, as the event.
    if let Some(object) = delivery.object.as_ref().filter(|_| !repaired) {
        course.listed(object.as_str());
    }
}
