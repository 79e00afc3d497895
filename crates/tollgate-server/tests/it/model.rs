//! The model check: random lives at Stripe, told with trouble, and one reconciliation.
//!
//! Accounts buy, change, fail to pay, are refunded, dispute, pause and end while time passes. Their
//! events are lost, doubled, late by up to three days, reordered and in mixed API versions, and they
//! come as snapshots, as thin events, in mixed form or in both. Some also pay for another product in
//! the same Stripe account, and for some days the engine has a key of another account. No object of
//! the other product is ever written to, and after one reconciliation the engine's facts are
//! Stripe's truth, and as much was repaired as was lost.
//!
//! A world that fails prints its seed; `TOLLGATE_SEED=n` runs that world alone.

use futures_util::StreamExt;
use tollgate_server::config::environment::Environment;
use tollgate_server::reconcile::{self, Kind, Order, Report};

use crate::support::TestDatabase;

mod life;
mod truth;

use life::World;

/// Ten worlds of fifty accounts: five hundred lives.
const WORLDS: u64 = 10;
const ACCOUNTS: usize = 50;
/// Worlds at once.
const SIDE_BY_SIDE: usize = 4;
/// Days of trouble; with the three that late events may take, all that is listed as an event.
const DAYS: i64 = 25;

async fn reconcile(world: &World, dry: bool) -> Report {
    let order = Order { kind: Kind::Sweep, account: None, dry, allow_ends: true };
    reconcile::reconcile(world.app.app(), order, &|_, _| {}).await.expect("it comes to its end")
}

/// Differences, but for the other product's prices: the catalog is not to map them.
fn drifted(report: &Report) -> u64 {
    report.drifted() - report.drift.get("unknown_price").copied().unwrap_or_default()
}

async fn live(seed: u64, database: &TestDatabase) -> life::Deeds {
    let mut world = World::start(seed, ACCOUNTS, database).await;
    world.live(DAYS).await;
    let lost = world.end().await;
    let report = reconcile(&world, false).await;
    let found = report.drift.get("missed_event").copied().unwrap_or_default();
    assert_eq!(
        (found, drifted(&report), report.repaired, report.unreadable),
        (lost, lost, lost, 0),
        "drift repaired = deliveries lost; TOLLGATE_SEED={seed}\n{report:#?}"
    );
    let differences = truth::differences(&world).await;
    assert!(differences.is_empty(), "TOLLGATE_SEED={seed}\n{}", differences.join("\n"));
    let trespasses = world.trespasses();
    assert!(trespasses.is_empty(), "TOLLGATE_SEED={seed}\n{}", trespasses.join("\n"));
    let again = reconcile(&world, true).await;
    assert_eq!((drifted(&again), again.settled), (0, 0), "TOLLGATE_SEED={seed}\n{again:#?}");
    let deeds = std::mem::take(&mut world.deeds);
    world.stop().await;
    deeds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_one_reconciliation_the_facts_are_stripes_truth() {
    let environment = Environment::of_process();
    let wanted = environment.get("TOLLGATE_SEED").map(|seed| seed.parse().expect("a number"));
    let seeds: Vec<u64> = wanted.map_or_else(|| (0..WORLDS).collect(), |seed| vec![seed]);
    // Side by side, for calls to Stripe mostly wait for their budget.
    let lives = seeds.into_iter().map(|seed| async move {
        let database = match seed % 2 {
            1 => TestDatabase::postgres().await.unwrap_or_else(TestDatabase::sqlite),
            _ => TestDatabase::sqlite(),
        };
        live(seed, &database).await
    });
    let mut lives = futures_util::stream::iter(lives).buffer_unordered(SIDE_BY_SIDE);
    let mut deeds = life::Deeds::default();
    while let Some(done) = lives.next().await {
        deeds.add(&done);
    }
    if wanted.is_none() {
        // A check of lives in which nothing happens would show nothing.
        assert!(deeds.of_every_kind_at_least(20), "{deeds:?}");
    }
}
