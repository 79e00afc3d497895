//! A batch without locks. Owns: which deliveries can be committed so, what is read for them, and
//! committing them in one guarded statement. Must not know: rules; `work` decides.
//!
//! Most events belong to one account, bring new observations and move nothing. Their accounts are in
//! memory or read without a lock; the statement takes effect only where everything is still as it was
//! read. All others, and all of a batch that was overtaken, go the way through a locked transaction.

mod known;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use tollgate_domain::change::Change;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_store::StoreError;
use tollgate_store::accounts::AccountHead;
use tollgate_store::guarded::{self, Done, Guarded, HeadChange};
use tollgate_store::inbox::{self, EventKey};

use super::Intake;
use super::batch::new_doubts;
use super::delivery::{Content, Delivery, Reply};
use super::reach::deleted_customer;
use super::read::ignored;
use super::replies::{duplicate, replies};
use super::work::{LinkWrites, Verdict, Work};
use crate::metrics::ReasonLabel;
use crate::unit_of_work::ledger::{Effects, Ledger};

/// An event that comes so long after it was made may have been delivered before: Stripe repeats for three
/// days what it got no answer to, and memory does not reach back that far.
const LATE_MS: i64 = 600_000;

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

/// Why a batch has to be done again in a locked transaction.
#[derive(Debug)]
enum NotGuarded {
    /// Whole groups of objects have to be known.
    Undecided,
    /// None of its events can be written so.
    NothingSettled,
    /// Objects come to another account or group.
    LinksMove,
    /// Facts go from one account to another.
    ChangesHands,
    /// Something was not as it was read any more.
    Overtaken,
    /// The database could not be asked, or its answer was lost.
    Store(StoreError),
}

impl NotGuarded {
    /// In a word, for the metric.
    fn reason(&self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::NothingSettled => "nothing_settled",
            Self::LinksMove => "links_move",
            Self::ChangesHands => "changes_hands",
            Self::Overtaken => "overtaken",
            Self::Store(error) => error.reason(),
        }
    }
}

