//! One batch in one transaction. Owns: the order of reads and writes, and what is done when
//! another transaction got in the way. Must not know: rules; `work` decides.
//!
//! Order inside the transaction: links are read, accounts are locked in the order of their ids,
//! and only then is it read which events are done. Two instances that hold the same event also
//! want the same account, so the second one sees the first one's row. Events without an account
//! meet at the unique key of the inbox instead: fewer rows inserted than given means a race was
//! lost, and the whole batch is done again.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::{Facts, Timestamp, drift};
use tollgate_store::doubts::NewDoubt;
use tollgate_store::inbox::{EventKey, EventStatus, Finished, KnownEvent, Outcome};
use tollgate_store::{StoreError, Tx, accounts, connected_objects, doubts, facts, inbox, links};

use super::delivery::{Content, Delivery, Reply, ReplyStatus};
use super::inbox_rows::{InboxRows, new_event, write_inbox};
use super::notice::{self, Standing};
use super::read::ignored;
use super::replies::{log, replies};
use super::work::{Known, Undecided, Verdict, Work};
use super::{Intake, dead, heard};
use crate::backoff;
use crate::config::Livemode;
use crate::metrics::EventLabels;
use crate::stripe::binding;
use crate::unit_of_work::{Attempts, UnitOfWork};

/// A doubt that can wait is asked about after so long: a burst of events is then one request, and
/// the second in which they tie is over.
const DOUBT_WAIT_MS: i64 = 2_000;

/// An object named by a thin event is asked for after so long: then the second in which the event
/// was made is over, so that the reply answers all events of that second, whenever they come, and a
/// snapshot event of the same happening may come first.
const THIN_WAIT_MS: i64 = 1_000;

/// What a committed batch tells this process.
struct Committed {
    replies: Vec<Reply>,
    /// Events may have been woken by links.
    woken: bool,
    /// What events of the batch began to wait for.
    awaited: Vec<ObjectId>,
    /// Objects that have a link now.
    linked: Vec<ObjectId>,
}

