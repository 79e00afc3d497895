//! Intake: from a verified event to its committed effects. Owns: the one function through which every
//! event passes, whether it was delivered, retried or replayed. Must not know: HTTP, signatures.
//!
//! Deliveries that arrive together are committed together: a writer takes what is there, never
//! lingers, and answers after the commit.

mod batch;
mod dead;
pub mod delivery;
pub mod fetched;
mod guarded;
mod heard;
mod inbox_rows;
pub mod notice;
mod queue;
mod reach;
pub mod read;
mod replies;
pub mod squeeze;
mod waiting;
mod work;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tollgate_domain::Catalog;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_store::{Db, StoreError, Tx, inbox};

use batch::NotDone;

pub use dead::DiscardError;
pub use delivery::{Content, Delivery, Reply, ReplyStatus};
pub use queue::{NotCommitted, Queue};
pub use reach::touch;

use crate::cache::EntitlementCache;
use crate::clock::Clock;
use crate::config::{IntakeLimits, Livemode, WorkerLimits};
use crate::episodes::Episodes;
use crate::metrics::Metrics;
use crate::supervisor::panic_text;
use crate::unit_of_work::hot::HotAccounts;

/// Everything an event needs on its way into the database.
#[derive(Debug)]
pub struct Intake {
    db: Db,
    catalog: Arc<Catalog>,
    clock: Clock,
    cache: Arc<EntitlementCache>,
    metrics: Arc<Metrics>,
    limits: IntakeLimits,
    workers: WorkerLimits,
    /// Name of this instance in leases and in the change feed.
    instance: String,
    /// Stripe can be asked, so doubts are noted.
    asks: bool,
    /// Whether a customer's e-mail may tell the account.
    match_email: bool,
    /// Live or test mode: as configured, else as the first event seen had it.
    livemode: OnceLock<bool>,
    /// The database keeps that mode.
    mode_is_kept: AtomicBool,
    /// There have been thin events.
    any_thin: AtomicBool,
    wake: WakeUps,
    /// Accounts as the last batches left them.
    hot: HotAccounts,
    /// Batches the database did not commit.
    not_committed: Episodes,
}

/// What the retry worker is told after a commit. Hints only; its polling is the truth.
#[derive(Debug, Default)]
pub struct WakeUps {
    notify: Notify,
    doubt: Notify,
    commit: Notify,
}

impl WakeUps {
    /// Waits until there may be something to do.
    pub async fn notified(&self) {
        self.notify.notified().await;
    }

    /// Waits until there may be something to ask Stripe for.
    pub async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// Waits until a commit has ended without telling its outcome.
    pub async fn commit_in_doubt(&self) {
        self.commit.notified().await;
    }
}

/// The parts an [`Intake`] is made of.
#[derive(Debug)]
pub struct IntakeParts {
    /// Where events and effects are kept.
    pub db: Db,
    /// Plans and prices.
    pub catalog: Arc<Catalog>,
    /// The present.
    pub clock: Clock,
    /// Told of every changed account.
    pub cache: Arc<EntitlementCache>,
    /// Counted in.
    pub metrics: Arc<Metrics>,
    /// Limits of the queue and of a batch.
    pub limits: IntakeLimits,
    /// Pace of retries.
    pub workers: WorkerLimits,
    /// Name of this instance.
    pub instance: String,
    /// Whether Stripe can be asked about what events leave in doubt.
    pub asks: bool,
    /// Whether a customer's e-mail may tell the account.
    pub match_email: bool,
    /// Live or test mode, where it is configured.
    pub livemode: Option<bool>,
}

