//! Facts as rows. Owns: reading and writing every kind of fact. Must not know: what follows from
//! them, who may change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

use tollgate_domain::Facts;
use tollgate_domain::change::Change;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{
    AccountId, AdjustmentId, CustomerId, InvoiceId, ObjectId, SessionId, SubscriptionId,
};
use tollgate_domain::payment::{Invoice, Purchase};
use tollgate_domain::subscription::Subscription;

use crate::accounts::AccountHead;
use crate::db::{Db, Tx};
use crate::error::StoreError;

pub(crate) mod load;
pub(crate) mod row;
pub(crate) mod save;

/// The objects of one account that a batch of events touches. Repetitions do no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TouchedObjects {
    /// Customers.
    pub customers: Vec<CustomerId>,
    /// Subscriptions.
    pub subscriptions: Vec<SubscriptionId>,
    /// Invoices.
    pub invoices: Vec<InvoiceId>,
    /// Schedules of subscriptions.
    pub schedules: Vec<ObjectId>,
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

/// Loads what can matter in the window, and the touched objects whenever they mattered. Every account
/// of `touched` is in the answer; `known` and `revision` are those of its head, when there is one.
pub async fn load_touched<S: BuildHasher>(
    tx: &mut Tx,
    touched: &Touched,
    heads: &HashMap<AccountId, AccountHead, S>,
    window: Window,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    load::touched(tx.into(), touched, |account| heads.get(account), window).await
}

/// [`load_touched`] outside a transaction: what is committed meanwhile may be in a part of it, so the
/// heads must be read before and still be the same when anything that follows from it is written.
pub async fn load_unlocked<S: BuildHasher>(
    db: &Db,
    touched: &Touched,
    heads: &HashMap<AccountId, AccountHead, S>,
    window: Window,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    load::touched(db.into(), touched, |account| heads.get(account), window).await
}

/// The objects of one account that events touch, whenever they mattered. As for [`load_unlocked`].
pub async fn load_objects(
    db: &Db,
    touched: &Touched,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    load::objects(db.into(), touched).await
}

/// The accounts that know of customers, which are those they pay for or belong to.
pub async fn accounts_of_customers(
    tx: &mut Tx,
    customers: &[CustomerId],
) -> Result<BTreeMap<CustomerId, BTreeSet<AccountId>>, StoreError> {
    load::accounts_of_customers(tx, customers).await
}

/// Writes the changes of a batch, all facts in one statement; before that what changes hands. For
/// one object the last change counts. Observations that are there already stay.
/// `Change::CreateAccount` writes nothing: save the head.
pub async fn save(tx: &mut Tx, changes: &[(&AccountId, &[Change])]) -> Result<(), StoreError> {
    save::changes(tx, changes).await
}

/// The facts of an account that can matter in a window, of one instant, in one round trip;
/// [`Window::ALL`] brings everything ever known. An account without a row has [`Facts::unknown`] (with
/// whatever facts there are).
pub async fn load(db: &Db, account: &AccountId, window: Window) -> Result<Facts, StoreError> {
    let all = load::window(db.into(), std::slice::from_ref(account), window).await?;
    Ok(one(all, account))
}

/// [`load()`] of many accounts. Every account asked for is in the answer.
pub async fn load_many(
    db: &Db,
    accounts: &[AccountId],
    window: Window,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    load::window(db.into(), accounts, window).await
}

/// [`load()`] inside a transaction.
pub async fn load_in(
    tx: &mut Tx,
    account: &AccountId,
    window: Window,
) -> Result<Facts, StoreError> {
    let all = load::window(tx.into(), std::slice::from_ref(account), window).await?;
    Ok(one(all, account))
}

/// [`load()`] with the objects named, whenever they mattered. For looking only: it reads twice, and what is committed in between may be in a part of it.
pub async fn load_with(
    db: &Db,
    account: &AccountId,
    objects: TouchedObjects,
    window: Window,
) -> Result<Facts, StoreError> {
    let touched = Touched { accounts: [(account.clone(), objects)].into() };
    let mut all = load::window(db.into(), std::slice::from_ref(account), window).await?;
    load::add_touched(db.into(), &touched, &mut all).await?;
    Ok(one(all, account))
}

/// A page of an account's invoices, the newest first: those after `after`, which must be one of
/// them; `None` when it is not. At most `limit`.
pub async fn list_invoices(
    db: &Db,
    account: &AccountId,
    after: Option<&InvoiceId>,
    limit: u32,
) -> Result<Option<Vec<Invoice>>, StoreError> {
    load::invoices(db, account, after, limit).await
}

/// A purchase of an account, whenever it mattered.
pub async fn find_purchase(
    db: &Db,
    account: &AccountId,
    id: &SessionId,
) -> Result<Option<Purchase>, StoreError> {
    load::purchase(db, account, id).await
}

/// A page of an account's purchases in the order of their ids: those after `after`, at most `limit`.
pub async fn list_purchases(
    db: &Db,
    account: &AccountId,
    after: Option<&SessionId>,
    limit: u32,
) -> Result<Vec<Purchase>, StoreError> {
    load::purchases(db, account, after, limit).await
}

/// The subscriptions an account has or ever had, at most `limit` of them.
pub async fn list_subscriptions(
    db: &Db,
    account: &AccountId,
    limit: u32,
) -> Result<Vec<Subscription>, StoreError> {
    load::subscriptions(db, account, limit).await
}

fn one(mut all: BTreeMap<AccountId, Facts>, account: &AccountId) -> Facts {
    all.remove(account).unwrap_or_else(|| Facts::unknown(account.clone()))
}
