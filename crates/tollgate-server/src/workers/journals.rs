//! The check of journals. Owns: that every account's chain is computed again once a day, a few
//! accounts at a time, and that one that is broken is a finding. Must not know: how a chain is made.

use std::sync::Arc;

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
/// Where the check stands.
const STANDING: &str = "journals.checked";

/// Works until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    daily::rounds(app, TaskKind::Journals, stop, |app| async move { Ok(tick(&app).await? > 0) })
        .await;
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
