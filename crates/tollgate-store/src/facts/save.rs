//! Writing facts. Owns: one statement for the facts of a whole batch. Must not know: who may
//! change a fact.
//!
//! Rows go in by rising key, so that batches of several instances cannot lock each other out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tollgate_domain::Timestamp;
use tollgate_domain::change::Change;
use tollgate_domain::ids::{AccountId, ObjectId};

use super::row::{self, FactRow};
use crate::db::Tx;
use crate::error::StoreError;
use crate::statement::{Rows, statements};

/// The rows of account $1 that are about the objects of the batch: their facts, and the observations
/// of subscriptions ('0' follows '/', which ends the subscription's id in theirs).
macro_rules! going {
    () => {
        "WITH {rows:object_id text}, going AS ( \
            SELECT t.kind, t.fact_id FROM r CROSS JOIN facts t WHERE t.account_id = $1 \
                AND t.kind IN ('subscription', 'schedule', 'invoice', 'invoice_payment', 'purchase', \
                    'adjustment') \
                AND t.fact_id = r.object_id \
            UNION ALL SELECT t.kind, t.fact_id FROM r CROSS JOIN facts t WHERE t.account_id = $1 \
                AND t.kind IN ('observation_open', 'observation_settled', 'observation_final') \
                AND t.fact_id > r.object_id || '/' AND t.fact_id < r.object_id || '0') "
    };
}

statements! {
    FACTS = "WITH {rows:account_id text, kind text, fact_id text, reference text, \
            relevant_from bigint, relevant_until bigint, relevant_class bigint, \
            proves_from bigint, body text} \
        INSERT INTO facts (account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            relevant_class, proves_from, body) \
        SELECT account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            relevant_class, proves_from, body \
        FROM r WHERE true \
        ON CONFLICT (account_id, kind, fact_id) DO UPDATE SET reference = excluded.reference, \
            relevant_from = excluded.relevant_from, relevant_until = excluded.relevant_until, \
            relevant_class = excluded.relevant_class, \
            proves_from = excluded.proves_from, \
            body = excluded.body";

    /// What is there already stays. The account is locked, so looking first is safe, and it is
    /// cheaper than ON CONFLICT, which writes two log records for each row.
    ONCE = "WITH {rows:account_id text, kind text, fact_id text, reference text, \
            relevant_from bigint, relevant_until bigint, relevant_class bigint, \
            proves_from bigint, body text} \
        INSERT INTO facts (account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            relevant_class, proves_from, body) \
        SELECT account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            relevant_class, proves_from, body FROM r \
        WHERE NOT EXISTS (SELECT 1 FROM facts t WHERE t.account_id = r.account_id \
            AND t.kind = r.kind AND t.fact_id = r.fact_id)";

    /// The facts of objects go from account $1 to account $2: the rows are written again and then
    /// removed, so that one that is there already stays.
    HAND_OVER = concat!(going!(), "INSERT INTO facts (account_id, kind, fact_id, reference, \
            relevant_from, relevant_until, relevant_class, proves_from, body) \
        SELECT CAST($2 AS TEXT), t.kind, t.fact_id, t.reference, t.relevant_from, \
            t.relevant_until, t.relevant_class, t.proves_from, t.body \
        FROM going CROSS JOIN facts t WHERE t.account_id = $1 AND t.kind = going.kind \
            AND t.fact_id = going.fact_id \
        ON CONFLICT (account_id, kind, fact_id) DO NOTHING");

    LEAVE = concat!(going!(), "DELETE FROM facts WHERE account_id = $1 \
        AND (kind, fact_id) IN (SELECT going.kind, going.fact_id FROM going)");
}

/// Rows by account, kind and id.
type Keyed<'a> = BTreeMap<(&'a str, &'static str, Cow<'a, str>), FactRow<'a>>;

pub(super) async fn changes(
    tx: &mut Tx,
    all: &[(&AccountId, &[Change])],
) -> Result<(), StoreError> {
    for (account, changes) in all {
        for change in *changes {
            if let Change::HandOver { to, objects } = change {
                hand_over(&mut *tx, account, to, objects).await?;
            }
        }
    }
    let (facts, once) = rows(all)?;
    if !facts.is_empty() {
        FACTS.on(&mut *tx).rows(batch(&facts)).execute().await?;
    }
    if !once.is_empty() {
        ONCE.on(tx).rows(batch(&once)).execute().await?;
    }
    Ok(())
}

/// The rows that changes write: those that replace what is there, and those that do not. For one fact
/// the last change counts, or the first.
pub(crate) fn rows<'a>(
    all: &[(&'a AccountId, &'a [Change])],
) -> Result<(Vec<FactRow<'a>>, Vec<FactRow<'a>>), StoreError> {
    let (mut facts, mut once) = (Keyed::new(), Keyed::new());
    for (account, changes) in all {
        for change in *changes {
            let Some(row) = row::of(account.as_str(), change)? else { continue };
            let key = (row.account, row.kind, row.id.clone());
            if row.once {
                once.entry(key).or_insert(row);
            } else {
                facts.insert(key, row);
            }
        }
    }
    Ok((facts.into_values().collect(), once.into_values().collect()))
}

pub(crate) fn batch<'r>(rows: &'r [FactRow<'r>]) -> Rows<'r, FactRow<'r>> {
    Rows::of(rows)
        .text(|row| row.account)
        .text(|row| row.kind)
        .text(|row| &row.id)
        .opt_text(|row| row.reference)
        .opt_bigint(|row| row.relevance.map(|span| span.from.millis()))
        .opt_bigint(|row| row.relevance.map(|span| span.until.millis()))
        .opt_bigint(|row| row.relevance.map(row::class))
        .opt_bigint(|row| row.proves_from.map(Timestamp::millis))
        .text(|row| &row.body)
}

/// Before all else, for what is written of these objects is written for their new account.
async fn hand_over(
    tx: &mut Tx,
    from: &AccountId,
    to: &AccountId,
    objects: &[ObjectId],
) -> Result<(), StoreError> {
    if objects.is_empty() {
        return Ok(());
    }
    let rows = || Rows::of(objects).text(ObjectId::as_str);
    let call = HAND_OVER.on(&mut *tx).text(from.as_str()).text(to.as_str());
    call.rows(rows()).execute().await?;
    LEAVE.on(tx).text(from.as_str()).rows(rows()).execute().await.map(|_| ())
}
