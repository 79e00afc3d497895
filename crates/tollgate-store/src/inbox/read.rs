//! The inbox as people see it. Owns: finding, listing, counting. Must not know: who may see it.

use std::borrow::Cow;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId};

use super::{
    EventFilter, EventKey, EventRow, EventStatus, Outcome, REMOVED, StoredBody, TypeStats,
    read_body, read_key, read_status,
};
use crate::db::Db;
use crate::error::StoreError;
use crate::statement::{Cells, Row, statements};
use crate::wire;

macro_rules! columns {
    () => {
        "t.event_id, t.livemode, t.stripe_account, t.event_type, t.api_version, t.created_at, \
         t.signed_at, t.received_at, t.object_id, t.body_len, t.body_codec, t.duplicates, t.status, \
         t.account_id, t.reason, t.attempts, t.next_attempt_at, t.processed_at, t.duration_us"
    };
}

/// What every list has in common: the span, the filters, and the place where it goes on.
macro_rules! page {
    () => {
        page!("(CAST($3 AS TEXT) IS NULL OR t.status = $3)")
    };
    ($status:literal) => {
        concat!(
            " t.received_at >= $1 AND t.received_at < $2 AND ",
            $status,
            " \
         AND (CAST($4 AS TEXT) IS NULL OR t.event_type = $4) \
         AND t.received_at <= $5 AND (t.received_at < $5 OR t.event_id < $6) \
         ORDER BY t.received_at DESC, t.event_id DESC LIMIT $7"
        )
    };
}

statements! {
    FIND = concat!("SELECT ", columns!(), " FROM webhook_events t WHERE t.event_id = $1 \
        ORDER BY t.livemode, t.stripe_account");

    BODY = "SELECT body_codec, body_len, body FROM webhook_events \
        WHERE event_id = $1 AND livemode = $2 AND stripe_account = $3";

    LIST = concat!("SELECT ", columns!(), " FROM webhook_events t WHERE", page!());

    RECEIVED = concat!("SELECT ", columns!(), ", t.body_codec, t.body_len, t.body \
        FROM webhook_events t \
        WHERE t.received_at >= $1 AND (t.received_at > $1 \
            OR (t.event_id, t.livemode, t.stripe_account) > ($2, $3, $4)) \
        ORDER BY t.received_at, t.event_id, t.livemode, t.stripe_account LIMIT $5");

    /// The open ones of one status only, which an index holds in this order.
    LIST_OPEN = concat!("SELECT ", columns!(), " FROM webhook_events t \
        WHERE t.processed_at IS NULL AND", page!("t.status = $3"));

    /// Of one account: those its journal names, and the open ones.
    LIST_ACCOUNT = concat!("WITH mine AS ( \
            SELECT event_id FROM journal_entries \
            WHERE account_id = $8 AND event_id IS NOT NULL \
            UNION SELECT event_id FROM webhook_events \
            WHERE account_id = $8 AND processed_at IS NULL) \
        SELECT ", columns!(), " FROM mine CROSS JOIN webhook_events t \
        WHERE t.event_id = mine.event_id AND t.account_id = $8 AND", page!());

    /// Per type: counts, mean, and the nearest-rank 99th percentile, the least duration that 99 of
    /// 100 do not exceed.
    STATS = "SELECT event_type, COUNT(*), \
            CAST(SUM(CASE WHEN status = 'processed' THEN 1 ELSE 0 END) AS BIGINT), \
            CAST(SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS BIGINT), \
            CAST(SUM(CASE WHEN status = 'waiting' THEN 1 ELSE 0 END) AS BIGINT), \
            CAST(SUM(CASE WHEN status = 'ignored' THEN 1 ELSE 0 END) AS BIGINT), \
            CAST(SUM(CASE WHEN status = 'dead' THEN 1 ELSE 0 END) AS BIGINT), \
            CAST(SUM(CASE WHEN status = 'received' THEN 1 ELSE 0 END) AS BIGINT), \
            CAST(AVG(duration_us) AS BIGINT), \
            MIN(CASE WHEN place * 100 >= timed * 99 THEN duration_us END) \
        FROM ( \
            SELECT event_type, status, duration_us, \
                COUNT(duration_us) OVER (PARTITION BY event_type) AS timed, \
                ROW_NUMBER() OVER (PARTITION BY event_type, duration_us IS NULL \
                    ORDER BY duration_us) AS place \
            FROM webhook_events WHERE received_at >= $1) ranked \
        GROUP BY event_type ORDER BY event_type";

    IGNORED_SINCE = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM webhook_events \
        WHERE received_at >= $1 AND status = 'ignored' AND reason = $2 LIMIT 1) found";

    // Events that Stripe sent itself, of which each says when it happened.
    FIRST = "SELECT created_at, signed_at FROM webhook_events \
        WHERE signed_at IS NOT NULL AND created_at IS NOT NULL ORDER BY received_at LIMIT 1";

    COUNT_OPEN = "SELECT status, COUNT(*) FROM webhook_events WHERE processed_at IS NULL \
        GROUP BY status ORDER BY status";
}

/// Events with this id (one per mode and Stripe account; usually one).
pub async fn find(db: &Db, event: &EventId) -> Result<Vec<EventRow>, StoreError> {
    FIND.on(db).text(event.as_str()).fetch().await?.iter().map(read_row).collect()
}

/// The raw body of an event, still squeezed.
pub async fn body(db: &Db, key: &EventKey) -> Result<Option<StoredBody<'static>>, StoreError> {
    let call = BODY.on(db).text(key.event.as_str()).boolean(key.livemode);
    let row = call.prose(&key.stripe_account).fetch_one().await?;
    row.map(|row| read_body(&mut row.cells())).transpose()
}

