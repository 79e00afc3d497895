//! The change feed: which accounts a commit changed, for caches of other instances. Owns: the
//! feed's rows, following it without missing a late commit, and the wake-up hint. Must not know:
//! what a cache holds. The feed is the truth; a hint may be lost.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::{CHANGES_CHANNEL, Db, Tx};
use crate::error::StoreError;
use crate::prose;
use crate::statement::{Row, Value, statements};
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

    BOUNDS = "SELECT (SELECT MIN(id) FROM change_feed), (SELECT MAX(id) FROM change_feed)";

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
    let json = accounts_cell(accounts)?;
    APPEND.on(&mut *tx).prose(instance).text(&json).execute().await?;
    tx.hint_after_commit();
    Ok(())
}

/// Accounts with their revisions as a row of the feed keeps them.
pub(crate) fn accounts_cell(accounts: &[(AccountId, u64)]) -> Result<String, StoreError> {
    let pairs = accounts.iter().map(|(account, revision)| (KeyCell(account), revision));
    wire::to_json(&pairs.collect::<Vec<_>>())
}

/// The values of a row of the feed.
pub(crate) fn feed_values<'v>(instance: &'v str, accounts: &'v str) -> Vec<Value<'v>> {
    vec![Value::Text(Some(prose::to_column(instance))), Value::Text(Some(accounts.into()))]
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
///
/// It knows when it may have missed something. The row it stands on is kept by [`prune`] for as
/// long as the follower is not far behind, and is read again at every poll: when it is gone, or is
/// another one, then rows after it were pruned, or the database is not the one it was (a restored
/// backup).
#[derive(Debug)]
pub struct Follower {
    /// The greatest id seen.
    last: i64,
    /// What was read at that id; `None` before the first row.
    standing: Option<u64>,
    /// The oldest id when it was last asked for; only pruning raises it.
    oldest: Option<i64>,
    /// Ids below it that were not seen, with the time they were first missed.
    missing: BTreeMap<i64, i64>,
}

/// What a poll brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    /// The rows not seen before: at most [`PAGE_ROWS`] new ones and those that came late.
    pub rows: Vec<FeedRow>,
    /// Rows may have been missed, or one could not be read: nothing is known of any account, and
    /// whatever was kept of them is to be dropped. The follower goes on at the feed's end; what is
    /// kept after this poll is safe.
    pub gap: bool,
    /// The end of the feed was not reached; poll again.
    pub more: bool,
}

impl Follower {
    /// Starts a little before the feed's present end, so that commits in flight are not missed;
    /// the first poll therefore brings rows of the recent past, which does a cache no harm.
    pub async fn start(db: &Db) -> Result<Self, StoreError> {
        let (oldest, newest) = bounds(db).await?;
        let last = newest.unwrap_or(0).saturating_sub(MISSING_IDS_MAX).max(0);
        Ok(Self { last, standing: None, oldest, missing: BTreeMap::new() })
    }

    /// What came since the last poll.
    pub async fn poll(&mut self, db: &Db, now: Timestamp) -> Result<Polled, StoreError> {
        let late = self.late(db).await?;
        let page = i64::from(PAGE_ROWS);
        // The row it stands on is read as well, as the first one.
        let from = if self.standing.is_some() { self.last.saturating_sub(1) } else { self.last };
        let mut new = AFTER.on(db).bigint(from).bigint(page).fetch().await?.into_iter();
        let full = new.len() >= usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX);
        let stands = match self.standing {
            Some(seen) => new.next().is_some_and(|row| fingerprint(&row).ok() == Some(seen)),
            None => true,
        };
        if !stands || self.pruned_past(db).await? {
            *self = Self::start(db).await?;
            return Ok(Polled { rows: Vec::new(), gap: true, more: true });
        }
        let mut polled = Polled { rows: Vec::new(), gap: false, more: full };
        for row in late {
            self.missing.remove(&row.cells().bigint()?);
            polled.take(&row);
        }
        for row in new {
            let id = row.cells().bigint()?;
            let from = (self.last + 1).max(id.saturating_sub(MISSING_IDS_MAX));
            self.missing.extend((from..id).map(|id| (id, now.millis())));
            self.last = id;
            self.standing = Some(fingerprint(&row)?);
            polled.take(&row);
        }
        self.missing.retain(|_, since| now.millis() - *since < GAP_MS);
        Ok(polled)
    }

    /// For a follower that stands on no row yet: whether rows after its place were pruned. (In a feed
    /// that has just begun, a commit in flight looks the same; an unneeded gap does no harm.) A row
    /// that is still looked for is pruned no sooner than the one the follower stands on.
    async fn pruned_past(&mut self, db: &Db) -> Result<bool, StoreError> {
        if self.standing.is_some() {
            return Ok(false);
        }
        let before = std::mem::replace(&mut self.oldest, bounds(db).await?.0);
        let rose = |oldest: i64| before.is_none_or(|before| before < oldest);
        Ok(self.oldest.is_some_and(|oldest| oldest > self.last + 1 && rose(oldest)))
    }

    async fn late(&self, db: &Db) -> Result<Vec<Row>, StoreError> {
        let ids: Vec<i64> = self.missing.keys().copied().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = crate::statement::Rows::of(&ids).bigint(|id| *id);
        AT.on(db).rows(rows).fetch().await
    }
}

impl Polled {
    /// Takes a row in. One that cannot be read tells of a change of unknown accounts.
    fn take(&mut self, row: &Row) {
        match read_row(row) {
            Ok(row) => self.rows.push(row),
            Err(error) => {
                tracing::error!(%error, "a row of the change feed cannot be read");
                self.gap = true;
            }
        }
    }
}

/// The oldest and the newest id.
async fn bounds(db: &Db) -> Result<(Option<i64>, Option<i64>), StoreError> {
    let Some(row) = BOUNDS.on(db).fetch_one().await? else { return Ok((None, None)) };
    let mut cells = row.cells();
    Ok((cells.opt_bigint()?, cells.opt_bigint()?))
}

/// Tells a row from any other one with the same id.
fn fingerprint(row: &Row) -> Result<u64, StoreError> {
    let mut cells = row.cells();
    let mut hasher = DefaultHasher::new();
    cells.bigint()?.hash(&mut hasher);
    cells.prose()?.hash(&mut hasher);
    cells.text()?.hash(&mut hasher);
    Ok(hasher.finish())
}

/// Hints that the feed has grown.
#[derive(Debug)]
pub struct Hints {
    db: Db,
    listener: Option<PgListener>,
}

/// Sends the hints of this process, at most some fifty a second, for as long as it is polled; until
/// then each commit sends its own before it returns. Never ends.
pub async fn gather_hints(db: &Db) {
    db.gather_hints().await;
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
        let Some(channel) = self.db.channel() else {
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
            match connect(channel).await {
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
async fn connect(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let options = options.clone();
    let own = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&own).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANGES_CHANNEL).await?;
    Ok(listener)
}