impl From<StoreError> for NotGuarded {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Intake {
    /// Commits what can be committed without locks, in order. A delivery without a reply is to go the
    /// other way; nothing of it was written, or it is known there.
    pub(super) async fn commit_guarded(&self, batch: &[&Delivery]) -> Vec<Option<Reply>> {
        let Ok(open) = self.recall(batch).await else {
            // The database is away, or will say with a lock what is the matter.
            return batch.iter().map(|_| None).collect();
        };
        let ways = self.ways(batch, &open);
        let of = |way: Way| batch.iter().zip(&ways).filter(move |(_, one)| **one == way);
        let fit: Vec<&Delivery> = of(Way::Guarded).map(|(delivery, _)| *delivery).collect();
        let again: Vec<EventKey> =
            of(Way::Again).map(|(delivery, _)| delivery.key.clone()).collect();
        let mut written = None;
        if !fit.is_empty() && self.mode_is_kept.load(Ordering::Acquire) && !self.heeds_thin_events()
        {
            match self.try_guarded(&fit, &again).await {
                Ok(replies) => written = Some(replies),
                Err(why) => {
                    let label = ReasonLabel { reason: why.reason() };
                    self.metrics.intake_redone.get_or_create(&label).inc();
                    tracing::debug!(?why, "a batch without locks was not committed");
                }
            }
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

    /// Looks up which late events are known, so that one of them does not make a whole batch be done
    /// again: those that are done are remembered, all others that are known are returned.
    async fn recall(&self, batch: &[&Delivery]) -> Result<HashSet<EventKey>, StoreError> {
        let is_late = |one: &&&Delivery| {
            let age = one.created_at.map(|at| one.received_at.millis().saturating_sub(at.millis()));
            one.lease_generation.is_none()
                && age.is_some_and(|age| age >= LATE_MS)
                && self.is_fit(one)
        };
        let late: Vec<&EventKey> = batch.iter().filter(is_late).map(|one| &one.key).collect();
        let remembered = self.hot.known(late.iter().copied());
        let late = late.iter().filter(|key| !remembered.contains(*key));
        let late: Vec<EventKey> = late.map(|key| (*key).clone()).collect();
        let known = inbox::known_now(&self.db, &late).await?;
        let (done, open): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|(_, event)| event.status.is_final());
        self.hot.done(done.iter().map(|(key, _)| key));
        Ok(open.into_iter().map(|(key, _)| key).collect())
    }

    /// How each delivery can be committed; those that are known and not done only with a lock.
    fn ways(&self, batch: &[&Delivery], open: &HashSet<EventKey>) -> Vec<Way> {
        let known = self.hot.known(batch.iter().map(|delivery| &delivery.key));
        let way = |delivery: &&Delivery| {
            if delivery.lease_generation.is_some() || open.contains(&delivery.key) {
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

    /// One batch; a delivery without a reply was left out. After an error nothing was written, or
    /// everything.
    async fn try_guarded(
        &self,
        batch: &[&Delivery],
        again: &[EventKey],
    ) -> Result<Vec<Option<Reply>>, NotGuarded> {
        let now = self.clock.now();
        let mut reach = self.reach(batch, now).await?;
        let mut work = Work::new(batch, self.known_by(&mut reach));
        self.read_heads(&mut reach, &work.accounts(), now).await?;
        let mut facts = self.read_facts(&mut reach, &work, now).await?;
        let mut ledger = Ledger::new(&self.catalog, self.asks, now);
        ledger.heads = reach.heads.clone();
        let events = HashMap::new();
        let Ok(verdicts) = work.decide(&events, &mut facts, &mut ledger) else {
            return Err(NotGuarded::Undecided);
        };
        let links = work.link_writes();
        for link in &links.changed {
            ledger.raise(&link.account);
        }
        ledger.settle_touched(facts.values_mut())?;
        if self.asks {
            ledger.doubt(new_doubts(batch, &verdicts, &facts, now));
        }
        let effects = ledger.finish();
        nothing_moves(&work, &links, &effects)?;
        let settled = settled(batch, &verdicts);
        if !settled.contains(&true) {
            return Err(NotGuarded::NothingSettled);
        }
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
            changed_links: links.changed.clone(),
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
            return Err(NotGuarded::Overtaken);
        }
        self.count_repeats(batch, &verdicts, &settled).await;
        let replies = replies(&verdicts, &ledger.heads, &rows.outcomes);
        self.hot.done(done);
        let linked: Vec<ObjectId> = links.new.iter().map(|link| link.object.clone()).collect();
        reach.found.extend(links.new.into_iter().cloned());
        reach.forget_links(&links.changed);
        self.keep(reach, (ledger.heads, facts), &effects);
        self.wake_linked(&linked).await;
        if !effects.doubts.is_empty() {
            self.after_doubt();
        }
        let events = f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        self.metrics.intake_batch.observe(events);
        let answered = replies.into_iter().zip(settled);
        Ok(answered.map(|(reply, settled)| settled.then_some(reply)).collect())
    }

    /// Counts deliveries of which the first one was committed just now. A count that is lost harms nothing.
    async fn count_repeats(&self, batch: &[&Delivery], verdicts: &[Verdict], settled: &[bool]) {
        let all = batch.iter().zip(verdicts).zip(settled).filter(|(_, settled)| **settled);
        let repeats = all.filter(|((_, verdict), _)| matches!(verdict, Verdict::Repeats(_)));
        let keys: Vec<EventKey> = repeats.map(|((delivery, _), _)| delivery.key.clone()).collect();
        if let Err(error) = inbox::count_duplicates_now(&self.db, &keys).await {
            tracing::warn!(%error, "events delivered again were not counted");
        }
    }
}

/// Of which deliveries the guarded statement says all there is to say.
fn settled(batch: &[&Delivery], verdicts: &[Verdict]) -> Vec<bool> {
    let mut settled: Vec<bool> = Vec::with_capacity(batch.len());
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        settled.push(match verdict {
            Verdict::Decided(..) => true,
            Verdict::Ignored(_) => matches!(delivery.content, Content::Ignored(_)),
            // It is counted once its first one is a row.
            Verdict::Repeats(first) => settled.get(*first).copied().unwrap_or(false),
            Verdict::Duplicate
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

/// No object comes to another group, and no fact to another account.
fn nothing_moves(
    work: &Work<'_>,
    links: &LinkWrites<'_>,
    effects: &Effects,
) -> Result<(), NotGuarded> {
    if links.changed.iter().any(|link| work.moves(link)) {
        return Err(NotGuarded::LinksMove);
    }
    if hands_over(effects) {
        return Err(NotGuarded::ChangesHands);
    }
    Ok(())
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
