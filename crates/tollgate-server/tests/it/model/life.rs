//! Random lives. Owns: what accounts do at Stripe, and what becomes of the events on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tollgate_domain::buying::TimingWish;
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Timestamp};
use tollgate_sandbox::sandbox::{
    ApiRequest, Card, CheckoutOutcome, DisputeMove, Method, Params, Sandbox, SandboxOptions,
};
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_sandbox::{ApiVersion, Happening, sandbox_price_id};
use tollgate_server::billing::subscription::PlanChange;
use tollgate_server::intake::{Delivery, read, squeeze};
use tollgate_server::reconcile::{self, Kind, Order, ReconcileError};
use tollgate_server::workers;
use tollgate_stripe::{EVENT_TYPES, StripeError};

use crate::support::{NOW, Settings, TestApp, TestDatabase, catalog};

const LOST_PERCENT: u8 = 12;
const DOUBLED_PERCENT: u8 = 15;
const LATE_PERCENT: u8 = 25;
const LATE_SECONDS_MAX: i64 = 3 * 86_400;
const PLANS: [&str; 4] = ["basic", "premium", "exclusive", "elite"];
/// From before `acacia` to today.
const VERSIONS: [ApiVersion; 6] = [
    ApiVersion::V2022,
    ApiVersion::Acacia,
    ApiVersion::Basil,
    ApiVersion::Clover,
    ApiVersion::Dahlia,
    ApiVersion::Endive,
];

/// In which form a world's events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Snapshot,
    Thin,
    /// Each in one of the two.
    Mixed,
    /// Each in both, by two destinations.
    Double,
}

impl Form {
    const ALL: [Self; 4] = [Self::Snapshot, Self::Thin, Self::Mixed, Self::Double];

    fn of(seed: u64) -> Self {
        Self::ALL[usize::try_from(seed % 4).unwrap()]
    }
}

/// How often each thing was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Deeds(BTreeMap<&'static str, usize>);

impl Deeds {
    fn did(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Whether every kind of deed was done so often.
    pub(super) fn of_every_kind_at_least(&self, count: usize) -> bool {
        self.0.len() == KINDS && self.0.values().all(|done| *done >= count)
    }
}

/// Different names given to [`Deeds::did`].
const KINDS: usize = 17;

/// The key of the account, and one of another account.
const RIGHT_KEY: &str = "sk_test_tollgate_model";
const WRONG_KEY: &str = "sk_test_tollgate_other";

/// One account at Stripe.
struct Account {
    name: String,
    customer: String,
    subscriptions: Vec<String>,
    /// Sessions that were paid later, and are not settled.
    unsettled: Vec<String>,
    intents: Vec<String>,
    /// Subscriptions to another product in the same Stripe account.
    others: Vec<String>,
}

/// An event on its way.
struct OnItsWay {
    due: i64,
    place: u64,
    body: String,
}

/// A world: Stripe, an engine, and what is on its way between them.
pub(super) struct World {
    pub(super) app: TestApp,
    pub(super) stripe: RunningSandbox,
    pub(super) deeds: Deeds,
    catalog: Catalog,
    rng: fastrand::Rng,
    accounts: Vec<Account>,
    on_their_way: Vec<OnItsWay>,
    told: usize,
    lost: u64,
    form: Form,
    /// Stripe is asked about doubts all the while, as a server does.
    asks: bool,
    database_url: String,
    /// The price of another product.
    other_price: String,
    /// The engine has a wrong key just now.
    wrong_key: bool,
}

/// An engine on a database, with a key of Stripe's.
async fn engine(database_url: &str, stripe: &RunningSandbox, key: &str) -> TestApp {
    let environment = vec![
        ("STRIPE_SECRET_KEY".to_owned(), key.to_owned()),
        ("STRIPE_API_BASE".to_owned(), stripe.url().to_owned()),
    ];
    TestApp::start_at(database_url, Settings { environment, ..Settings::default() }).await
}

impl World {
    pub(super) async fn start(seed: u64, accounts: usize, database: &TestDatabase) -> Self {
        let at = Timestamp::parse(NOW).unwrap();
        let catalog = catalog();
        let stripe = server::start(ServerOptions::standing(&catalog, at, seed)).await.unwrap();
        let other =
            SandboxOptions { seed: seed + 1_000, now: at.unix_seconds(), ..Default::default() };
        stripe.give_account(WRONG_KEY, Sandbox::new(other));
        let database_url = database.url();
        let app = engine(&database_url, &stripe, RIGHT_KEY).await;
        let mut world = Self {
            app,
            stripe,
            deeds: Deeds::default(),
            catalog,
            rng: fastrand::Rng::with_seed(seed),
            accounts: Vec::new(),
            on_their_way: Vec::new(),
            told: 0,
            lost: 0,
            form: Form::of(seed),
            asks: seed % 5 == 4 || Form::of(seed) != Form::Snapshot,
            database_url,
            other_price: String::new(),
            wrong_key: false,
        };
        let other = world.made(
            "/v1/prices",
            &[
                ("currency", "usd"),
                ("unit_amount", "700"),
                ("recurring[interval]", "month"),
                ("product_data[name]", "Newsletter"),
            ],
        );
        world.other_price = other.expect("a price");
        for number in 0..accounts {
            let name = format!("acct-{number}");
            let customer = world.made(
                "/v1/customers",
                &[("email", &format!("{name}@example.org")), ("metadata[account_id]", &name)],
            );
            let customer = customer.expect("a customer");
            world.accounts.push(Account {
                name,
                customer,
                subscriptions: Vec::new(),
                unsettled: Vec::new(),
                intents: Vec::new(),
                others: Vec::new(),
            });
        }
        world
    }