impl Intake {
    /// Puts the parts together.
    pub fn new(parts: IntakeParts) -> Self {
        Self {
            db: parts.db,
            catalog: parts.catalog,
            clock: parts.clock,
            cache: parts.cache,
            metrics: parts.metrics,
            limits: parts.limits,
            workers: parts.workers,
            instance: parts.instance,
            asks: parts.asks,
            match_email: parts.match_email,
            livemode: parts.livemode.map_or_else(OnceLock::new, OnceLock::from),
            mode_is_kept: AtomicBool::new(false),
            any_thin: AtomicBool::new(false),
            wake: WakeUps::default(),
            hot: HotAccounts::default(),
            not_committed: Episodes::new("events are not committed"),
        }
    }

    /// Processes deliveries in as few transactions as possible, in order. Each has its reply at
    /// its place; `None` means that nothing of it was committed, for the database is away.
    ///
    /// A delivery that cannot be written together with the others is written alone; one that
    /// cannot be processed at all is stored as `failed`, to be tried again.
    pub async fn process(&self, deliveries: &[Delivery]) -> Vec<Option<Reply>> {
        let mut replies: Vec<Option<Reply>> = Vec::with_capacity(deliveries.len());
        for piece in deliveries.chunks(self.limits.batch_max.max(1)) {
            let piece: Vec<&Delivery> = piece.iter().collect();
            // A defect in it costs nothing: all goes the other way.
            let guarded = AssertUnwindSafe(self.commit_guarded(&piece)).catch_unwind().await;
            let mut guarded = guarded.unwrap_or_else(|_| piece.iter().map(|_| None).collect());
            let open = piece.iter().zip(&guarded).filter(|(_, reply)| reply.is_none());
            let open: Vec<&Delivery> = open.map(|(delivery, _)| *delivery).collect();
            let mut others = self.commit_locked(&open).await.into_iter();
            for reply in guarded.iter_mut().filter(|reply| reply.is_none()) {
                *reply = others.next().flatten();
            }
            replies.extend(guarded);
        }
        replies
    }

    /// Commits deliveries in locked transactions.
    async fn commit_locked(&self, deliveries: &[&Delivery]) -> Vec<Option<Reply>> {
        let mut replies: Vec<Option<Reply>> = Vec::with_capacity(deliveries.len());
        let mut pieces: Vec<&[&Delivery]> = vec![deliveries];
        pieces.retain(|piece| !piece.is_empty());
        while let Some(piece) = pieces.pop() {
            // A defect must cost one event, not the neighbours it was taken with nor the writer.
            let done = AssertUnwindSafe(self.commit_batch(piece)).catch_unwind().await;
            let trouble = match done {
                Ok(Ok(done)) => {
                    replies.extend(done.into_iter().map(Some));
                    continue;
                }
                Ok(Err(NotDone::Alone(place))) => {
                    pieces.extend(around(piece, place));
                    continue;
                }
                Ok(Err(NotDone::Store(error))) if error.is_unavailable() => {
                    replies.extend(piece.iter().map(|_| None));
                    self.not_committed.note(error.reason(), error);
                    continue;
                }
                Ok(Err(NotDone::Store(error))) => error.to_string(),
                Err(panic) => format!("a defect: {}", panic_text(panic.as_ref())),
            };
            if piece.len() > 1 {
                tracing::warn!(trouble, events = piece.len(), "batch refused, divided");
                let (first, second) = piece.split_at(piece.len() / 2);
                pieces.push(second);
                pieces.push(first);
                continue;
            }
            for delivery in piece {
                replies.push(self.store_failed(delivery, &trouble).await.ok());
            }
        }
        replies
    }

    /// Says of what has not happened for a while that it has ended.
    pub fn end_quiet_episodes(&self) {
        self.not_committed.end_quiet();
    }

    /// What the retry worker waits for.
    pub const fn wake_ups(&self) -> &WakeUps {
        &self.wake
    }

    /// The database events are committed to.
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// The mode whose events are taken; `None` before the first one.
    pub fn mode(&self) -> Option<Livemode> {
        self.livemode.get().copied().map(Livemode::of)
    }

    /// The name of this instance.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The present.
    pub fn now(&self) -> tollgate_domain::Timestamp {
        self.clock.now()
    }

