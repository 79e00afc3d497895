//! Supervision of background tasks. Owns: what happens when a task ends that should not have, and
//! which tasks are not running now. Must not know: what a task does.
//!
//! No task ends unseen. One that panics or returns before the stop is logged and counted, the engine
//! is not ready while it is down, and its kind says whether it begins anew or the process ends.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::episodes::Episodes;
use crate::metrics::{Metrics, ReasonLabel, TaskLabel};

/// A task that ran for so long had recovered from what ended it before.
const STEADY: Duration = Duration::from_mins(1);

/// The kinds of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// The accept loop of the API.
    Api,
    /// The accept loop of the metrics.
    Metrics,
    /// A writer of the intake.
    Writer,
    /// Following the change feed.
    Feed,
    /// Retries of events.
    Retry,
    /// Asking Stripe about doubts.
    Refetch,
    /// The schedule of reconciliations.
    Reconcile,
    /// Telling of ends that no event announces.
    Schedule,
    /// Reviewing the findings of all accounts after the catalog changed.
    Findings,
    /// Checking the chains of the journals.
    Journals,
    /// Removing what is older than it is kept.
    Retention,
    /// Telling in the log that something has ended.
    Log,
    /// Saying that a server is there.
    Presence,
    /// A reconciliation that somebody asked for.
    Run,
}

/// What follows when a task ends that should not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The process ends with a failure: nothing in it can mend this, and whoever runs it starts
    /// another.
    Exit,
    /// It begins anew after a wait that doubles from `first` to `cap`.
    Restart {
        /// The first wait.
        first: Duration,
        /// The longest.
        cap: Duration,
    },
    /// Nothing: it was work asked for once, and what is left of it is found by its lease.
    Forget,
}

impl Policy {
    /// The wait before a task begins anew that has failed so many times in a row; `None`: it does
    /// not.
    fn wait(self, failures: u32) -> Option<Duration> {
        let Self::Restart { first, cap } = self else { return None };
        let doublings = failures.saturating_sub(1).min(16);
        Some(first.saturating_mul(1_u32 << doublings).min(cap))
    }
}

impl TaskKind {
    /// Name in logs, metrics and `/readyz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Metrics => "metrics",
            Self::Writer => "writer",
            Self::Feed => "feed",
            Self::Retry => "retry",
            Self::Refetch => "refetch",
            Self::Reconcile => "reconcile",
            Self::Schedule => "schedule",
            Self::Findings => "findings",
            Self::Journals => "journals",
            Self::Retention => "retention",
            Self::Log => "log",
            Self::Presence => "presence",
            Self::Run => "reconciliation_run",
        }
    }

    /// What follows its unexpected end. Those that answers or acknowledgements wait for begin anew
    /// almost at once; the others can wait. A listener's socket is gone with it.
    pub const fn policy(self) -> Policy {
        match self {
            Self::Api | Self::Metrics => Policy::Exit,
            Self::Writer | Self::Feed => {
                Policy::Restart { first: Duration::from_millis(50), cap: Duration::from_secs(2) }
            }
            Self::Retry
            | Self::Refetch
            | Self::Reconcile
            | Self::Schedule
            | Self::Findings
            | Self::Journals
            | Self::Retention
            | Self::Log
            | Self::Presence => {
                Policy::Restart { first: Duration::from_secs(1), cap: Duration::from_mins(1) }
            }
            Self::Run => Policy::Forget,
        }
    }
}

impl TaskKind {
    /// The longest time between two turns of a task that is well; `None` where it waits for something
    /// to happen, or does work of any length in one turn. Statements and calls have deadlines of their
    /// own, which a turn may meet several times.
    pub const fn silence_max(self) -> Option<Duration> {
        match self {
            Self::Feed | Self::Log | Self::Presence => Some(Duration::from_mins(1)),
            Self::Retry | Self::Schedule => Some(Duration::from_mins(5)),
            Self::Refetch => Some(Duration::from_mins(15)),
            Self::Api
            | Self::Metrics
            | Self::Writer
            | Self::Reconcile
            | Self::Findings
            | Self::Journals
            | Self::Retention
            | Self::Run => None,
        }
    }
}

/// Called at every turn of a task, in the task: an observer of its life. A panic in it is a panic
/// of the task, which is how tests make one fail.
#[derive(Clone)]
pub struct OnTurn(Arc<dyn Fn(TaskKind) + Send + Sync>);

