//! Writing facts. Owns: one statement for the facts of a whole batch and one for its links. Must
//! not know: who may change a fact.
//!
//! Rows go in by rising key, so that batches of several instances cannot lock each other out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tollgate_domain::Link;
use tollgate_domain::change::Change;
use tollgate_domain::ids::AccountId;

use super::row::{self, FactRow};
use crate::db::Tx;
use crate::error::StoreError;
use crate::statement::{Rows, statements};
use crate::wire::Key;

statements! {
    /// The first link of an object stays.
    LINKS = "WITH {rows:object_id text, account_id text, member_id text} \
        INSERT INTO stripe_links (object_id, account_id, member_id) \
        SELECT object_id, account_id, member_id FROM r WHERE true \
        ON CONFLICT (object_id) DO NOTHING";

    FACTS = "WITH {rows:account_id text, kind text, fact_id text, reference text, \
            relevant_from bigint, relevant_until bigint, body text} \
        INSERT INTO facts (account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            body) \
        SELECT account_id, kind, fact_id, reference, relevant_from, relevant_until, body \
        FROM r WHERE true \
        ON CONFLICT (account_id, kind, fact_id) DO UPDATE SET reference = excluded.reference, \
            relevant_from = excluded.relevant_from, relevant_until = excluded.relevant_until, \
            body = excluded.body";

    /// What is there already stays. The account is locked, so looking first is safe, and it is
    /// cheaper than ON CONFLICT, which writes two log records for each row.
    ONCE = "WITH {rows:account_id text, kind text, fact_id text, reference text, \
            relevant_from bigint, relevant_until bigint, body text} \
        INSERT INTO facts (account_id, kind, fact_id, reference, relevant_from, relevant_until, \
            body) \
        SELECT account_id, kind, fact_id, reference, relevant_from, relevant_until, body FROM r \
        WHERE NOT EXISTS (SELECT 1 FROM facts t WHERE t.account_id = r.account_id \
            AND t.kind = r.kind AND t.fact_id = r.fact_id)";
}

/// Rows by account, kind and id.
type Keyed<'a> = BTreeMap<(&'a str, &'static str, Cow<'a, str>), FactRow<'a>>;

pub(super) async fn changes(
    tx: &mut Tx,
    all: &[(&AccountId, &[Change])],
) -> Result<(), StoreError> {
    let mut links: BTreeMap<&str, &Link> = BTreeMap::new();
    let (mut facts, mut once) = (Keyed::new(), Keyed::new());
    for (account, changes) in all {
        for change in *changes {
            if let Change::Link(link) = change {
                links.entry(link.object.as_str()).or_insert(link);
            }
            let Some(row) = row::of(account.as_str(), change)? else { continue };
            let key = (row.account, row.kind, row.id.clone());
            if row.once {
                once.entry(key).or_insert(row);
            } else {
                facts.insert(key, row);
            }
        }
    }
    save_links(tx, links.into_values().collect()).await?;
    let facts: Vec<FactRow<'_>> = facts.into_values().collect();
    if !facts.is_empty() {
        FACTS.on(&mut *tx).rows(batch(&facts)).execute().await?;
    }
    let once: Vec<FactRow<'_>> = once.into_values().collect();
    if !once.is_empty() {
        ONCE.on(tx).rows(batch(&once)).execute().await?;
    }
    Ok(())
}

pub(crate) fn batch<'r>(rows: &'r [FactRow<'r>]) -> Rows<'r, FactRow<'r>> {
    Rows::of(rows)
        .text(|row| row.account)
        .text(|row| row.kind)
        .text(|row| &row.id)
        .opt_text(|row| row.reference)
        .opt_bigint(|row| row.relevance.map(|span| span.from.millis()))
        .opt_bigint(|row| row.relevance.map(|span| span.until.millis()))
        .text(|row| &row.body)
}

async fn save_links(tx: &mut Tx, links: Vec<&Link>) -> Result<(), StoreError> {
    if links.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&links)
        .text(|link| link.object.as_str())
        .text(|link| link.account.as_str())
        .opt_text(|link| link.member.as_ref().map(Key::text));
    LINKS.on(tx).rows(rows).execute().await.map(|_| ())
}
