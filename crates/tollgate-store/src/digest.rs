//! One hash over the state of the world. Owns: the canonical encoding of facts. Must not know: why
//! two states are compared.
//!
//! Two stores that heard the same events, in whatever order, how often and when, have the same
//! digest. So Stripe's times and ids are in; what depends on us is out: when something was
//! received, revisions, sequences, notes of what was reported, and lookup keys, which only some
//! events carry. The encoding is one JSON list per line, its first value the kind of line.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tollgate_domain::Facts;
use tollgate_domain::Timestamp;
use tollgate_domain::facts::{BoostGrant, Override, OverrideEffect, Revocation};
use tollgate_domain::ids::AccountId;
use tollgate_domain::money::Money;
use tollgate_domain::payment::{Adjustment, Invoice, Purchase, PurchaseKind};
use tollgate_domain::subscription::{Subscription, SubscriptionState};

use crate::accounts;
use crate::db::Db;
use crate::error::StoreError;
use crate::facts;
use crate::wire::{Key, StateRef};

/// Accounts in memory at once.
const PAGE_ACCOUNTS: u32 = 100;

/// SHA-256, in lower-case hex, over the facts of all accounts, sorted.
pub async fn state(db: &Db) -> Result<String, StoreError> {
    let mut digest = Canonical { hash: Sha256::new(), line: Vec::new() };
    let mut last: Option<AccountId> = None;
    loop {
        let page = accounts::list(db, last.as_ref(), PAGE_ACCOUNTS).await?;
        let ids: Vec<AccountId> = page.into_iter().map(|row| row.account).collect();
        for facts in facts::load_many(db, &ids).await?.values() {
            digest.take(facts);
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
    fn put(&mut self, line: &impl Serialize) {
        self.line.clear();
        // A vector takes every byte and all keys are texts, so this cannot fail.
        let _ = serde_json::to_writer(&mut self.line, line);
        self.line.push(b'\n');
        self.hash.update(&self.line);
    }

    fn take(&mut self, facts: &Facts) {
        self.put(&("account", facts.account.as_str(), facts.known));
        for one in facts.customers.values() {
            let owner = (opt(one.member.as_ref()), one.email.as_deref(), one.deleted);
            self.put(&("customer", one.id.as_str(), owner, ms(one.at), opt(one.event.as_ref())));
        }
        facts.subscriptions.values().for_each(|one| self.take_subscription(one));
        facts.invoices.values().for_each(|one| self.take_invoice(one));
        facts.purchases.values().for_each(|one| self.take_purchase(one));
        facts.adjustments.values().for_each(|one| self.take_adjustment(one));
        for one in &facts.waivers {
            let head = ("waiver", one.id.as_str(), one.plan.as_str(), &one.reason);
            let given = given(&one.granted_by, one.granted_at, one.expires_at);
            self.put(&(head, given, &one.internal_notes, revoked(one.revoked.as_ref())));
        }
        for one in &facts.grants {
            let head = ("grant", one.id.as_str(), one.plan.as_str(), &one.reason);
            let given = given(&one.granted_by, one.granted_at, one.expires_at);
            self.put(&(head, given, revoked(one.revoked.as_ref())));
        }
        facts.boosts.iter().for_each(|one| self.take_boost(one));
        facts.overrides.iter().for_each(|one| self.take_override(one));
    }

    fn take_subscription(&mut self, one: &Subscription) {
        let owner = (opt(one.customer.as_ref()), opt(one.member.as_ref()));
        self.put(&("subscription", one.id.as_str(), owner));
        for state in &one.contenders {
            self.put(&("contender", StateRef(&without_lookup_keys(state))));
        }
        for state in &one.history {
            self.put(&("state", StateRef(&without_lookup_keys(state))));
        }
    }

    fn take_invoice(&mut self, one: &Invoice) {
        let state = &one.state;
        let amounts = (state.amount_due_minor, state.amount_paid_minor, state.currency.as_str());
        let texts = (
            state.billing_reason.as_deref(),
            state.collection_method.as_deref(),
            state.hosted_url.as_deref(),
        );
        let times = (ms(state.period_start), ms(state.period_end), ms(state.created));
        let failed = one.failed_attempts.iter().map(|failed| (failed.attempt, failed.at.millis()));
        self.put(&(
            ("invoice", one.id.as_str(), opt(one.subscription.as_ref())),
            (state.at.millis(), state.event.as_str(), state.status.as_str(), state.attempt_count),
            (amounts, texts, times),
            (failed.collect::<Vec<_>>(), ms(one.paid_at)),
        ));
    }

    fn take_purchase(&mut self, one: &Purchase) {
        let kind = match &one.kind {
            PurchaseKind::Badge => ("badge", None),
            PurchaseKind::Grant { claimed } => ("grant", opt(claimed.as_ref())),
            PurchaseKind::Boost => ("boost", None),
            PurchaseKind::Other => ("other", None),
        };
        let objects = (
            opt(one.member.as_ref()),
            opt(one.subscription.as_ref()),
            opt(one.payment_intent.as_ref()),
        );
        let prices: Vec<&str> = one.prices.iter().map(Key::text).collect();
        self.put(&(
            ("purchase", one.id.as_str(), format!("{:?}", one.mode), kind),
            (objects, prices, money(one.subtotal.as_ref()), money(one.total.as_ref())),
            (one.status.as_str(), ms(one.paid_at), ms(one.failed_at), one.event.as_str()),
        ));
    }

    fn take_adjustment(&mut self, one: &Adjustment) {
        self.put(&(
            ("adjustment", one.id.as_str(), one.kind.as_str()),
            (opt(one.payment_intent.as_ref()), opt(one.charge.as_ref())),
            (money(Some(&one.amount)), &one.status),
            (one.at.millis(), one.event.as_str(), ms(one.effective_at)),
        ));
    }

    fn take_boost(&mut self, one: &BoostGrant) {
        let head = ("boost", one.id.as_str(), opt(one.member.as_ref()), one.count, &one.reason);
        let given = given(&one.granted_by, one.granted_at, one.expires_at);
        self.put(&(head, given, revoked(one.revoked.as_ref())));
    }

    fn take_override(&mut self, one: &Override) {
        let effect = match one.effect {
            OverrideEffect::On => ("on", None),
            OverrideEffect::Off => ("off", None),
            OverrideEffect::Limit(limit) => ("limit", limit),
        };
        let head = ("override", one.id.as_str(), one.feature.as_str(), effect, &one.reason);
        let given = given(&one.granted_by, one.granted_at, one.expires_at);
        self.put(&(head, given, revoked(one.revoked.as_ref())));
    }
}

fn without_lookup_keys(state: &SubscriptionState) -> SubscriptionState {
    let mut state = state.clone();
    let before = state.previous.iter_mut().flat_map(|previous| previous.items.iter_mut().flatten());
    for item in state.items.iter_mut().chain(before) {
        item.lookup_key = None;
    }
    state
}

fn opt<K: Key>(key: Option<&K>) -> Option<&str> {
    key.map(Key::text)
}

fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::millis)
}

fn money(money: Option<&Money>) -> Option<(i64, &str)> {
    money.map(|money| (money.amount_minor, money.currency.as_str()))
}

fn given(by: &str, at: Timestamp, until: Option<Timestamp>) -> (&str, i64, Option<i64>) {
    (by, at.millis(), ms(until))
}

fn revoked(revoked: Option<&Revocation>) -> Option<(i64, &str, Option<&str>)> {
    revoked.map(|revoked| (revoked.at.millis(), revoked.by.as_str(), revoked.reason.as_deref()))
}