impl OnTurn {
    /// From a function.
    pub fn new(observe: impl Fn(TaskKind) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }
}

impl fmt::Debug for OnTurn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OnTurn")
    }
}

/// Watches over the tasks of one engine. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Supervisor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many tasks of a kind are down.
    down: Mutex<BTreeMap<TaskKind, u32>>,
    /// The first task whose end the process cannot outlive.
    lost: watch::Sender<Option<TaskKind>>,
    /// Work asked for once.
    runs: Mutex<JoinSet<()>>,
    /// When a task of a kind last came round.
    turns: Mutex<BTreeMap<TaskKind, Instant>>,
    /// Tasks that cannot do their work.
    troubles: Episodes,
    metrics: Arc<Metrics>,
    on_turn: Option<OnTurn>,
}

impl Supervisor {
    /// One that has no tasks yet.
    pub fn new(metrics: Arc<Metrics>, on_turn: Option<OnTurn>) -> Self {
        let (lost, _) = watch::channel(None);
        let (down, runs, turns) = (Mutex::default(), Mutex::default(), Mutex::default());
        let troubles = Episodes::new("a background task cannot do its work");
        Self(Arc::new(Inner { down, lost, runs, turns, troubles, metrics, on_turn }))
    }

    /// To be called by a task at each of its turns.
    pub fn turn(&self, kind: TaskKind) {
        if kind.silence_max().is_some() {
            let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.insert(kind, Instant::now());
        }
        if let Some(OnTurn(observe)) = &self.0.on_turn {
            observe(kind);
        }
    }

    /// The kinds of which a task is not running now.
    pub fn down(&self) -> Vec<TaskKind> {
        self.0.down.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The kinds whose task has not come round for longer than it may take.
    pub fn stuck(&self) -> Vec<TaskKind> {
        let turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = turns
            .iter()
            .filter(|(kind, last)| kind.silence_max().is_some_and(|most| last.elapsed() > most));
        stuck.map(|(kind, _)| *kind).collect()
    }

    /// A task could not do its work this time.
    pub fn trouble(&self, kind: TaskKind, error: impl fmt::Display) {
        let label = ReasonLabel { reason: kind.as_str() };
        self.0.metrics.worker_errors.get_or_create(&label).inc();
        self.0.troubles.note(kind.as_str(), error);
    }

    /// Says of what has not happened for a while that it has ended.
    pub fn end_quiet_episodes(&self) {
        self.0.troubles.end_quiet();
    }

    /// Waits until a task has ended without which the process must not go on.
    pub async fn lost(&self) -> TaskKind {
        let mut lost = self.0.lost.subscribe();
        match lost.wait_for(Option::is_some).await.map(|kind| *kind) {
            Ok(Some(kind)) => kind,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Runs a task until the stop. `make` begins it, and begins it anew where its kind allows.
    pub fn spawn<F>(
        &self,
        kind: TaskKind,
        stop: watch::Receiver<bool>,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send,
    {
        let own = self.clone();
        tokio::spawn(async move { own.run(kind, stop, make).await })
    }

    /// Runs a task that cannot begin anew.
    pub fn spawn_once(
        &self,
        kind: TaskKind,
        stop: watch::Receiver<bool>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let own = self.clone();
        tokio::spawn(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            if ended.is_err() || !*stop.borrow() {
                own.note_end(kind, &ended);
            }
        })
    }

    /// Does work that somebody asked for and does not wait for.
    pub fn spawn_run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let own = self.clone();
        let watched = async move {
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            if ended.is_err() {
                own.note_end(TaskKind::Run, &ended);
            }
        };
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        while runs.try_join_next().is_some() {}
        runs.spawn(watched);
    }

    /// Lets the work somebody asked for end by itself until the deadline, then cuts it off.
    pub async fn end_runs(&self, deadline: Instant) {
        let taken =
            std::mem::take(&mut *self.0.runs.lock().unwrap_or_else(PoisonError::into_inner));
        let mut runs = taken;
        let ended = async { while runs.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            tracing::warn!("a reconciliation was cut off; it goes on from where it is");
            runs.shutdown().await;
        }
    }

    async fn run<F>(&self, kind: TaskKind, mut stop: watch::Receiver<bool>, make: impl Fn() -> F)
    where
        F: Future<Output = ()> + Send,
    {
        let mut failures = 0_u32;
        loop {
            let begun = Instant::now();
            let ended = AssertUnwindSafe(async { make().await }).catch_unwind().await;
            if ended.is_ok() && *stop.borrow() {
                return;
            }
            if begun.elapsed() > STEADY {
                failures = 0;
            }
            failures = failures.saturating_add(1);
            self.note_end(kind, &ended);
            let Some(wait) = kind.policy().wait(failures) else { return };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stopped| *stopped) => return,
            }
            self.note_begin(kind);
        }
    }

