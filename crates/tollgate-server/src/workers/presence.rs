//! That a server is at work on the database. Owns: a lease that the servers of a database hold between
//! them, renewed all the time, so that a command can tell before it takes the schema away. Must not
//! know: which commands ask.
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

/// The lease. Whichever server comes first holds it; the others take it over when that one ends.
const LEASE: &str = "serving";
/// A server that is not heard of for so long is not there.
const HELD_MS: i64 = 15_000;
/// Pace of renewing it.
const BEAT: Duration = Duration::from_secs(5);

/// Says that this server is there, unless another one says so.
pub async fn announce(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let owner = app.intake.instance();
    leases::hold(&app.engine.db, LEASE, owner, now, now.plus_ms(HELD_MS)).await
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
    leases::let_go(&app.engine.db, LEASE, app.intake.instance()).await
}

/// Whether a server works on a database.
pub async fn is_served(db: &Db, now: Timestamp) -> Result<bool, StoreError> {
    Ok(leases::held_until(db, LEASE).await?.is_some_and(|until| until > now))
}
