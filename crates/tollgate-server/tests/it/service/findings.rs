//! Findings: opened by what arrives, shown wherever someone looks, closed when the cause is gone.

use crate::support::{Answer, Settings, TestApp, TestDatabase, on_both};
use serde_json::{Value, json};
use tollgate_domain::ids::EventId;
use tollgate_domain::{Finding, FindingCode};
use tollgate_server::scope::Scope;
use tollgate_store::findings;
use tollgate_store::inbox::{self, EventStatus, Finished, Outcome};

/// A live subscription of the account with a price.
fn subscription(event: &str, created: i64, status: &str, price: &str) -> String {
    json!({
        "id": event, "object": "event", "type": "customer.subscription.updated",
        "api_version": "2026-10-28.endive", "created": created, "livemode": false,
        "data": {"object": {
            "id": "sub_1", "object": "subscription", "status": status, "customer": "cus_1",
            "metadata": {"account_id": "acme"}, "created": created,
            "items": {"object": "list", "has_more": false, "data": [
                {"id": "si_1", "object": "subscription_item", "quantity": 1,
                 "price": {"id": price, "object": "price"}}
            ]},
        }},
    })
    .to_string()
}

/// A paid invoice of a subscription of its own that names no account.
fn paid(number: &str, price: &str) -> String {
    json!({
        "id": format!("evt_{number}"), "object": "event", "type": "invoice.paid",
        "created": 1_795_000_000, "api_version": "2026-10-28.endive", "livemode": false,
        "data": {"object": {
            "id": format!("in_{number}"), "object": "invoice", "status": "paid",
            "customer": format!("cus_{number}"), "amount_due": 3500, "amount_paid": 3500,
            "currency": "usd", "attempt_count": 1,
            "parent": {"subscription_details": {
                "subscription": format!("sub_{number}"), "metadata": {},
            }},
            "lines": {"object": "list", "has_more": false, "data": [{
                "id": "il_1", "object": "line_item", "amount": 3500, "currency": "usd", "quantity": 1,
                "period": {"start": 1_795_000_000, "end": 1_797_592_000},
                "pricing": {"price_details": {"price": price}},
            }]},
        }},
    })
    .to_string()
}

/// A paid checkout that names no account and shows no price.
fn checkout(number: &str) -> String {
    json!({
        "id": format!("evt_{number}"), "object": "event", "type": "checkout.session.completed",
        "created": 1_795_000_000, "api_version": "2026-10-28.endive", "livemode": false,
        "data": {"object": {
            "id": format!("cs_{number}"), "object": "checkout.session", "mode": "payment",
            "status": "complete", "payment_status": "paid", "amount_total": 777, "currency": "usd",
            "customer": null, "metadata": {},
        }},
    })
    .to_string()
}

async fn ask(app: &TestApp, query: &str) -> Answer {
    let key = app.make_key(&[Scope::AdminRead], None).await;
    let headers = [("x-api-key", key.as_str())];
    app.request("GET", &format!("/admin/findings{query}"), &headers, "").await
}

async fn open(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = ask(app, query).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["data"].as_array().unwrap().clone()
}

async fn relink(app: &TestApp, object: &str) {
    let admin = app.make_key(&[Scope::Admin], None).await;
    let headers = [("x-api-key", admin.as_str()), ("content-type", "application/json")];
    let order = json!({"objectId": object, "accountId": "acme", "reason": "she wrote to us"});
    let done = app.request("POST", "/admin/relink", &headers, order.to_string()).await;
    assert_eq!(done.status, 200, "{}", done.text);
}

/// Replays one event as the command line does, and lets the workers run it.
async fn replay(app: &TestApp, event: &str) {
    let event = tollgate_domain::ids::EventId::parse(event).expect("an id");
    let db = &app.app().engine.db;
    let set = tollgate_store::inbox::set_ids_for_replay(db, &[event], app.now()).await.unwrap();
    assert_eq!(set, 1);
    app.run_workers().await;
}

