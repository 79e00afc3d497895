//! The check of a journal. Owns: recomputing an account's chain from its rows. Must not know: what is
//! done about one that is broken.

use tollgate_domain::ids::AccountId;

use super::{AFTER, ANCHOR, ChainHash, VERIFY_PAGE_ROWS, chain, read_row};
use crate::accounts::{self, AccountHead};
use crate::db::Db;
use crate::error::StoreError;
use crate::wire;

/// What the check of a chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every row that is kept is where and what it was, up to this number.
    Whole(u64),
    /// The first place that is missing or altered.
    Broken {
        /// Sequence of that place.
        sequence: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// The last entry that was removed because entries are not kept for ever, with its hash; what stands
/// before the first entry where none was removed.
async fn anchor(db: &Db, account: &AccountId) -> Result<(u64, ChainHash), StoreError> {
    let rows = ANCHOR.on(db).text(account.as_str()).fetch().await?;
    let Some(row) = rows.first() else { return Ok((0, ChainHash::START)) };
    let mut cells = row.cells();
    let sequence = wire::uncount(cells.bigint()?);
    Ok((sequence, ChainHash::read(cells.bytes()?, "journal_anchors")?))
}

/// Recomputes an account's chain from its rows and compares it with the account's head.
pub async fn verify(db: &Db, account: &AccountId) -> Result<Verdict, StoreError> {
    let mut from = anchor(db, account).await?;
    loop {
        let verdict = verify_from(db, account, from).await?;
        // Entries may have been removed while it went through them.
        let now = anchor(db, account).await?;
        if now == from || matches!(verdict, Verdict::Whole(_)) {
            return Ok(verdict);
        }
        from = now;
    }
}

async fn verify_from(
    db: &Db,
    account: &AccountId,
    (mut sequence, mut hash): (u64, ChainHash),
) -> Result<Verdict, StoreError> {
    let head = accounts::find_head(db, account).await?;
    let head = head.unwrap_or_else(|| AccountHead::unknown(account.clone()));
    loop {
        let page = AFTER.on(db).text(account.as_str()).bigint(wire::count(sequence));
        let page = page.bigint(VERIFY_PAGE_ROWS).fetch().await?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            let broken = |reason| Ok(Verdict::Broken { sequence: sequence + 1, reason });
            let Ok(row) = read_row(row) else { return broken("the entry cannot be read") };
            if row.sequence != sequence + 1 {
                return broken("the entry is missing");
            }
            if chain(hash, &row) != row.hash {
                return broken("the entry or the one before it was altered");
            }
            (sequence, hash) = (row.sequence, row.hash);
        }
    }
    // Entries written since the head was read are more than the head says, never fewer.
    if sequence < head.sequence {
        let reason = "the newest entries are missing";
        return Ok(Verdict::Broken { sequence: sequence + 1, reason });
    }
    if sequence == head.sequence && hash != head.journal_hash {
        let reason = "the newest entry is not the one the account knows";
        return Ok(Verdict::Broken { sequence, reason });
    }
    Ok(Verdict::Whole(sequence))
}
