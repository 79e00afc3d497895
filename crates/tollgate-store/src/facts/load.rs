//! Reading facts. Owns: the statements that read any kind of fact in one round trip. Must not
//! know: what follows from facts.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::Facts;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, CustomerId, InvoiceId, SessionId};
use tollgate_domain::payment::{Invoice, Purchase};
use tollgate_domain::subscription::Subscription;

use super::row::{CLASS_MS, INSTANT_KEY_CHARS, StoredRow, instant_key, kind};
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

/// Observations of one kind, each branch an index range: of both at once PostgreSQL would read all
/// kinds.
macro_rules! observed {
    ($kind:literal) => {
        concat!(
            "UNION ALL SELECT o.account_id, o.kind, o.fact_id, o.body \
             FROM settled CROSS JOIN facts o WHERE o.account_id = settled.account_id AND o.kind = '",
            $kind,
            "' AND o.fact_id >= substr(settled.low, 1, length(settled.id) + 1 + CAST($5 AS INTEGER)) \
             AND o.fact_id < settled.id || '/' || CAST($4 AS TEXT) "
        )
    };
}

/// What refers to a key, of one kind; for the same reason.
macro_rules! referring {
    ($kind:literal) => {
        concat!(
            " UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.body \
             FROM r CROSS JOIN facts t {by:facts_reference} WHERE r.kind = 'reference' \
             AND t.account_id = r.account_id AND t.kind = '",
            $kind,
            "' AND t.reference = r.key"
        )
    };
}

