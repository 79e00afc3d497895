//! What a rebuild reads. Owns: the copy of it as of one instant, and what in it has no foundation. Must not
//! know: how it is folded, what it is compared with.

use tollgate_domain::ids::{AccountId, EventId};

use crate::db::copy::{self, Source};
use crate::error::StoreError;
use crate::statement::{Row, statements};
use crate::{Db, migrations, wire};

/// What is folded (the inbox with the dictionaries of its bodies, operator facts, what people linked,
/// e-mails) and what it is compared with (facts and journals).
const NEEDED: [Source; 8] = [
    all("accounts"),
    all("body_dictionaries"),
    all("facts"),
    all("journal_anchors"),
    all("journal_entries"),
    all("meta"),
    all("stripe_links"),
    all("webhook_events"),
];

const fn all(table: &'static str) -> Source {
    Source { table, condition: "TRUE" }
}

statements! {
    COUNT_REMOVED = "SELECT COUNT(*) FROM webhook_events WHERE body_codec = -2";

    /// Entries that name an event which is not in the inbox, of the accounts after one, up to another.
    UNFOUNDED = "SELECT j.account_id, j.sequence, j.event_id FROM journal_entries j \
        WHERE j.account_id > $1 AND j.account_id <= $2 AND j.event_id IS NOT NULL \
            AND NOT EXISTS (SELECT 1 FROM webhook_events w WHERE w.event_id = j.event_id) \
        ORDER BY j.account_id, j.sequence LIMIT $3";
}

/// Makes an empty SQLite file a copy of what a rebuild reads, with everything as of one instant. The
/// database is read and not changed. Returns how many rows the copy has.
pub async fn copy(from: &Db, to: &Db) -> Result<u64, StoreError> {
    if let Some(made_at) = migrations::made_at(from).await? {
        migrations::up(to, made_at).await?;
    }
    copy::rows(from, to, &NEEDED).await
}

/// How many events of the inbox have no body any more.
pub async fn count_removed_bodies(db: &Db) -> Result<u64, StoreError> {
    let row = COUNT_REMOVED.on(db).fetch_one().await?;
    row.map_or(Ok(0), |row| Ok(wire::uncount(row.cells().bigint()?)))
}

/// An entry of a journal that names an event which is not in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfounded {
    /// Whose journal.
    pub account: AccountId,
    /// The entry's number.
    pub sequence: u64,
    /// The event.
    pub event: EventId,
}

/// Such entries of the accounts after one (`None`: from the first), up to another; at most `limit`.
pub async fn unfounded(
    db: &Db,
    after: Option<&AccountId>,
    until: &AccountId,
    limit: u32,
) -> Result<Vec<Unfounded>, StoreError> {
    let call = UNFOUNDED.on(db).text(after.map_or("", AccountId::as_str)).text(until.as_str());
    let rows = call.bigint(i64::from(limit)).fetch().await?;
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok(Unfounded {
            account: cells.key("journal_entries")?,
            sequence: wire::uncount(cells.bigint()?),
            event: cells.key("journal_entries")?,
        })
    };
    rows.iter().map(read).collect()
}
