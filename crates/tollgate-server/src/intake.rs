//! Intake: from a verified event to its committed effects. Owns: the queue in front of the
//! database and the one function through which every event passes, whether it was delivered,
//! retried or replayed. Must not know: HTTP, signatures.
//!
//! Deliveries that arrive together are committed together: a writer takes what is there, never
//! lingers, and answers after the commit.

mod batch;
mod dead;
pub mod delivery;
pub mod fetched;
pub mod read;
pub mod squeeze;
mod work;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tollgate_domain::Catalog;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_store::Db;

pub use delivery::{Content, Delivery, Reply, ReplyStatus};

use crate::cache::EntitlementCache;
use crate::clock::Clock;
use crate::config::{IntakeLimits, WorkerLimits};
use crate::metrics::Metrics;

/// Most linked objects remembered for waking waiting events; beyond it the net catches them.
const LINKED_MAX: usize = 4096;

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
    wake: WakeUps,
}

/// What the retry worker is told after a commit. Hints only; its polling is the truth.
#[derive(Debug, Default)]
pub struct WakeUps {
    linked: std::sync::Mutex<Vec<ObjectId>>,
    waiting: std::sync::atomic::AtomicBool,
    notify: Notify,
    doubt: Notify,
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

    /// Takes the objects linked since the last call.
    pub fn take_linked(&self) -> Vec<ObjectId> {
        self.linked.lock().map(|mut linked| std::mem::take(&mut *linked)).unwrap_or_default()
    }

    /// Whether an event began to wait since the last call.
    pub fn take_waiting(&self) -> bool {
        self.waiting.swap(false, Ordering::AcqRel)
    }

    fn tell(&self, linked: Vec<ObjectId>, waiting: bool) {
        if linked.is_empty() && !waiting {
            return;
        }
        if let Ok(mut known) = self.linked.lock()
            && known.len() < LINKED_MAX
        {
            known.extend(linked);
        }
        if waiting {
            self.waiting.store(true, Ordering::Release);
        }
        self.notify.notify_one();
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
}

impl Intake {
    /// Puts the parts together.
    pub fn new(parts: IntakeParts) -> Self {
        let IntakeParts { db, catalog, clock, cache, metrics, limits, workers, instance, asks } =
            parts;
        let wake = WakeUps::default();
        Self { db, catalog, clock, cache, metrics, limits, workers, instance, asks, wake }
    }

    /// Processes deliveries in as few transactions as possible, in order. Each has its reply at
    /// its place; `None` means that nothing of it was committed, for the database is away.
    ///
    /// A delivery that cannot be written together with the others is written alone; one that
    /// cannot be processed at all is stored as `failed`, to be tried again.
    pub async fn process(&self, deliveries: &[Delivery]) -> Vec<Option<Reply>> {
        let mut replies: Vec<Option<Reply>> = Vec::with_capacity(deliveries.len());
        let mut pieces: Vec<&[Delivery]> =
            deliveries.chunks(self.limits.batch_max.max(1)).rev().collect();
        while let Some(piece) = pieces.pop() {
            match self.commit_batch(piece).await {
                Ok(done) => replies.extend(done.into_iter().map(Some)),
                Err(error) if error.is_unavailable() => {
                    replies.extend(piece.iter().map(|_| None));
                    tracing::warn!(%error, events = piece.len(), "events not committed");
                }
                Err(error) if piece.len() > 1 => {
                    tracing::warn!(%error, events = piece.len(), "batch refused, divided");
                    let (first, second) = piece.split_at(piece.len() / 2);
                    pieces.push(second);
                    pieces.push(first);
                }
                Err(error) => {
                    for delivery in piece {
                        replies.push(self.store_failed(delivery, &error).await.ok());
                    }
                }
            }
        }
        replies
    }

    /// What the retry worker waits for.
    pub const fn wake_ups(&self) -> &WakeUps {
        &self.wake
    }

    /// The database events are committed to.
    pub const fn db(&self) -> &Db {
        &self.db
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

    /// Tells the one who asks Stripe that there is something to ask for.
    pub(crate) fn after_doubt(&self) {
        self.wake.doubt.notify_one();
    }

    /// Tells everyone in this process about a commit.
    pub(crate) fn after_commit(
        &self,
        accounts: &[(AccountId, u64)],
        linked: Vec<ObjectId>,
        waiting: bool,
    ) {
        for (account, _) in accounts {
            self.cache.raise(account.as_str());
        }
        self.wake.tell(linked, waiting);
    }
}

/// A delivery in the queue, with who waits for its reply.
struct Queued {
    delivery: Delivery,
    reply: oneshot::Sender<Option<Reply>>,
}

/// Why a delivery was not committed.
#[derive(Debug)]
pub enum NotCommitted {
    /// The queue is full.
    Full,
    /// The database did not commit in time, or is away.
    Unavailable,
    /// The engine is stopping.
    Stopping,
}

/// The queue in front of the writers.
#[derive(Debug, Clone)]
pub struct Queue {
    sender: mpsc::Sender<Queued>,
    ack_timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Queue {
    /// Starts the writers. They end when every queue handle is gone and the queue is empty.
    pub fn start(intake: &Arc<Intake>) -> (Self, Vec<tokio::task::JoinHandle<()>>) {
        let (sender, receiver) = mpsc::channel(intake.limits.queue_max.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        let writers = (0..intake.limits.writers.max(1))
            .map(|_| tokio::spawn(write(Arc::clone(intake), Arc::clone(&receiver))))
            .collect();
        let queue = Self {
            sender,
            ack_timeout: Duration::from_millis(intake.limits.ack_timeout_ms),
            metrics: Arc::clone(&intake.metrics),
        };
        (queue, writers)
    }

    /// Hands a delivery to the writers and waits for its commit, within the deadline.
    pub async fn submit(&self, delivery: Delivery) -> Result<Reply, NotCommitted> {
        let (reply, answered) = oneshot::channel();
        self.sender.try_send(Queued { delivery, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotCommitted::Full,
            mpsc::error::TrySendError::Closed(_) => NotCommitted::Stopping,
        })?;
        self.metrics.intake_queue.inc();
        match tokio::time::timeout(self.ack_timeout, answered).await {
            Ok(Ok(Some(reply))) => Ok(reply),
            // Timed out, refused, or the writer is gone: nothing may be acknowledged.
            Ok(Ok(None) | Err(_)) | Err(_) => Err(NotCommitted::Unavailable),
        }
    }
}

/// One writer: takes what is there, commits it, answers.
async fn write(intake: Arc<Intake>, receiver: Arc<Mutex<mpsc::Receiver<Queued>>>) {
    let batch_max = intake.limits.batch_max.max(1);
    loop {
        let mut taken = Vec::new();
        let count = receiver.lock().await.recv_many(&mut taken, batch_max).await;
        if count == 0 {
            return;
        }
        intake.metrics.intake_queue.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
        // Whoever has given up waiting gets 503 and sends again; committing it anyway is right too,
        // but costs time that those who still wait do not have.
        taken.retain(|queued| !queued.reply.is_closed());
        let (deliveries, waiting): (Vec<_>, Vec<_>) =
            taken.into_iter().map(|queued| (queued.delivery, queued.reply)).unzip();
        let replies = intake.process(&deliveries).await;
        for (reply, waiting) in replies.into_iter().zip(waiting) {
            waiting.send(reply).ok();
        }
    }
}
