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
use tollgate_domain::{Decision, Facts, Timestamp};
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
use crate::unit_of_work::hot::HotAccount;
use crate::unit_of_work::ledger::{Effects, Ledger};

/// What is known of the accounts a batch may reach.
#[derive(Default)]
struct Reach {
    /// Those that were in memory, without their facts.
    hot: HashMap<AccountId, HotAccount>,
    heads: HashMap<AccountId, AccountHead>,
    links: HashMap<ObjectId, tollgate_domain::Link>,
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
        let counted =
            written.is_some() || inbox::count_duplicates_now(&self.db, &again).await.is_ok();
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
                Content::Ignored(reason) => *reason != ignored::OTHER_MODE,
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
        let mut reach = self.reach(batch).await?;
        let known = Known {
            links: reach.links.clone(),
            match_email: self.match_email,
            livemode: self.livemode.get().copied(),
            ..Known::default()
        };
        let mut work = Work::new(batch, known, now);
        self.read_heads(&mut reach, &work.accounts()).await?;
        let mut facts = self.read_facts(&mut reach, &work, now).await?;
        let mut ledger = Ledger::new(&self.catalog, self.asks, now);
        ledger.heads = reach.heads.clone();
        let events = HashMap::new();
        let mut enter = |decision: &Decision, facts: &Facts| ledger.enter(decision, facts);
        let Ok(verdicts) = work.decide(&events, &mut facts, &self.catalog, &mut enter) else {
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
        let repeated = rows.duplicates.iter().filter(|key| done.contains(key));
        let duplicates: Vec<EventKey> = repeated.chain(again).cloned().collect();
        let guarded = Guarded {
            instance: &self.instance,
            now,
            heads,
            new_heads,
            links: links.new.clone(),
            changes: effects.changes.iter().map(|(one, all)| (one, all.as_slice())).collect(),
            journal: &effects.journal,
            events: rows.new.iter().filter(|event| done.contains(&event.key)).collect(),
            duplicates: &duplicates,
            doubts: &effects.doubts,
            changed: &effects.changed,
        };
        let Done::Committed { woken } =
            self.told(&effects.changed, guarded::commit(&self.db, guarded)).await?
        else {
            return Ok(None);
        };
        let replies = replies(&verdicts, &ledger.heads, &rows.outcomes);
        self.hot.done(done);
        reach.links.extend(links.new.into_iter().map(|link| (link.object.clone(), link.clone())));
        self.keep(reach, ledger.heads, facts);
        self.wake_after(woken, !effects.doubts.is_empty(), batch.len());
        let answered = replies.into_iter().zip(settled);
        Ok(Some(answered.map(|(reply, settled)| settled.then_some(reply)).collect()))
    }

    /// Tells those who have something to do after a batch.
    fn wake_after(&self, woken: bool, doubts: bool, events: usize) {
        if woken {
            self.after_wake();
        }
        if doubts {
            self.after_doubt();
        }
        let events = f64::from(u32::try_from(events).unwrap_or(u32::MAX));
        self.metrics.intake_batch.observe(events);
    }

