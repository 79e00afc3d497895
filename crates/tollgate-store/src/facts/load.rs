//! Reading facts. Owns: the statements that read any kind of fact in one round trip. Must not
//! know: what follows from facts.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, InvoiceId};
use tollgate_domain::payment::Invoice;
use tollgate_domain::subscription::Subscription;
use tollgate_domain::{Facts, note};

use super::row::{INSTANT_KEY_CHARS, StoredRow, instant_key, kind};
use super::{Touched, TouchedObjects};
use crate::accounts::AccountHead;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Handle, Row, Rows, statements};
use crate::wire::{self, Key};

macro_rules! head_branch {
    () => {
        "SELECT t.account_id, 'head' AS kind, CAST(t.revision AS TEXT) AS fact_id, '' AS body \
         FROM r CROSS JOIN accounts t WHERE t.account_id = r.account_id"
    };
}

statements! {
    /// What can matter between the instants $1 and $2: the facts relevant then; what adjusts one
    /// of them; and of each subscription the observations from the second of the last settled one
    /// before $3 on, or from its first, to $4 ($3 and $4 are the instants as parts of ids, $5 is
    /// their length).
    WINDOW = concat!(
        "WITH {rows:account_id text}, \
         subscriptions_ AS (SELECT t.account_id, t.fact_id AS id, \
            COALESCE((SELECT MAX(p.fact_id) FROM facts p WHERE p.account_id = t.account_id \
                AND p.kind = 'observation_settled' AND p.fact_id > t.fact_id || '/' \
                AND p.fact_id < t.fact_id || '/' || CAST($3 AS TEXT)), t.fact_id || '/') AS low \
            FROM r CROSS JOIN facts t WHERE t.account_id = r.account_id \
                AND t.kind = 'subscription') ",
        head_branch!(),
        " UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.body FROM r CROSS JOIN facts t \
         WHERE t.account_id = r.account_id AND t.relevant_until >= CAST($1 AS BIGINT) \
            AND t.relevant_from <= CAST($2 AS BIGINT) \
         UNION ALL SELECT a.account_id, a.kind, a.fact_id, a.body \
         FROM r CROSS JOIN facts t CROSS JOIN facts a WHERE t.account_id = r.account_id \
            AND t.relevant_until >= CAST($1 AS BIGINT) AND t.relevant_from <= CAST($2 AS BIGINT) \
            AND t.kind IN ('purchase', 'invoice_payment') AND a.account_id = t.account_id \
            AND a.reference = t.reference AND a.kind = 'adjustment' \
         UNION ALL SELECT o.account_id, o.kind, o.fact_id, o.body \
         FROM subscriptions_ s CROSS JOIN facts o WHERE o.account_id = s.account_id \
            AND o.kind IN ('observation_open', 'observation_settled') \
            AND o.fact_id >= substr(s.low, 1, length(s.id) + 1 + CAST($5 AS INTEGER)) \
            AND o.fact_id < s.id || '/' || CAST($4 AS TEXT)",
    );

    /// Everything of the accounts of a batch.
    WHOLE = concat!(
        "WITH {rows:account_id text} ",
        head_branch!(),
        " UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.body FROM r CROSS JOIN facts t \
         WHERE t.account_id = r.account_id",
    );

    /// The objects a batch touches: by kind and id, by what refers to a key (`reference`), and
    /// the notes about a key (`note`).
    TOUCHED = "WITH {rows:kind text, account_id text, key text} \
        SELECT t.account_id, t.kind, t.fact_id, t.body FROM r CROSS JOIN facts t \
        WHERE t.account_id = r.account_id AND t.kind = r.kind AND t.fact_id = r.key \
        UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.body FROM r CROSS JOIN facts t \
        WHERE r.kind = 'reference' AND t.account_id = r.account_id AND t.reference = r.key \
            AND t.kind IN ('purchase', 'adjustment', 'invoice_payment') \
        UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.body FROM r CROSS JOIN facts t \
        WHERE r.kind = 'note' AND t.account_id = r.account_id AND t.reference = r.key \
            AND t.kind = 'note'";

    /// The invoices before the one with the key ($2, $3), the newest first.
    INVOICES = "SELECT account_id, kind, fact_id, body FROM facts \
        WHERE account_id = $1 AND kind = 'invoice' AND (relevant_from < CAST($2 AS BIGINT) \
            OR (relevant_from = CAST($2 AS BIGINT) AND fact_id < CAST($3 AS TEXT))) \
        ORDER BY relevant_from DESC, fact_id DESC LIMIT $4";

    SUBSCRIPTIONS = "SELECT account_id, kind, fact_id, body FROM facts \
        WHERE account_id = $1 AND kind = 'subscription' ORDER BY fact_id LIMIT $2";

    INVOICE = "SELECT relevant_from FROM facts \
        WHERE account_id = $1 AND kind = 'invoice' AND fact_id = $2";
}

