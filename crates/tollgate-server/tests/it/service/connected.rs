//! Connected Stripe accounts that are named as ours: whatever is read of them is asked for in them,
//! whoever asks, and nothing of theirs is asked for or changed in our own account.

use serde_json::{Value, json};
use tollgate_domain::catalog::Interval;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Facts, Timestamp};
use tollgate_sandbox::sandbox::{
    ApiRequest, CheckoutOutcome, Method, Params, Sandbox, SandboxOptions,
};
use tollgate_sandbox::{ApiVersion, Happening, sandbox_price_id};
use tollgate_server::reconcile::{self, Kind, Order};
use tollgate_server::scope::Scope;
use tollgate_store::doubts;
use tollgate_store::inbox::{self, EventFilter, EventStatus};
use tollgate_store::thin_events;

use super::reconcile::{Pair, is_sent};
use crate::support::{NOW, Settings, TestApp, TestDatabase, catalog, on_both};

/// An engine, its Stripe, and an account connected to that which sells the same.
struct World {
    pair: Pair,
    account: String,
    told: usize,
}

/// What an account tells of an event to the endpoint of the platform.
fn snapshot(account: &str, event: &Happening) -> Value {
    let mut body: Value = serde_json::from_str(&event.render(ApiVersion::default()).body).unwrap();
    body["account"] = json!(account);
    body
}

fn thin(account: &str, event: &Happening) -> Value {
    let mut body = event.show_thin();
    body["context"] = json!(account);
    body
}

impl World {
    async fn start(database: &TestDatabase) -> Self {
        let now = Timestamp::parse(NOW).unwrap().unix_seconds();
        let mut merchant = Sandbox::new(SandboxOptions { seed: 8, now, ..Default::default() });
        merchant.stock(&catalog());
        let named = merchant.account().to_owned();
        let mut pair = Pair::start_with(database, &[("TOLLGATE__STRIPE__ACCOUNTS", &named)]).await;
        pair.app.key = pair.app.make_key(&[Scope::Check, Scope::Billing, Scope::Admin], None).await;
        let account = pair.stripe.connect(merchant);
        Self { pair, account, told: 0 }
    }

    /// The engine begins anew, with a key or without one, and more of its environment.
    async fn restart(
        mut self,
        database: &TestDatabase,
        key: Option<&str>,
        more: &[(&str, &str)],
    ) -> Self {
        let base = self.pair.stripe.url().to_owned();
        let mut environment = vec![("STRIPE_API_BASE".to_owned(), base)];
        environment.extend(key.map(|key| ("STRIPE_SECRET_KEY".to_owned(), key.to_owned())));
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment.extend(more);
        let settings = Settings { environment, ..Settings::default() };
        self.pair.app.stop().await;
        self.pair.app = TestApp::start_with(database, settings).await;
        self.pair.app.clock.set(self.pair.stripe.clock().now());
        self
    }

    fn at_merchant<T>(&self, act: impl FnOnce(&mut Sandbox) -> T) -> T {
        self.pair.stripe.with_connected(&self.account, act).expect("it is connected")
    }

