//! What is older than it is kept goes; what is decided by it stays.

use tollgate_server::workers::{journals, retention};
use tollgate_store::inbox::{self, EventFilter};
use tollgate_store::journal::{self, JournalFilter, Verdict};
use tollgate_store::{Db, digest};

use crate::support::{Settings, TestApp, TestDatabase, on_both};

/// Goes on until nothing is left to do.
async fn remove(app: &TestApp) {
    while retention::tick(app.app()).await.unwrap() {}
}

async fn bodies(db: &Db) -> (usize, usize) {
    let (rows, _) = inbox::list(db, &EventFilter::default(), None, 100).await.unwrap();
    (rows.len(), rows.iter().filter(|row| !row.body_removed).count())
}

on_both! {
    async fn bodies_and_records_go_when_their_days_are_over(database: &TestDatabase) {
        let environment = vec![
            ("TOLLGATE__RETENTION__EVENT_BODIES_DAYS".to_owned(), "40".to_owned()),
            ("TOLLGATE__RETENTION__JOURNAL_DAYS".to_owned(), "60".to_owned()),
        ];
        let app = TestApp::start_with(database, Settings { environment, ..Settings::default() }).await;
        let db = &app.app().engine.db;
        let start = app.now();
        let sent = app.scenario("dunning", "acme");
        app.deliver_all(&sent).await;
        app.run_workers().await;
        let (events, _) = bodies(db).await;
        let (before, answer) = (digest::state(db).await.unwrap(), app.check("acme", "weekly_digest").await);
        let account = tollgate_domain::ids::AccountId::parse("acme").unwrap();
        let entries = async || {
            journal::list(db, &JournalFilter::default(), None, 100).await.unwrap().0.len()
        };
        let written = entries().await;
        assert!(events > 0 && written > 0);
        // (days from now, bodies, journal entries)
        for (days, kept_bodies, kept_entries) in [(20, events, written), (41, 0, written), (61, 0, 0)] {
            app.clock.set(start.plus_days(days));
            remove(&app).await;
            let now = (bodies(db).await.1, entries().await);
            assert_eq!(now, (kept_bodies, kept_entries), "after {days} days");
        }
        // The journal is whole, and nothing of it is taken for tampering.
        while journals::tick(app.app()).await.unwrap() > 0 {}
        let verdict = journal::verify(db, &account).await.unwrap();
        assert_eq!(verdict, Verdict::Whole(u64::try_from(written).unwrap()));
        // What was decided stays, and an event that comes again is known.
        assert_eq!(digest::state(db).await.unwrap(), before);
        app.clock.set(start);
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], answer["canAccess"]);
        let again = app.deliver(&sent[0].body).await;
        assert_eq!(again.field("status"), "duplicate", "{}", again.text);
        // Nothing is set to be worked on again without a body.
        let set = inbox::set_for_replay(db, &EventFilter::default(), app.now()).await.unwrap();
        assert_eq!(set, 0);
        app.stop().await;
    }
}
