//! Findings across the accounts. Owns: reviewing every account after the catalog changed, and the
//! counts that readiness and metrics show. Must not know: when a finding is due, which sales a new
//! price confirms (the domain says).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Facts, FindingCode, finding, regrade};
use tollgate_store::{Db, StoreError, accounts, facts, findings, meta};

use crate::app::App;
use crate::metrics::CodeLabel;
use crate::supervisor::TaskKind;
use crate::unit_of_work::CommandError;

/// Accounts loaded at once.
const PAGE_ACCOUNTS: u32 = 100;
/// How old the counts may be that readiness and metrics show.
const COUNTS_AGE_MAX: Duration = Duration::from_secs(5);
/// Wait before a review that failed is begun again.
const REVIEW_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// The catalog version by which all accounts were last reviewed.
const REVIEWED: &str = "findings.reviewed_catalog";

/// Counts of open findings, read at most every few seconds.
#[derive(Debug, Default)]
pub struct FindingCounts {
    known: Mutex<Option<(Instant, OpenByCode)>>,
}

/// How many findings of each code are open.
pub type OpenByCode = Arc<BTreeMap<FindingCode, u64>>;

impl App {
    /// How many findings of each code are open, a few seconds old at most; the metrics show the
    /// same from then on.
    pub async fn open_findings(&self) -> Result<OpenByCode, StoreError> {
        let mut known = self.findings.known.lock().await;
        let now = Instant::now();
        if let Some((at, counts)) = &*known
            && now.duration_since(*at) < COUNTS_AGE_MAX
        {
            return Ok(Arc::clone(counts));
        }
        let counts = Arc::new(findings::count_open(&self.engine.db).await?);
        for (code, count) in counts.iter() {
            let label = CodeLabel { code: code.as_str() };
            let gauge = self.metrics.findings.get_or_create(&label);
            gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        *known = Some((now, Arc::clone(&counts)));
        Ok(counts)
    }
}

/// Reviews every account once for each version of the catalog: a price that is mapped now closes
/// findings and records what was bought at it, a plan that is gone opens some. Begins again when the database was away, and at the
/// next start when it was stopped.
pub async fn review_after_catalog_change(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        app.supervisor.turn(TaskKind::Findings);
        let reviewed = review(&app, &stop).await;
        if let Err(error) = &reviewed {
            app.supervisor.trouble(TaskKind::Findings, error);
        }
        tokio::select! {
            () = tokio::time::sleep(REVIEW_AGAIN_AFTER), if reviewed.is_err() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One pass over all accounts, unless this version of the catalog had one.
pub async fn review(app: &App, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
    let (db, catalog) = (&app.engine.db, &app.config.catalog);
    let version = catalog.version.clone();
    if meta::find(db, REVIEWED).await?.as_deref() == Some(version.as_str()) {
        return Ok(());
    }
    let mut last: Option<AccountId> = None;
    loop {
        let page = accounts::list(db, last.as_ref(), PAGE_ACCOUNTS).await?;
        let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
        let Some(end) = ids.last().cloned() else { break };
        let now = app.clock.now();
        let found = load(db, &ids, Window::at(now, now, catalog)).await?;
        for (account, facts) in &found {
            if *stop.borrow() {
                return Ok(());
            }
            let healed = regrade::settle(facts, catalog, now).is_some();
            if (healed || !finding::review(facts, catalog, now).is_empty())
                && let Err(error) = review_account(app, account).await
            {
                passed_over(error, account)?;
            }
        }
        last = Some(end);
    }
    meta::save(db, REVIEWED, &version).await
}

/// The facts of a page of accounts; those that cannot be read are left out, and the others are there.
async fn load(
    db: &Db,
    ids: &[AccountId],
    window: Window,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    match facts::load_many(db, ids, window).await {
        Err(error) if !error.is_unavailable() => {}
        done => return done,
    }
    let mut found = BTreeMap::new();
    for account in ids {
        match facts::load(db, account, window).await {
            Ok(facts) => {
                found.insert(account.clone(), facts);
            }
            Err(error) => passed_over(error, account)?,
        }
    }
    Ok(found)
}

/// What is wrong with one account is logged; a database that is away is everybody's.
fn passed_over(error: StoreError, account: &AccountId) -> Result<(), StoreError> {
    if error.is_unavailable() {
        return Err(error);
    }
    tracing::error!(%account, %error, "the findings of an account cannot be reviewed");
    Ok(())
}

/// The command reviews what it decides about, so an empty decision is enough where nothing was
/// bought.
async fn review_account(app: &App, account: &AccountId) -> Result<(), StoreError> {
    let settle = |facts: &Facts, catalog: &Catalog, now| {
        let decision = regrade::settle(facts, catalog, now).unwrap_or_default();
        Ok::<_, std::convert::Infallible>(decision)
    };
    match app.intake.change(account, settle).await {
        Ok(_) => Ok(()),
        Err(CommandError::Store(error)) => Err(error),
        Err(CommandError::Refused(never)) => match never {},
    }
}
