//! What another catalog would do to every account. Owns: reading a proposed catalog as this
//! deployment would run it, and going through the accounts in pages. Must not know: the rules (they
//! are the domain's), how the outcome is shown.

use tollgate_domain::catalog::{self, CatalogErrors};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::what_if::{Summary, Use};
use tollgate_domain::{Catalog, Facts, Timestamp};
use tollgate_store::{Db, StoreError, accounts, facts, usage};

use crate::config::{Config, OverlayFault};

/// Accounts in memory at once.
const PAGE_ACCOUNTS: u32 = 100;
/// How far back counters are read, in days: the longest billing period is a year.
const USES_DAYS: i64 = 400;

/// Why a proposed catalog cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// The text is no catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogErrors),
    /// What the configuration adds does not fit it, so the server would not start with it.
    #[error("{}", _0.join("; "))]
    Overlay(Vec<String>),
}

/// Reads a catalog's text as this deployment would run it: under the present catalog's name, with
/// the configuration's prices, grace and upgrade URL. `file` is what faults call the text.
pub fn read_proposed(config: &Config, file: &str, text: &str) -> Result<Catalog, ProposalError> {
    let catalog = catalog::parse::parse(&config.catalog.name, file, text)?;
    config.catalog_overlay.apply(catalog).map_err(|faults| {
        let told = |fault| match fault {
            OverlayFault::UpgradeUrl(what) => format!("catalog.upgrade_url: {what}"),
            OverlayFault::Price(fault) => format!("stripe.price_map: {}", fault.what),
        };
        ProposalError::Overlay(faults.into_iter().map(told).collect())
    })
}

/// Two catalogs to be compared on all accounts.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'c> {
    /// The catalog in force.
    pub today: &'c Catalog,
    /// The proposed one.
    pub proposed: &'c Catalog,
    /// The instant both are asked about.
    pub at: Timestamp,
    /// The present.
    pub now: Timestamp,
    /// Accounts to show of each kind.
    pub samples_max: usize,
}

/// Goes through the accounts by rising id, after the one given. Returns the account to go on after
/// when `go_on`, asked after each page with the number of accounts so far, said no.
pub async fn compare_all(
    db: &Db,
    comparison: Comparison<'_>,
    after: Option<AccountId>,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<(Summary, Option<AccountId>), StoreError> {
    let mut summary = Summary::new(comparison.samples_max);
    let mut last = after;
    loop {
        let page = accounts::list(db, last.as_ref(), PAGE_ACCOUNTS).await?;
        let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
        let full = ids.len() >= usize::try_from(PAGE_ACCOUNTS).unwrap_or(usize::MAX);
        let Some(end) = ids.last().cloned() else { return Ok((summary, None)) };
        compare_page(db, comparison, &ids, &mut summary).await?;
        if !go_on(summary.accounts) && full {
            return Ok((summary, Some(end)));
        }
        last = Some(end);
    }
}

async fn compare_page(
    db: &Db,
    comparison: Comparison<'_>,
    ids: &[AccountId],
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let Comparison { today, proposed, at, now, .. } = comparison;
    let since = at.plus_days(-USES_DAYS);
    let mut counters = usage::list_many(db, ids, since).await?;
    // A catalog may look back further than the other.
    let window = Window::at(at, now, today).and(Window::at(at, now, proposed));
    for (account, facts) in facts::load_many(db, ids, window).await? {
        let facts: Facts = if at < now { facts.as_of(at) } else { facts };
        let counted = counters.remove(&account).unwrap_or_default();
        let uses: Vec<Use> = counted
            .into_iter()
            .map(|counter| Use {
                feature: counter.feature,
                period_start: Some(counter.period_start),
                quantity: counter.quantity,
            })
            .collect();
        summary.add(&account, &tollgate_domain::what_if(&facts, today, proposed, at, &uses));
    }
    Ok(())
}
