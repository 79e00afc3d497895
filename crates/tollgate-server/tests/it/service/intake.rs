//! Events in: what each is answered and what it leaves behind.

use crate::support::{NOW, SECRET, Settings, State, TestApp, TestDatabase, on_both};
use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::StripeEvent;
use tollgate_stripe::SigningSecret;

on_both! {
    async fn a_checkout_gives_access_at_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], false);
        let statuses = app.deliver_all(&app.scenario("checkout", "acme")).await;
        assert!(statuses.iter().all(|s| s == "processed" || s == "waiting" || s == "ignored"), "{statuses:?}");
        app.run_workers().await;
        let check = app.check("acme", "weekly_digest").await;
        assert_eq!(check["canAccess"], true, "{check}");
        assert_eq!(check["reason"]["code"], "granted_by_subscription");
        assert_eq!(check["tier"], "premium");
        app.stop().await;
    }

    async fn a_second_delivery_is_a_duplicate_and_changes_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let events = app.scenario("checkout", "acme");
        app.deliver_all(&events).await;
        app.run_workers().await;
        let (digest, revision) = (app.digest().await, app.check("acme", "weekly_digest").await["revision"].clone());
        let statuses = app.deliver_all(&events).await;
        assert!(statuses.iter().all(|status| status == "duplicate"), "{statuses:?}");
        assert_eq!(app.digest().await, digest);
        assert_eq!(app.check("acme", "weekly_digest").await["revision"], revision);
        app.stop().await;
    }

    async fn a_failed_event_is_never_called_duplicate(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let garbled = json!({
            "id": "evt_garbled", "object": "event", "type": "customer.subscription.updated",
            "created": 1, "livemode": false,
            "data": {"object": {"id": "sub_1", "object": "subscription"}},
        });
        for _ in 0..3 {
            let answer = app.deliver(&garbled.to_string()).await;
            assert_eq!((answer.status, answer.field("status").as_str()), (200, "failed"), "{}", answer.text);
        }
        app.stop().await;
    }

    async fn a_failing_event_is_tried_twelve_times_and_then_dead(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let garbled = json!({
            "id": "evt_garbled", "object": "event", "type": "invoice.paid", "created": 1,
            "livemode": false, "data": {"object": {"object": "invoice"}},
        });
        app.deliver(&garbled.to_string()).await;
        for _ in 0..11 {
            app.clock.set(app.now().plus_ms(600_001));
            app.run_workers().await;
        }
        let id = tollgate_domain::ids::EventId::parse("evt_garbled").unwrap();
        let rows = tollgate_store::inbox::find(&app.app().engine.db, &id).await.unwrap();
        assert_eq!(rows[0].outcome.status, tollgate_store::inbox::EventStatus::Dead);
        assert_eq!(rows[0].outcome.attempts, 12);
        // Dead is not done: Stripe sending it once more tries it once more.
        assert_ne!(app.deliver(&garbled.to_string()).await.field("status"), "duplicate");
        app.stop().await;
    }

    async fn an_event_without_an_owner_waits_for_the_link(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let events = app.scenario("checkout", "acme");
        let of = |event: &&tollgate_sandbox::StripeEvent| {
            event.kind.starts_with("invoice") && event.kind != "invoice.created"
        };
        let invoices: Vec<_> = events.iter().filter(of).map(without_claim).collect();
        for body in &invoices {
            let status = app.deliver(body).await.field("status");
            assert!(status == "waiting" || status == "ignored", "{status}: {body}");
        }
        app.run_workers().await;
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], false);
        app.deliver_all(events.iter().filter(|event| !of(event))).await;
        app.run_workers().await;
        for body in &invoices {
            assert_eq!(app.deliver(body).await.field("status"), "duplicate");
        }
        app.stop().await;
    }

    async fn what_has_no_effects_is_stored_and_ignored(database: &TestDatabase) {
        let settings = Settings {
            environment: vec![("STRIPE_SECRET_KEY".into(), "sk_test_tollgate0123456789".into())],
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        let event = |extra: serde_json::Value| {
            let mut event = json!({
                "id": "evt_1", "object": "event", "type": "customer.subscription.updated",
                "created": 1, "livemode": false, "data": {"object": {}},
            });
            event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            event.to_string()
        };
        let bodies = [
            event(json!({"id": "evt_live", "livemode": true})),
            event(json!({"id": "evt_other", "type": "source.chargeable"})),
            json!({
                "id": "evt_thin", "object": "v2.core.event", "type": "v1.charge.succeeded",
                "created": "2026-11-21T10:00:00.250Z", "livemode": false,
                "related_object": {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"},
            })
            .to_string(),
        ];
        for body in &bodies {
            let answer = app.deliver(body).await;
            assert_eq!((answer.status, answer.field("status").as_str()), (200, "ignored"), "{body}");
            assert_eq!(app.deliver(body).await.field("status"), "duplicate", "{body}");
        }
        app.stop().await;
    }

    async fn the_same_event_sent_many_times_at_once_counts_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let events = app.scenario("checkout", "acme");
        for event in &events {
            let copies = (0..8).map(|_| app.deliver(&event.body));
            let answers = futures_util::future::join_all(copies).await;
            let done = answers.iter().filter(|a| a.field("status") == "processed").count();
            assert!(done <= 1, "{}: processed {done} times", event.kind);
            assert!(answers.iter().all(|answer| answer.status == 200));
        }
        app.run_workers().await;
        let once = app.digest().await;
        app.stop().await;
        let fresh = TestDatabase::sqlite();
        let other = TestApp::start(&fresh).await;
        other.deliver_all(&events).await;
        other.run_workers().await;
        assert_eq!(other.digest().await, once);
        other.stop().await;
    }

    async fn a_replay_of_everything_changes_and_tells_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for story in ["checkout", "upgrade", "dunning", "badge", "refund", "boost", "cancel"] {
            app.deliver_all(&app.scenario(story, "acme")).await;
            app.clock.set(app.now().plus_ms(60_000));
        }
        app.run_workers().await;
        app.stop().await;
        let before = State::settled(&database.url()).await;
        let app = TestApp::start(database).await;
        app.clock.set(Timestamp::parse(NOW).unwrap().plus_days(1));
        for _ in 0..2 {
            let all = tollgate_store::inbox::EventFilter::default();
            let db = &app.app().engine.db;
            let set = tollgate_store::inbox::set_for_replay(db, &all, app.now()).await.unwrap();
            assert!(set > 20, "{set} events were set");
            app.run_workers().await;
        }
        app.stop().await;
        let after = State::settled(&database.url()).await;
        assert_eq!((&after.journal, &after.billing), (&before.journal, &before.billing));
        assert_eq!(after, before);
    }

    async fn grace_ends_by_itself_and_is_told_once(database: &TestDatabase) {
        for (name, with_invoices) in [("acme", true), ("borealis", false)] {
            let app = TestApp::start(database).await;
            let mut events = app.scenario("dunning", name);
            let of_invoices = |event: &StripeEvent| event.kind.starts_with("invoice.");
            events.retain(|event| with_invoices || !of_invoices(event));
            app.deliver_all(&events).await;
            app.run_workers().await;
            let check = app.check(name, "weekly_digest").await;
            assert_eq!((&check["canAccess"], &check["inGracePeriod"]), (&json!(true), &json!(true)), "{check}");
            let until = Timestamp::parse(check["graceUntil"].as_str().unwrap()).unwrap();
            app.clock.set(until.plus_ms(-1));
            assert_eq!(app.check(name, "weekly_digest").await["canAccess"], true);
            app.clock.set(until);
            let check = app.check(name, "weekly_digest").await;
            assert_eq!((&check["canAccess"], &check["reason"]["code"]), (&json!(false), &json!("payment_past_due")), "{check}");
            let account = AccountId::parse(name).unwrap();
            for round in 0..3 {
                app.run_workers().await;
                // Whatever happens to the subscription next, it is looked at again.
                let last = events.iter().rfind(|event| event.kind == "customer.subscription.updated");
                let mut again: Value = serde_json::from_str(&last.unwrap().body).unwrap();
                again["id"] = json!(format!("evt_again_{name}_{round}"));
                again["created"] = json!(app.now().unix_seconds());
                again["data"]["object"]["description"] = json!(format!("changed {round} times"));
                again["data"]["previous_attributes"] = json!({"description": null});
                assert_eq!(app.deliver(&again.to_string()).await.status, 200);
                app.run_workers().await;
                let entries = tollgate_store::journal::after(&app.app().engine.db, &account, 0, 1000).await.unwrap();
                let told: Vec<_> = entries.iter().filter_map(|entry| entry.billing.as_ref()).collect();
                let ended = told.iter().filter(|event| event.kind == "grace_period.ended").count();
                assert_eq!(ended, 1, "{:?}", told.iter().map(|e| e.kind.clone()).collect::<Vec<_>>());
            }
            app.stop().await;
        }
    }

    async fn ends_of_bought_grants_and_of_a_trials_grace_are_told_once(database: &TestDatabase) {
        let levels = Settings { catalog: Some("levels".to_owned()), ..Settings::default() };
        let grant = ("grant", levels, "full_content", "grant.expired");
        let trial = ("trial", Settings::default(), "weekly_digest", "grace_period.ended");
        for (scenario, settings, feature, kind) in [grant, trial] {
            let app = TestApp::start_with(database, settings).await;
            let account = AccountId::parse(&format!("of-{scenario}")).unwrap();
            app.deliver_all(&app.scenario(scenario, account.as_str())).await;
            let db = &app.app().engine.db;
            let told = async || {
                app.run_workers().await;
                let journal = tollgate_store::journal::after(db, &account, 0, 1_000).await.unwrap();
                let entries = journal.iter().filter(|entry| entry.kind == kind).count();
                let events = journal.iter().filter_map(|entry| entry.billing.as_ref());
                (entries, events.filter(|event| event.kind == kind).count())
            };
            // Only time passes from here on, from one end to the next.
            loop {
                let check = app.check(account.as_str(), feature).await;
                if check["canAccess"] == false {
                    break;
                }
                let until = Timestamp::parse(check["validUntil"].as_str().unwrap()).unwrap();
                app.clock.set(until.plus_ms(-1));
                assert_eq!(told().await, (0, 0), "{kind} before {until}");
                app.clock.set(until);
            }
            for _ in 0..3 {
                assert_eq!(told().await, (1, 1), "{kind} at {}", app.now());
            }
            app.stop().await;
        }
    }

    async fn an_end_is_not_told_again_by_a_refund_long_after_it(database: &TestDatabase) {
        let levels = Settings { catalog: Some("levels".to_owned()), ..Settings::default() };
        let app = TestApp::start_with(database, levels).await;
        let events = app.scenario("grant", "acme");
        app.deliver_all(&events).await;
        app.run_workers().await;
        let check = app.check("acme", "full_content").await;
        let until = Timestamp::parse(check["validUntil"].as_str().unwrap()).unwrap();
        app.clock.set(until);
        app.run_workers().await;
        // By now only the payment leads to the purchase.
        app.clock.set(until.plus_days(60));
        let session = events.iter().find(|event| event.kind == "checkout.session.completed").unwrap();
        let session: Value = serde_json::from_str(&session.body).unwrap();
        let payment = &session["data"]["object"]["payment_intent"];
        for number in 1..=2 {
            let refund = json!({
                "id": format!("re_{number}"), "object": "refund", "payment_intent": payment,
                "charge": "ch_late", "amount": 100, "currency": "usd", "status": "succeeded",
            });
            let event = json!({
                "id": format!("evt_late_{number}"), "object": "event", "type": "refund.created",
                "created": app.now().unix_seconds(), "livemode": false, "data": {"object": refund},
            });
            assert_eq!(app.deliver(&event.to_string()).await.field("status"), "processed");
            app.run_workers().await;
        }
        let (db, account) = (&app.app().engine.db, AccountId::parse("acme").unwrap());
        let journal = tollgate_store::journal::after(db, &account, 0, 1_000).await.unwrap();
        let told = |kind: &str| {
            let events = journal.iter().filter_map(|entry| entry.billing.as_ref());
            events.filter(|event| event.kind == kind).count()
        };
        assert_eq!((told("grant.expired"), told("payment.refunded")), (1, 2));
        app.stop().await;
    }

    async fn signatures_are_judged_by_the_bytes(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let body = app.scenario("checkout", "acme")[0].body.clone();
        let secret = SigningSecret::parse(SECRET, "test").unwrap();
        let other = SigningSecret::parse("whsec_someone_else_entirely_012345", "other").unwrap();
        let now = Timestamp::parse(NOW).unwrap();
        let signed = |secret: &SigningSecret, at| tollgate_stripe::sign(secret, body.as_bytes(), at);
        let good = signed(&secret, now);
        let wrong = signed(&other, now);
        let wrong_v1 = wrong.split_once(',').unwrap().1;
        let (t, v1) = good.split_once(',').unwrap();
        let table = [
            (format!("{v1},{t}"), 200),
            (format!("{t},{wrong_v1},{v1}"), 200),
            (format!("{good},v0=decoy,what=ever"), 200),
            (signed(&secret, now.plus_ms(-300_000)), 200),
            (signed(&secret, now.plus_ms(300_000)), 200),
            (signed(&secret, now.plus_ms(-301_000)), 400),
            (signed(&secret, now.plus_ms(301_000)), 400),
            (wrong.clone(), 400),
            (format!("{t}, {v1}"), 400),
            (format!("{t},{t},{v1}"), 400),
            (t.to_owned(), 400),
            (v1.to_owned(), 400),
            (good.replace("v1=", "v0="), 400),
            (String::new(), 400),
        ];
        for (header, expected) in table {
            let headers = [("stripe-signature", header.as_str())];
            let answer = app.request("POST", "/webhooks/stripe", &headers, body.clone()).await;
            assert_eq!(answer.status, expected, "{header}: {}", answer.text);
        }
        let none = app.request("POST", "/webhooks/stripe", &[], body.clone()).await;
        assert_eq!((none.status, none.field("code").as_str()), (400, "invalid_signature"));
        app.stop().await;
    }
}

