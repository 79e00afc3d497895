//! The database away: refused within five seconds, and well again by itself.

use std::time::{Duration, Instant};

use super::proxy::Wire;
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

    wire.mend();
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