    /// The links of what a batch names: of accounts in memory from there, all others by one look-up,
    /// which brings the heads of their accounts of the same instant.
    async fn reach(&self, batch: &[&Delivery]) -> Result<Reach, StoreError> {
        let mut reach = Reach::default();
        let references = Work::references(batch);
        let claims = batch.iter().filter_map(|one| observation(one)?.claim.as_ref());
        let owners = references.iter().filter_map(|object| self.hot.owner(object));
        let accounts: HashSet<AccountId> =
            owners.chain(claims.map(|claim| claim.account.clone())).collect();
        for account in accounts {
            reach.hot.extend(self.hot.take(&account).map(|hot| (account, hot)));
        }
        let mut missing = Vec::new();
        for object in references {
            let link = reach.hot.values().find_map(|hot| hot.links.get(&object));
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
                reach.hot.extend(self.hot.take(&account).map(|hot| (account.clone(), hot)));
            }
            // What is in memory is older than the link that was just read.
            if reach.hot.get(&account).is_some_and(|hot| !is_same(&hot.head, &head)) {
                reach.hot.remove(&account);
                reach.links.retain(|_, link| link.account != account);
            }
            reach.heads.insert(account, head);
        }
        reach.unlinked = missing.into_iter().filter(|one| !found.contains_key(one)).collect();
        reach.links.extend(found);
        Ok(reach)
    }

    /// The heads of all accounts a batch may reach. They are read before their facts.
    async fn read_heads(
        &self,
        reach: &mut Reach,
        accounts: &[AccountId],
    ) -> Result<(), StoreError> {
        for account in accounts {
            if !reach.hot.contains_key(account) && !reach.heads.contains_key(account) {
                reach.hot.extend(self.hot.take(account).map(|hot| (account.clone(), hot)));
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
                    let unread = uncovered(&objects, &hot.covered, &reach.unlinked);
                    hot.covered.extend(named(&objects));
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
            let hot = HotAccount {
                head: head.unwrap_or_else(|| AccountHead::unknown(account.clone())),
                facts: Facts::unknown(account.clone()),
                links: HashMap::new(),
                covered: named(&objects).collect(),
            };
            reach.hot.insert(account, hot);
        }
        Ok(all)
    }

    /// Keeps the accounts as the batch left them.
    fn keep(
        &self,
        mut reach: Reach,
        heads: HashMap<AccountId, AccountHead>,
        mut facts: BTreeMap<AccountId, Facts>,
    ) {
        let mut links: HashMap<AccountId, HashMap<ObjectId, tollgate_domain::Link>> =
            HashMap::new();
        for (object, link) in reach.links {
            links.entry(link.account.clone()).or_default().insert(object, link);
        }
        for (account, mut head) in heads {
            let (Some(mut hot), Some(mut facts)) =
                (reach.hot.remove(&account), facts.remove(&account))
            else {
                continue;
            };
            head.known = true;
            (facts.known, facts.revision) = (true, head.revision);
            hot.links.extend(links.remove(&account).unwrap_or_default());
            self.hot.put(HotAccount { head, facts, ..hot });
        }
    }
}

fn is_same(a: &AccountHead, b: &AccountHead) -> bool {
    (a.revision, a.sequence) == (b.revision, b.sequence)
}

/// Of which deliveries the guarded statement says all there is to say.
fn settled(batch: &[&Delivery], verdicts: &[Verdict]) -> Vec<bool> {
    let mut settled: Vec<bool> = Vec::with_capacity(batch.len());
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        settled.push(match verdict {
            Verdict::Decided(..) | Verdict::Duplicate => true,
            Verdict::Ignored(_) => matches!(delivery.content, Content::Ignored(_)),
            Verdict::Repeats(first) => settled.get(*first).copied().unwrap_or(false),
            Verdict::Foreign(_)
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
    let mut changes = effects.changes.iter().flat_map(|(_, changes)| changes);
    changes.any(|change| matches!(change, Change::HandOver { .. } | Change::TakeOver { .. }))
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
            let (revision, sequence) = (read.revision, read.sequence);
            heads.push(HeadChange { revision, sequence, after: after.clone() });
        }
    }
    let new = effects.heads.iter().filter(|head| !read.contains_key(&head.account));
    (heads, new.cloned().collect())
}

/// The ids of objects.
fn named(objects: &TouchedObjects) -> impl Iterator<Item = Box<str>> + '_ {
    ids(objects).map(Box::from)
}

fn ids(objects: &TouchedObjects) -> impl Iterator<Item = &str> {
    let customers = objects.customers.iter().map(AsRef::as_ref);
    let subscriptions = objects.subscriptions.iter().map(AsRef::as_ref);
    let invoices = objects.invoices.iter().map(AsRef::as_ref);
    let purchases = objects.purchases.iter().map(AsRef::as_ref);
    let adjustments = objects.adjustments.iter().map(AsRef::as_ref);
    let others = objects.schedules.iter().chain(&objects.payment_intents).chain(&objects.noted);
    customers
        .chain(subscriptions)
        .chain(invoices)
        .chain(purchases)
        .chain(adjustments)
        .chain(others.map(AsRef::as_ref))
}

/// Whether facts of one of these objects may be in the database and not in memory. An object without
/// a link was never told of.
fn uncovered(
    objects: &TouchedObjects,
    covered: &HashSet<Box<str>>,
    unlinked: &HashSet<ObjectId>,
) -> bool {
    ids(objects).any(|id| !covered.contains(id) && !unlinked.contains(id))
}
