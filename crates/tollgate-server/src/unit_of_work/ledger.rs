//! Decisions on their way into the database. Owns: the place of each decision in its account's
//! journal, what the ends it brings ask for, and the writing of all of it. Must not know: rules; there
//! is nothing left to choose here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tollgate_domain::change::Change;
use tollgate_domain::drift::Doubt;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::schedule::{self, Look, look_after};
use tollgate_domain::{Catalog, Decision, Facts, Resolution, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::doubts::NewDoubt;
use tollgate_store::journal::JournalRow;
use tollgate_store::{StoreError, Tx, accounts, doubts, facts, journal};

use crate::envelope;

/// Takes decisions in and gives them their places.
#[derive(Debug)]
pub struct Ledger<'c> {
    /// What is decided by.
    pub catalog: &'c Catalog,
    /// Stripe can be asked about what turned stale.
    asks: bool,
    /// Everything taken in is recorded at this instant.
    pub now: Timestamp,
    /// The heads as they are after everything taken in.
    pub heads: HashMap<AccountId, AccountHead>,
    decisions: Vec<(AccountId, Arc<Decision>)>,
    journal: Vec<JournalRow>,
    doubts: Vec<NewDoubt>,
    touched: BTreeSet<AccountId>,
    looks: BTreeMap<AccountId, Look>,
}

impl<'c> Ledger<'c> {
    /// An empty one; of the accounts decided about `heads` are to be set first.
    pub fn new(catalog: &'c Catalog, asks: bool, now: Timestamp) -> Self {
        Self {
            catalog,
            asks,
            now,
            heads: HashMap::new(),
            decisions: Vec::new(),
            journal: Vec::new(),
            doubts: Vec::new(),
            touched: BTreeSet::new(),
            looks: BTreeMap::new(),
        }
    }

    /// The revision of an account after everything taken in.
    pub fn revision(&self, account: &AccountId) -> u64 {
        self.heads.get(account).map_or(0, |head| head.revision)
    }

    /// Takes a decision in. `facts` are those it was made of; they are brought up to it, with what follows
    /// from them. The account's revision is raised when its facts change; entries of its journal are
    /// numbered, and keep the state they tell of.
    pub fn decide(
        &mut self,
        mut decision: Decision,
        facts: &mut Facts,
    ) -> Result<Arc<Decision>, StoreError> {
        let resolution = decision.apply_to(facts, self.catalog, self.now);
        let decision = Arc::new(decision);
        self.enter(&decision, facts, &resolution)?;
        Ok(decision)
    }

    fn enter(
        &mut self,
        decision: &Arc<Decision>,
        facts: &Facts,
        resolution: &Resolution,
    ) -> Result<(), StoreError> {
        if decision.changes.is_empty() && decision.journal.is_empty() {
            return Ok(());
        }
        let head = head(&mut self.heads, &facts.account);
        if !decision.changes.is_empty() {
            head.revision = head.revision.saturating_add(1);
            self.decisions.push((head.account.clone(), Arc::clone(decision)));
        }
        let shown = envelope::Shown::of(facts, resolution, self.catalog);
        for entry in &decision.journal {
            let state = entry.billing.as_ref().map(|told| envelope::state(told, &shown));
            self.journal.push(JournalRow::next(head, entry, state.transpose()?, self.now));
        }
        self.touched.insert(head.account.clone());
        let look = self.looks.entry(head.account.clone()).or_insert(Look::None);
        *look = look_after(&decision.changes).max(*look);
        Ok(())
    }

    /// Raises the revision of an account of which something changes beside its facts, where no
    /// decision does.
    pub fn raise(&mut self, account: &AccountId) {
        if self.decisions.iter().any(|(changed, _)| changed == account) {
            return;
        }
        let head = head(&mut self.heads, account);
        if head.known {
            head.revision = head.revision.saturating_add(1);
            self.touched.insert(account.clone());
            self.decisions.push((account.clone(), Arc::default()));
        }
    }

    /// Has Stripe asked about objects.
    pub fn doubt(&mut self, doubts: impl IntoIterator<Item = NewDoubt>) {
        self.doubts.extend(doubts);
    }

