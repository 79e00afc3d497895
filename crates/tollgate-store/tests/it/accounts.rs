//! Heads, lists and the removal of accounts; schedules.

use tollgate_domain::change::{Actor, Change, JournalEntry};
use tollgate_domain::entitlement::MeterSpan;
use tollgate_domain::ids::{AccountId, FeatureKey};
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::inbox::EventStatus;
use tollgate_store::journal::JournalRow;
use tollgate_store::keys::{self, ApiKey};
use tollgate_store::{facts, inbox, journal, links, schedule, usage};

use crate::database::write;
use crate::sample::{self, Source, account, at, head};

on_both! {
    heads_are_locked_and_replaced: |db| async {
        let ids = [account("b"), account("a"), account("none")];
        let first = [head("b"), AccountHead { sequence: 7, ..head("a") }];
        write(db, async |tx| accounts::save(tx, &first, at(0)).await).await.unwrap();
        let second = AccountHead { revision: 2, sequence: 9, ..first[0].clone() };
        write(db, async |tx| {
            let heads = accounts::lock(tx, &ids).await?;
            assert_eq!(heads.len(), 2);
            assert_eq!(heads[&ids[0]], first[0]);
            assert_eq!(heads[&ids[1]], first[1]);
            accounts::save(tx, std::slice::from_ref(&second), at(5)).await
        }).await.unwrap();
        assert_eq!(accounts::find_head(db, &ids[0]).await.unwrap(), Some(second));
        assert_eq!(accounts::revision(db, &ids[0]).await.unwrap(), Some(2));
        assert_eq!(accounts::revision(db, &ids[2]).await.unwrap(), None);
        assert_eq!(accounts::revisions(db, &ids).await.unwrap().len(), 2);
    }

    accounts_are_listed_by_id: |db| async {
        let heads: Vec<AccountHead> = ["b", "a-1", "A", "a.2", "z"].map(head).into();
        write(db, async |tx| accounts::save(tx, &heads, at(0)).await).await.unwrap();
        write(db, async |tx| {
            assert!(accounts::set_email(tx, &account("b"), Some("b@example.com")).await?);
            assert!(!accounts::set_email(tx, &account("none"), None).await?);
            accounts::save(tx, &[head("b")], at(9)).await
        }).await.unwrap();
        assert_eq!(accounts::count(db).await.unwrap(), 5);
        let page = accounts::list(db, None, 3).await.unwrap();
        let ids: Vec<&str> = page.iter().map(|row| row.account.as_str()).collect();
        assert_eq!(ids, ["A", "a-1", "a.2"], "the order is that of bytes on both engines");
        let rest = accounts::list(db, Some(&page[2].account), 10).await.unwrap();
        assert_eq!(rest.len(), 2);
        assert_eq!(rest[0].email.as_deref(), Some("b@example.com"));
        assert_eq!((rest[0].created_at, rest[0].updated_at), (at(0), at(9)));
    }

    removing_an_account_leaves_no_row_of_it: |db| async {
        let id = account("acme");
        let mut source = Source::new();
        let changes: Vec<Change> = (0..8).flat_map(|_| source.draw(&sample::changes()))
            .collect();
        let key = ApiKey {
            id: "k1".into(), name: "n".into(), secret_hash: [1; 32], scopes: vec!["check".into()],
            account: Some(id.clone()), expires_at: None, created_at: at(0), revoked_at: None,
            last_used_at: None,
        };
        keys::insert(db, &key).await.unwrap();
        let feature = FeatureKey::parse("analyses").unwrap();
        let mut tx = db.begin().await.unwrap();
        let span = MeterSpan { start: at(0), end: at(9), reach: at(0), is_billed: false };
        usage::add(&mut tx, (&id, &feature), span, 1, at(0)).await.unwrap();
        tx.commit().await.unwrap();
        let mut event = sample::event("evt_1", EventStatus::Processed);
        event.outcome.account = Some(id.clone());
        let entry = JournalEntry {
            kind: "subscription.updated", subject: "sub_1".into(), actor: Actor::System,
            occurred_at: at(0), details: Vec::new(), billing: None,
        };
        write(db, async |tx| {
            let mut head = AccountHead { due_at: Some(at(9)), ..head("acme") };
            let row = JournalRow::next(&mut head, &entry, None, at(0));
            accounts::save(tx, &[head], at(0)).await?;
            facts::save(tx, &[(&id, &changes)]).await?;
            links::insert(tx, &[&sample::link("cus_1", "acme")]).await?;
            journal::append(tx, &[row]).await?;
            inbox::insert(tx, std::slice::from_ref(&event)).await.map(|_| ())
        }).await.unwrap();
        let tables = [
            "accounts", "stripe_links", "facts", "journal_entries",
            "api_keys", "usage_counters", "webhook_events",
        ];
        let count = async |table: &str| {
            db.number(&format!("SELECT COUNT(*) FROM {table} WHERE account_id = 'acme'")).await
        };
        for table in tables {
            assert!(count(table).await > 0, "{table} has no row to remove");
        }
        assert!(write(db, async |tx| accounts::remove(tx, &id).await).await.unwrap());
        for table in tables {
            assert_eq!(count(table).await, 0, "{table}");
        }
        assert_eq!(db.number("SELECT COUNT(*) FROM webhook_events").await, 1);
        assert!(!write(db, async |tx| accounts::remove(tx, &id).await).await.unwrap());
    }

    accounts_are_due_at_their_instant: |db| async {
        let ids: Vec<AccountId> = ["a", "b", "c"].map(account).into();
        let save = async |one: &AccountId, due_at| {
            let head = AccountHead { due_at, ..head(one.as_str()) };
            write(db, async |tx| accounts::save(tx, &[head], at(0)).await).await.unwrap();
        };
        for (one, due_at) in ids.iter().zip([20, 10, 30]) {
            save(one, Some(at(due_at))).await;
        }
        let due = async |now, limit| {
            let due = schedule::due(db, at(now), limit).await.unwrap();
            due.into_iter().map(|due| due.account.unwrap()).collect::<Vec<_>>()
        };
        assert!(due(9, 10).await.is_empty());
        assert_eq!(due(30, 10).await, [&ids[1], &ids[0], &ids[2]].map(Clone::clone));
        assert_eq!(due(30, 1).await, [ids[1].clone()]);
        save(&ids[1], None).await;
        save(&ids[0], Some(at(40))).await;
        assert_eq!(due(30, 10).await, [ids[2].clone()]);
    }

    an_account_is_due_later_and_what_was_set_meanwhile_stays: |db| async {
        let save = async |one: &str, seconds| {
            let head = AccountHead { due_at: Some(at(seconds)), ..head(one) };
            write(db, async |tx| accounts::save(tx, &[head], at(0)).await).await.unwrap();
        };
        for one in ["a", "b"] {
            save(one, 10).await;
        }
        save("x", 0).await;
        db.sql("UPDATE accounts SET account_id = 'no id' WHERE account_id = 'x'").await;
        let due = schedule::due(db, at(10), 10).await.unwrap();
        assert_eq!(due.iter().map(|due| due.row.as_str()).collect::<Vec<_>>(), ["no id", "a", "b"]);
        assert!(due[0].account.is_err() && due[1].account.is_ok());
        save("b", 25).await;
        for one in &due {
            schedule::postpone(db, &one.row, at(60), at(10)).await.unwrap();
        }
        let due = schedule::due(db, at(30), 10).await.unwrap();
        assert_eq!(due.iter().map(|due| due.row.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
