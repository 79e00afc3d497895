//! That a server is at work on the database. Owns: a row of each server, renewed all the time, so that a
//! command can tell before it takes the schema away. Must not know: which commands ask.
//!
//! A row and no lock of a session: behind a pooler a session belongs to nobody. One that was killed
//! is believed for fifteen seconds at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_domain::Timestamp;
use tollgate_store::{Db, StoreError, leases, meta};

use crate::app::App;
use crate::supervisor::TaskKind;

/// Where servers are.
const PLACE: &str = "serving";
/// A server that is not heard of for so long is not there.
const HELD_MS: i64 = 15_000;
/// Pace of renewing it.
const BEAT: Duration = Duration::from_secs(5);

/// When a server was last there, in milliseconds; a row that goes with the database into a backup.
const SERVED_AT: &str = "served_at";
/// Pace of writing it.
const SERVED_EVERY_MS: i64 = 60_000;
/// A database that nobody served for so long may be a backup that was restored.
const UNSERVED_MS: i64 = 10 * 60_000;
/// Keys named when that is so.
const KEYS_NAMED_MAX: usize = 100;

/// Names the keys that are valid where the database may have been restored: of what was revoked after the
/// backup nothing in it tells. For the start, before it is said that a server is there.
pub async fn tell_of_a_gap(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let served_at = meta::find(&app.engine.db, SERVED_AT).await?;
    let served_at = served_at.and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
    let Some(served_at) = served_at.filter(|at| at.plus_ms(UNSERVED_MS) < now) else {
        return Ok(());
    };
    let keys = app.keys.ids();
    if keys.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = keys.iter().take(KEYS_NAMED_MAX).map(String::as_str).collect();
    tracing::warn!(
        served_at = %served_at,
        keys = keys.len(),
        key.ids = named.join(" "),
        "no server was at work on this database since then; if it was restored from a backup, keys \
         that were revoked after the backup are valid again: these are the valid ones"
    );
    Ok(())
}

/// Says that this server is there.
pub async fn announce(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let who = app.intake.instance();
    leases::be_there(&app.engine.db, PLACE, who, now, now.plus_ms(HELD_MS)).await?;
    let written = meta::find(&app.engine.db, SERVED_AT).await?.and_then(|text| text.parse().ok());
    if written.is_none_or(|at: i64| at + SERVED_EVERY_MS <= now.millis()) {
        meta::save(&app.engine.db, SERVED_AT, &now.millis().to_string()).await?;
    }
    Ok(())
}

/// Says so until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        app.supervisor.turn(TaskKind::Presence);
        if let Err(error) = announce(&app).await {
            app.supervisor.trouble(TaskKind::Presence, error);
        }
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = app.clock.moved() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Takes it back when this server ends.
pub async fn leave(app: &App) -> Result<(), StoreError> {
    leases::leave(&app.engine.db, PLACE, app.intake.instance()).await
}

/// Whether a server works on a database.
pub async fn is_served(db: &Db, now: Timestamp) -> Result<bool, StoreError> {
    leases::is_anybody_there(db, PLACE, now).await
}