    pub(super) async fn stop(self) {
        self.app.stop().await;
        self.stripe.shutdown().await;
    }

    /// Calls Stripe's API; `None` where it refuses.
    fn call(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Option<Value> {
        let params = Params::from_pairs(pairs.iter().copied()).expect("parameters");
        let reply = self.stripe.with(|stripe| stripe.call(&ApiRequest::new(method, path, params)));
        (reply.status < 300).then_some(reply.body)
    }

    fn made(&self, path: &str, pairs: &[(&str, &str)]) -> Option<String> {
        Some(self.call(Method::Post, path, pairs)?["id"].as_str()?.to_owned())
    }

    /// Lets days pass in which somebody does something every few hours. For some days in the middle
    /// the engine has a key of another account.
    pub(super) async fn live(&mut self, days: i64) {
        let begin = self.stripe.clock().now();
        let end = begin.plus_days(days);
        let (wrong, right) = (begin.plus_days(days / 3), begin.plus_days(days / 3 + 4));
        while self.stripe.clock().now() < end {
            let now = self.stripe.clock().now();
            let wrong_key = now >= wrong && now < right;
            if wrong_key != self.wrong_key {
                self.restart(if wrong_key { WRONG_KEY } else { RIGHT_KEY }).await;
                self.wrong_key = wrong_key;
            }
            for _ in 0..self.rng.usize(1..8) {
                let who = self.rng.usize(0..self.accounts.len());
                self.act(who).await;
            }
            let seconds = self.rng.u64(600..12 * 3_600);
            self.pass(seconds).await;
            if self.wrong_key {
                self.is_refused().await;
            }
        }
    }

    /// The engine's process ends, and another one begins with this key.
    async fn restart(&mut self, key: &str) {
        let next = engine(&self.database_url, &self.stripe, key).await;
        next.clock.set(self.stripe.clock().now());
        std::mem::replace(&mut self.app, next).stop().await;
    }

    /// With a wrong key a sweep that may end everything compares nothing.
    async fn is_refused(&mut self) {
        let order = Order { kind: Kind::Sweep, account: None, dry: false, allow_ends: true };
        let swept = reconcile::reconcile(self.app.app(), order, &|_, _| {}).await;
        let refused = matches!(&swept, Err(ReconcileError::Stripe(StripeError::WrongKey { .. })));
        // Before there is anything to be known, nothing is bound and nothing can end.
        let nothing = swept.as_ref().is_ok_and(|report| report.ends == 0);
        assert!(refused || nothing, "{swept:?}");
        self.deeds.did("asked with a wrong key");
    }

    /// Everything on its way arrives, and the second is over; returns how many events were lost.
    pub(super) async fn end(&mut self) -> u64 {
        self.pass(5).await;
        for one in &mut self.on_their_way {
            one.due = 0;
        }
        self.deliver().await;
        // What thin events name is read once their second is over.
        self.app.clock.set(self.app.now().plus_ms(5_000));
        self.deliver().await;
        self.lost
    }

    async fn pass(&mut self, seconds: u64) {
        let now = self.stripe.advance(Duration::from_secs(seconds));
        self.app.clock.set(now);
        self.send();
        self.deliver().await;
    }

    /// What happened since sets out, or gets lost.
    fn send(&mut self) {
        let told = self.told;
        let new = self.stripe.with(|stripe| stripe.happenings()[told..].to_vec());
        self.told += new.len();
        for event in new {
            if !EVENT_TYPES.contains(&event.kind()) {
                continue;
            }
            let (full, thin) = match self.form {
                Form::Snapshot => (true, false),
                Form::Thin => (false, true),
                Form::Double => (true, true),
                Form::Mixed => {
                    let thin = self.rng.bool();
                    (!thin, thin)
                }
            };
            let (full, thin) =
                (full && self.set_out(&event, false), thin && self.set_out(&event, true));
            self.lost += u64::from(!full && !thin);
        }
    }

    /// One event sets out in one form; returns whether it does not get lost.
    fn set_out(&mut self, event: &Happening, thin: bool) -> bool {
        if self.rng.u8(0..100) < LOST_PERCENT {
            return false;
        }
        let copies = if self.rng.u8(0..100) < DOUBLED_PERCENT { 2 } else { 1 };
        for _ in 0..copies {
            let late = self.rng.u8(0..100) < LATE_PERCENT;
            let delay = if late { self.rng.i64(0..LATE_SECONDS_MAX) } else { 0 };
            let version = VERSIONS[self.rng.usize(0..VERSIONS.len())];
            self.on_their_way.push(OnItsWay {
                due: event.created() + delay,
                place: self.rng.u64(..),
                body: if thin { event.show_thin().to_string() } else { event.render(version).body },
            });
        }
        true
    }

    /// What is due arrives, in no order.
    async fn deliver(&mut self) {
        let now = self.app.now();
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.on_their_way)
            .into_iter()
            .partition(|one| one.due <= now.unix_seconds());
        self.on_their_way = later;
        due.sort_by_key(|one| one.place);
        let ours = &self.app.app().config.stripe;
        let deliveries: Vec<Delivery> = due
            .iter()
            .map(|one| {
                let reading = read::read(one.body.as_bytes(), ours);
                Delivery {
                    key: reading.key,
                    event_type: reading.event_type,
                    api_version: reading.api_version,
                    created_at: reading.created_at,
                    signed_at: Some(now),
                    received_at: now,
                    object: reading.object,
                    body: squeeze::squeeze(one.body.as_bytes()),
                    content: reading.content,
                    lease_generation: None,
                    begun: Instant::now(),
                }
            })
            .collect();
        let replies = self.app.app().intake.process(&deliveries).await;
        assert!(replies.iter().all(Option::is_some), "everything is committed");
        if self.asks && self.wrong_key {
            // Whatever is asked for stays in doubt.
            workers::refetch::tick(self.app.app()).await.ok();
        } else if self.asks {
            while workers::refetch::tick(self.app.app()).await.expect("Stripe answers") > 0 {}
        }
    }

