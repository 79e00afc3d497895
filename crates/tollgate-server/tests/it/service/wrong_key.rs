//! A key of another account, of the other mode, or a restricted one: what a wrong key is answered
//! is never taken for news, and once the right key is back everything is as before.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::Interval;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::sandbox::{
    ApiRequest, CheckoutOutcome, Method, Params, Sandbox, SandboxOptions,
};
use tollgate_sandbox::server::{self, Fault, FaultRule, RunningSandbox, ServerOptions};
use tollgate_sandbox::{ApiVersion, sandbox_price_id};
use tollgate_server::reconcile::named;
use tollgate_server::reconcile::{self, Kind, Order, ReconcileError, Report};
use tollgate_server::scope::Scope;
use tollgate_server::workers;
use tollgate_server::workers::refetch;
use tollgate_store::facts;

use crate::support::{NOW, Settings, TestApp, TestDatabase, catalog, on_both};

const RIGHT: &str = "sk_test_tollgate_right";
const OTHER_ACCOUNT: &str = "sk_test_tollgate_other";
const OTHER_MODE: &str = "sk_live_tollgate_other";
const RESTRICTED: &str = "rk_test_tollgate_right";
const RESTRICTED_OTHER: &str = "rk_test_tollgate_other";

struct World {
    stripe: RunningSandbox,
    told: usize,
}

impl World {
    async fn start() -> Self {
        let at = Timestamp::parse(NOW).unwrap();
        let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
        for key in [OTHER_ACCOUNT, OTHER_MODE, RESTRICTED_OTHER] {
            let options = SandboxOptions { seed: 8, now: at.unix_seconds(), ..Default::default() };
            let mut other = Sandbox::new(options);
            other.stock(&catalog());
            stripe.give_account(key, other);
        }
        Self { stripe, told: 0 }
    }

    async fn engine(&self, database: &TestDatabase, key: Option<&str>) -> TestApp {
        let mut environment = vec![
            ("STRIPE_API_BASE".to_owned(), self.stripe.url().to_owned()),
            ("TOLLGATE__RATE__BILLING_PER_MIN".to_owned(), "none".to_owned()),
            ("TOLLGATE__STRIPE__LIVE_KEY_ELSEWHERE".to_owned(), "true".to_owned()),
        ];
        environment.extend(key.map(|key| ("STRIPE_SECRET_KEY".to_owned(), key.to_owned())));
        let settings = Settings { environment, ..Settings::default() };
        let mut app = TestApp::start_with(database, settings).await;
        app.clock.set(self.stripe.clock().now());
        app.key = app.make_key(&[Scope::Check, Scope::Billing, Scope::Admin], None).await;
        app
    }

