//! The retry worker. Owns: claiming due events and handing them to the intake. Must not know: what
//! an event does.
//!
//! Claims carry a lease and a generation: a worker that was paused beyond its lease cannot commit,
//! because another one has raised the generation meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tollgate_domain::FindingCode;
use tollgate_store::{StoreError, findings, inbox, meta};

use crate::app::App;
use crate::config::Livemode;
use crate::intake::{Content, Delivery, read, squeeze};
use crate::metrics::StatusLabel;
use crate::supervisor::TaskKind;

/// Where the version of the catalog is kept that events were last woken for.
const CATALOG_SEEN: &str = "catalog_woken_for";
/// Most events woken at once.
const WAKE_MAX: u32 = 1_000;
/// Pace of counting what is open, and of the net under the wake-ups.
const COUNT_EVERY: Duration = Duration::from_mins(1);
const NET_EVERY: Duration = Duration::from_hours(6);

/// What the worker does not do every time.
#[derive(Debug, Default)]
struct Pace {
    counted: Option<Instant>,
    net_cast: Option<Instant>,
}

impl Pace {
    fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
        let due = last.is_none_or(|last| last.elapsed() >= every);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let every = Duration::from_millis(app.config.workers.poll_ms);
    let mut pace = Pace::default();
    loop {
        app.supervisor.turn(TaskKind::Retry);
        // Work was found; there may be more.
        if tick(&app, &mut pace).await > 0 && !*stop.borrow() {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = app.intake.wake_ups().notified() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One round: wakes what came about, works on what is due, counts what is open. A step that fails
/// is told of and holds up none of the others. Returns how many events were woken or worked on.
async fn tick(app: &App, pace: &mut Pace) -> usize {
    let db = app.intake.db();
    if Pace::is_due(&mut pace.net_cast, NET_EVERY) {
        let mapped = wake_for_catalog(app).await;
        tell(app, "wake_for_catalog", mapped);
        tell(app, "other_mode", close_other_mode(app).await);
        tell(app, "look_back", inbox::look_back_at_all(db).await.map(|_| ()));
    }
    let woken = inbox::run_wakes(db, app.clock.now(), WAKE_MAX).await;
    let woken = tell(app, "wake", woken).unwrap_or(0);
    let worked = tell(app, "work", work(app).await).unwrap_or(0);
    if Pace::is_due(&mut pace.counted, COUNT_EVERY) {
        tell(app, "count", count(app).await);
    }
    worked.saturating_add(usize::try_from(woken).unwrap_or(usize::MAX))
}

/// One round for those who wait for its end: what came about wakes, what is due is worked on.
/// Returns how many events were woken or worked on; 0: nothing is left for now.
pub async fn round(app: &App) -> Result<usize, StoreError> {
    wake_for_catalog(app).await?;
    let woken = inbox::run_wakes(app.intake.db(), app.clock.now(), WAKE_MAX).await?;
    let worked = work(app).await?;
    Ok(worked.saturating_add(usize::try_from(woken).unwrap_or(usize::MAX)))
}

fn tell<T>(app: &App, step: &'static str, done: Result<T, StoreError>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(error) => {
            app.supervisor.trouble(TaskKind::Retry, format_args!("{step}: {error}"));
            None
        }
    }
}

/// Counts what is open. Woken and failed events are few; those that wait are counted by an index.
async fn count(app: &App) -> Result<(), StoreError> {
    let open = inbox::count_open(app.intake.db()).await?;
    for status in
        [inbox::EventStatus::Waiting, inbox::EventStatus::Failed, inbox::EventStatus::Dead]
    {
        let count = open.iter().find(|(known, _)| *known == status).map_or(0, |(_, count)| *count);
        let label = StatusLabel { status: status.as_str() };
        let gauge = app.metrics.inbox_pending.get_or_create(&label).clone();
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    Ok(())
}

/// Events of the other mode are nothing to hear of any more when none came for a day, and at once when
/// that mode is this deployment's now.
pub async fn close_other_mode(app: &App) -> Result<(), StoreError> {
    let (db, now) = (app.intake.db(), app.clock.now());
    let since = now.plus_days(-1);
    let arrive = inbox::was_ignored_since(db, read::ignored::OTHER_MODE, since).await?;
    let ours = app.intake.mode();
    let modes = [Livemode::Live, Livemode::Test].into_iter();
    let over: Vec<&str> =
        modes.filter(|mode| !arrive || ours == Some(*mode)).map(Livemode::as_str).collect();
    let mut tx = db.begin().await?;
    findings::close_all_unowned(&mut tx, FindingCode::OtherMode, &over, now).await?;
    app.intake.commit(tx, &[]).await
}

/// Where the catalog is another one than the last time, what waits for one of its prices is woken.
async fn wake_for_catalog(app: &App) -> Result<(), StoreError> {
    let (db, catalog) = (app.intake.db(), app.intake.catalog());
    if meta::find(db, CATALOG_SEEN).await?.as_deref() == Some(catalog.version.as_str()) {
        return Ok(());
    }
    inbox::wake_for(db, &catalog.price_keys()).await?;
    meta::save(db, CATALOG_SEEN, &catalog.version).await
}

/// Claims due events and processes them together; how many are done with for now.
async fn work(app: &App) -> Result<usize, StoreError> {
    let intake = &app.intake;
    let limits = &app.config.workers;
    let now = app.clock.now();
    let lease_until = now.plus_ms(i64::try_from(limits.lease_ms).unwrap_or(i64::MAX));
    let limit = u32::try_from(limits.batch).unwrap_or(u32::MAX);
    let claimed = inbox::claim(intake.db(), now, lease_until, intake.instance(), limit).await?;
    let mut deliveries = Vec::with_capacity(claimed.len());
    for event in claimed {
        deliveries.push(delivery(app, event).await);
    }
    // A reply of `None`: nothing was committed, so there is no use in going on at once.
    let replies = intake.process(&deliveries).await;
    Ok(replies.iter().flatten().count())
}

/// A stored event as it was when it was delivered.
async fn delivery(app: &App, event: inbox::ClaimedEvent) -> Delivery {
    let content = match squeeze::restore(app.intake.db(), &event.body).await {
        Ok(raw) => read::read_stored(&event.key.event, &raw, &app.config.stripe),
        Err(error) => Content::Garbled(error.to_string()),
    };
    Delivery {
        key: event.key,
        event_type: event.event_type,
        api_version: event.api_version,
        created_at: event.created_at,
        signed_at: None,
        received_at: event.received_at,
        object: None,
        body: event.body,
        content,
        lease_generation: Some(event.lease_generation),
        begun: Instant::now(),
    }
}
