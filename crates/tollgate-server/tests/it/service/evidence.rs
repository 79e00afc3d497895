//! What is known of a subscription when Stripe told only a part of it: paid lines, lost events,
//! plans for later, against the sandbox.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::Interval;
use tollgate_sandbox::sandbox::{ApiRequest, Card, CheckoutOutcome, Method, Params};
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_sandbox::{ApiVersion, sandbox_price_id};
use tollgate_server::scope::Scope;
use tollgate_server::workers;

use crate::cli::Place;
use crate::support::{NOW, SECRET, Settings, TestApp, TestDatabase, catalog, on_both, price_map};

const DAY: Duration = Duration::from_hours(24);

/// An engine, perhaps without an API key, and a Stripe whose events the tests hand over.
struct World {
    app: TestApp,
    stripe: RunningSandbox,
    handed: usize,
}

impl World {
    async fn start(database: &TestDatabase, key: bool) -> Self {
        Self::start_with(database, key, None).await
    }

    /// With this catalog instead of the one that maps price ids.
    async fn start_with(database: &TestDatabase, key: bool, catalog_name: Option<&str>) -> Self {
        let at = Timestamp::parse(NOW).unwrap();
        let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
        let mut environment = Vec::new();
        if key {
            environment = vec![
                ("STRIPE_SECRET_KEY".to_owned(), "sk_test_tollgate_evidence".to_owned()),
                ("STRIPE_API_BASE".to_owned(), stripe.url().to_owned()),
            ];
        }
        let named = catalog_name.map(str::to_owned);
        let settings = Settings { environment, catalog: named, ..Settings::default() };
        let mut app = TestApp::start_with(database, settings).await;
        app.key = app.make_key(&[Scope::Check, Scope::Billing, Scope::AdminRead], None).await;
        Self { app, stripe, handed: 0 }
    }

    async fn stop(self) {
        self.app.stop().await;
        self.stripe.shutdown().await;
    }