statements! {
    /// What can matter between the instants $1 and $2: the facts relevant then; of each subscription
    /// the paid invoices that ended before $1 and after the beginning of what is not ended yet (where
    /// all is ended: of what ended last), for what begins later stands before that, and the last
    /// one before these; of the payments of these invoices those that were adjusted; what adjusts one
    /// of these payments and purchases; the sessions that started one of the subscriptions. And of
    /// each subscription the observations from the second of the last settled one before $3 on, or
    /// from its first, to $4 ($3 and $4 are the instants as parts of ids, $5 is their length; from $6
    /// on stand the lengths of the classes). Payments and adjustments are looked for only where the
    /// account has any adjustment (`adjusted`), which saves two look-ups for each invoice elsewhere.
    WINDOW = concat!(
        "WITH RECURSIVE {rows:account_id text}, \
         spans(class, length) AS (SELECT 0, CAST($6 AS BIGINT) \
            UNION ALL SELECT 1, CAST($7 AS BIGINT) UNION ALL SELECT 2, CAST($8 AS BIGINT) \
            UNION ALL SELECT 3, CAST($9 AS BIGINT)), \
         billed(account_id, subscription) AS ( \
            SELECT r.account_id, (SELECT MIN(t.reference) FROM facts t \
                WHERE t.account_id = r.account_id AND t.kind = 'invoice' \
                    AND t.reference IS NOT NULL) FROM r \
            UNION ALL SELECT billed.account_id, (SELECT MIN(t.reference) FROM facts t \
                WHERE t.account_id = billed.account_id AND t.kind = 'invoice' \
                    AND t.reference > billed.subscription) \
            FROM billed WHERE billed.subscription IS NOT NULL), \
         near AS ( \
            SELECT t.account_id, t.kind, t.fact_id, t.reference, t.proves_from, t.body \
            FROM r CROSS JOIN spans CROSS JOIN facts t {by:facts_relevant} \
            WHERE t.account_id = r.account_id AND t.relevant_class = spans.class \
                AND t.relevant_until >= CAST($1 AS BIGINT) \
                AND t.relevant_until <= CAST($2 AS BIGINT) + spans.length \
                AND t.relevant_from <= CAST($2 AS BIGINT)), \
         unended AS (SELECT near.account_id, near.reference, MIN(near.proves_from) AS since \
            FROM near WHERE near.kind = 'invoice' AND near.reference IS NOT NULL \
            GROUP BY near.account_id, near.reference), \
         ended AS (SELECT billed.account_id, billed.subscription, COALESCE( \
                (SELECT unended.since FROM unended WHERE unended.account_id = billed.account_id \
                    AND unended.reference = billed.subscription AND unended.since < $1), \
                (SELECT t.proves_from FROM facts t {by:facts_reference} \
                    WHERE t.account_id = billed.account_id AND t.kind = 'invoice' \
                        AND t.reference = billed.subscription \
                        AND t.relevant_until < CAST($1 AS BIGINT) \
                    ORDER BY t.relevant_until DESC LIMIT 1)) AS since \
            FROM billed WHERE billed.subscription IS NOT NULL), \
         matter AS ( \
            SELECT near.account_id, near.kind, near.fact_id, near.reference, near.body FROM near \
            UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.reference, t.body \
            FROM ended CROSS JOIN facts t {by:facts_reference} \
            WHERE t.account_id = ended.account_id AND t.kind = 'invoice' \
                AND t.reference = ended.subscription AND t.relevant_until >= ended.since \
                AND t.relevant_until < CAST($1 AS BIGINT) \
            UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.reference, t.body \
            FROM ended CROSS JOIN facts t WHERE t.account_id = ended.account_id \
                AND t.kind = 'invoice' AND t.fact_id = ( \
                    SELECT l.fact_id FROM facts l {by:facts_reference} \
                    WHERE l.account_id = ended.account_id AND l.kind = 'invoice' \
                        AND l.reference = ended.subscription \
                        AND l.relevant_until < ended.since \
                    ORDER BY l.relevant_until DESC LIMIT 1)), \
         adjusted AS (SELECT r.account_id FROM r WHERE (SELECT MIN(a.reference) FROM facts a \
            WHERE a.account_id = r.account_id AND a.kind = 'adjustment' \
                AND a.reference IS NOT NULL) IS NOT NULL), \
         paid AS (SELECT p.account_id, p.kind, p.fact_id, p.body \
            FROM adjusted CROSS JOIN matter CROSS JOIN facts p {by:facts_reference} \
            WHERE matter.account_id = adjusted.account_id AND matter.kind = 'invoice' \
                AND p.account_id = matter.account_id AND p.kind = 'invoice_payment' \
                AND p.reference = matter.fact_id \
                AND EXISTS (SELECT 1 FROM facts a {by:facts_reference} \
                    WHERE a.account_id = p.account_id AND a.kind = 'adjustment' \
                        AND a.reference = p.fact_id)), \
         settled AS (SELECT matter.account_id, matter.fact_id AS id, \
            COALESCE((SELECT MAX(p.fact_id) FROM facts p WHERE p.account_id = matter.account_id \
                AND p.kind = 'observation_settled' AND p.fact_id > matter.fact_id || '/' \
                AND p.fact_id < matter.fact_id || '/' || CAST($3 AS TEXT)), matter.fact_id || '/') AS low \
            FROM matter WHERE matter.kind = 'subscription') ",
        head_branch!(),
        " UNION ALL SELECT matter.account_id, matter.kind, matter.fact_id, matter.body FROM matter \
         UNION ALL SELECT paid.account_id, paid.kind, paid.fact_id, paid.body FROM paid \
         UNION ALL SELECT a.account_id, a.kind, a.fact_id, a.body \
         FROM adjusted CROSS JOIN matter CROSS JOIN facts a {by:facts_reference} \
         WHERE matter.account_id = adjusted.account_id AND matter.kind = 'purchase' \
            AND a.account_id = matter.account_id AND a.kind = 'adjustment' \
            AND a.reference = matter.reference \
         UNION ALL SELECT a.account_id, a.kind, a.fact_id, a.body \
         FROM paid CROSS JOIN facts a {by:facts_reference} WHERE a.account_id = paid.account_id \
            AND a.kind = 'adjustment' AND a.reference = paid.fact_id \
         UNION ALL SELECT p.account_id, p.kind, p.fact_id, p.body \
         FROM matter CROSS JOIN facts p {by:facts_reference} \
         WHERE matter.kind = 'subscription' \
            AND p.account_id = matter.account_id AND p.kind = 'purchase' AND p.reference = matter.fact_id ",
        observed!("observation_open"),
        observed!("observation_settled"),
    );

    /// Of subscriptions the last settled observation before an instant (a part of its id).
    BEFORE = "WITH {rows:account_id text, subscription text, instant text} \
        SELECT o.account_id, o.kind, o.fact_id, o.body FROM r CROSS JOIN facts o \
        WHERE o.account_id = r.account_id AND o.kind = 'observation_settled' AND o.fact_id = ( \
            SELECT MAX(p.fact_id) FROM facts p WHERE p.account_id = r.account_id \
                AND p.kind = 'observation_settled' AND p.fact_id > r.subscription || '/' \
                AND p.fact_id < r.subscription || '/' || r.instant)";

    /// Everything of the accounts of a batch.
    WHOLE = concat!(
        "WITH {rows:account_id text} ",
        head_branch!(),
        " UNION ALL SELECT t.account_id, t.kind, t.fact_id, t.body FROM r CROSS JOIN facts t \
         WHERE t.account_id = r.account_id",
    );

    /// The objects a batch touches: by kind and id, and by what refers to a key (`reference`).
    TOUCHED = concat!(
        "WITH {rows:kind text, account_id text, key text} \
        SELECT t.account_id, t.kind, t.fact_id, t.body FROM r CROSS JOIN facts t \
        WHERE t.account_id = r.account_id AND t.kind = r.kind AND t.fact_id = r.key",
        referring!("purchase"),
        referring!("adjustment"),
    );

    /// The invoices before the one with the key ($2, $3), the newest first.
    INVOICES = "SELECT account_id, kind, fact_id, body FROM facts \
        WHERE account_id = $1 AND kind = 'invoice' AND (relevant_from < CAST($2 AS BIGINT) \
            OR (relevant_from = CAST($2 AS BIGINT) AND fact_id < CAST($3 AS TEXT))) \
        ORDER BY relevant_from DESC, fact_id DESC LIMIT $4";

    SUBSCRIPTIONS = "SELECT account_id, kind, fact_id, body FROM facts \
        WHERE account_id = $1 AND kind = 'subscription' ORDER BY fact_id LIMIT $2";

    PURCHASES = "SELECT account_id, kind, fact_id, body FROM facts \
        WHERE account_id = $1 AND kind = 'purchase' AND fact_id > $2 ORDER BY fact_id LIMIT $3";

    PURCHASE = "SELECT account_id, kind, fact_id, body FROM facts \
        WHERE account_id = $1 AND kind = 'purchase' AND fact_id = $2";

    CUSTOMERS = "WITH {rows:customer_id text} SELECT t.fact_id, t.account_id \
        FROM r CROSS JOIN facts t WHERE t.kind = 'customer' AND t.fact_id = r.customer_id";

    INVOICE = "SELECT relevant_from FROM facts \
        WHERE account_id = $1 AND kind = 'invoice' AND fact_id = $2";
}

