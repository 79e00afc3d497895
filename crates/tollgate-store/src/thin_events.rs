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
            object_id text, snapshot_id text, created_at bigint, ending text, read_at bigint, \
            account_id text} \
        INSERT INTO thin_events (event_id, livemode, stripe_account, asks, object_id, \
            snapshot_id, created_at, ending, read_at, account_id) \
        SELECT event_id, livemode, stripe_account, asks, object_id, snapshot_id, created_at, \
            ending, read_at, account_id FROM r WHERE true \
        ON CONFLICT (event_id, livemode, stripe_account) DO UPDATE SET \
            ending = excluded.ending, read_at = excluded.read_at, \
            account_id = excluded.account_id \
        WHERE thin_events.read_at IS NULL";

    ENDED = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        SELECT t.event_id, t.livemode, t.stripe_account, t.ending, t.read_at, t.account_id \
        FROM r CROSS JOIN thin_events t \
        WHERE t.event_id = r.event_id AND t.livemode = r.livemode \
            AND t.stripe_account = r.stripe_account AND t.read_at IS NOT NULL";

    /// When each was read last: by a request, for a snapshot event tells of its own happening alone.
    /// Whose it is does not change.
    LOOKED = "WITH {rows:asks text} \
        SELECT t.asks, MAX(t.read_at), MAX(t.account_id) \
        FROM r CROSS JOIN thin_events t WHERE t.asks = r.asks AND t.read_at IS NOT NULL \
            AND t.ending = 'read' \
        GROUP BY t.asks";

    /// Where Stripe did not show the snapshot event, nobody told of the happening.
    TWINS = "WITH {rows:snapshot_id text} \
        SELECT t.snapshot_id, t.ending FROM r CROSS JOIN thin_events t \
        WHERE t.snapshot_id = r.snapshot_id \
            AND (t.ending IS NULL OR t.ending <> 'not_shown')";

    OPEN = "SELECT event_id, livemode, stripe_account, snapshot_id FROM thin_events \
        WHERE asks = $1 AND read_at IS NULL ORDER BY created_at, event_id LIMIT $2";

    SETTLE = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        UPDATE thin_events SET read_at = $1, account_id = CAST($2 AS TEXT), \
            ending = CAST($3 AS TEXT) FROM r \
        WHERE thin_events.event_id = r.event_id AND thin_events.livemode = r.livemode \
            AND thin_events.stripe_account = r.stripe_account AND thin_events.read_at IS NULL";

    SETTLE_OLDER = "UPDATE thin_events SET read_at = $2, account_id = CAST($3 AS TEXT), \
            ending = 'read' \
        WHERE asks = $1 AND read_at IS NULL AND created_at < $4 \
        RETURNING event_id, livemode, stripe_account";

    /// Whatever becomes of who hands them to the intake: they go on.
    MAKE_DUE = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        UPDATE webhook_events SET next_attempt_at = $1 FROM r \
        WHERE webhook_events.event_id = r.event_id AND webhook_events.livemode = r.livemode \
            AND webhook_events.stripe_account = r.stripe_account \
            AND webhook_events.processed_at IS NULL";

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

    REMOVE = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        DELETE FROM thin_events WHERE (event_id, livemode, stripe_account) IN \
            (SELECT r.event_id, r.livemode, r.stripe_account FROM r)";
}

/// How a thin event stopped waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A request showed what it waited for.
    Read,
    /// The snapshot event of the same happening is in the inbox.
    Told,
    /// Stripe knows no such object, and neither did we.
    Gone,
    /// Stripe does not show the snapshot event, and the event names no object to be read instead.
    NotShown,
    /// There is nothing to be read.
    Nothing,
}

impl Ending {
    const ALL: [Self; 5] = [Self::Read, Self::Told, Self::Gone, Self::NotShown, Self::Nothing];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Told => "told",
            Self::Gone => "gone",
            Self::NotShown => "not_shown",
            Self::Nothing => "nothing",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|ending| ending.as_str() == text);
        found.ok_or_else(|| StoreError::Corrupt {
            table: TABLE,
            reason: format!("{text:?} is no ending"),
            row: String::new(),
        })
    }
}

