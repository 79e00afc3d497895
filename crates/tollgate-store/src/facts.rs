//! Facts as rows. Owns: reading and writing every kind of fact. Must not know: what follows from
//! them, who may change them.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use tollgate_domain::Facts;
use tollgate_domain::change::Change;
use tollgate_domain::ids::{
    AccountId, AdjustmentId, CustomerId, InvoiceId, ObjectId, SessionId, SubscriptionId,
};

use crate::accounts::AccountHead;
use crate::db::{Db, Tx};
use crate::error::StoreError;

mod cells;
pub(crate) mod load;
pub(crate) mod own;
pub(crate) mod save;

/// Most observations of one subscription that [`load()`] brings; the newest ones.
pub const HISTORY_STATES_MAX: u32 = 500;

/// The objects of one account that a batch of events touches. Repetitions do no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TouchedObjects {
    /// Customers.
    pub customers: Vec<CustomerId>,
    /// Subscriptions, to be loaded without their history.
    pub subscriptions: Vec<SubscriptionId>,
    /// Invoices.
    pub invoices: Vec<InvoiceId>,
    /// Checkout sessions.
    pub purchases: Vec<SessionId>,
    /// Refunds, disputes and charges.
    pub adjustments: Vec<AdjustmentId>,
    /// Payment intents: purchases and adjustments that refer to one of them are loaded too.
    pub payment_intents: Vec<ObjectId>,
}

/// What a batch of events touches, by account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// By account.
    pub accounts: BTreeMap<AccountId, TouchedObjects>,
}

/// Loads the touched objects and the notes only, without history, waivers, grants, boosts and
/// overrides. Every account of `touched` is in the answer; `known` and `revision` are those of its
/// head, when there is one.
pub async fn load_touched<S: BuildHasher>(
    tx: &mut Tx,
    touched: &Touched,
    heads: &HashMap<AccountId, AccountHead, S>,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    load::touched(tx, touched, |account| heads.get(account)).await
}

/// Writes the changes of a batch, each kind of fact in one statement. For one object the last
/// change counts. Links, notes and observations that are there already stay. A second active
/// waiver is a [`StoreError::Conflict`]. `Change::CreateAccount` writes nothing: save the head.
pub async fn save(tx: &mut Tx, changes: &[(&AccountId, &[Change])]) -> Result<(), StoreError> {
    save::changes(tx, changes).await
}

/// All facts of an account, of one instant, in one round trip. An account without a row has
/// [`Facts::unknown`] (with whatever facts there are).
pub async fn load(db: &Db, account: &AccountId) -> Result<Facts, StoreError> {
    load::whole(db.into(), std::slice::from_ref(account)).await.map(|all| one(all, account))
}

/// [`load()`] inside a transaction.
pub async fn load_in(tx: &mut Tx, account: &AccountId) -> Result<Facts, StoreError> {
    load::whole(tx.into(), std::slice::from_ref(account)).await.map(|all| one(all, account))
}

/// All facts of many accounts, of one instant. Every account asked for is in the answer.
pub async fn load_many(
    db: &Db,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    load::whole(db.into(), accounts).await
}

/// Notes that something was reported for an account, once; returns whether it was new.
pub async fn note(tx: &mut Tx, account: &AccountId, key: &str) -> Result<bool, StoreError> {
    save::note(tx, account, key).await
}

fn one(mut all: BTreeMap<AccountId, Facts>, account: &AccountId) -> Facts {
    all.remove(account).unwrap_or_else(|| Facts::unknown(account.clone()))
}
