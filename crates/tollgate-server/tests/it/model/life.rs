//! Random lives. Owns: how time passes, and what becomes of the events on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::sandbox::{ApiRequest, Method, Params, Sandbox, SandboxOptions};
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_sandbox::{ApiVersion, Happening};
use tollgate_server::engine::ReadAt;
use tollgate_server::intake::{Delivery, read};
use tollgate_server::reconcile::{self, Kind, Order, ReconcileError};
use tollgate_server::workers;
use tollgate_store::DbOptions;
use tollgate_stripe::{EVENT_TYPES, StripeError};

use super::market::{Era, Market};
use super::sold::Sold;
use crate::support::{NOW, Settings, TestApp, TestDatabase};

const LOST_PERCENT: u8 = 12;
const DOUBLED_PERCENT: u8 = 15;
const LATE_PERCENT: u8 = 25;
const LATE_SECONDS_MAX: i64 = 3 * 86_400;
/// Every so many accounts, one is paid for by the customer of the account before it.
const SHARED_EVERY: usize = 5;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Snapshot,
    Thin,
    /// Each in one of the two.
    Mixed,
    /// Each in both, by two destinations.
    Double,
    /// Snapshots by an endpoint that sends checkouts and invoices alone, and those reliably; nobody
    /// asks Stripe about anything.
    NoSubscriptions,
}

impl Form {
    pub(super) const ALL: [Self; 5] =
        [Self::Snapshot, Self::Thin, Self::Mixed, Self::Double, Self::NoSubscriptions];

    fn of(seed: u64) -> Self {
        let place = seed % u64::try_from(Self::ALL.len()).unwrap();
        Self::ALL[usize::try_from(place).unwrap()]
    }

    fn sends(self, kind: &str) -> bool {
        let sold = ["checkout.", "invoice."];
        self != Self::NoSubscriptions || sold.iter().any(|start| kind.starts_with(start))
    }

    /// Whether a server of such a world asks Stripe about doubts all the while.
    fn asks(self, seed: u64) -> bool {
        match self {
            Self::Snapshot => seed % 2 == 1,
            Self::Thin | Self::Mixed | Self::Double => true,
            Self::NoSubscriptions => false,
        }
    }
}

/// How often each thing was done, and by how many.
#[derive(Debug, Clone, Default)]
pub(super) struct Deeds {
    done: BTreeMap<&'static str, usize>,
    /// Lives by the form in which their events were sent.
    pub(super) lives: BTreeMap<Form, usize>,
}

impl Deeds {
    pub(super) fn did(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.done {
            *self.done.entry(what).or_default() += count;
        }
        for (form, count) in &other.lives {
            *self.lives.entry(*form).or_default() += count;
        }
    }

    /// Whether every kind of deed was done so often.
    pub(super) fn of_every_kind_at_least(&self, count: usize) -> bool {
        self.done.len() == KINDS && self.done.values().all(|done| *done >= count)
    }
}

/// Different names given to [`Deeds::did`].
const KINDS: usize = 23;

/// The key of the account, and one of another account.
const RIGHT_KEY: &str = "sk_test_tollgate_model";
const WRONG_KEY: &str = "sk_test_tollgate_other";

/// One account at Stripe.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) customer: String,
    /// Another account that the same customer pays for.
    pub(super) twin: Option<usize>,
    pub(super) subscriptions: Vec<String>,
    /// Sessions that were paid later, and are not settled.
    pub(super) unsettled: Vec<String>,
    pub(super) intents: Vec<String>,
    /// Subscriptions to another product in the same Stripe account.
    pub(super) others: Vec<String>,
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
    pub(super) market: Market,
    pub(super) sold: Sold,
    pub(super) rng: fastrand::Rng,
    pub(super) accounts: Vec<Account>,
    /// Where one account's wish touched what another one has; empty.
    pub(super) mixed_up: Vec<String>,
    on_their_way: Vec<OnItsWay>,
    told: usize,
    lost: u64,
    pub(super) form: Form,
    /// Stripe is asked about doubts all the while, as a server does.
    pub(super) asks: bool,
    database_url: String,
    /// The price of another product.
    pub(super) other_price: String,
    /// The engine has a wrong key just now.
    pub(super) wrong_key: bool,
}

