//! Whole batches from several instances at once.

use std::collections::BTreeSet;

use tollgate_domain::change::{Actor, JournalEntry};
use tollgate_domain::ids::{AccountId, EventId};
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::inbox::{self, EventKey, EventStatus};
use tollgate_store::journal::{self, JournalRow, Verdict};
use tollgate_store::{Db, StoreError, changes, facts, links};

use crate::database::write;
use crate::sample::{self, account, at};

const ACCOUNTS: usize = 12;

/// One event: account and id.
type Delivery = (AccountId, String);

fn deliveries() -> Vec<Delivery> {
    let one = |number: usize| {
        (account(&format!("acct-{:02}", (number * 7) % ACCOUNTS)), format!("evt_{number:04}"))
    };
    (0..600).map(one).collect()
}

fn key(id: &str) -> EventKey {
    sample::key(id)
}

/// What an instance does with a batch: one journal entry and one revision for each new event.
async fn take(db: &Db, batch: &[Delivery]) -> Result<(), StoreError> {
    loop {
        let mut tx = db.begin().await?;
        match attempt(&mut tx, batch).await {
            Ok(()) => match tx.commit().await {
                Err(error) if error.is_contention() => {}
                done => return done,
            },
            // Another instance was quicker with an event or an account.
            Err(StoreError::Conflict { .. }) => tx.rollback().await?,
            Err(error) if error.is_contention() => tx.rollback().await?,
            Err(error) => return Err(error),
        }
    }
}

async fn attempt(tx: &mut tollgate_store::Tx, batch: &[Delivery]) -> Result<(), StoreError> {
    let ids: BTreeSet<AccountId> = batch.iter().map(|(account, _)| account.clone()).collect();
    let ids: Vec<AccountId> = ids.into_iter().collect();
    let mut heads = accounts::lock(tx, &ids).await?;
    let keys: Vec<EventKey> = batch.iter().map(|(_, id)| key(id)).collect();
    let known = inbox::known(tx, &keys).await?;
    let new: BTreeSet<&Delivery> =
        batch.iter().filter(|(_, id)| !known.contains_key(&key(id))).collect();
    let mut rows = Vec::new();
    let mut links = Vec::new();
    for (id, event) in &new {
        let head = heads.entry(id.clone()).or_insert_with(|| AccountHead::unknown(id.clone()));
        head.revision += 1;
        let entry = JournalEntry {
            kind: "customer.updated",
            subject: "cus_1".to_owned(),
            actor: Actor::Stripe(EventId::parse(event).unwrap()),
            occurred_at: at(0),
            details: Vec::new(),
            billing: None,
        };
        rows.push(JournalRow::next(head, &entry, None, at(0)));
        links.push(sample::link(&format!("cus_{event}"), id.as_str()));
    }
    let changed: Vec<AccountHead> = heads.into_values().collect();
    let revisions: Vec<(AccountId, u64)> =
        changed.iter().map(|head| (head.account.clone(), head.revision)).collect();
    accounts::save(tx, &changed, at(0)).await?;
    links::insert(tx, &links.iter().collect::<Vec<_>>()).await?;
    journal::append(tx, &rows).await?;
    let events: Vec<_> =
        new.iter().map(|(_, id)| sample::event(id, EventStatus::Processed)).collect();
    inbox::insert(tx, &events).await?;
    changes::append(tx, "instance", &revisions).await?;
    let count =
        |keys: Vec<EventKey>| keys.into_iter().filter(|key| known.contains_key(key)).collect();
    let repeated: Vec<EventKey> = count(keys);
    inbox::count_duplicates(tx, &repeated).await
}

on_both! {
    overlapping_batches_of_four_instances_have_their_effects_once: |db| async {
        let all = deliveries();
        let mut instances = Vec::new();
        for instance in 0..4_usize {
            // Each instance gets most events, in another order and in batches of another size.
            let mut mine: Vec<Delivery> =
                all.iter().enumerate().filter(|(n, _)| n % 4 != instance).map(|(_, one)| one.clone()).collect();
            mine.sort_by_key(|(_, id)| id.bytes().map(usize::from).map(|b| b * (instance + 3) % 11).sum::<usize>());
            let db = db.reopen().await;
            instances.push(tokio::spawn(async move {
                for batch in mine.chunks(23 + instance * 5) {
                    take(&db, batch).await.unwrap();
                }
                db.close().await;
            }));
        }
        for instance in instances {
            instance.await.unwrap();
        }
        let count = async |sql: &str| db.number(sql).await;
        assert_eq!(count("SELECT COUNT(*) FROM webhook_events").await, 600);
        assert_eq!(count("SELECT COUNT(*) FROM journal_entries").await, 600);
        assert_eq!(count("SELECT COUNT(*) FROM stripe_links").await, 600);
        assert_eq!(count("SELECT CAST(SUM(revision) AS BIGINT) FROM accounts").await, 600);
        for row in accounts::list(db, None, 100).await.unwrap() {
            let entries = u64::try_from(600 / ACCOUNTS).unwrap();
            assert_eq!(journal::verify(db, &row.account).await.unwrap(), Verdict::Whole(entries));
        }
    }

    a_write_can_be_spawned: |db| async {
        // A future that is not Send could not be used by a server.
        let db = Db::clone(db);
        let id = account("acme");
        let done = tokio::spawn(async move {
            let id = &id;
            db.write(|mut tx| async move {
                let paid = [sample::paid("pi_1")];
                facts::save(&mut tx, &[(id, &paid)]).await?;
                Ok((tx, ()))
            })
            .await
        });
        done.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_on_postgres_is_tried_again() {
    crate::database::on_postgres(async |db: &crate::database::Case| {
        let heads = [sample::head("a"), sample::head("b")];
        write(db, async |tx| accounts::save(tx, &heads, at(0)).await).await.unwrap();
        // Two transactions that lock one account each and then want the other's.
        let meet = std::sync::Arc::new(tokio::sync::Barrier::new(2));
        let cross = |first: &'static str, second: &'static str| {
            let (db, meet) = (Db::clone(db), std::sync::Arc::clone(&meet));
            tokio::spawn(async move {
                let mut tries = 0;
                db.write(|mut tx| {
                    tries += 1;
                    let (tries, meet) = (tries, &meet);
                    async move {
                        accounts::lock(&mut tx, &[account(first)]).await?;
                        if tries == 1 {
                            meet.wait().await;
                        }
                        accounts::lock(&mut tx, &[account(second)]).await?;
                        Ok((tx, ()))
                    }
                })
                .await
                .unwrap();
                tries
            })
        };
        let (one, two) = (cross("a", "b"), cross("b", "a"));
        let tries = (one.await.unwrap(), two.await.unwrap());
        // The one that gave way may meet the other once more.
        assert!(tries.0 + tries.1 >= 3, "one of them was tried again: {tries:?}");
    })
    .await;
}
