//! Reading: from an account to its entitlements at an instant. Owns: the way from cache to
//! database and the waiting for a revision. Must not know: HTTP, how rules decide.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tollgate_domain::entitlement::Resolution;
use tollgate_domain::entitlement::forecast::forecast;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Facts, Timestamp};
use tollgate_store::{Db, StoreError, accounts, facts};

use crate::cache::{EntitlementCache, Entry};
use crate::clock::Clock;
use crate::flights::Flights;
use crate::freshness::Freshness;
use crate::metrics::Metrics;

/// Longest wait for a revision that has not been reached.
pub const REVISION_WAIT: Duration = Duration::from_secs(2);
/// Pace of looking for it while the change feed does not tell.
const REVISION_POLL: Duration = Duration::from_millis(100);
/// Loads of all facts for one request (another instant, a timeline) at once; others wait for their
/// turn, so that checks always find a connection.
const WHOLE_LOADS_MAX: usize = 4;

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
    flights: Flights,
    whole_loads: Semaphore,
}

/// The parts an [`Engine`] is made of.
#[derive(Debug)]
pub struct EngineParts {
    /// Where facts are kept.
    pub db: Db,
    /// Plans and prices.
    pub catalog: Arc<Catalog>,
    /// The present.
    pub clock: Clock,
    /// What was resolved before.
    pub cache: Arc<EntitlementCache>,
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
    /// The same, of a load that several waited for.
    #[error(transparent)]
    Shared(Arc<StoreError>),
}

/// Which answer is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadAt {
    /// As of this instant; `None`: now.
    pub at: Option<Timestamp>,
    /// From this revision or a later one.
    pub min_revision: u64,
    /// With an explanation that is true now: what lost may have changed while the answer has not.
    pub explain: bool,
}

impl Engine {
    /// Puts the parts together.
    pub fn new(parts: EngineParts) -> Self {
        let EngineParts { db, catalog, clock, cache, metrics } = parts;
        let (freshness, flights) = (Arc::default(), Flights::default());
        let whole_loads = Semaphore::new(WHOLE_LOADS_MAX);
        Self { db, catalog, clock, cache, freshness, metrics, flights, whole_loads }
    }

    /// The entry of an account that may be used now without asking the database.
    pub fn cached(&self, account: &str, min_revision: u64) -> Option<Arc<Entry>> {
        self.trusted(account).filter(|entry| entry.resolution.revision >= min_revision)
    }

    fn trusted(&self, account: &str) -> Option<Arc<Entry>> {
        if !self.freshness.is_confirmed() {
            return None;
        }
        self.cache.find(account, self.clock.now())
    }

    /// The entitlements of an account, now or at another instant.
    pub async fn resolve(
        &self,
        account: &AccountId,
        read: ReadAt,
    ) -> Result<Arc<Entry>, ReadError> {
        let Some(at) = read.at else {
            let entry = self.current(account, read.min_revision).await?;
            if !read.explain || entry.resolution.explains(self.clock.now()) {
                return Ok(entry);
            }
            return self.load_entry(account).await;
        };
        let window = Window::at(at, self.clock.now(), &self.catalog);
        let facts = self.load_window(account, read.min_revision, window).await?;
        self.metrics.checks_loaded.inc();
        let resolution = self.resolve_facts(&facts, at, self.clock.now());
        Ok(Arc::new(Entry::new(resolution, &self.catalog)))
    }

    /// The present entitlements, from a revision or a later one. A revision that is not there yet is
    /// waited for; meanwhile no more is read than, now and then, the account's head.
    async fn current(
        &self,
        account: &AccountId,
        min_revision: u64,
    ) -> Result<Arc<Entry>, ReadError> {
        let known = self.trusted(account.as_str());
        if let Some(entry) = known {
            if entry.resolution.revision >= min_revision {
                self.metrics.checks_cached.inc();
                return Ok(entry);
            }
            self.reach(account, min_revision).await?;
        }
        self.metrics.checks_loaded.inc();
        let entry = self.load_entry(account).await?;
        if entry.resolution.revision >= min_revision {
            return Ok(entry);
        }
        self.reach(account, min_revision).await?;
        let entry = self.load_entry(account).await?;
        let reached = entry.resolution.revision >= min_revision;
        if reached { Ok(entry) } else { Err(ReadError::RevisionNotReached) }
    }

    /// The entry of an account made of its facts in the database. Those who ask together share it.
    async fn load_entry(&self, account: &AccountId) -> Result<Arc<Entry>, ReadError> {
        let ticket = self.cache.begin_fill(account.as_str());
        let load = async {
            let begun = Instant::now();
            let asked_at = self.clock.now();
            let window = Window::at(asked_at, asked_at, &self.catalog);
            let facts = facts::load(&self.db, account, window).await?;
            let now = self.clock.now();
            let resolution = self.resolve_facts(&facts, now, now);
            let entry = Arc::new(Entry::new(resolution, &self.catalog));
            self.cache.fill(account, ticket, Arc::clone(&entry));
            self.metrics.fact_loads.inc();
            self.metrics.check_load.observe(begun.elapsed().as_secs_f64());
            Ok(entry)
        };
        self.flights.load(account, ticket, load).await.map_err(ReadError::Shared)
    }

    /// Waits until an account has reached a revision. While the change feed is followed, the
    /// account's raise tells when to look; else its head is read at a pace.
    async fn reach(&self, account: &AccountId, min_revision: u64) -> Result<(), ReadError> {
        if min_revision == 0 {
            return Ok(());
        }
        let deadline = Instant::now() + REVISION_WAIT;
        loop {
            let ticket = self.cache.begin_fill(account.as_str());
            let head = accounts::revision(&self.db, account).await?;
            if head.is_some_and(|head| head >= min_revision) {
                return Ok(());
            }
            let raised = self.cache.raised_since(account.as_str(), ticket);
            let wait = if self.freshness.is_confirmed() { REVISION_WAIT } else { REVISION_POLL };
            if tokio::time::timeout_at(deadline.min(Instant::now() + wait), raised).await.is_err()
                && Instant::now() >= deadline
            {
                return Err(ReadError::RevisionNotReached);
            }
        }
    }

    /// Resolves facts at an instant: in the past from what was in force then, in the future with
    /// what is planned.
    pub fn resolve_facts(&self, facts: &Facts, at: Timestamp, now: Timestamp) -> Resolution {
        if at < now {
            return tollgate_domain::resolve(&facts.as_of(at), &self.catalog, at);
        }
        if at > now {
            return forecast(facts, &self.catalog, at);
        }
        tollgate_domain::resolve(facts, &self.catalog, at)
    }

    /// The revision an account has.
    pub async fn revision(&self, account: &AccountId) -> Result<u64, ReadError> {
        Ok(accounts::revision(&self.db, account).await?.unwrap_or(0))
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
        self.reach(account, min_revision).await?;
        // Never closed; without a permit the load would only be one more.
        let _turn = self.whole_loads.acquire().await.ok();
        self.metrics.fact_loads.inc();
        Ok(facts::load(&self.db, account, window).await?)
    }
}
