//! Stripe's events as they came. Owns: their rows, status, leases and waits. Must not know: what
//! an event means, how a body is squeezed, when to try again.

use std::borrow::Cow;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};

use crate::error::StoreError;
use crate::statement::Cells;
use crate::wire;

pub(crate) mod intake;
pub(crate) mod read;
pub(crate) mod wake;
pub(crate) mod work;

pub use intake::{
    clear_waits, count_duplicates, count_duplicates_now, finish, insert, is_stuck, known,
    known_now, set_waits,
};
pub use read::{
    body, count_open, find, first_delivered_at, is_cursor, list, received_after, stats,
    was_ignored_since,
};
pub use wake::{
    FOREIGN, OWNER_UNKNOWN_EXPIRED, Told, email_key, look_back, look_back_at_all, run_wakes,
    set_aside, sold, wake, wake_for, wake_for_emails, wake_linked, wake_untold,
};
pub use work::{claim, discard, set_for_replay, set_ids_for_replay};

const TABLE: &str = "webhook_events";

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
    /// The body was removed after the time for which bodies are kept.
    Removed,
}

/// [`BodyCodec::Removed`] in the table.
pub(crate) const REMOVED: i64 = -2;

impl BodyCodec {
    const fn number(self) -> i64 {
        match self {
            Self::Plain => 0,
            Self::Zstd => -1,
            Self::ZstdDictionary(id) => id,
            Self::Removed => REMOVED,
        }
    }

    const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Plain),
            -1 => Some(Self::Zstd),
            REMOVED => Some(Self::Removed),
            id if id > 0 => Some(Self::ZstdDictionary(id)),
            _ => None,
        }
    }
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
    /// The account its effects were committed for, if they ever were: a replay sets the status
    /// back and keeps this.
    pub account: Option<AccountId>,
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
    /// The body is kept no longer.
    pub body_removed: bool,
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

pub(crate) fn read_key(cells: &mut Cells<'_>) -> Result<EventKey, StoreError> {
    Ok(EventKey {
        event: cells.key(TABLE)?,
        livemode: cells.boolean()?,
        stripe_account: cells.prose()?.into_owned(),
    })
}

pub(crate) fn read_status(cells: &mut Cells<'_>) -> Result<EventStatus, StoreError> {
    let text = cells.text()?;
    EventStatus::parse(text).ok_or_else(|| corrupt(format!("{text:?} is no status")))
}

/// The columns `body_codec`, `body_len`, `body`.
pub(crate) fn read_body(cells: &mut Cells<'_>) -> Result<StoredBody<'static>, StoreError> {
    let number = cells.bigint()?;
    let codec = BodyCodec::from_number(number)
        .ok_or_else(|| corrupt(format!("{number} is no codec of a body")))?;
    let raw_len = wire::uncount(cells.bigint()?);
    Ok(StoredBody { bytes: Cow::Owned(cells.bytes()?.to_vec()), codec, raw_len })
}

const fn corrupt(reason: String) -> StoreError {
    StoreError::Corrupt { table: TABLE, reason, row: String::new() }
}
