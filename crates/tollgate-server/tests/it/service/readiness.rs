//! `/readyz` means that the engine can serve: every way in which a database answers and cannot be used.

use std::time::{Duration, Instant};

use tollgate_store::{Db, DbOptions, migrations};

use crate::support::{Answer, Settings, TestApp, TestDatabase, on_both, run_sql_on};

async fn start(database: &TestDatabase) -> TestApp {
    let settings = Settings {
        background: true,
        database: Some(DbOptions {
            statement_timeout: Duration::from_secs(1),
            ..DbOptions::default()
        }),
        ..Settings::default()
    };
    TestApp::start_with(database, settings).await
}

/// Asks until the engine is ready.
async fn until_ready(app: &TestApp) {
    until(app, |answer| answer.status == 200).await;
}

/// Asks until the engine is not ready and says why.
async fn until_told(app: &TestApp, told: &str) {
    until(app, |answer| {
        let database = answer.json()["database"]["detail"].clone();
        answer.status == 503 && database.as_str().unwrap_or_default().contains(told)
    })
    .await;
    let health = app.request("GET", "/health", &[], "").await;
    assert_eq!((health.status, health.field("status").as_str()), (503, "unhealthy"));
}

async fn until(app: &TestApp, is_so: impl Fn(&Answer) -> bool) {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = app.request("GET", "/readyz", &[], "").await;
        assert!(asked.elapsed() < Duration::from_secs(4), "answered after {:?}", asked.elapsed());
        if is_so(&answer) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "still {}", answer.text);
    }
}

on_both! {
    async fn a_schema_that_is_taken_away_is_told(database: &TestDatabase) {
        let app = start(database).await;
        until_ready(&app).await;
        migrations::down(&app.app().engine.db, 0).await.unwrap();
        until_told(&app, "tollgate migrate up").await;
        migrations::up(&app.app().engine.db, app.now()).await.unwrap();
        until_ready(&app).await;
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_taken_away_is_told() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = start(&database).await;
    until_ready(&app).await;
    run_sql_on(&database.url(), "ALTER TABLE webhook_events RENAME TO gone").await;
    until_told(&app, "does not hold what this version reads").await;
    run_sql_on(&database.url(), "ALTER TABLE gone RENAME TO webhook_events").await;
    until_ready(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_process_holds_is_told() {
    let database = TestDatabase::sqlite();
    let app = start(&database).await;
    let events = app.scenario("checkout", "acme");
    until_ready(&app).await;
    let other = Db::open(&database.url(), &DbOptions::default()).await.unwrap();
    let held = other.begin().await.unwrap();
    assert_eq!(app.deliver(&events[0].body).await.status, 503);
    until_told(&app, "(locked)").await;
    held.rollback().await.unwrap();
    until_ready(&app).await;
    assert_eq!(app.deliver(&events[0].body).await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_told_and_left_when_it_does_again() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = start(&database).await;
    let events = app.scenario("checkout", "acme");
    until_ready(&app).await;
    // As after a failover: the sessions end, and new ones find a server that is read-only.
    set_read_only(&database, "SET default_transaction_read_only = on").await;
    until_told(&app, "(read_only)").await;
    assert_eq!(app.deliver(&events[0].body).await.status, 503);
    set_read_only(&database, "RESET default_transaction_read_only").await;
    let healed = Instant::now();
    // Without another session being ended from outside.
    while app.deliver(&events[0].body).await.status != 200 {
        assert!(healed.elapsed() < Duration::from_secs(10), "still refused");
    }
    until_ready(&app).await;
    app.stop().await;
}

/// Changes what new sessions are; ends those there are when they become read-only.
async fn set_read_only(database: &TestDatabase, what: &str) {
    let end = if what.starts_with("SET") {
        "PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid();"
    } else {
        ""
    };
    let sql = format!(
        "BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {what}', \
         current_database()); {end} END $$; COMMIT"
    );
    run_sql_on(&database.url(), &sql).await;
}
