//! The scheduler. Owns: telling, once and on time, of ends that no event announces: of a grace, a
//! waiver, a grant, boosts, an override. Must not know: access; it changes at its instant whether
//! this worker runs or not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_domain::ids::AccountId;
use tollgate_store::StoreError;

use crate::acts::ActError;
use crate::app::App;
use crate::metrics::ReasonLabel;

/// Accounts looked at in one round.
const ACCOUNTS_PER_ROUND: u32 = 100;

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let pace = Duration::from_millis(app.config.workers.poll_ms);
    loop {
        match tick(&app).await {
            Ok(count) if count > 0 && !*stop.borrow() => continue,
            Ok(_) => {}
            Err(error) => {
                let label = ReasonLabel { reason: "schedule" };
                app.metrics.worker_errors.get_or_create(&label).inc();
                tracing::warn!(%error, "scheduler");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = app.clock.moved() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One round: looks at the accounts that are due. Returns how many there were.
pub async fn tick(app: &App) -> Result<usize, StoreError> {
    let due =
        tollgate_store::schedule::due(&app.engine.db, app.clock.now(), ACCOUNTS_PER_ROUND).await?;
    for account in &due {
        settle(app, account).await?;
    }
    Ok(due.len())
}

/// Tells of every end of one account that has come; the act notes when the next one comes.
async fn settle(app: &App, account: &AccountId) -> Result<(), StoreError> {
    let done = app
        .intake
        .act(account, |facts, catalog, now| {
            Ok::<_, std::convert::Infallible>(tollgate_domain::schedule::ended(facts, catalog, now))
        })
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(ActError::Store(error)) => Err(error),
        Err(ActError::Refused(never)) => match never {},
    }
}
