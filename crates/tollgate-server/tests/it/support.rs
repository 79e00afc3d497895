//! An engine under test: the real router on a real socket, a real database, a clock that stands
//! still, workers turned by hand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tollgate_domain::ids::{AccountId, FactId};
use tollgate_domain::operator_fact::{Effect, NewOperatorFact};
use tollgate_domain::{Catalog, Timestamp};
use tollgate_sandbox::{Scenario, ScenarioOptions, StripeEvent};
use tollgate_server::app::App;
use tollgate_server::clock::Clock;
use tollgate_server::config::load::{Flags, Sources, load};
use tollgate_server::config::{Config, environment::Environment};
use tollgate_server::keys::{self, KeyEnvironment};
use tollgate_server::run::{self, Background, Leave, RunOptions, RunningApp};
use tollgate_server::scope::Scope;
use tollgate_server::supervisor::OnTurn;
use tollgate_server::workers;
use tollgate_store::DbOptions;
use tollgate_store::keys::ApiKey;
use tollgate_stripe::SigningSecret;

mod state;

pub(crate) use state::State;

/// The secret every test signs with.
pub(crate) const SECRET: &str = "whsec_tollgate_tests_only_0123456789";
/// When every test begins.
pub(crate) const NOW: &str = "2026-11-21T10:00:00Z";