    fn call(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Value {
        let params = Params::from_pairs(pairs.iter().copied()).unwrap();
        let request = ApiRequest::new(method, path, params);
        let reply = self.at_merchant(|merchant| merchant.call(&request));
        assert!(reply.status < 300, "{path}: {}", reply.body);
        reply.body
    }

    /// Somebody subscribes to a plan at the merchant's; nobody is told. The subscription's id.
    fn subscribe(&self, who: &str, plan: &str) -> String {
        let made = self.call(Method::Post, "/v1/customers", &[("metadata[account_id]", who)]);
        let price = sandbox_price_id(&catalog(), plan, Interval::Month);
        let session = [
            ("mode", "subscription"),
            ("customer", made["id"].as_str().unwrap()),
            ("line_items[0][price]", &price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://app.example.org/done"),
            ("metadata[account_id]", who),
            ("subscription_data[metadata][account_id]", who),
        ];
        let session = self.call(Method::Post, "/v1/checkout/sessions", &session);
        let session = session["id"].as_str().unwrap().to_owned();
        self.at_merchant(|one| one.complete_checkout(&session, CheckoutOutcome::Pay)).unwrap();
        let done = self.call(Method::Get, &format!("/v1/checkout/sessions/{session}"), &[]);
        done["subscription"].as_str().unwrap().to_owned()
    }

    /// What happened at the merchant's since the last time and that an endpoint is sent.
    fn news(&mut self) -> Vec<Happening> {
        let all = self.at_merchant(|merchant| merchant.happenings().to_vec());
        let news = all[self.told..].iter().filter(|event| is_sent(event)).cloned().collect();
        self.told = all.len();
        news
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let app = &self.pair.app;
        let headers = [("x-api-key", app.key.as_str()), ("content-type", "application/json")];
        let answer = app.request("POST", path, &headers, body.to_string()).await;
        (answer.status, answer.json())
    }

    async fn deliver(&self, body: &Value) -> String {
        let answer = self.pair.app.deliver(&body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.field("status")
    }

    /// Everything that happened is delivered, as snapshots.
    async fn deliver_news(&mut self) {
        for event in self.news() {
            self.deliver(&snapshot(&self.account, &event)).await;
        }
        self.pair.app.run_workers().await;
    }

    /// The second is over, what is due is asked for, and what waited goes on.
    async fn read_all(&self) {
        self.pair.pass(3);
        self.pair.ask().await;
        self.pair.app.run_workers().await;
    }

    async fn tier(&self, who: &str) -> String {
        let answer = self.pair.app.check(who, "weekly_digest").await;
        answer["tier"].as_str().unwrap().to_owned()
    }

    async fn facts(&self, who: &str) -> Facts {
        let who = AccountId::parse(who).unwrap();
        tollgate_store::facts::load(&self.pair.app.app().engine.db, &who, Window::ALL)
            .await
            .unwrap()
    }

    /// What facts say of somebody's subscriptions, invoices and purchases, without ids and times.
    async fn gist(&self, who: &str) -> Vec<String> {
        let facts = self.facts(who).await;
        let subscriptions = facts.subscriptions.values().map(|one| {
            let state = one.state().unwrap();
            let items: Vec<_> =
                state.items.iter().map(|item| (&item.price, item.quantity)).collect();
            format!("{} {items:?} {}", state.status.as_str(), one.is_uncertain())
        });
        let invoices = facts.invoices.values().map(|one| format!("{:?}", one.state.status));
        let purchases = facts.purchases.values().map(|one| format!("{:?}", one.status));
        subscriptions.chain(invoices).chain(purchases).collect()
    }

    async fn waiting(&self) -> usize {
        let filter = EventFilter { status: Some(EventStatus::Waiting), ..EventFilter::default() };
        let db = &self.pair.app.app().engine.db;
        inbox::list(db, &filter, None, 100).await.unwrap().0.len()
    }

    async fn doubts(&self) -> u64 {
        doubts::count(&self.pair.app.app().engine.db).await.unwrap()
    }

    /// Calls that Stripe refused, as it does where an object is asked for in the wrong account.
    async fn refused(&self) -> Vec<String> {
        let shown = self.pair.app.get("/metrics").await.text;
        let of_calls = |line: &&str| line.starts_with("tollgate_stripe_requests_total{");
        let all = shown.lines().filter(of_calls).filter(|line| line.contains("\"refused\""));
        all.map(ToOwned::to_owned).collect()
    }

    async fn stop(self) {
        self.pair.stop().await;
    }
}

on_both! {
    async fn thin_events_of_a_connected_account_end_in_the_facts_of_its_snapshots(
        database: &TestDatabase
    ) {
        let mut world = World::start(database).await;
        world.subscribe("acme", "premium");
        let news = world.news();
        for event in &news {
            assert_eq!(world.deliver(&thin(&world.account, event)).await, "waiting");
        }
        assert_eq!(world.tier("acme").await, "starter");
        world.read_all().await;
        assert_eq!((world.waiting().await, world.doubts().await), (0, 0));
        assert_eq!(world.tier("acme").await, "premium");
        world.subscribe("beta", "premium");
        world.deliver_news().await;
        world.read_all().await;
        assert_eq!(world.gist("acme").await, world.gist("beta").await);
        // The snapshots of the same happenings tell nothing new.
        let before = world.pair.app.check("acme", "weekly_digest").await;
        for event in &news {
            world.deliver(&snapshot(&world.account, event)).await;
        }
        world.read_all().await;
        assert_eq!(world.gist("acme").await, world.gist("beta").await);
        assert_eq!(world.pair.app.check("acme", "weekly_digest").await["tier"], before["tier"]);
        assert_eq!(world.refused().await, [""; 0]);
        // Of an account that nobody named, they are none of ours.
        let answer = world.pair.app.deliver(&thin("acct_stranger", &news[0]).to_string()).await;
        let told = (answer.field("status"), answer.field("message"));
        assert_eq!(told, ("ignored".to_owned(), "foreign_account".to_owned()));
        world.stop().await;
    }

    async fn a_snapshot_that_a_thin_event_names_is_read_in_its_account(database: &TestDatabase) {
        let mut world = World::start(database).await;
        world.subscribe("acme", "premium");
        let news = world.news();
        let summary = news.iter().find(|event| event.kind().starts_with("invoice.paid")).unwrap();
        // What names its snapshot alone: the event itself is asked for.
        let body = json!({
            "id": "evt_test_thin", "object": "v2.core.event", "livemode": false,
            "type": "v1.entitlements.active_entitlement_summary.updated",
            "created": world.pair.app.now().to_string(), "context": world.account,
            "snapshot_event": summary.id(),
            "related_object": {
                "id": "none", "type": "entitlements.active_entitlement_summary", "url": "/v1/x",
            },
        });
        assert_eq!(world.deliver(&body).await, "waiting");
        world.read_all().await;
        assert_eq!(world.waiting().await, 0);
        assert_eq!(world.tier("acme").await, "premium");
        // Delivered by itself, it is the same event.
        assert_eq!(world.deliver(&snapshot(&world.account, summary)).await, "duplicate");
        assert_eq!(world.refused().await, [""; 0]);
        world.stop().await;
    }

    async fn a_doubt_about_a_connected_accounts_object_is_settled_there(database: &TestDatabase) {
        let mut world = World::start(database).await;
        world.subscribe("acme", "premium");
        for event in world.news() {
            if event.kind() == "checkout.session.completed" {
                world.deliver(&snapshot(&world.account, &event)).await;
            }
        }
        assert_eq!((world.tier("acme").await, world.doubts().await), ("starter".into(), 1));
        world.read_all().await;
        assert_eq!((world.tier("acme").await, world.doubts().await), ("premium".into(), 0));
        assert!(world.facts("acme").await.subscriptions.values().all(|one| !one.is_uncertain()));
        // What was read can be read again from what is stored.
        let digest = world.pair.app.digest().await;
        world.pair.app.run_workers().await;
        assert_eq!(world.pair.app.digest().await, digest);
        assert_eq!(world.refused().await, [""; 0]);
        world.stop().await;
    }

    async fn events_of_a_connected_account_that_never_came_are_brought_in_once(
        database: &TestDatabase
    ) {
        let mut world = World::start(database).await;
        world.subscribe("acme", "premium");
        let news = world.news();
        world.deliver(&snapshot(&world.account, &news[0])).await;
        world.pair.pass(120);
        let report = world.pair.run(Kind::Events, false).await.unwrap();
        let missed = report.drift.get("missed_event").copied();
        assert_eq!(missed, u64::try_from(news.len()).ok().map(|all| all - 1), "{report:?}");
        world.pair.app.run_workers().await;
        assert_eq!(world.tier("acme").await, "premium");
        // They are the events that Stripe would have delivered.
        for event in &news {
            assert_eq!(world.deliver(&snapshot(&world.account, event)).await, "duplicate");
        }
        let again = world.pair.run(Kind::Events, false).await.unwrap();
        assert_eq!(again.drifted(), 0, "{again:?}");
        assert_eq!(world.refused().await, [""; 0]);
        world.stop().await;
    }

    async fn runs_compare_what_every_account_lists(database: &TestDatabase) {
        let mut world = World::start(database).await;
        // An import finds what exists in each.
        world.pair.subscribe("basic");
        let id = world.subscribe("beta", "premium");
        let report = world.pair.run(Kind::Import, false).await.unwrap();
        assert!(report.imported >= 2 && report.unreadable == 0, "{report:?}");
        assert_eq!((world.tier("acme").await, world.tier("beta").await), ("basic".into(), "premium".into()));
        assert_eq!(world.refused().await, [""; 0]);
        // A sweep finds what changed and what ended, and a run over one account does so too.
        let path = format!("/v1/subscriptions/{id}");
        let item = world.call(Method::Get, &path, &[])["items"]["data"][0]["id"].clone();
        let elite = sandbox_price_id(&catalog(), "elite", Interval::Month);
        let change =
            [("items[0][id]", item.as_str().unwrap()), ("items[0][price]", elite.as_str())];
        world.pair.pass(60);
        world.call(Method::Post, &path, &change);
        world.news();
        let account = AccountId::parse("beta").ok();
        let order = Order { kind: Kind::Import, account, dry: false, allow_ends: false };
        let report = reconcile::reconcile(world.pair.app.app(), order, &|_, _| {}).await.unwrap();
        assert_eq!((world.tier("beta").await, report.unproven), ("elite".into(), 0), "{report:?}");
        world.pair.pass(60);
        world.call(Method::Delete, &path, &[]);
        world.pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((world.tier("acme").await, world.tier("beta").await), ("basic".into(), "starter".into()));
        let quiet = world.pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((quiet.drifted(), quiet.unproven), (0, 0), "{quiet:?}");
        assert_eq!(world.refused().await, [""; 0]);
        world.stop().await;
    }

    async fn an_account_that_is_not_connected_any_more_ends_nothing_and_stops_no_run(
        database: &TestDatabase
    ) {
        let mut world = World::start(database).await;
        world.subscribe("beta", "premium");
        world.deliver_news().await;
        world.read_all().await;
        world.pair.subscribe("basic");
        world.pair.pass(120);
        world.pair.stripe.disconnect(&world.account);
        for kind in [Kind::Events, Kind::Sweep, Kind::Import] {
            let report = world.pair.run(kind, false).await.unwrap();
            assert_eq!(report.unreadable, 1, "{kind:?} {report:?}");
            let told = report.examples.iter().filter(|one| one.drift == "account_closed");
            let told: Vec<&str> = told.map(|one| one.object.as_str()).collect();
            assert_eq!(told, [world.account.as_str()], "{report:?}");
            assert_eq!((report.unproven, report.ends), (0, 0), "{report:?}");
        }
        assert_eq!((world.tier("acme").await, world.tier("beta").await), ("basic".into(), "premium".into()));
        world.stop().await;
    }

    async fn what_waits_for_an_account_that_nobody_names_any_more_is_set_aside(
        database: &TestDatabase
    ) {
        let mut world = World::start(database).await;
        world.subscribe("acme", "premium");
        for event in world.news() {
            if event.kind() == "checkout.session.completed" {
                world.deliver(&snapshot(&world.account, &event)).await;
            } else {
                world.deliver(&thin(&world.account, &event)).await;
            }
        }
        assert!(world.doubts().await > 1 && world.waiting().await > 1);
        let world = world.restart(database, Some("sk_test_tollgate_reconcile"), &[]).await;
        world.read_all().await;
        assert_eq!((world.waiting().await, world.doubts().await), (0, 0));
        let (open, _) = thin_events::count_open(&world.pair.app.app().engine.db).await.unwrap();
        assert_eq!((open, world.tier("acme").await.as_str()), (0, "starter"));
        assert_eq!(world.refused().await, [""; 0], "it is asked for nowhere");
        world.stop().await;
    }

    async fn what_connected_accounts_have_proves_nothing_of_a_key(database: &TestDatabase) {
        let world = World::start(database).await;
        let named = world.account.clone();
        let named = [("TOLLGATE__STRIPE__ACCOUNTS", named.as_str())];
        // All that is known came by webhooks of the connected account; there never was a key.
        let mut world = world.restart(database, None, &named).await;
        world.subscribe("beta", "premium");
        world.deliver_news().await;
        assert_eq!(world.tier("beta").await, "premium");
        let world = world.restart(database, Some("sk_test_tollgate_reconcile"), &named).await;
        world.pair.pass(120);
        let report = world.pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((report.drifted(), report.unproven), (0, 0), "{report:?}");
        assert_eq!(world.refused().await, [""; 0]);
        world.stop().await;
    }

    async fn beside_a_connected_accounts_plan_only_our_own_is_changed_and_ended(
        database: &TestDatabase
    ) {
        let mut world = World::start(database).await;
        let theirs = world.subscribe("acme", "elite");
        let session = world.call(Method::Get, "/v1/checkout/sessions", &[])["data"][0]["id"].clone();
        world.deliver_news().await;
        let ours = world.pair.subscribe("basic");
        world.pair.deliver_all().await;
        world.read_all().await;
        // Of a session that an event told of, the page that it leads back to may ask.
        let path = format!("/api/v1/billing/checkout/{}/sync", session.as_str().unwrap());
        let (status, synced) = world.post(&path, &json!({})).await;
        assert_eq!((status, &synced["accountId"]), (200, &json!("acme")), "{synced}");
        let (status, changed) = world
            .post("/api/v1/billing/subscription/change", &json!({
                "accountId": "acme", "tier": "premium", "timing": "immediate",
            }))
            .await;
        assert_eq!(status, 200, "{changed}");
        let resolve = json!({"keep": ours});
        let (status, left) = world.post("/admin/duplicates/acme/resolve", &resolve).await;
        assert_eq!((status, &left["ended"]), (200, &json!([])), "{left}");
        let shown = &left["subscriptions"][1];
        assert_eq!((&shown["subscriptionId"], &shown["action"]), (&json!(theirs), &json!("by_hand")));
        assert!(shown["hint"].as_str().is_some_and(|hint| hint.contains("connected")), "{left}");
        let (status, ended) = world.post("/admin/duplicates/acme/resolve", &json!({})).await;
        assert_eq!((status, &ended["ended"]), (200, &json!([ours])), "{ended}");
        let path = format!("/v1/subscriptions/{theirs}");
        assert_eq!(world.call(Method::Get, &path, &[])["status"], "active");
        assert_eq!((world.tier("acme").await.as_str(), world.refused().await), ("elite", vec![]));
        world.stop().await;
    }

    async fn nothing_of_a_connected_account_is_bought_or_changed(database: &TestDatabase) {
        let mut world = World::start(database).await;
        world.subscribe("acme", "premium");
        world.deliver_news().await;
        world.read_all().await;
        let app = &world.pair.app;
        let before = world.pair.stripe.with(|stripe| stripe.happenings().len());
        let checkout = json!({
            "accountId": "acme", "tier": "elite", "interval": "month",
            "successUrl": "http://localhost/done", "cancelUrl": "http://localhost/no",
        });
        let routes = [
            ("POST", "/api/v1/billing/checkout", checkout.clone()),
            ("GET", "/api/v1/billing/portal?accountId=acme", Value::Null),
            ("POST", "/api/v1/billing/subscription/cancel", json!({"accountId": "acme"})),
            ("POST", "/api/v1/billing/subscription/resume", json!({"accountId": "acme"})),
            ("POST", "/api/v1/billing/subscription/change", json!({"accountId": "acme", "tier": "elite"})),
        ];
        for (method, path, body) in routes {
            let headers = [("x-api-key", app.key.as_str()), ("content-type", "application/json")];
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = app.request(method, path, &headers, body).await;
            let told = (answer.status, answer.field("code"));
            assert_eq!(told, (409, "connected_account".to_owned()), "{path}: {}", answer.text);
            assert!(answer.text.contains(&world.account), "{}", answer.text);
        }
        assert_eq!(world.pair.stripe.with(|stripe| stripe.happenings().len()), before);
        assert_eq!(world.refused().await, [""; 0]);
        assert_eq!(world.tier("acme").await, "premium");
        world.stop().await;
    }
}
