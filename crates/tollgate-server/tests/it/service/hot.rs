//! Accounts in memory: whoever else changes them, and whatever the database has lost since.

use serde_json::{Value, json};
use tollgate_domain::owner::Basis;
use tollgate_server::clock::Clock;
use tollgate_server::intake::{Delivery, ReplyStatus, read};
use tollgate_store::inbox::{self, EventFilter, EventStatus};

use crate::support::{Settings, State, TestApp, TestDatabase, on_both, run_sql_on};

/// Events of one account's life, as they are delivered.
fn lives(app: &TestApp) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for name in ["checkout", "dunning", "upgrade", "cancel", "badge", "boost", "trial"] {
        for event in app.scenario(name, &format!("of-{name}")) {
            events.push((event.id.clone(), event.body.clone()));
        }
    }
    events
}

fn delivery(app: &TestApp, body: &str) -> Delivery {
    let reading = read::read(body.as_bytes(), &app.app().config.stripe);
    reading.delivered(body.as_bytes(), app.now())
}

/// An event about an object that names `acme`.
fn event(id: &str, kind: &str, object: &Value) -> String {
    json!({
        "id": id, "object": "event", "type": kind, "api_version": "2026-10-28.endive",
        "created": 1_795_255_200, "livemode": false, "data": {"object": object},
    })
    .to_string()
}