    fn call(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Value {
        let params = Params::from_pairs(pairs.iter().copied()).unwrap();
        let request = ApiRequest::new(method, path, params);
        let reply = self.stripe.with(|stripe| stripe.call(&request));
        assert!(reply.status < 300, "{path}: {}", reply.body);
        reply.body
    }

    /// `acme` buys a plan on the hosted page; nobody is told. The ids of customer and subscription.
    fn subscribe(&self, plan: &str) -> (String, String) {
        let made = self.call(Method::Post, "/v1/customers", &[("metadata[account_id]", "acme")]);
        let customer = made["id"].as_str().unwrap().to_owned();
        let price = sandbox_price_id(&catalog(), plan, Interval::Month);
        let session = [
            ("mode", "subscription"),
            ("customer", &customer),
            ("line_items[0][price]", &price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://app.example.org/done"),
            ("metadata[account_id]", "acme"),
            ("subscription_data[metadata][account_id]", "acme"),
        ];
        let session = self.call(Method::Post, "/v1/checkout/sessions", &session);
        let session = session["id"].as_str().unwrap().to_owned();
        self.stripe.with(|one| one.complete_checkout(&session, CheckoutOutcome::Pay)).unwrap();
        let done = self.call(Method::Get, &format!("/v1/checkout/sessions/{session}"), &[]);
        (customer, done["subscription"].as_str().unwrap().to_owned())
    }

    /// Hands over what happened since the last time, as far as an endpoint asks for it.
    async fn hand_over(&mut self, wanted: impl Fn(&str) -> bool) {
        let all = self.stripe.with(|stripe| stripe.happenings().to_vec());
        for event in &all[self.handed..] {
            if tollgate_stripe::EVENT_TYPES.contains(&event.kind()) && wanted(event.kind()) {
                self.app.deliver(&event.render(ApiVersion::default()).body).await;
            }
        }
        self.handed = all.len();
        self.app.run_workers().await;
    }

    fn pass(&self, by: Duration) {
        let now = self.stripe.advance(by);
        self.app.clock.set(now);
    }

    /// Gives a subscription a schedule whose phases sell these plans, a month each.
    fn plan(&self, id: &str, plans: &[&str], ending: &str) -> String {
        let made =
            self.call(Method::Post, "/v1/subscription_schedules", &[("from_subscription", id)]);
        let schedule = made["id"].as_str().unwrap().to_owned();
        self.plan_anew(&schedule, plans, ending);
        schedule
    }

    fn plan_anew(&self, schedule: &str, plans: &[&str], ending: &str) {
        let path = format!("/v1/subscription_schedules/{schedule}");
        let made = self.call(Method::Get, &path, &[]);
        let now = &made["phases"][0];
        let mut form = vec![
            ("end_behavior".to_owned(), ending.to_owned()),
            ("phases[0][start_date]".to_owned(), now["start_date"].to_string()),
            ("phases[0][end_date]".to_owned(), now["end_date"].to_string()),
        ];
        for (place, plan) in plans.iter().enumerate() {
            let price = sandbox_price_id(&catalog(), plan, Interval::Month);
            form.push((format!("phases[{place}][items][0][price]"), price));
            if place > 0 {
                form.push((format!("phases[{place}][iterations]"), "1".to_owned()));
            }
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.call(Method::Post, &path, &form);
    }

    async fn check(&self, at: &str) -> Value {
        let ask = json!({"accountId": "acme", "feature": "basic_tgr", "at": at, "explain": true});
        self.app.post("/api/check", &ask).await.json()
    }

    async fn tier(&self) -> Value {
        self.app.check("acme", "basic_tgr").await["tier"].clone()
    }

    async fn subscription(&self) -> Value {
        self.app.get("/api/v1/billing/subscription?accountId=acme").await.json()
    }

    async fn findings(&self) -> Vec<Value> {
        let found = self.app.get("/admin/findings").await.json();
        found["data"]
            .as_array()
            .map_or_else(Vec::new, |all| all.iter().map(|one| one["code"].clone()).collect())
    }

    async fn ask_stripe(&self) -> usize {
        let mut asked = 0;
        loop {
            match workers::refetch::tick(self.app.app()).await.unwrap() {
                0 => return asked,
                count => asked += count,
            }
        }
    }
}

/// What a community's endpoint was told to send before there was anything else.
fn of_five(kind: &str) -> bool {
    matches!(
        kind,
        "checkout.session.completed"
            | "invoice.paid"
            | "invoice.payment_failed"
            | "customer.subscription.updated"
            | "customer.subscription.deleted"
    )
}

on_both! {
    async fn five_event_types_and_no_key_are_enough_for_a_first_purchase(database: &TestDatabase) {
        let mut world = World::start(database, false).await;
        let (_, id) = world.subscribe("premium");
        world.hand_over(of_five).await;
        let check = world.app.check("acme", "weekly_digest").await;
        assert_eq!((&check["canAccess"], &check["tier"]), (&json!(true), &json!("premium")), "{check}");
        assert_eq!(check["source"]["id"], id.as_str());
        // The renewal is paid, then the card fails, then it ends: by what the five tell.
        world.pass(DAY * 31);
        world.hand_over(of_five).await;
        assert_eq!(world.tier().await, "premium");
        world.call(Method::Delete, &format!("/v1/subscriptions/{id}"), &[]);
        world.hand_over(of_five).await;
        assert_eq!(world.tier().await, "starter");
        world.stop().await;
    }

    async fn an_upgrade_that_is_not_paid_leaves_what_is_paid(database: &TestDatabase) {
        let mut world = World::start(database, false).await;
        let (customer, id) = world.subscribe("premium");
        world.hand_over(|_| true).await;
        let paid_until = world.subscription().await["currentPeriodEnd"].as_str().unwrap().to_owned();
        world.pass(DAY * 5);
        world.stripe.with(|stripe| stripe.set_card(&customer, Card::Declined)).unwrap();
        let item = world.call(Method::Get, &format!("/v1/subscriptions/{id}"), &[]);
        let item = item["items"]["data"][0]["id"].as_str().unwrap().to_owned();
        let elite = sandbox_price_id(&catalog(), "elite", Interval::Month);
        // As an application's own code changes it, with Stripe's default payment behaviour.
        let change = [
            ("items[0][id]", item.as_str()),
            ("items[0][price]", elite.as_str()),
            ("proration_behavior", "always_invoice"),
        ];
        let changed = world.call(Method::Post, &format!("/v1/subscriptions/{id}"), &change);
        assert_eq!(changed["status"], "past_due", "{changed}");
        world.hand_over(|_| true).await;
        for _ in 0..3 {
            let check = world.app.check("acme", "basic_tgr").await;
            assert_eq!((&check["tier"], &check["inGracePeriod"]), (&json!("premium"), &json!(false)), "{check}");
            assert_eq!(check["validUntil"], paid_until.as_str());
            world.pass(DAY * 2);
        }
        let end = Timestamp::parse(&paid_until).unwrap();
        assert_eq!(world.check(&end.plus_ms(-1).to_string()).await["tier"], "premium");
        // Then the renewal is due, and in grace like every renewal.
        let due = world.check(&paid_until).await;
        assert_eq!((&due["tier"], &due["inGracePeriod"]), (&json!("premium"), &json!(true)), "{due}");
        assert_eq!(world.check(&end.plus_days(1).to_string()).await["tier"], "starter");
        // Paid after all.
        world.stripe.with(|stripe| stripe.set_card(&customer, Card::Good)).unwrap();
        let invoice = changed["latest_invoice"].as_str().unwrap();
        world.call(Method::Post, &format!("/v1/invoices/{invoice}/pay"), &[]);
        world.hand_over(|_| true).await;
        assert_eq!(world.tier().await, "elite");
        world.stop().await;
    }

    async fn a_plan_for_later_is_shown_and_foretold(database: &TestDatabase) {
        let mut world = World::start(database, true).await;
        world.subscribe("elite");
        world.hand_over(|_| true).await;
        world.ask_stripe().await;
        let body = json!({"accountId": "acme", "tier": "basic"});
        let changed = world.app.post("/api/v1/billing/subscription/change", &body).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let shown = world.subscription().await;
        assert_eq!(shown["tier"], "elite");
        assert_eq!(shown["pendingChange"]["tier"], "basic", "{shown}");
        assert_eq!(shown["pendingChange"]["at"], shown["currentPeriodEnd"], "{shown}");
        let later = world.app.now().plus_days(40).to_string();
        let check = world.check(&later).await;
        assert_eq!(check["tier"], "basic", "{check}");
        let timeline = world.app.get(&format!("/api/v1/accounts/acme/timeline?to={later}")).await.json();
        let tiers: Vec<&Value> = timeline["spans"].as_array().unwrap().iter().map(|span| &span["tier"]).collect();
        assert_eq!(tiers.last(), Some(&&json!("basic")), "{timeline}");
        // Taken back, it is neither.
        world.app.post("/api/v1/billing/subscription/change", &json!({"accountId": "acme", "tier": "elite"})).await;
        assert!(world.subscription().await.get("pendingChange").is_none());
        assert_eq!(world.check(&later).await["tier"], "elite");
        world.stop().await;
    }

    async fn a_plan_made_in_stripe_for_prices_known_by_lookup_key_is_foretold(database: &TestDatabase) {
        let mut world = World::start_with(database, true, Some("sietch")).await;
        let (_, id) = world.subscribe("elite");
        world.hand_over(|_| true).await;
        world.ask_stripe().await;
        world.plan(&id, &["elite", "basic"], "release");
        world.hand_over(|_| true).await;
        world.pass(Duration::from_secs(5));
        world.ask_stripe().await;
        let pending = world.subscription().await["pendingChange"].clone();
        assert_eq!((&pending["tier"], &pending["quantity"]), (&json!("basic"), &json!(1)), "{pending}");
        assert_eq!((&pending["interval"], &pending["ends"]), (&json!("month"), &json!(false)), "{pending}");
        let later = world.app.now().plus_days(40).to_string();
        assert_eq!(world.check(&later).await["tier"], "basic");
        assert_eq!(world.ask_stripe().await, 0, "once is enough");
        world.stop().await;
    }

    async fn of_plans_of_one_second_the_one_stripe_has_is_shown(database: &TestDatabase) {
        let mut world = World::start(database, true).await;
        let (_, id) = world.subscribe("elite");
        world.hand_over(|_| true).await;
        world.ask_stripe().await;
        let schedule = world.plan(&id, &["elite", "basic"], "release");
        for other in ["premium", "basic", "exclusive", "basic", "premium"] {
            world.plan_anew(&schedule, &["elite", other], "release");
        }
        world.hand_over(|_| true).await;
        world.pass(Duration::from_secs(5));
        world.ask_stripe().await;
        let pending = world.subscription().await["pendingChange"].clone();
        assert_eq!(pending["tier"], "premium", "{pending}");
        world.stop().await;
    }

    async fn the_end_that_a_schedule_sets_is_foretold(database: &TestDatabase) {
        let mut world = World::start(database, false).await;
        let (_, id) = world.subscribe("elite");
        world.plan(&id, &["elite"], "cancel");
        world.hand_over(|_| true).await;
        let shown = world.subscription().await;
        let (pending, end) = (&shown["pendingChange"], &shown["currentPeriodEnd"]);
        assert_eq!((&pending["ends"], &pending["at"]), (&json!(true), end), "{shown}");
        assert!(pending.get("tier").is_none() && pending.get("quantity").is_none(), "{shown}");
        let now = world.check(&world.app.now().to_string()).await;
        assert_eq!((&now["tier"], &now["validUntil"]), (&json!("elite"), end), "{now}");
        let later = world.app.now().plus_days(40).to_string();
        assert_eq!(world.check(&later).await["tier"], "starter");
        let timeline = world.app.get(&format!("/api/v1/accounts/acme/timeline?to={later}")).await.json();
        assert_eq!(timeline["spans"].as_array().unwrap().last().unwrap()["tier"], "starter", "{timeline}");
        world.stop().await;
    }

    async fn schedules_by_events_alone_are_foretold_too(database: &TestDatabase) {
        let mut world = World::start(database, false).await;
        let (_, id) = world.subscribe("elite");
        let made = world.call(Method::Post, "/v1/subscription_schedules", &[("from_subscription", &id)]);
        let now = &made["phases"][0];
        let (start, end) = (now["start_date"].to_string(), now["end_date"].to_string());
        let (elite, basic) = (
            sandbox_price_id(&catalog(), "elite", Interval::Month),
            sandbox_price_id(&catalog(), "basic", Interval::Month),
        );
        let phases = [
            ("phases[0][start_date]", start.as_str()),
            ("phases[0][end_date]", end.as_str()),
            ("phases[0][items][0][price]", elite.as_str()),
            ("phases[1][items][0][price]", basic.as_str()),
        ];
        let schedule = made["id"].as_str().unwrap();
        world.call(Method::Post, &format!("/v1/subscription_schedules/{schedule}"), &phases);
        world.hand_over(|_| true).await;
        let shown = world.subscription().await;
        assert_eq!(shown["pendingChange"]["tier"], "basic", "{shown}");
        // Whoever asks why is told too.
        let at = world.app.now().to_string();
        let place = Place::with(&[
            ("STRIPE_WEBHOOK_SECRET", SECRET),
            ("DATABASE_URL", &database.url()),
            ("STRIPE_PRODUCT_PRICE_MAP", &price_map()),
        ]);
        let why = move |json: &str| place.run(&format!("why acme --at {at} {json}"));
        let (text, told) = tokio::task::spawn_blocking(move || (why("").stdout, why("--json").json())).await.unwrap();
        let planned = &told["planned"][0];
        assert_eq!((&planned["tier"], &planned["at"]), (&json!("basic"), &shown["pendingChange"]["at"]), "{told}");
        let until = shown["pendingChange"]["at"].as_str().unwrap();
        assert!(text.contains("Planned") && text.contains(&format!("holds until {until}")), "{text}");
        world.call(Method::Post, &format!("/v1/subscription_schedules/{schedule}/release"), &[]);
        world.hand_over(|_| true).await;
        assert!(world.subscription().await.get("pendingChange").is_none());
        world.stop().await;
    }

    async fn a_subscription_nobody_speaks_of_is_asked_for(database: &TestDatabase) {
        let mut world = World::start(database, true).await;
        world.subscribe("premium");
        world.hand_over(|_| true).await;
        world.ask_stripe().await;
        // Every event of the renewal is lost, and more than three days pass.
        world.pass(DAY * 36);
        world.app.run_workers().await;
        let check = world.check(&world.app.now().to_string()).await;
        assert!(check["trace"]["sources"][0]["note"].as_str().unwrap().contains("stale evidence since"), "{check}");
        assert!(check["trace"]["sources"][0]["staleSince"].is_string(), "{check}");
        assert_eq!(world.ask_stripe().await, 1);
        let check = world.check(&world.app.now().to_string()).await;
        assert_eq!(check["tier"], "premium");
        assert!(check["trace"]["sources"][0].get("staleSince").is_none(), "{check}");
        assert!(world.findings().await.is_empty(), "it is settled");
        assert_eq!(world.ask_stripe().await, 0, "once is enough");
        world.stop().await;
    }

    async fn without_a_key_stale_evidence_is_a_finding(database: &TestDatabase) {
        let mut world = World::start(database, false).await;
        world.subscribe("premium");
        world.hand_over(|_| true).await;
        world.app.clock.set(world.app.now().plus_days(36));
        world.app.run_workers().await;
        assert_eq!(world.tier().await, "premium", "it is held");
        assert_eq!(world.findings().await, [json!("stale_subscription")]);
        world.pass(DAY * 36);
        world.hand_over(|_| true).await;
        assert!(world.findings().await.is_empty(), "news has come");
        world.stop().await;
    }

    async fn the_subscriptions_of_a_deleted_customer_are_over(database: &TestDatabase) {
        let mut world = World::start(database, false).await;
        let (customer, _) = world.subscribe("premium");
        world.hand_over(|_| true).await;
        world.pass(DAY);
        world.call(Method::Delete, &format!("/v1/customers/{customer}"), &[]);
        world.hand_over(|kind| kind == "customer.deleted").await;
        let check = world.app.check("acme", "weekly_digest").await;
        assert_eq!((&check["canAccess"], &check["reason"]["code"]), (&json!(false), &json!("subscription_canceled")), "{check}");
        world.stop().await;
    }

    async fn a_pause_of_collection_is_shown(database: &TestDatabase) {
        let mut world = World::start(database, false).await;
        let (_, id) = world.subscribe("premium");
        let until = (world.app.now().unix_seconds() + 9 * 86_400).to_string();
        let pause = [("pause_collection[behavior]", "void"), ("pause_collection[resumes_at]", &until)];
        world.call(Method::Post, &format!("/v1/subscriptions/{id}"), &pause);
        world.hand_over(|_| true).await;
        let shown = world.subscription().await;
        let pause = &shown["subscription"]["collectionPause"];
        assert_eq!((&pause["behavior"], &shown["tier"]), (&json!("void"), &json!("premium")), "{shown}");
        assert!(pause["resumesAt"].is_string(), "{shown}");
        world.stop().await;
    }
}
