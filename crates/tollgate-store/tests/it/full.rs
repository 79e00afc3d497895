//! A transaction that SQLite ends by itself, as it does where the disk is full during a commit.

use tollgate_store::inbox::{self, EventStatus};
use tollgate_store::{Db, DbOptions, Tx, migrations};

use crate::database::start;
use crate::sample::event;

#[tokio::test]
async fn writing_goes_on_after_sqlite_ended_a_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let db = Db::open(&url, &DbOptions::default()).await.unwrap();
    migrations::up(&db, start()).await.unwrap();
    let new = [event("evt_1", EventStatus::Received)];
    for is_committed in [true, false] {
        let mut tx = db.begin().await.unwrap();
        inbox::insert(&mut tx, &new).await.unwrap();
        let Tx::Sqlite(inner) = &mut tx else { panic!("not SQLite") };
        sqlx::raw_sql("ROLLBACK").execute(&mut *inner.inner).await.unwrap();
        if is_committed {
            tx.commit().await.unwrap_err();
        } else {
            drop(tx);
        }
        let mut tx = db.begin().await.unwrap();
        assert_eq!(inbox::insert(&mut tx, &new).await.unwrap(), 1);
        tx.rollback().await.unwrap();
    }
    db.close().await;
}
