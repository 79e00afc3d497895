//! Thin events: what each waits for, and when that was read.

use tollgate_domain::ids::EventId;
use tollgate_store::inbox::{self, EventKey, EventStatus};
use tollgate_store::thin_events::{self as thin, End, Ending, Look, ThinRow};
use tollgate_store::{Db, doubts};

use crate::database::write;
use crate::sample::{account, at, event as sample_event, key, object};

fn row(id: &str, asks: &str, seconds: i64) -> ThinRow {
    ThinRow {
        key: key(id),
        asks: object(asks),
        object: None,
        snapshot: Some(event(&format!("{id}_snapshot"))),
        created_at: at(seconds),
        end: None,
    }
}

fn event(id: &str) -> EventId {
    EventId::parse(id).unwrap()
}

async fn note(db: &Db, rows: &[ThinRow]) {
    write(db, async |tx| thin::note(tx, rows).await).await.unwrap();
}

async fn open(db: &Db, asks: &str) -> Vec<String> {
    let open = thin::open(db, &object(asks)).await.unwrap();
    open.into_iter().map(|one| one.key.event.to_string()).collect()
}

fn look(seconds: i64) -> Look {
    Look { at: at(seconds), account: Some(account("acme")) }
}

fn end(how: Ending, seconds: i64) -> End {
    End { how, at: at(seconds), account: Some(account("acme")) }
}

async fn settle(db: &Db, asks: &str, known: &[EventKey], end: &End) -> Vec<EventKey> {
    thin::settle(db, &object(asks), known, end, at(99)).await.unwrap()
}

