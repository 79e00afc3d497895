//! Reading Stripe as the truth: events that never came, and runs of which there is one at a time.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::sandbox::{ApiRequest, CheckoutOutcome, Method, Params};
use tollgate_sandbox::server::{self, Fault, FaultRule, RunningSandbox, ServerOptions};
use tollgate_sandbox::{ApiVersion, Happening, Scenario, ScenarioOptions, sandbox_price_id};
use tollgate_server::reconcile::{self, Kind, Order, ReconcileError, Report};
use tollgate_server::scope::Scope;
use tollgate_server::workers;
use tollgate_store::{doubts, facts, reconciliation_runs as runs};

use crate::support::{NOW, Settings, TestApp, TestDatabase, catalog, on_both};

/// An engine and the Stripe it reads.
pub(super) struct Pair {
    pub(super) app: TestApp,
    pub(super) stripe: RunningSandbox,
}

impl Pair {
    pub(super) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, &[]).await
    }

    /// With more of the engine's environment.
    pub(super) async fn start_with(database: &TestDatabase, more: &[(&str, &str)]) -> Self {
        let at = Timestamp::parse(NOW).unwrap();
        let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
        let mut environment = vec![
            ("STRIPE_SECRET_KEY".to_owned(), "sk_test_tollgate_reconcile".to_owned()),
            ("STRIPE_API_BASE".to_owned(), stripe.url().to_owned()),
        ];
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment.extend(more);
        let settings = Settings { environment, ..Settings::default() };
        Self { app: TestApp::start_with(database, settings).await, stripe }
    }

    /// What happened at Stripe, without anybody being told.
    fn tell(&self, scenario: &str, account: &str) -> Vec<Happening> {
        // The story began a month ago, and not before the database was made.
        self.pass(31 * 86_400);
        let at = self.app.clock.now();
        let options = ScenarioOptions::new(AccountId::parse(account).unwrap(), at);
        let told = Scenario::find(scenario).unwrap().happenings(&catalog(), &options).unwrap();
        self.stripe.with(|account| account.adopt(told.clone()));
        told
    }

    pub(super) async fn run(&self, kind: Kind, dry: bool) -> Result<Report, ReconcileError> {
        let order = Order { kind, account: None, dry, allow_ends: false };
        reconcile::reconcile(self.app.app(), order, &|_, _| {}).await
    }

    pub(super) async fn stop(self) {
        self.app.stop().await;
        self.stripe.shutdown().await;
    }

    /// Calls Stripe's API and takes the id of what came of it.
    pub(super) fn call(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Value {
        let params = Params::from_pairs(pairs.iter().copied()).unwrap();
        let request = ApiRequest::new(method, path, params);
        let reply = self.stripe.with(|stripe| stripe.call(&request));
        assert!(reply.status < 300, "{path}: {}", reply.body);
        reply.body
    }

    pub(super) fn id(&self, path: &str, pairs: &[(&str, &str)]) -> String {
        self.call(Method::Post, path, pairs)["id"].as_str().unwrap().to_owned()
    }

    /// `acme` subscribes to a plan on the hosted page; nobody is told.
    pub(super) fn subscribe(&self, plan: &str) -> String {
        self.subscribe_as("acme", plan)
    }

    pub(super) fn subscribe_as(&self, account: &str, plan: &str) -> String {
        let customer = self.id("/v1/customers", &[("metadata[account_id]", account)]);
        let price = sandbox_price_id(&catalog(), plan, Interval::Month);
        let session = self.id(
            "/v1/checkout/sessions",
            &[
                ("mode", "subscription"),
                ("customer", &customer),
                ("line_items[0][price]", &price),
                ("line_items[0][quantity]", "1"),
                ("success_url", "https://app.example.org/done"),
                ("metadata[account_id]", account),
                ("subscription_data[metadata][account_id]", account),
            ],
        );
        self.stripe.with(|one| one.complete_checkout(&session, CheckoutOutcome::Pay)).unwrap();
        let done = self.call(Method::Get, &format!("/v1/checkout/sessions/{session}"), &[]);
        done["subscription"].as_str().unwrap().to_owned()
    }

    /// Stripe's events of these types so far, the oldest first.
    pub(super) fn happened(&self, kinds: &[&str]) -> Vec<Happening> {
        let all = self.stripe.with(|stripe| stripe.happenings().to_vec());
        all.into_iter().filter(|event| kinds.contains(&event.kind())).collect()
    }

    /// Delivers all that happened.
    pub(super) async fn deliver_all(&self) {
        for event in self.stripe.with(|stripe| stripe.happenings().to_vec()) {
            if is_sent(&event) {
                self.app.deliver(&event.render(ApiVersion::default()).body).await;
            }
        }
        self.app.run_workers().await;
    }

    /// Time passes for both.
    pub(super) fn pass(&self, seconds: u64) {
        let now = self.stripe.advance(Duration::from_secs(seconds));
        self.app.clock.set(now);
    }

    /// Asks Stripe about every doubt that is due; returns how many there were.
    pub(super) async fn ask(&self) -> usize {
        let mut asked = 0;
        loop {
            let count = workers::refetch::tick(self.app.app()).await.unwrap();
            if count == 0 {
                return asked;
            }
            asked += count;
        }
    }

    pub(super) async fn status(&self) -> String {
        let account = AccountId::parse("acme").unwrap();
        let facts =
            facts::load(&self.app.app().engine.db, &account, tollgate_domain::facts::Window::ALL)
                .await
                .unwrap();
        let shown = facts.subscriptions.values().map(|one| {
            let mark = if one.is_uncertain() { "?" } else { "" };
            format!("{}{mark}", one.state().unwrap().status.as_str())
        });
        shown.collect::<Vec<_>>().join(" ")
    }
}