    /// Tells of the ends of an account that have come, asks about what turned stale, and sets when it
    /// is looked at next. `facts` are all that matter now, as everything taken in left them.
    pub fn settle_ends(&mut self, facts: &mut Facts) -> Result<(), StoreError> {
        // Also where nothing is to be told: time alone may bring a finding.
        self.decide(schedule::ended(facts, self.catalog, self.now), facts)?;
        self.look_ahead(facts);
        Ok(())
    }

    /// Asks about what turned stale, and sets when the account is looked at next.
    fn look_ahead(&mut self, facts: &Facts) {
        if self.asks {
            let stale = schedule::stale(facts, self.now).into_iter();
            let objects = stale.filter_map(|id| ObjectId::parse(id.as_str()).ok());
            let (reason, at) = (Doubt::Stale.as_str(), self.now);
            self.doubts.extend(objects.map(|object| NewDoubt { object, reason, at }));
        }
        let next = schedule::next_end(facts, self.catalog, self.now);
        self.set_due(&facts.account, next);
    }

    /// [`Self::settle_ends`] where what was taken in asks for it.
    pub fn settle_touched<'f>(
        &mut self,
        all: impl IntoIterator<Item = &'f mut Facts>,
    ) -> Result<(), StoreError> {
        for facts in all {
            match self.looks.get(&facts.account).copied().unwrap_or(Look::None) {
                Look::None => {}
                Look::Here => {
                    // The decisions that were taken in have brought the findings up to now.
                    let ended = schedule::ended(facts, self.catalog, self.now);
                    if !ended.changes.is_empty() {
                        self.decide(ended, facts)?;
                    }
                    self.look_ahead(facts);
                }
                Look::Reload => self.set_due(&facts.account, Some(self.now)),
            }
        }
        Ok(())
    }

    fn set_due(&mut self, account: &AccountId, at: Option<Timestamp>) {
        let head = head(&mut self.heads, account);
        if head.due_at != at {
            head.due_at = at;
            self.touched.insert(account.clone());
        }
    }

    /// Everything to be written.
    pub fn finish(&mut self) -> Effects {
        let heads: Vec<AccountHead> =
            self.touched.iter().filter_map(|account| self.heads.get(account)).cloned().collect();
        let decisions = std::mem::take(&mut self.decisions);
        let changed: BTreeSet<&AccountId> = decisions.iter().map(|(account, _)| account).collect();
        let changed = heads.iter().filter(|head| changed.contains(&head.account));
        let changed = changed.map(|head| (head.account.clone(), head.revision)).collect();
        let (journal, doubts) =
            (std::mem::take(&mut self.journal), std::mem::take(&mut self.doubts));
        Effects { now: self.now, heads, decisions, journal, doubts, changed }
    }
}

/// The head of an account, which may have none yet.
fn head<'h>(
    heads: &'h mut HashMap<AccountId, AccountHead>,
    account: &AccountId,
) -> &'h mut AccountHead {
    heads.entry(account.clone()).or_insert_with(|| AccountHead::unknown(account.clone()))
}

/// What decisions write.
#[derive(Debug)]
pub struct Effects {
    /// When.
    pub now: Timestamp,
    /// Heads after it, by account.
    pub heads: Vec<AccountHead>,
    /// The decisions that change facts, in order.
    decisions: Vec<(AccountId, Arc<Decision>)>,
    /// Entries of the journals, in order.
    pub journal: Vec<JournalRow>,
    /// What Stripe is to be asked about.
    pub doubts: Vec<NewDoubt>,
    /// The accounts whose facts change, with their new revisions.
    pub changed: Vec<(AccountId, u64)>,
}

impl Effects {
    /// The changes of facts, by account, in order.
    pub fn changes(&self) -> Vec<(&AccountId, &[Change])> {
        self.decisions.iter().map(|(account, made)| (account, made.changes.as_slice())).collect()
    }

    /// Writes everything in a transaction that has locked the accounts.
    pub async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        accounts::save(tx, &self.heads, self.now).await?;
        facts::save(tx, &self.changes()).await?;
        journal::append(tx, &self.journal).await?;
        doubts::raise(tx, &self.doubts).await
    }
}
