//! The scheduler. Owns: telling, once and on time, of ends that no event announces: of a grace, a
//! waiver, a grant, boosts, an override. Must not know: access; it changes at its instant whether
//! this worker runs or not.
//!
//! An account that cannot be looked at is looked at later and later, and keeps no other one waiting.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tollgate_domain::ids::AccountId;
use tollgate_store::StoreError;
use tollgate_store::schedule::{self, Due};

use crate::app::App;
use crate::backoff;
use crate::metrics::ReasonLabel;
use crate::supervisor::{TaskKind, panic_text};

/// Accounts looked at in one round.
const ACCOUNTS_PER_ROUND: u32 = 100;
/// Accounts whose failures are counted; of more, each failure counts as the first.
const FAILING_MAX: usize = 10_000;

/// How often the accounts that cannot be looked at have failed in a row.
#[derive(Debug, Default)]
pub struct Failures(HashMap<String, u32>);

impl Failures {
    fn add(&mut self, row: &str) -> u32 {
        if self.0.len() >= FAILING_MAX && !self.0.contains_key(row) {
            return 1;
        }
        let count = self.0.entry(row.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let pace = Duration::from_millis(app.config.workers.poll_ms);
    let mut failures = Failures::default();
    loop {
        app.supervisor.turn(TaskKind::Schedule);
        match tick(&app, &mut failures).await {
            Ok(count) if count > 0 && !*stop.borrow() => continue,
            Ok(_) => {}
            Err(error) => app.supervisor.trouble(TaskKind::Schedule, error),
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = app.clock.moved() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

fn count_error(app: &App) {
    let label = ReasonLabel { reason: "schedule" };
    app.metrics.worker_errors.get_or_create(&label).inc();
}

/// One round: looks at the accounts that are due. Returns how many there were. An error means that
/// the database is away; what is wrong with one account is logged, and it comes again later.
pub async fn tick(app: &App, failures: &mut Failures) -> Result<usize, StoreError> {
    let db = &app.engine.db;
    let due = schedule::due(db, app.clock.now(), ACCOUNTS_PER_ROUND).await?;
    let accounts: Vec<AccountId> =
        due.iter().filter_map(|due| due.account.as_ref().ok()).cloned().collect();
    // One that cannot be looked at keeps none of the others waiting: then each is looked at alone.
    if accounts.len() == due.len() && settle(app, &accounts).await?.is_none() {
        for due in &due {
            failures.0.remove(&due.row);
        }
        return Ok(due.len());
    }
    for Due { row, account } in &due {
        let trouble = match account {
            Ok(account) => settle(app, std::slice::from_ref(account)).await?,
            Err(error) => Some(error.to_string()),
        };
        let Some(trouble) = trouble else {
            failures.0.remove(row);
            continue;
        };
        let now = app.clock.now();
        let until = backoff::next_of_many(&app.config.workers, failures.add(row), now);
        count_error(app);
        tracing::error!(account = row, trouble, %until, "the ends of an account cannot be told");
        schedule::postpone(db, row, until, now).await?;
    }
    Ok(due.len())
}

/// Tells of every end of these accounts that has come, and notes when the next one comes. Returns what
/// is wrong with one of them, if anything: then nothing was done. An error is everybody's.
async fn settle(app: &App, accounts: &[AccountId]) -> Result<Option<String>, StoreError> {
    match AssertUnwindSafe(app.intake.settle(accounts)).catch_unwind().await {
        Ok(Ok(())) => Ok(None),
        Ok(Err(error)) if error.is_unavailable() => Err(error),
        Ok(Err(error)) => Ok(Some(error.to_string())),
        Err(panic) => Ok(Some(format!("a defect: {}", panic_text(panic.as_ref())))),
    }
}