/// Leaves events as twelve failed attempts leave them, whatever failed.
async fn give_up(app: &TestApp, events: &[&str]) {
    let (db, now) = (&app.app().engine.db, app.now());
    let ids: Vec<EventId> = events.iter().map(|id| EventId::parse(id).unwrap()).collect();
    inbox::set_ids_for_replay(db, &ids, now).await.unwrap();
    let claimed = inbox::claim(db, now, now.plus_ms(1_000), "test", 10).await.unwrap();
    assert_eq!(claimed.len(), events.len());
    let dead = Outcome {
        status: EventStatus::Dead,
        account: None,
        reason: Some("it failed".to_owned()),
        attempts: 12,
        next_attempt_at: None,
        processed_at: None,
        duration_us: None,
    };
    let finished = claimed.iter().map(|event| Finished {
        key: event.key.clone(),
        outcome: dead.clone(),
        lease_generation: Some(event.lease_generation),
    });
    let finished: Vec<Finished> = finished.collect();
    let found = claimed.iter().map(|event| {
        Finding::new(FindingCode::EventDead, event.key.event.as_str(), now, "it failed")
    });
    let found: Vec<Finding> = found.collect();
    let mut tx = db.begin().await.unwrap();
    inbox::finish(&mut tx, &finished).await.unwrap();
    findings::open_unowned(&mut tx, &found).await.unwrap();
    tx.commit().await.unwrap();
}