/// An engine on a database, with a key of Stripe's and the catalog of an era.
async fn engine(
    database_url: &str,
    stripe: &RunningSandbox,
    key: &str,
    market: &Market,
) -> TestApp {
    let environment = vec![
        ("STRIPE_SECRET_KEY".to_owned(), key.to_owned()),
        ("STRIPE_API_BASE".to_owned(), stripe.url().to_owned()),
        ("STRIPE_PRODUCT_PRICE_MAP".to_owned(), market.price_map()),
    ];
    let catalog = Some(market.file());
    // A machine that is busy with other tests is no trouble this one is about.
    let patient = Duration::from_mins(1);
    let database =
        DbOptions { acquire_timeout: patient, statement_timeout: patient, ..DbOptions::default() };
    let database = Some(database);
    let settings = Settings { environment, catalog, database, ..Settings::default() };
    TestApp::start_at(database_url, settings).await
}

/// Calls Stripe's API; `None` where it refuses.
fn call(
    stripe: &RunningSandbox,
    method: Method,
    path: &str,
    pairs: &[(&str, &str)],
) -> Option<Value> {
    let params = Params::from_pairs(pairs.iter().copied()).expect("parameters");
    let reply = stripe.with(|stripe| stripe.call(&ApiRequest::new(method, path, params)));
    (reply.status < 300).then_some(reply.body)
}

/// A price that is made now; `per`: how often it is paid.
fn new_price(stripe: &RunningSandbox, name: &str, amount: &str, per: Option<&str>) -> String {
    let mut pairs =
        vec![("currency", "usd"), ("unit_amount", amount), ("product_data[name]", name)];
    pairs.extend(per.map(|per| ("recurring[interval]", per)));
    let made = call(stripe, Method::Post, "/v1/prices", &pairs).expect("a price");
    made["id"].as_str().expect("an id").to_owned()
}

impl World {
    pub(super) async fn start(seed: u64, accounts: usize, database: &TestDatabase) -> Self {
        let at = Timestamp::parse(NOW).unwrap();
        let mut market = Market::new();
        let stripe =
            server::start(ServerOptions::standing(&market.catalog(), at, seed)).await.unwrap();
        let other =
            SandboxOptions { seed: seed + 1_000, now: at.unix_seconds(), ..Default::default() };
        stripe.give_account(WRONG_KEY, Sandbox::new(other));
        let other_price = new_price(&stripe, "Newsletter", "700", Some("month"));
        market.raised = [
            new_price(&stripe, "Premium for a while", "12000", None),
            new_price(&stripe, "Score badge", "699", None),
        ];
        let database_url = database.url();
        let app = engine(&database_url, &stripe, RIGHT_KEY, &market).await;
        let form = Form::of(seed);
        let mut world = Self {
            app,
            stripe,
            deeds: Deeds::default(),
            market,
            sold: Sold::default(),
            rng: fastrand::Rng::with_seed(seed),
            accounts: Vec::new(),
            mixed_up: Vec::new(),
            on_their_way: Vec::new(),
            told: 0,
            lost: 0,
            form,
            asks: form.asks(seed),
            database_url,
            other_price,
            wrong_key: false,
        };
        for number in 0..accounts {
            world.open_account(number);
        }
        *world.deeds.lives.entry(form).or_default() += accounts;
        world
    }

    /// An account with a customer of its own, or with that of the account before it.
    fn open_account(&mut self, number: usize) {
        let name = format!("acct-{number}");
        let twin = (number % SHARED_EVERY == SHARED_EVERY - 1).then(|| number - 1);
        let customer = if let Some(twin) = twin {
            self.accounts[twin].twin = Some(number);
            self.accounts[twin].customer.clone()
        } else {
            let email = format!("{name}@example.org");
            let pairs = [("email", email.as_str()), ("metadata[account_id]", name.as_str())];
            self.made("/v1/customers", &pairs).expect("a customer")
        };
        self.accounts.push(Account { name, customer, twin, ..Account::default() });
    }

