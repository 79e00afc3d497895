//! Claims, leases, waking and replay.

use std::collections::BTreeSet;

use tollgate_domain::ids::EventId;
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::inbox::{self, ClaimedEvent, EventFilter, EventStatus, Finished, NewEvent};
use tollgate_store::{Db, links};

use crate::database::write;
use crate::sample::{account, at, event, key, link, object, outcome};

async fn insert(db: &Db, events: &[NewEvent<'_>]) {
    write(db, async |tx| inbox::insert(tx, events).await).await.unwrap();
}

fn ids(claimed: &[ClaimedEvent]) -> Vec<&str> {
    claimed.iter().map(|one| one.key.event.as_str()).collect()
}

fn due(id: &str, seconds: i64) -> NewEvent<'static> {
    let mut new = event(id, EventStatus::Failed);
    new.outcome.next_attempt_at = Some(at(seconds));
    new
}

on_both! {
    only_what_is_due_and_free_is_claimed: |db| async {
        insert(db, &[
            due("evt_due", -5), due("evt_later", 50), event("evt_done", EventStatus::Processed),
            event("evt_dead", EventStatus::Dead), event("evt_new", EventStatus::Received),
        ]).await;
        let claimed = inbox::claim(db, at(0), at(30), "one", 10).await.unwrap();
        assert_eq!(ids(&claimed), ["evt_due", "evt_new"]);
        assert_eq!(claimed[0].body, event("evt_due", EventStatus::Failed).body);
        assert_eq!((claimed[0].attempts, claimed[0].status), (1, EventStatus::Failed));
        assert!(inbox::claim(db, at(1), at(31), "two", 10).await.unwrap().is_empty());
        let again = inbox::claim(db, at(30), at(60), "two", 10).await.unwrap();
        assert_eq!(ids(&again), ["evt_due", "evt_new"]);
        assert_eq!(again[0].lease_generation, claimed[0].lease_generation + 1);
    }

    only_what_is_dead_is_discarded: |db| async {
        insert(db, &[
            due("evt_failed", 5), event("evt_done", EventStatus::Processed),
            event("evt_dead", EventStatus::Dead), event("evt_other", EventStatus::Dead),
        ]).await;
        let asked = ["evt_failed", "evt_done", "evt_dead", "evt_nowhere"].map(|id| key(id).event);
        let discard = async || {
            write(db, async |tx| inbox::discard(tx, &asked, "no event: x\u{0}y", at(9)).await).await
        };
        assert_eq!(discard().await.unwrap(), [key("evt_dead").event]);
        assert_eq!(discard().await.unwrap(), []);
        for (id, status) in [
            ("evt_failed", EventStatus::Failed), ("evt_done", EventStatus::Processed),
            ("evt_dead", EventStatus::Ignored), ("evt_other", EventStatus::Dead),
        ] {
            let row = inbox::find(db, &key(id).event).await.unwrap().remove(0);
            assert_eq!(row.outcome.status, status, "{id}");
            if id == "evt_dead" {
                assert_eq!(row.outcome.reason.as_deref(), Some("no event: x\u{0}y"));
                assert_eq!(row.outcome.processed_at, Some(at(9)));
            }
        }
        let open: u64 = inbox::count_open(db).await.unwrap().iter().map(|(_, count)| count).sum();
        assert_eq!(open, 2, "one to be tried again, one dead");
        assert_eq!(inbox::set_ids_for_replay(db, &asked[2..3], at(10)).await.unwrap(), 1);
    }

    a_worker_that_slept_past_its_lease_writes_nothing: |db| async {
        insert(db, &[due("evt_1", 0)]).await;
        let slow = inbox::claim(db, at(0), at(30), "slow", 1).await.unwrap().remove(0);
        let quick = inbox::claim(db, at(40), at(70), "quick", 1).await.unwrap().remove(0);
        let finished = |claim: &ClaimedEvent, status| Finished {
            key: claim.key.clone(),
            outcome: outcome(status),
            lease_generation: Some(claim.lease_generation),
        };
        let finish = async |one: Finished| {
            write(db, async |tx| inbox::finish(tx, std::slice::from_ref(&one)).await).await.unwrap()
        };
        assert_eq!(finish(finished(&slow, EventStatus::Ignored)).await, 0);
        assert_eq!(finish(finished(&quick, EventStatus::Processed)).await, 1);
        assert_eq!(finish(finished(&slow, EventStatus::Ignored)).await, 0);
        assert_eq!(finish(finished(&quick, EventStatus::Processed)).await, 0, "its lease is over");
        let row = inbox::find(db, &slow.key.event).await.unwrap().remove(0);
        assert_eq!(row.outcome.status, EventStatus::Processed);
    }

    a_redelivery_ends_a_lease: |db| async {
        insert(db, &[due("evt_1", 0)]).await;
        let claim = inbox::claim(db, at(0), at(30), "worker", 1).await.unwrap().remove(0);
        let finish = async |generation| {
            let one = Finished {
                key: key("evt_1"),
                outcome: outcome(EventStatus::Processed),
                lease_generation: generation,
            };
            write(db, async |tx| inbox::finish(tx, std::slice::from_ref(&one)).await).await.unwrap()
        };
        assert_eq!(finish(None).await, 1);
        assert_eq!(finish(Some(claim.lease_generation)).await, 0);
    }

    two_workers_never_hold_the_same_event: |db| async {
        let events: Vec<_> = (0..60).map(|number| due(&format!("evt_{number:02}"), -1)).collect();
        insert(db, &events).await;
        let claims = (0..6).map(|worker| {
            let db = Db::clone(db);
            tokio::spawn(async move {
                inbox::claim(&db, at(0), at(30), &format!("worker-{worker}"), 10).await.unwrap()
            })
        });
        let claims: Vec<_> = claims.collect();
        let mut seen = BTreeSet::new();
        let mut total = 0;
        for claim in claims {
            for one in claim.await.unwrap() {
                total += 1;
                seen.insert(one.key);
            }
        }
        assert_eq!(seen.len(), total);
        // What a worker skipped because another one had it locked is still there.
        let rest = inbox::claim(db, at(0), at(30), "last", 100).await.unwrap();
        assert_eq!(total + rest.len(), 60);
    }

    an_account_with_many_events_leaves_room_for_others: |db| async {
        let mut events = Vec::new();
        for number in 0..30 {
            let mut new = due(&format!("evt_many{number:02}"), -100);
            new.outcome.account = Some(account("many"));
            events.push(new);
        }
        for name in ["one", "two"] {
            let mut new = due(&format!("evt_{name}"), -1);
            new.outcome.account = Some(account(name));
            events.push(new);
        }
        insert(db, &events).await;
        let claimed = inbox::claim(db, at(0), at(30), "worker", 4).await.unwrap();
        let ids: BTreeSet<&str> = ids(&claimed).into_iter().collect();
        assert_eq!(ids.len(), 4);
        assert!(ids.contains("evt_one") && ids.contains("evt_two"), "{ids:?}");
    }

    a_link_wakes_those_who_wait_for_it: |db| async {
        let waiting = |id: &str| {
            let mut new = event(id, EventStatus::Waiting);
            new.outcome.next_attempt_at = Some(at(3_600));
            new
        };
        let mut foreign = event("evt_5", EventStatus::Ignored);
        foreign.outcome.reason = Some(inbox::FOREIGN.to_owned());
        let mut other = event("evt_6", EventStatus::Ignored);
        other.outcome.reason = Some("other_mode".to_owned());
        let mut let_go = event("evt_7", EventStatus::Ignored);
        let_go.outcome.reason = Some(inbox::OWNER_UNKNOWN_EXPIRED.to_owned());
        let mut bare = event("evt_8", EventStatus::Ignored);
        bare.outcome.reason = Some(inbox::FOREIGN.to_owned());
        bare.body.codec = inbox::BodyCodec::Removed;
        insert(db, &[
            waiting("evt_1"), waiting("evt_2"), waiting("evt_3"), waiting("evt_4"), foreign, other,
            let_go, bare,
        ]).await;
        let waits = [
            (key("evt_1"), vec![object("cus_1"), object("sub_1")]),
            (key("evt_2"), vec![object("cus_2")]),
            (key("evt_3"), vec![object("cus_3")]),
            (key("evt_4"), vec![object("cus_1")]),
            (key("evt_5"), vec![object("cus_2"), object("price_1")]),
            (key("evt_6"), vec![object("cus_2")]),
            (key("evt_7"), vec![object("cus_2")]),
            (key("evt_8"), vec![object("cus_2")]),
        ];
        write(db, async |tx| {
            inbox::set_waits(tx, &waits).await?;
            inbox::set_waits(tx, &waits).await?;
            inbox::clear_waits(tx, &[key("evt_4")]).await
        }).await.unwrap();
        let wake = async |objects: &[&str]| {
            let links: Vec<_> = objects.iter().map(|id| link(id, "acme")).collect();
            let links: Vec<_> = links.iter().collect();
            let noted = write(db, async |tx| inbox::wake(tx, &links).await).await.unwrap();
            (noted, inbox::run_wakes(db, at(0), 10).await.unwrap())
        };
        assert_eq!(inbox::run_wakes(db, at(0), 10).await.unwrap(), 0, "nothing came about");
        assert_eq!(wake(&["sub_1", "cus_9"]).await, (1, 1));
        assert_eq!(wake(&["sub_1"]).await, (1, 0), "it is awake");
        assert_eq!(wake(&["cus_2"]).await, (1, 3));
        let claimed = inbox::claim(db, at(1), at(30), "worker", 10).await.unwrap();
        assert_eq!(ids(&claimed), ["evt_1", "evt_2", "evt_5", "evt_7"]);
        assert_eq!(claimed[2].status, EventStatus::Received);
        assert_eq!(inbox::wake_for(db, &[object("price_1"), object("price_2")]).await.unwrap(), 1);
    }

    many_are_woken_in_pieces: |db| async {
        let ids: Vec<String> = (0..25).map(|number| format!("evt_{number:02}")).collect();
        let all: Vec<NewEvent<'_>> = ids.iter().map(|id| {
            let mut new = event(id, EventStatus::Waiting);
            new.outcome.next_attempt_at = Some(at(3_600));
            new
        }).collect();
        insert(db, &all).await;
        let waits: Vec<_> = ids.iter().map(|id| (key(id), vec![object("cus_1")])).collect();
        write(db, async |tx| {
            inbox::set_waits(tx, &waits).await?;
            inbox::wake(tx, &[&link("cus_1", "acme")]).await
        }).await.unwrap();
        let mut pieces = Vec::new();
        for _ in 0..4 {
            pieces.push(inbox::run_wakes(db, at(0), 10).await.unwrap());
        }
        assert_eq!(pieces, [10, 10, 5, 0]);
    }

    what_was_linked_while_an_event_began_to_wait_is_found_by_looking_back: |db| async {
        let mut waiting = event("evt_1", EventStatus::Waiting);
        waiting.outcome.next_attempt_at = Some(at(3_600));
        insert(db, std::slice::from_ref(&waiting)).await;
        let waits = [(key("evt_1"), vec![object("cus_1"), object("cus_2")])];
        write(db, async |tx| {
            links::insert(tx, &[&link("cus_1", "acme")]).await?;
            inbox::set_waits(tx, &waits).await
        }).await.unwrap();
        assert_eq!(inbox::look_back_at_all(db).await.unwrap(), 1);
        assert_eq!(inbox::run_wakes(db, at(0), 10).await.unwrap(), 1);
        let found = inbox::look_back(db, &[object("cus_1"), object("cus_2")]).await.unwrap();
        assert!(found <= 1, "transactions of SQLite come one after the other");
    }

    an_e_mail_verified_while_an_event_began_to_wait_is_found_by_looking_back: |db| async {
        let keys = ["ann@x", "bob@x"].map(inbox::email_key);
        let mut waiting = event("evt_1", EventStatus::Waiting);
        waiting.outcome.next_attempt_at = Some(at(3_600));
        insert(db, std::slice::from_ref(&waiting)).await;
        let waits = [(key("evt_1"), keys.to_vec())];
        write(db, async |tx| {
            let heads = ["a", "b", "c"].map(|id| AccountHead::unknown(account(id)));
            accounts::save(tx, &heads, at(0)).await?;
            accounts::set_email(tx, &account("a"), Some("Ann@X")).await?;
            accounts::set_email(tx, &account("b"), Some("bob@x")).await?;
            accounts::set_email(tx, &account("c"), Some("bob@x")).await?;
            inbox::set_waits(tx, &waits).await
        }).await.unwrap();
        // Two have the other one, which leads to nobody.
        assert_eq!(inbox::look_back_at_all(db).await.unwrap(), 1);
        let on_postgres = matches!(&**db, Db::Postgres(_));
        assert_eq!(inbox::look_back(db, &keys).await.unwrap(), u64::from(on_postgres));
        assert_eq!(inbox::run_wakes(db, at(0), 10).await.unwrap(), 1);
        // One of the two is removed.
        let removed = write(db, async |tx| accounts::remove(tx, &account("c")).await).await;
        assert!(removed.unwrap());
        assert_eq!(db.number("SELECT COUNT(*) FROM event_wakes").await, 1);
        assert_eq!(inbox::look_back_at_all(db).await.unwrap(), 2);
        let emails = ["ann@x".to_owned(), "bob@x".to_owned(), "none@x".to_owned()];
        let found = write(db, async |tx| accounts::by_email(tx, &emails).await).await.unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found["bob@x"], account("b"));
    }

    anything_can_be_replayed_but_what_is_held: |db| async {
        let mut done = event("evt_done", EventStatus::Processed);
        done.outcome.account = Some(account("acme"));
        let mut dead = event("evt_dead", EventStatus::Dead);
        dead.event_type = "customer.updated".into();
        insert(db, &[done, dead, due("evt_held", 0)]).await;
        inbox::claim(db, at(0), at(30), "worker", 1).await.unwrap();
        let with = |filter: EventFilter| async move {
            inbox::set_for_replay(db, &filter, at(1)).await.unwrap()
        };
        let nobody = EventFilter { account: Some(account("nobody")), ..EventFilter::default() };
        assert_eq!(with(nobody).await, 0);
        let of_type =
            EventFilter { event_type: Some("customer.updated".to_owned()), ..EventFilter::default() };
        assert_eq!(with(of_type).await, 1);
        assert_eq!(with(EventFilter::default()).await, 2, "all but the one that is held");
        let claimed = inbox::claim(db, at(1), at(31), "worker", 10).await.unwrap();
        assert_eq!(ids(&claimed), ["evt_dead", "evt_done"]);
        assert!(claimed.iter().all(|one| one.attempts == 0 && one.status == EventStatus::Received));
        let ids = ["evt_done", "evt_held", "evt_none"].map(|id| EventId::parse(id).unwrap());
        assert_eq!(inbox::set_ids_for_replay(db, &ids, at(5)).await.unwrap(), 0);
        assert_eq!(inbox::set_ids_for_replay(db, &ids, at(60)).await.unwrap(), 2);
    }
}
