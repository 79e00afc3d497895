//! Who is asking. Owns: the table of live keys and the decision whether a key may. Must not know:
//! routes, how keys are made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::{HeaderMap, header};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_store::{Db, StoreError, keys as stored};

use super::error::ApiError;
use crate::keys::{self, SecretHash};
use crate::scope::Scope;

/// Most look-ups of unknown keys a second; beyond it an unknown key is refused at once.
const UNKNOWN_LOOKUPS_PER_SECOND: u32 = 20;
/// Most of them for addresses that have sent too many keys that are none, all together. One reads
/// every key there is, so it finds a new one among any number of guesses.
const STRANGE_LOOKUPS_PER_SECOND: u32 = 1;

/// A live key.
#[derive(Debug)]
pub struct Caller {
    /// The key's id.
    pub id: String,
    /// The SHA-256 of its secret.
    secret_hash: SecretHash,
    /// What it may.
    scopes: Vec<Scope>,
    /// The one account it may ask about.
    account: Option<AccountId>,
    expires_at: Option<Timestamp>,
    /// The second in which its use was noted last.
    noted: AtomicI64,
}

/// Which accounts a route is about; every route says so where it asks who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of them, or several at once: not for keys that are bound to one.
    All,
    /// One that the request names ([`Caller::may_ask_about`]), or those the key may ask about
    /// ([`Caller::bound_account`]).
    Named,
}

impl Caller {
    /// The one account it may ask about.
    pub const fn bound_account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }

    /// Whether it may know of an object of an account. A request that names an object, not an account,
    /// is answered by this alone: for a caller that may not, there is no such object, and whether
    /// there is cannot be told from the answer.
    pub fn may_know_of(&self, owner: &AccountId) -> bool {
        self.account.as_ref().is_none_or(|bound| bound == owner)
    }

    /// Refuses a caller that may ask about one account only.
    pub const fn may_ask_about_all(&self) -> Result<(), ApiError> {
        match &self.account {
            Some(_) => Err(ApiError::AccountForbidden),
            None => Ok(()),
        }
    }

    /// Refuses a caller that may not ask about an account, whether or not there is one.
    pub fn may_ask_about(&self, account: &str) -> Result<(), ApiError> {
        match &self.account {
            Some(bound) if bound.as_str() != account => Err(ApiError::AccountForbidden),
            _ => Ok(()),
        }
    }
}

type LiveKeys = HashMap<String, std::sync::Arc<Caller>>;

/// The live keys, in memory.
#[derive(Debug, Default)]
pub struct KeyTable {
    live: ArcSwap<LiveKeys>,
    used: Mutex<BTreeMap<String, Timestamp>>,
    lookups: Mutex<Lookups>,
    /// Keys that could not be read the last time.
    unreadable: AtomicUsize,
    /// Held while they are read and put in their place, so that an older reading never replaces a newer.
    reading: tokio::sync::Mutex<()>,
}

/// Look-ups of unknown keys within a second.
#[derive(Debug, Default)]
struct Lookups {
    second: i64,
    usual: u32,
    strange: u32,
}

impl KeyTable {
    /// Ids of the live keys, in order.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.live.load().keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    /// Reads all live keys. Called at start and then at a pace (`feed`), so that a
    /// revoked key dies within a second on every instance.
    pub async fn reload(&self, db: &Db, now: Timestamp) -> Result<(), StoreError> {
        let _alone = self.reading.lock().await;
        let (rows, unreadable) = stored::find_all_live(db, now).await?;
        let whole = unreadable.is_empty();
        // Read several times a second, told once.
        if self.unreadable.swap(unreadable.len(), Ordering::Relaxed) != unreadable.len() {
            for error in unreadable {
                tracing::error!(%error, "an API key cannot be read and is not accepted");
            }
        }
        let live = rows.into_iter().map(caller).map(|c| (c.id.clone(), c.into()));
        let live = std::sync::Arc::new(live.collect());
        let before = self.live.swap(std::sync::Arc::clone(&live));
        if whole {
            tell_of_revocations(&before, &live, now);
        }
        Ok(())
    }

