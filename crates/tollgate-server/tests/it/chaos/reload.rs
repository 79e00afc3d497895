//! SIGHUP and SIGTERM while requests come: none is refused.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::process::{Launch, Process, get};
use super::sender::{Post, lives, sign_and_send};
use crate::support::{SECRET, State, TestDatabase, ask_sql_on, on_both};

/// Customers whose lives are sent; eleven events each.
const CUSTOMERS: usize = 150;
/// The secret that is rolled in.
const NEW: &str = "whsec_tollgateNEWnewNEWnewNEWnewNEWnew12";
/// The lock of migrations, as the store names it.
const MIGRATION_LOCK: u64 = 7_014_011_620_211_121;
/// Longest time until a reload has taken effect.
const RELOADED: Duration = Duration::from_secs(30);

fn write_secrets(folder: &std::path::Path, secrets: &str) {
    let text = format!("STRIPE_WEBHOOK_SECRET={secrets}\n");
    std::fs::write(folder.join(".env"), text).expect("a file");
}

/// Waits until what the new secret signed is taken, or is not.
async fn until_new_is_taken(process: &Process, taken: bool) {
    let begun = Instant::now();
    let body = r#"{"id": "evt_probe", "object": "event", "type": "a.b", "created": 1, "livemode": false, "data": {"object": {"id": "x", "object": "y"}}}"#;
    while sign_and_send(process.address, NEW, body).await.is_some() != taken {
        assert!(
            begun.elapsed() < RELOADED,
            "the reload takes effect: {:?}",
            process.logged("reload")
        );
    }
}

on_both! {
    async fn secrets_are_rolled_without_a_refusal(database: &TestDatabase) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = database.url();
        let events = lives(CUSTOMERS);
        write_secrets(folder.path(), SECRET);
        let launch = Launch { secret_in_environment: false, ..Launch::new(&url, folder.path()) };
        let process = launch.start().await;
        let (_address, addresses) = watch::channel(process.address);
        let post = Post::new(events.clone());
        let sender = {
            let post = Arc::clone(&post);
            tokio::spawn(async move { post.send(4, &[addresses]).await })
        };
        until_new_is_taken(&process, false).await;
        for round in 0..3 {
            post.acknowledged(round * 200).await;
            write_secrets(folder.path(), &format!("{NEW},{SECRET}"));
            process.signal("HUP").await;
            until_new_is_taken(&process, true).await;
            write_secrets(folder.path(), SECRET);
            process.signal("HUP").await;
            until_new_is_taken(&process, false).await;
            // A configuration with a fault is not taken.
            write_secrets(folder.path(), "short");
            process.signal("HUP").await;
            let asked = Instant::now();
            while process.logged("not reloaded").len() <= round {
                assert!(asked.elapsed() < RELOADED, "the fault is told");
                tokio::task::yield_now().await;
            }
        }
        sender.await.expect("everything is acknowledged");
        assert_eq!(post.refused(), 0, "{:?}", process.logged(""));
        assert!(process.stop().await, "SIGTERM ends with 0");
        let untroubled = State::of_untroubled_run(&events).await;
        let mut state = State::settled(&url).await;
        state.inbox.retain(|row| !format!("{row:?}").contains("evt_probe"));
        assert_eq!(state.inbox.len(), untroubled.inbox.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_announced_before_it_happens() {
    let database = TestDatabase::sqlite();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = database.url();
    let lame_duck = [("TOLLGATE__HTTP__LAME_DUCK_MS", "1500")];
    let launch = Launch { environment: &lame_duck, ..Launch::new(&url, folder.path()) };
    let process = launch.start().await;
    assert_eq!(process.get("/readyz").await.0, 200);
    process.signal("TERM").await;
    let asked = Instant::now();
    while process.get("/readyz").await.0 == 200 {
        assert!(asked.elapsed() < Duration::from_secs(1), "told at once");
    }
    let (status, ready) = process.get("/readyz").await;
    assert_eq!((status, &ready["stopping"]), (503, &true.into()), "{ready}");
    assert_eq!(process.get("/livez").await.0, 200, "served until it closes");
    assert!(process.ended().await);
    assert!(asked.elapsed() >= Duration::from_millis(1500), "not before its time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_on_a_socket_that_is_handed_over_refuse_nobody() {
    let database = TestDatabase::sqlite();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (url, socket) = (database.url(), TcpListener::bind("127.0.0.1:0").expect("a socket"));
    let start = || Launch { socket: Some(&socket), ..Launch::new(&url, folder.path()) }.start();
    let mut process = start().await;
    let address = socket.local_addr().expect("an address");
    assert_eq!(process.address, address, "the socket's, whatever --listen says");
    let (stop, stopped) = watch::channel(false);
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut asked = 0_u32;
                while !*stopped.borrow() {
                    // Each time on a connection of its own.
                    let (status, _) = get(address, "/livez").await.expect("an answer");
                    assert_eq!(status, 200);
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for _ in 0..4 {
        assert!(process.stop().await, "SIGTERM ends with 0");
        process = start().await;
    }
    stop.send_replace(true);
    for asked in asking {
        assert!(asked.await.expect("every request is answered") > 0);
    }
    assert!(process.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_heard_while_a_reload_waits_for_the_database() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (url, folder) = (database.url(), tempfile::tempdir().expect("a temporary folder"));
    let environment = [("LOG_LEVEL", "info")];
    let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
    let process = launch.start().await;
    // Another process migrates and does not come to an end.
    let own = url.clone();
    tokio::spawn(async move {
        let hold = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK}), pg_sleep(60)");
        ask_sql_on(&own, &hold).await
    });
    let begun = Instant::now();
    let until = async |granted: &str| {
        let count = format!(
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND {granted} AND database = \
             (SELECT oid FROM pg_database WHERE datname = current_database())"
        );
        while ask_sql_on(&url, &count).await != "1" {
            assert!(begun.elapsed() < RELOADED, "one advisory lock is {granted}");
        }
    };
    until("granted").await;
    // Two reloads are asked for: the second one waits for the first.
    for _ in 0..2 {
        process.signal("HUP").await;
    }
    until("NOT granted").await;
    assert_eq!(process.get("/livez").await.0, 200, "it serves meanwhile");
    let asked = Instant::now();
    assert!(process.stop().await, "SIGTERM ends with 0");
    assert!(asked.elapsed() < Duration::from_secs(10), "after {:?}", asked.elapsed());
}
