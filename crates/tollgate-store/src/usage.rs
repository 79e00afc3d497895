//! Usage counters. Owns: counting that never passes a limit. Must not know: where a limit comes
//! from, when a period starts.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, FeatureKey};

use crate::db::Db;
use crate::error::StoreError;

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

/// Units used in a period; 0 when nothing was counted.
pub async fn find(
    db: &Db,
    account: &AccountId,
    feature: &FeatureKey,
    period_start: Timestamp,
) -> Result<u64, StoreError> {
    let _ = (db, account, feature, period_start);
    todo!()
}

/// All counters of an account whose period starts at or after an instant.
pub async fn list(
    db: &Db,
    account: &AccountId,
    since: Timestamp,
) -> Result<Vec<Counter>, StoreError> {
    let _ = (db, account, since);
    todo!()
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
    let _ = (db, account, feature, period_start, quantity, limit);
    todo!()
}
