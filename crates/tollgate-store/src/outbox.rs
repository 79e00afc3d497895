//! Billing events to be published. Owns: rows with a gapless sequence per account. Must not know:
//! who consumes them, what an envelope holds.

use std::borrow::Cow;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId};

use crate::db::{Db, Tx};
use crate::error::StoreError;

/// One billing event in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Whose.
    pub account: AccountId,
    /// Place in the account's feed, from 1, without gaps.
    pub sequence: u64,
    /// Type, such as `subscription.updated`.
    pub kind: Cow<'static, str>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we wrote it.
    pub recorded_at: Timestamp,
    /// The account's revision that it made or was made with.
    pub revision: u64,
    /// The Stripe event that caused it.
    pub stripe_event: Option<EventId>,
    /// The envelope, opaque here.
    pub payload: String,
}

/// Appends rows, in one statement for all.
pub async fn append(tx: &mut Tx, rows: &[OutboxRow]) -> Result<(), StoreError> {
    let _ = (tx, rows);
    todo!()
}

/// An account's events after a sequence, in order, at most `limit`.
pub async fn list(
    db: &Db,
    account: &AccountId,
    after: u64,
    limit: u32,
) -> Result<Vec<OutboxRow>, StoreError> {
    let _ = (db, account, after, limit);
    todo!()
}
