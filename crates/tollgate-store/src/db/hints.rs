//! Hints to other instances. Owns: telling them that the change feed may have grown. Must not know: who
//! listens; a hint may be lost.

use std::time::Duration;

use sqlx::PgPool;

use super::{CHANGES_CHANNEL, Db};
use crate::error::StoreError;

/// Longest time spent on telling others of a commit; they find it by polling at the latest.
pub(super) const SEND_MAX: Duration = Duration::from_secs(1);
/// The same for a commit that may have taken effect.
pub(super) const SEND_IN_DOUBT_MAX: Duration = Duration::from_millis(200);

impl Db {
    /// Has other instances told that the change feed may have grown, as the commit of a transaction does.
    pub(crate) async fn hint_changes(&self, done: &Result<bool, StoreError>) {
        let most = match done {
            Ok(true) => SEND_MAX,
            Ok(false) => return,
            Err(_) => SEND_IN_DOUBT_MAX,
        };
        if let Self::Postgres(db) = self {
            tokio::time::timeout(most, send(&db.pool)).await.ok();
        }
    }
}

/// Tells listeners after the commit, not in it: a transaction that notifies holds a lock of the
/// whole database until its commit is on disk. A hint that is lost does no harm.
pub(super) async fn send(pool: &PgPool) {
    let notify = sqlx::AssertSqlSafe(format!("NOTIFY {CHANGES_CHANNEL}"));
    let sent = sqlx::raw_sql(notify).execute(pool).await;
    if let Err(error) = sent {
        tracing::debug!(%error, "other instances were not told of a change; they will poll");
    }
}
