//! What a running server leaves to others on its machine.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::server::{self, ServerOptions};
use tollgate_sandbox::{Scenario, ScenarioOptions};
use tollgate_server::clock::Clock;
use tollgate_stripe::SigningSecret;

use super::process::{Launch, Process};
use crate::cli::Place;
use crate::support::{Answer, SECRET, TestDatabase, catalog, run_sql_on, send};

/// More than a reload takes on a busy machine.
const RELOADED: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_leaves_no_core_and_tells_of_a_database_others_can_read() {
    let database = TestDatabase::sqlite();
    let (url, folder) = (database.url(), tempfile::tempdir().expect("a temporary folder"));
    let file = url.strip_prefix("sqlite:").expect("a file");
    for (mode, told) in [(0o644, 1), (0o600, 0)] {
        std::fs::File::options().create(true).append(true).open(file).expect("a file");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let environment = [("LOG_LEVEL", "warn")];
        let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
        let process = launch.start().await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id()));
        let limits = limits.expect("a Linux machine");
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let core: Vec<&str> = core.expect("a limit").split_whitespace().skip(4).collect();
        assert_eq!(core, ["0", "0", "bytes"]);
        assert_eq!(process.logged("is readable by others").len(), told, "{mode:o}");
        assert!(process.stop().await, "SIGTERM ends with 0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_tells_nothing_of_what_the_driver_notices() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (url, folder) = (database.url(), tempfile::tempdir().expect("a temporary folder"));
    for _ in 0..2 {
        let environment = [("LOG_LEVEL", "info")];
        let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
        let process = launch.start().await;
        assert!(!process.logged("configuration validated").is_empty());
        for foreign in ["already exists", "\"target\":\"sqlx"] {
            assert_eq!(process.logged(foreign), [""; 0]);
        }
        assert!(process.stop().await, "SIGTERM ends with 0");
    }
}

/// One request with these headers.
async fn ask(
    process: &Process,
    verb: &str,
    path: &str,
    with: &[(&str, &str)],
    body: &str,
) -> Answer {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http();
    let url = format!("http://{}{path}", process.address);
    send(&client, verb, &url, with, body.to_owned().into()).await
}

/// A run of everything that has to do with a secret, with a log that leaves nothing out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_query_with_a_key_is_in_the_log_of_a_run_at_its_loudest() {
    const STRIPE_KEY: &str = "sk_test_tollgate_key_in_no_log";
    const OLD_SECRET: &str = "whsec_tollgate_old_secret_in_no_log";
    const PASSWORD: &str = "password_in_no_log";
    let Some(database) = TestDatabase::postgres().await else { return };
    let stripe = server::start(ServerOptions::standing(&catalog(), Clock::System.now(), 7)).await;
    let stripe = stripe.expect("the sandbox starts");
    let place = Place::on(&database);
    place.done("migrate up");
    let made = place.done("keys create --name loud --scopes check,billing,admin --json").json();
    let key = made["key"].as_str().expect("a key");
    let (_, key_secret) = key.rsplit_once('_').expect("a secret part");

    // A role of its own, because the test's server may trust everybody or ask for a password.
    let role = format!("loud_{}", std::process::id());
    let make = format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{PASSWORD}'");
    run_sql_on(&database.url(), &make).await;
    let url = database.url();
    let (_, host) = url.split_once('@').expect("a user");
    let url = format!("postgres://{role}:{PASSWORD}@{host}");
    let secrets = format!("{SECRET},{OLD_SECRET}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for level in ["debug", "trace"] {
        let environment = [
            ("LOG_LEVEL", level),
            ("STRIPE_SECRET_KEY", STRIPE_KEY),
            ("TOLLGATE__STRIPE__API_BASE", stripe.url()),
            ("STRIPE_WEBHOOK_SECRET", secrets.as_str()),
        ];
        let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
        let launch = Launch { secret_in_environment: false, ..launch };
        let process = launch.start().await;
        let signature = run_with_secrets(&process, key).await;
        process.signal("HUP").await;
        let asked = Instant::now();
        while process.logged("\"reloaded\"").is_empty() {
            assert!(asked.elapsed() < RELOADED, "the reload is told");
            tokio::task::yield_now().await;
        }
        let seen = process.logged("");
        assert!(process.stop().await, "SIGTERM ends with 0");
        assert!(seen.iter().any(|line| line.contains("\"DEBUG\"")), "the log is loud");
        for secret in [STRIPE_KEY, SECRET, OLD_SECRET, PASSWORD, key, key_secret, &signature] {
            let told: Vec<_> = seen.iter().filter(|line| line.contains(secret)).collect();
            assert!(told.is_empty(), "{secret} is in the log: {told:#?}");
        }
        for query in ["?api_key", "api_key=", "?key=", "x-api-key"] {
            let told: Vec<_> = seen.iter().filter(|line| line.contains(query)).collect();
            assert!(told.is_empty(), "{query} is in the log: {told:#?}");
        }
    }
    stripe.shutdown().await;
    run_sql_on(&database.url(), &format!("DROP ROLE {role}")).await;
}

/// Uses every secret, rightly and wrongly; returns a signature that was right.
async fn run_with_secrets(process: &Process, key: &str) -> String {
    let json_headers = [("x-api-key", key), ("content-type", "application/json")];
    let check = json!({"accountId": "acme", "feature": "weekly_digest"}).to_string();
    let answer = ask(process, "POST", "/api/v1/feature-check", &json_headers, &check).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let bearer = format!("Bearer {key}");
    let with_bearer = [("authorization", bearer.as_str())];
    assert_eq!(ask(process, "GET", "/admin/findings", &with_bearer, "").await.status, 200);
    // A key where none belongs: in the query, in the path, with its last letter wrong.
    for path in ["/api/v1/entitlements?accountId=acme&api_key=", "/nowhere?key=", "/docs/"] {
        let answer = ask(process, "GET", &format!("{path}{key}"), &json_headers, "").await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text.contains(key), "{path}: {}", answer.text);
    }
    let wrong = format!("{key}x");
    let answer = ask(process, "GET", "/admin/findings", &[("x-api-key", &wrong)], "").await;
    assert_eq!(answer.status, 401);
    assert_eq!(ask(process, "POST", "/api/v1/feature-check", &json_headers, key).await.status, 400);

    // Before any event: the objects of the events below are not in the sandbox that the key opens.
    let buy = json!({
        "accountId": "buyer", "tier": "premium", "email": "ann@example.com",
        "successUrl": "http://localhost:3000/done", "cancelUrl": "http://localhost:3000/plans",
    });
    let bought =
        ask(process, "POST", "/api/v1/billing/checkout", &json_headers, &buy.to_string()).await;
    assert_eq!(bought.status, 200, "{}", bought.text);

    let account = AccountId::parse("acme").expect("an id");
    let options = ScenarioOptions::new(account, Clock::System.now());
    let events = Scenario::build("checkout", &catalog(), &options).expect("a scenario");
    let secret = SigningSecret::parse(SECRET, "test").expect("a secret");
    let body = events[0].body.as_str();
    let header = tollgate_stripe::sign(&secret, body.as_bytes(), Clock::System.now());
    let (_, signature) = header.rsplit_once("v1=").expect("a signature");
    for (header, status) in [(header.clone(), 200), (format!("{header}0"), 400)] {
        let with = [("stripe-signature", header.as_str())];
        let answer = ask(process, "POST", "/webhooks/stripe", &with, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    signature.to_owned()
}