/// Why a batch was not committed.
#[derive(Debug)]
pub(super) enum NotDone {
    /// The database refused it, or is away.
    Store(StoreError),
    /// The delivery at this place is to be committed alone.
    Alone(usize),
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Intake {
    /// Commits a batch, again and again while other transactions get in the way.
    pub(super) async fn commit_batch(&self, batch: &[&Delivery]) -> Result<Vec<Reply>, NotDone> {
        let mut attempts = Attempts::default();
        loop {
            match self.try_batch(batch).await {
                Ok(done) => {
                    if done.woken {
                        self.after_wake();
                    }
                    self.look_back(&done.awaited).await;
                    self.wake_linked(&done.linked).await;
                    self.count(batch, &done.replies);
                    let done_with = batch.iter().zip(&done.replies).filter(|(_, reply)| {
                        matches!(reply.status, ReplyStatus::Processed | ReplyStatus::Duplicate)
                    });
                    self.hot.done(done_with.map(|(delivery, _)| &delivery.key));
                    return Ok(done.replies);
                }
                Err(NotDone::Store(error)) if attempts.again(&error) => {}
                Err(why) => return Err(why),
            }
        }
    }

    async fn try_batch(&self, batch: &[&Delivery]) -> Result<Committed, NotDone> {
        let mut unit = UnitOfWork::begin(self).await?;
        let now = unit.now();
        let known = self.known(&mut unit.tx, batch).await?;
        let keys: Vec<EventKey> = batch.iter().map(|delivery| delivery.key.clone()).collect();
        let livemode = known.livemode;
        let mut work = Work::new(batch, known.clone());
        unit.lock(&work.accounts()).await?;
        check_links(&mut unit.tx, batch, &known).await?;
        let events = inbox::known(&mut unit.tx, &keys).await?;
        let window = Window::at(now, now, &self.catalog);
        let touched = work.touched();
        let mut facts =
            facts::load_touched(&mut unit.tx, &touched, &unit.ledger.heads, window).await?;
        let verdicts = match work.decide(&events, &mut facts, &mut unit.ledger) {
            Ok(verdicts) => verdicts,
            Err(Undecided::Store(error)) => return Err(error.into()),
            Err(Undecided::NeedsGroups { place, .. }) if batch.len() > 1 => {
                return Err(NotDone::Alone(place));
            }
            Err(Undecided::NeedsGroups { roots, .. }) => {
                let links = links::groups(&mut unit.tx, &roots).await?;
                work = Work::new(batch, known.with_groups(links));
                let decided = work.decide(&events, &mut facts, &mut unit.ledger);
                decided.map_err(|undecided| match undecided {
                    Undecided::Store(error) => error,
                    Undecided::NeedsGroups { .. } => groups_unknown(),
                })?
            }
        };
        unit.ledger.settle_touched(facts.values_mut())?;
        if self.asks {
            unit.ledger.doubt(new_doubts(batch, &verdicts, &facts, now));
        }
        let rows = self.inbox_rows(batch, &verdicts, &events, now);
        let replies = replies(&verdicts, &unit.ledger.heads, &rows.outcomes);
        let links = work.link_writes();
        for link in &links.changed {
            unit.ledger.raise(&link.account);
        }
        links::insert(&mut unit.tx, &links.new).await?;
        links::update(&mut unit.tx, &links.changed).await?;
        connected_objects::note(&mut unit.tx, &connected(batch, &verdicts)).await?;
        let tx = &mut unit.tx;
        write_inbox(tx, &rows).await?;
        heard::save(tx, batch, &verdicts, &events, now).await?;
        let any_thin = notice::save(tx, batch, &verdicts).await?;
        dead::save(tx, &events, rows.outcomes(), now).await?;
        notice::tell_of(tx, batch, &verdicts, (self.asks, now)).await?;
        let told = heard::told_of(batch, &verdicts, &events);
        let woken = inbox::wake(tx, &links.new).await? + inbox::wake_untold(tx, &told).await? > 0;
        // On SQLite nobody else began to wait meanwhile.
        let linked = if tx.writes_alone() { &[][..] } else { &links.new[..] };
        let linked = linked.iter().map(|link| link.object.clone()).collect();
        unit.complete().await?;
        if any_thin {
            self.heed_thin_events();
        }
        self.metrics
            .intake_batch
            .observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        self.heed_mode(livemode, batch);
        let awaited = rows.waits.into_iter().flat_map(|(_, objects)| objects).collect();
        Ok(Committed { replies, woken, awaited, linked })
    }

    /// Takes in what was kept of the mode by the transaction that is committed now.
    fn heed_mode(&self, livemode: Option<bool>, batch: &[&Delivery]) {
        let Some(livemode) = livemode else { return };
        self.livemode.get_or_init(|| livemode);
        if first_telling(batch, Some(Livemode::of(livemode))).is_some() {
            self.mode_is_kept.store(true, Ordering::Release);
        }
    }

    /// The mode of this deployment: as configured, else the first one seen. The mode of the first
    /// event that is taken is kept. What a transaction keeps counts for all as soon as it is committed.
    async fn livemode(&self, tx: &mut Tx, batch: &[&Delivery]) -> Result<Option<bool>, StoreError> {
        let known = self.livemode.get().copied();
        if known.is_some() && self.mode_is_kept.load(Ordering::Acquire) {
            return Ok(known);
        }
        let Some(mode) = first_telling(batch, known.map(Livemode::of)) else { return Ok(known) };
        let kept = binding::claim_first_mode(tx, mode).await?;
        Ok(known.or(kept.map(|kept| kept == Livemode::Live)))
    }

    /// What the database knows of the objects and people of a batch.
    async fn known(&self, tx: &mut Tx, batch: &[&Delivery]) -> Result<Known, StoreError> {
        let links = links::find(tx, &Work::references(batch)).await?;
        let emails = if self.match_email {
            accounts::by_email(tx, &Work::emails(batch)).await?
        } else {
            HashMap::new()
        };
        let payers = facts::accounts_of_customers(tx, &Work::deleted_customers(batch)).await?;
        let livemode = self.livemode(tx, batch).await?;
        let any_thin = self.any_thin.load(Ordering::Acquire);
        let standing = Standing::load(tx, batch, any_thin).await?;
        let match_email = self.match_email;
        let sold = inbox::sold(tx, &heard::untold(batch)).await?;
        Ok(Known {
            links,
            whole_groups: false,
            emails,
            payers,
            match_email,
            livemode,
            sold,
            standing,
        })
    }

    pub(super) fn inbox_rows<'a>(
        &self,
        batch: &'a [&'a Delivery],
        verdicts: &[Verdict],
        known: &HashMap<EventKey, KnownEvent>,
        now: Timestamp,
    ) -> InboxRows<'a> {
        let mut rows = InboxRows::default();
        for (delivery, verdict) in batch.iter().zip(verdicts) {
            let before = known.get(&delivery.key);
            if matches!(verdict, Verdict::Duplicate | Verdict::Repeats(_)) {
                rows.duplicates.push(delivery.key.clone());
                rows.outcomes.push(None);
                continue;
            }
            let outcome = self.outcome(delivery, verdict, before, now);
            rows.outcomes.push(Some((outcome.status, outcome.attempts)));
            if before.is_some() {
                rows.old_waits.push(delivery.key.clone());
            }
            let awaited = match verdict {
                Verdict::Foreign(objects) => Some(objects),
                Verdict::Waiting(waiting) => Some(&waiting.objects),
                Verdict::Duplicate
                | Verdict::Repeats(_)
                | Verdict::Ignored(_)
                | Verdict::Dead(_)
                | Verdict::Failed(_)
                | Verdict::Read(_)
                | Verdict::Unread
                | Verdict::Decided(..) => None,
            };
            rows.waits.extend(awaited.map(|objects| (delivery.key.clone(), objects.clone())));
            match before {
                Some(_) => rows.finished.push(Finished {
                    key: delivery.key.clone(),
                    outcome,
                    lease_generation: delivery.lease_generation,
                }),
                None => rows.new.push(new_event(delivery, outcome)),
            }
        }
        rows
    }

    /// Where an event stands after this attempt, and when it is tried again.
    fn outcome(
        &self,
        delivery: &Delivery,
        verdict: &Verdict,
        before: Option<&KnownEvent>,
        now: Timestamp,
    ) -> Outcome {
        let limits = &self.workers;
        let attempts = before.map_or(0, |known| known.attempts).saturating_add(1);
        let mut outcome = Outcome {
            status: EventStatus::Processed,
            account: None,
            reason: None,
            attempts,
            next_attempt_at: None,
            processed_at: Some(now),
            duration_us: u64::try_from(delivery.begun.elapsed().as_micros()).ok(),
        };
        match verdict {
            Verdict::Decided(account, _) => outcome.account = Some(account.clone()),
            Verdict::Read(end) => outcome.account.clone_from(&end.account),
            Verdict::Unread => self.await_reading(&mut outcome, delivery, before, now),
            Verdict::Duplicate | Verdict::Repeats(_) => {}
            Verdict::Ignored(reason) => {
                outcome.status = EventStatus::Ignored;
                outcome.reason = Some((*reason).to_owned());
            }
            Verdict::Foreign(_) => {
                outcome.status = EventStatus::Ignored;
                outcome.reason = Some(ignored::FOREIGN.to_owned());
            }
            Verdict::Waiting(waiting) => {
                self.await_owner(&mut outcome, (delivery, waiting), before, now);
            }
            Verdict::Dead(why) => {
                outcome.processed_at = None;
                outcome.status = EventStatus::Dead;
                outcome.reason = Some(format!("no event: {why}"));
            }
            Verdict::Failed(why) => {
                outcome.processed_at = None;
                outcome.reason = Some(why.clone());
                outcome.next_attempt_at = backoff::next_attempt(limits, attempts, now);
                outcome.status = match outcome.next_attempt_at {
                    Some(_) => EventStatus::Failed,
                    None => EventStatus::Dead,
                };
            }
        }
        outcome
    }

    /// Stores an event that cannot be processed even alone, without any effect.
    pub(super) async fn store_failed(
        &self,
        delivery: &Delivery,
        cause: &str,
    ) -> Result<Reply, StoreError> {
        let failed = Verdict::Failed("the database refused its effects; see the log".to_owned());
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let known = inbox::known(&mut tx, std::slice::from_ref(&delivery.key)).await?;
        let verdicts = [failed];
        let batch = &[delivery];
        let rows = self.inbox_rows(batch, &verdicts, &known, now);
        write_inbox(&mut tx, &rows).await?;
        dead::save(&mut tx, &known, rows.outcomes(), now).await?;
        self.commit(tx, &[]).await?;
        // Once it is kept: where nothing is, the refusals are told of together.
        tracing::warn!(event.id = %delivery.key.event, error = cause, "effects refused");
        let mut replies = replies(&verdicts, &HashMap::new(), &rows.outcomes);
        self.count(batch, &replies);
        Ok(replies.remove(0))
    }

    pub(super) fn count(&self, batch: &[&Delivery], replies: &[Reply]) {
        for (delivery, reply) in batch.iter().zip(replies) {
            let event_type = match &delivery.content {
                Content::Ignored(_) | Content::NoEvent(_) => "other".to_owned(),
                Content::Effect(_) | Content::Thin(_) | Content::Garbled(_) => {
                    delivery.event_type.clone()
                }
            };
            let labels = EventLabels { event_type, result: reply.status.as_str() };
            self.metrics.webhook_events.get_or_create(&labels).inc();
            log(delivery, reply);
        }
    }
}

