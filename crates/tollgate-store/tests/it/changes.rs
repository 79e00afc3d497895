//! The change feed.

use std::time::Duration;

use tollgate_store::changes::{self, Follower};
use tollgate_store::{Db, Tx};

use crate::database::write;
use crate::sample::{account, at};

async fn append(tx: &mut Tx, number: u64) -> Result<(), tollgate_store::StoreError> {
    changes::append(tx, "one", &[(account("acme"), number), (account("other"), 1)]).await
}

async fn commit(db: &Db, number: u64) {
    write(db, async |tx| append(tx, number).await).await.unwrap();
}

/// The revisions of the first account in the rows that a poll brings.
async fn poll(follower: &mut Follower, db: &Db, seconds: i64) -> Vec<u64> {
    let rows = follower.poll(db, at(seconds)).await.unwrap();
    rows.iter().map(|row| row.accounts[0].1).collect()
}

on_both! {
    the_feed_brings_every_commit_once: |db| async {
        let mut follower = Follower::start(db).await.unwrap();
        assert_eq!(changes::last_id(db).await.unwrap(), 0);
        for number in 1..=3 {
            commit(db, number).await;
        }
        assert_eq!(poll(&mut follower, db, 0).await, [1, 2, 3]);
        assert!(poll(&mut follower, db, 1).await.is_empty());
        commit(db, 4).await;
        assert_eq!(poll(&mut follower, db, 2).await, [4]);
        let rows = changes::after(db, 0).await.unwrap();
        assert_eq!(rows[3].instance, "one");
        assert_eq!(rows[3].accounts, [(account("acme"), 4), (account("other"), 1)]);
        assert_eq!(changes::prune(db, 2).await.unwrap(), 2);
        assert_eq!(changes::after(db, 0).await.unwrap().len(), 2);
        assert_eq!(poll(&mut Follower::start(db).await.unwrap(), db, 3).await, [3, 4]);
    }

    nothing_is_written_for_nothing: |db| async {
        write(db, async |tx| changes::append(tx, "one", &[]).await).await.unwrap();
        assert_eq!(changes::last_id(db).await.unwrap(), 0);
    }

    a_commit_that_comes_late_is_seen: |db| async {
        // SQLite has one writer, so no id can be overtaken there.
        if db.engine() == "sqlite" {
            return;
        }
        let mut follower = Follower::start(db).await.unwrap();
        let mut slow = db.begin().await.unwrap();
        append(&mut slow, 1).await.unwrap();
        let mut lost = db.begin().await.unwrap();
        append(&mut lost, 2).await.unwrap();
        commit(db, 3).await;
        assert_eq!(poll(&mut follower, db, 0).await, [3]);
        lost.rollback().await.unwrap();
        slow.commit().await.unwrap();
        assert_eq!(poll(&mut follower, db, 1).await, [1]);
        commit(db, 4).await;
        assert_eq!(poll(&mut follower, db, 60).await, [4]);
        assert!(poll(&mut follower, db, 61).await.is_empty());
    }

    a_listener_is_told_of_a_commit: |db| async {
        if db.engine() == "sqlite" {
            let mut hints = changes::listen(db);
            let told = tokio::time::timeout(Duration::from_millis(20), hints.next()).await;
            assert!(told.is_err(), "there are no hints on SQLite");
            return;
        }
        let mut hints = changes::listen(db);
        let told = async |hints: &mut changes::Hints| {
            tokio::time::timeout(Duration::from_secs(10), hints.next()).await.unwrap();
        };
        told(&mut hints).await; // The connection.
        commit(db, 1).await;
        told(&mut hints).await;
        // The listener's connection is cut and made anew; that is a hint again.
        db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid() \
            AND query LIKE 'LISTEN%'").await;
        told(&mut hints).await;
        commit(db, 2).await;
        told(&mut hints).await;
    }
}
