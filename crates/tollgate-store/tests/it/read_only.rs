//! A PostgreSQL that takes no writes for a while, as after a failover to a standby.

use std::time::Duration;

use futures_util::future::join_all;
use tollgate_store::{DbOptions, WriteStanding, meta};

use crate::database::{Case, on_postgres};

/// Has every session that begins from now on be read-only, or not.
async fn set_read_only(case: &Case, read_only: &str) {
    case.sql(&format!(
        "BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {read_only}', \
         current_database()); END $$; COMMIT"
    ))
    .await;
}

#[tokio::test]
async fn sessions_that_are_read_only_are_replaced_once_one_refused_a_write() {
    on_postgres(async |case: &Case| {
        set_read_only(case, "SET default_transaction_read_only = on").await;
        let db = case.reopen().await;
        assert_eq!(db.writes(), WriteStanding::default());
        // Every connection of the pool is opened while nothing can be written.
        let many = 0..DbOptions::default().connections_max;
        let open = join_all(many.clone().map(|_| db.begin())).await;
        let open: Vec<_> = open.into_iter().map(Result::unwrap).collect();
        drop(open);
        let refused = meta::save(&db, "name", "value").await.unwrap_err();
        assert!(refused.is_read_only() && refused.is_unavailable(), "{refused}");
        let standing = db.writes();
        assert_eq!(standing.failed.map(|failure| failure.reason), Some("read_only"));
        assert_eq!(standing.committed, None);

        set_read_only(case, "RESET default_transaction_read_only").await;
        // The first write may find the last session of that time.
        meta::save(&db, "name", "value").await.ok();
        let written = join_all(many.map(|_| meta::save(&db, "name", "value"))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        assert!(db.writes().committed.is_some());
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_read_that_fails_tells_nothing_of_writes() {
    on_postgres(async |case: &Case| {
        let options = DbOptions {
            connections_max: 1,
            acquire_timeout: Duration::from_millis(50),
            ..DbOptions::default()
        };
        let db = case.reopen_with(&options).await;
        let held = db.begin().await.unwrap();
        assert!(meta::find(&db, "name").await.unwrap_err().is_unavailable());
        assert_eq!(db.writes(), WriteStanding::default());
        assert!(meta::save(&db, "name", "value").await.unwrap_err().is_unavailable());
        let failed = db.writes().failed.map(|failure| failure.reason);
        assert_eq!(failed, Some("no_connection"));
        held.rollback().await.unwrap();
        db.close().await;
    })
    .await;
}
