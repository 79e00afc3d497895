//! API keys. Owns: their rows; only hashes of secrets come here. Must not know: what a scope
//! allows, how a key is written.

use std::collections::BTreeMap;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::{Row, Rows, statements};

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

statements! {
    INSERT = "INSERT INTO api_keys (id, name, secret_hash, scopes, account_id, expires_at, \
            created_at, revoked_at, last_used_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

    LIST = "SELECT id, name, secret_hash, scopes, account_id, expires_at, created_at, \
            revoked_at, last_used_at \
        FROM api_keys ORDER BY created_at, id";

    LIST_LIVE = "SELECT id, name, secret_hash, scopes, account_id, expires_at, created_at, \
            revoked_at, last_used_at \
        FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) \
        ORDER BY created_at, id";

    REVOKE = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

    TOUCH = "WITH {rows:id text, at bigint} UPDATE api_keys SET last_used_at = r.at FROM r \
        WHERE api_keys.id = r.id \
            AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at < r.at)";
}

const TABLE: &str = "api_keys";

/// Adds a key. A key with the same id is a [`StoreError::Conflict`].
pub async fn insert(db: &Db, key: &ApiKey) -> Result<(), StoreError> {
    let scopes = key.scopes.join(" ");
    INSERT
        .on(db.writer())
        .prose(&key.id)
        .prose(&key.name)
        .bytes(&key.secret_hash)
        .prose(&scopes)
        .opt_text(key.account.as_ref().map(AccountId::as_str))
        .opt_bigint(key.expires_at.map(Timestamp::millis))
        .bigint(key.created_at.millis())
        .opt_bigint(key.revoked_at.map(Timestamp::millis))
        .opt_bigint(key.last_used_at.map(Timestamp::millis))
        .execute()
        .await
        .map(|_| ())
}

/// All keys, oldest first, dead ones included.
pub async fn list(db: &Db) -> Result<Vec<ApiKey>, StoreError> {
    LIST.on(db).fetch().await?.iter().map(read_row).collect()
}

/// The keys that are accepted at an instant, and what is wrong with the rows that cannot be read:
/// such a key is not accepted, and takes none of the others with it.
pub async fn find_all_live(
    db: &Db,
    now: Timestamp,
) -> Result<(Vec<ApiKey>, Vec<StoreError>), StoreError> {
    let (mut keys, mut unreadable) = (Vec::new(), Vec::new());
    for row in LIST_LIVE.on(db).bigint(now.millis()).fetch().await? {
        match read_row(&row) {
            Ok(key) => keys.push(key),
            Err(error) => unreadable.push(error),
        }
    }
    Ok((keys, unreadable))
}

fn read_row(row: &Row) -> Result<ApiKey, StoreError> {
    let mut cells = row.cells();
    let id = cells.prose()?.into_owned();
    let name = cells.prose()?.into_owned();
    let secret_hash = cells.bytes()?.try_into().map_err(|_| StoreError::Corrupt {
        table: TABLE,
        reason: "the secret's hash has not 32 bytes".to_owned(),
        row: id.clone(),
    })?;
    Ok(ApiKey {
        secret_hash,
        scopes: cells.prose()?.split_whitespace().map(str::to_owned).collect(),
        account: cells.opt_key(TABLE)?,
        expires_at: cells.opt_instant()?,
        created_at: cells.instant()?,
        revoked_at: cells.opt_instant()?,
        last_used_at: cells.opt_instant()?,
        id,
        name,
    })
}

/// Revokes a key; returns whether a key that was not revoked before had that id.
pub async fn revoke(db: &Db, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    Ok(REVOKE.on(db.writer()).prose(id).bigint(now.millis()).execute().await? == 1)
}

/// Notes last uses; an older use never replaces a newer one.
pub async fn touch(db: &Db, uses: &[(String, Timestamp)]) -> Result<(), StoreError> {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for (id, at) in uses {
        let known = newest.entry(id).or_insert(at.millis());
        *known = (*known).max(at.millis());
    }
    let newest: Vec<(&str, i64)> = newest.into_iter().collect();
    if newest.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&newest).prose(|(id, _)| id).bigint(|(_, at)| *at);
    TOUCH.on(db.writer()).rows(rows).execute().await.map(|_| ())
}
