//! The inbox in the intake's transaction, and as people see it.

use tollgate_domain::ids::EventId;
use tollgate_store::inbox::{
    self, BodyCodec, EventFilter, EventKey, EventStatus, Finished, NewEvent, Outcome, TypeStats,
};
use tollgate_store::{Db, StoreError, accounts, journal};

use crate::database::write;
use crate::sample::{account, at, event, head, key, outcome};

pub(crate) async fn insert(db: &Db, events: &[NewEvent<'_>]) -> u64 {
    write(db, async |tx| inbox::insert(tx, events).await).await.unwrap()
}

async fn finish(db: &Db, finished: &[Finished]) -> u64 {
    write(db, async |tx| inbox::finish(tx, finished).await).await.unwrap()
}

async fn status(db: &Db, id: &str) -> EventStatus {
    inbox::find(db, &EventId::parse(id).unwrap()).await.unwrap()[0].outcome.status
}

fn redelivered(id: &str, status: EventStatus) -> Finished {
    Finished { key: key(id), outcome: outcome(status), lease_generation: None }
}

on_both! {
    an_event_comes_back_as_it_was_stored: |db| async {
        let mut new = event("evt_1", EventStatus::Failed);
        new.event_type = "odd\0\u{1a}type".into();
        new.key.stripe_account = "acct_1".to_owned();
        new.key.livemode = true;
        new.outcome = Outcome {
            account: Some(account("acme")),
            reason: Some("\u{1a}0 \0".to_owned()),
            attempts: 3,
            duration_us: Some(1_234),
            ..outcome(EventStatus::Failed)
        };
        assert_eq!(insert(db, std::slice::from_ref(&new)).await, 1);
        let rows = inbox::find(db, &new.key.event).await.unwrap();
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((&row.key, row.event_type.as_str()), (&new.key, new.event_type.as_ref()));
        assert_eq!(row.api_version.as_deref(), new.api_version.as_deref());
        assert_eq!((row.created_at, row.signed_at), (new.created_at, new.signed_at));
        assert_eq!((row.received_at, &row.object), (new.received_at, &new.object));
        assert_eq!((&row.outcome, row.body_len, row.duplicates), (&new.outcome, 4_000, 0));
        let body = inbox::body(db, &new.key).await.unwrap().unwrap();
        assert_eq!(body, new.body);
        assert_eq!(inbox::body(db, &key("evt_1")).await.unwrap(), None, "another mode");
    }

    every_codec_of_a_body_is_kept: |db| async {
        let codecs = [BodyCodec::Plain, BodyCodec::Zstd, BodyCodec::ZstdDictionary(i64::MAX)];
        for (number, codec) in codecs.into_iter().enumerate() {
            let mut new = event(&format!("evt_{number}"), EventStatus::Ignored);
            new.body.codec = codec;
            insert(db, std::slice::from_ref(&new)).await;
            assert_eq!(inbox::body(db, &new.key).await.unwrap().unwrap().codec, codec);
        }
    }

    a_known_event_is_not_stored_twice: |db| async {
        assert_eq!(insert(db, &[event("evt_1", EventStatus::Processed)]).await, 1);
        let mut other_mode = event("evt_1", EventStatus::Waiting);
        other_mode.key.livemode = true;
        assert_eq!(insert(db, std::slice::from_ref(&other_mode)).await, 1);
        // Another transaction was quicker with one of the two.
        let lost = [event("evt_2", EventStatus::Waiting), event("evt_1", EventStatus::Failed)];
        let race = write(db, async |tx| inbox::insert(tx, &lost).await).await.unwrap_err();
        assert!(matches!(race, StoreError::Conflict { .. }), "{race}");
        let keys: Vec<EventKey> =
            [key("evt_1"), key("evt_2"), other_mode.key.clone()].into();
        let known = write(db, async |tx| inbox::known(tx, &keys).await).await.unwrap();
        assert_eq!(known.len(), 2, "nothing of the lost race was kept");
        assert_eq!(known[&keys[0]].status, EventStatus::Processed);
        assert_eq!(known[&keys[2]].status, EventStatus::Waiting);
    }

    a_final_event_is_never_taken_back: |db| async {
        insert(db, &[event("evt_1", EventStatus::Processed), event("evt_2", EventStatus::Failed)]).await;
        let all = [redelivered("evt_1", EventStatus::Failed), redelivered("evt_2", EventStatus::Processed)];
        assert_eq!(finish(db, &all).await, 1);
        assert_eq!(status(db, "evt_1").await, EventStatus::Processed);
        assert_eq!(status(db, "evt_2").await, EventStatus::Processed);
        assert_eq!(finish(db, &[redelivered("evt_9", EventStatus::Processed)]).await, 0);
    }

    deliveries_are_counted: |db| async {
        insert(db, &[event("evt_1", EventStatus::Processed), event("evt_2", EventStatus::Ignored)]).await;
        let keys = ["evt_1", "evt_1", "evt_2", "evt_1", "evt_9"].map(key);
        write(db, async |tx| inbox::count_duplicates(tx, &keys).await).await.unwrap();
        let count = async |id: &str| {
            inbox::find(db, &EventId::parse(id).unwrap()).await.unwrap()[0].duplicates
        };
        assert_eq!((count("evt_1").await, count("evt_2").await), (3, 1));
    }

    lists_go_from_the_newest_on_and_every_page_ends_where_the_next_begins: |db| async {
        let mut events = Vec::new();
        for number in 0..25 {
            let mut new = event(&format!("evt_{number:02}"), EventStatus::ALL[number % 6]);
            // Several of one instant, so that the cursor must tell them apart.
            new.received_at = at(i64::try_from(number / 4).unwrap());
            if number % 2 == 0 {
                new.event_type = "customer.updated".into();
            }
            events.push(new);
        }
        insert(db, &events).await;
        let mut expected: Vec<&NewEvent<'_>> = events.iter().collect();
        expected.sort_by_key(|new| std::cmp::Reverse((new.received_at, new.key.event.clone())));
        let mut listed = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let (page, next) =
                inbox::list(db, &EventFilter::default(), cursor.as_deref(), 7).await.unwrap();
            listed.extend(page.into_iter().map(|row| row.key));
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(listed, expected.iter().map(|new| new.key.clone()).collect::<Vec<_>>());
        for status in EventStatus::ALL {
            let filter = EventFilter {
                status: Some(status),
                event_type: Some("customer.updated".to_owned()),
                from: Some(at(1)),
                until: Some(at(5)),
                ..EventFilter::default()
            };
            let (page, _) = inbox::list(db, &filter, None, 100).await.unwrap();
            let wanted = |new: &&&NewEvent<'_>| {
                new.outcome.status == status && new.event_type == "customer.updated"
                    && new.received_at >= at(1) && new.received_at < at(5)
            };
            let expected: Vec<EventKey> =
                expected.iter().filter(wanted).map(|new| new.key.clone()).collect();
            assert_eq!(page.into_iter().map(|row| row.key).collect::<Vec<_>>(), expected, "{status:?}");
        }
        let odd = inbox::list(db, &EventFilter::default(), Some("no cursor' --"), 3).await.unwrap();
        assert_eq!(odd.0.len(), 3);
    }

    an_account_has_its_events_whatever_became_of_them: |db| async {
        let acme = account("acme");
        let mut events = [
            event("evt_done", EventStatus::Processed),
            event("evt_failed", EventStatus::Failed),
            event("evt_dead", EventStatus::Dead),
            event("evt_other", EventStatus::Failed),
        ];
        for new in &mut events[..3] {
            new.outcome.account = Some(acme.clone());
        }
        events[3].outcome.account = Some(account("other"));
        let entry = tollgate_domain::change::JournalEntry {
            kind: "invoice.paid",
            subject: "in_1".to_owned(),
            actor: tollgate_domain::change::Actor::Stripe(events[0].key.event.clone()),
            occurred_at: at(0),
            details: Vec::new(),
            billing: None,
        };
        write(db, async |tx| {
            let mut head = head("acme");
            let row = journal::JournalRow::next(&mut head, &entry, None, at(0));
            accounts::save(tx, &[head], at(0)).await?;
            journal::append(tx, &[row]).await?;
            inbox::insert(tx, &events).await
        }).await.unwrap();
        let filter = EventFilter { account: Some(acme), ..EventFilter::default() };
        let (page, next) = inbox::list(db, &filter, None, 10).await.unwrap();
        let ids: Vec<&str> = page.iter().map(|row| row.key.event.as_str()).collect();
        assert_eq!((ids, next), (vec!["evt_failed", "evt_done", "evt_dead"], None));
    }

    statistics_count_and_time_by_type: |db| async {
        let mut events = Vec::new();
        for number in 1..=200_u64 {
            let mut new = event(&format!("evt_{number:03}"), EventStatus::Processed);
            new.outcome.duration_us = Some(number * 10);
            events.push(new);
        }
        for (number, status) in EventStatus::ALL.into_iter().enumerate() {
            let mut new = event(&format!("evt_x{number}"), status);
            new.event_type = "customer.updated".into();
            events.push(new);
        }
        let mut old = event("evt_old", EventStatus::Processed);
        old.received_at = at(-10);
        events.push(old);
        insert(db, &events).await;
        let stats = inbox::stats(db, at(0)).await.unwrap();
        let none = TypeStats {
            event_type: "customer.updated".to_owned(),
            total: 6, processed: 1, failed: 1, waiting: 1, ignored: 1, dead: 1, received: 1,
            mean_us: None, p99_us: None,
        };
        assert_eq!(stats[0], none);
        assert_eq!((stats[1].total, stats[1].processed), (200, 200));
        assert_eq!((stats[1].mean_us, stats[1].p99_us), (Some(1_005), Some(1_980)));
        let open = inbox::count_open(db).await.unwrap();
        let mut expected = vec![
            (EventStatus::Dead, 1), (EventStatus::Failed, 1), (EventStatus::Received, 1),
            (EventStatus::Waiting, 1),
        ];
        expected.sort_by_key(|(status, _)| status.as_str());
        assert_eq!(open, expected);
    }
}
