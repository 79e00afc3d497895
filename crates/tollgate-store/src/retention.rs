//! Removing what is older than it is kept. Owns: what may be removed of each table, in pages. Must not
//! know: how long anything is kept, who decides it.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::accounts;
use crate::db::Db;
use crate::error::StoreError;
use crate::inbox::REMOVED;
use crate::statement::{Row, statements};

/// Rows of one account removed by one statement.
const ROWS_MAX: i64 = 1_000;

statements! {
    JOURNAL_START = "SELECT sequence, recorded_at, hash FROM journal_entries \
        WHERE account_id = $1 ORDER BY sequence LIMIT $2";

    // Two servers may remove at once, and the later one may know less.
    ANCHOR = "INSERT INTO journal_anchors (account_id, sequence, hash) VALUES ($1, $2, $3) \
        ON CONFLICT (account_id) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash \
            WHERE excluded.sequence > journal_anchors.sequence";

    REMOVE_JOURNAL = "DELETE FROM journal_entries WHERE account_id = $1 AND sequence <= $2";

    // Counters from before ends were noted have 0 there; no period is longer than usage is kept.
    REMOVE_USAGE = "DELETE FROM usage_counters WHERE account_id = $1 \
        AND period_start < $2 AND period_end < $2 AND last_used_at < $2";

    PAGE_END = "SELECT received_at FROM webhook_events \
        WHERE received_at >= $1 AND received_at < $2 ORDER BY received_at LIMIT 1 OFFSET $3";

    // What is not done with needs its body, and so does, for a time of its own, what was set aside: once
    // somebody owns its object it is worked on. Of the others the key, the outcome and the length stay.
    EMPTY_BODIES = "UPDATE webhook_events SET body = $4, body_codec = $3 \
        WHERE received_at >= $1 AND received_at < $2 AND processed_at IS NOT NULL \
        AND status IN ('processed', 'ignored') AND body_codec <> $3 \
        AND (received_at < $5 OR NOT EXISTS (SELECT 1 FROM event_waits w \
            WHERE w.event_id = webhook_events.event_id AND w.livemode = webhook_events.livemode \
                AND w.stripe_account = webhook_events.stripe_account))";
}

/// Ages from which on the records of an account are removed; `None`: they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoffs {
    /// Entries of the journal recorded before.
    pub journal: Option<Timestamp>,
    /// Counters of periods that ended before and were not used since.
    pub usage: Option<Timestamp>,
}

/// How much was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Entries of the journal.
    pub journal: u64,
    /// Counters.
    pub usage: u64,
    /// There may be more that is too old.
    pub more: bool,
}

/// Removes what is too old of an account, as much as one transaction each may. Of a journal the oldest
/// entries go, and its chain goes on from the last of them.
pub async fn remove(db: &Db, account: &AccountId, cutoffs: Cutoffs) -> Result<Removed, StoreError> {
    let mut removed = Removed::default();
    if let Some(before) = cutoffs.journal {
        removed.journal = remove_journal(db, account, before).await?;
    }
    if let Some(before) = cutoffs.usage {
        let usage = REMOVE_USAGE.on(db.writer()).text(account.as_str()).bigint(before.millis());
        removed.usage = usage.execute().await?;
    }
    removed.more = Some(removed.journal) == u64::try_from(ROWS_MAX).ok();
    Ok(removed)
}

/// Removes the oldest entries, a limited number; returns how many. The account is locked: it
/// may be removed itself at the same time, and nothing of it must come back.
async fn remove_journal(
    db: &Db,
    account: &AccountId,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let first = JOURNAL_START.on(db).text(account.as_str()).bigint(1).fetch().await?;
    if last_old(&first, before)?.is_none() {
        return Ok(0);
    }
    db.write(|mut tx| async move {
        let known = accounts::lock(&mut tx, std::slice::from_ref(account)).await?;
        if known.is_empty() {
            return Ok((tx, 0));
        }
        let rows = JOURNAL_START.on(&mut tx).text(account.as_str()).bigint(ROWS_MAX);
        let rows = rows.fetch().await?;
        let Some((sequence, row)) = last_old(&rows, before)? else { return Ok((tx, 0)) };
        let mut cells = row.cells();
        let _ = (cells.bigint()?, cells.bigint()?);
        let anchor = ANCHOR.on(&mut tx).text(account.as_str()).bigint(sequence);
        anchor.bytes(cells.bytes()?).execute().await?;
        let gone = REMOVE_JOURNAL.on(&mut tx).text(account.as_str()).bigint(sequence);
        let gone = gone.execute().await?;
        Ok((tx, gone))
    })
    .await
}

/// The last of the rows, the oldest first, that are all too old.
fn last_old(rows: &[Row], before: Timestamp) -> Result<Option<(i64, &Row)>, StoreError> {
    let mut last = None;
    for row in rows {
        let mut cells = row.cells();
        let (sequence, recorded_at) = (cells.bigint()?, cells.instant()?);
        if recorded_at >= before {
            break;
        }
        last = Some((sequence, row));
    }
    Ok(last)
}

/// A page of bodies that was gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodiesPage {
    /// Bodies removed.
    pub removed: u64,
    /// Everything received before this has been gone through.
    pub until: Timestamp,
}

/// Removes the bodies of events received from one instant on and before another, of about so many
/// events; those that are not done with keep theirs, and so do those that were set aside and received
/// since `set_aside_since`. Keys stay: an event that comes again is known.
pub async fn empty_bodies(
    db: &Db,
    from: Timestamp,
    before: Timestamp,
    set_aside_since: Timestamp,
    events: u32,
) -> Result<BodiesPage, StoreError> {
    let end = PAGE_END.on(db).bigint(from.millis()).bigint(before.millis());
    let end = end.bigint(i64::from(events)).fetch().await?;
    let until = match end.first() {
        // Events of one instant are not parted, and every page gets on.
        Some(row) => row.cells().instant()?.max(from.plus_ms(1)),
        None => before,
    };
    let empty = EMPTY_BODIES.on(db.writer()).bigint(from.millis()).bigint(until.millis());
    let removed =
        empty.bigint(REMOVED).bytes(&[]).bigint(set_aside_since.millis()).execute().await?;
    Ok(BodiesPage { removed, until })
}