pub(super) async fn window(
    handle: Handle<'_>,
    accounts: &[AccountId],
    window: Window,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    if window == Window::ALL {
        return whole(handle, accounts).await;
    }
    let sorted = sorted(accounts);
    let mut all = empty(sorted.iter().copied());
    if sorted.is_empty() {
        return Ok(all);
    }
    let (from, to) = (instant_key(window.from), instant_key(window.to.plus_ms(1)));
    let rows = Rows::of(&sorted).text(|account| account.as_str());
    let call = WINDOW.on(handle).bigint(window.from.millis()).bigint(window.to.millis());
    let call = call.text(&from).text(&to).bigint(INSTANT_KEY_CHARS);
    take_rows(&call.rows(rows).fetch().await?, &mut all)?;
    all.values_mut().for_each(sort);
    Ok(all)
}

pub(super) async fn whole(
    handle: Handle<'_>,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    let sorted = sorted(accounts);
    let mut all = empty(sorted.iter().copied());
    if sorted.is_empty() {
        return Ok(all);
    }
    let rows = Rows::of(&sorted).text(|account| account.as_str());
    take_rows(&WHOLE.on(handle).rows(rows).fetch().await?, &mut all)?;
    all.values_mut().for_each(sort);
    Ok(all)
}

pub(super) async fn touched<'h>(
    tx: &mut Tx,
    touched: &Touched,
    head_of: impl Fn(&AccountId) -> Option<&'h AccountHead>,
    within: Window,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    let known: Vec<AccountId> =
        touched.accounts.keys().filter(|account| head_of(account).is_some()).cloned().collect();
    let mut all = window((&mut *tx).into(), &known, within).await?;
    for account in touched.accounts.keys() {
        let facts = all.entry(account.clone()).or_insert_with(|| Facts::unknown(account.clone()));
        if let Some(head) = head_of(account) {
            facts.known = head.known;
            facts.revision = head.revision;
        }
    }
    add_touched(tx, touched, &mut all).await?;
    Ok(all)
}

