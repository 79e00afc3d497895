//! The only executor of a decision. Owns: the place of each decision in its account's journal and
//! feed, and the writing of all of it. Must not know: rules; there is nothing left to choose here.

use std::collections::{BTreeMap, HashMap};

use tollgate_domain::change::Change;
use tollgate_domain::ids::AccountId;
use tollgate_domain::schedule::look_after;
use tollgate_domain::{Catalog, Decision, Facts, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::journal::JournalRow;
use tollgate_store::outbox::OutboxRow;
use tollgate_store::{StoreError, Tx, accounts, facts, journal, outbox, schedule};

use crate::envelope;

/// Decisions in their places, ready to be written together.
#[derive(Debug)]
pub struct Ledger {
    now: Timestamp,
    changes: Vec<(AccountId, Vec<Change>)>,
    journal: Vec<JournalRow>,
    outbox: Vec<OutboxRow>,
    heads: Vec<AccountHead>,
    touched: Vec<AccountId>,
    looks: BTreeMap<AccountId, Timestamp>,
    next_looks: BTreeMap<AccountId, Option<Timestamp>>,
}

impl Ledger {
    /// An empty ledger; everything entered is recorded at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            changes: Vec::new(),
            journal: Vec::new(),
            outbox: Vec::new(),
            heads: Vec::new(),
            touched: Vec::new(),
            looks: BTreeMap::new(),
            next_looks: BTreeMap::new(),
        }
    }

    /// Enters a decision: raises the account's revision when its facts change, and numbers its
    /// journal entries and billing events. `facts` are those after the decision and before
    /// the next one: billing events show the state they tell of, and ends it brings are noted for
    /// the scheduler.
    pub fn enter(
        &mut self,
        head: &mut AccountHead,
        decision: &Decision,
        facts: &Facts,
        catalog: &Catalog,
    ) -> Result<(), StoreError> {
        if !decision.changes.is_empty() {
            head.revision = head.revision.saturating_add(1);
            self.changes.push((head.account.clone(), decision.changes.clone()));
        }
        for entry in &decision.journal {
            self.journal.push(JournalRow::next(head, entry, self.now));
        }
        let shown =
            (!decision.billing.is_empty()).then(|| envelope::Shown::of(facts, catalog, self.now));
        for (event, shown) in decision.billing.iter().zip(shown.iter().cycle()) {
            head.sequence = head.sequence.saturating_add(1);
            self.outbox.push(OutboxRow {
                account: head.account.clone(),
                sequence: head.sequence,
                kind: event.kind.as_str().into(),
                occurred_at: event.occurred_at,
                recorded_at: self.now,
                revision: head.revision,
                stripe_event: event.stripe_event.clone(),
                payload: envelope::render(event, head, shown)?,
            });
        }
        self.touched.push(head.account.clone());
        if let Some(at) = look_after(&decision.changes, facts, catalog, self.now) {
            let look = self.looks.entry(head.account.clone()).or_insert(at);
            *look = at.min(*look);
        }
        Ok(())
    }

    /// Has the scheduler look at an account at an instant, or not by itself. For whoever knows all
    /// facts of it: this takes the place of every look noted before.
    pub fn look_next(&mut self, account: &AccountId, at: Option<Timestamp>) {
        self.next_looks.insert(account.clone(), at);
    }

    /// Takes the heads of the accounts entered, to be written.
    pub fn keep_heads(&mut self, heads: &HashMap<AccountId, AccountHead>) {
        self.touched.sort_unstable();
        self.touched.dedup();
        self.heads =
            self.touched.iter().filter_map(|account| heads.get(account)).cloned().collect();
    }

    /// The accounts whose facts change, with their new revisions.
    pub fn changed(&self) -> Vec<(AccountId, u64)> {
        let changes =
            |account: &AccountId| self.changes.iter().any(|(changed, _)| changed == account);
        self.heads
            .iter()
            .filter(|head| changes(&head.account))
            .map(|head| (head.account.clone(), head.revision))
            .collect()
    }

    /// Writes everything in the transaction.
    pub async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        schedule::bring_forward(tx, &self.looks).await?;
        schedule::save(tx, &self.next_looks).await?;
        if self.heads.is_empty() {
            return Ok(());
        }
        accounts::save(tx, &self.heads, self.now).await?;
        let changes: Vec<(&AccountId, &[Change])> =
            self.changes.iter().map(|(account, changes)| (account, changes.as_slice())).collect();
        facts::save(tx, &changes).await?;
        journal::append(tx, &self.journal).await?;
        outbox::append(tx, &self.outbox).await
    }
}
