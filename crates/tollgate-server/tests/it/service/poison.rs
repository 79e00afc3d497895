//! Accounts that cannot be read. Each is looked at later and later; no other one waits for it.

use tollgate_server::workers::journals;
use tollgate_server::workers::schedule::{self, Failures};

use crate::support::{TestApp, TestDatabase, run_sql_on};
use tollgate_domain::FindingCode;

/// Damaged by SQL, for which PostgreSQL's own client is at hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_cannot_be_read_keeps_no_other_one_waiting() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = TestApp::start(&database).await;
    for account in ["poison", "fine"] {
        app.deliver_all(&app.scenario("dunning", account)).await;
    }
    app.run_workers().await;
    app.clock.set(app.now().plus_days(40));
    let url = database.url();
    run_sql_on(&url, "UPDATE accounts SET journal_hash = '\\x00' WHERE account_id = 'poison'")
        .await;
    run_sql_on(&url, "UPDATE accounts SET due_at = 0").await;
    let unreadable = "INSERT INTO accounts (account_id, revision, sequence, journal_hash, due_at, created_at, updated_at) \
        VALUES ('no id at all', 0, 0, '', 0, 0, 0)";
    run_sql_on(&url, unreadable).await;

    let mut failures = Failures::default();
    let looked_at = schedule::tick(app.app(), &mut failures).await.expect("a round");
    assert!(looked_at >= 2, "{looked_at}");
    assert_eq!(schedule::tick(app.app(), &mut failures).await.expect("a round"), 0);
    let errors = app.request("GET", "/metrics", &[], "").await.text;
    assert!(errors.contains("tollgate_worker_errors_total{reason=\"schedule\"} 2"), "{errors}");

    // Later it is looked at again, and not sooner than a failure before.
    app.clock.set(app.now().plus_ms(60_000));
    assert_eq!(schedule::tick(app.app(), &mut failures).await.expect("a round"), 2);
    app.clock.set(app.now().plus_ms(30_000));
    assert_eq!(schedule::tick(app.app(), &mut failures).await.expect("a round"), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_was_altered_is_a_finding_until_it_is_mended() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = TestApp::start(&database).await;
    for account in ["altered", "fine", "unreadable"] {
        app.deliver_all(&app.scenario("checkout", account)).await;
    }
    let broken = async || {
        while journals::tick(app.app()).await.expect("journals are checked") > 0 {}
        let open = tollgate_store::findings::count_open(&app.app().engine.db).await;
        open.expect("findings").get(&FindingCode::JournalBroken).copied().unwrap_or(0)
    };
    assert_eq!(broken().await, 0);
    let url = database.url();
    let alter = |from: &str, to: &str| {
        format!(
            "UPDATE journal_entries SET subject = '{to}' || substr(subject, {}) \
             WHERE account_id = 'altered' AND sequence = 2",
            from.len() + 1
        )
    };
    run_sql_on(&url, &alter("", "x")).await;
    let hash = "UPDATE accounts SET journal_hash = '\\x00' WHERE account_id = 'unreadable'";
    run_sql_on(&url, hash).await;
    assert_eq!(broken().await, 0, "it is looked at once a day");
    app.clock.set(app.now().plus_days(1));
    assert_eq!(broken().await, 2);
    app.clock.set(app.now().plus_days(1));
    assert_eq!(broken().await, 2, "the same matter");
    run_sql_on(&url, &alter("x", "")).await;
    app.clock.set(app.now().plus_days(1));
    assert_eq!(broken().await, 1);
    app.stop().await;
}