/// The body with every claim of an owner taken out: only the links can lead to it.
fn without_claim(event: &tollgate_sandbox::StripeEvent) -> String {
    event.body.replace("\"account_id\"", "\"nothing\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_came_before_its_owner_is_settled_as_soon_as_the_owner_comes() {
    let database = TestDatabase::sqlite();
    // Only a wake-up can be so quick: nobody looks by himself for a minute.
    let settings = Settings {
        background: true,
        environment: vec![("TOLLGATE__WORKERS__POLL_MS".into(), "60000".into())],
        ..Settings::default()
    };
    let app = TestApp::start_with(&database, settings).await;
    for round in 0..20 {
        let events = app.scenario("checkout", &format!("acme_{round}"));
        let early = events.iter().find(|event| event.kind == "invoice.paid").unwrap();
        let body = without_claim(early);
        assert_eq!(app.deliver(&body).await.field("status"), "waiting");
        app.deliver_all(events.iter().filter(|event| event.id != early.id)).await;
        let begun = std::time::Instant::now();
        let id = tollgate_domain::ids::EventId::parse(&early.id).unwrap();
        loop {
            let rows = tollgate_store::inbox::find(&app.app().engine.db, &id).await.unwrap();
            if rows[0].outcome.status == tollgate_store::inbox::EventStatus::Processed {
                break;
            }
            assert!(begun.elapsed().as_secs() < 10, "still {:?}", rows[0].outcome);
        }
    }
    app.stop().await;
}