on_both! {
    async fn two_servers_that_take_turns_leave_what_one_would(database: &TestDatabase) {
        let one = TestApp::start(database).await;
        one.clock.set(Clock::System.now());
        let events = lives(&one);
        let untroubled = State::of_untroubled_run(&events).await;
        let two = TestApp::start_at(&database.url(), Settings::default()).await;
        two.clock.set(Clock::System.now());
        // Neither keeps what it knows of an account for longer than until the other's next event.
        for (place, (_, body)) in events.iter().enumerate() {
            let app = if place % 3 == 1 { &two } else { &one };
            assert_eq!(app.deliver(body).await.status, 200);
        }
        // Each knows the events that the other has taken.
        for (place, (_, body)) in events.iter().enumerate() {
            let app = if place % 2 == 0 { &two } else { &one };
            assert_eq!(app.deliver(body).await.field("status"), "duplicate");
        }
        one.run_workers().await;
        one.stop().await;
        two.stop().await;
        assert_eq!(State::settled(&database.url()).await, untroubled);
    }

    async fn events_of_long_ago_that_are_known_need_no_lock_among_new_ones(database: &TestDatabase) {
        let before = TestApp::start(database).await;
        before.clock.set(Clock::System.now());
        let events = lives(&before);
        let (known, new) = events.split_at(events.len() / 2);
        for (_, body) in known {
            before.deliver(body).await;
        }
        before.stop().await;
        // Its memory is empty.
        let app = TestApp::start_at(&database.url(), Settings::default()).await;
        app.clock.set(Clock::System.now().plus_ms(3_600_000));
        // The first event with an effect settles the mode, which is written with a lock.
        let effect = new.iter().position(|(_, body)| body.contains("customer.subscription"));
        let (before, from) = new.split_at(effect.expect("a subscription"));
        let (first, after) = from.split_first().expect("it");
        assert_eq!(app.deliver(&first.1).await.field("status"), "processed");
        let mixed = known.iter().chain(before).chain(after);
        let mixed: Vec<Delivery> = mixed.map(|(_, body)| delivery(&app, body)).collect();
        let replies = app.app().intake.process(&mixed).await;
        let duplicates = replies.iter().flatten().filter(|one| one.status == ReplyStatus::Duplicate);
        assert_eq!((replies.iter().flatten().count(), duplicates.count()), (mixed.len(), known.len()));
        let metrics = app.app().metrics.render();
        let redone: Vec<&str> =
            metrics.lines().filter(|line| line.contains("intake_redone_total{")).collect();
        assert!(redone.is_empty(), "{redone:?}");
        app.stop().await;
    }

    async fn what_is_delivered_twice_at_once_takes_effect_once_and_needs_no_lock(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.clock.set(Clock::System.now());
        let events = lives(&app);
        let untroubled = State::of_untroubled_run(&events).await;
        // The first event settles the mode, which is written with a lock.
        let mut bodies = events.iter().map(|(_, body)| body);
        app.deliver(bodies.next().expect("an event")).await;
        let twice: Vec<Delivery> =
            bodies.flat_map(|body| [delivery(&app, body), delivery(&app, body)]).collect();
        let replies = app.app().intake.process(&twice).await;
        for pair in replies.chunks(2) {
            let statuses: Vec<ReplyStatus> = pair.iter().flatten().map(|one| one.status).collect();
            match statuses[..] {
                [ReplyStatus::Processed, ReplyStatus::Duplicate]
                | [ReplyStatus::Ignored, ReplyStatus::Ignored] => {}
                _ => panic!("{pair:?}"),
            }
        }
        let metrics = app.app().metrics.render();
        let redone: Vec<&str> =
            metrics.lines().filter(|line| line.contains("intake_redone_total{")).collect();
        assert!(redone.is_empty(), "{redone:?}");
        let (rows, _) = inbox::list(&app.app().engine.db, &EventFilter::default(), None, 500)
            .await
            .expect("the inbox");
        let counted: u64 = rows.iter().map(|row| row.duplicates).sum();
        assert_eq!(counted, events.len() as u64 - 1);
        app.run_workers().await;
        app.stop().await;
        assert_eq!(State::settled(&database.url()).await, untroubled);
    }

    async fn why_a_group_belongs_to_its_account_is_known_of_all_its_objects(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let claim = json!({"account_id": "acme"});
        let customer = json!({"id": "cus_1", "object": "customer", "metadata": claim});
        let subscription = |metadata: &Value| {
            json!({
                "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1",
                "metadata": metadata, "created": 1_795_255_200, "items": {"object": "list", "data": []},
            })
        };
        let invoice = |customer: &str, of: Option<&str>| {
            json!({
                "id": "in_1", "object": "invoice", "status": "open", "customer": customer,
                "subscription": of, "amount_due": 700, "amount_paid": 0, "currency": "usd",
                "attempt_count": 0, "created": 1_795_255_200,
                "lines": {"object": "list", "has_more": false, "data": []},
            })
        };
        for body in [
            event("evt_1", "customer.created", &customer),
            event("evt_2", "customer.subscription.created", &subscription(&json!({}))),
            event("evt_3", "invoice.finalized", &invoice("cus_1", Some("sub_1"))),
            // It is the account's by its own word from now on, and with it all of its group.
            event("evt_4", "customer.subscription.updated", &subscription(&claim)),
            event("evt_5", "invoice.voided", &invoice("cus_2", None)),
        ] {
            let answer = app.deliver(&body).await;
            assert_eq!(answer.field("status"), "processed", "{}", answer.text);
        }
        let payer = tollgate_domain::ids::ObjectId::parse("cus_2").expect("an id");
        let db = &app.app().engine.db;
        let (found, _) = tollgate_store::links::find_with_heads(db, std::slice::from_ref(&payer)).await.unwrap();
        assert!(matches!(found[&payer].basis, Basis::Claimed(_)), "{found:?}");
        app.stop().await;
    }

    async fn events_without_effects_need_no_lock_either(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        let nothing = json!({"id": "po_1", "object": "payout"});
        let batch: Vec<Delivery> = ["evt_1", "evt_2", "evt_1"]
            .map(|id| delivery(&app, &event(id, "payout.paid", &nothing)))
            .into();
        let redone = |app: &TestApp| {
            let metrics = app.app().metrics.render();
            let lines = metrics.lines().filter(|line| line.contains("intake_redone_total{"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = redone(&app);
        let replies = app.app().intake.process(&batch).await;
        assert!(replies.iter().flatten().all(|one| one.status == ReplyStatus::Ignored));
        assert_eq!((replies.len(), redone(&app)), (3, before));
        let id = tollgate_domain::ids::EventId::parse("evt_1").expect("an id");
        let rows = inbox::find(&app.app().engine.db, &id).await.expect("the inbox");
        assert_eq!(rows.iter().map(|row| row.duplicates).collect::<Vec<_>>(), [1]);
        app.stop().await;
    }

    async fn an_object_that_was_only_named_is_read_when_it_is_told_of(database: &TestDatabase) {
        let one = TestApp::start(database).await;
        let two = TestApp::start_at(&database.url(), Settings::default()).await;
        let metadata = json!({"account_id": "acme"});
        let invoice = json!({
            "id": "in_1", "object": "invoice", "status": "paid", "customer": "cus_1",
            "amount_due": 700, "amount_paid": 700, "currency": "usd", "attempt_count": 1,
            "billing_reason": "manual", "created": 1_795_255_200, "metadata": metadata,
            "lines": {"object": "list", "has_more": false, "data": []},
        });
        let session = json!({
            "id": "cs_1", "object": "checkout.session", "mode": "payment", "status": "complete",
            "payment_status": "paid", "amount_total": 700, "currency": "usd", "customer": "cus_1",
            "payment_intent": "pi_1", "invoice": "in_1", "metadata": metadata,
            "created": 1_795_255_200,
        });
        let customer = json!({"id": "cus_1", "object": "customer", "metadata": metadata});
        for (app, body) in [
            (&two, event("evt_1", "customer.created", &customer)),
            (&two, event("evt_2", "invoice.paid", &invoice)),
            (&one, event("evt_3", "checkout.session.completed", &session)),
            (&one, event("evt_4", "invoice.payment_succeeded", &invoice)),
        ] {
            let answer = app.deliver(&body).await;
            assert_eq!(answer.field("status"), "processed", "{}", answer.text);
        }
        let account = tollgate_domain::ids::AccountId::parse("acme").expect("an id");
        let entries = tollgate_store::journal::after(&one.app().engine.db, &account, 0, 100).await;
        let entries = entries.expect("a journal");
        let told = entries.iter().filter_map(|entry| entry.billing.as_ref());
        let updates = told.filter(|told| told.kind == "invoice.updated").count();
        assert_eq!(updates, 2, "finalized and settled, once each: {entries:?}");
        one.stop().await;
        two.stop().await;
    }

    async fn what_an_operator_has_to_hear_of_is_told_whatever_comes_with_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        let renewal = app.scenario("renewal", "acme");
        let sold = json!({
            "id": "evt_v2", "object": "v2.core.event", "livemode": false,
            "type": "v2.billing.pricing_plan_subscription.servicing_activated",
            "created": "2026-11-21T10:00:00.000Z",
            "related_object": {"id": "bpps_1", "type": "v2.billing.pricing_plan_subscription", "url": "/v2/x"},
        });
        let mut batch: Vec<Delivery> =
            renewal.iter().map(|event| delivery(&app, &event.body)).collect();
        batch.push(delivery(&app, &sold.to_string()));
        let replies = app.app().intake.process(&batch).await;
        assert!(replies.iter().all(Option::is_some), "{replies:?}");
        let open = tollgate_store::findings::count_open(&app.app().engine.db).await;
        let open = open.expect("findings");
        assert_eq!(open.get(&tollgate_domain::FindingCode::BillingV2), Some(&1), "{open:?}");
        app.stop().await;
    }
}

/// What the checkout names an account for and what only refers to it, at two servers in one instant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_waits_on_when_its_object_is_linked_in_the_same_instant() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let one = TestApp::start(&database).await;
    let two = TestApp::start_at(&database.url(), Settings::default()).await;
    one.deliver_all(&one.scenario("checkout", "first")).await;
    two.deliver_all(&two.scenario("checkout", "second")).await;
    for round in 0..40 {
        let claims = json!({
            "id": format!("sub_{round}"), "object": "subscription", "status": "active",
            "customer": format!("cus_{round}"), "created": 1_795_255_200,
            "metadata": {"account_id": format!("acct-{round}")},
            "items": {"object": "list", "data": [{
                "id": format!("si_{round}"), "object": "subscription_item", "quantity": 1,
                "current_period_start": 1_795_255_200, "current_period_end": 1_797_847_200,
                "price": {"id": "price_premium", "object": "price"},
            }]},
        });
        let invoice = json!({
            "id": format!("in_{round}"), "object": "invoice", "status": "paid",
            "customer": format!("cus_{round}"), "amount_due": 700, "amount_paid": 700,
            "currency": "usd", "attempt_count": 1, "billing_reason": "subscription_create",
            "created": 1_795_255_200, "subscription": format!("sub_{round}"),
            "lines": {"object": "list", "has_more": false, "data": []},
        });
        let began = event(&format!("evt_a_{round}"), "customer.subscription.created", &claims);
        let paid = event(&format!("evt_b_{round}"), "invoice.paid", &invoice);
        let (a, b) = tokio::join!(one.deliver(&began), two.deliver(&paid));
        assert_eq!((a.status, b.status), (200, 200), "{} {}", a.text, b.text);
    }
    // The net that is cast every few hours is not part of this.
    one.run_workers().await;
    let filter = tollgate_store::inbox::EventFilter::default();
    let page = tollgate_store::inbox::list(&one.app().engine.db, &filter, None, 200).await;
    let rows = page.expect("the inbox").0.into_iter();
    let ours = |row: &inbox::EventRow| {
        ["evt_a_", "evt_b_"].iter().any(|kind| row.key.event.as_str().starts_with(kind))
    };
    let rows: Vec<_> = rows.filter(ours).collect();
    assert_eq!(rows.len(), 80);
    for row in rows {
        let done = (row.outcome.status, row.outcome.account.is_some());
        assert_eq!(done, (EventStatus::Processed, true), "{row:?}");
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_the_database_has_lost_is_taken_again() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = TestApp::start(&database).await;
    let events = app.scenario("checkout", "acme");
    app.deliver_all(&events).await;
    let last = events.last().expect("an event");
    assert_eq!(app.deliver(&last.body).await.field("status"), "duplicate");
    let lost = format!("DELETE FROM webhook_events WHERE event_id = '{}'", last.id);
    run_sql_on(&database.url(), &lost).await;
    let again = [delivery(&app, &last.body)];
    let replies = app.app().intake.process(&again).await;
    let status = replies[0].as_ref().map(|reply| reply.status);
    assert_eq!(status, Some(ReplyStatus::Processed), "{replies:?}");
    assert_eq!(app.deliver(&last.body).await.field("status"), "duplicate");
    app.stop().await;
}
