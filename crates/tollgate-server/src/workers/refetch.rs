//! The worker that asks Stripe about objects events left in doubt. Owns: claiming them, one request
//! per object at a time, and what is done when Stripe does not answer. Must not know: what is
//! doubtful, how an object is compared.
//!
//! A doubt that comes while a request is under way makes another one: only a request that was sent
//! after an event covers it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tollgate_domain::FetchCause;
use tollgate_store::doubts::{self, ClaimedDoubt};
use tollgate_stripe::StripeClient;
use tollgate_stripe::fetched::FetchedKind;

use crate::app::App;
use crate::backoff;
use crate::reconcile::named::{self, Reading};
use crate::reconcile::{ReconcileError, Take, Why, settle};
use crate::supervisor::{TaskKind, panic_text};

/// Objects taken at once.
const TAKEN: u32 = 16;
/// Requests under way at once.
const AT_ONCE: usize = 4;
/// An object belongs to its worker so long; a request with its retries takes less.
const LEASE_MS: i64 = 60_000;

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let pace = Duration::from_millis(app.config.workers.poll_ms);
    let mut begun = false;
    loop {
        app.supervisor.turn(TaskKind::Refetch);
        match round(&app, &mut begun).await {
            Ok(count) if count > 0 && !*stop.borrow() => continue,
            Ok(_) => {}
            Err(error) => app.supervisor.trouble(TaskKind::Refetch, error),
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = app.intake.wake_ups().doubted() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One round; the first one takes up what waited for a key.
async fn round(app: &App, begun: &mut bool) -> Result<usize, ReconcileError> {
    named::heed(app).await?;
    if !*begun && app.stripe.is_some() {
        named::ask_for_all(app).await?;
        *begun = true;
    }
    tick(app).await
}

/// One round; returns how many objects were asked for.
pub async fn tick(app: &App) -> Result<usize, ReconcileError> {
    let Some(client) = &app.stripe else { return Ok(0) };
    let (db, now) = (&app.engine.db, app.clock.now());
    let mut claimed = doubts::claim(db, now, now.plus_ms(LEASE_MS), TAKEN).await?;
    let count = claimed.len();
    claimed.sort_by_key(turn);
    let (mut failed, mut read) = (None, false);
    while let Some(first) = claimed.first().map(turn) {
        let together = claimed.iter().take_while(|doubt| turn(doubt) == first).count();
        let together: Vec<ClaimedDoubt> = claimed.drain(..together).collect();
        let asked = together.into_iter().map(|doubt| one(app, client, doubt));
        let mut asked = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(done) = asked.next().await {
            match done {
                Ok(Reading::Read) => read = true,
                Ok(Reading::NotNeeded | Reading::NotShown) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
    }
    if read {
        named::can_be_read(app).await?;
    }
    failed.map_or(Ok(count), Err)
}

/// Owners are read before what hangs on them; events are of what customers have.
fn turn(doubt: &ClaimedDoubt) -> FetchedKind {
    FetchedKind::of_id(doubt.object.as_str()).unwrap_or(FetchedKind::Invoice)
}

async fn one(
    app: &App,
    client: &StripeClient,
    doubt: ClaimedDoubt,
) -> Result<Reading, ReconcileError> {
    let db = &app.engine.db;
    let id = doubt.object.as_str();
    // A defect costs this object another attempt, and the others nothing.
    let done = AssertUnwindSafe(read(app, client, &doubt)).catch_unwind().await;
    let done = done.unwrap_or_else(|panic| {
        tracing::error!(object = id, panic = panic_text(panic.as_ref()), "an object was not read");
        Err(ReconcileError::NotCommitted)
    });
    match done {
        Ok(reading @ (Reading::Read | Reading::NotNeeded)) => {
            doubts::settle(db, &doubt).await?;
            Ok(reading)
        }
        Ok(Reading::NotShown) => {
            postpone(app, &doubt).await?;
            Ok(Reading::NotShown)
        }
        Err(error) => {
            postpone(app, &doubt).await?;
            Err(error)
        }
    }
}

/// Reads what is asked for: the snapshot event of a thin one, or an object.
async fn read(
    app: &App,
    client: &StripeClient,
    doubt: &ClaimedDoubt,
) -> Result<Reading, ReconcileError> {
    let id = doubt.object.as_str();
    if named::is_event(id) {
        return named::read_happening(app, client, &doubt.object).await;
    }
    match FetchedKind::of_id(id) {
        Some(kind) => object(app, client, kind, doubt).await,
        None => Ok(Reading::NotNeeded),
    }
}

/// Asks for an object because of thin events, because of a doubt, or because of both, but once.
async fn object(
    app: &App,
    client: &StripeClient,
    kind: FetchedKind,
    doubt: &ClaimedDoubt,
) -> Result<Reading, ReconcileError> {
    let reading = named::read_object(app, client, kind, &doubt.object).await?;
    if reading != Reading::NotNeeded || doubt.reason == doubts::THIN_EVENT {
        return Ok(reading);
    }
    let id = doubt.object.as_str();
    let settled = settle(app, client, kind, id, Why::Cause(FetchCause::Doubt), Take::All).await?;
    tracing::debug!(object = id, reason = doubt.reason, outcome = ?settled.outcome, "asked");
    Ok(reading)
}

/// What is asked for is never given up.
async fn postpone(app: &App, doubt: &ClaimedDoubt) -> Result<(), ReconcileError> {
    let tries = doubt.attempts.saturating_add(1);
    let at = backoff::next_of_many(&app.config.workers, tries, app.clock.now());
    Ok(doubts::postpone(&app.engine.db, doubt, at).await?)
}
