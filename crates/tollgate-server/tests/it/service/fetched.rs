//! Objects that were asked for: the same inbox, the same order, the same replay as events.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_domain::ids::{AccountId, EventId};
use tollgate_domain::{FetchCause, Timestamp};
use tollgate_server::intake::{Reply, ReplyStatus};
use tollgate_store::inbox::{self, EventFilter, EventStatus};
use tollgate_stripe::fetched::{FetchedKind, Showing};

use crate::support::{TestApp, TestDatabase, on_both};

/// A subscription of `acme` as Stripe shows it.
fn subscription(status: &str, lookup_key: &str) -> Value {
    json!({
        "id": "sub_asked", "object": "subscription", "status": status, "customer": "cus_asked",
        "created": 1_790_000_000, "livemode": false, "metadata": {"account_id": "acme"},
        "items": {"object": "list", "has_more": false, "data": [{
            "id": "si_1", "quantity": 1,
            "current_period_start": 1_795_000_000, "current_period_end": 1_797_600_000,
            "price": {"id": "price_asked", "object": "price", "lookup_key": lookup_key},
        }]},
    })
}

fn event(id: &str, at: Timestamp, object: &Value) -> String {
    json!({
        "id": id, "object": "event", "type": "customer.subscription.updated",
        "created": at.unix_seconds(), "livemode": false, "data": {"object": object},
    })
    .to_string()
}

async fn take(app: &TestApp, object: &Value, at: Timestamp, covers: &[&str]) -> Reply {
    let raw = RawValue::from_string(object.to_string()).unwrap();
    let covers: Vec<EventId> = covers.iter().map(|id| EventId::parse(id).unwrap()).collect();
    let showing = Showing {
        kind: FetchedKind::Subscription,
        object: &raw,
        at,
        livemode: false,
        account: None,
        api_version: "2026-10-28.endive",
        cause: FetchCause::Doubt,
        covers: &covers,
    };
    app.app().take_fetched(&showing).await.expect("it is committed")
}

async fn status(app: &TestApp) -> String {
    let account = AccountId::parse("acme").unwrap();
    let facts = tollgate_store::facts::load(
        &app.app().engine.db,
        &account,
        tollgate_domain::facts::Window::ALL,
    )
    .await
    .unwrap();
    let one = facts.subscriptions.values().next().unwrap();
    let mark = if one.is_uncertain() { "?" } else { "" };
    format!("{}{mark}", one.state().unwrap().status.as_str())
}

/// The kinds of the journal's entries and their causes.
async fn journal(app: &TestApp) -> Vec<String> {
    let filter = tollgate_store::journal::JournalFilter {
        account: Some(AccountId::parse("acme").unwrap()),
        ..Default::default()
    };
    let (rows, _) =
        tollgate_store::journal::list(&app.app().engine.db, &filter, None, 100).await.unwrap();
    rows.into_iter().map(|row| format!("{} {:?}", row.kind, row.details)).collect()
}

on_both! {
    async fn a_fetched_object_gives_access_and_is_journalled(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let object = subscription("active", "sietch_premium_monthly");
        let reply = take(&app, &object, app.now(), &[]).await;
        assert_eq!(reply.status, ReplyStatus::Processed, "{reply:?}");
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], true);
        let entries = journal(&app).await;
        let told = entries.iter().filter(|entry| entry.starts_with("reconciled ")).count();
        assert_eq!(told, 1, "{entries:?}");
        assert!(entries.iter().any(|entry| entry.contains("cause") && entry.contains("doubt")));
        // The same answer once more is the same observation.
        assert_eq!(take(&app, &object, app.now(), &[]).await.status, ReplyStatus::Duplicate);
        app.stop().await;
    }

    async fn a_fetched_state_settles_a_tie_and_outlives_what_it_covers(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (active, past_due) = (
            subscription("active", "sietch_premium_monthly"),
            subscription("past_due", "sietch_premium_monthly"),
        );
        let at = app.now();
        app.deliver(&event("evt_b", at, &active)).await;
        app.deliver(&event("evt_a", at, &past_due)).await;
        assert_eq!(status(&app).await, "active?", "two events of one second");
        take(&app, &past_due, at, &["evt_a", "evt_b"]).await;
        assert_eq!(status(&app).await, "past_due");
        // An older one of them again changes nothing, a later second does.
        app.deliver(&event("evt_b", at, &active)).await;
        assert_eq!(status(&app).await, "past_due");
        app.deliver(&event("evt_c", at.plus_ms(1_000), &active)).await;
        assert_eq!(status(&app).await, "active");
        app.stop().await;
    }

    async fn a_replay_folds_fetched_objects_as_it_does_events(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let at = app.now();
        let active = subscription("active", "sietch_premium_monthly");
        app.deliver(&event("evt_a", at, &active)).await;
        take(&app, &subscription("unpaid", "sietch_premium_monthly"), at, &["evt_a"]).await;
        let (digest, told) = (app.digest().await, journal(&app).await);
        let db = &app.app().engine.db;
        assert_eq!(inbox::set_for_replay(db, &EventFilter::default(), at).await.unwrap(), 2);
        app.run_workers().await;
        assert_eq!((app.digest().await, journal(&app).await), (digest, told));
        let (rows, _) = inbox::list(db, &EventFilter::default(), None, 10).await.unwrap();
        assert!(rows.iter().all(|row| row.outcome.status == EventStatus::Processed), "{rows:?}");
        app.stop().await;
    }

    async fn the_webhook_route_takes_no_observation_of_our_own_making(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let object = subscription("active", "sietch_premium_monthly");
        let raw = RawValue::from_string(object.to_string()).unwrap();
        let showing = Showing {
            kind: FetchedKind::Subscription,
            object: &raw,
            at: app.now(),
            livemode: false,
            account: None,
            api_version: "2026-10-28.endive",
            cause: FetchCause::Doubt,
            covers: &[],
        };
        let body = String::from_utf8(showing.to_body().unwrap()).unwrap();
        for body in [body.clone(), body.replacen("tollgate.observation", "event", 1)] {
            let answer = app.deliver(&body).await;
            assert_eq!((answer.status, answer.field("status").as_str()), (200, "failed"));
            assert!(answer.field("eventId").starts_with("body_"), "{}", answer.text);
        }
        let db = &app.app().engine.db;
        inbox::set_for_replay(db, &EventFilter::default(), app.now()).await.unwrap();
        app.run_workers().await;
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], false);
        app.stop().await;
    }
}
