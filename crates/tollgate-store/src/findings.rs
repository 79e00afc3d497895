//! Findings as rows. Owns: listing and counting the findings of all accounts, and those that belong
//! to none. Must not know: when a finding is due.
//!
//! A finding is a fact of its account; one that belongs to no account has an empty account id.

use std::collections::BTreeMap;

use tollgate_domain::ids::AccountId;
use tollgate_domain::{Finding, FindingCode, Timestamp};

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::facts::row::{self, StoredRow};
use crate::facts::save::batch;
use crate::statement::{Row, Rows, statements};
use crate::wire::{self, Key};

statements! {
    /// Opens those that are not open.
    SAVE = "WITH {rows:account_id text, kind text, fact_id text, reference text, \
            relevant_from bigint, relevant_until bigint, relevant_class bigint, \
            proves_from bigint, body text} \
        INSERT INTO facts (account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            relevant_class, proves_from, body) \
        SELECT account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            relevant_class, proves_from, body \
        FROM r WHERE true \
        ON CONFLICT (account_id, kind, fact_id) DO UPDATE SET \
            relevant_from = excluded.relevant_from, relevant_until = excluded.relevant_until, \
            relevant_class = excluded.relevant_class, \
            proves_from = excluded.proves_from, \
            body = excluded.body \
        WHERE facts.relevant_until IS NULL";

    FIND = "WITH {rows:fact_id text} \
        SELECT account_id, kind, fact_id, body FROM facts \
        WHERE account_id = $1 AND kind = 'finding' \
            AND fact_id IN (SELECT r.fact_id FROM r) AND relevant_until IS NOT NULL";

    CLOSE = "UPDATE facts SET relevant_from = NULL, relevant_until = NULL, \
            body = CAST($3 AS TEXT) \
        WHERE account_id = $1 AND kind = 'finding' AND fact_id = $2";

    /// Open findings about events given up whose object belongs to an account.
    DEAD_OF = "SELECT f.account_id, f.kind, f.fact_id, f.body FROM facts f \
        JOIN webhook_events w ON w.event_id = substr(f.fact_id, 12) \
        JOIN stripe_links l ON l.object_id = w.object_id \
        WHERE f.account_id = '' AND f.kind = 'finding' AND f.fact_id >= 'event_dead/' \
            AND f.fact_id < 'event_dead0' AND f.relevant_until IS NOT NULL \
            AND l.account_id = $1 \
        ORDER BY f.fact_id LIMIT 100";

    /// In the order of their keys, after ($1, $2); of the account $3; open ($4), closed ($5).
    LIST = "SELECT account_id, kind, fact_id, body FROM facts \
        WHERE kind = 'finding' AND (fact_id > CAST($1 AS TEXT) \
                OR (fact_id = CAST($1 AS TEXT) AND account_id > CAST($2 AS TEXT))) \
            AND fact_id >= CAST($6 AS TEXT) AND fact_id < CAST($7 AS TEXT) \
            AND (CAST($3 AS TEXT) IS NULL OR account_id = $3) \
            AND ((CAST($4 AS BOOLEAN) AND relevant_until IS NOT NULL) \
                OR (CAST($5 AS BOOLEAN) AND relevant_until IS NULL)) \
        ORDER BY fact_id, account_id LIMIT $8";

    COUNT = "SELECT COUNT(*) FROM facts WHERE kind = 'finding' AND relevant_until IS NOT NULL \
        AND fact_id >= CAST($1 AS TEXT) AND fact_id < CAST($2 AS TEXT)";
}

/// Which findings to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Of this code only.
    pub code: Option<FindingCode>,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Open ones.
    pub open: bool,
    /// Closed ones.
    pub closed: bool,
    /// After the finding with this key.
    pub after: Option<FindingKey>,
}

/// What makes a finding unique among all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingKey {
    /// [`Finding::key`].
    pub key: String,
    /// Its account; empty where it belongs to none.
    pub account: String,
}

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFinding {
    /// Its account; `None` where it belongs to none.
    pub account: Option<AccountId>,
    /// The finding.
    pub finding: Finding,
}

impl ListedFinding {
    /// Where it stands in the list.
    pub fn place(&self) -> FindingKey {
        FindingKey {
            key: self.finding.key(),
            account: self.account.as_ref().map_or_else(String::new, ToString::to_string),
        }
    }
}

/// Opens findings that belong to no account; those that are open stay as they are.
pub async fn open_unowned(tx: &mut Tx, findings: &[Finding]) -> Result<(), StoreError> {
    open_of(tx, "", findings).await
}

