//! Commits whose outcome nobody was told of: the answer was lost, or nobody waited for it any more.
//! What is in the database is what is answered, on every instance.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tollgate_domain::ids::{AccountId, FactId};
use tollgate_domain::operator_fact;
use tollgate_store::accounts;

use super::proxy::Wire;
use crate::support::{Settings, TestApp, TestDatabase, on_both, waiver};

fn live() -> Settings {
    Settings { background: true, ..Settings::default() }
}

/// Asks until an answer comes from memory, so that an answer from before is there.
async fn keep_an_answer(app: &TestApp, account: &str) {
    let begun = Instant::now();
    let before = app.app().metrics.checks_cached.get();
    while app.app().metrics.checks_cached.get() == before {
        app.check(account, "weekly_digest").await;
        assert!(begun.elapsed() < Duration::from_secs(10), "answers are not kept");
    }
}

/// Asks until the answer is the one expected; the bound is a second.
async fn expect_access(app: &TestApp, account: &str, expected: bool) {
    let begun = Instant::now();
    loop {
        let check = app.check(account, "weekly_digest").await;
        if check["canAccess"] == expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "still {check}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_answer_to_commit_is_lost_is_answered_from_the_database() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (wire, through) = Wire::to_database(&database.url()).await;
    let app = TestApp::start_at(&through, live()).await;
    let other = TestApp::start_with(&database, live()).await;
    let events = app.scenario("checkout", "acme");
    let grants = events.iter().find(|event| event.kind == "customer.subscription.created").unwrap();
    keep_an_answer(&app, "acme").await;
    keep_an_answer(&other, "acme").await;

    wire.lose_the_answer_to_the_commit_of(&grants.id);
    let refused = app.deliver(&grants.body).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(wire.has_lost_an_answer(), "the commit was never reached");
    expect_access(&app, "acme", true).await;
    expect_access(&other, "acme", true).await;
    assert_eq!(app.deliver(&grants.body).await.field("status"), "duplicate");
    app.stop().await;
    other.stop().await;
}

async fn grant(app: &TestApp, account: &AccountId, id: &str) -> bool {
    let act = app.app().intake.change(account, |facts, catalog, now| {
        operator_fact::grant(facts, waiver(id, catalog), catalog, now)
    });
    act.await.is_ok()
}

async fn revoke(app: &TestApp, account: &AccountId, id: &str) -> bool {
    let id = FactId::parse(id).expect("an id");
    let act = app.app().intake.change(account, |facts, _, now| {
        operator_fact::revoke(facts, &id, "ann", Some("no partner any more"), now)
    });
    act.await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_whose_answer_to_commit_is_lost_is_answered_from_the_database() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (wire, through) = Wire::to_database(&database.url()).await;
    let app = TestApp::start_at(&through, live()).await;
    let account = AccountId::parse("acme").expect("an id");
    assert!(grant(&app, &account, "wv_1").await);
    keep_an_answer(&app, "acme").await;
    expect_access(&app, "acme", true).await;

    wire.lose_the_answer_to_the_commit_of("no partner any more");
    assert!(!revoke(&app, &account, "wv_1").await);
    assert!(wire.has_lost_an_answer(), "the commit was never reached");
    expect_access(&app, "acme", false).await;
    app.stop().await;
}

/// Polls a future so many times, then drops it; whether it came to its end.
async fn abandoned_after(polls: usize, work: impl Future) -> bool {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(context).map(|_| true)
    })
    .await
}

on_both! {
    async fn an_act_nobody_waits_for_any_more_is_answered_from_the_database(database: &TestDatabase) {
        let app = TestApp::start_with(database, live()).await;
        let account = AccountId::parse("acme").expect("an id");
        let db = &app.app().engine.db;
        for polls in 0.. {
            let id = format!("wv_{polls}");
            assert!(grant(&app, &account, &id).await);
            keep_an_answer(&app, "acme").await;
            let ended = abandoned_after(polls, revoke(&app, &account, &id)).await;
            // Whoever has the account's lock knows that the act is over, one way or the other.
            let mut tx = db.begin().await.unwrap();
            let heads = accounts::lock(&mut tx, std::slice::from_ref(&account)).await.unwrap();
            tx.rollback().await.unwrap();
            let begun = Instant::now();
            while app.check("acme", "weekly_digest").await["revision"] != heads[&account].revision {
                assert!(begun.elapsed() < Duration::from_secs(5), "stale after {polls} polls");
            }
            revoke(&app, &account, &id).await;
            if ended {
                break;
            }
        }
        app.stop().await;
    }
}
