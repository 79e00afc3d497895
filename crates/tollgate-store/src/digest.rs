//! One hash over the state of the world. Owns: what of the facts is compared. Must not know: why
//! two states are compared.
//!
//! Two stores that heard the same events, in whatever order, how often and when, have the same
//! digest. So Stripe's times and ids are in; what depends on us is out: when something was
//! received, revisions, sequences, what was told of, the catalog a sale was decided by, and
//! lookup keys and products, which only some events carry. The encoding is one JSON list per line, its
//! first value the kind of line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tollgate_domain::Facts;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::news::Told;
use tollgate_domain::payment::Purchase;
use tollgate_domain::subscription::{Subscription, SubscriptionState};

use crate::accounts;
use crate::db::Db;
use crate::error::StoreError;
use crate::facts;

/// Accounts in memory at once.
const PAGE_ACCOUNTS: u32 = 100;

/// SHA-256, in lower-case hex, over the facts of all accounts, sorted.
pub async fn state(db: &Db) -> Result<String, StoreError> {
    let mut digest = Canonical { hash: Sha256::new(), line: Vec::new() };
    let mut last: Option<AccountId> = None;
    loop {
        let page = accounts::list(db, last.as_ref(), PAGE_ACCOUNTS).await?;
        let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
        for facts in facts::load_many(db, &ids, Window::ALL).await?.into_values() {
            each(&untold(facts), &mut digest)?;
        }
        match ids.into_iter().next_back() {
            Some(id) => last = Some(id),
            None => break,
        }
    }
    let bytes: [u8; 32] = digest.hash.finalize().into();
    let mut hex = String::with_capacity(64);
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// One fact as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedFact {
    /// The kind of fact, such as `subscription`.
    pub kind: &'static str,
    /// Its id; of an observation of a subscription the subscription's id and the event's.
    pub id: String,
    /// What of it is compared.
    pub value: serde_json::Value,
}

/// The facts of one account as [`state`] compares them, in its order.
pub fn compared(facts: &Facts) -> Result<Vec<ComparedFact>, StoreError> {
    let mut list = Vec::new();
    each(&untold(facts.clone()), &mut list)?;
    Ok(list)
}

/// Who is told each fact as it is compared.
trait Sink {
    fn put(
        &mut self,
        kind: &'static str,
        id: &str,
        fact: &impl Serialize,
    ) -> Result<(), StoreError>;
}

/// The hash and the line being written.
struct Canonical {
    hash: Sha256,
    line: Vec<u8>,
}

impl Sink for Canonical {
    fn put(
        &mut self,
        kind: &'static str,
        _: &str,
        fact: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &(kind, fact))?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        Ok(())
    }
}

impl Sink for Vec<ComparedFact> {
    fn put(
        &mut self,
        kind: &'static str,
        id: &str,
        fact: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.push(ComparedFact { kind, id: id.to_owned(), value: serde_json::to_value(fact)? });
        Ok(())
    }
}

fn put_all<'f, I: AsRef<str> + 'f, T: Serialize + 'f>(
    told: &mut impl Sink,
    kind: &'static str,
    facts: impl IntoIterator<Item = (&'f I, &'f T)>,
) -> Result<(), StoreError> {
    facts.into_iter().try_for_each(|(id, fact)| told.put(kind, id.as_ref(), fact))
}

fn each(facts: &Facts, told: &mut impl Sink) -> Result<(), StoreError> {
    told.put("account", facts.account.as_str(), &(&facts.account, facts.known))?;
    put_all(told, "customer", &facts.customers)?;
    for one in facts.subscriptions.values() {
        let without = |states: &[SubscriptionState]| {
            states.iter().map(without_price_names).collect::<Vec<_>>()
        };
        let contenders = without(&one.contenders);
        let price_keys = BTreeMap::new();
        let id = one.id.as_str();
        told.put("subscription", id, &Subscription { contenders, price_keys, ..one.clone() })?;
        for state in &without(&one.history) {
            told.put("observation", &format!("{id} {}", state.version.event), state)?;
        }
    }
    put_all(told, "schedule", &facts.schedules)?;
    put_all(told, "invoice", &facts.invoices)?;
    put_all(told, "invoice_payment", &facts.invoice_payments)?;
    for (id, one) in &facts.purchases {
        told.put("purchase", id.as_str(), &without_catalog(one))?;
    }
    put_all(told, "adjustment", &facts.adjustments)?;
    put_all(told, "operator", &facts.operator_facts)
}

fn untold(mut facts: Facts) -> Facts {
    let told = facts.subscriptions.values_mut().map(|one| &mut one.told);
    let told = told.chain(facts.invoices.values_mut().map(|one| &mut one.told));
    let told = told.chain(facts.purchases.values_mut().map(|one| &mut one.told));
    let told = told.chain(facts.adjustments.values_mut().map(|one| &mut one.told));
    told.chain(facts.operator_facts.values_mut().map(|one| &mut one.told)).for_each(Told::clear);
    facts
}

fn without_price_names(state: &SubscriptionState) -> SubscriptionState {
    let mut state = state.clone();
    let before = state.previous.iter_mut().flat_map(|previous| previous.items.iter_mut().flatten());
    for item in state.items.iter_mut().chain(before) {
        (item.lookup_key, item.product) = (None, None);
    }
    state
}

fn without_catalog(purchase: &Purchase) -> Purchase {
    let mut purchase = purchase.clone();
    for line in &mut purchase.lines {
        (line.lookup_key, line.product) = (None, None);
    }
    for sale in &mut purchase.sales {
        (sale.catalog, sale.product) = (Box::default(), None);
    }
    purchase
}
