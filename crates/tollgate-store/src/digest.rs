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
            digest.take(&untold(facts))?;
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

/// The hash and the line being written.
struct Canonical {
    hash: Sha256,
    line: Vec<u8>,
}

impl Canonical {
    fn put(&mut self, kind: &str, fact: &impl Serialize) -> Result<(), StoreError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &(kind, fact))?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        Ok(())
    }

    fn put_all<'f, T: Serialize + 'f>(
        &mut self,
        kind: &str,
        facts: impl IntoIterator<Item = &'f T>,
    ) -> Result<(), StoreError> {
        facts.into_iter().try_for_each(|fact| self.put(kind, fact))
    }

    fn take(&mut self, facts: &Facts) -> Result<(), StoreError> {
        self.put("account", &(&facts.account, facts.known))?;
        self.put_all("customer", facts.customers.values())?;
        for one in facts.subscriptions.values() {
            let without = |states: &[SubscriptionState]| {
                states.iter().map(without_price_names).collect::<Vec<_>>()
            };
            let contenders = without(&one.contenders);
            let price_keys = BTreeMap::new();
            self.put("subscription", &Subscription { contenders, price_keys, ..one.clone() })?;
            self.put_all("observation", &without(&one.history))?;
        }
        self.put_all("schedule", facts.schedules.values())?;
        self.put_all("invoice", facts.invoices.values())?;
        self.put_all("invoice_payment", facts.invoice_payments.values())?;
        for one in facts.purchases.values() {
            self.put("purchase", &without_catalog(one))?;
        }
        self.put_all("adjustment", facts.adjustments.values())?;
        self.put_all("operator", facts.operator_facts.values())
    }
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
