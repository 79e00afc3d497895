//! API keys. Owns: their rows; only hashes of secrets come here. Must not know: what a scope
//! allows, how a key is written.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::Db;
use crate::error::StoreError;

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Public part of the key.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// SHA-256 of the secret part.
    pub secret_hash: [u8; 32],
    /// Scopes, sorted.
    pub scopes: Vec<String>,
    /// The one account it is bound to, if it is.
    pub account: Option<AccountId>,
    /// From when it is no longer accepted.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Last use known; written seldom.
    pub last_used_at: Option<Timestamp>,
}

/// Adds a key. A key with the same id is a [`StoreError::Conflict`].
pub async fn insert(db: &Db, key: &ApiKey) -> Result<(), StoreError> {
    let _ = (db, key);
    todo!()
}

/// All keys, oldest first, dead ones included.
pub async fn list(db: &Db) -> Result<Vec<ApiKey>, StoreError> {
    let _ = db;
    todo!()
}

/// The keys that are accepted at an instant.
pub async fn find_all_live(db: &Db, now: Timestamp) -> Result<Vec<ApiKey>, StoreError> {
    let _ = (db, now);
    todo!()
}

/// Revokes a key; returns whether a key that was not revoked before had that id.
pub async fn revoke(db: &Db, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let _ = (db, id, now);
    todo!()
}

/// Notes last uses; an older use never replaces a newer one.
pub async fn touch(db: &Db, uses: &[(String, Timestamp)]) -> Result<(), StoreError> {
    let _ = (db, uses);
    todo!()
}
