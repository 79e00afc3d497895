//! Past sales decided again by today's catalog. Owns: going through the accounts in pages, and one
//! transaction for each account with something to change. Must not know: what a sale is (that is the
//! domain's), how the report is shown.

use serde::Serialize;
use tollgate_domain::act::TermsRefusal;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::regrade::{self, Regrade, Regraded, Terms};
use tollgate_store::{StoreError, accounts, facts};

use crate::app::App;
use crate::unit_of_work::CommandError;

/// Accounts in memory at once.
const PAGE_ACCOUNTS: u32 = 100;
/// Most purchases listed in a report.
pub const EXAMPLES_MAX: usize = 100;

/// Why past sales could not be decided again. What was done before stays done; running again goes on.
#[derive(Debug, thiserror::Error)]
pub enum RegradeError {
    /// Who or why is not acceptable.
    #[error(transparent)]
    Terms(#[from] TermsRefusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to be decided again.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// One account only.
    pub account: Option<&'a AccountId>,
    /// Say what would change and change nothing.
    pub dry: bool,
    /// Who, why, and whether to take back what today's catalog does not confirm.
    pub terms: Terms<'a>,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Accounts looked at.
    pub accounts: u64,
    /// Purchases that were (or in a dry run would be) decided anew.
    pub changed: u64,
    /// Purchases of which today's catalog confirms nothing, left as they were sold.
    pub kept: u64,
    /// The first of both.
    pub examples: Vec<Example>,
}

/// One purchase that today's catalog sells otherwise.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The account.
    pub account_id: String,
    /// The checkout session.
    pub session: String,
    /// What it sold.
    pub from: String,
    /// What it sells by today's catalog; empty for nothing.
    pub to: String,
    /// It was left as it was sold.
    pub kept: bool,
}

impl Report {
    fn take(&mut self, account: &AccountId, regrade: &Regrade) {
        let count = |list: &[Regraded]| u64::try_from(list.len()).unwrap_or(u64::MAX);
        self.changed = self.changed.saturating_add(count(&regrade.changed));
        self.kept = self.kept.saturating_add(count(&regrade.kept));
        for (list, kept) in [(&regrade.changed, false), (&regrade.kept, true)] {
            let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
            self.examples.extend(list.iter().take(room).map(|one| Example {
                account_id: account.to_string(),
                session: one.session.to_string(),
                from: one.from.clone(),
                to: one.to.clone(),
                kept,
            }));
        }
    }
}

/// Decides the paid one-time purchases of one account, or of all, again. `told` hears after each page
/// how many accounts were looked at.
pub async fn regrade(
    app: &App,
    order: Order<'_>,
    mut told: impl FnMut(u64),
) -> Result<Report, RegradeError> {
    order.terms.check(app.clock.now())?;
    let mut report = Report::default();
    if let Some(account) = order.account {
        take_page(app, order, std::slice::from_ref(account), &mut report).await?;
        return Ok(report);
    }
    let mut last: Option<AccountId> = None;
    loop {
        let page = accounts::list(&app.engine.db, last.as_ref(), PAGE_ACCOUNTS).await?;
        let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
        let Some(end) = ids.last().cloned() else { return Ok(report) };
        take_page(app, order, &ids, &mut report).await?;
        told(report.accounts);
        last = Some(end);
    }
}

async fn take_page(
    app: &App,
    order: Order<'_>,
    ids: &[AccountId],
    report: &mut Report,
) -> Result<(), RegradeError> {
    let (catalog, now) = (&app.engine.catalog, app.clock.now());
    for (account, facts) in facts::load_many(&app.engine.db, ids, Window::ALL).await? {
        report.accounts = report.accounts.saturating_add(1);
        let found = regrade::regrade(&facts, catalog, order.terms, now)?;
        if order.dry || found.changed.is_empty() {
            report.take(&account, &found);
            continue;
        }
        // Decided again under the account's lock: an event may have come in between.
        let mut done = Regrade::default();
        let changed = app.intake.change_by(&account, Window::ALL, |facts, catalog, now| {
            done = regrade::regrade(facts, catalog, order.terms, now)?;
            Ok::<_, TermsRefusal>(done.decision.clone())
        });
        match changed.await {
            Ok(_) => report.take(&account, &done),
            Err(CommandError::Refused(refusal)) => return Err(refusal.into()),
            Err(CommandError::Store(error)) => return Err(error.into()),
        }
    }
    Ok(())
}
