//! Single values of a deployment, such as the Stripe account it belongs to. Owns: a table of names
//! and texts. Must not know: what they mean.

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    FIND = "SELECT value FROM meta WHERE name = $1";
    SAVE = "INSERT INTO meta (name, value) VALUES ($1, $2) \
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    CLAIM = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
}

/// [`claim`] in a transaction.
pub async fn claim_in(tx: &mut Tx, name: &str, value: &str) -> Result<String, StoreError> {
    CLAIM.on(&mut *tx).text(name).prose(value).execute().await?;
    let row = FIND.on(tx).text(name).fetch_one().await?;
    row.map_or_else(|| Ok(value.to_owned()), |row| Ok(row.cells().prose()?.into_owned()))
}

/// The value of a name.
pub async fn find(db: &Db, name: &str) -> Result<Option<String>, StoreError> {
    let row = FIND.on(db).text(name).fetch_one().await?;
    row.map(|row| Ok(row.cells().prose()?.into_owned())).transpose()
}

/// Sets a value, replacing the one before.
pub async fn save(db: &Db, name: &str, value: &str) -> Result<(), StoreError> {
    SAVE.on(db.writer()).text(name).prose(value).execute().await.map(|_| ())
}

/// Sets a value where there is none yet. Returns the value that counts: of several that come at the
/// same time the first one stays, and all are told of it.
pub async fn claim(db: &Db, name: &str, value: &str) -> Result<String, StoreError> {
    CLAIM.on(db.writer()).text(name).prose(value).execute().await?;
    Ok(find(db, name).await?.unwrap_or_else(|| value.to_owned()))
}
