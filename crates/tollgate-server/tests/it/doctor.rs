//! What `tollgate doctor` says of everything around it that can be wrong.

use std::net::TcpListener;

use serde_json::Value;
use tollgate_domain::Timestamp;
use tollgate_sandbox::server::{self, ServerOptions};

use crate::chaos::pooler::Bouncer;
use crate::cli::{Place, Server};
use crate::support::{NOW, TestDatabase, catalog, run_sql_on};

const KEY: &str = "sk_test_tollgate_doctor_0123456789";

/// What it finds about something: severities with their words.
async fn said(place: Place, line: &'static str, about: &str) -> Vec<(String, String)> {
    let ended = tokio::task::spawn_blocking(move || place.run(&format!("doctor --json {line}")));
    let found: Value = ended.await.unwrap().json();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .filter(|one| one["about"] == about)
        .map(|one| {
            (text(one, "severity"), format!("{} | {}", text(one, "what"), text(one, "mend")))
        })
        .collect()
}

fn has(found: &[(String, String)], severity: &str, what: &str) {
    let there = found.iter().any(|(found, text)| found == severity && text.contains(what));
    assert!(there, "{severity}: {what} is not in {found:?}");
}

/// A server that takes connections and says nothing.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_says_nothing_is_given_up() {
    let (_listener, address) = silent();
    let url = format!("postgres://nobody@{address}/none");
    let place = Place::with(&[("DATABASE_URL", &url)]);
    has(&said(place, "", "database").await, "fault", "no answer within");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up() {
    let (_listener, address) = silent();
    let place = Place::with(&[("TOLLGATE_URL", &format!("http://{address}"))]);
    has(&said(place, "", "server").await, "fault", "no answer within");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripe_that_cannot_be_reached_is_named() {
    let database = TestDatabase::sqlite();
    let (listener, address) = silent();
    drop(listener);
    let place = Place::with(&[
        ("DATABASE_URL", &database.url()),
        ("STRIPE_SECRET_KEY", KEY),
        ("STRIPE_API_BASE", &format!("http://{address}")),
    ]);
    place.done("migrate up");
    has(&said(place, "", "stripe").await, "fault", "cannot be reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_differs_from_stripes_is_told() {
    let database = TestDatabase::sqlite();
    let at = Timestamp::parse(NOW).unwrap();
    let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
    let place = Place::with(&[
        ("DATABASE_URL", &database.url()),
        ("STRIPE_SECRET_KEY", KEY),
        ("STRIPE_API_BASE", stripe.url()),
    ]);
    place.done("migrate up");
    has(&said(place, "", "clock").await, "fault", "Stripe's");
    stripe.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_writes_is_told() {
    let Some(database) = TestDatabase::postgres().await else { return };
    Place::on(&database).done("migrate up");
    has(&said(Place::on(&database), "", "postgres").await, "fine", "it takes writes");
    has(&said(Place::on(&database), "", "clock").await, "fine", "as PostgreSQL's");
    let url = database.url();
    let (_, name) = url.rsplit_once('/').unwrap();
    run_sql_on(&url, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
        .await;
    has(&said(Place::on(&database), "", "postgres").await, "fault", "read_only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_nobody_told_of_is_told() {
    let Some(database) = TestDatabase::postgres().await else { return };
    Place::on(&database).done("migrate up");
    let bouncer = Bouncer::before(&database.url()).await;
    let place = Place::with(&[("DATABASE_URL", &bouncer.url)]);
    has(&said(place, "", "database").await, "fault", "database.pooling = \"transaction\"");
    let told =
        [("DATABASE_URL", bouncer.url.as_str()), ("TOLLGATE__DATABASE__POOLING", "transaction")];
    let found = said(Place::with(&told), "", "postgres").await;
    has(&found, "fine", "it takes writes");
    has(&found, "notice", "database.listen_url");
    let straight = database.url();
    let (server, _) = straight.rsplit_once('/').unwrap();
    let other = format!("{server}/postgres");
    for (listen, what) in [
        (bouncer.url.as_str(), "unsupported startup parameter"),
        (other.as_str(), "another database"),
        ("postgres://nobody@127.0.0.1:1/none", "Connection refused"),
    ] {
        let told = [told[0], told[1], ("TOLLGATE__DATABASE__LISTEN_URL", listen)];
        has(&said(Place::with(&told), "", "postgres").await, "fault", what);
    }
    let told = [told[0], told[1], ("TOLLGATE__DATABASE__LISTEN_URL", straight.as_str())];
    let found = said(Place::with(&told), "", "postgres").await;
    assert!(found.iter().all(|(severity, _)| severity == "fine"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lacks_a_table_or_is_not_there_is_told_and_stripe_is_asked_all_the_same() {
    let Some(database) = TestDatabase::postgres().await else { return };
    Place::on(&database).done("migrate up");
    run_sql_on(&database.url(), "DROP TABLE webhook_events CASCADE").await;
    has(&said(Place::on(&database), "", "schema").await, "fault", "webhook_events");
    let at = Timestamp::parse(NOW).unwrap();
    let stripe = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
    let with = |url: &str| {
        Place::with(&[
            ("DATABASE_URL", url),
            ("STRIPE_SECRET_KEY", KEY),
            ("STRIPE_API_BASE", stripe.url()),
        ])
    };
    let gone = format!("{}_gone", database.url());
    has(&said(with(&gone), "", "database").await, "fault", "createdb");
    has(&said(with(&gone), "", "stripe").await, "fine", "it answers");
    has(
        &said(with("sqlite:/no/such/folder/t.db"), "", "database").await,
        "notice",
        "nor is its folder",
    );
    has(&said(with("sqlite:/no/such/folder/t.db"), "", "clock").await, "fault", "Stripe's");
    stripe.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_is_asked() {
    let database = TestDatabase::sqlite();
    let server = Server::serve(&Place::on(&database));
    let variables = [("TOLLGATE_URL", server.url())];
    let found = said(Place::with(&variables), "", "server").await;
    has(&found, "fine", "is ready");
    assert!(found.iter().all(|(severity, _)| severity == "fine"), "{found:?}");
    has(&said(Place::with(&variables), "", "clock").await, "fine", "as the server's");
    // Somebody else listens there.
    let at = Timestamp::parse(NOW).unwrap();
    let other = server::start(ServerOptions::standing(&catalog(), at, 7)).await.unwrap();
    let found = said(Place::with(&[("TOLLGATE_URL", other.url())]), "", "server").await;
    has(&found, "fault", "is no Tollgate");
    other.shutdown().await;
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_how_to_mend_it() {
    let place =
        Place::with(&[("STRIPE_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=")]);
    place.done("migrate up");
    let found = place.run("doctor --url http://127.0.0.1:1 --json");
    assert_eq!(found.code, 3);
    let findings = found.json()["findings"].clone();
    let faults: Vec<&str> = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["severity"] == "fault")
        .map(|one| one["about"].as_str().unwrap())
        .collect();
    assert_eq!(faults, ["secrets", "server"], "{findings}");
    assert!(!found.stdout.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
}
