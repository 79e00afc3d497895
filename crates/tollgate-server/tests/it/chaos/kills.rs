//! Killed again and again while events arrive.

use tokio::sync::watch;

use super::process::Process;
use super::sender::{Post, lives};
use crate::support::{State, TestDatabase, on_both};

/// Kills on each engine; both together make the promise's thirty.
const KILLS: usize = 16;
/// Customers whose lives are sent; eleven events each.
const CUSTOMERS: usize = 150;
const CONNECTIONS: usize = 16;

on_both! {
    async fn what_was_acknowledged_survives_every_kill_once(database: &TestDatabase) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = database.url();
        let events = lives(CUSTOMERS);
        let untroubled = State::of_untroubled_run(&events).await;

        let mut process = Process::start(&url, folder.path()).await;
        let (address, addresses) = watch::channel(process.address);
        let post = Post::new(events.clone());
        let sender = {
            let post = std::sync::Arc::clone(&post);
            tokio::spawn(async move { post.send(CONNECTIONS, &[addresses]).await })
        };
        for kill in 1..=KILLS {
            // Each kill meets the engine at another moment of its work.
            post.acknowledged(kill * events.len() / (KILLS + 2)).await;
            process.kill().await;
            process = Process::start(&url, folder.path()).await;
            address.send_replace(process.address);
        }
        sender.await.expect("everything is acknowledged in the end");
        assert!(post.refused() > 0, "no kill met a request: the test is blunt");
        assert!(process.stop().await, "SIGTERM ends with 0");

        let troubled = State::settled(&url).await;
        for id in post.ledger().keys() {
            assert!(troubled.inbox.contains(id), "{id} was acknowledged and is lost");
        }
        assert_eq!(troubled, untroubled);
    }
}
