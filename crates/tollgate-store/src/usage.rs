//! Usage counters. Owns: counting that only one transaction does at a time. Must not know: limits,
//! when a period starts.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::Timestamp;
use tollgate_domain::entitlement::{Counter as UsedIn, MeterSpan};
use tollgate_domain::ids::{AccountId, FeatureKey};

use crate::db::{Db, Tx};
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

/// The most a counter holds.
pub const QUANTITY_MAX: u64 = i64::MAX.unsigned_abs();

statements! {
    FIND = "SELECT period_start, period_end, quantity, last_used_at FROM usage_counters \
        WHERE account_id = $1 AND feature = $2 AND (period_start >= $3 OR last_used_at >= $3) \
        ORDER BY period_start";

    LIST = "SELECT feature, period_start, quantity FROM usage_counters \
        WHERE account_id = $1 AND period_start >= $2 ORDER BY feature, period_start";

    LIST_MANY = "WITH {rows:account_id text} \
        SELECT t.account_id, t.feature, t.period_start, t.quantity \
        FROM r CROSS JOIN usage_counters t \
        WHERE t.account_id = r.account_id AND t.period_start >= $1 \
        ORDER BY t.account_id, t.feature, t.period_start";

    /// The writer of SQLite is alone.
    LOCK = "SELECT CAST($1 AS TEXT) \
        {postgres:, CAST(pg_advisory_xact_lock(hashtextextended($1, 0)) AS TEXT)}";

    ADD = "INSERT INTO usage_counters \
            (account_id, feature, period_start, period_end, quantity, last_used_at) \
        VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (account_id, feature, period_start) DO UPDATE \
            SET quantity = usage_counters.quantity + excluded.quantity, \
                period_end = excluded.period_end, \
                last_used_at = CASE WHEN usage_counters.last_used_at > excluded.last_used_at \
                    THEN usage_counters.last_used_at ELSE excluded.last_used_at END";
}

/// Keeps other transactions from counting uses of these features until this one ends. What is
/// taken in one order by all leaves no two waiting for each other.
pub async fn lock(
    tx: &mut Tx,
    features: &BTreeSet<(&AccountId, &FeatureKey)>,
) -> Result<(), StoreError> {
    for (account, feature) in features {
        // Neither of the two contains a space.
        LOCK.on(&mut *tx).text(&format!("{account} {feature}")).fetch().await?;
    }
    Ok(())
}

/// The counters of one feature whose period began, or that were last used, at or after an instant.
pub async fn find(
    db: &Db,
    account: &AccountId,
    feature: &FeatureKey,
    since: Timestamp,
) -> Result<Vec<UsedIn>, StoreError> {
    let call = FIND.on(db).text(account.as_str()).text(feature.as_str());
    used_in(&call.bigint(since.millis()).fetch().await?)
}

/// The same, in a transaction that holds the [`lock`] of the feature.
pub async fn find_in(
    tx: &mut Tx,
    account: &AccountId,
    feature: &FeatureKey,
    since: Timestamp,
) -> Result<Vec<UsedIn>, StoreError> {
    let call = FIND.on(tx).text(account.as_str()).text(feature.as_str());
    used_in(&call.bigint(since.millis()).fetch().await?)
}

fn used_in(rows: &[Row]) -> Result<Vec<UsedIn>, StoreError> {
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok(UsedIn {
            period_start: cells.instant()?,
            period_end: cells.instant()?,
            quantity: wire::uncount(cells.bigint()?),
            last_used_at: cells.instant()?,
        })
    };
    rows.iter().map(read).collect()
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

/// Adds units used at an instant of a period, in a transaction that holds the [`lock`] of the
/// feature and has seen that they fit: the sum must not be greater than [`QUANTITY_MAX`].
pub async fn add(
    tx: &mut Tx,
    (account, feature): (&AccountId, &FeatureKey),
    span: MeterSpan,
    quantity: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let call = ADD.on(tx).text(account.as_str()).text(feature.as_str());
    let call = call.bigint(span.start.millis()).bigint(span.end.millis());
    call.bigint(wire::count(quantity)).bigint(at.millis()).execute().await?;
    Ok(())
}