    fn note_end(&self, kind: TaskKind, ended: &std::thread::Result<()>) {
        let why = match ended {
            Ok(()) => "it returned",
            Err(panic) => panic_text(panic.as_ref()),
        };
        tracing::error!(task = kind.as_str(), why, "a background task ended unexpectedly");
        self.0.metrics.task_ends.get_or_create(&TaskLabel { task: kind.as_str() }).inc();
        if kind.policy() == Policy::Forget {
            return;
        }
        {
            let mut down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
            let count = down.entry(kind).or_default();
            *count = count.saturating_add(1);
        }
        if kind.policy() == Policy::Exit {
            self.0.lost.send_if_modified(|lost| {
                let first = lost.is_none();
                lost.get_or_insert(kind);
                first
            });
        }
    }

    fn note_begin(&self, kind: TaskKind) {
        let mut down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = down.get_mut(&kind) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                down.remove(&kind);
            }
        }
    }
}

/// Waits for tasks until the deadline and cuts the others off.
pub async fn end(tasks: Vec<JoinHandle<()>>, what: &'static str, deadline: Instant) {
    let mut cut = 0_usize;
    for mut task in tasks {
        if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
            task.await.ok();
            cut = cut.saturating_add(1);
        }
    }
    if cut > 0 {
        tracing::warn!(what, cut, "still at work after the drain time, and cut off");
    }
}

/// What a panic says.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&'static str>().copied()).unwrap_or("it panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor() -> Supervisor {
        Supervisor::new(Arc::new(Metrics::new()), None)
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let wait = |n| TaskKind::Retry.policy().wait(n).map(|wait| wait.as_secs());
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)] {
            assert_eq!(wait(failures), Some(seconds));
        }
        assert_eq!(TaskKind::Api.policy().wait(1), None);
    }

    #[tokio::test]
    async fn a_task_that_returns_begins_anew_and_is_down_meanwhile() {
        let (own, (stop, stopped)) = (supervisor(), watch::channel(false));
        let (begun, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let watched = own.clone();
        let task = own.spawn(TaskKind::Feed, stopped, move || {
            begun.send(watched.down()).unwrap();
            std::future::ready(())
        });
        for _ in 0..3 {
            assert!(seen.recv().await.unwrap().is_empty(), "up when it begins");
            while own.down() != [TaskKind::Feed] {
                tokio::task::yield_now().await;
            }
        }
        stop.send_replace(true);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_listener_that_ends_is_lost_for_the_process() {
        let (own, (_stop, stopped)) = (supervisor(), watch::channel(false));
        let panics = async { panic!("on purpose") };
        own.spawn_once(TaskKind::Api, stopped, panics).await.unwrap();
        assert_eq!(own.lost().await, TaskKind::Api);
        assert_eq!(own.down(), [TaskKind::Api]);
    }

    #[tokio::test]
    async fn an_end_after_the_stop_is_none() {
        let (own, (stop, stopped)) = (supervisor(), watch::channel(false));
        stop.send_replace(true);
        own.spawn(TaskKind::Feed, stopped.clone(), || std::future::ready(())).await.unwrap();
        own.spawn_once(TaskKind::Api, stopped, std::future::ready(())).await.unwrap();
        assert!(own.down().is_empty());
    }

    #[tokio::test]
    async fn what_does_not_end_is_cut_off_at_the_deadline() {
        let deadline = Instant::now() + Duration::from_millis(20);
        let tasks = vec![tokio::spawn(std::future::pending()), tokio::spawn(async {})];
        end(tasks, "tasks", deadline).await;
        let own = supervisor();
        own.spawn_run(std::future::pending());
        own.end_runs(deadline).await;
        assert!(Instant::now() >= deadline);
    }
}