on_both! {
    async fn a_paid_price_nobody_mapped_is_shown_until_it_is_over(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        assert_eq!(open(&app, "").await, Vec::<Value>::new());
        app.deliver(&subscription("evt_1", 1_795_000_000, "active", "price_nobody_knows")).await;
        let found = open(&app, "?accountId=acme").await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["code"], "price_unknown");
        assert_eq!(found[0]["subject"], "sub_1");
        assert_eq!(found[0]["objects"], json!(["price_nobody_knows"]));
        assert_eq!(open(&app, "?code=duplicate_subscription").await.len(), 0);
        let ready = app.get("/readyz").await.json();
        assert_eq!(ready["findings"], json!({"price_unknown": 1}), "{ready}");
        let metrics = app.get("/metrics").await.text;
        assert!(metrics.contains("tollgate_findings{code=\"price_unknown\"} 1"), "{metrics}");
        // Told again it is the same matter; ended it is none.
        app.deliver(&subscription("evt_2", 1_795_000_100, "active", "price_nobody_knows")).await;
        assert_eq!(open(&app, "").await.len(), 1);
        app.deliver(&subscription("evt_3", 1_795_000_200, "canceled", "price_nobody_knows")).await;
        assert_eq!(open(&app, "").await.len(), 0);
        let closed = open(&app, "?state=closed").await;
        assert!(closed[0]["closedAt"].is_string(), "{closed:?}");
        app.stop().await;
    }

    async fn what_is_paid_and_named_by_nobody_is_open_until_it_has_an_account(database: &TestDatabase) {
        let settings = Settings {
            environment: vec![("STRIPE_PRODUCT_PRICE_MAP".into(), "premium=price_premium".into())],
            catalog: Some("sietch".into()),
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        let paid = paid("1", "price_premium");
        assert_eq!(app.deliver(&paid).await.field("status"), "waiting");
        let found = open(&app, "").await;
        assert_eq!((&found[0]["code"], &found[0]["subject"]), (&json!("owner_unknown"), &json!("sub_1")));
        relink(&app, "sub_1").await;
        app.run_workers().await;
        assert_eq!(app.check("acme", "weekly_digest").await["tier"], "premium");
        assert_eq!(open(&app, "").await, Vec::<Value>::new());
        app.stop().await;
    }

    async fn what_is_paid_for_nothing_of_ours_is_open_until_all_of_it_has_an_account(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for body in [paid("1", "price_n"), paid("2", "price_n"), checkout("3"), checkout("4")] {
            assert_eq!(app.deliver(&body).await.field("status"), "ignored");
        }
        let subjects = async || {
            let found = open(&app, "?code=foreign_paid").await;
            let mut subjects: Vec<String> = found.iter().map(|one| one["subject"].as_str().unwrap().to_owned()).collect();
            subjects.sort();
            subjects
        };
        for (object, left) in [
            ("sub_1", vec!["price_n", "unknown price"]),
            ("cs_3", vec!["price_n", "unknown price"]),
            ("sub_2", vec!["unknown price"]),
            ("cs_4", vec![]),
        ] {
            relink(&app, object).await;
            app.run_workers().await;
            assert_eq!(subjects().await, left, "after {object}");
        }
        app.stop().await;
    }

    async fn a_dead_event_is_a_finding_until_it_goes_through(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let malformed = json!({
            "id": "evt_malformed", "object": "event", "type": "invoice.paid", "created": 1,
            "livemode": false, "data": {"object": {"object": "invoice"}},
        });
        app.deliver(&malformed.to_string()).await;
        for _ in 0..11 {
            app.clock.set(app.now().plus_ms(600_001));
            app.run_workers().await;
        }
        let found = open(&app, "").await;
        assert_eq!((&found[0]["code"], &found[0]["subject"]), (&json!("event_dead"), &json!("evt_malformed")));
        app.stop().await;
    }

    async fn every_way_out_of_death_closes_its_finding(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let nobodys = |event: &str, object: &str| {
            let body = subscription(event, 1_795_000_000, "active", "price_sietch_premium_monthly");
            let body = body.replace("account_id", "nothing").replace("sub_1", &format!("sub_{object}"));
            body.replace("cus_1", &format!("cus_{object}"))
        };
        for (event, object) in [("evt_direct", "2"), ("evt_waits", "3"), ("evt_foreign", "4")] {
            assert_eq!(app.deliver(&nobodys(event, object)).await.field("status"), "waiting");
        }
        give_up(&app, &["evt_direct", "evt_waits", "evt_foreign"]).await;
        let dead = |found: &[Value]| found.iter().filter(|one| one["code"] == "event_dead").count();
        assert_eq!(dead(&open(&app, "").await), 3);
        replay(&app, "evt_waits").await;
        assert_eq!(dead(&open(&app, "").await), 2, "it waits again");
        relink(&app, "sub_3").await;
        app.run_workers().await;
        let customer = json!({
            "id": "evt_customer", "object": "event", "type": "customer.updated", "created": 1_795_000_100,
            "api_version": "2026-10-28.endive", "livemode": false, "data": {"object": {
                "id": "cus_2", "object": "customer", "metadata": {"account_id": "acme"}, "created": 1,
            }},
        });
        assert_eq!(app.deliver(&customer.to_string()).await.field("status"), "processed");
        replay(&app, "evt_direct").await;
        assert_eq!(dead(&open(&app, "").await), 1, "it is processed");
        app.stop().await;
        // Its price is another product's for a catalog that does not know it.
        let settings = Settings { catalog: Some("sietch".into()), ..Settings::default() };
        let app = TestApp::start_with(database, settings).await;
        replay(&app, "evt_foreign").await;
        assert_eq!(dead(&open(&app, "").await), 0, "it is ignored");
        app.stop().await;
    }

    async fn a_catalog_that_learns_a_price_closes_its_findings(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver(&subscription("evt_1", 1_795_000_000, "active", "price_later")).await;
        assert_eq!(open(&app, "").await.len(), 1);
        app.stop().await;
        let map = json!({"premium": "price_later"}).to_string();
        let environment = vec![("STRIPE_PRODUCT_PRICE_MAP".to_owned(), map)];
        let app = TestApp::start_with(database, Settings { environment, ..Settings::default() }).await;
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        tollgate_server::findings::review(app.app(), &stopped).await.unwrap();
        assert_eq!(open(&app, "").await.len(), 0);
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], true);
        app.stop().await;
    }

    async fn findings_come_in_pages_and_by_right(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for number in 0..3 {
            let body = subscription(&format!("evt_{number}"), 1_795_000_000, "active", "price_x");
            let body = body.replace("acme", &format!("org-{number}"));
            let body = body.replace("sub_1", &format!("sub_{number}")).replace("cus_1", &format!("cus_{number}"));
            app.deliver(&body).await;
        }
        let first = ask(&app, "?limit=2").await.json();
        assert_eq!(first["data"].as_array().unwrap().len(), 2, "{first}");
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = ask(&app, &format!("?limit=2&cursor={cursor}")).await.json();
        assert_eq!(second["data"][0]["subject"], "sub_2", "{second}");
        assert!(second["nextCursor"].is_null());
        for (query, field) in [("?state=odd", "state"), ("?code=odd", "code"), ("?cursor=zz", "cursor"), ("?limit=0", "limit")] {
            let answer = ask(&app, query).await;
            assert_eq!(answer.status, 400, "{query}");
            assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text);
        }
        let bound = app.make_key(&[Scope::AdminRead], Some("org-1")).await;
        let headers = [("x-api-key", bound.as_str())];
        let own = app.request("GET", "/admin/findings", &headers, "").await.json();
        assert_eq!(own["data"].as_array().unwrap().len(), 1, "{own}");
        let other = app.request("GET", "/admin/findings?accountId=org-2", &headers, "").await;
        assert_eq!(other.status, 403);
        app.stop().await;
    }
}
