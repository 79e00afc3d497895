//! A key that is revoked: how soon every server on the database refuses it.

use std::time::{Duration, Instant};

use super::process::{Launch, Process};
use crate::cli::Place;
use crate::support::{TestDatabase, run_sql_on, send};

/// From the revocation's answer to the start of the last request that may still be served. A second is
/// promised; this machine is busy with other tests at the same time.
const REVOKED_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait for a line of the log.
const TOLD_WITHIN: Duration = Duration::from_mins(1);
const CHECK: &str = r#"{"accountId":"acme","feature":"weekly_digest"}"#;

/// What a server answers to a check with a key.
async fn check(server: &Process, key: &str) -> u16 {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http();
    let url = format!("http://{}/api/v1/feature-check", server.address);
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    send(&client, "POST", &url, &headers, CHECK.into()).await.status
}

/// Asks until the key is refused; returns when the last request began that was served.
async fn last_served(server: &Process, key: &str) -> Option<Instant> {
    let mut last = None;
    loop {
        let began = Instant::now();
        match check(server, key).await {
            200 => last = Some(began),
            status => {
                assert_eq!(status, 401, "a revoked key is refused as any unknown one");
                return last;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_revoked_beside_one_server_is_refused_by_every_server() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (url, folder) = (database.url(), tempfile::tempdir().expect("a temporary folder"));
    let one = Process::start(&url, folder.path()).await;
    let two = Process::start(&url, folder.path()).await;
    let place = Place::on(&database);
    for _ in 0..3 {
        let made = place.done("keys create --name short --scopes check --json").json();
        let text = |field: &str| made[field].as_str().expect("a text").to_owned();
        let (key, id) = (text("key"), text("id"));
        assert_eq!((check(&one, &key).await, check(&two, &key).await), (200, 200));
        place.done(&format!("keys revoke {id}"));
        let revoked = Instant::now();
        let (of_one, of_two) = tokio::join!(last_served(&one, &key), last_served(&two, &key));
        for last in [of_one, of_two] {
            let after = last.map(|last| last.saturating_duration_since(revoked));
            assert!(after.is_none_or(|after| after < REVOKED_WITHIN), "still served: {after:?}");
        }
        assert_eq!((check(&one, &key).await, check(&two, &key).await), (401, 401), "for good");
    }
    assert!(one.stop().await && two.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_logged_and_a_restore_names_the_keys_that_are_valid() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (url, folder) = (database.url(), tempfile::tempdir().expect("a temporary folder"));
    let environment = [("LOG_LEVEL", "info")];
    let launch = || Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
    let server = launch().start().await;
    let place = Place::on(&database);
    let made = place.done("keys create --name short --scopes check --json").json();
    let text = |field: &str| made[field].as_str().expect("a text").to_owned();
    let (key, id) = (text("key"), text("id"));
    assert_eq!(check(&server, &key).await, 200);
    place.done(&format!("keys revoke {id}"));
    told(&server, "an API key was revoked", &id).await;
    assert!(server.stop().await);
    // A restart soon after is none.
    let server = launch().start().await;
    assert_eq!(server.logged("no server was at work"), [""; 0]);
    assert!(server.stop().await);
    // As a backup of an hour ago is, from before the revocation.
    run_sql_on(&url, "UPDATE api_keys SET revoked_at = NULL").await;
    run_sql_on(&url, "UPDATE meta SET value = CAST(CAST(value AS BIGINT) - 3600000 AS TEXT) WHERE name = 'served_at'").await;
    let server = launch().start().await;
    told(&server, "no server was at work on this database", &id).await;
    assert!(server.stop().await);
}

/// Waits until the log says something of a key.
async fn told(server: &Process, what: &str, id: &str) {
    let begun = Instant::now();
    while !server.logged(what).iter().any(|line| line.contains(id)) {
        assert!(begun.elapsed() < TOLD_WITHIN, "{what}: {:?}", server.logged(""));
        check(server, "tg_test_unknown").await;
    }
}
