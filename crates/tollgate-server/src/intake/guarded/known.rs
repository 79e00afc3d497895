//! What is known of the accounts of a batch without locking them. Owns: taking it from memory, reading what
//! is missing, and keeping it for the next batch. Must not know: what is decided.

use std::collections::{BTreeMap, HashMap, HashSet};

use tollgate_domain::change::Change;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::{Facts, Link, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::facts::{Touched, TouchedObjects};
use tollgate_store::{StoreError, accounts, facts, links};

use crate::intake::Intake;
use crate::intake::delivery::Delivery;
use crate::intake::reach::observation;
use crate::intake::work::{Known, Work};
use crate::unit_of_work::hot::{Covered, HotAccount};
use crate::unit_of_work::ledger::Effects;

/// What is known of the accounts a batch may reach.
#[derive(Default)]
pub(super) struct Reach {
    /// Those that were in memory, without their facts.
    pub(super) hot: HashMap<AccountId, HotAccount>,
    pub(super) heads: HashMap<AccountId, AccountHead>,
    links: HashMap<ObjectId, Link>,
    /// Those of the links that were not in memory.
    pub(super) found: Vec<Link>,
    /// Objects that were looked up and have no link.
    unlinked: HashSet<ObjectId>,
}

impl Reach {
    /// Accounts whose links have changed are read anew: all links of a group repeat why it belongs to its
    /// account.
    pub(super) fn forget_links(&mut self, changed: &[&Link]) {
        for link in changed {
            self.hot.remove(&link.account);
        }
    }
}

impl Intake {
    /// What a batch is decided by, with the links that were read.
    pub(super) fn known_by(&self, reach: &mut Reach) -> Known {
        Known {
            links: std::mem::take(&mut reach.links),
            match_email: self.match_email,
            livemode: self.livemode.get().copied(),
            ..Known::default()
        }
    }

    /// The links of what a batch names: of accounts in memory from there, all others by one look-up,
    /// which brings the heads of their accounts of the same instant.
    pub(super) async fn reach(
        &self,
        batch: &[&Delivery],
        now: Timestamp,
    ) -> Result<Reach, StoreError> {
        let mut reach = Reach::default();
        let references = Work::references(batch);
        let claims = batch.iter().filter_map(|one| observation(one)?.claim.as_ref());
        let owners = self.hot.owners(&references);
        let claimed = claims.map(|claim| claim.account.clone());
        let accounts: HashSet<AccountId> =
            owners.iter().flatten().cloned().chain(claimed).collect();
        for account in accounts {
            reach.hot.extend(self.hot.take(&account, now).map(|hot| (account, hot)));
        }
        let mut missing = Vec::new();
        for (object, owner) in references.into_iter().zip(owners) {
            let link = owner.and_then(|owner| reach.hot.get(&owner)?.links.get(&object));
            match link.cloned() {
                Some(link) => {
                    reach.links.insert(object, link);
                }
                None => missing.push(object),
            }
        }
        let (found, heads) = links::find_with_heads(&self.db, &missing).await?;
        for (account, head) in heads {
            if !reach.hot.contains_key(&account) {
                reach.hot.extend(self.hot.take(&account, now).map(|hot| (account.clone(), hot)));
            }
            // What is in memory is older than the link that was just read.
            if reach.hot.get(&account).is_some_and(|hot| !is_same(&hot.head, &head)) {
                reach.hot.remove(&account);
                reach.links.retain(|_, link| link.account != account);
            }
            reach.heads.insert(account, head);
        }
        reach.unlinked = missing.into_iter().filter(|one| !found.contains_key(one)).collect();
        reach.found = found.values().cloned().collect();
        reach.links.extend(found);
        Ok(reach)
    }

    /// The heads of all accounts a batch may reach. They are read before their facts.
    pub(super) async fn read_heads(
        &self,
        reach: &mut Reach,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for account in accounts {
            if !reach.hot.contains_key(account) && !reach.heads.contains_key(account) {
                reach.hot.extend(self.hot.take(account, now).map(|hot| (account.clone(), hot)));
            }
        }
        for (account, hot) in &reach.hot {
            reach.heads.insert(account.clone(), hot.head.clone());
        }
        let cold = accounts.iter().filter(|account| !reach.heads.contains_key(*account));
        let cold: Vec<AccountId> = cold.cloned().collect();
        reach.heads.extend(accounts::heads(&self.db, &cold).await?);
        // Of others nothing is decided.
        let asked: HashSet<&AccountId> = accounts.iter().collect();
        reach.heads.retain(|account, _| asked.contains(account));
        Ok(())
    }

    /// The facts of all accounts a batch may reach: of those in memory what is missing, of all others
    /// what matters now and what is touched.
    pub(super) async fn read_facts(
        &self,
        reach: &mut Reach,
        work: &Work<'_>,
        now: Timestamp,
    ) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
        let (mut cold, mut missing) = (Touched::default(), Touched::default());
        for (account, objects) in work.touched().accounts {
            match reach.hot.get_mut(&account) {
                None => {
                    cold.accounts.insert(account, objects);
                }
                Some(hot) => {
                    let unread = uncovered(&objects, hot, &reach.unlinked);
                    cover(&mut hot.covered, &objects);
                    if unread {
                        missing.accounts.insert(account, objects);
                    }
                }
            }
        }
        let window = Window::at(now, now, &self.catalog);
        let mut all = BTreeMap::new();
        if !cold.accounts.is_empty() {
            all = facts::load_unlocked(&self.db, &cold, &reach.heads, window).await?;
        }
        let mut found = if missing.accounts.is_empty() {
            BTreeMap::new()
        } else {
            facts::load_objects(&self.db, &missing).await?
        };
        for (account, hot) in &mut reach.hot {
            let unknown = Facts::unknown(account.clone());
            let mut facts = std::mem::replace(&mut hot.facts, unknown);
            if let Some(found) = found.remove(account) {
                facts.absorb(found);
            }
            all.insert(account.clone(), facts);
        }
        for (account, objects) in cold.accounts {
            let head = reach.heads.get(&account).cloned();
            let head = head.unwrap_or_else(|| AccountHead::unknown(account.clone()));
            let mut hot = HotAccount::read(head, now);
            cover(&mut hot.covered, &objects);
            reach.hot.insert(account, hot);
        }
        Ok(all)
    }

    /// Keeps the accounts as the batch left them, where that is all that matters of them.
    pub(super) fn keep(
        &self,
        mut reach: Reach,
        (heads, mut facts): (HashMap<AccountId, AccountHead>, BTreeMap<AccountId, Facts>),
        effects: &Effects,
    ) {
        let window = Window::at(effects.now, effects.now, &self.catalog);
        let mut links: HashMap<AccountId, Vec<Link>> = HashMap::new();
        for link in reach.found {
            links.entry(link.account.clone()).or_default().push(link);
        }
        let changes = effects
            .changes()
            .into_iter()
            .flat_map(|(account, changes)| changes.iter().map(move |change| (account, change)));
        let outgrown = changes.filter(|(_, change)| proves_before(change, window));
        let outgrown: HashSet<&AccountId> = outgrown.map(|(account, _)| account).collect();
        for (account, mut head) in heads {
            let (Some(mut hot), Some(mut facts)) =
                (reach.hot.remove(&account), facts.remove(&account))
            else {
                continue;
            };
            if outgrown.contains(&account) || facts.missing_before(window).next().is_some() {
                continue;
            }
            head.known = true;
            (facts.known, facts.revision) = (true, head.revision);
            hot.batches = hot.batches.saturating_add(1);
            let links = links.remove(&account).unwrap_or_default();
            self.hot.put(HotAccount { head, facts, ..hot }, links);
        }
    }
}

