//! Reading Stripe as the truth: events that never came, and runs of which there is one at a time.

use serde_json::json;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_sandbox::{ApiVersion, Happening, Scenario, ScenarioOptions};
use tollgate_server::reconcile::{self, Kind, Order, ReconcileError, Report};
use tollgate_server::scope::Scope;

use crate::support::{NOW, Settings, TestApp, TestDatabase, catalog, on_both};

/// An engine and the Stripe it reads.
struct Pair {
    app: TestApp,
    stripe: RunningSandbox,
}

impl Pair {
    async fn start(database: &TestDatabase) -> Self {
        let at = Timestamp::parse(NOW).unwrap();
        let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
        let environment = vec![
            ("STRIPE_SECRET_KEY".to_owned(), "sk_test_tollgate_reconcile".to_owned()),
            ("STRIPE_API_BASE".to_owned(), stripe.url().to_owned()),
        ];
        let settings = Settings { environment, ..Settings::default() };
        Self { app: TestApp::start_with(database, settings).await, stripe }
    }

    /// What happened at Stripe, without anybody being told.
    fn tell(&self, scenario: &str, account: &str) -> Vec<Happening> {
        let at = Timestamp::parse(NOW).unwrap();
        let options = ScenarioOptions::new(AccountId::parse(account).unwrap(), at);
        let told = Scenario::find(scenario).unwrap().happenings(&catalog(), &options).unwrap();
        self.stripe.with(|account| account.adopt(told.clone()));
        told
    }

    async fn run(&self, kind: Kind, dry: bool) -> Result<Report, ReconcileError> {
        let order = Order { kind, account: None, dry };
        reconcile::reconcile(self.app.app(), order, &|_, _| {}).await
    }

    async fn stop(self) {
        self.app.stop().await;
        self.stripe.shutdown().await;
    }
}

/// The event types an endpoint of ours is sent.
fn is_sent(event: &Happening) -> bool {
    tollgate_stripe::EVENT_TYPES.contains(&event.kind())
}

on_both! {
    async fn events_that_never_came_are_brought_in_once(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let told: Vec<Happening> =
            pair.tell("checkout", "acme").into_iter().filter(is_sent).collect();
        // Every third one is lost.
        let mut lost = 0;
        for (place, event) in told.iter().enumerate() {
            if place % 3 == 0 {
                lost += 1;
            } else {
                pair.app.deliver(&event.render(ApiVersion::default()).body).await;
            }
        }
        let report = pair.run(Kind::Events, false).await.unwrap();
        assert_eq!(report.drift.get("missed_event"), Some(&lost), "{report:?}");
        assert_eq!(report.repaired, lost);
        pair.app.run_workers().await;
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], true);

        let untroubled = TestDatabase::sqlite();
        let other = TestApp::start(&untroubled).await;
        for event in &told {
            other.deliver(&event.render(ApiVersion::default()).body).await;
        }
        other.run_workers().await;
        assert_eq!(pair.app.digest().await, other.digest().await);
        other.stop().await;

        // Nothing is missing any more, and nothing is told twice.
        let again = pair.run(Kind::Events, false).await.unwrap();
        assert_eq!((again.drifted(), again.repaired), (0, 0), "{again:?}");
        pair.stop().await;
    }

    async fn a_dry_run_says_what_is_missing_and_brings_nothing_in(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let told = pair.tell("checkout", "acme").iter().filter(|event| is_sent(event)).count();
        let before = pair.app.digest().await;
        for _ in 0..2 {
            let report = pair.run(Kind::Events, true).await.unwrap();
            assert_eq!(report.drifted(), u64::try_from(told).unwrap());
            assert_eq!(report.repaired, 0);
            let named = |one: &reconcile::Example| one.account_id.as_deref() == Some("acme");
            assert!(report.examples.iter().any(named), "{report:?}");
        }
        assert_eq!(pair.app.digest().await, before);
        pair.stop().await;
    }

    async fn one_run_at_a_time(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let order = Order { kind: Kind::Events, account: None, dry: false };
        let first = reconcile::begin(pair.app.app(), order.clone()).await.unwrap();
        let second = pair.run(Kind::Events, false).await;
        assert!(matches!(second, Err(ReconcileError::Busy)), "{second:?}");
        reconcile::carry_out(pair.app.app(), first, &|_, _| {}).await.unwrap();
        pair.run(Kind::Events, false).await.unwrap();

        // One that is not heard of any more loses its turn, and cannot go on then.
        let paused = reconcile::begin(pair.app.app(), order).await.unwrap();
        pair.app.clock.set(pair.app.now().plus_ms(10 * 60_000));
        pair.run(Kind::Events, false).await.unwrap();
        let late = reconcile::carry_out(pair.app.app(), paused, &|_, _| {}).await;
        assert!(matches!(late, Err(ReconcileError::LeaseLost)), "{late:?}");
        pair.stop().await;
    }

    async fn the_routes_need_a_key_of_stripe_and_the_scope(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.make_key(&[Scope::Admin], None).await;
        let post = |key: String| {
            let headers = [("x-api-key", key), ("content-type", "application/json".to_owned())];
            let app = &app;
            async move {
                let headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                app.request("POST", "/admin/reconcile", &headers, json!({}).to_string()).await
            }
        };
        let answer = post(admin.clone()).await;
        assert_eq!((answer.status, answer.field("code").as_str()), (503, "stripe_not_configured"));
        assert_eq!(post(app.key.clone()).await.status, 403);
        let runs = app
            .request("GET", "/admin/reconcile/runs", &[("x-api-key", admin.as_str())], "")
            .await;
        assert_eq!((runs.status, runs.json()["data"].as_array().map(Vec::len)), (200, Some(0)));
        app.stop().await;
    }
}
