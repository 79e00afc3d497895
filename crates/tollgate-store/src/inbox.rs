//! Stripe's events as they came. Owns: their rows, status, leases and waits. Must not know: what
//! an event means, how a body is squeezed, when to try again.

use std::borrow::Cow;
use std::collections::HashMap;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};

use crate::db::{Db, Tx};
use crate::error::StoreError;

/// What makes an event the same event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// Stripe's id.
    pub event: EventId,
    /// Live or test mode.
    pub livemode: bool,
    /// The connected account (`acct_…`) the event came from; empty for the own one.
    pub stripe_account: String,
}

/// How far an event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventStatus {
    /// Stored, not yet looked at.
    Received,
    /// Its effects are committed; final.
    Processed,
    /// It has no effects; final.
    Ignored,
    /// Its owner is not known yet.
    Waiting,
    /// Processing failed; to be tried again.
    Failed,
    /// Given up; may be replayed.
    Dead,
}

impl EventStatus {
    /// All, in order.
    pub const ALL: [Self; 6] =
        [Self::Received, Self::Processed, Self::Ignored, Self::Waiting, Self::Failed, Self::Dead];

    /// Name in storage and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processed => "processed",
            Self::Ignored => "ignored",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Dead => "dead",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing is left to do.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Processed | Self::Ignored)
    }
}

/// How a stored body was squeezed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyCodec {
    /// Not at all.
    Plain,
    /// zstd without a dictionary.
    Zstd,
    /// zstd with the dictionary of this (positive) id.
    ZstdDictionary(i64),
}

/// A raw body as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBody<'a> {
    /// The stored bytes.
    pub bytes: Cow<'a, [u8]>,
    /// How they were squeezed.
    pub codec: BodyCodec,
    /// Length of the raw body in bytes.
    pub raw_len: u64,
}

/// What is known of an event whose row exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEvent {
    /// How far it has come.
    pub status: EventStatus,
    /// Attempts so far.
    pub attempts: u32,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Its key.
    pub key: EventKey,
    /// Stripe's type text; empty when the body has none.
    pub event_type: Cow<'a, str>,
    /// API version that shaped it.
    pub api_version: Option<Cow<'a, str>>,
    /// Stripe's time of the event.
    pub created_at: Option<Timestamp>,
    /// Time in the signature.
    pub signed_at: Option<Timestamp>,
    /// When we received it.
    pub received_at: Timestamp,
    /// The object it is about.
    pub object: Option<ObjectId>,
    /// The body.
    pub body: StoredBody<'a>,
    /// Where it stands after this transaction.
    pub outcome: Outcome,
}

/// Where an event stands after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How far it has come.
    pub status: EventStatus,
    /// Whose it is, as far as known.
    pub account: Option<AccountId>,
    /// Why it stands there, for people; without secrets and personal data.
    pub reason: Option<String>,
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// When the worker is to try; `None`: never by itself.
    pub next_attempt_at: Option<Timestamp>,
    /// When it became final; `None` while it is not.
    pub processed_at: Option<Timestamp>,
    /// How long processing took, in microseconds.
    pub duration_us: Option<u64>,
}

/// A new outcome for an event whose row exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Which event.
    pub key: EventKey,
    /// Where it stands now.
    pub outcome: Outcome,
    /// The generation of the lease under which it was worked on; when given, a row whose
    /// generation has moved on is left alone. `None`: a redelivery, not under a lease.
    pub lease_generation: Option<u64>,
}

/// An event taken for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// Which event.
    pub key: EventKey,
    /// Stripe's type text.
    pub event_type: String,
    /// API version that shaped it.
    pub api_version: Option<String>,
    /// Stripe's time of the event.
    pub created_at: Option<Timestamp>,
    /// When it was first received.
    pub received_at: Timestamp,
    /// Where it stood.
    pub status: EventStatus,
    /// Attempts before this one.
    pub attempts: u32,
    /// Its body.
    pub body: StoredBody<'static>,
    /// Generation of this lease; hand it back in [`Finished`].
    pub lease_generation: u64,
}

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
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
    /// Length of the raw body in bytes.
    pub body_len: u64,
    /// Where it stands.
    pub outcome: Outcome,
    /// Deliveries after the first.
    pub duplicates: u64,
}