pub(super) async fn window(
    mut handle: Handle<'_>,
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
    let call =
        WINDOW.on(handle.reborrow()).bigint(window.ended_from.millis()).bigint(window.to.millis());
    let call = call.text(&from).text(&to).bigint(INSTANT_KEY_CHARS);
    let call = CLASS_MS.iter().fold(call, |call, length| call.bigint(*length));
    take_rows(&call.rows(rows).fetch().await?, &mut all)?;
    add_replaced(handle, window, &mut all).await?;
    Ok(all)
}

/// Adds the states that [`window`] found missing. Rare: an unpaid change is older than all that is
/// loaded of its subscription.
async fn add_replaced(
    handle: Handle<'_>,
    window: Window,
    all: &mut BTreeMap<AccountId, Facts>,
) -> Result<(), StoreError> {
    let missing: Vec<(String, String, String)> = all
        .iter()
        .flat_map(|(account, facts)| {
            facts.missing_before(window).map(|(subscription, at)| {
                (account.to_string(), subscription.to_string(), instant_key(at))
            })
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&missing)
        .text(|(account, _, _)| account)
        .text(|(_, subscription, _)| subscription)
        .text(|(_, _, instant)| instant);
    let found = BEFORE.on(handle).rows(rows).fetch().await?;
    take_rows(&found, all)
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
    Ok(all)
}

pub(super) async fn touched<'h>(
    mut handle: Handle<'_>,
    touched: &Touched,
    head_of: impl Fn(&AccountId) -> Option<&'h AccountHead>,
    within: Window,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    let known: Vec<AccountId> =
        touched.accounts.keys().filter(|account| head_of(account).is_some()).cloned().collect();
    let mut all = window(handle.reborrow(), &known, within).await?;
    for account in touched.accounts.keys() {
        let facts = all.entry(account.clone()).or_insert_with(|| Facts::unknown(account.clone()));
        if let Some(head) = head_of(account) {
            facts.known = head.known;
            facts.revision = head.revision;
        }
    }
    add_touched(handle, touched, &mut all).await?;
    Ok(all)
}

