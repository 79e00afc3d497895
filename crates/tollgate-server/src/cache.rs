//! The cache of resolved accounts. Owns: what is kept, when it may be used, and that no older
//! answer ever replaces a newer one. Must not know: HTTP beyond the bytes it keeps, SQL.
//!
//! The cache may be emptied at any time with no loss but time. Three things keep it right:
//! - an entry is used only before its `valid_until`, so time alone changes answers on time;
//! - a commit *raises* its accounts: the entry goes, and a fill that was begun before the raise is
//!   refused (each shard counts its raises; a fill must find the count it began with);
//! - entries are used only while the change feed is confirmed, so that another instance's commit
//!   is seen within the bound (see `feed`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use quick_cache::sync::Cache;
use tollgate_domain::entitlement::Resolution;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Timestamp};

/// Counters of raises; a power of two. More of them refuse fewer fills by coincidence.
const SHARDS: usize = 1024;

/// A resolved account with the answers already given.
#[derive(Debug)]
pub struct Entry {
    /// The entitlements, resolved at `resolution.at`.
    pub resolution: Resolution,
    /// The reply to a plain check, by position of the feature in the catalog.
    answers: Vec<OnceLock<Bytes>>,
    /// The reply to a plain read of all entitlements, with its entity tag.
    pub entitlements: OnceLock<(Bytes, http::HeaderValue)>,
}

impl Entry {
    /// A fresh entry without answers.
    pub fn new(resolution: Resolution, catalog: &Catalog) -> Self {
        let answers = std::iter::repeat_with(OnceLock::new).take(catalog.features.len()).collect();
        Self { resolution, answers, entitlements: OnceLock::new() }
    }

    /// Whether it still holds at an instant.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.resolution.at <= now && self.resolution.valid_until.is_none_or(|end| now < end)
    }

    /// The ready-made answer of a feature, made on first use.
    pub fn answer(&self, feature: usize, make: impl FnOnce() -> Bytes) -> Bytes {
        match self.answers.get(feature) {
            Some(slot) => slot.get_or_init(make).clone(),
            None => make(),
        }
    }
}

/// The state of a shard when a fill began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Resolved accounts by id.
#[derive(Debug)]
pub struct EntitlementCache {
    entries: Cache<AccountId, Arc<Entry>>,
    raises: Vec<AtomicU64>,
}

impl EntitlementCache {
    /// A cache of at most so many accounts.
    pub fn new(accounts_max: usize) -> Self {
        let raises = std::iter::repeat_with(|| AtomicU64::new(0)).take(SHARDS).collect();
        Self { entries: Cache::new(accounts_max), raises }
    }

    /// The entry of an account, if it holds now.
    pub fn find(&self, account: &str, now: Timestamp) -> Option<Arc<Entry>> {
        self.entries.get(account).filter(|entry| entry.holds_at(now))
    }

    /// To be taken before the facts are loaded.
    pub fn begin_fill(&self, account: &str) -> Ticket {
        Ticket(self.shard(account).load(Ordering::Acquire))
    }

    /// Keeps an entry unless its account was raised since the ticket was taken, or a newer one is
    /// there. Returns whether it was kept.
    pub fn fill(&self, account: &AccountId, ticket: Ticket, entry: Arc<Entry>) -> bool {
        let raises = self.shard(account.as_str());
        let newer = |known: Arc<Entry>| known.resolution.revision > entry.resolution.revision;
        if raises.load(Ordering::Acquire) != ticket.0
            || self.entries.peek(account.as_str()).is_some_and(newer)
        {
            return false;
        }
        self.entries.insert(account.clone(), entry);
        // A raise between the test and the insert found nothing to remove: look once more.
        if raises.load(Ordering::Acquire) != ticket.0 {
            self.entries.remove(account.as_str());
            return false;
        }
        true
    }

    /// Forgets an account that has changed, and refuses the fills under way.
    pub fn raise(&self, account: &str) {
        self.shard(account).fetch_add(1, Ordering::AcqRel);
        self.entries.remove(account);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for raises in &self.raises {
            raises.fetch_add(1, Ordering::AcqRel);
        }
        self.entries.clear();
    }

    fn shard(&self, account: &str) -> &AtomicU64 {
        // FNV-1a: the shard must be cheap, its spread need not resist an adversary.
        let hash = account.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let place = usize::try_from(hash % (SHARDS as u64)).unwrap_or(0);
        self.raises.get(place).unwrap_or_else(|| unreachable_shard())
    }
}

/// `place` is below the length by construction; a static stands in so that nothing can panic.
fn unreachable_shard() -> &'static AtomicU64 {
    static NONE: AtomicU64 = AtomicU64::new(0);
    &NONE
}
