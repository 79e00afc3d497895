//! Following the change feed. Owns: how soon this instance sees what another one committed. Must
//! not know: what an account's change means.
//!
//! A notification is a hint; reading the feed is the truth. While the feed has not been read to
//! its end for longer than the bound, the cache is not used: answers then come from the database.
//! Our own rows are read like those of others: when the answer to a COMMIT was lost, they are what
//! tells that it took effect.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tollgate_store::changes::{self, Follower};

use crate::app::App;
use crate::supervisor::TaskKind;

/// Pace of pruning the feed.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// Pace of reading the keys: a revoked one dies within a second on every instance. Hints come as often
/// as others commit, and say nothing of keys.
const KEYS_EVERY: Duration = Duration::from_millis(500);
// A revoked key dies within a second on every instance.
const _: () = assert!(KEYS_EVERY.as_millis() <= 1_000);
/// Rows of the feed kept; a follower is never this far behind while it is confirmed.
const KEEP_ROWS: u32 = 100_000;

/// Follows the feed until `stop`, and has others told of what is committed here.
pub async fn follow(app: Arc<App>, stop: watch::Receiver<bool>) {
    tokio::select! {
        () = changes::gather_hints(&app.engine.db) => {}
        () = read_on(&app, stop) => {}
    }
}

/// Reads the feed until `stop`: forgets what others changed, and reads the keys anew.
async fn read_on(app: &App, mut stop: watch::Receiver<bool>) {
    let pace = Duration::from_millis(app.config.cache.poll_ms);
    let mut hints = changes::listen(&app.engine.db);
    let mut follower: Option<Follower> = None;
    let (mut pruned, mut keys_read) = (Instant::now(), Instant::now());
    loop {
        app.supervisor.turn(TaskKind::Feed);
        if let Err(error) = turn(app, &mut follower).await {
            app.supervisor.trouble(TaskKind::Feed, error);
        }
        let age = app.engine.freshness.age().unwrap_or(Duration::MAX).as_millis();
        app.metrics.feed_age.set(i64::try_from(age).unwrap_or(i64::MAX));
        if keys_read.elapsed() >= KEYS_EVERY {
            match app.keys.reload(&app.engine.db, app.clock.now()).await {
                Ok(()) => keys_read = Instant::now(),
                Err(error) => app.supervisor.trouble(TaskKind::Feed, error),
            }
        }
        if pruned.elapsed() > PRUNE_EVERY {
            pruned = Instant::now();
            changes::prune(&app.engine.db, KEEP_ROWS).await.ok();
            app.keys.flush_used(&app.engine.db).await.ok();
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = hints.next() => {}
            () = app.intake.wake_ups().commit_in_doubt() => {}
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
        let polled = following.poll(db, now).await?;
        if polled.gap {
            tracing::warn!("changes may have been missed: every answer kept in memory is dropped");
            app.metrics.feed_gaps.inc();
            app.engine.cache.clear();
            app.intake.forget_all();
        }
        for (account, revision) in polled.rows.iter().flat_map(|row| &row.accounts) {
            app.engine.cache.raise_to(account.as_str(), *revision);
        }
        if !polled.more {
            break;
        }
    }
    app.engine.freshness.confirm(begun);
    Ok(())
}
