//! Reading: from an account to its entitlements at an instant. Owns: the way from cache to
//! database and the waiting for a revision. Must not know: HTTP, how rules decide.

use std::sync::Arc;
use std::time::Duration;

use tollgate_domain::catalog::{Allowance, Feature, FeatureKind, Limit};
use tollgate_domain::entitlement::{Resolution, Usage};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Facts, Timestamp};
use tollgate_store::{Db, StoreError, facts, usage};

use crate::cache::{EntitlementCache, Entry};
use crate::clock::Clock;
use crate::freshness::Freshness;
use crate::metrics::Metrics;

/// Longest wait for a revision that has not been reached.
pub const REVISION_WAIT: Duration = Duration::from_secs(2);
/// Pace of looking for it.
const REVISION_POLL: Duration = Duration::from_millis(25);

/// Answers from facts.
#[derive(Debug)]
pub struct Engine {
    /// Where facts are kept.
    pub db: Db,
    /// Plans and prices.
    pub catalog: Arc<Catalog>,
    /// The present.
    pub clock: Clock,
    /// What was resolved before.
    pub cache: Arc<EntitlementCache>,
    /// How far the cache may be trusted.
    pub freshness: Arc<Freshness>,
    /// Counted in.
    pub metrics: Arc<Metrics>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The account has not reached the revision asked for in time.
    #[error("the revision asked for was not reached")]
    RevisionNotReached,
    /// Uses of a feature that is not metered cannot be counted.
    #[error("{0} is not metered")]
    NotMetered(String),
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which answer is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadAt {
    /// As of this instant; `None`: now.
    pub at: Option<Timestamp>,
    /// From this revision or a later one.
    pub min_revision: u64,
}

/// A question about a metered feature.
#[derive(Debug, Clone, Copy)]
pub struct Metered<'a> {
    /// Whose usage.
    pub account: &'a AccountId,
    /// Which feature.
    pub feature: &'a Feature,
    /// How many uses are asked for.
    pub requested: u64,
    /// Count them if they are allowed.
    pub consume: bool,
    /// The instant whose period counts.
    pub at: Timestamp,
}

impl Engine {
    /// The entry of an account that may be used now without asking the database.
    pub fn cached(&self, account: &str, min_revision: u64) -> Option<Arc<Entry>> {
        if !self.freshness.is_confirmed() {
            return None;
        }
        self.cache
            .find(account, self.clock.now())
            .filter(|entry| entry.resolution.revision >= min_revision)
    }

    /// The entitlements of an account, now or at another instant.
    pub async fn resolve(
        &self,
        account: &AccountId,
        read: ReadAt,
    ) -> Result<Arc<Entry>, ReadError> {
        if read.at.is_none()
            && let Some(entry) = self.cached(account.as_str(), read.min_revision)
        {
            self.metrics.checks_cached.inc();
            return Ok(entry);
        }
        let begun = tokio::time::Instant::now();
        let ticket = self.cache.begin_fill(account.as_str());
        let asked_at = self.clock.now();
        let window = Window::at(read.at.unwrap_or(asked_at), asked_at, &self.catalog);
        let facts = self.load_window(account, read.min_revision, window).await?;
        let now = self.clock.now();
        let at = read.at.unwrap_or(now);
        let entry = Arc::new(Entry::new(self.resolve_facts(&facts, at, now), &self.catalog));
        if read.at.is_none() {
            self.cache.fill(account, ticket, Arc::clone(&entry));
        }
        self.metrics.checks_loaded.inc();
        self.metrics.check_load.observe(begun.elapsed().as_secs_f64());
        Ok(entry)
    }

    /// Resolves facts at an instant: in the past from what was in force then.
    pub fn resolve_facts(&self, facts: &Facts, at: Timestamp, now: Timestamp) -> Resolution {
        if at < now {
            return tollgate_domain::resolve(&facts.as_of(at), &self.catalog, at);
        }
        tollgate_domain::resolve(facts, &self.catalog, at)
    }

    /// The facts of an account that matter now, of the revision asked for or a later one.
    pub async fn load(&self, account: &AccountId, min_revision: u64) -> Result<Facts, ReadError> {
        let now = self.clock.now();
        self.load_window(account, min_revision, Window::at(now, now, &self.catalog)).await
    }

    /// The facts of an account that matter in a window, of the revision asked for or a later one.
    pub async fn load_window(
        &self,
        account: &AccountId,
        min_revision: u64,
        window: Window,
    ) -> Result<Facts, ReadError> {
        let deadline = tokio::time::Instant::now() + REVISION_WAIT;
        loop {
            let facts = facts::load(&self.db, account, window).await?;
            if facts.revision >= min_revision {
                return Ok(facts);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(ReadError::RevisionNotReached);
            }
            tokio::time::sleep(REVISION_POLL).await;
        }
    }

    /// How much of a metered feature is used, with the uses asked for added when they are to be
    /// consumed and fit. `None` for a feature that is not metered, or that is not there at all.
    pub async fn usage(
        &self,
        resolution: &Resolution,
        metered: Metered<'_>,
    ) -> Result<Option<Usage>, ReadError> {
        let key = &metered.feature.key;
        let FeatureKind::Metered(period) = metered.feature.kind else {
            let refused = || ReadError::NotMetered(key.to_string());
            return if metered.consume { Err(refused()) } else { Ok(None) };
        };
        let Some(allowance) = resolution.allowances.get(key) else { return Ok(None) };
        let limit = match allowance {
            Allowance::On => Limit::Unlimited,
            Allowance::Limit(limit) => *limit,
            Allowance::PerUnit(per_unit) => Limit::Count(per_unit.of(resolution.units)),
        };
        let (start, resets_at) = resolution.meter_span(period, metered.at);
        let account = metered.account;
        let consumed = if metered.consume {
            let ask = (metered.requested, limit.count());
            usage::consume(&self.db, account, key, start, ask).await?
        } else {
            None
        };
        if let Some(total) = consumed {
            let used = total.saturating_sub(metered.requested);
            return Ok(Some(Usage { used, resets_at }));
        }
        let used = usage::find(&self.db, account, key, start).await?;
        Ok(Some(Usage { used, resets_at }))
    }
}
