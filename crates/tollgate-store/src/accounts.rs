//! Accounts as rows. Owns: the head of an account, its lock, its counters. Must not know: the
//! facts of an account, what raises a revision.

use std::borrow::Cow;
use std::collections::HashMap;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, ObjectId};

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::guarded::HeadChange;
use crate::inbox::email_key;
use crate::journal::ChainHash;
use crate::statement::{Cells, Row, Rows, statements};
use crate::wire;

/// The counters of an account, read and written under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHead {
    /// Whose.
    pub account: AccountId,
    /// Whether the account has a row (an account exists as soon as it has one).
    pub known: bool,
    /// Number of committed changes of its facts.
    pub revision: u64,
    /// Number of the newest entry of its journal; 0 before the first.
    pub sequence: u64,
    /// Hash of that entry; [`ChainHash::START`] before the first.
    pub journal_hash: ChainHash,
    /// When something of it ends next, or is to be looked at again; `None`: not by itself.
    pub due_at: Option<Timestamp>,
}

impl AccountHead {
    /// The head of an account that has no row yet.
    pub const fn unknown(account: AccountId) -> Self {
        Self {
            account,
            known: false,
            revision: 0,
            sequence: 0,
            journal_hash: ChainHash::START,
            due_at: None,
        }
    }
}

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub account: AccountId,
    /// Its revision.
    pub revision: u64,
    /// Number of the newest entry of its journal.
    pub sequence: u64,
    /// Verified e-mail given by the application.
    pub email: Option<String>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was last raised.
    pub updated_at: Timestamp,
}

statements! {
    LOCK = "WITH {rows:account_id text} \
        SELECT account_id, revision, sequence, journal_hash, due_at FROM accounts \
        WHERE account_id IN (SELECT r.account_id FROM r) ORDER BY account_id {lock}";

    UPDATE = "WITH {rows:account_id text, revision bigint, sequence bigint, \
            journal_hash bytea, due_at bigint} \
        UPDATE accounts SET revision = r.revision, sequence = r.sequence, \
            journal_hash = r.journal_hash, due_at = r.due_at, \
            updated_at = $1 \
        FROM r WHERE accounts.account_id = r.account_id";

    /// Where the account still is as it was read.
    REPLACE = "WITH {rows:account_id text, revision_read bigint, sequence_read bigint, \
            hash_read bytea, due_read bigint, revision bigint, sequence bigint, journal_hash bytea, due_at bigint} \
        UPDATE accounts SET revision = r.revision, sequence = r.sequence, \
            journal_hash = r.journal_hash, due_at = r.due_at, updated_at = $1 \
        FROM r WHERE accounts.account_id = r.account_id AND accounts.revision = r.revision_read \
            AND accounts.sequence = r.sequence_read AND accounts.journal_hash = r.hash_read \
            AND accounts.due_at IS NOT DISTINCT FROM r.due_read";

    HEADS = "WITH {rows:account_id text} \
        SELECT t.account_id, t.revision, t.sequence, t.journal_hash, t.due_at \
        FROM r CROSS JOIN accounts t WHERE t.account_id = r.account_id";

    INSERT = "WITH {rows:account_id text, revision bigint, sequence bigint, \
            journal_hash bytea, due_at bigint} \
        INSERT INTO accounts (account_id, revision, sequence, journal_hash, due_at, \
            created_at, updated_at) \
        SELECT account_id, revision, sequence, journal_hash, due_at, \
            CAST($1 AS BIGINT), CAST($1 AS BIGINT) \
        FROM r WHERE NOT EXISTS (SELECT 1 FROM accounts t WHERE t.account_id = r.account_id)";

    REVISIONS = "WITH {rows:account_id text} SELECT t.account_id, t.revision \
        FROM r CROSS JOIN accounts t WHERE t.account_id = r.account_id";

    FIND_HEAD = "SELECT account_id, revision, sequence, journal_hash, due_at \
        FROM accounts WHERE account_id = $1";

    LIST = "SELECT account_id, revision, sequence, email, created_at, updated_at FROM accounts \
        WHERE account_id > $1 ORDER BY account_id LIMIT $2";

    COUNT = "SELECT COUNT(*) FROM accounts";

    SET_EMAIL = "UPDATE accounts SET email = CAST($2 AS TEXT), email_key = CAST($3 AS TEXT) \
        WHERE account_id = $1";

    /// Of an e-mail that several accounts have, none.
    EMAIL_OF = "SELECT email FROM accounts WHERE account_id = $1";

    BY_EMAIL = "WITH {rows:email_key text} SELECT t.email_key, MIN(t.account_id) \
        FROM r CROSS JOIN accounts t WHERE t.email_key = r.email_key \
        GROUP BY t.email_key HAVING COUNT(*) = 1";

    /// The e-mail of one that is removed may be another one's alone from then on.
    WAKE_FOR_EMAIL = "INSERT INTO event_wakes (object_id) \
        SELECT a.email_key FROM accounts a WHERE a.account_id = $1 \
            AND EXISTS (SELECT 1 FROM event_waits w WHERE w.object_id = a.email_key)";
    REMOVE = "DELETE FROM accounts WHERE account_id = $1";
    REMOVE_LINKS = "DELETE FROM stripe_links WHERE account_id = $1";
    REMOVE_FACTS = "DELETE FROM facts WHERE account_id = $1";
    REMOVE_JOURNAL = "DELETE FROM journal_entries WHERE account_id = $1";
    REMOVE_ANCHOR = "DELETE FROM journal_anchors WHERE account_id = $1";
    REMOVE_KEYS = "DELETE FROM api_keys WHERE account_id = $1";
    REMOVE_USAGE = "DELETE FROM usage_counters WHERE account_id = $1";
    FORGET_IN_INBOX = "UPDATE webhook_events SET account_id = NULL WHERE account_id = $1";
}

