//! A copy of a database to try a run on. Owns: which rows such a run needs. Must not know: what is
//! tried.

use crate::db::copy::{self, Source};
use crate::error::StoreError;
use crate::{Db, migrations};

/// What a run needs that brings objects in: what is known, what waits and what is under way. Of
/// events only those that are not done with, and what was asked for, which is taken in once.
const NEEDED: [Source; 14] = [
    all("accounts"),
    all("body_dictionaries"),
    all("checkout_attempts"),
    all("connected_objects"),
    all("customer_claims"),
    all("doubtful_objects"),
    all("event_waits"),
    all("event_wakes"),
    all("facts"),
    all("meta"),
    all("stripe_links"),
    all("stripe_requests"),
    all("thin_events"),
    Source {
        table: "webhook_events",
        condition: "processed_at IS NULL OR (event_id >= 'obs_' AND event_id < 'obs`')",
    },
];

/// What it begins without: records that are added to and not read, counters, and what belongs to
/// callers and running servers.
#[cfg(test)]
const LEFT_OUT: [&str; 8] = [
    "journal_entries",
    "api_keys",
    "change_feed",
    "leases",
    "journal_anchors",
    "reconciliation_runs",
    "schema_migrations",
    "usage_counters",
];

const fn all(table: &'static str) -> Source {
    Source { table, condition: "TRUE" }
}

/// Makes an empty SQLite file a copy of a database as far as a run needs it, with everything as of
/// one instant. The database is read and not changed. Returns how many rows the copy has.
pub async fn copy(from: &Db, to: &Db) -> Result<u64, StoreError> {
    if let Some(made_at) = migrations::made_at(from).await? {
        migrations::up(to, made_at).await?;
    }
    copy::rows(from, to, &NEEDED).await
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;
    use tollgate_domain::Timestamp;

    use super::*;
    use crate::DbOptions;

    #[tokio::test]
    async fn every_table_is_copied_or_left_out_on_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let db = Db::open(&url, &DbOptions::default()).await.unwrap();
        migrations::up(&db, Timestamp::from_millis(0)).await.unwrap();
        let mut named: Vec<&str> = NEEDED.iter().map(|one| one.table).chain(LEFT_OUT).collect();
        named.sort_unstable();
        db.close().await;
        let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let there = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence' \
            ORDER BY name";
        let there: Vec<String> = sqlx::query_scalar(there).fetch_all(&mut file).await.unwrap();
        assert_eq!(there, named);
    }
}