/// A waiver of the highest plan, without end.
pub(crate) fn waiver(id: &str, catalog: &Catalog) -> NewOperatorFact {
    NewOperatorFact {
        id: FactId::parse(id).expect("an id"),
        effect: Effect::waiver(None, catalog).expect("a plan"),
        reason: "a partner of ours".to_owned(),
        granted_by: "ann".to_owned(),
        expires_at: None,
        internal_notes: None,
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// A field of the body as text.
    pub(crate) fn field(&self, name: &str) -> String {
        let value = &self.json()[name];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }
}

/// A database of one test, removed at its end.
#[derive(Debug)]
pub(crate) enum TestDatabase {
    Sqlite(tempfile::TempDir),
    Postgres { admin: String, name: String },
}

impl TestDatabase {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a temporary folder"))
    }

    /// An own database on the server named by `TOLLGATE_TEST_POSTGRES_URL`. `None` without one;
    /// where PostgreSQL is required that is a failure, so that nothing is skipped unseen.
    pub(crate) async fn postgres() -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let environment = Environment::of_process();
        let Some(admin) = environment.get("TOLLGATE_TEST_POSTGRES_URL").map(str::to_owned) else {
            let required = environment.get("TOLLGATE_TEST_REQUIRE_POSTGRES").is_some()
                || environment.get("CI") == Some("true");
            assert!(!required, "TOLLGATE_TEST_POSTGRES_URL is not set and PostgreSQL is required");
            println!("skipped: TOLLGATE_TEST_POSTGRES_URL is not set");
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tollgate_server_{}_{number}", std::process::id());
        run_sql(&admin, &format!("CREATE DATABASE {name}")).await;
        Some(Self::Postgres { admin, name })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("t.db").display()),
            Self::Postgres { admin, name } => {
                let (server, _) = admin.rsplit_once('/').expect("a database in the URL");
                format!("{server}/{name}")
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Self::Postgres { admin, name } = self {
            let (admin, sql) =
                (admin.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            std::thread::spawn(move || psql(&admin, &sql)).join().ok();
        }
    }
}

/// One statement on the database of a test.
pub(crate) async fn run_sql_on(url: &str, sql: &str) {
    run_sql(url, sql).await;
}

/// What one statement answers on the database of a test.
pub(crate) async fn ask_sql_on(url: &str, sql: &str) -> String {
    let asked = tokio::process::Command::new("psql").args([url, "-tAq", "-c", sql]).output().await;
    String::from_utf8(asked.expect("psql runs").stdout).expect("text").trim().to_owned()
}

async fn run_sql(admin: &str, sql: &str) {
    let (admin, sql) = (admin.to_owned(), sql.to_owned());
    let done = tokio::task::spawn_blocking(move || psql(&admin, &sql)).await.expect("psql runs");
    assert!(done, "psql refused the statement");
}

/// One statement by PostgreSQL's own client: the server has no SQL of its own, nor have its tests.
fn psql(admin: &str, sql: &str) -> bool {
    let run = std::process::Command::new("psql")
        .args([admin, "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .status();
    run.is_ok_and(|status| status.success())
}

/// How an engine under test is made.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) background: bool,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) catalog: Option<String>,
    pub(crate) on_turn: Option<OnTurn>,
    pub(crate) database: Option<DbOptions>,
}

/// An engine under test.
pub(crate) struct TestApp {
    pub(crate) running: RunningApp,
    pub(crate) clock: Clock,
    pub(crate) key: String,
    pub(crate) base: String,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

impl TestApp {
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, Settings::default()).await
    }

    pub(crate) async fn start_with(database: &TestDatabase, settings: Settings) -> Self {
        Self::start_at(&database.url(), settings).await
    }

    pub(crate) async fn start_at(database_url: &str, settings: Settings) -> Self {
        let clock = Clock::fixed(Timestamp::parse(NOW).expect("an instant"));
        let config = config(database_url, &settings);
        let background = if settings.background { Background::On } else { Background::Off };
        let (on_turn, database) = (settings.on_turn.clone(), settings.database.clone());
        let options = RunOptions { background, on_turn, database, ..RunOptions::default() };
        let running =
            run::start_with(config, clock.clone(), options).await.expect("the engine starts");
        let base = format!("http://{}", running.address);
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut app = Self { running, clock, key: String::new(), base, client };
        app.key = app.make_key(&[Scope::Check], None).await;
        app
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown(Leave::AtOnce).await;
    }

    pub(crate) fn app(&self) -> &App {
        &self.running.app
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes a key with scopes, bound to an account or not.
    pub(crate) async fn make_key(&self, scopes: &[Scope], account: Option<&str>) -> String {
        let made = keys::generate(KeyEnvironment::Test).expect("randomness");
        let row = ApiKey {
            id: made.id.clone(),
            name: "test".to_owned(),
            secret_hash: *made.secret_hash.as_bytes(),
            scopes: scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            account: account.map(|id| AccountId::parse(id).expect("an id")),
            expires_at: None,
            created_at: self.now(),
            revoked_at: None,
            last_used_at: None,
        };
        let db = &self.app().engine.db;
        tollgate_store::keys::insert(db, &row).await.expect("the key is stored");
        made.text.expose().to_owned()
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        let url = format!("{}{path}", self.base);
        let answer = send(&self.client, method, &url, headers, body.into()).await;
        assert_documented(method, path, &answer);
        assert_discreet(method, path, &answer);
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[("x-api-key", &self.key)], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("x-api-key", self.key.as_str()), ("content-type", "application/json")];
        self.request("POST", path, &headers, body.to_string()).await
    }

    /// Asks about one feature.
    pub(crate) async fn check(&self, account: &str, feature: &str) -> Value {
        let ask = serde_json::json!({"accountId": account, "feature": feature});
        let answer = self.post("/api/v1/feature-check", &ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// The findings that are open, as `code subject`.
    pub(crate) async fn open_findings(&self) -> Vec<String> {
        let key = self.make_key(&[Scope::AdminRead], None).await;
        let found =
            self.request("GET", "/admin/findings", &[("x-api-key", key.as_str())], "").await;
        let found = found.json()["data"].as_array().expect("a list").clone();
        let text = |one: &Value| format!("{} {}", one["code"], one["subject"]).replace('"', "");
        found.iter().map(text).collect()
    }

    /// Delivers a body signed now.
    pub(crate) async fn deliver(&self, body: &str) -> Answer {
        let secret = SigningSecret::parse(SECRET, "test").expect("a secret");
        let signature = tollgate_stripe::sign(&secret, body.as_bytes(), self.now());
        let headers = [("stripe-signature", signature.as_str())];
        self.request("POST", "/api/v1/billing/webhook", &headers, body.to_owned()).await
    }

    /// Delivers events in order; returns their statuses.
    pub(crate) async fn deliver_all<'e>(
        &self,
        events: impl IntoIterator<Item = &'e StripeEvent>,
    ) -> Vec<String> {
        let mut statuses = Vec::new();
        for event in events {
            let answer = self.deliver(&event.body).await;
            assert_eq!(answer.status, 200, "{}: {}", event.kind, answer.text);
            statuses.push(answer.field("status"));
        }
        statuses
    }

    /// The events of a scenario that ends now.
    pub(crate) fn scenario(&self, name: &str, account: &str) -> Vec<StripeEvent> {
        let options = ScenarioOptions::new(AccountId::parse(account).expect("an id"), self.now());
        Scenario::build(name, &self.app().config.catalog, &options).expect("a scenario")
    }

    /// Turns the workers until nothing is due.
    pub(crate) async fn run_workers(&self) {
        while workers::retry::round(self.app()).await.expect("the retry worker runs") > 0 {}
        let mut failures = workers::schedule::Failures::default();
        let app = self.app();
        while workers::schedule::tick(app, &mut failures).await.expect("the scheduler runs") > 0 {}
    }

    /// The hash over all facts.
    pub(crate) async fn digest(&self) -> String {
        tollgate_store::digest::state(&self.app().engine.db).await.expect("a digest")
    }
}

/// Whatever a route refuses with is in its description.
fn assert_documented(method: &str, path: &str, answer: &Answer) {
    static DOCUMENT: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| {
        serde_json::from_str(&tollgate_server::api::openapi::text()).expect("JSON")
    });
    if answer.headers.get("content-type").is_none_or(|kind| kind != "application/problem+json") {
        return;
    }
    let path = path.split('?').next().unwrap_or(path);
    let fits = |template: &str| {
        let (known, asked) = (template.split('/'), path.split('/'));
        template.split('/').count() == path.split('/').count()
            && known.zip(asked).all(|(known, asked)| known.starts_with('{') || known == asked)
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let mut found = paths.iter().filter(|(template, _)| fits(template));
    let Some((template, verbs)) = found.next() else { return };
    let Some(operation) = verbs.get(method.to_lowercase()) else { return };
    let told = operation["responses"][answer.status.to_string()]["description"].as_str();
    let code = format!("`{}`", answer.field("code"));
    assert!(
        told.is_some_and(|told| told.contains(&code)),
        "{method} {template} answers {} {code}, which is not in its description: {told:?}",
        answer.status
    );
}

/// What would tell a caller how the engine is made, or what failed in it.
pub(crate) const INSIDE: [&str; 17] = [
    ".rs:",
    "/src/",
    "crates/",
    ".cargo",
    "panicked",
    "backtrace",
    "sqlx",
    "SQLSTATE",
    "error returned from database",
    "no such table",
    "relation \\\"",
    "constraint",
    "SELECT ",
    "INSERT INTO",
    "UPDATE ",
    "DELETE FROM",
    "postgres://",
];

/// A refusal says nothing of what is inside, whichever test it is met in.
fn assert_discreet(method: &str, path: &str, answer: &Answer) {
    let kind = answer.headers.get("content-type");
    if kind.is_some_and(|kind| kind == "application/problem+json") {
        for inside in INSIDE {
            assert!(
                !answer.text.contains(inside),
                "{method} {path} tells {inside:?}: {}",
                answer.text
            );
        }
    }
}

/// One request over a client.
pub(crate) async fn send(
    client: &Client<HttpConnector, Full<bytes::Bytes>>,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: bytes::Bytes,
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).expect("a request");
    let response = client.request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The catalog of the tests, with the sandbox's prices.
pub(crate) fn catalog() -> tollgate_domain::Catalog {
    config("sqlite::memory:", &Settings::default()).catalog
}

/// The sandbox's prices as `STRIPE_PRODUCT_PRICE_MAP`.
pub(crate) fn price_map() -> String {
    let catalog = tollgate_domain::catalog::builtin("sietch").expect("built in");
    let map: serde_json::Map<String, Value> = tollgate_sandbox::sandbox_price_map(&catalog)
        .into_iter()
        .map(|(target, prices)| (target, prices.into()))
        .collect();
    Value::Object(map).to_string()
}

/// A configuration as the environment would give it.
pub(crate) fn config(database_url: &str, settings: &Settings) -> Config {
    let mut variables = vec![
        ("DATABASE_URL".to_owned(), database_url.to_owned()),
        ("STRIPE_WEBHOOK_SECRET".to_owned(), SECRET.to_owned()),
        ("TOLLGATE__SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        // Where the test asks anyway.
        ("TOLLGATE__SERVER__METRICS_LISTEN".to_owned(), "api".to_owned()),
    ];
    if settings.catalog.is_none() {
        variables.push(("STRIPE_PRODUCT_PRICE_MAP".to_owned(), price_map()));
    }
    variables.extend(settings.environment.iter().cloned());
    let sources = Sources {
        directory: Path::new("/nonexistent").to_path_buf(),
        environment: variables.into_iter().collect(),
        flags: Flags {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0)).to_string()),
            catalog: settings.catalog.clone(),
            ..Flags::default()
        },
    };
    load(&sources).unwrap_or_else(|faults| panic!("{faults}")).config
}

/// Runs one test body on both engines: `sqlite` and `postgres` under the test's name.
macro_rules! on_both {
    ($(async fn $name:ident($database:ident: &TestDatabase) $body:block)*) => { $(
        mod $name {
            use super::*;

            async fn body($database: &TestDatabase) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body(&TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(database) = TestDatabase::postgres().await else { return };
                body(&database).await;
            }
        }
    )* };
}
pub(crate) use on_both;
