//! The queue in front of the writers. Owns: what waits to be committed, who waits for its reply, and
//! which deliveries are taken together. Must not know: how they are committed, HTTP.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::Intake;
use super::delivery::{Delivery, Reply};
use crate::metrics::Metrics;
use crate::supervisor::{Supervisor, TaskKind};

/// A delivery in the queue, with who waits for its reply.
#[derive(Debug)]
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

/// How often a writer looks again for more before it begins a batch.
const GATHERING_MAX: u32 = 16;

/// What the writers share.
type Receiver = Arc<Mutex<mpsc::Receiver<Queued>>>;

/// The queue in front of the writers.
#[derive(Debug, Clone)]
pub struct Queue {
    sender: mpsc::Sender<Queued>,
    receiver: Receiver,
    ack_timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Queue {
    /// An empty queue that nobody takes from yet.
    pub fn new(intake: &Intake) -> Self {
        let (sender, receiver) = mpsc::channel(intake.limits.queue_max.max(1));
        Self {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
            ack_timeout: Duration::from_millis(intake.limits.ack_timeout_ms),
            metrics: Arc::clone(&intake.metrics),
        }
    }

    /// Starts the writers. At the stop each ends after the batch it is at.
    pub fn write(
        &self,
        intake: &Arc<Intake>,
        supervisor: &Supervisor,
        stop: &watch::Receiver<bool>,
    ) -> Vec<tokio::task::JoinHandle<()>> {
        let writers = 0..intake.limits.writers.max(1);
        writers
            .map(|_| {
                let (intake, receiver) = (Arc::clone(intake), Arc::clone(&self.receiver));
                let (watch, stopped) = (supervisor.clone(), stop.clone());
                supervisor.spawn(TaskKind::Writer, stop.clone(), move || {
                    let (intake, receiver) = (Arc::clone(&intake), Arc::clone(&receiver));
                    write(intake, receiver, watch.clone(), stopped.clone())
                })
            })
            .collect()
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

/// One writer: takes what is there, commits it, answers. Should it panic, those whose deliveries it
/// holds get no reply, which is 503, and send them again.
async fn write(
    intake: Arc<Intake>,
    receiver: Receiver,
    supervisor: Supervisor,
    mut stop: watch::Receiver<bool>,
) {
    let batch_max = intake.limits.batch_max.max(1);
    loop {
        let mut taken = Vec::new();
        // What was taken before the stop is still committed and answered.
        tokio::select! {
            () = take(&receiver, &mut taken, batch_max) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
        if taken.is_empty() {
            return;
        }
        intake.metrics.intake_queue.dec_by(i64::try_from(taken.len()).unwrap_or(i64::MAX));
        supervisor.turn(TaskKind::Writer);
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

/// Waits for the first delivery and takes all that are there with it, and those that tasks which are
/// ready to run bring meanwhile: a batch costs the same for one event as for ten. Nothing waits for
/// time to pass.
async fn take<T>(receiver: &Mutex<mpsc::Receiver<T>>, taken: &mut Vec<T>, most: usize) {
    let mut receiver = receiver.lock().await;
    let mut count = receiver.recv_many(taken, most).await;
    for _ in 0..GATHERING_MAX {
        if count == 0 || taken.len() >= most {
            break;
        }
        tokio::task::yield_now().await;
        let before = taken.len();
        while taken.len() < most {
            let Ok(one) = receiver.try_recv() else { break };
            taken.push(one);
        }
        count = taken.len() - before;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn a_batch_has_what_other_tasks_bring_and_no_more_than_it_may() {
        let (sender, receiver) = mpsc::channel(16);
        let receiver = Mutex::new(receiver);
        sender.try_send(0).expect("room");
        let others = async {
            for number in 1..9 {
                sender.try_send(number).expect("room");
            }
        };
        let mut taken = Vec::new();
        tokio::join!(take(&receiver, &mut taken, 6), others);
        assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
        taken.clear();
        take(&receiver, &mut taken, 6).await;
        assert_eq!(taken, [6, 7, 8], "nothing waits for more");
    }

    #[tokio::test]
    async fn what_was_taken_is_there_when_the_stop_comes_before_the_batch_is_whole() {
        let (sender, receiver) = mpsc::channel(16);
        let receiver = Mutex::new(receiver);
        sender.try_send(0).expect("room");
        let mut taken = Vec::new();
        {
            let mut taking = std::pin::pin!(take(&receiver, &mut taken, 6));
            let mut context = Context::from_waker(Waker::noop());
            assert_eq!(taking.as_mut().poll(&mut context), Poll::Pending, "it looks again");
        }
        assert_eq!(taken, [0]);
    }
}
