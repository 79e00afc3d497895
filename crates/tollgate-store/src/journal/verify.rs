//! The check of a journal. Owns: recomputing an account's chain from its rows. Must not know: what is
//! done about one that is broken.

use std::collections::HashMap;

use tollgate_domain::ids::AccountId;

use super::{
    AFTER, ANCHOR, ANCHORS, ChainHash, JournalRow, TABLE, VERIFY_PAGE_ROWS, WALK, chain, read_row,
};
use crate::accounts::{self, AccountHead};
use crate::db::Db;
use crate::error::StoreError;
use crate::statement::Row;
use crate::wire;

/// Accounts whose heads are in memory at once by [`verify_all`].
const VERIFY_PAGE_ACCOUNTS: u32 = 500;

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
            match next((sequence, hash), &read_row(row)) {
                Ok(place) => (sequence, hash) = place,
                Err(broken) => return Ok(broken),
            }
        }
    }
    Ok(ended((sequence, hash), &head))
}

/// The place of an entry after another place of the chain, or what is wrong with it.
fn next(
    (sequence, hash): (u64, ChainHash),
    row: &Result<JournalRow, StoreError>,
) -> Result<(u64, ChainHash), Verdict> {
    let broken = |reason| Err(Verdict::Broken { sequence: sequence + 1, reason });
    let Ok(row) = row else { return broken("the entry cannot be read") };
    if row.sequence != sequence + 1 {
        return broken("the entry is missing");
    }
    if chain(hash, row) != row.hash {
        return broken("the entry or the one before it was altered");
    }
    Ok((row.sequence, row.hash))
}

/// Whether a chain that is whole ends where the account says.
fn ended((sequence, hash): (u64, ChainHash), head: &AccountHead) -> Verdict {
    // Entries written since the head was read are more than the head says, never fewer.
    if sequence < head.sequence {
        let reason = "the newest entries are missing";
        return Verdict::Broken { sequence: sequence + 1, reason };
    }
    if sequence == head.sequence && hash != head.journal_hash {
        let reason = "the newest entry is not the one the account knows";
        return Verdict::Broken { sequence, reason };
    }
    Verdict::Whole(sequence)
}

/// [`verify`] for every account, in order of their ids, in few statements. Entries of an account that
/// has no row are broken at the first of them.
pub async fn verify_all(
    db: &Db,
    mut told: impl FnMut(&AccountId, Verdict),
) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let page = heads_after(db, &after).await?;
        // The last page is everything behind the one before it.
        let until = page.last().map_or("\u{7f}", |head| head.account.as_str()).to_owned();
        let places = walk(db, &after, &until).await?;
        let mut owned: HashMap<&str, &Walked> = HashMap::with_capacity(places.len());
        owned.extend(places.iter().map(|walked| (walked.account.as_str(), walked)));
        for head in &page {
            let found = owned.remove(head.account.as_str());
            let verdict = match found.map(|walked| &walked.place) {
                Some(Ok(place)) => ended(*place, head),
                Some(Err(broken)) => broken.clone(),
                None => Verdict::Broken { sequence: 1, reason: "there is no entry" },
            };
            // Entries may have been written or removed meanwhile: it is looked at alone.
            let whole = matches!(verdict, Verdict::Whole(_));
            let verdict = if whole { verdict } else { verify(db, &head.account).await? };
            told(&head.account, verdict);
        }
        for walked in places.iter().filter(|walked| owned.contains_key(walked.account.as_str())) {
            if accounts::find_head(db, &walked.account).await?.is_none() {
                let reason = "the entries are of an account that is not there";
                told(&walked.account, Verdict::Broken { sequence: 1, reason });
            }
        }
        if page.is_empty() {
            return Ok(());
        }
        after = until;
    }
}

async fn heads_after(db: &Db, after: &str) -> Result<Vec<AccountHead>, StoreError> {
    let after = AccountId::parse(after).ok();
    let page = accounts::list(db, after.as_ref(), VERIFY_PAGE_ACCOUNTS).await?;
    let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
    let mut heads: Vec<AccountHead> = accounts::heads(db, &ids).await?.into_values().collect();
    heads.sort_unstable_by(|a, b| a.account.cmp(&b.account));
    Ok(heads)
}

/// How far an account's entries are whole.
struct Walked {
    account: AccountId,
    place: Result<(u64, ChainHash), Verdict>,
}

/// Goes through the entries of the accounts after one, up to another.
async fn walk(db: &Db, after: &str, until: &str) -> Result<Vec<Walked>, StoreError> {
    let mut anchors: HashMap<AccountId, (u64, ChainHash)> = HashMap::new();
    for row in ANCHORS.on(db).text(after).text(until).fetch().await? {
        let mut cells = row.cells();
        let account = cells.key("journal_anchors")?;
        let sequence = wire::uncount(cells.bigint()?);
        let hash = ChainHash::read(cells.bytes()?, "journal_anchors")?;
        anchors.insert(account, (sequence, hash));
    }
    let begin = |account: &AccountId| {
        let place = anchors.get(account).copied().unwrap_or((0, ChainHash::START));
        Walked { account: account.clone(), place: Ok(place) }
    };
    let mut walked: Vec<Walked> = Vec::new();
    // Behind every entry of the account before the first.
    let (mut account, mut sequence) = (after.to_owned(), i64::MAX);
    loop {
        let page = WALK.on(db).text(&account).bigint(sequence).text(until);
        let page = page.bigint(VERIFY_PAGE_ROWS).fetch().await?;
        let Some(last) = page.last() else { break };
        for row in &page {
            let of = place(row)?.0;
            if walked.last().is_none_or(|walked| walked.account != of) {
                walked.push(begin(&of));
            }
            let Some(current) = walked.last_mut() else { continue };
            if let Ok(before) = current.place {
                current.place = next(before, &read_row(row));
            }
        }
        let (of, number) = place(last)?;
        (account, sequence) = (of.to_string(), number);
    }
    let seen: std::collections::HashSet<AccountId> =
        walked.iter().map(|walked| walked.account.clone()).collect();
    // Of an account whose entries are all removed the anchor is left.
    walked.extend(anchors.keys().filter(|account| !seen.contains(*account)).map(begin));
    Ok(walked)
}

fn place(row: &Row) -> Result<(AccountId, i64), StoreError> {
    let mut cells = row.cells();
    Ok((cells.key(TABLE)?, cells.bigint()?))
}