/// Locks the accounts that exist, in the order of their ids, and reads their heads. On SQLite the
/// write transaction itself is the lock. Accounts without a row are absent from the answer.
pub async fn lock(
    tx: &mut Tx,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, AccountHead>, StoreError> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = Rows::of(accounts).text(AccountId::as_str);
    by_account(&LOCK.on(tx).rows(rows).fetch().await?)
}

pub(crate) fn replaced_rows(heads: &[HeadChange]) -> Rows<'_, HeadChange> {
    Rows::of(heads)
        .text(|one| one.after.account.as_str())
        .bigint(|one| wire::count(one.read.revision))
        .bigint(|one| wire::count(one.read.sequence))
        .bytes(|one| &one.read.journal_hash.0)
        .opt_bigint(|one| one.read.due_at.map(Timestamp::millis))
        .bigint(|one| wire::count(one.after.revision))
        .bigint(|one| wire::count(one.after.sequence))
        .bytes(|one| &one.after.journal_hash.0)
        .opt_bigint(|one| one.after.due_at.map(Timestamp::millis))
}

/// The heads of accounts, without a lock; those without a row are absent.
pub async fn heads(
    db: &Db,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, AccountHead>, StoreError> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = Rows::of(accounts).text(AccountId::as_str);
    by_account(&HEADS.on(db).rows(rows).fetch().await?)
}

/// The head of one account, without a lock; `None` when it has no row.
pub async fn find_head(db: &Db, account: &AccountId) -> Result<Option<AccountHead>, StoreError> {
    let row = FIND_HEAD.on(db).text(account.as_str()).fetch_one().await?;
    row.map(|row| read_head(&mut row.cells())).transpose()
}

fn by_account(found: &[Row]) -> Result<HashMap<AccountId, AccountHead>, StoreError> {
    let heads = found.iter().map(|row| read_head(&mut row.cells()));
    heads.map(|head| head.map(|head| (head.account.clone(), head))).collect()
}

pub(crate) fn read_head(cells: &mut Cells<'_>) -> Result<AccountHead, StoreError> {
    let account = cells.key("accounts")?;
    Ok(AccountHead {
        account,
        known: true,
        revision: wire::uncount(cells.bigint()?),
        sequence: wire::uncount(cells.bigint()?),
        journal_hash: ChainHash::read(cells.bytes()?, "accounts")?,
        due_at: cells.opt_instant()?,
    })
}

/// Writes heads, inserting those of new accounts. The accounts that existed must have been locked.
/// When another transaction has made one of the new ones meanwhile, a [`StoreError::Conflict`]
/// tells it: the batch is to be done again.
pub async fn save(tx: &mut Tx, heads: &[AccountHead], now: Timestamp) -> Result<(), StoreError> {
    if heads.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&AccountHead> = heads.iter().collect();
    sorted.sort_unstable_by(|a, b| a.account.cmp(&b.account));
    let update = UPDATE.on(&mut *tx).bigint(now.millis());
    let updated = update.rows(head_rows(&sorted)).execute().await?;
    if updated < sorted.len() as u64 {
        let insert = INSERT.on(tx).bigint(now.millis());
        insert.rows(head_rows(&sorted)).execute().await?;
    }
    Ok(())
}