    fn call(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Value {
        let params = Params::from_pairs(pairs.iter().copied()).unwrap();
        let request = ApiRequest::new(method, path, params);
        let reply = self.stripe.with(|stripe| stripe.call(&request));
        assert!(reply.status < 300, "{path}: {}", reply.body);
        reply.body
    }

    fn id(&self, path: &str, pairs: &[(&str, &str)]) -> String {
        self.call(Method::Post, path, pairs)["id"].as_str().unwrap().to_owned()
    }

    /// An account subscribes on the hosted page; returns customer and subscription.
    fn subscribe(&self, account: &str) -> (String, String) {
        let customer = self.id("/v1/customers", &[("metadata[account_id]", account)]);
        let price = sandbox_price_id(&catalog(), "premium", Interval::Month);
        let session = self.id(
            "/v1/checkout/sessions",
            &[
                ("mode", "subscription"),
                ("customer", &customer),
                ("line_items[0][price]", &price),
                ("success_url", "https://app.example.org/done"),
                ("subscription_data[metadata][account_id]", account),
            ],
        );
        self.stripe.with(|one| one.complete_checkout(&session, CheckoutOutcome::Pay)).unwrap();
        let done = self.call(Method::Get, &format!("/v1/checkout/sessions/{session}"), &[]);
        (customer, done["subscription"].as_str().unwrap().to_owned())
    }

    /// Delivers what happened since the last time; every event is taken in.
    async fn deliver(&mut self, app: &TestApp) {
        let told = self.told;
        let new = self.stripe.with(|stripe| stripe.happenings()[told..].to_vec());
        self.told += new.len();
        for event in new {
            if !tollgate_stripe::EVENT_TYPES.contains(&event.kind()) {
                continue;
            }
            let answer = app.deliver(&event.render(ApiVersion::default()).body).await;
            assert_ne!(answer.field("status"), "ignored", "{}: {}", event.kind(), answer.text);
        }
        app.run_workers().await;
    }

    fn pass(&self, app: &TestApp, seconds: u64) {
        app.clock.set(self.stripe.advance(Duration::from_secs(seconds)));
    }

    async fn stop(self) {
        self.stripe.shutdown().await;
    }
}

async fn sweep(app: &TestApp, allow_ends: bool) -> Result<Report, ReconcileError> {
    let order = Order { kind: Kind::Sweep, account: None, dry: false, allow_ends };
    reconcile::reconcile(app.app(), order, &|_, _| {}).await
}

async fn statuses(app: &TestApp, account: &str) -> Vec<String> {
    let account = AccountId::parse(account).unwrap();
    let facts = facts::load(&app.app().engine.db, &account, Window::ALL).await.unwrap();
    let states = facts.subscriptions.values().filter_map(|one| one.state());
    states.map(|state| state.status.as_str().to_owned()).collect()
}

/// Nothing that has to do with Stripe works, and says so; everything else does.
async fn refuses(app: &TestApp, code: &str) {
    let refused = sweep(app, true).await;
    assert!(
        matches!(&refused, Err(ReconcileError::Stripe(error)) if error.code() == code),
        "{refused:?}"
    );
    let asked = json!({
        "accountId": "new", "tier": "premium", "successUrl": "http://localhost/a",
        "cancelUrl": "http://localhost/b",
    });
    let mut answers = vec![
        app.post("/api/v1/billing/checkout", &asked).await,
        app.get("/api/v1/billing/portal?accountId=acme").await,
        app.post("/admin/reconcile", &json!({"allowEnds": true})).await,
    ];
    for what in ["change", "preview", "cancel", "resume"] {
        let mut body = json!({"accountId": "acme"});
        if matches!(what, "change" | "preview") {
            body["tier"] = "elite".into();
        }
        let path = format!("/api/v1/billing/subscription/{what}");
        answers.push(app.post(&path, &body).await);
    }
    for answer in answers {
        assert_eq!((answer.status, answer.field("code").as_str()), (503, code), "{}", answer.text);
    }
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text);
    assert_eq!(ready.json()["stripe"], json!({"status": "failing", "detail": code}));
    assert_eq!(app.get("/health").await.field("status"), "degraded");
    assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], true, "checks go on");
}

