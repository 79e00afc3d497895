//! Thin events and what became of what they name. Owns: which object each waits for, and when that
//! was read. Must not know: what is asked for, how Stripe is asked.
//!
//! A reply of Stripe's shows what became of every event made before it, so one reply may settle
//! many events, those included that are delivered later.

use std::collections::{BTreeMap, HashMap, HashSet};

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::inbox::{EventKey, read_key};
use crate::statement::{Rows, statements};
use crate::wire;

const TABLE: &str = "thin_events";
/// Most events of one object that are looked at together; the others follow.
const OPEN_MAX: i64 = 256;

statements! {
    /// What was read stays read.
    NOTE = "WITH {rows:event_id text, livemode boolean, stripe_account text, asks text, \
            object_id text, snapshot_id text, created_at bigint, read_at bigint, \
            account_id text} \
        INSERT INTO thin_events (event_id, livemode, stripe_account, asks, object_id, \
            snapshot_id, created_at, read_at, account_id) \
        SELECT event_id, livemode, stripe_account, asks, object_id, snapshot_id, created_at, \
            read_at, account_id FROM r WHERE true \
        ON CONFLICT (event_id, livemode, stripe_account) DO UPDATE SET \
            read_at = excluded.read_at, account_id = excluded.account_id \
        WHERE thin_events.read_at IS NULL";

    READ = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        SELECT t.event_id, t.livemode, t.stripe_account, t.account_id \
        FROM r CROSS JOIN thin_events t \
        WHERE t.event_id = r.event_id AND t.livemode = r.livemode \
            AND t.stripe_account = r.stripe_account AND t.read_at IS NOT NULL";

    /// When each was read last. Whose it is does not change.
    LOOKED = "WITH {rows:asks text} \
        SELECT t.asks, MAX(t.read_at), MAX(t.account_id) \
        FROM r CROSS JOIN thin_events t WHERE t.asks = r.asks AND t.read_at IS NOT NULL \
        GROUP BY t.asks";

    TWINS = "WITH {rows:snapshot_id text} \
        SELECT t.snapshot_id, t.read_at FROM r CROSS JOIN thin_events t \
        WHERE t.snapshot_id = r.snapshot_id";

    OPEN = "SELECT event_id, livemode, stripe_account, snapshot_id FROM thin_events \
        WHERE asks = $1 AND read_at IS NULL ORDER BY created_at, event_id LIMIT $2";

    SETTLE = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        UPDATE thin_events SET read_at = $1, account_id = $2 FROM r \
        WHERE thin_events.event_id = r.event_id AND thin_events.livemode = r.livemode \
            AND thin_events.stripe_account = r.stripe_account AND thin_events.read_at IS NULL";

    SETTLE_OLDER = "UPDATE thin_events SET read_at = $2, account_id = $3 \
        WHERE asks = $1 AND read_at IS NULL AND created_at < $4 \
        RETURNING event_id, livemode, stripe_account";

    ASK_INSTEAD = "UPDATE thin_events SET asks = object_id \
        WHERE asks = $1 AND read_at IS NULL AND object_id IS NOT NULL AND object_id <> asks \
        RETURNING asks";

    ASK_ALL = "INSERT INTO doubtful_objects (object_id, reason, asked, attempts, \
            next_attempt_at, lease_generation) \
        SELECT asks, $2, 1, 0, $1, 0 FROM (SELECT DISTINCT asks FROM thin_events \
            WHERE read_at IS NULL AND asks <> $3) unread WHERE true \
        ON CONFLICT (object_id) DO NOTHING";

    COUNT_OPEN = "SELECT COUNT(*), MIN(created_at) FROM thin_events WHERE read_at IS NULL";

    ANY = "SELECT 1 FROM thin_events LIMIT 1";

    FORGET = "DELETE FROM thin_events WHERE read_at < $1";
}

/// A thin event and what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThinRow {
    /// The event.
    pub key: EventKey,
    /// What has to be read: an object, or the snapshot event of the same happening.
    pub asks: ObjectId,
    /// The object, where that is not what is read first.
    pub object: Option<ObjectId>,
    /// The snapshot event of the same happening.
    pub snapshot: Option<EventId>,
    /// Stripe's time of the event.
    pub created_at: Timestamp,
    /// When it was read, by Stripe's clock; `None`: it waits.
    pub read_at: Option<Timestamp>,
    /// Whose it turned out to be.
    pub account: Option<AccountId>,
}

/// A reading of an object: what happened before it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When, by Stripe's clock.
    pub at: Timestamp,
    /// Whose the object is.
    pub account: Option<AccountId>,
}

/// A thin event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEvent {
    /// The event.
    pub key: EventKey,
    /// The snapshot event of the same happening.
    pub snapshot: Option<EventId>,
}

fn key_rows(keys: &[EventKey]) -> Rows<'_, EventKey> {
    Rows::of(keys)
        .text(|key| key.event.as_str())
        .boolean(|key| key.livemode)
        .prose(|key| &key.stripe_account)
}

/// Keeps thin events in the transaction that stores them, those that were kept before included. One
/// that was read stays read.
pub async fn note(tx: &mut Tx, events: &[ThinRow]) -> Result<(), StoreError> {
    let mut sorted: Vec<&ThinRow> = events.iter().collect();
    sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    sorted.dedup_by(|later, first| later.key == first.key);
    if sorted.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&sorted)
        .text(|one| one.key.event.as_str())
        .boolean(|one| one.key.livemode)
        .prose(|one| &one.key.stripe_account)
        .text(|one| one.asks.as_str())
        .opt_text(|one| one.object.as_ref().map(ObjectId::as_str))
        .opt_text(|one| one.snapshot.as_ref().map(EventId::as_str))
        .bigint(|one| one.created_at.millis())
        .opt_bigint(|one| one.read_at.map(Timestamp::millis))
        .opt_text(|one| one.account.as_ref().map(AccountId::as_str));
    NOTE.on(tx).rows(rows).execute().await.map(|_| ())
}

