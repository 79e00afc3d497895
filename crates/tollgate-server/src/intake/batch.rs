//! One batch in one transaction. Owns: the order of reads and writes, and what is done when
//! another transaction got in the way. Must not know: rules; `work` decides.
//!
//! Order inside the transaction: links are read, accounts are locked in the order of their ids,
//! and only then is it read which events are done. Two instances that hold the same event also
//! want the same account, so the second one sees the first one's row. Events without an account
//! meet at the unique key of the inbox instead: fewer rows inserted than given means a race was
//! lost, and the whole batch is done again.

use std::collections::{BTreeMap, HashMap};

use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::{Catalog, Decision, Facts, Timestamp, drift};
use tollgate_store::accounts::AccountHead;
use tollgate_store::doubts::NewDoubt;
use tollgate_store::inbox::{EventKey, EventStatus, Finished, KnownEvent, NewEvent, Outcome};
use tollgate_store::{StoreError, Tx, accounts, changes, doubts, facts, inbox, links};

use super::delivery::{Content, Delivery, Reply, ReplyStatus};
use super::work::{Verdict, Work};
use super::{Intake, dead};
use crate::apply::Ledger;
use crate::backoff;
use crate::metrics::EventLabels;

/// Most runs of one batch when others get in the way, the first included.
const ATTEMPTS_MAX: u32 = 8;
/// A doubt that can wait is asked about after so long: a burst of events is then one request, and
/// the second in which they tie is over.
const DOUBT_WAIT_MS: i64 = 2_000;

/// What a committed batch tells this process.
struct Committed {
    replies: Vec<Reply>,
    linked: Vec<ObjectId>,
    waiting: bool,
    doubts: bool,
}

/// The rows of the inbox a batch writes.
#[derive(Default)]
struct InboxRows<'a> {
    new: Vec<NewEvent<'a>>,
    finished: Vec<Finished>,
    duplicates: Vec<EventKey>,
    waits: Vec<(EventKey, Vec<ObjectId>)>,
    old_waits: Vec<EventKey>,
}

impl InboxRows<'_> {
    /// Where each event that is written stands from now on.
    fn outcomes(&self) -> impl Iterator<Item = (&EventKey, &Outcome)> {
        let new = self.new.iter().map(|event| (&event.key, &event.outcome));
        new.chain(self.finished.iter().map(|event| (&event.key, &event.outcome)))
    }
}

