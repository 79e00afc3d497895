//! Usage counters. Owns: counting that never passes a limit. Must not know: where a limit comes
//! from, when a period starts.

use std::collections::BTreeMap;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, FeatureKey};

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::{Row, Rows, statements};
use crate::wire;

/// The count of one feature in one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The feature.
    pub feature: FeatureKey,
    /// Start of the period.
    pub period_start: Timestamp,
    /// Units used.
    pub quantity: u64,
}

statements! {
    FIND = "SELECT quantity FROM usage_counters \
        WHERE account_id = $1 AND feature = $2 AND period_start = $3";

    LIST = "SELECT feature, period_start, quantity FROM usage_counters \
        WHERE account_id = $1 AND period_start >= $2 ORDER BY feature, period_start";

    LIST_MANY = "WITH {rows:account_id text} \
        SELECT t.account_id, t.feature, t.period_start, t.quantity \
        FROM r CROSS JOIN usage_counters t \
        WHERE t.account_id = r.account_id AND t.period_start >= $1 \
        ORDER BY t.account_id, t.feature, t.period_start";

    /// `$4` units with `$5` as the limit. Written as a difference, so that nothing overflows.
    CONSUME = "INSERT INTO usage_counters (account_id, feature, period_start, quantity) \
        SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT) \
        WHERE CAST($4 AS BIGINT) <= CAST($5 AS BIGINT) \
        ON CONFLICT (account_id, feature, period_start) DO UPDATE \
            SET quantity = usage_counters.quantity + excluded.quantity \
            WHERE usage_counters.quantity <= CAST($5 AS BIGINT) - excluded.quantity \
        RETURNING quantity";
}

/// Units used in a period; 0 when nothing was counted.
pub async fn find(
    db: &Db,
    account: &AccountId,
    feature: &FeatureKey,
    period_start: Timestamp,
) -> Result<u64, StoreError> {
    let call = FIND.on(db).text(account.as_str()).text(feature.as_str());
    let row = call.bigint(period_start.millis()).fetch_one().await?;
    Ok(row.map(|row| row.cells().bigint()).transpose()?.map_or(0, wire::uncount))
}

/// All counters of an account whose period starts at or after an instant, by feature and period.
pub async fn list(
    db: &Db,
    account: &AccountId,
    since: Timestamp,
) -> Result<Vec<Counter>, StoreError> {
    let rows = LIST.on(db).text(account.as_str()).bigint(since.millis()).fetch().await?;
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok(Counter {
            feature: cells.key("usage_counters")?,
            period_start: cells.instant()?,
            quantity: wire::uncount(cells.bigint()?),
        })
    };
    rows.iter().map(read).collect()
}

/// The same of many accounts at once; those without a counter are absent.
pub async fn list_many(
    db: &Db,
    accounts: &[AccountId],
    since: Timestamp,
) -> Result<BTreeMap<AccountId, Vec<Counter>>, StoreError> {
    if accounts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = Rows::of(accounts).text(AccountId::as_str);
    let mut all: BTreeMap<AccountId, Vec<Counter>> = BTreeMap::new();
    for row in LIST_MANY.on(db).bigint(since.millis()).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let account = cells.key("usage_counters")?;
        all.entry(account).or_default().push(Counter {
            feature: cells.key("usage_counters")?,
            period_start: cells.instant()?,
            quantity: wire::uncount(cells.bigint()?),
        });
    }
    Ok(all)
}

/// Adds units if the total stays within the limit (`None`: no limit); returns the new total, or
/// `None` when it would pass the limit and nothing was added. Atomic.
pub async fn consume(
    db: &Db,
    account: &AccountId,
    feature: &FeatureKey,
    period_start: Timestamp,
    (quantity, limit): (u64, Option<u64>),
) -> Result<Option<u64>, StoreError> {
    let row = CONSUME
        .on(db.writer())
        .text(account.as_str())
        .text(feature.as_str())
        .bigint(period_start.millis())
        .bigint(wire::count(quantity))
        .bigint(limit.map_or(i64::MAX, wire::count))
        .fetch_one()
        .await?;
    row.map(|row| row.cells().bigint().map(wire::uncount)).transpose()
}
