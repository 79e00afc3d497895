//! Ends that a run has found. Owns: keeping them until it is known how many accounts they concern,
//! and refusing when there are too many. Must not know: how an object is compared.
//!
//! A comparison with the wrong world looks like the end of everything. Keys are checked before, and
//! "not found" alone ends nothing; this is the last net: whatever the reason, a run that would take
//! from many what they pay for does nothing of it and asks.

use std::collections::BTreeSet;

use tollgate_domain::drift::ends_allowed;
use tollgate_domain::ids::AccountId;
use tollgate_store::accounts;
use tollgate_stripe::client::StripeClient;
use tollgate_stripe::fetched::FetchedKind;

use super::run::Course;
use super::settle::{Settled, Take, settle};
use super::sweep::{count, reason};
use super::{ReconcileError, Step};

/// Ends kept in memory; beyond it there are too many whatever is allowed.
const KEPT_MAX: usize = 100_000;

/// What was found and not taken in.
#[derive(Debug, Default)]
pub(super) struct Ends {
    accounts: BTreeSet<AccountId>,
    kept: Vec<(StripeClient, FetchedKind, String, Settled)>,
}

impl Ends {
    /// Keeps an end, or in a run that takes it in counts it.
    pub(super) fn found(
        &mut self,
        client: &StripeClient,
        (kind, id): (FetchedKind, &str),
        settled: &Settled,
        keep: bool,
    ) {
        self.accounts.extend(settled.account.clone());
        if keep && self.kept.len() < KEPT_MAX {
            self.kept.push((client.clone(), kind, id.to_owned(), settled.clone()));
        }
    }

    fn accounts(&self) -> u64 {
        u64::try_from(self.accounts.len()).unwrap_or(u64::MAX)
    }
}

/// Takes in what was kept, unless it concerns too many accounts.
pub(super) async fn settle_all(course: &mut Course<'_>) -> Result<(), ReconcileError> {
    let kept = std::mem::take(&mut course.ends.kept);
    let accounts = course.ends.accounts();
    course.report.ends = accounts;
    if kept.is_empty() {
        return Ok(());
    }
    let allowed = ends_allowed(accounts::count(&course.app.engine.db).await?);
    if accounts > allowed {
        for (_, _, id, settled) in &kept {
            count(course, id, settled, false);
        }
        return Err(ReconcileError::TooManyEnds { accounts, allowed });
    }
    for (client, kind, id, _) in kept {
        let why = reason(course);
        let settled = settle(course.app, &client, kind, &id, why, Take::All).await?;
        count(course, &id, &settled, true);
        course.beat(Step::Known).await?;
    }
    Ok(())
}
