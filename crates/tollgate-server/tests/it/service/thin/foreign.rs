//! Thin events of what is not ours, not there or not yet anybody's.

use serde_json::json;
use tollgate_domain::ids::{EventId, ObjectId};
use tollgate_sandbox::sandbox::{Card, Method, Sandbox, SandboxOptions};
use tollgate_sandbox::server::{Fault, FaultRule};
use tollgate_sandbox::{ApiVersion, Happening};
use tollgate_server::reconcile::Kind;
use tollgate_server::workers;
use tollgate_store::inbox::{self, EventStatus};
use tollgate_store::thin_events::{self};

use super::{findings, made};
use crate::service::reconcile::Pair;
use crate::support::{TestDatabase, on_both};

on_both! {
    async fn an_object_that_stripe_does_not_show_ends_nothing(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        pair.deliver_all().await;
        assert!(pair.can("weekly_digest").await);
        pair.pass(5);
        pair.run(Kind::Sweep, false).await.unwrap();
        // One that is alive here and that Stripe does not know, nor its customer.
        let id = pair.facts().await.subscriptions.keys().next().unwrap().to_string();
        let missing = || Fault::Status {
            status: 404,
            code: Some("resource_missing".to_owned()),
            should_retry: None,
            accepted: false,
        };
        for path in ["/v1/subscriptions/*", "/v1/customers/*"] {
            pair.stripe.add_fault(FaultRule::new(path, 1_000, missing()));
        }
        let body = |pair: &Pair, event: &str| {
            made(pair, event, "v1.customer.subscription.updated", ("subscription", &id), None)
        };
        let answer = pair.app.deliver(&body(&pair, "evt_test_1")).await;
        assert_eq!(answer.field("status"), "waiting");
        pair.read_all().await;
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 1);
        assert_eq!(pair.doubts().await, 1);
        assert!(pair.can("weekly_digest").await);
        // It is given up in the end, visibly, and asked for no more.
        pair.pass(31 * 86_400);
        pair.app.run_workers().await;
        assert_eq!(pair.inbox(EventStatus::Dead).await.len(), 1);
        assert_eq!(pair.open().await, 0);
        pair.read_all().await;
        assert_eq!(pair.doubts().await, 0);
        // Nor are others that come later asked for because of it, and a replay begins anew.
        pair.stripe.clear_faults();
        let db = &pair.app.app().engine.db;
        let event = EventId::parse("evt_test_1").unwrap();
        inbox::set_ids_for_replay(db, &[event], pair.app.now()).await.unwrap();
        pair.app.run_workers().await;
        assert_eq!(pair.row("evt_test_1").await.outcome.status, EventStatus::Waiting);
        pair.read_all().await;
        assert_eq!(pair.row("evt_test_1").await.outcome.status, EventStatus::Processed);
        pair.stop().await;
    }

    async fn what_stripe_does_not_know_and_we_never_did_is_asked_for_once(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        // A draft that was changed and then deleted.
        let draft = made(&pair, "evt_draft", "v1.invoice.updated", ("invoice", "in_gone"), None);
        // A happening that is listed no more and names no object that is read.
        let summary = "v1.entitlements.active_entitlement_summary.updated";
        let related = ("entitlements.active_entitlement_summary", "none");
        let old = made(&pair, "evt_old", summary, related, Some("evt_none"));
        for body in [&draft, &old] {
            assert_eq!(pair.app.deliver(body).await.field("status"), "waiting");
        }
        pair.read_all().await;
        for (id, reason) in [("evt_draft", "object_gone"), ("evt_old", "not_shown")] {
            let outcome = pair.row(id).await.outcome;
            assert_eq!(outcome.status, EventStatus::Ignored, "{id}: {outcome:?}");
            assert_eq!(outcome.reason.as_deref(), Some(reason), "{id}");
        }
        assert_eq!((pair.doubts().await, pair.open().await), (0, 0));
        let calls = pair.calls().await;
        assert_eq!((calls["invoices.retrieve"], calls["events.retrieve"]), (1, 1), "{calls:?}");
        pair.pass(31 * 86_400);
        pair.app.run_workers().await;
        assert_eq!(findings(&pair.app.app().engine.db).await.len(), 0);
        assert_eq!(pair.app.deliver(&draft).await.field("status"), "duplicate");
        // A key that may read more by then is asked with again.
        let (db, old) = (&pair.app.app().engine.db, EventId::parse("evt_old").unwrap());
        inbox::set_ids_for_replay(db, &[old], pair.app.now()).await.unwrap();
        pair.app.run_workers().await;
        assert_eq!(pair.row("evt_old").await.outcome.status, EventStatus::Waiting);
        pair.stop().await;
    }

    async fn a_wrong_key_makes_no_object_of_a_happening(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_all().await;
        pair.pass(60);
        let created = pair.happened(&["customer.subscription.created"]).remove(0);
        let mut event = created.show_thin();
        event["snapshot_event"] = json!("evt_test_soon");
        event["id"] = json!("evt_test_thin");
        event["type"] = json!("v1.customer.subscription.trial_will_end");
        event["related_object"]["id"] = json!(id);
        assert_eq!(pair.app.deliver(&event.to_string()).await.field("status"), "waiting");
        let revoked = Fault::Status { status: 401, code: None, should_retry: None, accepted: false };
        pair.stripe.add_fault(FaultRule::new("/v1/events/*", 1_000, revoked));
        pair.pass(1);
        assert!(workers::refetch::tick(pair.app.app()).await.is_err());
        let db = &pair.app.app().engine.db;
        let asked = async |asks: &str| {
            thin_events::open(db, &ObjectId::parse(asks).unwrap()).await.unwrap().len()
        };
        assert_eq!((asked("evt_test_soon").await, asked(&id).await), (1, 0));
        assert_eq!(pair.doubts().await, 1);
        // With the right key Stripe says that it is listed no more: now the object is read.
        pair.stripe.clear_faults();
        pair.pass(600);
        pair.read_all().await;
        assert_eq!(pair.row("evt_test_thin").await.outcome.status, EventStatus::Processed);
        pair.stop().await;
    }

    async fn our_own_account_as_context_changes_nothing(database: &TestDatabase) {
        let own = Sandbox::new(SandboxOptions { seed: 7, ..SandboxOptions::default() });
        let context = own.account();
        let environment = [("TOLLGATE__STRIPE__ACCOUNT", context)];
        let pair = Pair::start_with(database, &environment).await;
        pair.subscribe("premium");
        let with_context = |event: &Happening| {
            let mut event = event.show_thin();
            event["context"] = json!(context);
            event.to_string()
        };
        let events = pair.sent(0);
        for event in &events {
            let status = pair.app.deliver(&with_context(event)).await.field("status");
            assert_eq!(status, "waiting", "{event:?}");
        }
        pair.read_all().await;
        assert!(pair.can("weekly_digest").await);
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 0);
        assert_eq!((pair.doubts().await, pair.open().await), (0, 0));
        // And the snapshot tells of the same happening.
        let before = pair.count();
        pair.pass(60);
        let customer = pair.happened(&["customer.created"]).remove(0);
        let path = format!("/v1/customers/{}", customer.show_thin()["related_object"]["id"].as_str().unwrap());
        pair.call(Method::Post, &path, &[("name", "Ann")]);
        for event in pair.sent(before) {
            pair.app.deliver(&event.render(ApiVersion::default()).body).await;
            let status = pair.app.deliver(&with_context(&event)).await.field("status");
            assert_eq!(status, "processed", "{event:?}");
        }
        pair.stop().await;
    }

    async fn what_nobody_owns_yet_is_kept_and_found_later(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let customer = pair.id("/v1/customers", &[]);
        let price = tollgate_sandbox::sandbox_price_id(
            &crate::support::catalog(),
            "premium",
            tollgate_domain::catalog::Interval::Month,
        );
        pair.stripe.with(|stripe| stripe.set_card(&customer, Card::Good)).unwrap();
        pair.id(
            "/v1/subscriptions",
            &[("customer", customer.as_str()), ("items[0][price]", price.as_str())],
        );
        pair.deliver_thin(&pair.sent(0)).await;
        pair.read_all().await;
        assert!(!pair.can("weekly_digest").await);
        let before = pair.count();
        let path = format!("/v1/customers/{customer}");
        pair.call(Method::Post, &path, &[("metadata[account_id]", "acme")]);
        pair.deliver_thin(&pair.sent(before)).await;
        pair.read_all().await;
        pair.app.run_workers().await;
        assert!(pair.can("weekly_digest").await);
        pair.stop().await;
    }

    async fn what_is_none_of_ours_asks_for_nothing(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let event = |kind: &str, related: serde_json::Value| {
            json!({
                "id": format!("evt_test_{}", kind.len()), "object": "v2.core.event", "type": kind,
                "created": pair.app.now().to_string(), "livemode": false,
                "related_object": related,
            })
        };
        let plan = json!({"id": "bpps_1", "type": "v2.billing.pricing_plan_subscription", "url": "/v2/x"});
        let charge = json!({"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"});
        for (kind, related, reason) in [
            ("v2.billing.pricing_plan_subscription.servicing_activated", plan, "billing_v2"),
            ("v1.charge.succeeded", charge, "type_without_effects"),
            ("v2.core.event_destination.ping", json!(null), "type_without_effects"),
            ("v1.price.updated", json!({"id": "price_1", "type": "price", "url": "/x"}), "catalog_notice"),
        ] {
            let answer = pair.app.deliver(&event(kind, related).to_string()).await;
            let told = (answer.field("status"), answer.field("message"));
            assert_eq!(told, ("ignored".to_owned(), reason.to_owned()), "{kind}");
        }
        let db = &pair.app.app().engine.db;
        assert_eq!(tollgate_store::doubts::count(db).await.unwrap(), 0);
        // What was bought and is not read is never silent, until it is over.
        assert_eq!(findings(db).await, ["billing_v2 bpps_1"]);
        let over = "v2.billing.pricing_plan_subscription.servicing_canceled";
        let plan = json!({"id": "bpps_1", "type": "v2.billing.pricing_plan_subscription"});
        pair.app.deliver(&event(over, plan).to_string()).await;
        assert_eq!(findings(db).await.len(), 0);
        pair.stop().await;
    }

    async fn one_that_names_no_object_is_malformed_and_one_with_an_id_of_ours_is_none(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let event = |id: &str, related: serde_json::Value| {
            let body = json!({
                "id": id, "object": "v2.core.event", "type": "v1.customer.subscription.updated",
                "created": pair.app.now().to_string(), "livemode": false, "related_object": related,
            });
            body.to_string()
        };
        for (place, related) in [
            json!("sub_1"), json!(["sub_1"]), json!({}), json!(null), json!({"type": "subscription"}),
            json!({"id": 7, "type": "subscription"}), json!({"id": "sub_1", "type": {}}),
        ].into_iter().enumerate() {
            let answer = pair.app.deliver(&event(&format!("evt_test_odd_{place}"), related.clone())).await;
            let told = (answer.field("status"), answer.field("message"));
            assert_eq!(told.0, "failed", "{related}: {told:?}");
            assert!(told.1.contains("related_object names no object"), "{related}: {told:?}");
        }
        let whole = json!({"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"});
        let refused = pair.app.deliver(&event("obs_1", whole)).await;
        assert_eq!(refused.field("status"), "failed", "{}", refused.text);
        assert!(refused.text.contains("reserved_id"), "{}", refused.text);
        let db = &pair.app.app().engine.db;
        assert!(inbox::find(db, &EventId::parse("obs_1").unwrap()).await.unwrap().is_empty());
        pair.stop().await;
    }
}