on_both! {
    a_reading_settles_what_was_known_and_what_is_older: |db| async {
        let rows = [
            row("evt_1", "sub_1", 10), row("evt_2", "sub_1", 10), row("evt_3", "sub_1", 12),
            row("evt_4", "sub_2", 10),
        ];
        note(db, &rows).await;
        assert_eq!(open(db, "sub_1").await, ["evt_1", "evt_2", "evt_3"]);
        // evt_1 was known when Stripe was asked; evt_2 is older than the reply; evt_3 is not.
        let others = settle(db, "sub_1", &[key("evt_1")], &end(Ending::Read, 12)).await;
        assert_eq!(others, [key("evt_2")]);
        assert_eq!(open(db, "sub_1").await, ["evt_3"]);
        assert_eq!(open(db, "sub_2").await, ["evt_4"]);
        assert_eq!(thin::count_open(db).await.unwrap(), (2, Some(at(10))));
        let known: Vec<EventKey> = rows.iter().map(|row| row.key.clone()).collect();
        let (read, looks) = write(db, async |tx| {
            Ok((thin::ended(tx, &known).await?, thin::looks(tx, &[object("sub_1")]).await?))
        })
        .await
        .unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[&key("evt_1")], end(Ending::Read, 12));
        assert_eq!(looks[&object("sub_1")], look(12));
        // Stored again, it stays read.
        note(db, &rows[..1]).await;
        assert_eq!(open(db, "sub_1").await, ["evt_3"]);
    }

    the_snapshot_event_of_the_same_happening_leads_to_the_thin_one: |db| async {
        note(db, &[row("evt_1", "sub_1", 10), row("evt_2", "sub_2", 10)]).await;
        settle(db, "sub_1", &[key("evt_1")], &end(Ending::Read, 11)).await;
        let wanted = [event("evt_1_snapshot"), event("evt_2_snapshot"), event("evt_none")];
        let twins = thin::twins(db, &wanted).await.unwrap();
        assert_eq!(
            twins.into_iter().map(|(id, read)| (id.to_string(), read)).collect::<Vec<_>>(),
            [("evt_1_snapshot".to_owned(), true), ("evt_2_snapshot".to_owned(), false)]
        );
        let told = write(db, async |tx| thin::told(tx, &wanted).await).await.unwrap();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [event("evt_1_snapshot")]);
        assert!(thin::any(db).await.unwrap());
        assert_eq!(thin::forget(db, at(12)).await.unwrap(), 1, "what waits is never forgotten");
    }

    only_a_request_is_a_look_at_the_object: |db| async {
        for (place, how) in [Ending::Told, Ending::Gone, Ending::NotShown].into_iter().enumerate() {
            let asks = format!("sub_{place}");
            let (this, older) = (format!("evt_{place}"), format!("evt_{place}_older"));
            note(db, &[row(&this, &asks, 12), row(&older, &asks, 10)]).await;
            assert!(settle(db, &asks, &[key(&this)], &end(how, 12)).await.is_empty(), "{how:?}");
            assert_eq!(open(db, &asks).await, [older]);
            let looks = write(db, async |tx| thin::looks(tx, &[object(&asks)]).await).await;
            assert!(looks.unwrap().is_empty(), "{how:?}");
        }
        let wanted = ["evt_0_snapshot", "evt_1_snapshot", "evt_2_snapshot"].map(event);
        let told = write(db, async |tx| thin::told(tx, &wanted).await).await.unwrap();
        assert!(told.is_empty(), "no object was read");
        // Whose snapshot event Stripe did not show is not known.
        let twins: Vec<_> = thin::twins(db, &wanted).await.unwrap().into_keys().collect();
        assert_eq!(twins, wanted[..2]);
    }

    what_was_answered_is_due_with_its_answer: |db| async {
        let mut waiting = ["evt_1", "evt_2", "evt_3"].map(|id| sample_event(id, EventStatus::Waiting));
        for event in &mut waiting {
            event.outcome.next_attempt_at = Some(at(3_600));
        }
        write(db, async |tx| inbox::insert(tx, &waiting).await).await.unwrap();
        let rows = [row("evt_1", "sub_1", 12), row("evt_2", "sub_1", 10), row("evt_3", "sub_1", 12)];
        note(db, &rows).await;
        settle(db, "sub_1", &[key("evt_1")], &end(Ending::Read, 12)).await;
        let due = inbox::claim(db, at(99), at(120), "worker", 10).await.unwrap();
        let due: Vec<&str> = due.iter().map(|one| one.key.event.as_str()).collect();
        assert_eq!(due, ["evt_1", "evt_2"]);
    }

    what_was_given_up_is_asked_for_no_more: |db| async {
        note(db, &[row("evt_1", "sub_1", 10), row("evt_2", "sub_1", 11)]).await;
        write(db, async |tx| thin::remove(tx, &[key("evt_1")]).await).await.unwrap();
        assert_eq!(open(db, "sub_1").await, ["evt_2"]);
    }

    an_object_is_asked_for_in_place_of_its_snapshot_event: |db| async {
        let with_object = ThinRow { object: Some(object("in_1")), ..row("evt_1", "evt_x", 10) };
        note(db, &[with_object, row("evt_2", "evt_x", 10)]).await;
        assert_eq!(thin::ask_instead(db, &object("evt_x")).await.unwrap(), [object("in_1")]);
        assert_eq!(open(db, "in_1").await, ["evt_1"]);
        assert_eq!(open(db, "evt_x").await, ["evt_2"], "it has no object");
    }

    everything_that_waits_is_asked_for_once: |db| async {
        let rows = [
            row("evt_1", "sub_1", 10), row("evt_2", "sub_1", 11), row("evt_3", "everything", 10),
        ];
        note(db, &rows).await;
        for _ in 0..2 {
            thin::ask_all(db, doubts::THIN_EVENT, "everything", at(20)).await.unwrap();
        }
        let asked = doubts::claim(db, at(20), at(30), 10).await.unwrap();
        let asked: Vec<&str> = asked.iter().map(|one| one.object.as_str()).collect();
        assert_eq!(asked, ["sub_1"]);
    }

    a_thin_event_takes_the_place_of_no_other_reason: |db| async {
        let doubt = |reason| doubts::NewDoubt { object: object("sub_1"), reason, at: at(0) };
        for reason in ["tie", doubts::THIN_EVENT] {
            let doubt = [doubt(reason)];
            write(db, async |tx| doubts::raise(tx, &doubt).await).await.unwrap();
        }
        let claimed = doubts::claim(db, at(0), at(30), 10).await.unwrap();
        assert_eq!((claimed[0].reason.as_str(), claimed[0].asked), ("tie", 2));
    }
}
