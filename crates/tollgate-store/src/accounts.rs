//! Accounts as rows. Owns: the head of an account, its lock, its counters. Must not know: the
//! facts of an account, what raises a revision.

use std::collections::HashMap;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::journal::ChainHash;

/// The counters of an account, read and written under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHead {
    /// Whose.
    pub account: AccountId,
    /// Whether the account has a row (an account exists as soon as it has one).
    pub known: bool,
    /// Number of committed changes of its facts.
    pub revision: u64,
    /// Sequence of its newest billing event; 0 before the first.
    pub sequence: u64,
    /// Sequence of its newest journal entry; 0 before the first.
    pub journal_sequence: u64,
    /// Hash of its newest journal entry; [`ChainHash::START`] before the first.
    pub journal_hash: ChainHash,
}

impl AccountHead {
    /// The head of an account that has no row yet.
    pub const fn unknown(account: AccountId) -> Self {
        Self {
            account,
            known: false,
            revision: 0,
            sequence: 0,
            journal_sequence: 0,
            journal_hash: ChainHash::START,
        }
    }
}

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub account: AccountId,
    /// Its revision.
    pub revision: u64,
    /// Sequence of its newest billing event.
    pub sequence: u64,
    /// Verified e-mail given by the application.
    pub email: Option<String>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was last raised.
    pub updated_at: Timestamp,
}

/// Locks the accounts that exist, in the order of their ids, and reads their heads. On SQLite the
/// write transaction itself is the lock. Accounts without a row are absent from the answer.
pub async fn lock(
    tx: &mut Tx,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, AccountHead>, StoreError> {
    let _ = (tx, accounts);
    todo!()
}

/// Writes heads, inserting those of new accounts. The accounts that existed must have been locked.
pub async fn save(tx: &mut Tx, heads: &[AccountHead], now: Timestamp) -> Result<(), StoreError> {
    let _ = (tx, heads, now);
    todo!()
}

/// The revision of an account; `None` when it has no row.
pub async fn revision(db: &Db, account: &AccountId) -> Result<Option<u64>, StoreError> {
    let _ = (db, account);
    todo!()
}

/// Revisions of many accounts at once; those without a row are absent.
pub async fn revisions(
    db: &Db,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, u64>, StoreError> {
    let _ = (db, accounts);
    todo!()
}

/// Accounts by rising id, after the one given; at most `limit`.
pub async fn list(
    db: &Db,
    after: Option<&AccountId>,
    limit: u32,
) -> Result<Vec<AccountRow>, StoreError> {
    let _ = (db, after, limit);
    todo!()
}

/// Sets the verified e-mail of an existing account; returns whether there was one.
pub async fn set_email(
    tx: &mut Tx,
    account: &AccountId,
    email: Option<&str>,
) -> Result<bool, StoreError> {
    let _ = (tx, account, email);
    todo!()
}

/// Removes an account and every row that is keyed by it; raw events stay, without their account.
/// Returns whether it existed.
pub async fn remove(tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    let _ = (tx, account);
    todo!()
}
