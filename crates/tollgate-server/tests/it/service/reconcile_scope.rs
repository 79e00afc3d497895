//! What a run is about: one account and no other, and what is older than the database.

use std::time::Duration;

use serde_json::json;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::ApiVersion;
use tollgate_sandbox::sandbox::Method;
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_server::reconcile::{self, Kind, Order, ReconcileError, Report};
use tollgate_server::scope::Scope;
use tollgate_store::{accounts, inbox};

use super::reconcile::{Pair, is_sent};
use crate::support::{NOW, Settings, TestApp, TestDatabase, catalog, on_both};

async fn run_for(pair: &Pair, account: &str) -> Result<Report, ReconcileError> {
    let account = Some(AccountId::parse(account).unwrap());
    let order = Order { kind: Kind::Sweep, account, dry: false, allow_ends: false };
    reconcile::reconcile(pair.app.app(), order, &|_, _| {}).await
}

async fn revision(pair: &Pair, account: &str) -> Option<u64> {
    let account = AccountId::parse(account).unwrap();
    accounts::revision(&pair.app.app().engine.db, &account).await.unwrap()
}

/// An engine whose database is made fifty days after the time at Stripe.
async fn with_history(database: &TestDatabase) -> Pair {
    let at = Timestamp::parse(NOW).unwrap().plus_days(-50);
    let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
    Pair { app: TestApp::start_with(database, with_key(&stripe)).await, stripe }
}

fn with_key(stripe: &RunningSandbox) -> Settings {
    let environment = vec![
        ("STRIPE_SECRET_KEY".to_owned(), "sk_test_tollgate_reconcile".to_owned()),
        ("STRIPE_API_BASE".to_owned(), stripe.url().to_owned()),
    ];
    Settings { environment, ..Settings::default() }
}

on_both! {
    async fn what_happened_before_the_first_delivery_is_history_for_a_later_key(database: &TestDatabase) {
        // Webhooks alone, and for the first forty days no endpoint at Stripe either.
        let at = Timestamp::parse(NOW).unwrap();
        let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
        let pair = Pair { app: TestApp::start(database).await, stripe };
        pair.subscribe_as("before", "premium");
        pair.pass(40 * 86_400);
        let unheard = pair.stripe.with(|stripe| stripe.happenings().len());
        pair.subscribe_as("acme", "premium");
        for event in pair.stripe.with(|stripe| stripe.happenings()[unheard..].to_vec()) {
            if is_sent(&event) {
                pair.app.deliver(&event.render(ApiVersion::default()).body).await;
            }
        }
        pair.app.run_workers().await;
        pair.pass(3 * 86_400);
        pair.subscribe_as("missed", "premium");
        pair.pass(3 * 86_400);
        let Pair { app, stripe } = pair;
        app.stop().await;
        let pair = Pair { app: TestApp::start_with(database, with_key(&stripe)).await, stripe };
        pair.app.clock.set(pair.stripe.clock().now());
        for dry in [true, false] {
            let report = pair.run(Kind::Sweep, dry).await.unwrap();
            assert!(report.imported > 0 && report.drifted() > 0, "{report:?}");
            for one in &report.examples {
                let expected = match one.account_id.as_deref() {
                    Some("before") => "import",
                    Some("missed") => "missed_event",
                    // Payments of invoices name no account before they are taken in.
                    None if !one.changes.is_empty() && one.changes[0].starts_with("invoice_payment") => continue,
                    other => panic!("{other:?}: {report:?}"),
                };
                assert_eq!(one.drift, expected, "{one:?}");
            }
        }
        let again = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((again.imported, again.drifted()), (0, 0), "{again:?}");
        pair.stop().await;
    }

    async fn a_run_for_one_account_touches_no_other(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let own = pair.subscribe_as("acme", "premium");
        let foreign = pair.subscribe_as("bravo", "premium");
        pair.deliver_all().await;
        pair.pass(5);
        pair.run(Kind::Sweep, false).await.unwrap();
        for id in [&own, &foreign] {
            pair.call(Method::Delete, &format!("/v1/subscriptions/{id}"), &[]);
        }
        pair.pass(120);
        let before = revision(&pair, "bravo").await;
        let report = run_for(&pair, "acme").await.unwrap();
        assert!(report.repaired > 0, "{report:?}");
        let others = |one: &reconcile::Example| one.account_id.as_deref() != Some("acme");
        assert!(!report.examples.iter().any(others), "every difference names it: {report:?}");
        assert_eq!(pair.status().await, "canceled");
        assert_eq!(revision(&pair, "bravo").await, before);
        // What was passed over is found by the next run over everything.
        let all = pair.run(Kind::Events, false).await.unwrap();
        assert!(all.examples.iter().any(others), "{all:?}");
        assert_ne!(revision(&pair, "bravo").await, before);
        pair.stop().await;
    }

    async fn an_unknown_account_is_refused_before_anything_is_asked(database: &TestDatabase) {
        let mut pair = Pair::start(database).await;
        pair.subscribe_as("acme", "premium");
        let refused = run_for(&pair, "acme").await.unwrap_err();
        assert!(refused.to_string().contains("there is no account acme"), "{refused}");
        pair.app.key = pair.app.make_key(&[Scope::Admin], None).await;
        let answer = pair.app.post("/admin/reconcile", &json!({"accountId": "nobody"})).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains("there is no account nobody"), "{}", answer.text);
        assert_eq!(revision(&pair, "acme").await, None);
        pair.stop().await;
    }

    async fn what_is_older_than_the_database_is_brought_in_and_no_drift(database: &TestDatabase) {
        let pair = with_history(database).await;
        pair.subscribe_as("acme", "premium");
        pair.stripe.advance(Duration::from_hours(45 * 24));
        let late = pair.subscribe_as("bravo", "premium");
        pair.stripe.advance(Duration::from_hours(5 * 24 + 1));
        pair.app.clock.set(pair.stripe.clock().now());
        let planned = pair.run(Kind::Sweep, true).await.unwrap();
        assert_eq!(planned.drifted(), 0, "{planned:?}");
        let report = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((report.drifted(), report.repaired), (0, 0), "{report:?}");
        assert!(report.imported > 0, "{report:?}");
        assert_eq!(pair.status().await, "active");
        assert!(pair.app.open_findings().await.is_empty());
        let dead = inbox::count_open(&pair.app.app().engine.db).await.unwrap();
        assert!(!dead.iter().any(|(status, _)| *status == inbox::EventStatus::Dead), "{dead:?}");
        // What happens from now on is a difference where no event tells of it.
        pair.call(Method::Delete, &format!("/v1/subscriptions/{late}"), &[]);
        pair.pass(120);
        let after = pair.run(Kind::Sweep, false).await.unwrap();
        assert!(after.drifted() > 0 && after.imported == 0, "{after:?}");
        pair.stop().await;
    }
}
