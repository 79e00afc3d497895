//! Following the change feed. Owns: how soon this instance sees what another one committed. Must
//! not know: what an account's change means.
//!
//! A notification is a hint; reading the feed is the truth. While the feed has not been read to
//! its end for longer than the bound, the cache is not used: answers then come from the database.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tollgate_store::changes::{self, Follower};

use crate::app::App;
use crate::metrics::ReasonLabel;

/// Pace of pruning the feed.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// Rows of the feed kept; a follower is never this far behind while it is confirmed.
const KEEP_ROWS: u32 = 100_000;

/// Follows the feed until `stop`: forgets what others changed, and reads the keys anew.
pub async fn follow(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let pace = Duration::from_millis(app.config.cache.poll_ms);
    let mut hints = changes::listen(&app.engine.db);
    let mut follower: Option<Follower> = None;
    let mut pruned = Instant::now();
    loop {
        if let Err(error) = turn(&app, &mut follower).await {
            let label = ReasonLabel { reason: "feed" };
            app.metrics.worker_errors.get_or_create(&label).inc();
            tracing::warn!(%error, "change feed not read");
        }
        let age = app.engine.freshness.age().unwrap_or(Duration::MAX).as_millis();
        app.metrics.feed_age.set(i64::try_from(age).unwrap_or(i64::MAX));
        if pruned.elapsed() > PRUNE_EVERY {
            pruned = Instant::now();
            changes::prune(&app.engine.db, KEEP_ROWS).await.ok();
            app.keys.flush_used(&app.engine.db).await.ok();
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = hints.next() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One reading of the feed to its end.
async fn turn(
    app: &App,
    follower: &mut Option<Follower>,
) -> Result<(), tollgate_store::StoreError> {
    let begun = Instant::now();
    let db = &app.engine.db;
    let now = app.clock.now();
    if follower.is_none() {
        // The first reading begins at the feed's end, with nothing cached before it.
        *follower = Some(Follower::start(db).await?);
        app.engine.cache.clear();
    }
    let Some(following) = follower else { return Ok(()) };
    loop {
        let rows = following.poll(db, now).await?;
        let full = rows.len() >= usize::try_from(changes::PAGE_ROWS).unwrap_or(usize::MAX);
        for row in rows.iter().filter(|row| row.instance != app.intake.instance()) {
            for (account, _) in &row.accounts {
                app.engine.cache.raise(account.as_str());
            }
        }
        if !full {
            break;
        }
    }
    app.keys.reload(db, now).await?;
    app.engine.freshness.confirm(begun);
    Ok(())
}
