//! When an account is to be looked at again because something of it ends: the column `due_at` of its
//! head. Owns: finding those that are due. Must not know: what ends.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    POSTPONE = "UPDATE accounts SET due_at = $2 WHERE account_id = $1 AND due_at <= $3";

    DUE = "SELECT account_id FROM accounts WHERE due_at <= $1 \
        ORDER BY due_at, account_id LIMIT $2";
}

/// An account whose instant has come.
#[derive(Debug)]
pub struct Due {
    /// Its id as it stands in the row.
    pub row: String,
    /// Its id; an error where the row cannot be read.
    pub account: Result<AccountId, StoreError>,
}

/// Accounts whose instant has come, the longest due first; at most `limit`.
pub async fn due(db: &Db, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
    let call = DUE.on(db).bigint(now.millis());
    let rows = call.bigint(i64::from(limit)).fetch().await?;
    rows.iter()
        .map(|row| {
            let account = row.cells().key("accounts");
            Ok(Due { row: row.cells().text()?.to_owned(), account })
        })
        .collect()
}

/// Looks at a due account later, for it could not be looked at now. An instant that was set
/// meanwhile stays.
pub async fn postpone(
    db: &Db,
    row: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let call = POSTPONE.on(db.writer()).text(row).bigint(until.millis());
    call.bigint(now.millis()).execute().await.map(|_| ())
}