    /// Somebody does something; what Stripe refuses is no deed.
    async fn act(&mut self, who: usize) {
        let done = match self.rng.u8(0..112) {
            100..104 => self.subscribe_elsewhere(who),
            104..112 => self.ask_us(who).await,
            0..28 => self.buy(who),
            28..40 => self.buy_once(who),
            40..50 => self.change(who),
            50..57 => self.cancel_later(who),
            57..60 => self.cancel_now(who),
            60..68 => self.change_card(who),
            68..76 => self.refund(who),
            76..86 => self.dispute(who),
            86..90 => self.pause_collection(who),
            90..93 => self.pause(who),
            93..96 => self.write(who),
            _ => self.settle(),
        };
        if let Some(what) = done {
            self.deeds.did(what);
        }
    }

    /// Somebody subscribes to another product; nothing of it names us.
    fn subscribe_elsewhere(&mut self, who: usize) -> Option<&'static str> {
        if self.accounts[who].others.len() >= 2 {
            return None;
        }
        let (customer, price) = (self.accounts[who].customer.clone(), self.other_price.clone());
        let session = self.made(
            "/v1/checkout/sessions",
            &[
                ("mode", "subscription"),
                ("customer", customer.as_str()),
                ("line_items[0][price]", price.as_str()),
                ("line_items[0][quantity]", "1"),
                ("success_url", "https://letters.example.org/done"),
            ],
        )?;
        let paid = |stripe: &mut Sandbox| stripe.complete_checkout(&session, CheckoutOutcome::Pay);
        self.stripe.with(paid).ok()?;
        let done = self.call(Method::Get, &format!("/v1/checkout/sessions/{session}"), &[])?;
        self.accounts[who].others.extend(done["subscription"].as_str().map(str::to_owned));
        Some("subscribed elsewhere")
    }

