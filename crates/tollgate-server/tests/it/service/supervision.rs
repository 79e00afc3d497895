//! Background tasks that fail: seen, told by `/readyz`, begun anew or the end of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tollgate_sandbox::server::SandboxClock;
use tollgate_server::clock::Clock;
use tollgate_server::metrics::TaskLabel;
use tollgate_server::run::{self, Background, Leave, RunOptions};
use tollgate_server::supervisor::{OnTurn, TaskKind};

use crate::support::{Settings, TestApp, TestDatabase, config, on_both};

/// A task that panics at every turn while it is told to.
#[derive(Clone, Default)]
struct Trap {
    set: Arc<AtomicBool>,
    turns: Arc<AtomicUsize>,
}

impl Trap {
    fn of(&self, kind: TaskKind) -> OnTurn {
        let own = self.clone();
        OnTurn::new(move |turning| {
            if turning == kind {
                own.turns.fetch_add(1, Ordering::SeqCst);
                assert!(!own.set.load(Ordering::SeqCst), "on purpose, in a test");
            }
        })
    }

    fn set(&self, on: bool) {
        self.set.store(on, Ordering::SeqCst);
    }

    fn turns(&self) -> usize {
        self.turns.load(Ordering::SeqCst)
    }
}

async fn start(database: &TestDatabase, on_turn: OnTurn) -> TestApp {
    let key = ("STRIPE_SECRET_KEY".into(), "sk_test_tollgate0123456789".into());
    // Nobody listens there: calls to Stripe fail, and the workers live with it.
    let base = ("STRIPE_API_BASE".into(), "http://127.0.0.1:9".into());
    let pace = ("TOLLGATE__WORKERS__POLL_MS".into(), "10".into());
    let drain = ("TOLLGATE__HTTP__DRAIN_MS".into(), "300".into());
    let settings = Settings {
        background: true,
        environment: vec![key, base, pace, drain],
        on_turn: Some(on_turn),
        ..Settings::default()
    };
    TestApp::start_with(database, settings).await
}

/// Asks `/readyz` until it answers so; returns what it says of the tasks.
async fn until_ready_is(app: &TestApp, status: u16) -> String {
    let begun = Instant::now();
    loop {
        let answer = app.request("GET", "/readyz", &[], "").await;
        if answer.status == status {
            return answer.json()["tasks"].to_string();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "still {}", answer.text);
    }
}

fn ends(app: &TestApp, kind: TaskKind) -> u64 {
    app.app().metrics.task_ends.get_or_create(&TaskLabel { task: kind.as_str() }).get()
}

on_both! {
    async fn a_writer_that_panics_acknowledges_nothing_and_begins_anew(database: &TestDatabase) {
        let trap = Trap::default();
        let app = start(database, trap.of(TaskKind::Writer)).await;
        until_ready_is(&app, 200).await;
        let events = app.scenario("checkout", "acme");
        trap.set(true);
        let refused = app.deliver(&events[0].body).await;
        assert_eq!((refused.status, refused.field("code").as_str()), (503, "not_committed"));
        assert!(ends(&app, TaskKind::Writer) >= 1);
        trap.set(false);
        until_ready_is(&app, 200).await;
        let statuses = app.deliver_all(&events).await;
        assert!(!statuses.iter().any(|status| status == "failed"), "{statuses:?}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_falls_while_a_task_is_down_and_rises_when_it_runs_again() {
    for kind in [
        TaskKind::Feed,
        TaskKind::Retry,
        TaskKind::Refetch,
        TaskKind::Reconcile,
        TaskKind::Schedule,
        TaskKind::Journals,
        TaskKind::Findings,
    ] {
        let (database, trap) = (TestDatabase::sqlite(), Trap::default());
        trap.set(true);
        let app = start(&database, trap.of(kind)).await;
        let told = until_ready_is(&app, 503).await;
        assert!(told.contains(kind.as_str()), "{told}");
        assert!(ends(&app, kind) >= 1);
        // Checks do not need it.
        app.check("acme", "weekly_digest").await;
        trap.set(false);
        let turns = trap.turns();
        until_ready_is(&app, 200).await;
        let begun = Instant::now();
        while trap.turns() == turns {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} does not run", kind.as_str());
            tokio::task::yield_now().await;
        }
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_the_listener_is_the_end_of_the_process() {
    let (database, trap) = (TestDatabase::sqlite(), Trap::default());
    let app = start(&database, trap.of(TaskKind::Api)).await;
    trap.set(true);
    // The connection is accepted and then nobody is there; what becomes of it does not matter.
    tokio::net::TcpStream::connect(app.running.address).await.expect("a listener");
    assert_eq!(app.running.lost().await, TaskKind::Api);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_every_task_within_the_drain_time_calls_to_stripe_included() {
    let database = TestDatabase::sqlite();
    // It takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", silent.local_addr().expect("an address"));
    let settings = Settings {
        background: true,
        environment: vec![
            ("STRIPE_SECRET_KEY".into(), "sk_test_tollgate0123456789".into()),
            ("STRIPE_API_BASE".into(), base),
            ("TOLLGATE__HTTP__DRAIN_MS".into(), "500".into()),
        ],
        ..Settings::default()
    };
    let app = TestApp::start_with(&database, settings).await;
    let called = silent.accept().await.expect("the reconciliation of the start calls");
    let begun = Instant::now();
    app.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "stopped after {:?}", begun.elapsed());
    drop(called);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_journals_lives_at_the_engines_time() {
    let database = TestDatabase::sqlite();
    let (trap, sandbox) = (Trap::default(), SandboxClock::running(0));
    let options = RunOptions {
        background: Background::On,
        on_turn: Some(trap.of(TaskKind::Journals)),
        ..RunOptions::default()
    };
    let config = config(&database.url(), &Settings::default());
    let clock = Clock::Sandbox(sandbox.clone());
    let running = run::start_with(config, clock, options).await.expect("it starts");
    let begun = Instant::now();
    // It looks once, and then when a day has passed for the engine, long before a minute has for us.
    while trap.turns() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it did not look again");
        sandbox.advance(Duration::from_hours(25));
        tokio::task::yield_now().await;
    }
    running.shutdown(Leave::AtOnce).await;
}