/// The end of a thin event's waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// In which way.
    pub how: Ending,
    /// When, by Stripe's clock.
    pub at: Timestamp,
    /// Whose it turned out to be.
    pub account: Option<AccountId>,
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
    /// How it stopped waiting; `None`: it waits.
    pub end: Option<End>,
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
        .opt_text(|one| one.end.as_ref().map(|end| end.how.as_str()))
        .opt_bigint(|one| one.end.as_ref().map(|end| end.at.millis()))
        .opt_text(|one| Some(one.end.as_ref()?.account.as_ref()?.as_str()));
    NOTE.on(tx).rows(rows).execute().await.map(|_| ())
}

/// Which of some thin events wait no more, and how that came.
pub async fn ended(tx: &mut Tx, keys: &[EventKey]) -> Result<HashMap<EventKey, End>, StoreError> {
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    for row in ENDED.on(tx).rows(key_rows(keys)).fetch().await? {
        let mut cells = row.cells();
        let key = read_key(&mut cells)?;
        let how = Ending::parse(cells.text()?)?;
        found.insert(key, End { how, at: cells.instant()?, account: cells.opt_key(TABLE)? });
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

/// Which of some snapshot events have a thin event of the same happening here, and whether that
/// waits no more.
pub async fn twins(db: &Db, snapshots: &[EventId]) -> Result<BTreeMap<EventId, bool>, StoreError> {
    let mut found = BTreeMap::new();
    if snapshots.is_empty() {
        return Ok(found);
    }
    let rows = Rows::of(snapshots).text(EventId::as_str);
    for row in TWINS.on(db).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let snapshot = cells.key(TABLE)?;
        found.insert(snapshot, cells.opt_text()?.is_some());
    }
    Ok(found)
}

/// The snapshot events among some whose happening was told by a thin event, whose object was read,
/// in the transaction of a batch.
pub async fn told(tx: &mut Tx, snapshots: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
    let mut found = HashSet::new();
    if snapshots.is_empty() {
        return Ok(found);
    }
    let rows = Rows::of(snapshots).text(EventId::as_str);
    for row in TWINS.on(tx).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let snapshot = cells.key(TABLE)?;
        if cells.opt_text()? == Some(Ending::Read.as_str()) {
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

/// What some events wait for has its end: they wait no more, and where it was read, no other one that
/// waits for it and was made in an earlier second than the reply. All of them are due in the inbox
/// from then on. Returns the others.
pub async fn settle(
    db: &Db,
    asks: &ObjectId,
    known: &[EventKey],
    end: &End,
    now: Timestamp,
) -> Result<Vec<EventKey>, StoreError> {
    // The intake may hold one of them, delivered once more.
    db.write(|mut tx| async move {
        let others = settle_in(&mut tx, asks, known, end, now).await?;
        Ok((tx, others))
    })
    .await
}

async fn settle_in(
    tx: &mut Tx,
    asks: &ObjectId,
    known: &[EventKey],
    end: &End,
    now: Timestamp,
) -> Result<Vec<EventKey>, StoreError> {
    let account = end.account.as_ref().map(AccountId::as_str);
    if !known.is_empty() {
        let call = SETTLE.on(&mut *tx).bigint(end.at.millis()).opt_text(account);
        call.text(end.how.as_str()).rows(key_rows(known)).execute().await?;
    }
    let mut others: Vec<EventKey> = Vec::new();
    if end.how == Ending::Read {
        let second = Timestamp::from_unix_seconds(end.at.unix_seconds());
        let call = SETTLE_OLDER.on(&mut *tx).text(asks.as_str()).bigint(end.at.millis());
        for row in call.opt_text(account).bigint(second.millis()).fetch().await? {
            others.push(read_key(&mut row.cells())?);
        }
    }
    let due: Vec<EventKey> = known.iter().chain(&others).cloned().collect();
    if !due.is_empty() {
        MAKE_DUE.on(tx).bigint(now.millis()).rows(key_rows(&due)).execute().await?;
    }
    Ok(others)
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

/// Removes events that were given up: nothing is asked for because of them any more, until one is
/// replayed.
pub async fn remove(tx: &mut Tx, events: &[EventKey]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    REMOVE.on(tx).rows(key_rows(events)).execute().await.map(|_| ())
}
