//! A batch without locks. Owns: which deliveries can be committed so, what is read for them, and
//! committing them in one guarded statement. Must not know: rules; `work` decides.
//!
//! Most events belong to one account, bring new observations and move nothing. Their accounts are in
//! memory or read without a lock; the statement takes effect only where everything is still as it was
//! read. All others, and all of a batch that was overtaken, go the way through a locked transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;

use tollgate_domain::change::Change;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::{Facts, Link, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::facts::{Touched, TouchedObjects};
use tollgate_store::guarded::{self, Done, Guarded, HeadChange};
use tollgate_store::inbox::{self, EventKey};
use tollgate_store::{StoreError, accounts, facts, links};

use super::Intake;
use super::batch::new_doubts;
use super::delivery::{Content, Delivery, Reply};
use super::reach::{deleted_customer, observation};
use super::read::ignored;
use super::replies::{duplicate, replies};
use super::work::{Known, Verdict, Work};
use crate::unit_of_work::hot::{Covered, HotAccount};
use crate::unit_of_work::ledger::{Effects, Ledger};

/// What is known of the accounts a batch may reach.
#[derive(Default)]
struct Reach {
    /// Those that were in memory, without their facts.
    hot: HashMap<AccountId, HotAccount>,
    heads: HashMap<AccountId, AccountHead>,
    links: HashMap<ObjectId, Link>,
    /// Those of the links that were not in memory.
    found: Vec<Link>,
    /// Objects that were looked up and have no link.
    unlinked: HashSet<ObjectId>,
}

/// How a delivery can be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With others in one guarded statement.
    Guarded,
    /// It is done and only counted.
    Again,
    /// In a locked transaction.
    Locked,
}

