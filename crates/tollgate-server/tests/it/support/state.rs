//! What must be the same whatever trouble there was. Owns: reading it. Must not know: the trouble.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::ids::AccountId;
use tollgate_server::clock::Clock;

use super::{Settings, TestApp, TestDatabase};

/// Everything that must not depend on trouble: facts, and how often what was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) digest: String,
    pub(crate) inbox: BTreeSet<String>,
    /// Journal entries and billing events by kind.
    pub(crate) journal: BTreeMap<String, usize>,
    pub(crate) billing: BTreeMap<String, usize>,
}

impl State {
    /// The state after the events were delivered once, in order, to an engine nobody disturbs.
    pub(crate) async fn of_untroubled_run(events: &[(String, String)]) -> Self {
        let database = TestDatabase::sqlite();
        let app = TestApp::start(&database).await;
        app.clock.set(Clock::System.now());
        for piece in events.chunks(64) {
            let answers =
                futures_util::future::join_all(piece.iter().map(|(_, body)| app.deliver(body)));
            for answer in answers.await {
                assert_eq!(answer.status, 200, "{}", answer.text);
            }
        }
        app.run_workers().await;
        app.stop().await;
        Self::settled(&database.url()).await
    }

    /// The state of a database once nothing is left to do.
    pub(crate) async fn settled(database_url: &str) -> Self {
        let app = TestApp::start_at(database_url, Settings::default()).await;
        app.clock.set(Clock::System.now().plus_ms(3_600_000));
        app.run_workers().await;
        let db = &app.app().engine.db;
        let mut state = Self {
            digest: app.digest().await,
            inbox: BTreeSet::new(),
            journal: BTreeMap::new(),
            billing: BTreeMap::new(),
        };
        let mut cursor: Option<String> = None;
        loop {
            let filter = tollgate_store::inbox::EventFilter::default();
            let page = tollgate_store::inbox::list(db, &filter, cursor.as_deref(), 100).await;
            let (rows, next) = page.expect("the inbox is read");
            for row in rows {
                assert!(row.outcome.status.is_final(), "{row:?}");
                assert!(
                    state.inbox.insert(row.key.event.to_string()),
                    "{} is there twice",
                    row.key.event
                );
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let mut after = None;
        loop {
            let accounts =
                tollgate_store::accounts::list(db, after.as_ref(), 100).await.expect("accounts");
            let Some(last) = accounts.last() else { break };
            after = Some(last.account.clone());
            for account in &accounts {
                state.count_account(db, &account.account).await;
            }
        }
        app.stop().await;
        state
    }

    /// Journal entries and billing events beyond those of another state.
    pub(crate) fn doubled(&self, of: &Self) -> usize {
        let more = |is: &BTreeMap<String, usize>, was: &BTreeMap<String, usize>| {
            let more = is.iter().map(|(kind, n)| n.saturating_sub(*was.get(kind).unwrap_or(&0)));
            more.sum::<usize>()
        };
        more(&self.journal, &of.journal) + more(&self.billing, &of.billing)
    }

    async fn count_account(&mut self, db: &tollgate_store::Db, account: &AccountId) {
        let verdict =
            tollgate_store::journal::verify(db, account).await.expect("the chain is read");
        assert!(
            matches!(verdict, tollgate_store::journal::Verdict::Whole(_)),
            "{account}: {verdict:?}"
        );
        let rows = tollgate_store::journal::after(db, account, 0, 1_000).await;
        for (place, row) in (1_u64..).zip(rows.expect("a journal")) {
            assert_eq!(row.sequence, place, "{account} has a gap in its journal");
            *self.journal.entry(row.kind.into_owned()).or_default() += 1;
            if let Some(told) = row.billing {
                *self.billing.entry(told.kind.into_owned()).or_default() += 1;
            }
        }
    }
}
