//! The change feed: which accounts a commit changed, for caches of other instances. Owns: the
//! feed's rows, following it without missing a late commit, and the wake-up hint. Must not know:
//! what a cache holds. The feed is the truth; a hint may be lost.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::{Db, Tx};
use crate::error::StoreError;

/// What one commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// Place in the feed. Rows of concurrent commits may become visible out of order.
    pub id: i64,
    /// The instance that committed.
    pub instance: String,
    /// Accounts with their new revisions.
    pub accounts: Vec<(AccountId, u64)>,
}

/// Adds a row to the feed; other instances get a hint after the commit.
pub async fn append(
    tx: &mut Tx,
    instance: &str,
    accounts: &[(AccountId, u64)],
) -> Result<(), StoreError> {
    let _ = (tx, instance, accounts);
    todo!()
}

/// Rows visible now with an id above the given one, in order, at most [`PAGE_ROWS`]. See
/// [`Follower`] for a reader that misses nothing.
pub async fn after(db: &Db, id: i64) -> Result<Vec<FeedRow>, StoreError> {
    let _ = (db, id);
    todo!()
}

/// Most rows [`after`] returns at once.
pub const PAGE_ROWS: u32 = 1_000;

/// The newest id; 0 for an empty feed.
pub async fn last_id(db: &Db) -> Result<i64, StoreError> {
    let _ = db;
    todo!()
}

/// Forgets all but the newest rows; returns how many were forgotten.
pub async fn prune(db: &Db, keep: u32) -> Result<u64, StoreError> {
    let _ = (db, keep);
    todo!()
}

/// A reader of the feed that also sees rows whose commit came late.
#[derive(Debug)]
pub struct Follower {}

impl Follower {
    /// Starts at the feed's present end.
    pub async fn start(db: &Db) -> Result<Self, StoreError> {
        let _ = db;
        todo!()
    }

    /// The rows not seen before, at most [`PAGE_ROWS`].
    pub async fn poll(&mut self, db: &Db, now: Timestamp) -> Result<Vec<FeedRow>, StoreError> {
        let _ = (db, now);
        todo!()
    }
}

/// Hints that the feed has grown.
#[derive(Debug)]
pub struct Hints {}

/// Listens for hints. On PostgreSQL on a connection of its own, which is made again when lost; on
/// SQLite there are none.
pub fn listen(db: &Db) -> Hints {
    let _ = db;
    todo!()
}

impl Hints {
    /// Waits for the next hint. Where there are none it never returns, so poll as well.
    pub async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}
