//! That a server is at work on the database. Owns: a row of each server, renewed all the time, so that a
//! command can tell before it takes the schema away. Must not know: which commands ask.
//!
//! A row and no lock of a session: behind a pooler a session belongs to nobody. One that was killed
//! is believed for fifteen seconds at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_domain::Timestamp;
use tollgate_store::{Db, StoreError, leases};

use crate::app::App;
use crate::supervisor::TaskKind;

/// Where servers are.
const PLACE: &str = "serving";
/// A server that is not heard of for so long is not there.
const HELD_MS: i64 = 15_000;
/// Pace of renewing it.
const BEAT: Duration = Duration::from_secs(5);

/// Says that this server is there.
pub async fn announce(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let who = app.intake.instance();
    leases::be_there(&app.engine.db, PLACE, who, now, now.plus_ms(HELD_MS)).await
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