/// What the batch's events leave in doubt, and when to ask Stripe about it.
pub(super) fn new_doubts(
    batch: &[&Delivery],
    verdicts: &[Verdict],
    facts: &BTreeMap<AccountId, Facts>,
    now: Timestamp,
) -> Vec<NewDoubt> {
    let mut doubts = Vec::new();
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        let (Content::Effect(seen), Verdict::Decided(account, decision)) =
            (&delivery.content, verdict)
        else {
            continue;
        };
        let Some(facts) = facts.get(account) else { continue };
        for (object, doubt) in drift::doubts(seen, decision, facts) {
            let at = if doubt.can_wait() { now.plus_ms(DOUBT_WAIT_MS) } else { now };
            doubts.push(NewDoubt { object, reason: doubt.as_str(), at });
        }
    }
    for object in notice::asked_for(batch, verdicts) {
        let at = now.plus_ms(THIN_WAIT_MS);
        doubts.push(NewDoubt { object: object.clone(), reason: doubts::THIN_EVENT, at });
    }
    doubts
}

/// The objects that events of connected accounts tell of and that are somebody's here, with their
/// Stripe account: whatever asks for one of them later has to name it.
fn connected<'b>(
    batch: &'b [&'b Delivery],
    verdicts: &[Verdict],
) -> BTreeMap<&'b ObjectId, &'b str> {
    let mut objects = BTreeMap::new();
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        let account = delivery.key.stripe_account.as_str();
        if account.is_empty() {
            continue;
        }
        if let (Content::Effect(seen), Verdict::Decided(..)) = (&delivery.content, verdict) {
            objects.extend(seen.references.iter().map(|object| (object, account)));
        }
    }
    objects
}