pub(crate) fn head_rows<'a>(heads: &'a [&'a AccountHead]) -> Rows<'a, &'a AccountHead> {
    Rows::of(heads)
        .text(|head| head.account.as_str())
        .bigint(|head| wire::count(head.revision))
        .bigint(|head| wire::count(head.sequence))
        .bytes(|head| &head.journal_hash.0)
        .opt_bigint(|head| head.due_at.map(Timestamp::millis))
}

/// The revision of an account; `None` when it has no row.
pub async fn revision(db: &Db, account: &AccountId) -> Result<Option<u64>, StoreError> {
    Ok(revisions(db, std::slice::from_ref(account)).await?.remove(account))
}

/// Revisions of many accounts at once; those without a row are absent.
pub async fn revisions(
    db: &Db,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, u64>, StoreError> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = Rows::of(accounts).text(AccountId::as_str);
    let mut revisions = HashMap::with_capacity(accounts.len());
    for row in REVISIONS.on(db).rows(rows).fetch().await? {
        let mut cells = row.cells();
        revisions.insert(cells.key("accounts")?, wire::uncount(cells.bigint()?));
    }
    Ok(revisions)
}

/// Accounts by rising id, after the one given; at most `limit`.
pub async fn list(
    db: &Db,
    after: Option<&AccountId>,
    limit: u32,
) -> Result<Vec<AccountRow>, StoreError> {
    let after = after.map_or("", AccountId::as_str);
    let rows = LIST.on(db).text(after).bigint(i64::from(limit)).fetch().await?;
    rows.iter().map(read_row).collect()
}

/// How many accounts there are.
pub async fn count(db: &Db) -> Result<u64, StoreError> {
    let row = COUNT.on(db).fetch_one().await?;
    Ok(row.map(|row| row.cells().bigint()).transpose()?.map_or(0, wire::uncount))
}

fn read_row(row: &Row) -> Result<AccountRow, StoreError> {
    let mut cells = row.cells();
    Ok(AccountRow {
        account: cells.key("accounts")?,
        revision: wire::uncount(cells.bigint()?),
        sequence: wire::uncount(cells.bigint()?),
        email: cells.opt_prose()?.map(Cow::into_owned),
        created_at: cells.instant()?,
        updated_at: cells.instant()?,
    })
}

/// Sets the verified e-mail of an existing account; returns whether there was one.
pub async fn set_email(
    tx: &mut Tx,
    account: &AccountId,
    email: Option<&str>,
) -> Result<bool, StoreError> {
    let key = email.map(email_key);
    let call = SET_EMAIL.on(tx).text(account.as_str()).opt_prose(email);
    Ok(call.opt_text(key.as_ref().map(ObjectId::as_str)).execute().await? == 1)
}

/// The verified e-mail of an account; `None` for an account that is not known, too.
pub async fn email_of(tx: &mut Tx, account: &AccountId) -> Result<Option<String>, StoreError> {
    let found = EMAIL_OF.on(tx).text(account.as_str()).fetch_one().await?;
    let email = found.map(|row| Ok::<_, StoreError>(row.cells().opt_prose()?.map(Cow::into_owned)));
    Ok(email.transpose()?.flatten())
}

/// The accounts whose verified e-mail is one of these (in lower case), by e-mail. Of one that
/// several accounts have, none.
pub async fn by_email(
    tx: &mut Tx,
    emails: &[String],
) -> Result<HashMap<String, AccountId>, StoreError> {
    if emails.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: HashMap<ObjectId, &String> =
        emails.iter().map(|email| (email_key(email), email)).collect();
    let asked: Vec<&ObjectId> = keys.keys().collect();
    let rows = Rows::of(&asked).text(|key| key.as_str());
    let mut accounts = HashMap::with_capacity(keys.len());
    for row in BY_EMAIL.on(tx).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let key: ObjectId = cells.key("accounts")?;
        if let Some(email) = keys.get(&key) {
            accounts.insert((*email).clone(), cells.key("accounts")?);
        }
    }
    Ok(accounts)
}

/// Removes an account and every row that is keyed by it; raw events stay, without their account.
/// What waits for its e-mail is
/// woken: it may be another one's alone now. Returns whether the account existed.
pub async fn remove(tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    let rest = [
        &REMOVE_LINKS,
        &REMOVE_FACTS,
        &REMOVE_JOURNAL,
        &REMOVE_ANCHOR,
        &REMOVE_KEYS,
        &REMOVE_USAGE,
        &FORGET_IN_INBOX,
    ];
    WAKE_FOR_EMAIL.on(&mut *tx).text(account.as_str()).execute().await?;
    let existed = REMOVE.on(&mut *tx).text(account.as_str()).execute().await? == 1;
    for statement in rest {
        statement.on(&mut *tx).text(account.as_str()).execute().await?;
    }
    Ok(existed)
}