/// The touched objects alone.
pub(super) async fn objects(
    handle: Handle<'_>,
    touched: &Touched,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    let mut all = empty(touched.accounts.keys());
    add_touched(handle, touched, &mut all).await?;
    Ok(all)
}

/// Adds the touched objects.
pub(super) async fn add_touched(
    handle: Handle<'_>,
    touched: &Touched,
    all: &mut BTreeMap<AccountId, Facts>,
) -> Result<(), StoreError> {
    let mut asked = BTreeSet::new();
    for (account, objects) in &touched.accounts {
        ask(&mut asked, account.as_str(), objects);
    }
    if asked.is_empty() {
        return Ok(());
    }
    let asked: Vec<Asked<'_>> = asked.into_iter().collect();
    let rows = Rows::of(&asked)
        .text(|(kind, _, _)| kind)
        .text(|(_, account, _)| account)
        .text(|(_, _, key)| key);
    take_rows(&TOUCHED.on(handle).rows(rows).fetch().await?, all)
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

pub(super) async fn purchase(
    db: &Db,
    account: &AccountId,
    id: &SessionId,
) -> Result<Option<Purchase>, StoreError> {
    let row = PURCHASE.on(db).text(account.as_str()).text(id.as_str()).fetch_one().await?;
    row.map(|row| stored(&row)?.fact()).transpose()
}

pub(super) async fn purchases(
    db: &Db,
    account: &AccountId,
    after: Option<&SessionId>,
    limit: u32,
) -> Result<Vec<Purchase>, StoreError> {
    let after = after.map_or("", SessionId::as_str);
    let call = PURCHASES.on(db).text(account.as_str()).text(after).bigint(i64::from(limit));
    call.fetch().await?.iter().map(|row| stored(row)?.fact()).collect()
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

pub(super) async fn accounts_of_customers(
    tx: &mut Tx,
    customers: &[CustomerId],
) -> Result<BTreeMap<CustomerId, BTreeSet<AccountId>>, StoreError> {
    let mut found: BTreeMap<CustomerId, BTreeSet<AccountId>> = BTreeMap::new();
    if customers.is_empty() {
        return Ok(found);
    }
    let rows = Rows::of(customers).text(AsRef::as_ref);
    for row in CUSTOMERS.on(tx).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let customer = cells.key("facts")?;
        found.entry(customer).or_default().insert(cells.key("facts")?);
    }
    Ok(found)
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
    ask_ids(all, kind::INVOICE_PAYMENT, account, &objects.payment_intents);
}

fn ask_ids<'a, K: Key>(
    all: &mut BTreeSet<Asked<'a>>,
    kind: &'static str,
    account: &'a str,
    ids: &'a [K],
) {
    all.extend(ids.iter().map(|id| (kind, account, id.text())));
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
