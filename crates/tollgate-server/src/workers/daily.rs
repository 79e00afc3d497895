//! A walk through all accounts once a day, a few at a time. Owns: its pace, and where it stands. Must not know: what
//! is done with the accounts.
//!
//! Where a walk stands is in the database, so a restart goes on with it and several instances do not
//! each begin their own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_store::{StoreError, accounts, meta};

use crate::app::App;
use crate::supervisor::TaskKind;

/// Wait between two rounds of a walk, so that it takes nothing from those who wait for answers.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Wait between looks whether a walk is due.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Hours from the beginning of one walk to that of the next.
const EVERY_HOURS: i64 = 24;

/// Where a walk stands: when it began, and the last account that was reached; `None`: all were.
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

/// The accounts of one round.
#[derive(Debug)]
pub(super) struct Round {
    /// Those whose turn it is.
    pub(super) accounts: Vec<AccountId>,
    name: &'static str,
    begun: Timestamp,
    /// The last account before this round; empty: none.
    after: String,
}

/// Does rounds until `stop`, soon one after the other while there is more to do.
pub(super) async fn rounds<Round>(
    app: Arc<App>,
    task: TaskKind,
    mut stop: watch::Receiver<bool>,
    round: impl Fn(Arc<App>) -> Round,
) where
    Round: Future<Output = Result<bool, StoreError>>,
{
    loop {
        app.supervisor.turn(task);
        let pace = match round(Arc::clone(&app)).await {
            Ok(false) => LOOK_EVERY,
            Ok(true) => ROUND_EVERY,
            Err(error) => {
                app.supervisor.trouble(task, error);
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

/// The next accounts of the walk of this name, at most so many; `None` until a walk is due.
pub(super) async fn next(
    app: &App,
    name: &'static str,
    most: u32,
) -> Result<Option<Round>, StoreError> {
    let (db, now) = (&app.engine.db, app.clock.now());
    let known = meta::find(db, name).await?.and_then(|text| Standing::parse(&text));
    let standing = match known {
        Some(Standing { begun, after: None }) if now < begun.plus_hours(EVERY_HOURS) => {
            return Ok(None);
        }
        Some(standing @ Standing { after: Some(_), .. }) => standing,
        Some(_) | None => Standing { begun: now, after: Some(String::new()) },
    };
    let after = standing.after.as_deref().and_then(|id| AccountId::parse(id).ok());
    let page = accounts::list(db, after.as_ref(), most).await?;
    let accounts = page.into_iter().map(|row| row.account).collect();
    let after = standing.after.unwrap_or_default();
    Ok(Some(Round { accounts, name, begun: standing.begun, after }))
}

impl Round {
    /// Says that the accounts before one of them are done; the next round begins with that one.
    pub(super) async fn finish_before(self, app: &App, place: usize) -> Result<(), StoreError> {
        let last = place.checked_sub(1).and_then(|last| self.accounts.get(last));
        let after = last.map_or(self.after, ToString::to_string);
        let standing = Standing { begun: self.begun, after: Some(after) };
        meta::save(&app.engine.db, self.name, &standing.text()).await
    }

    /// Says that the round is done. Returns how many accounts it had; none is the walk's end.
    pub(super) async fn finish(self, app: &App) -> Result<usize, StoreError> {
        let after = self.accounts.last().map(ToString::to_string);
        let standing = Standing { begun: self.begun, after };
        meta::save(&app.engine.db, self.name, &standing.text()).await?;
        Ok(self.accounts.len())
    }
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
