//! When an account is to be looked at again because something of it ends. Owns: one instant per
//! account. Must not know: what ends.

use std::collections::BTreeMap;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Rows, statements};

statements! {
    SAVE = "WITH {rows:account_id text, due_at bigint} \
        INSERT INTO account_schedule (account_id, due_at) \
        SELECT account_id, due_at FROM r WHERE true \
        ON CONFLICT (account_id) DO UPDATE SET due_at = excluded.due_at \
            WHERE account_schedule.due_at <> excluded.due_at";

    BRING_FORWARD = "WITH {rows:account_id text, due_at bigint} \
        INSERT INTO account_schedule (account_id, due_at) \
        SELECT account_id, due_at FROM r WHERE true \
        ON CONFLICT (account_id) DO UPDATE SET due_at = excluded.due_at \
            WHERE account_schedule.due_at > excluded.due_at";

    CLEAR = "WITH {rows:account_id text} \
        DELETE FROM account_schedule WHERE account_id IN (SELECT r.account_id FROM r)";

    POSTPONE = "UPDATE account_schedule SET due_at = $2 WHERE account_id = $1 AND due_at <= $3";

    DUE = "SELECT account_id FROM account_schedule WHERE due_at <= $1 \
        ORDER BY due_at, account_id LIMIT $2";
}

/// Sets when accounts are to be looked at, replacing the instants before; `None`: not by itself.
pub async fn save(
    tx: &mut Tx,
    looks: &BTreeMap<AccountId, Option<Timestamp>>,
) -> Result<(), StoreError> {
    let set: Vec<(&AccountId, Timestamp)> =
        looks.iter().filter_map(|(account, at)| Some((account, (*at)?))).collect();
    let clear: Vec<&AccountId> =
        looks.iter().filter(|(_, at)| at.is_none()).map(|(account, _)| account).collect();
    if !set.is_empty() {
        SAVE.on(&mut *tx).rows(rows(&set)).execute().await?;
    }
    if !clear.is_empty() {
        let rows = Rows::of(&clear).text(|account| account.as_str());
        CLEAR.on(tx).rows(rows).execute().await?;
    }
    Ok(())
}

/// Has accounts looked at no later than at these instants.
pub async fn bring_forward(
    tx: &mut Tx,
    looks: &BTreeMap<AccountId, Timestamp>,
) -> Result<(), StoreError> {
    if looks.is_empty() {
        return Ok(());
    }
    let looks: Vec<(&AccountId, Timestamp)> =
        looks.iter().map(|(account, at)| (account, *at)).collect();
    BRING_FORWARD.on(tx).rows(rows(&looks)).execute().await.map(|_| ())
}

fn rows<'l>(looks: &'l [(&'l AccountId, Timestamp)]) -> Rows<'l, (&'l AccountId, Timestamp)> {
    Rows::of(looks).text(|(account, _)| account.as_str()).bigint(|(_, at)| at.millis())
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
            let account = row.cells().key("account_schedule");
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