/// Groups that are not among those that were asked for: somebody else has joined them meanwhile.
fn groups_unknown() -> StoreError {
    StoreError::Conflict { constraint: "stripe_links groups".to_owned() }
}

/// The mode of the first event of a batch that is ours to know, and of the mode of this deployment
/// where that is known.
fn first_telling(batch: &[&Delivery], ours: Option<Livemode>) -> Option<Livemode> {
    let telling = batch.iter().filter(|one| one.content.tells());
    let mut modes = telling.map(|one| Livemode::of(one.key.livemode));
    modes.find(|mode| ours.is_none_or(|ours| ours == *mode))
}

/// Links read before the accounts were locked must still be so: what changes hands does so under
/// the locks, and whoever first names a customer locks the account it belongs to. On SQLite nobody
/// else writes meanwhile.
async fn check_links(tx: &mut Tx, batch: &[&Delivery], known: &Known) -> Result<(), StoreError> {
    if tx.writes_alone() {
        return Ok(());
    }
    let payers = facts::accounts_of_customers(tx, &Work::deleted_customers(batch)).await?;
    if payers == known.payers && links::find(tx, &Work::references(batch)).await? == known.links {
        return Ok(());
    }
    Err(StoreError::Conflict { constraint: "stripe_links".to_owned() })
}
