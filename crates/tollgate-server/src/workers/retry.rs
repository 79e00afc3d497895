//! The retry worker. Owns: claiming due events and handing them to the intake. Must not know: what
//! an event does.
//!
//! Claims carry a lease and a generation: a worker that was paused beyond its lease cannot commit,
//! because another one has raised the generation meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tollgate_store::{StoreError, inbox};

use crate::app::App;
use crate::intake::{Content, Delivery, Intake, Reply, read, squeeze};
use crate::metrics::{ReasonLabel, StatusLabel};
use crate::supervisor::TaskKind;

/// Most events woken at once because a link appeared.
const WAKE_MAX: u32 = 1_000;
/// Pace of the net under the wake-ups.
const NET_EVERY: Duration = Duration::from_mins(1);

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let pace = Duration::from_millis(app.config.workers.poll_ms);
    let mut net = Instant::now();
    loop {
        app.supervisor.turn(TaskKind::Retry);
        let cast_net = net.elapsed() > NET_EVERY;
        if cast_net {
            net = Instant::now();
        }
        match tick(&app, cast_net).await {
            // Work was found; there may be more.
            Ok(count) if count > 0 && !*stop.borrow() => continue,
            Ok(_) => {}
            Err(error) => {
                let label = ReasonLabel { reason: "retry" };
                app.metrics.worker_errors.get_or_create(&label).inc();
                tracing::warn!(%error, "retry worker");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = app.intake.wake_ups().notified() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One round: wakes what a link may have freed, then works on what is due. Returns how many events
/// were worked on.
pub async fn tick(app: &App, cast_net: bool) -> Result<usize, StoreError> {
    let intake = &app.intake;
    wake(intake, app, cast_net).await?;
    let open = inbox::count_open(intake.db()).await?;
    for status in
        [inbox::EventStatus::Waiting, inbox::EventStatus::Failed, inbox::EventStatus::Dead]
    {
        let count = open.iter().find(|(known, _)| *known == status).map_or(0, |(_, count)| *count);
        let label = StatusLabel { status: status.as_str() };
        let gauge = app.metrics.inbox_pending.get_or_create(&label).clone();
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    work(intake, app).await.map(|replies| replies.len())
}

async fn wake(intake: &Intake, app: &App, cast_net: bool) -> Result<(), StoreError> {
    let now = app.clock.now();
    let linked = intake.wake_ups().take_linked();
    if !linked.is_empty() {
        inbox::wake(intake.db(), &linked, now).await?;
    }
    // An event that began to wait while its link was being committed elsewhere saw neither.
    if intake.wake_ups().take_waiting() || cast_net {
        inbox::wake_linked(intake.db(), now, WAKE_MAX).await?;
    }
    Ok(())
}

/// Claims due events and processes them together. A reply of `None`: nothing was committed.
async fn work(intake: &Intake, app: &App) -> Result<Vec<Option<Reply>>, StoreError> {
    let limits = &app.config.workers;
    let now = app.clock.now();
    let lease_until = now.plus_ms(i64::try_from(limits.lease_ms).unwrap_or(i64::MAX));
    let limit = u32::try_from(limits.batch).unwrap_or(u32::MAX);
    let claimed = inbox::claim(intake.db(), now, lease_until, intake.instance(), limit).await?;
    let mut deliveries = Vec::with_capacity(claimed.len());
    for event in claimed {
        deliveries.push(delivery(app, event).await);
    }
    Ok(intake.process(&deliveries).await)
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