/// Whether after a change facts may matter that were not read: what came before that which an old
/// invoice proves.
fn proves_before(change: &Change, window: Window) -> bool {
    let Change::SaveInvoice(invoice) = change else { return false };
    invoice.proves_from().is_some_and(|from| from < window.from)
}

fn is_same(a: &AccountHead, b: &AccountHead) -> bool {
    (a.revision, a.sequence, a.journal_hash) == (b.revision, b.sequence, b.journal_hash)
}

/// Objects by what is read of them, as the store does.
fn objects_by_kind(objects: &TouchedObjects) -> impl Iterator<Item = (&'static str, &str)> {
    fn of<'o, T: AsRef<str>>(
        kind: &'static str,
        all: &'o [T],
    ) -> impl Iterator<Item = (&'static str, &'o str)> {
        all.iter().map(move |one| (kind, one.as_ref()))
    }
    of("customer", &objects.customers)
        .chain(of("subscription", &objects.subscriptions))
        .chain(of("invoice", &objects.invoices))
        .chain(of("schedule", &objects.schedules))
        .chain(of("purchase", &objects.purchases))
        .chain(of("adjustment", &objects.adjustments))
        .chain(of("payment", &objects.payment_intents))
}

fn cover(covered: &mut Covered, objects: &TouchedObjects) {
    for (kind, id) in objects_by_kind(objects) {
        covered.add(kind, id);
    }
}

/// Whether facts of one of these objects may be in the database and not in memory. An object without
/// a link was never told of.
fn uncovered(objects: &TouchedObjects, hot: &HotAccount, unlinked: &HashSet<ObjectId>) -> bool {
    objects_by_kind(objects).any(|(kind, id)| !hot.covered.has(kind, id) && !unlinked.contains(id))
}
