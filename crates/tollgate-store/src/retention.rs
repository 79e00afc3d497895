//! Removing what is older than it is kept. Owns: what may be removed of each table, in pages. Must not
//! know: how long anything is kept, who decides it.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::Db;
use crate::error::StoreError;
use crate::inbox::REMOVED;
use crate::statement::statements;

statements! {
    // The newest entry of the prefix that is old as a whole: an entry that is younger keeps those after it.
    LAST_OLD = "SELECT sequence, hash FROM billing_audit_log \
        WHERE account_id = $1 AND sequence < COALESCE((SELECT MIN(sequence) FROM billing_audit_log \
            WHERE account_id = $1 AND recorded_at >= $2), $3) \
        ORDER BY sequence DESC LIMIT 1";

    ANCHOR = "INSERT INTO journal_anchors (account_id, sequence, hash) VALUES ($1, $2, $3) \
        ON CONFLICT (account_id) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash";

    REMOVE_JOURNAL = "DELETE FROM billing_audit_log WHERE account_id = $1 AND sequence <= $2";

    REMOVE_BILLING_EVENTS = "DELETE FROM billing_events WHERE account_id = $1 \
        AND sequence < COALESCE((SELECT MIN(sequence) FROM billing_events \
            WHERE account_id = $1 AND recorded_at >= $2), $3)";

    // Counters without a period count for ever, those from before spans were noted know no end.
    REMOVE_USAGE = "DELETE FROM usage_counters WHERE account_id = $1 \
        AND period_end > 0 AND period_end < $2 AND last_used_at < $2";

    PAGE_END = "SELECT received_at FROM webhook_events \
        WHERE received_at >= $1 AND received_at < $2 ORDER BY received_at LIMIT 1 OFFSET $3";

    // What is not done with needs its body, and so does what sells something of the catalog and may get an
    // owner yet; of what is done with, the key, the outcome and the length stay.
    EMPTY_BODIES = "UPDATE webhook_events SET body = $4, body_codec = $3 \
        WHERE received_at >= $1 AND received_at < $2 AND processed_at IS NOT NULL \
        AND status IN ('processed', 'ignored') AND body_codec <> $3 \
        AND (reason IS NULL OR reason <> 'owner_unknown_expired')";
}

/// Ages from which on the records of an account are removed; `None`: they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoffs {
    /// Journal entries recorded before.
    pub journal: Option<Timestamp>,
    /// Billing events recorded before.
    pub billing_events: Option<Timestamp>,
    /// Counters of periods that ended before and were not used since.
    pub usage: Option<Timestamp>,
}

/// How much was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Journal entries.
    pub journal: u64,
    /// Billing events.
    pub billing_events: u64,
    /// Counters.
    pub usage: u64,
}

/// Removes what is too old of some accounts, in one transaction. Of a journal the oldest entries go, and
/// its chain goes on from the last of them.
pub async fn remove(
    db: &Db,
    accounts: &[AccountId],
    cutoffs: Cutoffs,
) -> Result<Removed, StoreError> {
    db.write(|mut tx| async move {
        let mut removed = Removed::default();
        for account in accounts {
            let id = account.as_str();
            if let Some(before) = cutoffs.journal {
                let last = LAST_OLD.on(&mut tx).text(id).bigint(before.millis()).bigint(i64::MAX);
                if let Some(row) = last.fetch().await?.first() {
                    let mut cells = row.cells();
                    let (sequence, hash) = (cells.bigint()?, cells.bytes()?);
                    let anchor = ANCHOR.on(&mut tx).text(id).bigint(sequence).bytes(hash);
                    anchor.execute().await?;
                    let done = REMOVE_JOURNAL.on(&mut tx).text(id).bigint(sequence).execute();
                    removed.journal = removed.journal.saturating_add(done.await?);
                }
            }
            if let Some(before) = cutoffs.billing_events {
                let done = REMOVE_BILLING_EVENTS.on(&mut tx).text(id);
                let done = done.bigint(before.millis()).bigint(i64::MAX).execute().await?;
                removed.billing_events = removed.billing_events.saturating_add(done);
            }
            if let Some(before) = cutoffs.usage {
                let done = REMOVE_USAGE.on(&mut tx).text(id).bigint(before.millis());
                removed.usage = removed.usage.saturating_add(done.execute().await?);
            }
        }
        Ok((tx, removed))
    })
    .await
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
/// events; those that are not done with keep theirs. Keys stay: an event that comes again is known.
pub async fn empty_bodies(
    db: &Db,
    from: Timestamp,
    before: Timestamp,
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
    let removed = empty.bigint(REMOVED).bytes(&[]).execute().await?;
    Ok(BodiesPage { removed, until })
}
