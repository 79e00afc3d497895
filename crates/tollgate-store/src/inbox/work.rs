//! The inbox as the worker sees it. Owns: what is due, leases, replay, discarding. Must not know: when a failed
//! event is to be tried again.
//!
//! A lease is a time and a generation. Whoever claims raises the generation; whoever finishes must
//! name the one it claimed, so a worker that slept past its lease writes nothing.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId};

use super::{ClaimedEvent, EventFilter, EventStatus, TABLE, read_body, read_key, read_status};
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Row, Rows, statements};
use crate::wire;

/// How many times the events wanted are looked at, so that an account with many due events leaves
/// room for the others.
const CANDIDATES_PER_CLAIM: i64 = 8;

statements! {
    /// Of the `$4` events due longest, the first of each account before the second of any; at most
    /// `$5`. What another worker has locked is skipped, what it has claimed no longer fits.
    CLAIM = "UPDATE webhook_events SET lease_owner = $3, lease_until = $2, \
            lease_generation = lease_generation + 1 \
        WHERE (event_id, livemode, stripe_account) IN ( \
            SELECT event_id, livemode, stripe_account FROM webhook_events \
            WHERE processed_at IS NULL AND next_attempt_at <= $1 \
                AND (lease_until IS NULL OR lease_until <= $1) \
                AND (event_id, livemode, stripe_account) IN ( \
                    SELECT event_id, livemode, stripe_account FROM ( \
                        SELECT event_id, livemode, stripe_account, next_attempt_at, \
                            row_number() OVER ( \
                                PARTITION BY COALESCE(account_id, event_id) \
                                ORDER BY next_attempt_at, event_id) AS turn \
                        FROM ( \
                            SELECT event_id, livemode, stripe_account, account_id, \
                                next_attempt_at \
                            FROM webhook_events \
                            WHERE processed_at IS NULL AND next_attempt_at <= $1 \
                                AND (lease_until IS NULL OR lease_until <= $1) \
                            ORDER BY next_attempt_at LIMIT $4) due) turns \
                    ORDER BY turn, next_attempt_at LIMIT $5) \
            {skip_locked}) \
        RETURNING event_id, livemode, stripe_account, event_type, api_version, created_at, \
            received_at, status, attempts, body_codec, body_len, body, lease_generation";

    SET_ASIDE = "WITH {rows:event_id text, livemode boolean, stripe_account text, reason text} \
        UPDATE webhook_events SET attempts = webhook_events.attempts + 1, reason = r.reason, \
            next_attempt_at = $1, lease_owner = NULL, lease_until = NULL \
        FROM r \
        WHERE webhook_events.event_id = r.event_id AND webhook_events.livemode = r.livemode \
            AND webhook_events.stripe_account = r.stripe_account";


    REPLAY = "UPDATE webhook_events SET status = 'received', attempts = 0, \
            next_attempt_at = $1, processed_at = NULL \
        WHERE received_at >= $2 AND received_at < $3 \
            AND (CAST($4 AS TEXT) IS NULL OR status = $4) \
            AND (CAST($5 AS TEXT) IS NULL OR event_type = $5) \
            AND (CAST($6 AS TEXT) IS NULL OR account_id = $6) \
            AND body_codec <> -2 AND (lease_until IS NULL OR lease_until <= $1)";

    REPLAY_IDS = "WITH {rows:event_id text} \
        UPDATE webhook_events SET status = 'received', attempts = 0, \
            next_attempt_at = $1, processed_at = NULL \
        WHERE event_id IN (SELECT r.event_id FROM r) \
            AND body_codec <> -2 AND (lease_until IS NULL OR lease_until <= $1)";

    DISCARD = "WITH {rows:event_id text} \
        UPDATE webhook_events SET status = 'ignored', reason = $1, processed_at = $2, \
            next_attempt_at = NULL \
        WHERE event_id IN (SELECT r.event_id FROM r) AND status = 'dead' \
        RETURNING event_id";
}

/// How long a row that cannot be read is left alone. It may be one that a newer version wrote.
const UNREADABLE_WAIT_MS: i64 = 600_000;