on_both! {
    async fn a_database_works_with_keys_of_its_account_and_mode_only(database: &TestDatabase) {
        let mut world = World::start().await;
        let (_, subscription) = world.subscribe("acme");
        let app = world.engine(database, Some(RIGHT)).await;
        world.deliver(&app).await;
        world.pass(&app, 5);
        sweep(&app, false).await.unwrap();
        let digest = app.digest().await;
        app.stop().await;
        for (key, code) in [
            (OTHER_ACCOUNT, "stripe_wrong_account"),
            (OTHER_MODE, "stripe_wrong_mode"),
            (RESTRICTED_OTHER, "stripe_wrong_account"),
        ] {
            let app = world.engine(database, Some(key)).await;
            refuses(&app, code).await;
            // An event that leaves a doubt is taken in; the doubt stays until it can be settled.
            world.call(
                Method::Post,
                &format!("/v1/subscriptions/{subscription}"),
                &[("metadata[note]", key)],
            );
            world.deliver(&app).await;
            world.pass(&app, 120);
            workers::refetch::tick(app.app()).await.ok();
            assert_eq!(app.digest().await.len(), digest.len());
            assert_eq!(statuses(&app, "acme").await, ["active"], "{key}");
            app.stop().await;
        }
        for key in [RESTRICTED, RIGHT] {
            let app = world.engine(database, Some(key)).await;
            world.pass(&app, 120);
            while workers::refetch::tick(app.app()).await.unwrap() > 0 {}
            let report = sweep(&app, false).await.unwrap();
            assert_eq!((report.drifted(), report.ends, report.unproven), (0, 0, 0), "{report:?}");
            assert_eq!(statuses(&app, "acme").await, ["active"], "{key}");
            let ready = app.get("/readyz").await.json();
            assert_eq!(ready["stripe"]["status"], "ok", "{ready}");
            app.stop().await;
        }
        world.stop().await;
    }

    async fn thin_events_are_unread_until_a_key_has_read_them(database: &TestDatabase) {
        let mut world = World::start().await;
        let (_, subscription) = world.subscribe("acme");
        let app = world.engine(database, None).await;
        world.deliver(&app).await;
        let thin = json!({
            "id": "evt_thin", "object": "v2.core.event", "type": "v1.customer.subscription.updated",
            "created": app.now().to_string(), "livemode": false, "context": null,
            "related_object": {"id": subscription, "type": "subscription", "url": format!("/v1/subscriptions/{subscription}")},
        });
        assert_eq!(app.deliver(&thin.to_string()).await.status, 200);
        let unread = ["thin_without_key thin_events".to_owned()];
        assert_eq!(app.open_findings().await, unread);
        app.stop().await;
        for (key, open) in [(None, &unread[..]), (Some(OTHER_ACCOUNT), &unread), (Some(RIGHT), &[])] {
            let app = world.engine(database, key).await;
            if key.is_some() {
                // What was asked in vain is asked again after a while.
                world.pass(&app, 3_600);
                named::ask_for_all(app.app()).await.unwrap();
                assert_eq!(refetch::tick(app.app()).await.is_ok(), key == Some(RIGHT));
            }
            assert_eq!(app.open_findings().await, open, "{key:?}");
            app.stop().await;
        }
        world.stop().await;
    }

    async fn a_database_that_knows_something_is_not_bound_by_a_key_that_sees_none_of_it(
        database: &TestDatabase
    ) {
        let mut world = World::start().await;
        let (_, subscription) = world.subscribe("acme");
        // All that is known came by webhooks; there never was a key.
        let app = world.engine(database, None).await;
        world.deliver(&app).await;
        app.stop().await;
        for key in [OTHER_ACCOUNT, OTHER_MODE, RESTRICTED_OTHER] {
            let app = world.engine(database, Some(key)).await;
            refuses(&app, "stripe_account_unproven").await;
            world.call(
                Method::Post,
                &format!("/v1/subscriptions/{subscription}"),
                &[("metadata[note]", key)],
            );
            world.deliver(&app).await;
            app.stop().await;
        }
        let app = world.engine(database, Some(RIGHT)).await;
        world.pass(&app, 120);
        sweep(&app, false).await.unwrap();
        assert_eq!(statuses(&app, "acme").await, ["active"]);
        app.stop().await;
        let app = world.engine(database, Some(OTHER_ACCOUNT)).await;
        refuses(&app, "stripe_wrong_account").await;
        app.stop().await;
        world.stop().await;
    }

    async fn a_key_that_may_not_even_name_its_account_proves_it_by_what_is_known(
        database: &TestDatabase
    ) {
        let mut world = World::start().await;
        world.subscribe("acme");
        let app = world.engine(database, None).await;
        world.deliver(&app).await;
        app.stop().await;
        let silent = Fault::Status { status: 403, code: None, should_retry: None, accepted: false };
        world.stripe.add_fault(FaultRule::new("/v1/account", 100, silent));
        let app = world.engine(database, Some(RESTRICTED_OTHER)).await;
        refuses(&app, "stripe_account_unproven").await;
        app.stop().await;
        let app = world.engine(database, Some(RESTRICTED)).await;
        sweep(&app, false).await.unwrap();
        app.stop().await;
        world.stripe.clear_faults();
        // A key that can name it does so for good.
        let app = world.engine(database, Some(RIGHT)).await;
        sweep(&app, false).await.unwrap();
        assert_eq!(statuses(&app, "acme").await, ["active"]);
        app.stop().await;
        let app = world.engine(database, Some(OTHER_ACCOUNT)).await;
        refuses(&app, "stripe_wrong_account").await;
        app.stop().await;
        world.stop().await;
    }

    async fn not_found_ends_nothing_by_itself(database: &TestDatabase) {
        let mut world = World::start().await;
        let (_, subscription) = world.subscribe("acme");
        let app = world.engine(database, Some(RIGHT)).await;
        world.deliver(&app).await;
        world.pass(&app, 5);
        sweep(&app, false).await.unwrap();
        let missing = || Fault::Status {
            status: 404,
            code: Some("resource_missing".to_owned()),
            should_retry: None,
            accepted: false,
        };
        // Neither the object alone, nor it together with its customer.
        world.stripe.add_fault(FaultRule::new(&format!("/v1/subscriptions/{subscription}"), 9, missing()));
        world.stripe.add_fault(FaultRule::new("/v1/customers/*", 9, missing()));
        world.call(
            Method::Post,
            &format!("/v1/subscriptions/{subscription}"),
            &[("metadata[note]", "1")],
        );
        world.pass(&app, 5);
        let account = AccountId::parse("acme").unwrap();
        let order = Order { kind: Kind::Sweep, account: Some(account), dry: false, allow_ends: true };
        let report = reconcile::reconcile(app.app(), order, &|_, _| {}).await.unwrap();
        assert!(report.unproven > 0, "{report:?}");
        assert_eq!(statuses(&app, "acme").await, ["active"]);
        world.stripe.clear_faults();
        let report = sweep(&app, false).await.unwrap();
        assert_eq!(report.unproven, 0, "{report:?}");
        app.stop().await;
        world.stop().await;
    }

    async fn a_run_that_would_end_many_repairs_the_rest_and_asks(database: &TestDatabase) {
        let mut world = World::start().await;
        let names: Vec<String> = (0..7).map(|number| format!("acct-{number}")).collect();
        let subscriptions: Vec<String> =
            names.iter().map(|name| world.subscribe(name).1).collect();
        let app = world.engine(database, Some(RIGHT)).await;
        world.deliver(&app).await;
        world.pass(&app, 5);
        sweep(&app, false).await.unwrap();
        // Six end at Stripe, and nobody is told; a month later no event of it is listed any more.
        for subscription in &subscriptions[..6] {
            world.call(Method::Delete, &format!("/v1/subscriptions/{subscription}"), &[]);
        }
        world.pass(&app, 31 * 86_400);
        let stopped = sweep(&app, false).await;
        assert!(
            matches!(stopped, Err(ReconcileError::TooManyEnds { accounts: 6, allowed: 5 })),
            "{stopped:?}"
        );
        for name in &names {
            assert_eq!(statuses(&app, name).await, ["active"], "{name}");
        }
        let answer = app.get("/admin/reconcile/runs").await.json();
        let run = &answer["data"][0];
        assert_eq!((&run["status"], &run["report"]["ends"]), (&json!("stopped"), &json!(6)), "{run}");
        assert!(run["error"].as_str().unwrap().contains("--allow-ends"), "{run}");
        // The schedule does not try again before the next night,
        assert!(workers::reconcile::tick(app.app(), false).await.is_ok());
        // but where Stripe could not make some events, and then once.
        let body = json!({
            "id": "evt_test_health", "object": "v2.core.event",
            "type": "v2.core.health.event_generation_failure.resolved",
            "created": app.now().to_string(), "livemode": false,
        });
        assert_eq!(app.deliver(&body.to_string()).await.field("status"), "waiting");
        world.pass(&app, 5);
        let again = workers::reconcile::tick(app.app(), false).await;
        assert!(matches!(again, Err(ReconcileError::TooManyEnds { .. })), "{again:?}");
        let quiet = workers::reconcile::tick(app.app(), false).await;
        assert!(matches!(quiet, Ok(None)), "everything was compared: {quiet:?}");
        let done = sweep(&app, true).await.unwrap();
        assert_eq!(done.ends, 6, "{done:?}");
        assert_eq!(statuses(&app, "acct-0").await, ["canceled"]);
        assert_eq!(statuses(&app, "acct-6").await, ["active"]);
        app.stop().await;
        world.stop().await;
    }
}
