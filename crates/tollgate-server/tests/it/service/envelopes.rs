//! The envelope of a billing event: the state it tells of, whatever came with it.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::StripeEvent;
use tollgate_server::intake::{Delivery, read, squeeze};

use crate::support::{TestApp, TestDatabase, on_both};

fn delivery(app: &TestApp, event: &StripeEvent) -> Delivery {
    let reading = read::read(event.body.as_bytes(), &app.app().config.stripe);
    Delivery {
        key: reading.key,
        event_type: reading.event_type,
        api_version: reading.api_version,
        created_at: reading.created_at,
        signed_at: None,
        received_at: app.now(),
        object: reading.object,
        body: squeeze::squeeze(event.body.as_bytes()),
        content: reading.content,
        lease_generation: None,
        begun: Instant::now(),
    }
}

/// What the envelopes of an account show of the objects, by sequence.
async fn shown(app: &TestApp, account: &str) -> BTreeMap<u64, Value> {
    let account = AccountId::parse(account).expect("an id");
    let db = &app.app().engine.db;
    let rows = tollgate_store::outbox::list(db, &account, 0, 1_000).await.expect("an outbox");
    let read = |payload: &str| {
        let mut envelope: Value = serde_json::from_str(payload).expect("an envelope");
        let fields = envelope.as_object_mut().expect("an object");
        for own in ["accountId", "id"] {
            fields.remove(own);
        }
        envelope
    };
    rows.iter().map(|row| (row.sequence, read(&row.payload))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_shows_the_plan_and_what_the_account_has_with_its_other_sources() {
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database).await;
    let account = AccountId::parse("acme").expect("an id");
    let events = app.scenario("checkout", "acme");
    let deliveries: Vec<_> = events.iter().map(|event| delivery(&app, event)).collect();
    app.app().intake.process(&deliveries).await;
    let envelopes = shown(&app, "acme").await;
    let bought = envelopes.values().find(|one| one["type"] == "subscription.created").unwrap();
    assert_eq!(bought["subscription"]["planCode"], "premium", "{bought}");
    let entitlements = &bought["entitlements"];
    assert_eq!(entitlements["tier"], "premium", "{bought}");
    assert_eq!(entitlements["source"]["type"], "subscription", "{bought}");
    assert_eq!(entitlements["inGracePeriod"], false, "{bought}");

    // A waiver is none of what the next event touches, and decides all the same.
    let new = tollgate_domain::waiver::NewWaiver {
        id: tollgate_domain::ids::FactId::parse("wv_1").expect("an id"),
        plan: None,
        reason: "a partner of ours".to_owned(),
        granted_by: "ann".to_owned(),
        expires_at: None,
        internal_notes: None,
    };
    let given = app.app().intake.act(&account, |facts, catalog, now| {
        tollgate_domain::waiver::grant(facts, new.clone(), catalog, now)
    });
    given.await.expect("a waiver is given");
    app.deliver_all(&app.scenario("cancel", "acme")).await;
    let envelopes = shown(&app, "acme").await;
    let canceled = envelopes.values().find(|one| one["type"] == "subscription.canceled").unwrap();
    assert_eq!(canceled["entitlements"]["source"]["type"], "waiver", "{canceled}");
    assert_eq!(canceled["entitlements"]["source"]["id"], "wv_1", "{canceled}");
    app.stop().await;
}

on_both! {
    async fn events_in_one_batch_show_the_state_each_of_them_tells_of(database: &TestDatabase) {
        for scenario in ["checkout", "dunning", "upgrade", "trial", "refund"] {
            let together = TestApp::start(database).await;
            let account = format!("together_{scenario}");
            let events = together.scenario(scenario, &account);
            let deliveries: Vec<_> = events.iter().map(|event| delivery(&together, event)).collect();
            let replies = together.app().intake.process(&deliveries).await;
            assert!(replies.iter().all(Option::is_some), "{replies:?}");
            let of_batch = shown(&together, &account).await;
            together.stop().await;

            let alone_database = TestDatabase::sqlite();
            let alone = TestApp::start(&alone_database).await;
            for event in &events {
                alone.app().intake.process(&[delivery(&alone, event)]).await;
            }
            assert_eq!(of_batch, shown(&alone, &account).await, "{scenario}");
            assert!(!of_batch.is_empty(), "{scenario}");
            // A summary ends in the state it tells of, and the state shown is that one.
            for envelope in of_batch.values() {
                let (status, kind) = (&envelope["subscription"]["status"], &envelope["type"]);
                let canceled = kind == "subscription.canceled";
                assert!(!canceled || status == "canceled", "{scenario}: {envelope}");
                assert!(envelope["entitlements"]["tier"].is_string(), "{scenario}: {envelope}");
            }
            alone.stop().await;
        }
    }
}
