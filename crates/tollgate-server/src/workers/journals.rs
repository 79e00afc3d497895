//! The check of journals. Owns: that every account's chain is computed again once a day, a few
//! accounts at a time, and that one that is broken is a finding. Must not know: how a chain is made.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Finding, FindingCode, Timestamp};
use tollgate_store::journal::{self, Verdict};
use tollgate_store::{Db, StoreError, findings};

use super::daily;
use crate::app::App;
use crate::supervisor::TaskKind;

/// Accounts checked in one round.
const ACCOUNTS_PER_ROUND: u32 = 20;
/// Wait between two rounds of one check: at most 20 accounts a second, so that it takes nothing from
/// those who wait for answers.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Wait between looks whether a check is due.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Where the check stands.
const STANDING: &str = "journals.checked";

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        app.supervisor.turn(TaskKind::Journals);
        let pace = match tick(&app).await {
            Ok(0) => LOOK_EVERY,
            Ok(_) => ROUND_EVERY,
            Err(error) => {
                app.supervisor.trouble(TaskKind::Journals, error);
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = app.clock.moved() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One round: checks the next accounts, where a check is due. Returns how many.
pub async fn tick(app: &App) -> Result<usize, StoreError> {
    let Some(round) = daily::next(app, STANDING, ACCOUNTS_PER_ROUND).await? else { return Ok(0) };
    for account in &round.accounts {
        check(&app.engine.db, account, app.clock.now()).await?;
    }
    round.finish(app).await
}

/// Checks the chain of one account. What cannot be read is broken, too.
async fn check(db: &Db, account: &AccountId, now: Timestamp) -> Result<(), StoreError> {
    let broken = match journal::verify(db, account).await {
        Ok(Verdict::Whole(_)) => None,
        Ok(Verdict::Broken { sequence, reason }) => Some(format!("at entry {sequence}: {reason}")),
        Err(error) if error.is_unavailable() => return Err(error),
        Err(error) => Some(error.to_string()),
    };
    let mut tx = db.begin().await?;
    let code = FindingCode::JournalBroken;
    if let Some(detail) = broken {
        tracing::error!(%account, detail, "a journal is not what was written");
        let finding = Finding::new(code, account.as_str(), now, detail);
        findings::open(&mut tx, account, &finding).await?;
    } else {
        findings::close(&mut tx, account, (code, account.as_str()), now).await?;
    }
    tx.commit().await
}
