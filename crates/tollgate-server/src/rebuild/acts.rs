//! What people did. Owns: reading it from operator facts, journals and links, in the order in which it
//! was done. Must not know: how it is done again.
//!
//! Facts say what was given, with its terms; journals say what was linked, decided again and verified,
//! and when. Where the oldest entries of a journal were removed, the links themselves say whose an
//! object is by a person's word.

use std::collections::{BTreeSet, VecDeque};

use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, FactId, ObjectId};
use tollgate_domain::operator_fact::{OperatorFact, Revocation};
use tollgate_domain::owner::Basis;
use tollgate_domain::{Actor, Facts, Timestamp};
use tollgate_store::accounts::{self, AccountRow};
use tollgate_store::journal::{self, JournalRow};
use tollgate_store::{Db, StoreError, facts, links};

use super::{PAGE_ACCOUNTS, PAGE_ROWS, Report};

/// Who is named where it is not known any more, and why.
const UNNAMED: &str = "unknown";
const NO_REASON: &str = "the journal does not say any more";

/// Something a person did.
#[derive(Debug)]
pub(super) struct Act {
    /// When.
    pub(super) at: Timestamp,
    /// Its place among those of the same instant.
    rank: u8,
    /// For which account.
    pub(super) account: AccountId,
    /// What.
    pub(super) what: What,
}

/// What a person did.
#[derive(Debug)]
pub(super) enum What {
    /// Gave an operator fact.
    Grant(Box<OperatorFact>),
    /// Took one back.
    Revoke(FactId, Revocation),
    /// Set or removed the verified e-mail.
    Email { email: Option<String>, by: String },
    /// Gave a Stripe object to the account.
    Relink { object: ObjectId, by: String, reason: String },
    /// Decided past sales of the account again.
    Regrade { by: String, reason: String, take_back: bool },
}

/// Everything people did, in order. It is in memory as a whole: it is written by hand.
pub(super) async fn read(copy: &Db, report: &mut Report) -> Result<VecDeque<Act>, StoreError> {
    let mut found = Found::default();
    let mut last: Option<AccountId> = None;
    loop {
        let page = accounts::list(copy, last.as_ref(), PAGE_ACCOUNTS).await?;
        let ids: Vec<AccountId> = page.iter().map(|row| row.account.clone()).collect();
        let Some(end) = ids.last().cloned() else { break };
        let facts = facts::load_many(copy, &ids, Window::ALL).await?;
        for row in &page {
            if let Some(facts) = facts.get(&row.account) {
                found.given(facts);
            }
            let entries = by_people(copy, &row.account).await?;
            found.journalled(row, entries.iter());
        }
        last = Some(end);
    }
    report.earlier_emails = found.earlier_emails;
    found.by_links(copy).await?;
    let mut acts = found.acts;
    acts.sort_by_key(|act| (act.at, act.rank));
    Ok(acts.into())
}

/// The entries of an account's journal that people caused, in order.
pub(super) async fn by_people(db: &Db, account: &AccountId) -> Result<Vec<JournalRow>, StoreError> {
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let page = journal::after(db, account, after, PAGE_ROWS).await?;
        let Some(end) = page.last() else { return Ok(entries) };
        after = end.sequence;
        entries.extend(page.into_iter().filter(|row| matches!(row.actor, Actor::Person(_))));
    }
}

#[derive(Default)]
struct Found {
    acts: Vec<Act>,
    /// When something was linked to whom, by journals.
    linked: BTreeSet<(AccountId, Timestamp)>,
    earlier_emails: u64,
}

impl Found {
    fn push(&mut self, at: Timestamp, rank: u8, account: &AccountId, what: What) {
        self.acts.push(Act { at, rank, account: account.clone(), what });
    }

    /// What people gave, and took back. What was replaced by an override is taken back with it.
    fn given(&mut self, facts: &Facts) {
        let account = &facts.account;
        for fact in facts.operator_facts.values() {
            let granted_at = fact.terms.granted_at;
            let given = OperatorFact { revocation: None, ..fact.clone() };
            self.push(granted_at, 1, account, What::Grant(Box::new(given)));
            let Some(revocation) = fact.revocation.clone() else { continue };
            let replaced = facts.overrides().any(|(other, ..)| {
                other.terms.granted_at == revocation.at
                    && revocation.reason.as_ref() == Some(&format!("replaced by {}", other.id))
            });
            if !replaced {
                // One that ends makes room for another that begins at the same instant.
                let rank = if revocation.at > granted_at { 0 } else { 2 };
                let what = What::Revoke(fact.id.clone(), revocation.clone());
                self.push(revocation.at, rank, account, what);
            }
        }
    }

    /// What the journal alone knows.
    fn journalled<'r>(&mut self, row: &AccountRow, entries: impl Iterator<Item = &'r JournalRow>) {
        let account = &row.account;
        let mut emails: Vec<(Timestamp, String, bool)> = Vec::new();
        let mut regraded = BTreeSet::new();
        for entry in entries {
            let Actor::Person(by) = &entry.actor else { continue };
            let (at, by) = (entry.recorded_at, by.clone());
            let reason = detail(entry, "reason").unwrap_or(NO_REASON).to_owned();
            match entry.kind.as_ref() {
                "account.email_verified" => emails.push((at, by, true)),
                "account.email_removed" => emails.push((at, by, false)),
                "object.taken_over" | "object.linked" | "object.confirmed" => {
                    self.linked.insert((account.clone(), at));
                    if let Ok(object) = ObjectId::parse(&entry.subject) {
                        self.push(at, 1, account, What::Relink { object, by, reason });
                    }
                }
                // One for each purchase, all of one instant.
                "sale.regraded" if regraded.insert(at) => {
                    let take_back = detail(entry, "to") == Some("nothing");
                    self.push(at, 1, account, What::Regrade { by, reason, take_back });
                }
                _ => {}
            }
        }
        self.emails(row, emails);
    }

    /// The addresses themselves are kept of the present ones only. An earlier one is replaced by an
    /// address that no customer has.
    fn emails(&mut self, row: &AccountRow, mut told: Vec<(Timestamp, String, bool)>) {
        if row.email.is_some() && !told.last().is_some_and(|(_, _, set)| *set) {
            told.push((row.created_at, UNNAMED.to_owned(), true));
        }
        let count = told.len();
        for (place, (at, by, set)) in told.into_iter().enumerate() {
            let present = row.email.clone().filter(|_| place + 1 == count);
            if set && present.is_none() {
                self.earlier_emails = self.earlier_emails.saturating_add(1);
            }
            let email = set.then(|| present.unwrap_or_else(|| earlier(place)));
            self.push(at, 1, &row.account, What::Email { email, by });
        }
    }

    /// What is linked by a person's word of which no journal tells: the word changed nothing then, or
    /// its entry was removed since.
    async fn by_links(&mut self, copy: &Db) -> Result<(), StoreError> {
        let mut last: Option<ObjectId> = None;
        loop {
            let page = links::relinked_after(copy, last.as_ref(), PAGE_ROWS).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.object.clone());
            for link in page {
                let Basis::Relinked { at } = link.basis else { continue };
                if !self.linked.contains(&(link.account.clone(), at)) {
                    let (by, reason) = (UNNAMED.to_owned(), NO_REASON.to_owned());
                    let what = What::Relink { object: link.object, by, reason };
                    self.push(at, 1, &link.account, what);
                }
            }
        }
    }
}

fn earlier(place: usize) -> String {
    format!("earlier-{place}@unknown.invalid")
}

fn detail<'r>(entry: &'r JournalRow, name: &str) -> Option<&'r str> {
    let found = entry.details.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}