/// Adds the touched objects, and the notes about them and about what is loaded already.
pub(super) async fn add_touched(
    tx: &mut Tx,
    touched: &Touched,
    all: &mut BTreeMap<AccountId, Facts>,
) -> Result<(), StoreError> {
    let found = {
        let mut asked = BTreeSet::new();
        for (account, objects) in &touched.accounts {
            ask(&mut asked, account.as_str(), objects);
            if let Some(facts) = all.get(account) {
                ask_notes(&mut asked, account.as_str(), facts);
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let asked: Vec<Asked<'_>> = asked.into_iter().collect();
        let rows = Rows::of(&asked)
            .text(|(kind, _, _)| kind)
            .text(|(_, account, _)| account)
            .text(|(_, _, key)| key);
        TOUCHED.on(tx).rows(rows).fetch().await?
    };
    take_rows(&found, all)?;
    all.values_mut().for_each(sort);
    Ok(())
}

pub(super) async fn invoices(
    db: &Db,
    account: &AccountId,
    after: Option<&InvoiceId>,
    limit: u32,
) -> Result<Option<Vec<Invoice>>, StoreError> {
    let (from, id) = match after {
        None => (i64::MAX, ""),
        Some(id) => {
            let row = INVOICE.on(db).text(account.as_str()).text(id.as_str()).fetch_one().await?;
            let Some(row) = row else { return Ok(None) };
            (row.cells().bigint()?, id.as_str())
        }
    };
    let call = INVOICES.on(db).text(account.as_str()).bigint(from).text(id);
    let found = call.bigint(i64::from(limit)).fetch().await?;
    let page = found.iter().map(|row| stored(row)?.fact()).collect::<Result<_, _>>()?;
    Ok(Some(page))
}

pub(super) async fn subscriptions(
    db: &Db,
    account: &AccountId,
    limit: u32,
) -> Result<Vec<Subscription>, StoreError> {
    let call = SUBSCRIPTIONS.on(db).text(account.as_str()).bigint(i64::from(limit));
    let found = call.fetch().await?;
    found.iter().map(|row| stored(row)?.subscription()).collect()
}

fn sorted(accounts: &[AccountId]) -> Vec<&AccountId> {
    let mut sorted: Vec<&AccountId> = accounts.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

fn empty<'a>(accounts: impl Iterator<Item = &'a AccountId>) -> BTreeMap<AccountId, Facts> {
    accounts.map(|account| (account.clone(), Facts::unknown(account.clone()))).collect()
}

/// Puts lists in their order: our own facts by age.
fn sort(facts: &mut Facts) {
    facts.waivers.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
    facts.grants.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
    facts.boosts.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
    facts.overrides.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
}

/// A row of a batch of [`TOUCHED`]: kind, account, key.
type Asked<'a> = (&'static str, &'a str, &'a str);

fn ask<'a>(all: &mut BTreeSet<Asked<'a>>, account: &'a str, objects: &'a TouchedObjects) {
    ask_ids(all, kind::CUSTOMER, account, &objects.customers);
    ask_ids(all, kind::SUBSCRIPTION, account, &objects.subscriptions);
    ask_ids(all, kind::INVOICE, account, &objects.invoices);
    ask_ids(all, kind::SCHEDULE, account, &objects.schedules);
    ask_ids(all, kind::PURCHASE, account, &objects.purchases);
    ask_ids(all, kind::ADJUSTMENT, account, &objects.adjustments);
    ask_ids(all, "reference", account, &objects.payment_intents);
    for object in &objects.noted {
        all.insert((kind::NOTE, account, note::subject_of(object.as_str())));
    }
}

fn ask_ids<'a, K: Key>(
    all: &mut BTreeSet<Asked<'a>>,
    kind: &'static str,
    account: &'a str,
    ids: &'a [K],
) {
    all.extend(ids.iter().map(|id| (kind, account, id.text())));
}

/// Asks for the notes about everything that is loaded.
fn ask_notes<'a>(all: &mut BTreeSet<Asked<'a>>, account: &'a str, facts: &'a Facts) {
    let charges = facts.adjustments.values().filter_map(|one| one.charge.as_ref());
    let subjects = facts
        .subscriptions
        .keys()
        .map(Key::text)
        .chain(facts.invoices.keys().map(Key::text))
        .chain(facts.purchases.keys().map(Key::text))
        .chain(facts.adjustments.keys().map(Key::text))
        .chain(charges.map(Key::text))
        .chain(facts.waivers.iter().map(|one| one.id.as_str()))
        .chain(facts.grants.iter().map(|one| one.id.as_str()))
        .chain(facts.boosts.iter().map(|one| one.id.as_str()))
        .chain(facts.overrides.iter().map(|one| one.id.as_str()));
    all.extend(subjects.map(|subject| (kind::NOTE, account, note::subject_of(subject))));
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

fn take_rows(rows: &[Row], all: &mut BTreeMap<AccountId, Facts>) -> Result<(), StoreError> {
    for row in rows {
        let row = stored(row)?;
        let Some(facts) = all.get_mut(row.account) else { continue };
        if row.kind == "head" {
            facts.known = true;
            facts.revision = wire::uncount(row.id.parse().unwrap_or(0));
        } else {
            row.add_to(facts)?;
        }
    }
    Ok(())
}