/// Which of some thin events were read, and whose they are.
pub async fn read(
    tx: &mut Tx,
    keys: &[EventKey],
) -> Result<HashMap<EventKey, Option<AccountId>>, StoreError> {
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    for row in READ.on(tx).rows(key_rows(keys)).fetch().await? {
        let mut cells = row.cells();
        let key = read_key(&mut cells)?;
        found.insert(key, cells.opt_key(TABLE)?);
    }
    Ok(found)
}

/// When each of some objects was read last because of a thin event.
pub async fn looks(
    tx: &mut Tx,
    objects: &[ObjectId],
) -> Result<HashMap<ObjectId, Look>, StoreError> {
    let mut found = HashMap::new();
    if objects.is_empty() {
        return Ok(found);
    }
    let rows = Rows::of(objects).text(ObjectId::as_str);
    for row in LOOKED.on(tx).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let object = cells.key(TABLE)?;
        let at = cells.instant()?;
        found.insert(object, Look { at, account: cells.opt_key(TABLE)? });
    }
    Ok(found)
}

/// Which of some snapshot events have a thin event of the same happening here, and whether that was
/// read.
pub async fn twins(db: &Db, snapshots: &[EventId]) -> Result<BTreeMap<EventId, bool>, StoreError> {
    let mut found = BTreeMap::new();
    if snapshots.is_empty() {
        return Ok(found);
    }
    let rows = Rows::of(snapshots).text(EventId::as_str);
    for row in TWINS.on(db).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let snapshot = cells.key(TABLE)?;
        found.insert(snapshot, cells.opt_instant()?.is_some());
    }
    Ok(found)
}

/// The snapshot events among some whose happening was told by a thin event that was read, in the
/// transaction of a batch.
pub async fn told(tx: &mut Tx, snapshots: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
    let mut found = HashSet::new();
    if snapshots.is_empty() {
        return Ok(found);
    }
    let rows = Rows::of(snapshots).text(EventId::as_str);
    for row in TWINS.on(tx).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let snapshot = cells.key(TABLE)?;
        if cells.opt_instant()?.is_some() {
            found.insert(snapshot);
        }
    }
    Ok(found)
}

/// The thin events that wait for something to be read, the oldest first, at most 256.
pub async fn open(db: &Db, asks: &ObjectId) -> Result<Vec<OpenEvent>, StoreError> {
    let rows = OPEN.on(db).text(asks.as_str()).bigint(OPEN_MAX).fetch().await?;
    rows.iter()
        .map(|row| {
            let mut cells = row.cells();
            Ok(OpenEvent { key: read_key(&mut cells)?, snapshot: cells.opt_key(TABLE)? })
        })
        .collect()
}

/// What some events wait for was read: they, and all others that wait for it and were made in an
/// earlier second than the reply, have been answered. Returns the others.
pub async fn settle(
    db: &Db,
    asks: &ObjectId,
    known: &[EventKey],
    look: &Look,
) -> Result<Vec<EventKey>, StoreError> {
    let account = look.account.as_ref().map(AccountId::as_str);
    if !known.is_empty() {
        let call = SETTLE.on(db.writer()).bigint(look.at.millis()).opt_text(account);
        call.rows(key_rows(known)).execute().await?;
    }
    let second = Timestamp::from_unix_seconds(look.at.unix_seconds());
    let call = SETTLE_OLDER.on(db.writer()).text(asks.as_str()).bigint(look.at.millis());
    let rows = call.opt_text(account).bigint(second.millis()).fetch().await?;
    rows.iter().map(|row| read_key(&mut row.cells())).collect()
}

/// Lets events that wait for a snapshot event wait for their objects instead; returns those.
pub async fn ask_instead(db: &Db, asks: &ObjectId) -> Result<Vec<ObjectId>, StoreError> {
    let rows = ASK_INSTEAD.on(db.writer()).text(asks.as_str()).fetch().await?;
    let mut objects: Vec<ObjectId> =
        rows.iter().map(|row| row.cells().key(TABLE)).collect::<Result<_, _>>()?;
    objects.sort_unstable();
    objects.dedup();
    Ok(objects)
}

/// Has everything asked for that a thin event waits for, but for one thing that is no object.
pub async fn ask_all(
    db: &Db,
    reason: &'static str,
    except: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    ASK_ALL.on(db.writer()).bigint(now.millis()).text(reason).text(except).execute().await
}

/// How many thin events wait, and when the oldest of them was made.
pub async fn count_open(db: &Db) -> Result<(u64, Option<Timestamp>), StoreError> {
    let Some(row) = COUNT_OPEN.on(db).fetch_one().await? else { return Ok((0, None)) };
    let mut cells = row.cells();
    Ok((wire::uncount(cells.bigint()?), cells.opt_instant()?))
}

/// Whether there ever was a thin event.
pub async fn any(db: &Db) -> Result<bool, StoreError> {
    Ok(ANY.on(db).fetch_one().await?.is_some())
}

/// Forgets what was read before an instant: Stripe delivers nothing so late.
pub async fn forget(db: &Db, before: Timestamp) -> Result<u64, StoreError> {
    FORGET.on(db.writer()).bigint(before.millis()).execute().await
}