    /// The application asks us to change a subscription; what we refuse is no deed.
    async fn ask_us(&mut self, who: usize) -> Option<&'static str> {
        let account = AccountId::parse(&self.accounts[who].name).expect("an id");
        let app = self.app.app();
        let done = match self.rng.u8(0..4) {
            0 | 1 => {
                let change = PlanChange {
                    account: &account,
                    plan: PLANS[self.rng.usize(0..PLANS.len())],
                    interval: None,
                    quantity: None,
                    timing: TimingWish::Immediate,
                };
                app.change_plan(change).await.map(|_| ())
            }
            2 => app.cancel(&account, self.rng.bool()).await,
            _ => app.resume(&account).await,
        };
        assert!(done.is_err() || !self.wrong_key, "nothing is changed with a wrong key");
        done.ok().map(|()| "changed by us")
    }

    /// What we did to objects of another product, in words; empty.
    pub(super) fn trespasses(&self) -> Vec<String> {
        let others: Vec<&String> = self.accounts.iter().flat_map(|one| &one.others).collect();
        let mut found = Vec::new();
        for id in &others {
            let path = format!("/v1/subscriptions/{id}");
            let shown = self.call(Method::Get, &path, &[]).expect("it is there");
            let ended = &shown["cancellation_details"]["reason"];
            let row = &shown["metadata"]["tollgate_row"];
            if *ended == "cancellation_requested" || !row.is_null() {
                found.push(format!("{id}: {shown}"));
            }
        }
        let happenings = self.stripe.with(|stripe| stripe.happenings().to_vec());
        for event in &happenings {
            let body: Value =
                serde_json::from_str(&event.render(ApiVersion::default()).body).expect("JSON");
            let key = body["request"]["idempotency_key"].as_str().unwrap_or_default();
            let object = body["data"]["object"]["id"].as_str().unwrap_or_default();
            if key.starts_with("tollgate-") && others.iter().any(|id| *id == object) {
                found.push(format!("{}: {key}", event.kind()));
            }
        }
        found
    }

    fn pick<'a>(&mut self, from: &'a [String]) -> Option<&'a String> {
        if from.is_empty() { None } else { from.get(self.rng.usize(0..from.len())) }
    }

    fn subscription(&mut self, who: usize) -> Option<String> {
        let all = self.accounts[who].subscriptions.clone();
        self.pick(&all).cloned()
    }

    fn intent(&mut self, who: usize) -> Option<String> {
        let all = self.accounts[who].intents.clone();
        self.pick(&all).cloned()
    }

    fn buy(&mut self, who: usize) -> Option<&'static str> {
        // Mostly once; some open two pages.
        if !self.accounts[who].subscriptions.is_empty() && self.rng.u8(0..100) < 85 {
            return None;
        }
        let plan = PLANS[self.rng.usize(0..PLANS.len())];
        let price = sandbox_price_id(&self.catalog, plan, Interval::Month);
        let (name, customer) =
            (self.accounts[who].name.clone(), self.accounts[who].customer.clone());
        let trial = self.rng.bool();
        let mut pairs = vec![
            ("mode", "subscription"),
            ("customer", customer.as_str()),
            ("line_items[0][price]", price.as_str()),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://app.example.org/done"),
            ("metadata[account_id]", name.as_str()),
            ("subscription_data[metadata][account_id]", name.as_str()),
        ];
        if trial {
            pairs.push(("subscription_data[trial_period_days]", "7"));
        }
        let session = self.made("/v1/checkout/sessions", &pairs)?;
        self.finish(who, &session, CheckoutOutcome::Pay)?;
        Some(if trial { "tried" } else { "subscribed" })
    }

    fn buy_once(&mut self, who: usize) -> Option<&'static str> {
        let price = sandbox_price_id(&self.catalog, "badge", Interval::OneTime);
        let (name, customer) =
            (self.accounts[who].name.clone(), self.accounts[who].customer.clone());
        let session = self.made(
            "/v1/checkout/sessions",
            &[
                ("mode", "payment"),
                ("customer", customer.as_str()),
                ("line_items[0][price]", price.as_str()),
                ("line_items[0][quantity]", "1"),
                ("success_url", "https://app.example.org/done"),
                ("metadata[account_id]", name.as_str()),
                ("metadata[type]", "badge_purchase"),
                ("payment_intent_data[metadata][account_id]", name.as_str()),
            ],
        )?;
        match self.rng.u8(0..4) {
            0 => {
                self.finish(who, &session, CheckoutOutcome::PayLater)?;
                self.accounts[who].unsettled.push(session);
                Some("bought, paid later")
            }
            1 => None,
            _ => {
                self.finish(who, &session, CheckoutOutcome::Pay)?;
                Some("bought")
            }
        }
    }

    fn finish(&mut self, who: usize, session: &str, how: CheckoutOutcome) -> Option<()> {
        self.stripe.with(|stripe| stripe.complete_checkout(session, how)).ok()?;
        let path = format!("/v1/checkout/sessions/{session}");
        let done = self.call(Method::Get, &path, &[])?;
        let account = &mut self.accounts[who];
        account.subscriptions.extend(done["subscription"].as_str().map(str::to_owned));
        account.intents.extend(done["payment_intent"].as_str().map(str::to_owned));
        Some(())
    }

    fn change(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        let now = self.call(Method::Get, &path, &[])?;
        let item = now["items"]["data"][0]["id"].as_str()?.to_owned();
        let plan = PLANS[self.rng.usize(0..PLANS.len())];
        let price = sandbox_price_id(&self.catalog, plan, Interval::Month);
        let billed = ["create_prorations", "always_invoice", "none"][self.rng.usize(0..3)];
        self.call(
            Method::Post,
            &path,
            &[
                ("items[0][id]", item.as_str()),
                ("items[0][price]", price.as_str()),
                ("proration_behavior", billed),
            ],
        )?;
        Some("changed")
    }

    fn cancel_later(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        let later = if self.rng.u8(0..3) == 0 { "false" } else { "true" };
        self.call(Method::Post, &path, &[("cancel_at_period_end", later)])?;
        Some("cancelled later")
    }

    fn cancel_now(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        self.call(Method::Delete, &path, &[])?;
        Some("cancelled")
    }

    fn change_card(&mut self, who: usize) -> Option<&'static str> {
        let card = if self.rng.u8(0..3) == 0 { Card::Good } else { Card::Declined };
        let customer = self.accounts[who].customer.clone();
        self.stripe.with(|stripe| stripe.set_card(&customer, card)).ok()?;
        Some("changed the card")
    }

    fn refund(&mut self, who: usize) -> Option<&'static str> {
        let intent = self.intent(who)?;
        let part = self.rng.bool();
        let mut pairs = vec![("payment_intent", intent.as_str())];
        if part {
            pairs.push(("amount", "100"));
        }
        self.made("/v1/refunds", &pairs)?;
        Some("was refunded")
    }

    fn dispute(&mut self, who: usize) -> Option<&'static str> {
        let intent = self.intent(who)?;
        let paid = self.call(Method::Get, &format!("/v1/payment_intents/{intent}"), &[])?;
        let charge = paid["latest_charge"].as_str()?.to_owned();
        let moves = [DisputeMove::Open, DisputeMove::Open, DisputeMove::Won, DisputeMove::Lost];
        let what = moves[self.rng.usize(0..moves.len())];
        self.stripe.with(|stripe| stripe.dispute(&charge, what)).ok()?;
        Some("disputed")
    }

    fn pause_collection(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        if self.rng.bool() {
            self.call(Method::Post, &path, &[("pause_collection[behavior]", "void")])?;
        } else {
            self.call(Method::Post, &path, &[("pause_collection", "")])?;
        }
        Some("paused collection")
    }

    fn pause(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        let now = self.call(Method::Get, &path, &[])?;
        let paused = now["status"] == "paused";
        let path = format!("{path}/{}", if paused { "resume" } else { "pause" });
        self.call(Method::Post, &path, if paused { &[] } else { &[("type", "subscription")] })?;
        Some("paused")
    }

    fn write(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/customers/{}", self.accounts[who].customer);
        let email = format!("billing{}@example.org", self.rng.u32(..));
        self.call(Method::Post, &path, &[("email", email.as_str())])?;
        Some("moved")
    }

    /// Money that was on its way comes, or does not.
    fn settle(&mut self) -> Option<&'static str> {
        let session = self.accounts.iter_mut().find_map(|one| one.unsettled.pop())?;
        let comes = self.rng.u8(0..3) > 0;
        self.stripe.with(|stripe| stripe.settle_later(&session, comes)).ok()?;
        Some("settled")
    }
}
