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
use crate::metrics::ReasonLabel;
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
    loop {
        app.supervisor.turn(TaskKind::Refetch);
        match tick(&app).await {
            Ok(count) if count > 0 && !*stop.borrow() => continue,
            Ok(_) => {}
            Err(error) => {
                let label = ReasonLabel { reason: "refetch" };
                app.metrics.worker_errors.get_or_create(&label).inc();
                tracing::warn!(%error, "asking Stripe about doubts");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = app.intake.wake_ups().doubted() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One round; returns how many objects were asked for.
pub async fn tick(app: &App) -> Result<usize, ReconcileError> {
    let Some(client) = &app.stripe else { return Ok(0) };
    let (db, now) = (&app.engine.db, app.clock.now());
    let claimed = doubts::claim(db, now, now.plus_ms(LEASE_MS), TAKEN).await?;
    let count = claimed.len();
    let asked = claimed.into_iter().map(|doubt| one(app, client, doubt));
    let mut asked = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut failed = None;
    while let Some(done) = asked.next().await {
        failed = failed.or(done.err());
    }
    failed.map_or(Ok(count), Err)
}

async fn one(app: &App, client: &StripeClient, doubt: ClaimedDoubt) -> Result<(), ReconcileError> {
    let db = &app.engine.db;
    let id = doubt.object.as_str();
    let Some(kind) = FetchedKind::of_id(id) else { return Ok(doubts::settle(db, &doubt).await?) };
    let why = Why::Cause(FetchCause::Doubt);
    // A defect costs this object's doubt another attempt, and the others nothing.
    let asked = settle(app, client, kind, id, why, Take::All);
    let settled = AssertUnwindSafe(asked).catch_unwind().await;
    let settled = settled.unwrap_or_else(|panic| {
        tracing::error!(object = id, panic = panic_text(panic.as_ref()), "a doubt was not settled");
        Err(ReconcileError::NotCommitted)
    });
    match settled {
        Ok(settled) => {
            tracing::debug!(object = id, reason = doubt.reason, outcome = ?settled.outcome, "asked");
            Ok(doubts::settle(db, &doubt).await?)
        }
        Err(error) => {
            let now = app.clock.now();
            let tries = doubt.attempts.saturating_add(1);
            let at = backoff::next_of_many(&app.config.workers, tries, now);
            doubts::postpone(db, &doubt, at).await?;
            Err(error)
        }
    }
}