    /// The caller behind a request, with the scope a route needs. `strange` says of a sender whose
    /// key is not known whether it has sent too many such already.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        db: &Db,
        now: Timestamp,
        strange: impl FnOnce() -> bool,
    ) -> Result<std::sync::Arc<Caller>, ApiError> {
        let text = sent_key(headers).ok_or(ApiError::KeyMissing)?;
        let parsed = keys::parse(text).ok_or(ApiError::KeyInvalid)?;
        let found = self.live.load().get(parsed.id).cloned();
        let caller = match found {
            Some(caller) => caller,
            // Made a moment ago, perhaps by the command line beside us.
            None if self.may_look_up(now, strange()) => {
                // Boxed, for few requests come here and all would make room for it.
                Box::pin(self.reload(db, now)).await?;
                self.live.load().get(parsed.id).cloned().ok_or(ApiError::KeyInvalid)?
            }
            None => return Err(ApiError::KeyInvalid),
        };
        if !caller.secret_hash.verify(&parsed.secret_hash) {
            return Err(ApiError::KeyInvalid);
        }
        if caller.expires_at.is_some_and(|end| end <= now) {
            return Err(ApiError::KeyInvalid);
        }
        if !caller.scopes.iter().any(|given| given.includes(scope)) {
            return Err(ApiError::ScopeMissing(scope.as_str()));
        }
        Ok(caller)
    }

    fn may_look_up(&self, now: Timestamp, strange: bool) -> bool {
        let Ok(mut lookups) = self.lookups.lock() else { return false };
        let second = now.unix_seconds();
        if lookups.second != second {
            *lookups = Lookups { second, ..Lookups::default() };
        }
        let (used, max) = if strange {
            (&mut lookups.strange, STRANGE_LOOKUPS_PER_SECOND)
        } else {
            (&mut lookups.usual, UNKNOWN_LOOKUPS_PER_SECOND)
        };
        *used = used.saturating_add(1);
        *used <= max
    }

    /// Notes that a key was used, once a second; written by [`Self::flush_used`].
    pub fn note_used(&self, caller: &Caller, now: Timestamp) {
        let second = now.unix_seconds();
        if caller.noted.load(Ordering::Relaxed) == second {
            return;
        }
        caller.noted.store(second, Ordering::Relaxed);
        if let Ok(mut used) = self.used.lock() {
            used.insert(caller.id.clone(), now);
        }
    }

    /// Writes when keys were last used.
    pub async fn flush_used(&self, db: &Db) -> Result<(), StoreError> {
        let used = self.used.lock().map(|mut used| std::mem::take(&mut *used)).unwrap_or_default();
        let used: Vec<(String, Timestamp)> = used.into_iter().collect();
        stored::touch(db, &used).await
    }
}

/// Logs which keys were revoked: the log outlives the database, and after a restore of a backup nothing
/// in it tells which are valid again.
fn tell_of_revocations(before: &LiveKeys, after: &LiveKeys, now: Timestamp) {
    let gone = before.iter().filter(|(id, _)| !after.contains_key(*id));
    for (id, _) in gone.filter(|(_, caller)| caller.expires_at.is_none_or(|end| end > now)) {
        tracing::info!(key.id = id, "an API key was revoked");
    }
}

/// The key a request carries: `Authorization: Bearer` or `X-API-Key`.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()))
}

fn caller(row: stored::ApiKey) -> Caller {
    Caller {
        secret_hash: SecretHash::from_bytes(row.secret_hash),
        scopes: row.scopes.iter().filter_map(|scope| Scope::parse(scope)).collect(),
        account: row.account,
        expires_at: row.expires_at,
        id: row.id,
        noted: AtomicI64::new(i64::MIN),
    }
}
