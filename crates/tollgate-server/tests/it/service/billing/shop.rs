//! An engine and a sandbox that sells its catalog, on one clock.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_sandbox::ApiVersion;
use tollgate_sandbox::sandbox::{
    ApiRequest, CheckoutOutcome, Method, Params, Sandbox, SandboxOptions,
    Settings as StripeSettings,
};
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_server::scope::Scope;

use crate::support::{Answer, Settings, TestApp, TestDatabase, catalog};

/// Where the tests' customers come back to.
pub(crate) const SUCCESS: &str = "http://localhost:3000/done?session={CHECKOUT_SESSION_ID}";
/// Where they go instead.
pub(crate) const CANCEL: &str = "http://localhost:3000/plans";

pub(crate) struct Shop {
    pub(crate) app: TestApp,
    pub(crate) stripe: RunningSandbox,
    delivered: usize,
}

impl Shop {
    pub(crate) async fn open(database: &TestDatabase) -> Self {
        Self::open_with(database, Vec::new()).await
    }

    pub(crate) async fn open_with(
        database: &TestDatabase,
        environment: Vec<(String, String)>,
    ) -> Self {
        let stripe = Self::stripe(&catalog()).await;
        let app = Self::engine(database, &stripe, environment, None).await;
        Self { app, stripe, delivered: 0 }
    }

    /// The same with an engine that has another catalog than the one Stripe was stocked from.
    pub(crate) async fn open_selling(database: &TestDatabase, catalog: Option<String>) -> Self {
        let stripe = Self::stripe(&self::catalog()).await;
        let app = Self::engine(database, &stripe, Vec::new(), catalog).await;
        Self { app, stripe, delivered: 0 }
    }

    /// A built-in catalog at Stripe, and a file made from it here.
    pub(crate) async fn open_with_file(database: &TestDatabase, name: &str, file: String) -> Self {
        let sold = tollgate_domain::catalog::builtin(name).expect("built in");
        let stripe = Self::stripe(&sold).await;
        let app = Self::engine(database, &stripe, Vec::new(), Some(file)).await;
        Self { app, stripe, delivered: 0 }
    }

    /// Both with a built-in catalog.
    pub(crate) async fn open_with_catalog(database: &TestDatabase, name: &str) -> Self {
        let sold = tollgate_domain::catalog::builtin(name).expect("built in");
        let stripe = Self::stripe(&sold).await;
        let app = Self::engine(database, &stripe, Vec::new(), Some(name.to_owned())).await;
        Self { app, stripe, delivered: 0 }
    }

    /// Another engine on the same database and Stripe.
    pub(crate) async fn second_instance(&self, database: &TestDatabase) -> TestApp {
        Self::engine(database, &self.stripe, Vec::new(), None).await
    }

    /// The same at a Stripe account with other settings.
    pub(crate) async fn open_at(database: &TestDatabase, settings: StripeSettings) -> Self {
        let sold = catalog();
        let now = tollgate_domain::Timestamp::parse(crate::support::NOW).expect("an instant");
        let mut options = ServerOptions::standing(&sold, now, 7);
        options.sandbox =
            Sandbox::new(SandboxOptions { seed: 7, now: now.unix_seconds(), settings });
        options.sandbox.stock(&sold);
        let stripe = server::start(options).await.expect("the sandbox starts");
        let app = Self::engine(database, &stripe, Vec::new(), None).await;
        Self { app, stripe, delivered: 0 }
    }

    async fn stripe(sold: &tollgate_domain::Catalog) -> RunningSandbox {
        let now = tollgate_domain::Timestamp::parse(crate::support::NOW).expect("an instant");
        let options = ServerOptions::standing(sold, now, 7);
        server::start(options).await.expect("the sandbox starts")
    }

    async fn engine(
        database: &TestDatabase,
        stripe: &RunningSandbox,
        more: Vec<(String, String)>,
        catalog: Option<String>,
    ) -> TestApp {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut environment = vec![
            set("STRIPE_SECRET_KEY", "sk_test_tollgate_shop"),
            set("TOLLGATE__STRIPE__API_BASE", stripe.url()),
            set("TOLLGATE__RATE__BILLING_PER_MIN", "none"),
        ];
        environment.extend(more);
        let settings = Settings { environment, catalog, ..Settings::default() };
        let mut app = TestApp::start_with(database, settings).await;
        app.key = app.make_key(&[Scope::Check, Scope::Billing], None).await;
        app
    }

    pub(crate) async fn close(self) {
        self.app.stop().await;
        self.stripe.shutdown().await;
    }

    /// Moves both clocks.
    pub(crate) fn advance(&self, by: Duration) {
        let now = self.stripe.advance(by);
        self.app.clock.set(now);
    }

