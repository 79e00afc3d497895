//! What a read costs the database: next to nothing for what is not there yet. (That many who wait for
//! one account cost one load is shown in `flights`, where the load can be held up.)

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tollgate_domain::ids::AccountId;
use tollgate_domain::operator_fact;
use tollgate_server::engine::{ReadAt, ReadError};

use crate::support::{Settings, TestApp, TestDatabase, on_both, waiver};

fn live() -> Settings {
    Settings { background: true, ..Settings::default() }
}

fn loads(app: &TestApp) -> u64 {
    app.app().metrics.fact_loads.get()
}

async fn grant(app: &TestApp, account: &AccountId) -> u64 {
    let act = app.app().intake.change(account, |facts, catalog, now| {
        operator_fact::grant(facts, waiver("wv_1", catalog), catalog, now)
    });
    act.await.expect("a waiver is given")
}

on_both! {
    async fn a_revision_that_never_comes_costs_no_loads(database: &TestDatabase) {
        let app = TestApp::start_with(database, live()).await;
        let account = AccountId::parse("acme").expect("an id");
        grant(&app, &account).await;
        let before = loads(&app);
        let read = ReadAt { at: None, min_revision: 99, explain: false };
        let answers = join_all((0..8).map(|_| app.app().engine.resolve(&account, read))).await;
        for answer in answers {
            assert!(matches!(answer, Err(ReadError::RevisionNotReached)), "{answer:?}");
        }
        // One for all; one more where the feed tells of the grant between two of them, since what was
        // loaded before is no answer for whoever asks after.
        assert!(loads(&app) - before <= 2, "{} loads", loads(&app) - before);
        app.stop().await;
    }

    async fn a_revision_is_answered_as_soon_as_it_is_there(database: &TestDatabase) {
        let app = TestApp::start_with(database, live()).await;
        let other = TestApp::start_with(database, live()).await;
        let account = AccountId::parse("acme").expect("an id");
        let read = ReadAt { at: None, min_revision: 1, explain: false };
        let (begun, engine) = (Instant::now(), &app.app().engine);
        let mut early = Box::pin(engine.resolve(&account, read));
        let pending = tokio::time::timeout(Duration::from_millis(100), &mut early).await.is_err();
        assert!(pending, "there is no revision yet");
        assert_eq!(grant(&other, &account).await, 1);
        assert_eq!(early.await.expect("an answer").resolution.revision, 1);
        assert!(begun.elapsed() < Duration::from_secs(2), "after {:?}", begun.elapsed());
        app.stop().await;
        other.stop().await;
    }
}