/// Newest events first; `cursor` is the one a page ended with. Returns the rows and the next
/// cursor. A cursor that was not made here starts at the newest event.
pub async fn list(
    db: &Db,
    filter: &EventFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<EventRow>, Option<String>), StoreError> {
    let statement = match (&filter.account, filter.status) {
        (Some(_), _) => &LIST_ACCOUNT,
        (None, Some(status)) if !status.is_final() => &LIST_OPEN,
        (None, _) => &LIST,
    };
    // "~" is above every character an id may hold.
    let (received_at, event) = cursor.and_then(place).unwrap_or((i64::MAX, "~"));
    let mut call = statement
        .on(db)
        .bigint(filter.from.unwrap_or(Timestamp::MIN).millis())
        .bigint(filter.until.map_or(i64::MAX, Timestamp::millis))
        .opt_text(filter.status.map(EventStatus::as_str))
        .opt_prose(filter.event_type.as_deref())
        .bigint(received_at)
        .text(event)
        .bigint(i64::from(limit));
    if let Some(account) = &filter.account {
        call = call.text(account.as_str());
    }
    let rows = call.fetch().await?.iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
    let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = rows
        .last()
        .filter(|_| full)
        .map(|row| format!("{}/{}", row.received_at.millis(), row.key.event));
    Ok((rows, next))
}

/// The events received after one, with their bodies, in the order of receipt; at most `limit`.
pub async fn received_after(
    db: &Db,
    last: Option<(Timestamp, &EventKey)>,
    limit: u32,
) -> Result<Vec<(EventRow, StoredBody<'static>)>, StoreError> {
    let (at, event, livemode, stripe_account) = match last {
        Some((at, key)) => (at, key.event.as_str(), key.livemode, key.stripe_account.as_str()),
        None => (Timestamp::MIN, "", false, ""),
    };
    let call = RECEIVED.on(db).bigint(at.millis()).text(event).boolean(livemode);
    let rows = call.prose(stripe_account).bigint(i64::from(limit)).fetch().await?;
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok((read_event(&mut cells)?, read_body(&mut cells)?))
    };
    rows.iter().map(read).collect()
}

/// Whether a text is a cursor that [`list`] gave.
pub fn is_cursor(text: &str) -> bool {
    place(text).is_some_and(|(_, event)| EventId::parse(event).is_ok())
}

fn place(cursor: &str) -> Option<(i64, &str)> {
    let (received_at, event) = cursor.split_once('/')?;
    EventId::parse(event).ok()?;
    Some((received_at.parse().ok()?, event))
}

fn read_row(row: &Row) -> Result<EventRow, StoreError> {
    read_event(&mut row.cells())
}

fn read_event(cells: &mut Cells<'_>) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        key: read_key(cells)?,
        event_type: cells.prose()?.into_owned(),
        api_version: cells.opt_prose()?.map(Cow::into_owned),
        created_at: cells.opt_instant()?,
        signed_at: cells.opt_instant()?,
        received_at: cells.instant()?,
        object: cells.opt_key(super::TABLE)?,
        body_len: wire::uncount(cells.bigint()?),
        body_removed: cells.bigint()? == REMOVED,
        duplicates: wire::uncount(cells.bigint()?),
        outcome: Outcome {
            status: read_status(cells)?,
            account: cells.opt_key::<AccountId>(super::TABLE)?,
            reason: cells.opt_prose()?.map(Cow::into_owned),
            attempts: wire::small(cells.bigint()?),
            next_attempt_at: cells.opt_instant()?,
            processed_at: cells.opt_instant()?,
            duration_us: cells.opt_bigint()?.map(wire::uncount),
        },
    })
}

/// Counts and times per type of the events received at or after an instant, by type.
pub async fn stats(db: &Db, since: Timestamp) -> Result<Vec<TypeStats>, StoreError> {
    let rows = STATS.on(db).bigint(since.millis()).fetch().await?;
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok(TypeStats {
            event_type: cells.prose()?.into_owned(),
            total: wire::uncount(cells.bigint()?),
            processed: wire::uncount(cells.bigint()?),
            failed: wire::uncount(cells.bigint()?),
            waiting: wire::uncount(cells.bigint()?),
            ignored: wire::uncount(cells.bigint()?),
            dead: wire::uncount(cells.bigint()?),
            received: wire::uncount(cells.bigint()?),
            mean_us: cells.opt_bigint()?.map(wire::uncount),
            p99_us: cells.opt_bigint()?.map(wire::uncount),
        })
    };
    rows.iter().map(read).collect()
}

/// Whether an event was ignored for this reason that was received at or after an instant.
pub async fn was_ignored_since(
    db: &Db,
    reason: &str,
    since: Timestamp,
) -> Result<bool, StoreError> {
    let row = IGNORED_SINCE.on(db).bigint(since.millis()).prose(reason).fetch_one().await?;
    row.map_or(Ok(false), |row| Ok(row.cells().bigint()? > 0))
}

/// Stripe's time of the first event of all that came, where it was delivered; `None` where there is
/// none, or it was asked for.
pub async fn first_delivered_at(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    let Some(row) = FIRST.on(db).fetch_one().await? else { return Ok(None) };
    let mut cells = row.cells();
    let (created_at, signed_at) = (cells.opt_instant()?, cells.opt_instant()?);
    Ok(created_at.filter(|_| signed_at.is_some()))
}

/// How many events stand where: the backlog and the dead. Final ones are not counted.
pub async fn count_open(db: &Db) -> Result<Vec<(EventStatus, u64)>, StoreError> {
    let rows = COUNT_OPEN.on(db).fetch().await?;
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok((read_status(&mut cells)?, wire::uncount(cells.bigint()?)))
    };
    rows.iter().map(read).collect()
}
