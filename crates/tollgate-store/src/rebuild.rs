//! What a rebuild reads. Owns: the copy of it as of one instant, and the inbox in the order of receipt.
//! Must not know: how it is folded, what it is compared with.

use std::borrow::Cow;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};

use crate::db::copy::{self, Source};
use crate::error::StoreError;
use crate::inbox::{self, EventKey, EventStatus, StoredBody};
use crate::statement::{Row, statements};
use crate::{Db, migrations, wire};

const TABLE: &str = "webhook_events";

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

    RECEIVED = "SELECT event_id, livemode, stripe_account, event_type, api_version, created_at, \
            signed_at, received_at, object_id, status, body_codec, body_len, body \
        FROM webhook_events \
        WHERE received_at >= $1 AND (received_at > $1 \
            OR (event_id, livemode, stripe_account) > ($2, $3, $4)) \
        ORDER BY received_at, event_id, livemode, stripe_account LIMIT $5";

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

/// An event as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// Which event.
    pub key: EventKey,
    /// Stripe's type text.
    pub event_type: String,
    /// API version that shaped it.
    pub api_version: Option<String>,
    /// Stripe's time of the event.
    pub created_at: Option<Timestamp>,
    /// Time in the signature.
    pub signed_at: Option<Timestamp>,
    /// When it was first received.
    pub received_at: Timestamp,
    /// The object it is about.
    pub object: Option<ObjectId>,
    /// How far it has come.
    pub status: EventStatus,
    /// Its body.
    pub body: StoredBody<'static>,
}

/// The events received after one, in the order of receipt, at most `limit`.
pub async fn received_after(
    db: &Db,
    last: Option<(Timestamp, &EventKey)>,
    limit: u32,
) -> Result<Vec<ReceivedEvent>, StoreError> {
    let (at, event, livemode, stripe_account) = match last {
        Some((at, key)) => (at, key.event.as_str(), key.livemode, key.stripe_account.as_str()),
        None => (Timestamp::MIN, "", false, ""),
    };
    let call = RECEIVED.on(db).bigint(at.millis()).text(event).boolean(livemode);
    let rows = call.prose(stripe_account).bigint(i64::from(limit)).fetch().await?;
    rows.iter().map(read_received).collect()
}

fn read_received(row: &Row) -> Result<ReceivedEvent, StoreError> {
    let mut cells = row.cells();
    Ok(ReceivedEvent {
        key: inbox::read_key(&mut cells)?,
        event_type: cells.prose()?.into_owned(),
        api_version: cells.opt_prose()?.map(Cow::into_owned),
        created_at: cells.opt_instant()?,
        signed_at: cells.opt_instant()?,
        received_at: cells.instant()?,
        object: cells.opt_key(TABLE)?,
        status: inbox::read_status(&mut cells)?,
        body: inbox::read_body(&mut cells)?,
    })
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
