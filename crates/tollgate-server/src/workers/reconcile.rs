//! The schedule of reconciliations. Owns: when one is due. Must not know: what one does.
//!
//! Every instance looks; the lease lets one of them do it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_store::reconciliation_runs;

use crate::app::App;
use crate::reconcile::{self, Kind, Order, ReconcileError, Report, named};
use crate::supervisor::TaskKind;

/// Events that never came are looked for so often, and when the engine starts.
const EVENTS_EVERY_MS: i64 = 5 * 60_000;
/// Everything is compared so often.
const SWEEP_EVERY_MS: i64 = 24 * 3_600_000;
/// A comparison of everything waits for this hour of the day (UTC), unless there never was one.
const SWEEP_HOUR: i64 = 3;
/// Pace of looking whether something is due.
const PACE: Duration = Duration::from_secs(5);

/// The same after one that failed; the client has tried for minutes by then.
const PACE_AFTER_FAILURE: Duration = Duration::from_mins(1);

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut started = true;
    loop {
        app.supervisor.turn(TaskKind::Reconcile);
        let mut pause = PACE;
        match tick(&app, started).await {
            Ok(_) => started = false,
            // Somebody else does it, or this instance is about to stop.
            Err(ReconcileError::Busy | ReconcileError::LeaseLost | ReconcileError::Stopping) => {
                started = false;
            }
            // Everything was compared; the ends found wait for somebody's word.
            Err(error @ ReconcileError::TooManyEnds { .. }) => {
                started = false;
                tracing::error!(%error, "reconciliation stopped");
            }
            Err(error) => {
                app.supervisor.trouble(TaskKind::Reconcile, error);
                pause = PACE_AFTER_FAILURE;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One look: does what is due. Returns what was done.
pub async fn tick(app: &App, started: bool) -> Result<Option<Report>, ReconcileError> {
    let mut waiting = named::waiting_for_everything(app).await?;
    let kind = if !waiting.is_empty() || is_sweep_due(app).await? {
        Kind::Sweep
    } else if started || reconcile::is_due(app, EVENTS_EVERY_MS).await? {
        Kind::Events
    } else {
        return Ok(None);
    };
    let order = Order { kind, account: None, dry: false, allow_ends: false };
    let begun = reconcile::begin(app, order).await?;
    let began = begun.started_at;
    if begun.resumed {
        // What was compared before they came is not compared again: only those that are older than
        // the run go on, and the others start another one.
        waiting.clear();
    }
    let done = reconcile::carry_out(app, begun, &|_, _| {}).await;
    // The ends a run keeps back were found by comparing everything.
    if kind == Kind::Sweep && matches!(done, Ok(_) | Err(ReconcileError::TooManyEnds { .. })) {
        named::everything_was_compared(app, waiting, began).await?;
    }
    let report = done?;
    if report.drifted() > 0 {
        tracing::warn!(
            kind = kind.as_str(),
            drift = ?report.drift,
            repaired = report.repaired,
            "Stripe and we differed"
        );
    }
    Ok(Some(report))
}

async fn is_sweep_due(app: &App) -> Result<bool, ReconcileError> {
    let kind = Kind::Sweep.as_str();
    let Some(last) = reconciliation_runs::last_whole(&app.engine.db, kind).await? else {
        return Ok(true);
    };
    let now = app.clock.now();
    let since = now.millis().saturating_sub(last.millis());
    let hour = now.unix_seconds().div_euclid(3_600).rem_euclid(24);
    // A night that was missed is made up for at any hour.
    Ok(since >= 2 * SWEEP_EVERY_MS || (since >= SWEEP_EVERY_MS - 3_600_000 && hour == SWEEP_HOUR))
}
