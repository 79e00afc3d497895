//! Compression dictionaries of raw bodies. Owns: their rows, never changed once written. Must not
//! know: how a body is squeezed.

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    INSERT = "INSERT INTO body_dictionaries (id, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    FIND = "SELECT bytes FROM body_dictionaries WHERE id = $1";
    LIST = "SELECT id FROM body_dictionaries ORDER BY id";
}

/// Keeps a dictionary under its id; one that is there already stays. Returns whether it was new.
/// The id is positive.
pub async fn insert(db: &Db, id: i64, bytes: &[u8]) -> Result<bool, StoreError> {
    Ok(INSERT.on(db.writer()).bigint(id).bytes(bytes).execute().await? == 1)
}

/// A dictionary by id.
pub async fn find(db: &Db, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let row = FIND.on(db).bigint(id).fetch_one().await?;
    row.map(|row| row.cells().bytes().map(<[u8]>::to_vec)).transpose()
}

/// The ids of all dictionaries, rising.
pub async fn list(db: &Db) -> Result<Vec<i64>, StoreError> {
    let rows = LIST.on(db).fetch().await?;
    rows.iter().map(|row| row.cells().bigint()).collect()
}