/// Opens a finding about an account that does not follow from its facts; one that is open stays as
/// it is.
pub async fn open(tx: &mut Tx, account: &AccountId, finding: &Finding) -> Result<(), StoreError> {
    open_of(tx, account.as_str(), std::slice::from_ref(finding)).await
}

async fn open_of(tx: &mut Tx, account: &str, findings: &[Finding]) -> Result<(), StoreError> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut rows = BTreeMap::new();
    for finding in findings {
        rows.entry(finding.key()).or_insert(row::finding(account, finding)?);
    }
    let rows: Vec<_> = rows.into_values().collect();
    SAVE.on(tx).rows(batch(&rows)).execute().await.map(|_| ())
}

/// Closes a finding that belongs to no account; nothing when it is not open.
pub async fn close_unowned(
    tx: &mut Tx,
    code: FindingCode,
    subject: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    close_all_unowned(tx, code, &[subject], now).await
}

/// Closes those findings of a code and of these subjects that belong to no account and are open.
pub async fn close_all_unowned(
    tx: &mut Tx,
    code: FindingCode,
    subjects: &[&str],
    now: Timestamp,
) -> Result<(), StoreError> {
    close_of(tx, "", (code, subjects), now).await
}

/// Closes a finding about an account that was opened by [`open`]; nothing when it is not open.
pub async fn close(
    tx: &mut Tx,
    account: &AccountId,
    (code, subject): (FindingCode, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    close_of(tx, account.as_str(), (code, &[subject]), now).await
}

async fn close_of(
    tx: &mut Tx,
    account: &str,
    (code, subjects): (FindingCode, &[&str]),
    now: Timestamp,
) -> Result<(), StoreError> {
    if subjects.is_empty() {
        return Ok(());
    }
    let key = |subject: &&str| Finding::new(code, *subject, now, "").key();
    let keys: Vec<String> = subjects.iter().map(key).collect();
    let call = FIND.on(&mut *tx).text(account).rows(Rows::of(&keys).prose(|key| key));
    for found in &call.fetch().await? {
        let finding = Finding { closed_at: Some(now), ..stored(found)?.fact()? };
        let (key, closed) = (finding.key(), row::finding(account, &finding)?);
        let call = CLOSE.on(&mut *tx).text(account).prose(&key).text(&closed.body);
        call.execute().await?;
    }
    Ok(())
}

/// Open findings about events that were given up and are about an object of this account, at most
/// 100.
pub async fn about_events_of(db: &Db, account: &AccountId) -> Result<Vec<Finding>, StoreError> {
    let rows = DEAD_OF.on(db).text(account.as_str()).fetch().await?;
    rows.iter().map(|row| stored(row)?.fact()).collect()
}

/// Findings in the order of their keys, at most `limit`.
pub async fn list(
    db: &Db,
    filter: &FindingFilter,
    limit: u32,
) -> Result<Vec<ListedFinding>, StoreError> {
    let (key, account) = filter
        .after
        .as_ref()
        .map_or(("", ""), |after| (after.key.as_str(), after.account.as_str()));
    let (low, high) = filter.code.map_or_else(|| (String::new(), "~".to_owned()), range);
    let call =
        LIST.on(db).prose(key).text(account).opt_text(filter.account.as_ref().map(Key::text));
    let call = call.boolean(filter.open).boolean(filter.closed).text(&low).text(&high);
    let rows = call.bigint(i64::from(limit)).fetch().await?;
    let listed = |row: &Row| {
        let row = stored(row)?;
        Ok(ListedFinding { account: AccountId::parse(row.account).ok(), finding: row.fact()? })
    };
    rows.iter().map(listed).collect()
}

/// How many findings of each code are open; codes without any are there with 0.
pub async fn count_open(db: &Db) -> Result<BTreeMap<FindingCode, u64>, StoreError> {
    let mut counts = BTreeMap::new();
    for code in FindingCode::ALL {
        let (low, high) = range(code);
        let row = COUNT.on(db).text(&low).text(&high).fetch_one().await?;
        let count = row.map(|row| row.cells().bigint()).transpose()?.map_or(0, wire::uncount);
        counts.insert(code, count);
    }
    Ok(counts)
}

/// The keys of a code: from the first to before the second.
fn range(code: FindingCode) -> (String, String) {
    (format!("{}/", code.as_str()), format!("{}0", code.as_str()))
}

fn stored(row: &Row) -> Result<StoredRow<'_>, StoreError> {
    let mut cells = row.cells();
    Ok(StoredRow {
        account: cells.text()?,
        kind: cells.text()?,
        id: cells.text()?,
        body: cells.text()?,
    })
}
