//! Killed again and again while events arrive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tollgate_server::config::Environment;
use tollgate_store::journal::{self, Verdict};
use tollgate_store::{Db, DbOptions};

use super::process::Process;
use super::sender::{Post, lives};
use crate::support::{State, TestDatabase, on_both};

/// Kills on each engine where nothing is set; both together make the promise's thirty.
const KILLS: usize = 16;
/// Customers whose lives are sent where nothing is set; eleven events each.
const CUSTOMERS: usize = 150;
const CONNECTIONS: usize = 16;

on_both! {
    async fn what_was_acknowledged_survives_every_kill_once(database: &TestDatabase) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = database.url();
        let kills = set("TOLLGATE_CHAOS_KILLS").unwrap_or(KILLS);
        let events = lives(set("TOLLGATE_CHAOS_KILL_CUSTOMERS").unwrap_or(CUSTOMERS));
        let untroubled = State::of_untroubled_run(&events).await;
        let begun = Instant::now();

        let mut process = Process::start(&url, folder.path()).await;
        let (address, addresses) = watch::channel(process.address);
        let post = Post::new(events.clone());
        let sender = {
            let post = Arc::clone(&post);
            tokio::spawn(async move { post.send(CONNECTIONS, &[addresses]).await })
        };
        let mut checked = Checked::default();
        for kill in 1..=kills {
            // Each kill meets the engine at another moment of its work.
            post.acknowledged(kill * events.len() / (kills + 2)).await;
            assert!(!sender.is_finished(), "kill {kill} met no load");
            process.kill().await;
            post.hold();
            // As the kill left it: no engine has looked at it since.
            checked.add(&url).await;
            process = Process::start(&url, folder.path()).await;
            address.send_replace(process.address);
            post.go_on();
        }
        sender.await.expect("everything is acknowledged in the end");
        assert!(post.refused() > 0, "no kill met a request: the test is blunt");
        assert!(process.stop().await, "SIGTERM ends with 0");

        let troubled = State::settled(&url).await;
        let ledger = post.ledger();
        let lost = ledger.keys().filter(|id| !troubled.inbox.contains(*id)).count();
        let doubled = troubled.doubled(&untroubled);
        println!(
            "{kills} kills, {} events acknowledged, {} requests refused, {lost} lost, {doubled} doubled; \
             {} journals with {} entries checked in {:.0} s; {:.0} s in all",
            ledger.len(),
            post.refused(),
            checked.journals,
            checked.entries,
            checked.took.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
        );
        assert_eq!((ledger.len(), lost, doubled), (events.len(), 0, 0));
        assert_eq!(troubled, untroubled);
    }
}

/// A number of the environment.
fn set(name: &str) -> Option<usize> {
    Environment::of_process().get(name).and_then(|number| number.parse().ok())
}

/// What was checked after kills.
#[derive(Debug, Default)]
struct Checked {
    journals: usize,
    entries: u64,
    took: Duration,
}

impl Checked {
    /// Every account's journal has no gap, its chain is whole, and it ends where the account says.
    async fn add(&mut self, url: &str) {
        let begun = Instant::now();
        let db = Db::open(url, &DbOptions::default()).await.expect("the database opens");
        let all = journal::verify_all(&db, |account, verdict| {
            let Verdict::Whole(entries) = verdict else {
                panic!("after a kill: {account}: {verdict:?}")
            };
            self.journals += 1;
            self.entries += entries;
        });
        all.await.expect("the journals are read");
        db.close().await;
        self.took += begun.elapsed();
    }
}