/// Takes due events for work until `lease_until`: those whose time has come and that nobody holds.
/// Fair across accounts. A lease that ran out may be taken again; its generation tells the two apart.
/// A row that cannot be read keeps its status, says so as its reason and is due again later.
pub async fn claim(
    db: &Db,
    now: Timestamp,
    lease_until: Timestamp,
    owner: &str,
    limit: u32,
) -> Result<Vec<ClaimedEvent>, StoreError> {
    let rows = CLAIM
        .on(db.writer())
        .bigint(now.millis())
        .bigint(lease_until.millis())
        .prose(owner)
        .bigint(i64::from(limit).saturating_mul(CANDIDATES_PER_CLAIM))
        .bigint(i64::from(limit))
        .fetch()
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in &rows {
        match read_claimed(row) {
            Ok(event) => claimed.push(event),
            Err(error) => unreadable.push(read_unreadable(row, &error)?),
        }
    }
    set_aside(db, &unreadable, now).await?;
    claimed.sort_unstable_by(|a, b| {
        (a.created_at, a.received_at, &a.key).cmp(&(b.created_at, b.received_at, &b.key))
    });
    Ok(claimed)
}

/// A row of which no more can be told than its key.
struct Unreadable {
    event: String,
    livemode: bool,
    stripe_account: String,
    reason: String,
}

fn read_unreadable(row: &Row, error: &StoreError) -> Result<Unreadable, StoreError> {
    let mut cells = row.cells();
    let event = cells.text()?.to_owned();
    tracing::error!(event.id = event, %error, "an event of the inbox cannot be read");
    Ok(Unreadable {
        event,
        livemode: cells.boolean()?,
        stripe_account: cells.text()?.to_owned(),
        reason: format!("its row cannot be read: {error}"),
    })
}

async fn set_aside(db: &Db, events: &[Unreadable], now: Timestamp) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(events)
        .text(|event| &event.event)
        .boolean(|event| event.livemode)
        .text(|event| &event.stripe_account)
        .prose(|event| &event.reason);
    let call = SET_ASIDE.on(db.writer()).bigint(now.plus_ms(UNREADABLE_WAIT_MS).millis());
    call.rows(rows).execute().await.map(|_| ())
}

fn read_claimed(row: &Row) -> Result<ClaimedEvent, StoreError> {
    let mut cells = row.cells();
    Ok(ClaimedEvent {
        key: read_key(&mut cells)?,
        event_type: cells.prose()?.into_owned(),
        api_version: cells.opt_prose()?.map(std::borrow::Cow::into_owned),
        created_at: cells.opt_instant()?,
        received_at: cells.instant()?,
        status: read_status(&mut cells)?,
        attempts: wire::small(cells.bigint()?),
        body: read_body(&mut cells)?,
        lease_generation: wire::uncount(cells.bigint()?),
    })
}

/// Makes events due again whatever their status is, with their attempts set back to 0; returns
/// how many. Leases in force are left alone, and so are events whose bodies were removed.
pub async fn set_for_replay(
    db: &Db,
    filter: &EventFilter,
    now: Timestamp,
) -> Result<u64, StoreError> {
    REPLAY
        .on(db.writer())
        .bigint(now.millis())
        .bigint(filter.from.unwrap_or(Timestamp::MIN).millis())
        .bigint(filter.until.map_or(i64::MAX, Timestamp::millis))
        .opt_text(filter.status.map(EventStatus::as_str))
        .opt_prose(filter.event_type.as_deref())
        .opt_text(filter.account.as_ref().map(AccountId::as_str))
        .execute()
        .await
}

/// The same for single events.
pub async fn set_ids_for_replay(
    db: &Db,
    events: &[EventId],
    now: Timestamp,
) -> Result<u64, StoreError> {
    if events.is_empty() {
        return Ok(0);
    }
    let rows = Rows::of(events).text(EventId::as_str);
    REPLAY_IDS.on(db.writer()).bigint(now.millis()).rows(rows).execute().await
}

/// Gives up on events that are dead for good: they are ignored from now on, for this reason. Returns
/// which were; all others stay as they are.
pub async fn discard(
    tx: &mut Tx,
    events: &[EventId],
    reason: &str,
    now: Timestamp,
) -> Result<Vec<EventId>, StoreError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let rows = Rows::of(events).text(EventId::as_str);
    let found = DISCARD.on(tx).prose(reason).bigint(now.millis()).rows(rows).fetch().await?;
    found.iter().map(|row| row.cells().key(TABLE)).collect()
}
