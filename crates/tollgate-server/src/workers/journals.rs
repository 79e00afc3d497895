//! The check of journals. Owns: that every account's chain is computed again once a day, a few
//! accounts at a time, and that one that is broken is a finding. Must not know: how a chain is made.
//!
//! Where the check stands is in the database, so a restart goes on with it and several instances do
//! not each begin their own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Finding, FindingCode, Timestamp};
use tollgate_store::journal::{self, Verdict};
use tollgate_store::{Db, StoreError, accounts, findings, meta};

use crate::app::App;
use crate::supervisor::TaskKind;

/// Accounts checked in one round.
const ACCOUNTS_PER_ROUND: u32 = 20;
/// Wait between two rounds of one check: at most 20 accounts a second, so that it takes nothing from
/// those who wait for answers.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Wait between looks whether a check is due.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Hours from the beginning of one check to that of the next.
const CHECK_EVERY_HOURS: i64 = 24;
/// Where the check stands.
const STANDING: &str = "journals.checked";

/// Where a check stands: when it began, and the last account that was checked; `None`: all were.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    begun: Timestamp,
    after: Option<String>,
}

impl Standing {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let begun = Timestamp::parse(parts.next()?).ok()?;
        match (parts.next()?, parts.next()) {
            ("done", None) => Some(Self { begun, after: None }),
            ("after", account) => {
                Some(Self { begun, after: Some(account.unwrap_or_default().to_owned()) })
            }
            _ => None,
        }
    }

    fn text(&self) -> String {
        match &self.after {
            Some(account) => format!("{} after {account}", self.begun),
            None => format!("{} done", self.begun),
        }
    }
}

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
    let (db, now) = (&app.engine.db, app.clock.now());
    let known = meta::find(db, STANDING).await?.and_then(|text| Standing::parse(&text));
    let standing = match known {
        Some(Standing { begun, after: None }) if now < begun.plus_hours(CHECK_EVERY_HOURS) => {
            return Ok(0);
        }
        Some(standing @ Standing { after: Some(_), .. }) => standing,
        Some(_) | None => Standing { begun: now, after: Some(String::new()) },
    };
    let after = standing.after.as_deref().and_then(|id| AccountId::parse(id).ok());
    let page = accounts::list(db, after.as_ref(), ACCOUNTS_PER_ROUND).await?;
    for row in &page {
        check(db, &row.account, now).await?;
    }
    let last = page.last().map(|row| row.account.to_string());
    meta::save(db, STANDING, &Standing { after: last, ..standing }.text()).await?;
    Ok(page.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_check_stands_is_read_back() {
        let begun = Timestamp::parse("2026-11-28T10:00:00Z").unwrap();
        for after in [None, Some(""), Some("acme"), Some("auth0|5f")] {
            let standing = Standing { begun, after: after.map(str::to_owned) };
            assert_eq!(Standing::parse(&standing.text()), Some(standing));
        }
        for other in ["", "today done", "2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z begun"] {
            assert_eq!(Standing::parse(other), None, "{other:?}");
        }
    }
}
