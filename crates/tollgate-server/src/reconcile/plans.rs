//! Accounts by the plan they have. Owns: going through them in pages. Must not know: how a plan is
//! decided.

use std::collections::BTreeMap;

use tollgate_domain::entitlement::resolve::resolve;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_store::{accounts, facts};

use super::run::Course;
use super::{ReconcileError, Step};

/// Accounts in memory at once.
const PAGE_ACCOUNTS: u32 = 100;

/// How many accounts have each plan now. One that cannot be read counts for none.
pub(super) async fn count(
    course: &mut Course<'_>,
) -> Result<BTreeMap<String, u64>, ReconcileError> {
    let app = course.app;
    let (db, now, catalog) = (&app.engine.db, app.clock.now(), &app.config.catalog);
    let window = Window::at(now, now, catalog);
    let mut plans: BTreeMap<String, u64> = BTreeMap::new();
    let mut last: Option<AccountId> = None;
    loop {
        let page = accounts::list(db, last.as_ref(), PAGE_ACCOUNTS).await?;
        let Some(end) = page.last() else { return Ok(plans) };
        last = Some(end.account.clone());
        for head in page {
            let facts = match facts::load(db, &head.account, window).await {
                Ok(facts) => facts,
                Err(error) if error.is_unavailable() => return Err(error.into()),
                Err(_) => continue,
            };
            let plan = catalog.plan(resolve(&facts, catalog, now).plan);
            let plan = plan.map_or_else(String::new, |plan| plan.id.to_string());
            let count = plans.entry(plan).or_default();
            *count = count.saturating_add(1);
        }
        course.beat(Step::Known).await?;
    }
}