impl Intake {
    /// Commits what can be committed without locks, in order. A delivery without a reply is to go the
    /// other way; nothing of it was written, or it is known there.
    pub(super) async fn commit_guarded(&self, batch: &[&Delivery]) -> Vec<Option<Reply>> {
        let ways = self.ways(batch);
        let of = |way: Way| batch.iter().zip(&ways).filter(move |(_, one)| **one == way);
        let fit: Vec<&Delivery> = of(Way::Guarded).map(|(delivery, _)| *delivery).collect();
        let again: Vec<EventKey> =
            of(Way::Again).map(|(delivery, _)| delivery.key.clone()).collect();
        let mut written = None;
        if !fit.is_empty() && self.mode_is_kept.load(Ordering::Acquire) && !self.heeds_thin_events()
        {
            written = self.try_guarded(&fit, &again).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "a batch without locks was not committed");
                None
            });
        }
        let counted = written.is_some()
            || inbox::count_duplicates_now(&self.db, &again).await.unwrap_or(false);
        if !counted {
            // The database may have been set back, and has not all of them.
            self.hot.undone(&again);
        }
        let mut written = written.into_iter().flatten();
        let mut replies = Vec::with_capacity(batch.len());
        for (delivery, way) in batch.iter().zip(ways) {
            let reply = match way {
                Way::Guarded => written.next().flatten(),
                Way::Again => counted.then(duplicate),
                Way::Locked => None,
            };
            if let Some(reply) = &reply {
                self.count(&[*delivery], std::slice::from_ref(reply));
            }
            replies.push(reply);
        }
        replies
    }

    /// How each delivery can be committed.
    fn ways(&self, batch: &[&Delivery]) -> Vec<Way> {
        let known = self.hot.known(batch.iter().map(|delivery| &delivery.key));
        let way = |delivery: &&Delivery| {
            if delivery.lease_generation.is_some() {
                Way::Locked
            } else if known.contains(&delivery.key) {
                Way::Again
            } else if self.is_fit(delivery) {
                Way::Guarded
            } else {
                Way::Locked
            }
        };
        batch.iter().map(way).collect()
    }

    /// Whether nothing but its own account has to be known of a delivery.
    fn is_fit(&self, delivery: &Delivery) -> bool {
        delivery.key.stripe_account.is_empty()
            && match &delivery.content {
                Content::Effect(seen) => {
                    deleted_customer(seen).is_none() && !(self.match_email && seen.email.is_some())
                }
                // Of these an operator has to hear.
                Content::Ignored(reason) => {
                    ![ignored::OTHER_MODE, ignored::BILLING_V2, ignored::BILLING_V2_ENDED]
                        .contains(reason)
                }
                Content::Thin(_) | Content::NoEvent(_) | Content::Garbled(_) => false,
            }
    }

    /// One batch. `None`: nothing was written; a delivery without a reply was left out.
    async fn try_guarded(
        &self,
        batch: &[&Delivery],
        again: &[EventKey],
    ) -> Result<Option<Vec<Option<Reply>>>, StoreError> {
        let now = self.clock.now();
        let mut reach = self.reach(batch, now).await?;
        let known = Known {
            links: std::mem::take(&mut reach.links),
            match_email: self.match_email,
            livemode: self.livemode.get().copied(),
            ..Known::default()
        };
        let mut work = Work::new(batch, known);
        self.read_heads(&mut reach, &work.accounts(), now).await?;
        let mut facts = self.read_facts(&mut reach, &work, now).await?;
        let mut ledger = Ledger::new(&self.catalog, self.asks, now);
        ledger.heads = reach.heads.clone();
        let events = HashMap::new();
        let Ok(verdicts) = work.decide(&events, &mut facts, &mut ledger) else {
            return Ok(None);
        };
        let links = work.link_writes();
        ledger.settle_touched(facts.values_mut())?;
        if self.asks {
            ledger.doubt(new_doubts(batch, &verdicts, &facts, now));
        }
        let effects = ledger.finish();
        if !links.changed.is_empty() || effects.changed.is_empty() || hands_over(&effects) {
            return Ok(None);
        }
        let settled = settled(batch, &verdicts);
        let rows = self.inbox_rows(batch, &verdicts, &events, now);
        let (heads, new_heads) = split_heads(&reach.heads, &ledger.heads, &effects);
        let done = batch.iter().zip(&settled).filter(|(_, settled)| **settled);
        let done: HashSet<&EventKey> = done.map(|(delivery, _)| &delivery.key).collect();
        let guarded = Guarded {
            instance: &self.instance,
            now,
            heads,
            new_heads,
            links: links.new.clone(),
            changes: effects.changes(),
            journal: &effects.journal,
            events: rows.new.iter().filter(|event| done.contains(&event.key)).collect(),
            duplicates: again,
            doubts: &effects.doubts,
            changed: &effects.changed,
        };
        let done_with =
            self.commit_by(&effects.changed, guarded::commit(&self.db, guarded)).await?;
        if done_with == Done::Overtaken {
            return Ok(None);
        }
        let replies = replies(&verdicts, &ledger.heads, &rows.outcomes);
        self.hot.done(done);
        let linked: Vec<ObjectId> = links.new.iter().map(|link| link.object.clone()).collect();
        reach.found.extend(links.new.into_iter().cloned());
        self.keep(reach, (ledger.heads, facts), &effects);
        self.wake_linked(&linked).await;
        if !effects.doubts.is_empty() {
            self.after_doubt();
        }
        let events = f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        self.metrics.intake_batch.observe(events);
        let answered = replies.into_iter().zip(settled);
        Ok(Some(answered.map(|(reply, settled)| settled.then_some(reply)).collect()))
    }

    /// The links of what a batch names: of accounts in memory from there, all others by one look-up,
    /// which brings the heads of their accounts of the same instant.
    async fn reach(&self, batch: &[&Delivery], now: Timestamp) -> Result<Reach, StoreError> {
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
    async fn read_heads(
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
    async fn read_facts(
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
    fn keep(
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
            let needs_more = hot.batches > 0 && outgrown.contains(&account);
            if needs_more || facts.missing_before(window).next().is_some() {
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

/// Of which deliveries the guarded statement says all there is to say.
fn settled(batch: &[&Delivery], verdicts: &[Verdict]) -> Vec<bool> {
    let mut settled: Vec<bool> = Vec::with_capacity(batch.len());
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        settled.push(match verdict {
            Verdict::Decided(..) => true,
            Verdict::Ignored(_) => matches!(delivery.content, Content::Ignored(_)),
            // It is counted where its first one is a row already.
            Verdict::Duplicate
            | Verdict::Repeats(_)
            | Verdict::Foreign(_)
            | Verdict::Waiting(_)
            | Verdict::Dead(_)
            | Verdict::Failed(_)
            | Verdict::Read(_)
            | Verdict::Unread => false,
        });
    }
    settled
}

fn hands_over(effects: &Effects) -> bool {
    let changes = effects.changes();
    changes
        .iter()
        .flat_map(|(_, changes)| *changes)
        .any(|change| matches!(change, Change::HandOver { .. } | Change::TakeOver { .. }))
}

/// The accounts that must be as they were read, with what they become, and those that begin.
fn split_heads(
    read: &HashMap<AccountId, AccountHead>,
    after: &HashMap<AccountId, AccountHead>,
    effects: &Effects,
) -> (Vec<HeadChange>, Vec<AccountHead>) {
    let mut heads = Vec::with_capacity(after.len());
    for (account, after) in after {
        if let Some(read) = read.get(account) {
            heads.push(HeadChange { read: read.clone(), after: after.clone() });
        }
    }
    let new = effects.heads.iter().filter(|head| !read.contains_key(&head.account));
    (heads, new.cloned().collect())
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
