//! What goes into and comes out of the intake. Owns: the shape of a delivery and of its reply.

use tokio::time::Instant;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::{Observation, Timestamp};
use tollgate_store::inbox::{EventKey, EventRow, StoredBody};

use super::notice::Notice;

/// A verified event on its way into the database.
#[derive(Debug)]
pub struct Delivery {
    /// What makes it the same event.
    pub key: EventKey,
    /// Stripe's type text; empty when the body has none.
    pub event_type: String,
    /// The API version that shaped it.
    pub api_version: Option<String>,
    /// Stripe's time of the event.
    pub created_at: Option<Timestamp>,
    /// Time in the signature.
    pub signed_at: Option<Timestamp>,
    /// When it was first received.
    pub received_at: Timestamp,
    /// The object it is about.
    pub object: Option<ObjectId>,
    /// The body as it will be stored.
    pub body: StoredBody<'static>,
    /// What it tells.
    pub content: Content,
    /// The lease under which a worker holds it; `None` for a delivery by Stripe.
    pub lease_generation: Option<u64>,
    /// When processing began, for its duration.
    pub begun: Instant,
}

impl Delivery {
    /// A stored event as it was delivered, to be taken in once more.
    pub fn of_row(row: EventRow, body: StoredBody<'static>, content: Content) -> Self {
        Self {
            key: row.key,
            event_type: row.event_type,
            api_version: row.api_version,
            created_at: row.created_at,
            signed_at: row.signed_at,
            received_at: row.received_at,
            object: row.object,
            body,
            content,
            lease_generation: None,
            begun: Instant::now(),
        }
    }
}

/// What an event tells.
#[derive(Debug)]
pub enum Content {
    /// Something that has effects.
    Effect(Box<Observation>),
    /// That something happened to an object, which has to be read.
    Thin(Notice),
    /// Nothing for us, for this reason.
    Ignored(&'static str),
    /// No event at all, for this reason, although the signature holds; stored as `dead`.
    NoEvent(&'static str),
    /// Something we should understand and do not; stored as `failed`.
    Garbled(String),
}

impl Content {
    /// Whether it tells of something that is ours to know.
    pub(super) const fn tells(&self) -> bool {
        match self {
            Self::Effect(_) => true,
            Self::Thin(notice) => notice.nothing.is_none(),
            Self::Ignored(_) | Self::NoEvent(_) | Self::Garbled(_) => false,
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// In one word.
    pub status: ReplyStatus,
    /// In one sentence, without secrets and personal data.
    pub message: String,
    /// The account it belongs to.
    pub account: Option<AccountId>,
    /// The account's revision after it.
    pub revision: Option<u64>,
    /// Attempts so far, this one included; 0 where none was made.
    pub attempts: u32,
    /// It was given up.
    pub dead: bool,
}

/// What became of a delivery, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplyStatus {
    /// Its effects are committed.
    Processed,
    /// Its effects were committed before.
    Duplicate,
    /// Stored; it has no effects.
    Ignored,
    /// Stored; its owner is not known yet, or its object was not read yet.
    Waiting,
    /// Stored; it could not be processed and will be tried again.
    Failed,
}

tollgate_domain::names!(ReplyStatus {
    Processed => "processed",
    Duplicate => "duplicate",
    Ignored => "ignored",
    Waiting => "waiting",
    Failed => "failed",
});
