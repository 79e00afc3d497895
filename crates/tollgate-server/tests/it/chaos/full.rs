//! A disk that is full for a while: refused as long as it is, well again by itself.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::process::Launch;
use super::sender::{Post, lives};
use crate::support::{State, TestDatabase};

/// Customers whose lives are sent; eleven events each.
const CUSTOMERS: usize = 100;
/// Room for the schema and a part of the events.
const ROOM_KIB: u32 = 3_072;
/// Refusals after which there is room again.
const REFUSED: usize = 50;
/// Time to take in everything once there is room.
const WELL_AGAIN: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_and_after_a_full_disk_is_there_once() {
    let database = TestDatabase::sqlite();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = database.url();
    let events = lives(CUSTOMERS);
    let untroubled = State::of_untroubled_run(&events).await;

    let launch = Launch {
        room_kib: Some(ROOM_KIB),
        environment: &[("LOG_LEVEL", "warn")],
        ..Launch::new(&url, folder.path())
    };
    let process = launch.start().await;
    let (_address, addresses) = watch::channel(process.address);
    let post = Post::new(events.clone());
    let sender = {
        let post = std::sync::Arc::clone(&post);
        tokio::spawn(async move { post.send(4, &[addresses]).await })
    };
    post.refused_so_often(REFUSED).await;
    let before = post.ledger().len();
    assert!(before > 0 && before < events.len(), "{before} of {}", events.len());
    let (status, ready) = process.get("/readyz").await;
    assert_eq!(status, 503, "{ready}");
    let told = ready["database"]["detail"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("(full)") || told.contains("(input_output)"), "{told}");
    for what in ["events are not committed", "webhooks are refused"] {
        let lines = process.logged(what);
        assert!((1..=2).contains(&lines.len()), "one line for all refusals: {lines:?}");
    }
    process.give_room().await;
    let sent = tokio::time::timeout(WELL_AGAIN, sender).await.expect("it writes again");
    sent.expect("everything is acknowledged in the end");
    // A failure counts for a few seconds after it, however soon all is written.
    let asked = Instant::now();
    while process.get("/readyz").await.0 != 200 {
        assert!(asked.elapsed() < WELL_AGAIN, "it is ready again");
    }
    assert!(process.stop().await, "SIGTERM ends with 0");

    let troubled = State::settled(&url).await;
    assert_eq!(troubled.inbox.len(), events.len());
    assert_eq!(troubled, untroubled);
}
