//! Heads, lists and the removal of accounts; schedules.

use tollgate_domain::change::{Actor, Change, JournalEntry};
use tollgate_domain::entitlement::MeterSpan;
use tollgate_domain::ids::{AccountId, EventId, FeatureKey};
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::inbox::EventStatus;
use tollgate_store::journal::JournalRow;
use tollgate_store::keys::{self, ApiKey};
use tollgate_store::outbox::{self, OutboxRow};
use tollgate_store::{facts, inbox, journal, links, schedule, usage};

use crate::database::write;
use crate::sample::{self, Source, account, at, head};

pub(crate) fn billing_event(sequence: u64) -> OutboxRow {
    OutboxRow {
        account: account("acme"),
        sequence,
        kind: "subscription.updated".into(),
        occurred_at: at(-1),
        recorded_at: at(0),
        revision: 3,
        stripe_event: EventId::parse("evt_1").ok(),
        payload: "{\"odd\":\"\0\u{1a}\"}".to_owned(),
    }
}

on_both! {
    heads_are_locked_and_replaced: |db| async {
        let ids = [account("b"), account("a"), account("none")];
        let first = [head("b"), AccountHead { sequence: 7, ..head("a") }];
        write(db, async |tx| accounts::save(tx, &first, at(0)).await).await.unwrap();
        let second = AccountHead { revision: 2, journal_sequence: 9, ..first[0].clone() };
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
            occurred_at: at(0), details: Vec::new(),
        };
        write(db, async |tx| {
            let mut head = head("acme");
            let row = JournalRow::next(&mut head, &entry, at(0));
            accounts::save(tx, &[head], at(0)).await?;
            facts::save(tx, &[(&id, &changes)]).await?;
            links::insert(tx, &[&sample::link("cus_1", "acme")]).await?;
            journal::append(tx, &[row]).await?;
            outbox::append(tx, &[billing_event(1)]).await?;
            schedule::save(tx, &[(id.clone(), Some(at(9)))].into()).await?;
            inbox::insert(tx, std::slice::from_ref(&event)).await.map(|_| ())
        }).await.unwrap();
        let tables = [
            "accounts", "stripe_links", "facts", "account_schedule", "billing_audit_log",
            "billing_events", "api_keys", "usage_counters", "webhook_events",
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

    billing_events_are_listed_after_a_sequence: |db| async {
        let rows: Vec<OutboxRow> = (1..=5).map(billing_event).collect();
        let shuffled = [&rows[3..], &rows[..3]].concat();
        write(db, async |tx| outbox::append(tx, &shuffled).await).await.unwrap();
        assert_eq!(outbox::list(db, &account("acme"), 0, 100).await.unwrap(), rows);
        assert_eq!(outbox::list(db, &account("acme"), 2, 2).await.unwrap(), rows[2..4]);
        assert!(outbox::list(db, &account("other"), 0, 9).await.unwrap().is_empty());
        let twice = write(db, async |tx| outbox::append(tx, &rows[..1]).await).await.unwrap_err();
        assert!(matches!(twice, tollgate_store::StoreError::Conflict { .. }), "{twice}");
    }

    accounts_are_due_at_their_instant: |db| async {
        let ids: Vec<AccountId> = ["a", "b", "c"].map(account).into();
        let save = async |all: &[(AccountId, Option<tollgate_domain::Timestamp>)]| {
            let all = all.iter().cloned().collect();
            write(db, async |tx| schedule::save(tx, &all).await).await.unwrap();
        };
        save(&[(ids[0].clone(), Some(at(20))), (ids[1].clone(), Some(at(10)))]).await;
        save(&[(ids[2].clone(), Some(at(30)))]).await;
        let due = async |now, limit| {
            let due = schedule::due(db, at(now), limit).await.unwrap();
            due.into_iter().map(|due| due.account.unwrap()).collect::<Vec<_>>()
        };
        assert!(due(9, 10).await.is_empty());
        assert_eq!(due(30, 10).await, [&ids[1], &ids[0], &ids[2]].map(Clone::clone));
        assert_eq!(due(30, 1).await, [ids[1].clone()]);
        save(&[(ids[1].clone(), None), (ids[0].clone(), Some(at(40)))]).await;
        assert_eq!(due(30, 10).await, [ids[2].clone()]);
        let sooner = [(0, 50), (1, 25), (2, 20)].map(|(one, due)| (ids[one].clone(), at(due)));
        let sooner = sooner.into_iter().collect();
        write(db, async |tx| schedule::bring_forward(tx, &sooner).await).await.unwrap();
        assert_eq!(due(39, 10).await, [ids[2].clone(), ids[1].clone()]);
        assert_eq!(due(40, 10).await.len(), 3, "a later look moves nothing");
    }

    an_account_is_due_later_and_what_was_set_meanwhile_stays: |db| async {
        for one in ["a", "b"] {
            let due = [(account(one), Some(at(10)))].into();
            write(db, async |tx| schedule::save(tx, &due).await).await.unwrap();
        }
        db.sql("INSERT INTO account_schedule (account_id, due_at) VALUES ('no id', 0)").await;
        let due = schedule::due(db, at(10), 10).await.unwrap();
        assert_eq!(due.iter().map(|due| due.row.as_str()).collect::<Vec<_>>(), ["no id", "a", "b"]);
        assert!(due[0].account.is_err() && due[1].account.is_ok());
        let meanwhile = [(account("b"), Some(at(25)))].into();
        write(db, async |tx| schedule::save(tx, &meanwhile).await).await.unwrap();
        for one in &due {
            schedule::postpone(db, &one.row, at(60), at(10)).await.unwrap();
        }
        let due = schedule::due(db, at(30), 10).await.unwrap();
        assert_eq!(due.iter().map(|due| due.row.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
