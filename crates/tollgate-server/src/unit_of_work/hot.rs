//! Accounts in memory between two batches. Owns: what a batch left of the accounts it decided about,
//! which events were done, and who owned an object last. Must not know: what is decided.
//!
//! Nothing in here is believed: a batch decided by it takes effect only if the database still has the
//! head that is kept here, and everything that changes an account changes its head.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::{Facts, Link, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::inbox::EventKey;

/// Accounts of each of the two generations.
const ACCOUNTS_MAX: usize = 2_000;
/// Owners of objects of each generation.
const OWNERS_MAX: usize = 40_000;
/// Events of each generation.
const EVENTS_MAX: usize = 40_000;
/// After so many batches an account is read anew, so that it does not grow for ever.
const BATCHES_MAX: u32 = 64;
/// After so long, too: what matters moves with time.
const AGE_MAX_MS: i64 = 600_000;

/// What is known of one account.
#[derive(Debug)]
pub struct HotAccount {
    /// Its head, as it is in the database.
    pub head: AccountHead,
    /// At least what can matter now, and what of it `covered` names.
    pub facts: Facts,
    /// Links of objects to it.
    pub links: HashMap<ObjectId, Link>,
    /// Objects that were read, where there is anything of them.
    pub covered: Covered,
    /// When it was read.
    pub read_at: Timestamp,
    /// How many batches have used it since.
    pub batches: u32,
}

impl HotAccount {
    /// One that was just read.
    pub fn read(head: AccountHead, read_at: Timestamp) -> Self {
        let facts = Facts::unknown(head.account.clone());
        let (links, covered) = (HashMap::new(), Covered::default());
        Self { head, facts, links, covered, read_at, batches: 0 }
    }

    /// Whether it may be used for one more batch.
    fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.millis().saturating_sub(self.read_at.millis());
        self.batches < BATCHES_MAX && (0..AGE_MAX_MS).contains(&age)
    }
}

/// Objects by what was read of them: one that was read as a payment was not read as an adjustment.
#[derive(Debug, Default)]
pub struct Covered(Vec<(&'static str, HashSet<Box<str>>)>);

impl Covered {
    /// Whether this was read.
    pub fn has(&self, kind: &'static str, id: &str) -> bool {
        self.0.iter().any(|(one, ids)| *one == kind && ids.contains(id))
    }

    /// It was read.
    pub fn add(&mut self, kind: &'static str, id: &str) {
        if self.has(kind, id) {
            return;
        }
        match self.0.iter_mut().find(|(one, _)| *one == kind) {
            Some((_, ids)) => {
                ids.insert(id.into());
            }
            None => self.0.push((kind, HashSet::from([id.into()]))),
        }
    }
}

/// The oldest go first, a generation at a time: what is put again is young again.
#[derive(Debug)]
struct Generations<K, V> {
    most: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn new(most: usize) -> Self {
        Self { most, young: HashMap::new(), old: HashMap::new() }
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn take<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }
}

/// What is in memory.
#[derive(Debug, Default)]
pub struct HotAccounts(Mutex<State>);

#[derive(Debug)]
struct State {
    accounts: Generations<AccountId, HotAccount>,
    owners: Generations<ObjectId, AccountId>,
    events: Generations<EventKey, ()>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            accounts: Generations::new(ACCOUNTS_MAX),
            owners: Generations::new(OWNERS_MAX),
            events: Generations::new(EVENTS_MAX),
        }
    }
}

impl HotAccounts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an account out: whoever has it puts it back when its batch is committed.
    pub fn take(&self, account: &AccountId, now: Timestamp) -> Option<HotAccount> {
        self.state().accounts.take(account).filter(|hot| hot.is_fresh(now))
    }

    /// The account was changed another way.
    pub fn forget(&self, account: &AccountId) {
        self.state().accounts.take(account);
    }

    /// Forgets everything: the database may have been set back.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    /// Keeps an account as a committed batch left it, with links of it that were not in memory.
    pub fn put(&self, mut hot: HotAccount, links: Vec<Link>) {
        let mut state = self.state();
        for link in links {
            state.owners.put(link.object.clone(), hot.head.account.clone());
            hot.links.insert(link.object.clone(), link);
        }
        state.accounts.put(hot.head.account.clone(), hot);
    }

    /// Who owned each of these objects last, as far as it is remembered.
    pub fn owners(&self, objects: &[ObjectId]) -> Vec<Option<AccountId>> {
        let state = self.state();
        objects.iter().map(|object| state.owners.get(object).cloned()).collect()
    }

    /// Remembers events that are done.
    pub fn done<'k>(&self, keys: impl IntoIterator<Item = &'k EventKey>) {
        let mut state = self.state();
        for key in keys {
            state.events.put(key.clone(), ());
        }
    }

    /// Forgets events that the database does not know.
    pub fn undone<'k>(&self, keys: impl IntoIterator<Item = &'k EventKey>) {
        let mut state = self.state();
        for key in keys {
            state.events.take(key);
        }
    }

    /// Those of these events that are done; of others it is not known.
    pub fn known<'k>(&self, keys: impl IntoIterator<Item = &'k EventKey>) -> HashSet<&'k EventKey> {
        let state = self.state();
        keys.into_iter().filter(|key| state.events.get(*key).is_some()).collect()
    }
}