    pub(super) async fn stop(self) {
        self.app.stop().await;
        self.stripe.shutdown().await;
    }

    /// Calls Stripe's API; `None` where it refuses.
    pub(super) fn call(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Option<Value> {
        call(&self.stripe, method, path, pairs)
    }

    pub(super) fn made(&self, path: &str, pairs: &[(&str, &str)]) -> Option<String> {
        Some(self.call(Method::Post, path, pairs)?["id"].as_str()?.to_owned())
    }

    /// Lets days pass in which somebody does something every few hours. For some days in the middle
    /// the engine has a key of another account, and twice it is given another catalog.
    pub(super) async fn live(&mut self, days: i64) {
        let begin = self.stripe.clock().now();
        let end = begin.plus_days(days);
        let (wrong, right) = (begin.plus_days(days / 3), begin.plus_days(days / 3 + 4));
        let (raised, renamed) = (begin.plus_days(days / 2), begin.plus_days(days * 3 / 4));
        while self.stripe.clock().now() < end {
            let now = self.stripe.clock().now();
            let wrong_key = now >= wrong && now < right;
            if wrong_key != self.wrong_key {
                self.wrong_key = wrong_key;
                self.restart().await;
            }
            let eras = [(renamed, Era::Renamed), (raised, Era::Raised)];
            let era =
                eras.iter().find(|(from, _)| now >= *from).map_or(Era::First, |(_, era)| *era);
            if era != self.market.era {
                self.change_catalog(era).await;
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
            self.watch().await;
        }
    }

    /// The engine's process ends, and another one begins.
    pub(super) async fn restart(&mut self) {
        let key = if self.wrong_key { WRONG_KEY } else { RIGHT_KEY };
        let next = engine(&self.database_url, &self.stripe, key, &self.market).await;
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
                Form::Snapshot | Form::NoSubscriptions => (self.form.sends(event.kind()), false),
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
        let reliable = self.form == Form::NoSubscriptions;
        if !reliable && self.rng.u8(0..100) < LOST_PERCENT {
            return false;
        }
        let copies = if self.rng.u8(0..100) < DOUBLED_PERCENT { 2 } else { 1 };
        for _ in 0..copies {
            let late = !reliable && self.rng.u8(0..100) < LATE_PERCENT;
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
                let delivered = reading.delivered(one.body.as_bytes(), now);
                Delivery { signed_at: Some(now), ..delivered }
            })
            .collect();
        let replies = self.app.app().intake.process(&deliveries).await;
        assert!(replies.iter().all(Option::is_some), "everything is committed");
        self.work().await;
    }

    /// The workers' turns, until nothing is due.
    async fn work(&self) {
        let app = self.app.app();
        loop {
            let mut done = workers::retry::round(app).await.expect("the retry worker runs");
            if self.asks && !self.wrong_key {
                done += workers::refetch::tick(app).await.expect("Stripe answers");
            } else if self.asks {
                // Whatever is asked for stays in doubt.
                workers::refetch::tick(app).await.ok();
            }
            if done == 0 {
                return;
            }
        }
    }

    /// Stripe is asked about all that is in doubt.
    pub(super) async fn ask_all(&mut self) {
        self.asks = true;
        self.app.clock.set(self.app.now().plus_ms(5_000));
        self.work().await;
    }

    /// The rank of the plan an account has now.
    pub(super) async fn rank(&self, account: &str) -> u32 {
        let account = AccountId::parse(account).expect("an id");
        let engine = &self.app.app().engine;
        let entry = engine.resolve(&account, ReadAt::default()).await.expect("an answer");
        let plan = self.app.app().config.catalog.plan(entry.resolution.plan);
        plan.expect("a plan of the catalog").rank
    }
}
