//! Single values of a deployment, such as the Stripe account it belongs to. Owns: a table of names
//! and texts. Must not know: what they mean.

use crate::db::Db;
use crate::error::StoreError;

/// The value of a name.
pub async fn find(db: &Db, name: &str) -> Result<Option<String>, StoreError> {
    let _ = (db, name);
    todo!()
}

/// Sets a value, replacing the one before.
pub async fn save(db: &Db, name: &str, value: &str) -> Result<(), StoreError> {
    let _ = (db, name, value);
    todo!()
}
