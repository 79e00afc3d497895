//! The comparison. Owns: what must agree, and in what words a difference is told. Must not know: how
//! the other side was made.
//!
//! Compared are the facts as the digest has them; of each journal its chain, that every event it names
//! is in the inbox, and that what people did stands in it as it is rebuilt. Not compared is what depends
//! on when we worked on something: revisions, places in the journal, what was told of ends, findings.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tollgate_domain::Facts;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::payment::Purchase;
use tollgate_store::digest::{self, ComparedFact};
use tollgate_store::journal::{self, JournalRow, Verdict};
use tollgate_store::{Db, StoreError, accounts, facts, rebuild};

use super::acts::by_people;
use super::{PAGE_ACCOUNTS, PAGE_ROWS, Report, Troubles};
use crate::app::App;

/// Says of every account in what it differs.
pub(super) async fn compare(
    app: &App,
    copy: &Db,
    troubles: &Troubles,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut known: BTreeMap<AccountId, Vec<String>> = BTreeMap::new();
    for (account, why) in &troubles.refused {
        known.entry(account.clone()).or_default().push(why.clone());
    }
    let mut entries = 0_u64;
    let chains = journal::verify_all(copy, |account, verdict| match verdict {
        Verdict::Whole(count) => entries = entries.saturating_add(count),
        Verdict::Broken { sequence, reason } => {
            let told = format!("journal entry {sequence}: {reason}");
            known.entry(account.clone()).or_default().push(told);
        }
    });
    chains.await?;
    report.journal_entries = entries;
    let mut compared = Comparison { app, copy, troubles, report };
    compared.accounts(&mut known).await?;
    compared.rebuilt_only(&mut known).await?;
    for (account, what) in known {
        report.differs(&account, what);
    }
    report.differences.sort_unstable_by(|a, b| a.account_id.cmp(&b.account_id));
    Ok(())
}

struct Comparison<'a> {
    app: &'a App,
    copy: &'a Db,
    troubles: &'a Troubles,
    report: &'a mut Report,
}