    /// What a purchase of a plan asks for.
    pub(crate) fn asking(account: &str, tier: &str) -> Value {
        json!({
            "accountId": account, "tier": tier, "email": format!("{account}@example.com"),
            "successUrl": SUCCESS, "cancelUrl": CANCEL,
        })
    }

    pub(crate) async fn checkout(&self, account: &str, tier: &str) -> Answer {
        self.app.post("/api/v1/billing/checkout", &Self::asking(account, tier)).await
    }

    /// The id of the session in which a plan is bought.
    pub(crate) async fn session(&self, account: &str, tier: &str) -> String {
        let answer = self.checkout(account, tier).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.field("sessionId")
    }

    /// Buys a plan and comes back.
    pub(crate) async fn buy(&self, account: &str, tier: &str) -> Answer {
        let session = self.session(account, tier).await;
        self.pay(&session);
        let synced = self.sync(&session).await;
        assert_eq!(synced.status, 200, "{}", synced.text);
        synced
    }

    pub(crate) fn pay(&self, session: &str) {
        let paid =
            self.stripe.with(|stripe| stripe.complete_checkout(session, CheckoutOutcome::Pay));
        paid.expect("the session can be paid");
    }

    pub(crate) async fn sync(&self, session: &str) -> Answer {
        self.app.post(&format!("/api/v1/billing/checkout/{session}/sync"), &json!({})).await
    }

    pub(crate) async fn subscription(&self, account: &str) -> Value {
        let answer =
            self.app.get(&format!("/api/v1/billing/subscription?accountId={account}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// What Stripe has in a list.
    pub(crate) fn list(&self, path: &str, query: &str) -> Vec<Value> {
        let params = Params::from_form(&format!("limit=100&{query}")).expect("parameters");
        let reply =
            self.stripe.with(|stripe| stripe.call(&ApiRequest::new(Method::Get, path, params)));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body["data"].as_array().expect("a list").clone()
    }

    pub(crate) fn delete_customer(&self, id: &str) {
        self.call(Method::Delete, &format!("/v1/customers/{id}"));
    }

    /// A call that somebody else makes.
    pub(crate) fn call(&self, method: Method, path: &str) {
        self.at_stripe(method, path, &[]);
    }

    /// A call that somebody else makes, with parameters; returns the object.
    pub(crate) fn at_stripe(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Value {
        let params = Params::from_pairs(pairs.iter().copied()).expect("parameters");
        let request = ApiRequest::new(method, path, params);
        let reply = self.stripe.with(|stripe| stripe.call(&request));
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// The id of what such a call makes.
    pub(crate) fn made(&self, path: &str, pairs: &[(&str, &str)]) -> String {
        self.at_stripe(Method::Post, path, pairs)["id"].as_str().expect("an id").to_owned()
    }

    /// A route of the subscription, for `acme`.
    pub(crate) async fn subscription_route(&self, what: &str, mut body: Value) -> Answer {
        body["accountId"] = json!("acme");
        self.app.post(&format!("/api/v1/billing/subscription/{what}"), &body).await
    }

    /// The account's customers at Stripe.
    pub(crate) fn customers(&self, account: &str) -> Vec<Value> {
        self.list("/v1/customers", &format!("email={account}%40example.com"))
    }

    /// The sessions of the account's only customer.
    pub(crate) fn sessions(&self, account: &str) -> Vec<Value> {
        let customers = self.customers(account);
        assert_eq!(customers.len(), 1, "one customer of {account}: {customers:?}");
        let customer = customers[0]["id"].as_str().expect("an id").to_owned();
        self.list("/v1/checkout/sessions", &format!("customer={customer}"))
    }

    /// The sessions that can still be paid.
    pub(crate) fn open_sessions(&self, account: &str) -> Vec<Value> {
        self.sessions(account).into_iter().filter(|one| one["status"] == "open").collect()
    }

    /// Delivers the events of one type alone that have happened since the last time.
    pub(crate) async fn deliver_only(&mut self, kind: &str) {
        let events = self.stripe.with(|stripe| {
            let new = stripe.happenings().iter().skip(self.delivered);
            new.map(|one| one.render(ApiVersion::default())).collect::<Vec<_>>()
        });
        self.delivered += events.len();
        let events: Vec<_> = events.into_iter().filter(|event| event.kind == kind).collect();
        assert!(!events.is_empty(), "no {kind}");
        self.app.deliver_all(&events).await;
    }

    /// Delivers every event that has happened since the last time.
    pub(crate) async fn deliver_events(&mut self) {
        let events = self.stripe.with(|stripe| {
            let new = stripe.happenings().iter().skip(self.delivered);
            new.map(|one| one.render(ApiVersion::default())).collect::<Vec<_>>()
        });
        self.delivered += events.len();
        self.app.deliver_all(&events).await;
    }
}
