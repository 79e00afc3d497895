//! Thin events and comparisons: what was told by one was not missed, and what one could not tell is
//! compared.

use serde_json::json;
use tollgate_domain::ids::EventId;
use tollgate_sandbox::sandbox::Method;
use tollgate_sandbox::{ApiVersion, Happening};
use tollgate_server::reconcile::{self, Kind, Order};
use tollgate_server::workers;
use tollgate_store::inbox::{self, EventStatus};
use tollgate_store::thin_events::{self};

use super::facts_in_short;
use crate::service::reconcile::Pair;
use crate::support::{TestDatabase, on_both};

on_both! {
    async fn a_run_that_goes_on_answers_no_event_that_came_after_it_began(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let order = Order { kind: Kind::Sweep, account: None, dry: false, allow_ends: false };
        // Its process is killed; later Stripe tells that it could not make some events.
        drop(reconcile::begin(pair.app.app(), order).await.unwrap());
        pair.pass(10 * 60);
        let body = json!({
            "id": "evt_test_health", "object": "v2.core.event",
            "type": "v2.core.health.event_generation_failure.resolved",
            "created": pair.app.now().to_string(), "livemode": false,
        });
        assert_eq!(pair.app.deliver(&body.to_string()).await.field("status"), "waiting");
        pair.pass(5);
        for expected in [EventStatus::Waiting, EventStatus::Processed] {
            let done = workers::reconcile::tick(pair.app.app(), false).await.unwrap();
            assert!(done.is_some());
            assert_eq!(pair.row("evt_test_health").await.outcome.status, expected);
        }
        assert!(workers::reconcile::tick(pair.app.app(), false).await.unwrap().is_none());
        let runs = tollgate_store::reconciliation_runs::list(
            &pair.app.app().engine.db, tollgate_domain::Timestamp::MAX, 10,
        ).await.unwrap();
        assert_eq!(runs.len(), 2, "the one that went on, and one for the event");
        pair.stop().await;
    }

    async fn events_told_by_thin_ones_were_not_missed(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let events = pair.sent(0);
        // The last two are lost in both forms.
        let (told, lost) = events.split_at(events.len() - 2);
        pair.deliver_thin(told).await;
        pair.read_all().await;
        pair.pass(120);
        let report = pair.run(Kind::Events, false).await.unwrap();
        assert_eq!(report.drift.get("missed_event"), Some(&(lost.len() as u64)), "{report:?}");
        let report = pair.run(Kind::Sweep, true).await.unwrap();
        assert_eq!((report.drifted(), report.settled), (0, 0), "{report:?}");
        pair.stop().await;
    }

    async fn a_change_of_stripes_catalog_told_by_a_thin_event_was_not_missed(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let before = pair.count();
        let price = [
            ("currency", "usd"),
            ("unit_amount", "700"),
            ("recurring[interval]", "month"),
            ("product_data[name]", "Newsletter"),
        ];
        pair.id("/v1/prices", &price);
        let events = pair.sent(before);
        let statuses = pair.deliver_thin(&events).await;
        assert_eq!(statuses.keys().collect::<Vec<_>>(), ["ignored"], "{statuses:?}");
        pair.pass(120);
        let report = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((events.len(), report.drifted()), (3, 0), "{report:?}");
        assert_eq!(pair.inbox(EventStatus::Ignored).await.len(), events.len(), "each is there once");
        pair.stop().await;
    }

    async fn more_events_than_are_looked_at_together_go_on(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        let events = pair.sent(0);
        let of = |event: &&Happening| event.kind() == "customer.subscription.created";
        let shown = events.iter().find(of).unwrap().show_thin();
        let at = pair.app.now().plus_ms(5_000);
        let event = |place: usize, seconds: i64, snapshot: &str| {
            let mut event = shown.clone();
            event["id"] = json!(format!("evt_test_{place}"));
            event["type"] = json!("v1.customer.subscription.updated");
            event["created"] = json!(at.plus_ms(seconds * 1_000).to_string());
            event["snapshot_event"] = json!(snapshot);
            event["related_object"]["id"] = json!(id);
            event.to_string()
        };
        // All but the last are told of by a snapshot event, which comes after them.
        let known = events.iter().find(|one| one.kind() == "checkout.session.completed").unwrap();
        for place in 0..300 {
            let body = event(place, 0, known.id());
            assert_eq!(pair.app.deliver(&body).await.field("status"), "waiting");
        }
        pair.app.deliver(&event(300, 1, "evt_none")).await;
        pair.app.deliver(&known.render(ApiVersion::default()).body).await;
        pair.pass(2);
        pair.ask().await;
        let (waiting, _) = thin_events::count_open(&pair.app.app().engine.db).await.unwrap();
        assert_eq!(waiting, 0);
        assert!(pair.can("weekly_digest").await);
        pair.stop().await;
    }

    async fn a_reading_that_tells_nothing_new_still_outranks_what_was_lost(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_thin(&pair.sent(0)).await;
        pair.read_all().await;
        let change = |plan: &str| {
            let path = format!("/v1/subscriptions/{id}");
            let now = pair.call(Method::Get, &path, &[]);
            let item = now["items"]["data"][0]["id"].as_str().unwrap().to_owned();
            let price = tollgate_sandbox::sandbox_price_id(
                &crate::support::catalog(),
                plan,
                tollgate_domain::catalog::Interval::Month,
            );
            let pairs = [
                ("items[0][id]", item.as_str()),
                ("items[0][price]", price.as_str()),
                ("proration_behavior", "none"),
            ];
            pair.call(Method::Post, &path, &pairs);
        };
        // There and back; nobody is told of the first step.
        pair.pass(3_600);
        change("elite");
        pair.pass(3_600);
        let before = pair.count();
        change("premium");
        pair.deliver_thin(&pair.sent(before)).await;
        pair.read_all().await;
        pair.pass(120);
        let report = pair.run(Kind::Sweep, false).await.unwrap();
        let missed = report.drift.get("missed_event").copied();
        assert_eq!(Some(report.drifted()), missed, "{report:?}");
        let facts = facts_in_short(&pair).await;
        assert!(!facts.contains("elite"), "{facts}");
        pair.stop().await;
    }

    async fn events_that_stripe_could_not_make_start_a_comparison(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let sweep = workers::reconcile::tick(pair.app.app(), false).await.unwrap();
        assert!(sweep.is_some() && pair.can("weekly_digest").await);
        pair.pass(1);
        let quiet = workers::reconcile::tick(pair.app.app(), false).await.unwrap();
        assert!(quiet.is_none(), "nothing is due: {quiet:?}");
        let body = json!({
            "id": "evt_test_health", "object": "v2.core.event",
            "type": "v2.core.health.event_generation_failure.resolved",
            "created": pair.app.now().to_string(), "livemode": false,
        });
        assert_eq!(pair.app.deliver(&body.to_string()).await.field("status"), "waiting");
        assert!(workers::reconcile::tick(pair.app.app(), false).await.unwrap().is_some());
        let id = EventId::parse("evt_test_health").unwrap();
        let rows = inbox::find(&pair.app.app().engine.db, &id).await.unwrap();
        assert_eq!(rows[0].outcome.status, EventStatus::Processed);
        assert!(workers::reconcile::tick(pair.app.app(), false).await.unwrap().is_none());
        pair.stop().await;
    }
}
