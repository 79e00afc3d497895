//! The beginning of a transaction that nobody waits for any more, as after the deadline of a request.

use std::time::Duration;

use tollgate_store::{DbOptions, Pooling, meta};

use crate::database::{Case, on_postgres, on_sqlite};

/// What is written on a connection after a beginning that was given up is committed by itself.
async fn nothing_is_left_open(case: &Case) {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let options = DbOptions { connections_max: 1, pooling, ..DbOptions::default() };
        let db = case.reopen_with(&options).await;
        for round in 0..20 {
            tokio::time::timeout(Duration::ZERO, db.begin()).await.ok();
            let (name, value) = (format!("{pooling:?}"), round.to_string());
            meta::save(&db, &name, &value).await.unwrap();
            // Seen by others: on another connection.
            assert_eq!(meta::find(case, &name).await.unwrap(), Some(value));
        }
        db.close().await;
    }
}

#[tokio::test]
async fn a_beginning_that_is_given_up_leaves_no_transaction_open_on_postgres() {
    on_postgres(nothing_is_left_open).await;
}

#[tokio::test]
async fn a_beginning_that_is_given_up_leaves_no_transaction_open_on_sqlite() {
    on_sqlite(nothing_is_left_open).await;
}
