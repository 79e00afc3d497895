//! The journal (the audit log): append-only, in a hash chain per account. Owns: rows, the chain
//! and its check. Must not know: what is worth an entry.

use std::borrow::Cow;

use tollgate_domain::Timestamp;
use tollgate_domain::change::{Actor, JournalEntry};
use tollgate_domain::ids::AccountId;

use crate::accounts::AccountHead;
use crate::db::{Db, Tx};
use crate::error::StoreError;

/// SHA-256 of a journal row and of the hash before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What stands before an account's first entry.
    pub const START: Self = Self([0; 32]);
}

/// One entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Whose chain.
    pub account: AccountId,
    /// Place in the chain, from 1, without gaps.
    pub sequence: u64,
    /// What happened, such as `subscription.updated`.
    pub kind: Cow<'static, str>,
    /// The object it is about.
    pub subject: String,
    /// Who caused it; a Stripe event is kept in the column `event_id`.
    pub actor: Actor,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we wrote it.
    pub recorded_at: Timestamp,
    /// Named values.
    pub details: Vec<(Cow<'static, str>, String)>,
    /// [`chain`] of the row before and this one.
    pub hash: ChainHash,
}

impl JournalRow {
    /// Gives an entry its place after the head's newest one and moves the head there.
    pub fn next(head: &mut AccountHead, entry: &JournalEntry, recorded_at: Timestamp) -> Self {
        let _ = (head, entry, recorded_at);
        todo!()
    }
}

/// The hash of a row (its own `hash` is not read) after the one before it.
pub fn chain(before: ChainHash, row: &JournalRow) -> ChainHash {
    let _ = (before, row);
    todo!()
}

/// Appends rows, in one statement for all.
pub async fn append(tx: &mut Tx, rows: &[JournalRow]) -> Result<(), StoreError> {
    let _ = (tx, rows);
    todo!()
}

/// Which rows to list. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Of this kind.
    pub kind: Option<String>,
    /// By this actor, as [`actor_text`] writes it.
    pub actor: Option<String>,
    /// About this object.
    pub subject: Option<String>,
    /// Recorded at or after.
    pub since: Option<Timestamp>,
    /// Recorded before.
    pub until: Option<Timestamp>,
}

/// An actor as the journal's column has it: `stripe`, `system` or `person:<name>`.
pub fn actor_text(actor: &Actor) -> Cow<'static, str> {
    match actor {
        Actor::Stripe(_) => Cow::Borrowed("stripe"),
        Actor::System => Cow::Borrowed("system"),
        Actor::Person(name) => Cow::Owned(format!("person:{name}")),
    }
}

/// Newest rows first; `cursor` is the one a page ended with. Returns the rows and the next cursor.
pub async fn list(
    db: &Db,
    filter: &JournalFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<JournalRow>, Option<String>), StoreError> {
    let _ = (db, filter, cursor, limit);
    todo!()
}

/// What the check of a chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every row is where and what it was; this many.
    Whole(u64),
    /// The first place that is missing or altered.
    Broken {
        /// Sequence of that place.
        sequence: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// Recomputes an account's chain from its rows and compares it with the account's head.
pub async fn verify(db: &Db, account: &AccountId) -> Result<Verdict, StoreError> {
    let _ = (db, account);
    todo!()
}