/// Which events to list or replay. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// With this status.
    pub status: Option<EventStatus>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Of this account.
    pub account: Option<AccountId>,
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// Counts and times of one type of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeStats {
    /// Stripe's type text.
    pub event_type: String,
    /// Events received.
    pub total: u64,
    /// Of them processed.
    pub processed: u64,
    /// Of them failed and to be tried again.
    pub failed: u64,
    /// Of them waiting for their owner.
    pub waiting: u64,
    /// Of them without effects.
    pub ignored: u64,
    /// Of them given up.
    pub dead: u64,
    /// Of them not yet looked at.
    pub received: u64,
    /// Mean duration of processing, in microseconds; `None` when none was measured.
    pub mean_us: Option<u64>,
    /// Nearest-rank 99th percentile of it.
    pub p99_us: Option<u64>,
}

/// What is known of events, in the transaction of a batch. New ones are absent.
pub async fn known(
    tx: &mut Tx,
    keys: &[EventKey],
) -> Result<HashMap<EventKey, KnownEvent>, StoreError> {
    let _ = (tx, keys);
    todo!()
}

/// Stores new events; one that another transaction stored meanwhile is left alone. Returns how
/// many were new: fewer than given means a race was lost, and the batch is to be done again.
pub async fn insert(tx: &mut Tx, events: &[NewEvent<'_>]) -> Result<u64, StoreError> {
    let _ = (tx, events);
    todo!()
}

/// Writes outcomes of events whose rows exist, and ends their leases. A final row is never
/// changed by one that is not final. Returns how many rows were written.
pub async fn finish(tx: &mut Tx, finished: &[Finished]) -> Result<u64, StoreError> {
    let _ = (tx, finished);
    todo!()
}

/// Counts one more delivery for each event given (repetitions count).
pub async fn count_duplicates(tx: &mut Tx, keys: &[EventKey]) -> Result<(), StoreError> {
    let _ = (tx, keys);
    todo!()
}

/// Notes which objects' links the events wait for.
pub async fn set_waits(tx: &mut Tx, waits: &[(EventKey, Vec<ObjectId>)]) -> Result<(), StoreError> {
    let _ = (tx, waits);
    todo!()
}

/// Forgets what the events waited for.
pub async fn clear_waits(tx: &mut Tx, keys: &[EventKey]) -> Result<(), StoreError> {
    let _ = (tx, keys);
    todo!()
}

/// Takes due events for work until `lease_until`: those whose time has come and that nobody holds.
/// Fair across accounts. A lease that ran out may be taken again; its generation tells the two apart.
pub async fn claim(
    db: &Db,
    now: Timestamp,
    lease_until: Timestamp,
    owner: &str,
    limit: u32,
) -> Result<Vec<ClaimedEvent>, StoreError> {
    let _ = (db, now, lease_until, owner, limit);
    todo!()
}

/// Makes the events that wait for one of these objects due; returns how many.
pub async fn wake(db: &Db, objects: &[ObjectId], now: Timestamp) -> Result<u64, StoreError> {
    let _ = (db, objects, now);
    todo!()
}

/// Makes waiting events due for which a link has appeared, at most `limit`; the net under
/// [`wake`]. Returns how many.
pub async fn wake_linked(db: &Db, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let _ = (db, now, limit);
    todo!()
}

/// When the next event is due (leases count); `None` when none is.
pub async fn next_due(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    let _ = db;
    todo!()
}

/// Events with this id (one per mode and Stripe account; usually one).
pub async fn find(db: &Db, event: &EventId) -> Result<Vec<EventRow>, StoreError> {
    let _ = (db, event);
    todo!()
}

/// The raw body of an event, still squeezed.
pub async fn body(db: &Db, key: &EventKey) -> Result<Option<StoredBody<'static>>, StoreError> {
    let _ = (db, key);
    todo!()
}

/// Newest events first; `cursor` is the one a page ended with. Returns the rows and the next cursor.
pub async fn list(
    db: &Db,
    filter: &EventFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<EventRow>, Option<String>), StoreError> {
    let _ = (db, filter, cursor, limit);
    todo!()
}

/// Counts and times per type of the events received at or after an instant, by type.
pub async fn stats(db: &Db, since: Timestamp) -> Result<Vec<TypeStats>, StoreError> {
    let _ = (db, since);
    todo!()
}

/// How many events stand where: the backlog and the dead. Final ones are not counted.
pub async fn count_open(db: &Db) -> Result<Vec<(EventStatus, u64)>, StoreError> {
    let _ = db;
    todo!()
}

/// Makes events due again whatever their status is, with their attempts set back to 0; returns
/// how many. Leases in force are left alone.
pub async fn set_for_replay(
    db: &Db,
    filter: &EventFilter,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let _ = (db, filter, now);
    todo!()
}

/// The same for single events.
pub async fn set_ids_for_replay(
    db: &Db,
    events: &[EventId],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let _ = (db, events, now);
    todo!()
}