    /// Plans and prices.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Whether there is somebody to ask Stripe.
    pub(crate) const fn asks(&self) -> bool {
        self.asks
    }

    /// There have been thin events, here or at another instance: what is told by one is not told
    /// again by the snapshot event of the same happening.
    pub(crate) fn heed_thin_events(&self) {
        self.any_thin.store(true, Ordering::Release);
    }

    /// Whether it is known that there have been thin events.
    pub(crate) fn heeds_thin_events(&self) -> bool {
        self.any_thin.load(Ordering::Acquire)
    }

    /// Tells the one who asks Stripe that there is something to ask for.
    pub(crate) fn after_doubt(&self) {
        self.wake.doubt.notify_one();
    }

    /// Commits a transaction that changes these accounts: the only way to commit one. Whatever
    /// comes of it (the answer is lost, or nobody waits for it any more), the accounts are taken
    /// for changed. Where the outcome is unknown the change feed is read at once; until its row
    /// is seen there, the old answer may be given for as long as [`STALENESS_MAX`].
    ///
    /// [`STALENESS_MAX`]: crate::freshness::STALENESS_MAX
    pub(crate) async fn commit(
        &self,
        tx: Tx,
        changed: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        self.commit_by(changed, tx.commit()).await
    }

    /// The same for a commit of another form.
    async fn commit_by<T>(
        &self,
        changed: &[(AccountId, u64)],
        commit: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut outcome = CommitOutcome { intake: self, changed, known: false };
        let done = commit.await;
        outcome.known = done.is_ok();
        done
    }

    /// Accounts that are changed another way are read anew by the next batch.
    pub(crate) fn forget(&self, changed: &[(AccountId, u64)]) {
        for (account, _) in changed {
            self.hot.forget(account);
        }
    }

    /// Forgets every account and event: the database may have been set back.
    pub(crate) fn forget_all(&self) {
        self.hot.clear();
    }

    /// Wakes what waits for objects that a commit has linked, or for e-mails that it has given to an
    /// account or taken from one: what began to wait during the commit did not see it, nor it that. Where that
    /// cannot be done, the net does so later.
    pub(crate) async fn wake_linked(&self, objects: &[ObjectId]) {
        if objects.is_empty() {
            return;
        }
        match inbox::wake_linked(&self.db, objects).await {
            Ok(0) => {}
            Ok(_) => self.after_wake(),
            Err(error) => tracing::warn!(%error, "waking what waits for new links"),
        }
    }

    /// Tells the retry worker about a commit by which events may have become due.
    pub(crate) fn after_wake(&self) {
        self.wake.notify.notify_one();
    }

    /// Looks whether what events of a batch began to wait for was linked while they did. Where it
    /// cannot, the net does so later.
    async fn look_back(&self, awaited: &[ObjectId]) {
        match inbox::look_back(&self.db, awaited).await {
            Ok(0) => {}
            Ok(_) => self.wake.notify.notify_one(),
            Err(error) => tracing::warn!(%error, "looking for links that came meanwhile"),
        }
    }
}

/// A piece in three, the last first: what comes before a place, what is there, and what comes after.
fn around<'p, 'd>(
    piece: &'p [&'d Delivery],
    place: usize,
) -> impl Iterator<Item = &'p [&'d Delivery]> {
    let (before, rest) = piece.split_at(place.min(piece.len()));
    let (alone, after) = rest.split_at(rest.len().min(1));
    [after, alone, before].into_iter().filter(|part| !part.is_empty())
}

/// A commit whose outcome is awaited.
struct CommitOutcome<'a> {
    intake: &'a Intake,
    changed: &'a [(AccountId, u64)],
    known: bool,
}

impl Drop for CommitOutcome<'_> {
    fn drop(&mut self) {
        for (account, _) in self.changed {
            self.intake.cache.raise(account.as_str());
        }
        if !self.known {
            self.intake.wake.commit.notify_one();
        }
    }
}
