//! The database away: refused within five seconds, and well again by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tollgate_server::scope::Scope;
use tollgate_store::DbOptions;

use super::process::Process;
use super::proxy::Wire;
use super::sender::{Post, lives};
use crate::support::{Settings, TestApp, TestDatabase};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_the_engine_refuses_and_recovers_by_itself() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (wire, through) = Wire::to_database(&database.url()).await;
    let app =
        TestApp::start_at(&through, Settings { background: true, ..Settings::default() }).await;
    let events = app.scenario("checkout", "acme");
    app.deliver_all(&events[..1]).await;

    wire.cut();
    let begun = Instant::now();
    let refused = app.deliver(&events[1].body).await;
    assert_eq!(
        (refused.status, refused.field("code").as_str()),
        (503, "not_committed"),
        "{}",
        refused.text
    );
    assert!(begun.elapsed() < Duration::from_secs(8), "refused after {:?}", begun.elapsed());
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(app.request("GET", "/livez", &[], "").await.status, 200);
    assert_eq!(app.request("GET", "/readyz", &[], "").await.status, 503);

    wire.mend().await;
    let mended = Instant::now();
    loop {
        let answer = app.deliver(&events[1].body).await;
        if answer.status == 200 {
            assert_eq!(answer.field("status"), "processed", "{}", answer.text);
            break;
        }
        assert!(
            mended.elapsed() < Duration::from_secs(20),
            "not well after {:?}",
            mended.elapsed()
        );
    }
    assert_eq!(app.deliver(&events[1].body).await.field("status"), "duplicate");
    app.stop().await;
}

/// Every way in which a database is away: what it does to the wire.
const AWAY: &[(&str, Option<(&str, &str)>)] = &[
    ("nobody listens", None),
    ("full", Some(("53300", "sorry, too many clients already"))),
    ("starting", Some(("57P03", "the database system is starting up"))),
    ("stopping", Some(("57P03", "the database system is shutting down"))),
    ("stopped", Some(("57P01", "terminating connection due to administrator command"))),
    ("dropped", Some(("3D000", "database \"tollgate\" does not exist"))),
    ("closed", Some(("55000", "database \"tollgate\" is not currently accepting connections"))),
    ("no key", Some(("28P01", "password authentication failed for user \"tollgate\""))),
    ("crashed", Some(("XX000", "could not open relation"))),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_connections_is_unavailable_on_every_route() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (wire, through) = Wire::to_database(&database.url()).await;
    let settings = || {
        let database =
            DbOptions { acquire_timeout: Duration::from_millis(300), ..DbOptions::default() };
        Settings { database: Some(database), ..Settings::default() }
    };
    let app = TestApp::start_at(&through, settings()).await;
    let key = app.make_key(&[Scope::Admin, Scope::Check, Scope::Billing], None).await;
    let events = app.scenario("checkout", "acme");
    let mut round = 0;
    for (name, refusal) in AWAY {
        round += 1;
        match refusal {
            None => wire.go_away().await,
            Some((code, message)) => wire.refuse(code, message),
        }
        let check = format!(r#"{{"accountId":"acme-{round}","feature":"weekly_digest"}}"#);
        let asked = [
            ("POST", "/api/v1/feature-check".to_owned(), check.as_str()),
            ("GET", format!("/api/v1/entitlements?accountId=acme-{round}"), ""),
            ("GET", "/api/v1/accounts/acme/timeline".to_owned(), ""),
            ("GET", "/api/v1/billing/subscription?accountId=acme".to_owned(), ""),
            ("GET", "/admin/findings".to_owned(), ""),
        ];
        for (method, path, body) in asked {
            let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
            let answer = app.request(method, &path, &headers, body.to_owned()).await;
            let told = (answer.status, answer.field("code"));
            assert_eq!(told, (503, "database_unavailable".to_owned()), "{name}: {path}");
            assert!(answer.headers.contains_key("retry-after"), "{name}: {path}");
        }
        let webhook = app.deliver(&events[0].body).await;
        assert_eq!(
            (webhook.status, webhook.field("code").as_str()),
            (503, "not_committed"),
            "{name}"
        );
        assert!(webhook.headers.contains_key("retry-after"), "{name}");
        assert_eq!(app.request("GET", "/readyz", &[], "").await.status, 503, "{name}");
        wire.mend().await;
        let well = app.get(&format!("/api/v1/entitlements?accountId=acme-{round}")).await;
        assert_eq!(well.status, 200, "{name}: {}", well.text);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_bounded_while_the_database_hangs() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (wire, through) = Wire::to_database(&database.url()).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tollgate.toml"), "[http]\ndrain_ms = 1000\n")
        .expect("a file");
    let process = Process::start(&through, folder.path()).await;
    let post = Post::new(lives(20));
    let (_at, address) = watch::channel(process.address);
    let own = Arc::clone(&post);
    let sender = tokio::spawn(async move { own.send(4, &[address]).await });
    post.acknowledged(1).await;
    wire.hang();
    let begun = Instant::now();
    let ended_well = process.stop().await;
    // The drain time, a second for the listeners and one for writers, two for last words.
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert!(ended_well);
    sender.abort();
}
