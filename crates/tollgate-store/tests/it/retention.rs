//! What is removed once it is older than it is kept, and what stays.

use tollgate_domain::Timestamp;
use tollgate_store::inbox::{self, BodyCodec, EventFilter, EventStatus};
use tollgate_store::journal::{self, JournalFilter, Verdict};
use tollgate_store::retention::{self, Cutoffs, Removed};
use tollgate_store::{Db, usage};

use crate::journal::append;
use crate::sample::{account, at, event};

const NOTHING: Cutoffs = Cutoffs { journal: None, usage: None };

async fn remove_journal(db: &Db, before: Timestamp) -> u64 {
    let cutoffs = Cutoffs { journal: Some(before), ..NOTHING };
    let unknown = retention::remove(db, &account("unknown"), cutoffs).await.unwrap();
    assert_eq!(unknown, Removed::default());
    let removed = retention::remove(db, &account("acme"), cutoffs).await.unwrap();
    assert_eq!(removed, Removed { journal: removed.journal, ..Removed::default() });
    removed.journal
}

async fn verify(db: &Db) -> Verdict {
    journal::verify(db, &account("acme")).await.unwrap()
}

on_both! {
    a_journal_is_whole_without_its_oldest_entries: |db| async {
        // Three entries in each second from 100 on.
        let rows = append(db, "acme", 0..12).await;
        append(db, "other", 0..12).await;
        assert_eq!(remove_journal(db, at(102)).await, 6);
        assert_eq!(verify(db).await, Verdict::Whole(12));
        let of_acme = JournalFilter { account: Some(account("acme")), ..JournalFilter::default() };
        let (left, _) = journal::list(db, &of_acme, None, 100).await.unwrap();
        assert_eq!(left, rows[6..].iter().rev().cloned().collect::<Vec<_>>());
        assert_eq!(remove_journal(db, at(102)).await, 0, "again");
        // It goes on, also when nothing is left.
        assert_eq!(remove_journal(db, at(1_000)).await, 6);
        assert_eq!(verify(db).await, Verdict::Whole(12));
        append(db, "acme", 12..15).await;
        assert_eq!(verify(db).await, Verdict::Whole(15));
        let other = journal::verify(db, &account("other")).await.unwrap();
        assert_eq!(other, Verdict::Whole(12), "the other account keeps its own");
    }

    much_goes_in_steps: |db| async {
        append(db, "acme", 0..2_500).await;
        let cutoffs = Cutoffs { journal: Some(at(1_000_000)), ..NOTHING };
        for (removed, more) in [(1_000, true), (1_000, true), (500, false), (0, false)] {
            let step = retention::remove(db, &account("acme"), cutoffs).await.unwrap();
            assert_eq!((step.journal, step.more), (removed, more));
            assert_eq!(verify(db).await, Verdict::Whole(2_500));
        }
    }

    several_servers_remove_at_once_and_the_journal_stays_whole: |db| async {
        append(db, "acme", 0..240).await;
        let others = [db.reopen().await, db.reopen().await];
        // Each knows another instant, as servers whose clocks differ do, and an entry is written meanwhile.
        for second in (100..180).step_by(4) {
            let remove = async |db: &Db, seconds: i64| {
                let cutoffs = Cutoffs { journal: Some(at(seconds)), ..NOTHING };
                retention::remove(db, &account("acme"), cutoffs).await.unwrap();
            };
            tokio::join!(
                remove(&others[0], second),
                remove(&others[1], second - 1),
                remove(db, second - 3),
                append(db, "acme", 1_000..1_001),
            );
            assert!(matches!(verify(db).await, Verdict::Whole(_)), "{second}");
        }
        for other in others {
            other.close().await;
        }
    }

    what_was_set_aside_keeps_its_body_for_a_time_of_its_own: |db| async {
        let mut foreign = event("evt_foreign", EventStatus::Ignored);
        foreign.outcome.reason = Some("foreign".to_owned());
        crate::inbox::insert(db, std::slice::from_ref(&foreign)).await;
        db.sql("INSERT INTO event_waits (object_id, event_id, livemode, stripe_account) \
            SELECT 'cus_1', event_id, livemode, stripe_account FROM webhook_events").await;
        for (since, removed) in [(foreign.received_at, 0), (foreign.received_at.plus_ms(1), 1)] {
            let (from, end) = (at(-1_000_000), at(1_000_000));
            let page = retention::empty_bodies(db, from, end, since, 10).await.unwrap();
            assert_eq!(page.removed, removed);
        }
    }

    what_nobody_removed_on_purpose_is_missed: |db| async {
        append(db, "acme", 0..12).await;
        remove_journal(db, at(102)).await;
        db.sql("DELETE FROM journal_entries WHERE account_id = 'acme' AND sequence = 7").await;
        assert!(matches!(verify(db).await, Verdict::Broken { sequence: 7, .. }));
        db.sql("DELETE FROM journal_anchors").await;
        assert!(matches!(verify(db).await, Verdict::Broken { sequence: 1, .. }));
    }

    counters_go_when_their_period_is_long_over: |db| async {
        let (acme, feature) = (account("acme"), crate::usage::feature("analyses"));
        for (start, units) in [(0, 3), (40 * 86_400, 5)] {
            crate::usage::count(db, (&acme, &feature), at(start), (units, 100)).await;
        }
        // A period has thirty days.
        for (days, left) in [(30, 2), (31, 1)] {
            let before = at(0).plus_days(days);
            let cutoffs = Cutoffs { usage: Some(before), ..NOTHING };
            retention::remove(db, &account("acme"), cutoffs).await.unwrap();
            assert_eq!(usage::list(db, &acme, at(0)).await.unwrap().len(), left, "{days}");
        }
    }

    bodies_go_and_keys_stay: |db| async {
        let statuses = [
            EventStatus::Processed, EventStatus::Ignored, EventStatus::Waiting, EventStatus::Dead,
            EventStatus::Failed, EventStatus::Processed, EventStatus::Processed,
        ];
        let mut events = Vec::new();
        for (number, status) in (0_i64..).zip(statuses) {
            let mut one = event(&format!("evt_{number}"), status);
            // The last two come after the others.
            one.received_at = at(if number < 5 { 100 } else { 100 + number });
            events.push(one);
        }
        crate::inbox::insert(db, &events).await;
        let (mut from, end, mut removed) = (at(0), at(106), 0);
        while from < end {
            let page = retention::empty_bodies(db, from, end, at(0), 2).await.unwrap();
            assert!(page.until > from, "every page gets on");
            (from, removed) = (page.until, removed + page.removed);
        }
        assert_eq!(removed, 3, "two of the first five, and the one before the end");
        for (number, one) in events.iter().enumerate() {
            let body = inbox::body(db, &one.key).await.unwrap().unwrap();
            let gone = [0, 1, 5].contains(&number);
            assert_eq!(body.codec == BodyCodec::Removed, gone, "{number}");
            assert_eq!(body.bytes.is_empty(), gone, "{number}");
            assert_eq!(body.raw_len, one.body.raw_len, "{number}: the length is known");
        }
        let keys: Vec<_> = events.iter().map(|one| one.key.clone()).collect();
        assert_eq!(inbox::known_now(db, &keys).await.unwrap().len(), 7, "none is taken for new");
        let all = inbox::list(db, &EventFilter::default(), None, 100).await.unwrap();
        assert_eq!(all.0.len(), 7);
        let again = retention::empty_bodies(db, at(0), end, at(0), 100).await.unwrap();
        assert_eq!((again.removed, again.until), (0, end));
    }
}
