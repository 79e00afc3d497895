//! Compression dictionaries of raw bodies. Owns: their rows, never changed once written. Must not
//! know: how a body is squeezed.

use crate::db::Db;
use crate::error::StoreError;

/// Keeps a dictionary under its id; one that is there already stays. Returns whether it was new.
/// The id is positive.
pub async fn insert(db: &Db, id: i64, bytes: &[u8]) -> Result<bool, StoreError> {
    let _ = (db, id, bytes);
    todo!()
}

/// A dictionary by id.
pub async fn find(db: &Db, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let _ = (db, id);
    todo!()
}

/// The ids of all dictionaries, rising.
pub async fn list(db: &Db) -> Result<Vec<i64>, StoreError> {
    let _ = db;
    todo!()
}
