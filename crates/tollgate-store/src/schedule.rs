//! When an account is to be looked at again because something of it ends. Owns: one instant per
//! account. Must not know: what ends.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::{Db, Tx};
use crate::error::StoreError;

/// Sets when accounts are to be looked at, replacing the instants before; `None`: not by itself.
pub async fn save(
    tx: &mut Tx,
    accounts: &[(AccountId, Option<Timestamp>)],
) -> Result<(), StoreError> {
    let _ = (tx, accounts);
    todo!()
}

/// Accounts whose instant has come, the longest due first; at most `limit`.
pub async fn due(db: &Db, now: Timestamp, limit: u32) -> Result<Vec<AccountId>, StoreError> {
    let _ = (db, now, limit);
    todo!()
}
