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
    let polled = follower.poll(db, at(seconds)).await.unwrap();
    assert!(!polled.gap, "{polled:?}");
    polled.rows.iter().map(|row| row.accounts[0].1).collect()
}

/// Whether the next poll tells of a gap; the one after it tells of none.
async fn has_gap(follower: &mut Follower, db: &Db) -> bool {
    let gap = follower.poll(db, at(0)).await.unwrap().gap;
    assert!(!follower.poll(db, at(0)).await.unwrap().gap, "a gap is told of once");
    gap
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

    a_follower_behind_the_pruned_feed_is_told_of_the_gap: |db| async {
        let mut follower = Follower::start(db).await.unwrap();
        let mut idle = Follower::start(db).await.unwrap();
        commit(db, 1).await;
        assert_eq!(poll(&mut follower, db, 0).await, [1]);
        for number in 2..=9 {
            commit(db, number).await;
        }
        changes::prune(db, 3).await.unwrap();
        assert!(has_gap(&mut follower, db).await);
        assert!(has_gap(&mut idle, db).await, "one that had seen nothing yet");
        commit(db, 10).await;
        assert_eq!(poll(&mut follower, db, 1).await, [10]);
        changes::prune(db, 1).await.unwrap();
        assert!(poll(&mut follower, db, 2).await.is_empty());
        commit(db, 11).await;
        assert_eq!(poll(&mut follower, db, 3).await, [11], "pruning up to its place is no gap");
    }

    a_follower_of_a_database_set_back_is_told_of_the_gap: |db| async {
        for number in 1..=5 {
            commit(db, number).await;
        }
        let mut follower = Follower::start(db).await.unwrap();
        assert_eq!(poll(&mut follower, db, 0).await, [1, 2, 3, 4, 5]);
        // A backup of before the last two commits takes the database's place.
        db.sql("DELETE FROM change_feed WHERE id > 3").await;
        assert!(has_gap(&mut follower, db).await);
        assert_eq!(poll(&mut follower, db, 1).await, Vec::<u64>::new());
        // The same, and it has grown past the follower's place meanwhile.
        commit(db, 6).await;
        assert_eq!(poll(&mut follower, db, 2).await, [6]);
        db.sql("UPDATE change_feed SET accounts = '[[\"acme\",77]]' WHERE id = \
            (SELECT MAX(id) FROM change_feed)").await;
        commit(db, 8).await;
        assert!(has_gap(&mut follower, db).await);
    }

    a_row_that_cannot_be_read_is_a_gap_and_no_obstacle: |db| async {
        let mut follower = Follower::start(db).await.unwrap();
        commit(db, 1).await;
        db.sql("UPDATE change_feed SET accounts = 'garbled'").await;
        commit(db, 2).await;
        let polled = follower.poll(db, at(0)).await.unwrap();
        assert!(polled.gap);
        assert_eq!(polled.rows.len(), 1);
        commit(db, 3).await;
        assert_eq!(poll(&mut follower, db, 1).await, [3]);
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
        commit(db, 0).await;
        let mut follower = Follower::start(db).await.unwrap();
        assert_eq!(poll(&mut follower, db, 0).await, [0]);
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