fn server_error() -> Fault {
    Fault::Status { status: 500, code: None, should_retry: None, accepted: false }
}

/// The event types an endpoint of ours is sent.
pub(super) fn is_sent(event: &Happening) -> bool {
    tollgate_stripe::EVENT_TYPES.contains(&event.kind())
}

on_both! {
    async fn events_that_never_came_are_brought_in_once(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        // A server asks when it starts: whatever is lost from then on was missed.
        pair.run(Kind::Events, false).await.unwrap();
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
        // What is very young may still be under way.
        let early = pair.run(Kind::Events, false).await.unwrap();
        pair.pass(120);
        let report = pair.run(Kind::Events, false).await.unwrap();
        let missed = report.drift.get("missed_event").copied().unwrap_or_default();
        assert!(missed > 0 && early.drifted() < lost, "{early:?} {report:?}");
        assert_eq!(early.drifted() + missed, lost, "{report:?}");
        let shown = pair.app.get("/metrics").await.text;
        let counted = format!("tollgate_drift_total{{reason=\"missed_event\"}} {lost}");
        assert!(shown.contains(&counted), "{shown}");
        let timed = "tollgate_stripe_request_duration_seconds_count{operation=\"events.list\",outcome=\"ok\"}";
        assert!(shown.contains(timed), "{shown}");
        assert_eq!(early.repaired + report.repaired, lost);
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
        pair.pass(120);
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
        let order = Order { kind: Kind::Events, account: None, dry: false, allow_ends: false };
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

    async fn a_checkout_is_asked_for_at_once_and_gives_access_before_its_other_events(
        database: &TestDatabase
    ) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let completed = pair.happened(&["checkout.session.completed"]).remove(0);
        pair.app.deliver(&completed.render(ApiVersion::default()).body).await;
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], false);
        assert_eq!(pair.ask().await, 1);
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], true);
        // The other events arrive and change nothing more.
        pair.deliver_all().await;
        pair.pass(5);
        pair.ask().await;
        assert_eq!(pair.status().await, "active");
        pair.stop().await;
    }

    async fn an_object_first_seen_by_a_late_event_is_asked_for(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.pass(60);
        let path = format!("/v1/subscriptions/{id}");
        pair.call(Method::Post, &path, &[("cancel_at_period_end", "true")]);
        pair.pass(60);
        pair.call(Method::Delete, &path, &[]);
        let updated = pair.happened(&["customer.subscription.updated"]).pop().unwrap();
        pair.app.deliver(&updated.render(ApiVersion::default()).body).await;
        assert_eq!(pair.status().await, "active");
        assert_eq!(pair.ask().await, 0, "more may be under way");
        pair.pass(5);
        assert_eq!(pair.ask().await, 1);
        assert_eq!(pair.status().await, "canceled");
        assert_eq!(doubts::count(&pair.app.app().engine.db).await.unwrap(), 0);
        pair.stop().await;
    }

    async fn a_doubt_outlives_an_outage(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let completed = pair.happened(&["checkout.session.completed"]).remove(0);
        pair.app.deliver(&completed.render(ApiVersion::default()).body).await;
        let down = FaultRule::new("/v1/subscriptions/*", 50, server_error());
        assert!(pair.stripe.add_fault(down));
        assert!(workers::refetch::tick(pair.app.app()).await.is_err());
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], false);
        pair.stripe.clear_faults();
        assert_eq!(pair.ask().await, 0, "it waits a while");
        pair.pass(60);
        assert_eq!(pair.ask().await, 1);
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], true);
        pair.stop().await;
    }

    async fn what_changed_without_an_event_is_found_shown_and_repaired(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_all().await;
        pair.pass(5);
        pair.run(Kind::Sweep, false).await.unwrap();
        pair.pass(31 * 86_400);
        // The events of a month ago are not listed any more, those of now never were delivered.
        pair.call(Method::Delete, &format!("/v1/subscriptions/{id}"), &[]);
        pair.pass(31 * 86_400);
        let found = pair.run(Kind::Sweep, true).await.unwrap();
        let of = |report: &Report| {
            report.examples.iter().find(|one| one.object == id).cloned().unwrap()
        };
        assert!(of(&found).changes.iter().any(|one| one == "status: active -> canceled"));
        assert_eq!((of(&found).repaired, pair.status().await.as_str()), (false, "active"));
        let done = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((done.drifted(), of(&done).drift), (found.drifted(), of(&found).drift));
        assert_eq!(pair.status().await, "canceled");
        let again = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((again.drifted(), again.settled), (0, 0), "{again:?}");
        let runs = runs::list(&pair.app.app().engine.db, Timestamp::MAX, 10).await.unwrap();
        assert!(runs.len() >= 4 && runs.iter().all(|run| run.status == "done"), "{runs:?}");
        pair.stop().await;
    }

    async fn one_account_can_be_compared_alone(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_all().await;
        pair.pass(5);
        pair.run(Kind::Events, false).await.unwrap();
        pair.pass(5);
        pair.call(Method::Delete, &format!("/v1/subscriptions/{id}"), &[]);
        pair.pass(31 * 86_400);
        let account = AccountId::parse("acme").unwrap();
        let order = Order { kind: Kind::Sweep, account: Some(account), dry: false, allow_ends: false };
        let report = reconcile::reconcile(pair.app.app(), order, &|_, _| {}).await.unwrap();
        assert!(report.repaired > 0, "{report:?}");
        assert_eq!(pair.status().await, "canceled");
        pair.stop().await;
    }

    async fn a_run_that_was_broken_off_goes_on(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let order = Order { kind: Kind::Sweep, account: None, dry: false, allow_ends: false };
        let begun = reconcile::begin(pair.app.app(), order.clone()).await.unwrap();
        let id = begun.id.clone();
        // Its process is killed; somebody else finds it once the lease has ended.
        drop(begun);
        pair.pass(10 * 60);
        let found = reconcile::begin(pair.app.app(), order).await.unwrap();
        assert_eq!(found.id, id);
        reconcile::carry_out(pair.app.app(), found, &|_, _| {}).await.unwrap();
        let runs = runs::list(&pair.app.app().engine.db, Timestamp::MAX, 10).await.unwrap();
        assert_eq!((runs.len(), runs[0].status.as_str()), (1, "done"));
        assert_eq!(pair.status().await, "active");
        pair.stop().await;
    }

    async fn the_schedule_looks_for_events_and_sweeps_at_night(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let tick = async |started| {
            let done = workers::reconcile::tick(pair.app.app(), started).await.unwrap();
            done.map(|report| report.objects > 0)
        };
        pair.subscribe("premium");
        pair.pass(5);
        assert_eq!(tick(true).await, Some(true), "there never was a sweep");
        assert_eq!(tick(false).await, None);
        assert_eq!(tick(true).await, Some(false), "when the engine starts, events are looked for");
        pair.pass(6 * 60);
        assert_eq!(tick(false).await, Some(false));
        // It is ten in the morning; seventeen hours later it is three at night, but too early.
        pair.pass(17 * 3_600);
        assert_eq!(tick(false).await, Some(false));
        pair.pass(24 * 3_600);
        assert_eq!(tick(false).await, Some(true));
        pair.stop().await;
    }
}
