//! The change feed: which accounts a commit changed, for caches of other instances. Owns: the
//! feed's rows, following it without missing a late commit, and the wake-up hint. Must not know:
//! what a cache holds. The feed is the truth; a hint may be lost.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::{CHANGES_CHANNEL, Db, Tx};
use crate::error::StoreError;
use crate::statement::{Row, statements};
use crate::wire::{self, KeyCell};

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

/// Most rows [`after`] returns at once.
pub const PAGE_ROWS: u32 = 1_000;

/// How long a [`Follower`] looks for the row of a missing id before it takes it for one of a
/// transaction that was rolled back. Longer than any transaction lives.
const GAP_MS: i64 = 30_000;

/// Most ids looked for below a new one; above the number of commits that can be in flight.
const MISSING_IDS_MAX: i64 = 256;

/// Wait before the next attempt after a listener's connection could not be made.
const RECONNECT: Duration = Duration::from_secs(1);

statements! {
    APPEND = "INSERT INTO change_feed (instance, accounts) VALUES ($1, $2)";

    AFTER = "SELECT id, instance, accounts FROM change_feed WHERE id > $1 ORDER BY id LIMIT $2";

    AT = "WITH {rows:id bigint} SELECT t.id, t.instance, t.accounts \
        FROM r CROSS JOIN change_feed t WHERE t.id = r.id";

    LAST = "SELECT MAX(id) FROM change_feed";

    PRUNE = "DELETE FROM change_feed WHERE id <= $1";
}

/// Adds a row to the feed; other instances get a hint after the commit.
pub async fn append(
    tx: &mut Tx,
    instance: &str,
    accounts: &[(AccountId, u64)],
) -> Result<(), StoreError> {
    if accounts.is_empty() {
        return Ok(());
    }
    let pairs = accounts.iter().map(|(account, revision)| (KeyCell(account), revision));
    let json = wire::to_json(&pairs.collect::<Vec<_>>())?;
    APPEND.on(&mut *tx).prose(instance).text(&json).execute().await?;
    tx.hint_after_commit();
    Ok(())
}

/// Rows visible now with an id above the given one, in order, at most [`PAGE_ROWS`]. See
/// [`Follower`] for a reader that misses nothing.
pub async fn after(db: &Db, id: i64) -> Result<Vec<FeedRow>, StoreError> {
    let rows = AFTER.on(db).bigint(id).bigint(i64::from(PAGE_ROWS)).fetch().await?;
    rows.iter().map(read_row).collect()
}

fn read_row(row: &Row) -> Result<FeedRow, StoreError> {
    let mut cells = row.cells();
    let id = cells.bigint()?;
    let instance = cells.prose()?.into_owned();
    let accounts: Vec<(KeyCell<AccountId>, u64)> =
        serde_json::from_str(cells.text()?).map_err(|error| StoreError::Corrupt {
            table: "change_feed",
            reason: error.to_string(),
            row: id.to_string(),
        })?;
    let accounts = accounts.into_iter().map(|(account, revision)| (account.0, revision));
    Ok(FeedRow { id, instance, accounts: accounts.collect() })
}

/// The newest id; 0 for an empty feed.
pub async fn last_id(db: &Db) -> Result<i64, StoreError> {
    let row = LAST.on(db).fetch_one().await?;
    Ok(row.map(|row| row.cells().opt_bigint()).transpose()?.flatten().unwrap_or(0))
}

/// Forgets all but about the newest `keep` rows; returns how many were forgotten.
pub async fn prune(db: &Db, keep: u32) -> Result<u64, StoreError> {
    let last = last_id(db).await?;
    PRUNE.on(db.writer()).bigint(last.saturating_sub(i64::from(keep))).execute().await
}

/// A reader of the feed that also sees rows whose commit came late: ids are given out when a row
/// is written and rows are seen when they are committed, so a smaller id may appear after a
/// greater one. Ids that were skipped are looked for until their transaction must have ended.
#[derive(Debug)]
pub struct Follower {
    /// The greatest id seen.
    last: i64,
    /// Ids below it that were not seen, with the time they were first missed.
    missing: BTreeMap<i64, i64>,
}

impl Follower {
    /// Starts a little before the feed's present end, so that commits in flight are not missed;
    /// the first poll therefore brings rows of the recent past, which does a cache no harm.
    pub async fn start(db: &Db) -> Result<Self, StoreError> {
        let last = last_id(db).await?.saturating_sub(MISSING_IDS_MAX).max(0);
        Ok(Self { last, missing: BTreeMap::new() })
    }

    /// The rows not seen before, at most [`PAGE_ROWS`] new ones and those that came late.
    pub async fn poll(&mut self, db: &Db, now: Timestamp) -> Result<Vec<FeedRow>, StoreError> {
        let mut rows = self.late(db).await?;
        for row in &rows {
            self.missing.remove(&row.id);
        }
        let new = after(db, self.last).await?;
        for row in &new {
            let from = (self.last + 1).max(row.id.saturating_sub(MISSING_IDS_MAX));
            self.missing.extend((from..row.id).map(|id| (id, now.millis())));
            self.last = row.id;
        }
        rows.extend(new);
        self.missing.retain(|_, since| now.millis() - *since < GAP_MS);
        Ok(rows)
    }

    async fn late(&self, db: &Db) -> Result<Vec<FeedRow>, StoreError> {
        let ids: Vec<i64> = self.missing.keys().copied().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = crate::statement::Rows::of(&ids).bigint(|id| *id);
        AT.on(db).rows(rows).fetch().await?.iter().map(read_row).collect()
    }
}

/// Hints that the feed has grown.
#[derive(Debug)]
pub struct Hints {
    db: Db,
    listener: Option<PgListener>,
}

/// Listens for hints. On PostgreSQL on a connection of its own, which is made again when lost; on
/// SQLite there are none.
pub fn listen(db: &Db) -> Hints {
    Hints { db: db.clone(), listener: None }
}

impl Hints {
    /// Waits for the next hint. Where there are none it never returns, so poll as well. Making the
    /// connection counts as a hint, for nobody knows what was missed before. May be dropped at any
    /// time and called again.
    pub async fn next(&mut self) {
        let Some(pool) = self.db.postgres_pool() else {
            return std::future::pending().await;
        };
        loop {
            if let Some(listener) = &mut self.listener {
                // An error or a lost connection is a hint too; the listener is made anew.
                if !matches!(listener.try_recv().await, Ok(Some(_))) {
                    self.listener = None;
                    continue;
                }
                while listener.next_buffered().is_some() {}
                return;
            }
            match connect(pool).await {
                Ok(listener) => {
                    self.listener = Some(listener);
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot listen for changes; polling goes on");
                    tokio::time::sleep(RECONNECT).await;
                }
            }
        }
    }
}

/// A listener on a pool of its own, so that it takes no connection from those that work.
async fn connect(pool: &sqlx::PgPool) -> Result<PgListener, sqlx::Error> {
    let options = (*pool.connect_options()).clone();
    let own = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&own).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANGES_CHANNEL).await?;
    Ok(listener)
}