impl Intake {
    /// Commits a batch, again and again while other transactions get in the way.
    pub(super) async fn commit_batch(&self, batch: &[Delivery]) -> Result<Vec<Reply>, StoreError> {
        let mut attempt = 1;
        loop {
            match self.try_batch(batch).await {
                Ok(done) => {
                    self.after_commit(done.linked, done.waiting);
                    if done.doubts {
                        self.after_doubt();
                    }
                    self.count(batch, &done.replies);
                    return Ok(done.replies);
                }
                Err(error) if is_race(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_batch(&self, batch: &[Delivery]) -> Result<Committed, StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let stored = links::find(&mut tx, &Work::references(batch)).await?;
        let mut work = Work::new(batch, stored, now);
        let mut heads = accounts::lock(&mut tx, &work.accounts()).await?;
        let window = Window::at(now, now, &self.catalog);
        let keys: Vec<EventKey> = batch.iter().map(|delivery| delivery.key.clone()).collect();
        let known = inbox::known(&mut tx, &keys).await?;
        let mut facts = facts::load_touched(&mut tx, &work.touched(), &heads, window).await?;
        let mut ledger = Ledger::new(now);
        let verdicts = work.decide(&known, &mut facts, &self.catalog, &mut |decision, facts| {
            enter(decision, facts, &self.catalog, &mut heads, &mut ledger)
        })?;
        ledger.keep_heads(&heads);
        let doubts = if self.asks { new_doubts(batch, &verdicts, &facts, now) } else { Vec::new() };
        let replies = replies(&verdicts, &heads);
        let rows = self.inbox_rows(batch, &verdicts, &known, now);
        let waiting = !rows.waits.is_empty();
        ledger.write(&mut tx).await?;
        write_inbox(&mut tx, &rows).await?;
        dead::save(&mut tx, &known, rows.outcomes(), now).await?;
        doubts::raise(&mut tx, &doubts).await?;
        let changed = ledger.changed();
        if !changed.is_empty() {
            changes::append(&mut tx, &self.instance, &changed).await?;
        }
        self.commit(tx, &changed).await?;
        self.metrics
            .intake_batch
            .observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        let doubts = !doubts.is_empty();
        Ok(Committed { replies, linked: work.linked(), waiting, doubts })
    }

    fn inbox_rows<'a>(
        &self,
        batch: &'a [Delivery],
        verdicts: &[Verdict],
        known: &HashMap<EventKey, KnownEvent>,
        now: Timestamp,
    ) -> InboxRows<'a> {
        let mut rows = InboxRows::default();
        for (delivery, verdict) in batch.iter().zip(verdicts) {
            let before = known.get(&delivery.key);
            if matches!(verdict, Verdict::Duplicate | Verdict::Repeats(_)) {
                rows.duplicates.push(delivery.key.clone());
                continue;
            }
            let outcome = self.outcome(delivery, verdict, before, now);
            if before.is_some_and(|known| known.status == EventStatus::Waiting) {
                rows.old_waits.push(delivery.key.clone());
            }
            if let (Verdict::Waiting(objects), EventStatus::Waiting) = (verdict, outcome.status) {
                rows.waits.push((delivery.key.clone(), objects.clone()));
            }
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
            Verdict::Duplicate | Verdict::Repeats(_) => {}
            Verdict::Ignored(reason) => {
                outcome.status = EventStatus::Ignored;
                outcome.reason = Some((*reason).to_owned());
            }
            Verdict::Waiting(_) => {
                let days = i64::from(limits.waiting_days_max);
                outcome.processed_at = None;
                // Waiting is no failure: only time ends it.
                outcome.attempts = before.map_or(0, |known| known.attempts);
                if delivery.received_at.plus_days(days) <= now {
                    outcome.status = EventStatus::Dead;
                    outcome.reason = Some("no account claimed it in time".to_owned());
                } else {
                    outcome.status = EventStatus::Waiting;
                    outcome.reason = Some("no account is linked to its objects yet".to_owned());
                    let wait = i64::try_from(limits.waiting_retry_ms).unwrap_or(i64::MAX);
                    outcome.next_attempt_at = Some(now.plus_ms(wait));
                }
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
        tracing::error!(event.id = %delivery.key.event, error = cause, "event failed");
        let failed = Verdict::Failed("the database refused its effects; see the log".to_owned());
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let known = inbox::known(&mut tx, std::slice::from_ref(&delivery.key)).await?;
        let verdicts = [failed];
        let batch = std::slice::from_ref(delivery);
        let rows = self.inbox_rows(batch, &verdicts, &known, now);
        write_inbox(&mut tx, &rows).await?;
        dead::save(&mut tx, &known, rows.outcomes(), now).await?;
        self.commit(tx, &[]).await?;
        let mut replies = replies(&verdicts, &HashMap::new());
        self.count(batch, &replies);
        Ok(replies.remove(0))
    }

    fn count(&self, batch: &[Delivery], replies: &[Reply]) {
        for (delivery, reply) in batch.iter().zip(replies) {
            let event_type = match &delivery.content {
                Content::Ignored(_) => "other".to_owned(),
                Content::Effect(_) | Content::Garbled(_) => delivery.event_type.clone(),
            };
            let labels = EventLabels { event_type, result: reply.status.as_str() };
            self.metrics.webhook_events.get_or_create(&labels).inc();
        }
    }
}

/// What the batch's events leave in doubt, and when to ask Stripe about it.
fn new_doubts(
    batch: &[Delivery],
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
    doubts
}

/// Gives a decision its place in its account's journal and feed, with the facts as it left them.
fn enter(
    decision: &Decision,
    facts: &Facts,
    catalog: &Catalog,
    heads: &mut HashMap<AccountId, AccountHead>,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let account = &facts.account;
    let head =
        heads.entry(account.clone()).or_insert_with(|| AccountHead::unknown(account.clone()));
    if decision.changes.is_empty() && decision.journal.is_empty() {
        return Ok(());
    }
    ledger.enter(head, decision, facts, catalog)
}

/// A lost race: the same work, done again, sees what the winner wrote.
fn is_race(error: &StoreError) -> bool {
    matches!(error, StoreError::Contention(_) | StoreError::Conflict { .. })
}

async fn write_inbox(tx: &mut Tx, rows: &InboxRows<'_>) -> Result<(), StoreError> {
    if !rows.new.is_empty() {
        let given = u64::try_from(rows.new.len()).unwrap_or(u64::MAX);
        if inbox::insert(tx, &rows.new).await? < given {
            return Err(StoreError::Conflict { constraint: "webhook_events".to_owned() });
        }
    }
    if !rows.finished.is_empty() {
        let given = u64::try_from(rows.finished.len()).unwrap_or(u64::MAX);
        // Fewer: another worker took a lease over, or finished it. Its work stands, ours goes.
        if inbox::finish(tx, &rows.finished).await? < given {
            return Err(StoreError::Conflict { constraint: "webhook_events lease".to_owned() });
        }
    }
    if !rows.duplicates.is_empty() {
        inbox::count_duplicates(tx, &rows.duplicates).await?;
    }
    if !rows.old_waits.is_empty() {
        inbox::clear_waits(tx, &rows.old_waits).await?;
    }
    if !rows.waits.is_empty() {
        inbox::set_waits(tx, &rows.waits).await?;
    }
    Ok(())
}

fn new_event(delivery: &Delivery, outcome: Outcome) -> NewEvent<'_> {
    NewEvent {
        key: delivery.key.clone(),
        event_type: delivery.event_type.as_str().into(),
        api_version: delivery.api_version.as_deref().map(Into::into),
        created_at: delivery.created_at,
        signed_at: delivery.signed_at,
        received_at: delivery.received_at,
        object: delivery.object.clone(),
        body: tollgate_store::inbox::StoredBody {
            bytes: std::borrow::Cow::Borrowed(&delivery.body.bytes),
            codec: delivery.body.codec,
            raw_len: delivery.body.raw_len,
        },
        outcome,
    }
}

fn replies(verdicts: &[Verdict], heads: &HashMap<AccountId, AccountHead>) -> Vec<Reply> {
    let reply = |status, message: &str| Reply {
        status,
        message: message.to_owned(),
        account: None,
        revision: None,
    };
    let mut replies: Vec<Reply> = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        let made = match verdict {
            Verdict::Decided(account, _) => Reply {
                account: Some(account.clone()),
                revision: heads.get(account).map(|head| head.revision),
                ..reply(ReplyStatus::Processed, "its effects are committed")
            },
            Verdict::Duplicate => reply(ReplyStatus::Duplicate, "it was processed before"),
            // The second of two in one batch stands as the first does, unless that one is done.
            Verdict::Repeats(first) => match replies.get(*first) {
                Some(first) if first.status != ReplyStatus::Processed => first.clone(),
                _ => reply(ReplyStatus::Duplicate, "it was processed before"),
            },
            Verdict::Ignored(reason) => reply(ReplyStatus::Ignored, reason),
            Verdict::Waiting(_) => {
                reply(ReplyStatus::Waiting, "stored until an account is linked to its objects")
            }
            Verdict::Failed(why) => reply(ReplyStatus::Failed, why),
        };
        replies.push(made);
    }
    replies
}
