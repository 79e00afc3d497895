//! Hints to other instances. Owns: telling them that the change feed may have grown, at once or gathered.
//! Must not know: who listens; a hint may be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;

use super::{CHANGES_CHANNEL, Db, PostgresDb};
use crate::error::StoreError;

/// Longest time spent on telling others of a commit; they find it by polling at the latest.
const SEND_MAX: Duration = Duration::from_secs(1);
/// The same for a commit that may have taken effect.
const SEND_IN_DOUBT_MAX: Duration = Duration::from_millis(200);
/// Pause after a hint that was gathered: what is committed meanwhile is told of by the next one.
const GATHER: Duration = Duration::from_millis(20);

/// Hints that are not sent yet. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owed(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Somebody sends them.
    gathered: AtomicBool,
    any: Notify,
}

/// Sends nothing by itself any more when it ends.
struct Gathering<'o>(&'o Owed);

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        self.0.0.gathered.store(false, Ordering::Release);
    }
}

impl Db {
    /// Sends hints for as long as it is polled, many commits in one: until then every commit sends its
    /// own before it returns. Never ends.
    pub(crate) async fn gather_hints(&self) {
        let Self::Postgres(db) = self else { return std::future::pending().await };
        let _gathering = Gathering(&db.owed);
        db.owed.0.gathered.store(true, Ordering::Release);
        loop {
            db.owed.0.any.notified().await;
            tokio::time::timeout(SEND_MAX, send(&db.pool)).await.ok();
            tokio::time::sleep(GATHER).await;
        }
    }
}

impl PostgresDb {
    /// Has other instances told that the change feed may have grown, by a commit or by one that may have
    /// taken effect.
    pub(crate) async fn hint_changes<T>(&self, done: &Result<T, StoreError>) {
        if self.owed.0.gathered.load(Ordering::Acquire) {
            self.owed.0.any.notify_one();
            return;
        }
        let most = if done.is_ok() { SEND_MAX } else { SEND_IN_DOUBT_MAX };
        tokio::time::timeout(most, send(&self.pool)).await.ok();
    }
}

/// Tells listeners after the commit, not in it: a transaction that notifies holds a lock of the
/// whole database until its commit is on disk. A hint that is lost does no harm.
async fn send(pool: &PgPool) {
    let notify = sqlx::AssertSqlSafe(format!("NOTIFY {CHANGES_CHANNEL}"));
    let sent = sqlx::raw_sql(notify).execute(pool).await;
    if let Err(error) = sent {
        tracing::debug!(%error, "other instances were not told of a change; they will poll");
    }
}