impl Comparison<'_> {
    fn rebuilt(&self) -> &Db {
        &self.app.engine.db
    }

    /// The accounts of the database. Takes out what is known of them.
    async fn accounts(
        &mut self,
        known: &mut BTreeMap<AccountId, Vec<String>>,
    ) -> Result<(), StoreError> {
        let mut last: Option<AccountId> = None;
        loop {
            let page = accounts::list(self.copy, last.as_ref(), PAGE_ACCOUNTS).await?;
            let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
            let Some(end) = ids.last().cloned() else { return Ok(()) };
            for entry in rebuild::unfounded(self.copy, last.as_ref(), &end, PAGE_ROWS).await? {
                let told = format!(
                    "journal entry {} names {}, which is not in the inbox",
                    entry.sequence, entry.event
                );
                known.entry(entry.account).or_default().push(told);
            }
            let ours = facts::load_many(self.copy, &ids, Window::ALL).await?;
            let theirs = facts::load_many(self.rebuilt(), &ids, Window::ALL).await?;
            for (account, ours) in &ours {
                let mut what = known.remove(account).unwrap_or_default();
                if let Some(theirs) = theirs.get(account) {
                    what.extend(self.facts(ours, theirs)?);
                }
                what.extend(self.journal(account).await?);
                self.report.accounts = self.report.accounts.saturating_add(1);
                self.report.differs(account, what);
            }
            last = Some(end);
        }
    }

    /// Accounts the database does not have.
    async fn rebuilt_only(
        &self,
        known: &mut BTreeMap<AccountId, Vec<String>>,
    ) -> Result<(), StoreError> {
        let mut last: Option<AccountId> = None;
        loop {
            let page = accounts::list(self.rebuilt(), last.as_ref(), PAGE_ACCOUNTS).await?;
            let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
            let Some(end) = ids.last().cloned() else { return Ok(()) };
            let ours = accounts::heads(self.copy, &ids).await?;
            for id in ids.into_iter().filter(|id| !ours.contains_key(id)) {
                known
                    .entry(id)
                    .or_default()
                    .push("the account: only in what is rebuilt".to_owned());
            }
            last = Some(end);
        }
    }

    fn facts(&mut self, ours: &Facts, theirs: &Facts) -> Result<Vec<String>, StoreError> {
        let by_id =
            |list: Vec<ComparedFact>| -> BTreeMap<(&'static str, String), serde_json::Value> {
                list.into_iter().map(|one| ((one.kind, one.id), one.value)).collect()
            };
        let mut theirs = by_id(digest::compared(theirs)?);
        let mut what = Vec::new();
        for ((kind, id), value) in by_id(digest::compared(ours)?) {
            let Some(other) = theirs.remove(&(kind, id.clone())) else {
                what.push(format!("{kind} {id}: only in the database"));
                continue;
            };
            let fields = fields(&value, &other);
            if fields == ["sales"] && self.is_of_another_catalog(ours, &id) {
                self.report.sold_by_another_catalog =
                    self.report.sold_by_another_catalog.saturating_add(1);
            } else if !fields.is_empty() {
                what.push(format!("{kind} {id}: {}", fields.join(", ")));
            }
        }
        what.extend(
            theirs.into_keys().map(|(kind, id)| format!("{kind} {id}: only in what is rebuilt")),
        );
        Ok(what)
    }

    fn is_of_another_catalog(&self, facts: &Facts, id: &str) -> bool {
        let is_other = |purchase: &Purchase| {
            let version = self.app.engine.catalog.version.as_str();
            purchase.sales.iter().any(|sale| sale.catalog.as_ref() != version)
        };
        facts.purchases.get(id).is_some_and(is_other)
    }

    /// Whether what people did stands in the journal as it is rebuilt. A journal whose oldest entries
    /// were removed cannot tell.
    async fn journal(&self, account: &AccountId) -> Result<Vec<String>, StoreError> {
        let first = journal::after(self.copy, account, 0, 1).await?;
        if first.first().is_some_and(|row| row.sequence > 1) {
            return Ok(Vec::new());
        }
        let ours = by_people(self.copy, account).await?;
        let theirs = by_people(self.rebuilt(), account).await?;
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for (rows, one) in [(&ours, 1_i64), (&theirs, -1)] {
            for row in rows.iter().filter(|row| self.is_compared(row)) {
                let count = counts.entry(told(row)).or_default();
                *count = count.saturating_add(one);
            }
        }
        let differing = counts.into_iter().filter(|(_, count)| *count != 0);
        let lines = differing.map(|(entry, count)| {
            let place = if count > 0 { "the database" } else { "what is rebuilt" };
            format!("journal: only in {place}: {entry}")
        });
        Ok(lines.collect())
    }

    fn is_compared(&self, row: &JournalRow) -> bool {
        let taken = |id: &str| self.troubles.as_they_are.iter().any(|fact| fact.as_str() == id);
        // Whether an event or a person begins an account is told by whoever comes first.
        row.kind != "account.created" && !taken(&row.subject)
    }
}

/// An entry as it is compared: without its place. What was linked is named together with what goes
/// along, and what was sold with the catalog of then; both are compared as facts.
fn told(row: &JournalRow) -> String {
    let actor = journal::actor_text(&row.actor);
    let mut text = format!("{} {} by {actor}", row.kind, row.subject);
    if !row.kind.starts_with("object.") && !row.kind.starts_with("sale.") {
        let _ = write!(text, " at {}", row.occurred_at);
        for (name, value) in &row.details {
            let _ = write!(text, ", {name} {value:?}");
        }
    }
    text
}

/// The fields in which two facts differ.
fn fields(ours: &serde_json::Value, theirs: &serde_json::Value) -> Vec<String> {
    let (Some(a), Some(b)) = (ours.as_object(), theirs.as_object()) else {
        return if ours == theirs { Vec::new() } else { vec!["differs".to_owned()] };
    };
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}
