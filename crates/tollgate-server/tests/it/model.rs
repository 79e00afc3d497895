//! The model check: random lives at Stripe, told with trouble, and one reconciliation.
//!
//! Accounts buy, change, fail to pay, are refunded, dispute, pause and end while time passes. Their
//! events are lost, doubled, late by up to three days, reordered and in mixed API versions, and they
//! come as snapshots, as thin events, in mixed form or in both; or all that tell of subscriptions
//! are lost. Some customers pay for two accounts, some also for another product in the same Stripe
//! account. For some days the engine has a key of another account, and twice its catalog changes.
//!
//! No object of the other product and of the other account is ever written to; what was sold stays
//! sold; what no catalog maps gives nothing until one does. After one reconciliation the engine's
//! facts are Stripe's truth, as much was repaired as was lost, and every account has what it pays for. Built
//! again from the inbox alone, they are the same.
//!
//! A world that fails prints its seed; `TOLLGATE_SEED=n` runs that world alone, and
//! `TOLLGATE_MODEL_WORLDS=n` runs so many.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, StreamExt};
use tollgate_server::config::environment::Environment;
use tollgate_server::rebuild;
use tollgate_server::reconcile::{self, Kind, Order, Report};

use crate::support::TestDatabase;

mod acts;
mod life;
mod market;
mod sold;
mod truth;

use life::{Form, World};

/// Ten worlds of fifty accounts: five hundred lives, a hundred for each form of news.
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
    // Where nobody asks, what was there and back within a second, and began with an event that is
    // lost, stays in doubt until now.
    let ties =
        report.drift.get("out_of_order").filter(|_| !world.asks).copied().unwrap_or_default();
    assert_eq!(
        (found, drifted(&report), report.repaired, report.unreadable),
        (lost, lost + ties, lost + ties, 0),
        "drift repaired = deliveries lost; TOLLGATE_SEED={seed}\n{report:#?}"
    );
    let differences = truth::differences(&world).await;
    assert!(differences.is_empty(), "TOLLGATE_SEED={seed}\n{}", differences.join("\n"));
    // What the reconciliation brought in may name what no event shows: lines of what was sold once.
    world.ask_all().await;
    let misjudged = world.misjudged().await;
    assert!(misjudged.is_empty(), "TOLLGATE_SEED={seed}\n{}", misjudged.join("\n"));
    let trespasses = world.trespasses();
    assert!(trespasses.is_empty(), "TOLLGATE_SEED={seed}\n{}", trespasses.join("\n"));
    let again = reconcile(&world, true).await;
    assert_eq!((drifted(&again), again.settled), (0, 0), "TOLLGATE_SEED={seed}\n{again:#?}");
    let app = world.app.app();
    let proof = rebuild::verify(app.config.clone(), &app.clock, &app.engine.db).await;
    let proof = proof.expect("the world is rebuilt");
    assert!(proof.equal, "TOLLGATE_SEED={seed}\n{proof:#?}");
    let deeds = std::mem::take(&mut world.deeds);
    world.stop().await;
    deeds
}

async fn live_in_a_database_of_its_own(seed: u64) -> life::Deeds {
    let database = match seed / 5 % 2 {
        1 => TestDatabase::postgres().await.unwrap_or_else(TestDatabase::sqlite),
        _ => TestDatabase::sqlite(),
    };
    live(seed, &database).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_one_reconciliation_the_facts_are_stripes_truth() {
    let environment = Environment::of_process();
    let number = |name| environment.get(name).map(|text| text.parse().expect("a number"));
    let worlds = number("TOLLGATE_MODEL_WORLDS").unwrap_or(WORLDS);
    let wanted: Option<u64> = number("TOLLGATE_SEED");
    let seeds: Vec<u64> = wanted.map_or_else(|| (0..worlds).collect(), |seed| vec![seed]);
    // Side by side, for one that waits for its database or for Stripe leaves room for others.
    let lives = seeds.iter().map(|seed| async move {
        let lived = AssertUnwindSafe(live_in_a_database_of_its_own(*seed)).catch_unwind();
        lived.await.map_err(|_| *seed)
    });
    let mut lives = futures_util::stream::iter(lives).buffer_unordered(SIDE_BY_SIDE);
    let (mut deeds, mut failed) = (life::Deeds::default(), Vec::new());
    while let Some(done) = lives.next().await {
        match done {
            Ok(done) => deeds.add(&done),
            Err(seed) => failed.push(seed),
        }
    }
    assert!(failed.is_empty(), "{} of {} worlds: {failed:?}", failed.len(), seeds.len());
    println!("{} worlds, {:?}", seeds.len(), deeds.lives);
    if wanted.is_none() && worlds >= WORLDS {
        let lives: usize = deeds.lives.values().sum();
        assert!(lives >= 500, "{:?}", deeds.lives);
        assert!(Form::ALL.iter().all(|form| deeds.lives[form] >= 100), "{:?}", deeds.lives);
        // A check of lives in which nothing happens would show nothing.
        assert!(deeds.of_every_kind_at_least(15), "{deeds:?}");
    }
}
