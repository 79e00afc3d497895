//! The cache of resolved accounts. Owns: what is kept, when it may be used, and that no older
//! answer ever replaces a newer one. Must not know: HTTP beyond the bytes it keeps, SQL.
//!
//! The cache may be emptied at any time with no loss but time. Three things keep it right:
//! - an entry is used only before its `valid_until`, so time alone changes answers on time;
//! - a commit *raises* its accounts: the entry goes, and a fill that was begun before the raise is
//!   refused (each shard counts its raises; a fill must find the count it began with). The change
//!   feed raises them again, our own commits included: the answer to COMMIT may be lost, and then
//!   the feed is the only one to say when, and whether, it took effect;
//! - entries are used only while the change feed is confirmed, so that another instance's commit
//!   is seen within the bound (see `feed`).

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use quick_cache::sync::Cache;
use tokio::sync::Notify;
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
    entitlements: OnceLock<(Bytes, http::HeaderValue)>,
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
    pub fn answer<E>(
        &self,
        feature: usize,
        make: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let Some(slot) = self.answers.get(feature) else { return make() };
        kept(slot, make)
    }

    /// The reply to a plain read of all entitlements and its entity tag, made on first use.
    pub fn entitlements<E>(
        &self,
        make: impl FnOnce() -> Result<(Bytes, http::HeaderValue), E>,
    ) -> Result<(Bytes, http::HeaderValue), E> {
        kept(&self.entitlements, make)
    }
}

/// What is in a slot, made and kept when it is empty. What cannot be made is not kept.
fn kept<T: Clone, E>(slot: &OnceLock<T>, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    if let Some(kept) = slot.get() {
        return Ok(kept.clone());
    }
    let made = make()?;
    Ok(slot.get_or_init(|| made).clone())
}

/// The state of a shard when a fill began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Resolved accounts by id.
#[derive(Debug)]
pub struct EntitlementCache {
    entries: Cache<AccountId, Arc<Entry>>,
    shards: Vec<Shard>,
}

/// The accounts whose raises are counted together.
#[derive(Debug, Default)]
struct Shard {
    raises: AtomicU64,
    raised: Notify,
}

impl Shard {
    fn count(&self) -> u64 {
        self.raises.load(Ordering::Acquire)
    }

    fn raise(&self) {
        self.raises.fetch_add(1, Ordering::AcqRel);
        self.raised.notify_waiters();
    }
}

impl EntitlementCache {
    /// A cache of at most so many accounts.
    pub fn new(accounts_max: usize) -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        Self { entries: Cache::new(accounts_max), shards }
    }

    /// The entry of an account, if it holds now.
    pub fn find(&self, account: &str, now: Timestamp) -> Option<Arc<Entry>> {
        self.entries.get(account).filter(|entry| entry.holds_at(now))
    }

    /// To be taken before the facts are loaded.
    pub fn begin_fill(&self, account: &str) -> Ticket {
        Ticket(self.shard(account).count())
    }

    /// Waits until the account may have been raised since the ticket was taken.
    pub async fn raised_since(&self, account: &str, ticket: Ticket) {
        let shard = self.shard(account);
        loop {
            let mut raised = pin!(shard.raised.notified());
            raised.as_mut().enable();
            if shard.count() != ticket.0 {
                return;
            }
            raised.await;
        }
    }

    /// Keeps an entry unless its account was raised since the ticket was taken, or a newer one is
    /// there. Returns whether it was kept.
    pub fn fill(&self, account: &AccountId, ticket: Ticket, entry: Arc<Entry>) -> bool {
        let shard = self.shard(account.as_str());
        let newer = |known: Arc<Entry>| known.resolution.revision > entry.resolution.revision;
        if shard.count() != ticket.0 || self.entries.peek(account.as_str()).is_some_and(newer) {
            return false;
        }
        self.entries.insert(account.clone(), entry);
        // A raise between the test and the insert found nothing to remove: look once more.
        if shard.count() != ticket.0 {
            self.entries.remove(account.as_str());
            return false;
        }
        true
    }

    /// Forgets an account that has changed, and refuses the fills under way.
    pub fn raise(&self, account: &str) {
        self.shard(account).raise();
        self.entries.remove(account);
    }

    /// Forgets an account unless what is kept is of this revision or a later one; refuses the fills
    /// under way.
    pub fn raise_to(&self, account: &str, revision: u64) {
        self.shard(account).raise();
        let newest = |known: Arc<Entry>| known.resolution.revision >= revision;
        if !self.entries.peek(account).is_some_and(newest) {
            self.entries.remove(account);
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            shard.raise();
        }
        self.entries.clear();
    }

    fn shard(&self, account: &str) -> &Shard {
        // FNV-1a: the shard must be cheap, its spread need not resist an adversary.
        let hash = account.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let place = usize::try_from(hash % (SHARDS as u64)).unwrap_or(0);
        self.shards.get(place).unwrap_or_else(|| unreachable_shard())
    }
}

/// `place` is below the length by construction; a static stands in so that nothing can panic.
fn unreachable_shard() -> &'static Shard {
    static NONE: LazyLock<Shard> = LazyLock::new(Shard::default);
    &NONE
}
