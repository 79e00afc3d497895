//! Writing facts. Owns: one statement per kind of fact for a whole batch. Must not know: who may
//! change a fact.
//!
//! Rows go in by rising key, so that batches of several instances cannot lock each other out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tollgate_domain::Link;
use tollgate_domain::change::Change;
use tollgate_domain::facts::{BoostGrant, Customer, Grant, Override, Waiver};
use tollgate_domain::ids::AccountId;
use tollgate_domain::payment::{Adjustment, Invoice, Purchase, PurchaseKind, SessionMode};
use tollgate_domain::subscription::{Subscription, SubscriptionState};

use super::own::{boosts, grants, overrides, waivers};
use crate::db::Tx;
use crate::error::StoreError;
use crate::statement::{Rows, statements};
use crate::wire::{self, Key};

statements! {
    /// The first link of an object stays.
    LINKS = "WITH {rows:object_id text, account_id text, member_id text} \
        INSERT INTO stripe_links (object_id, account_id, member_id) \
        SELECT object_id, account_id, member_id FROM r WHERE true \
        ON CONFLICT (object_id) DO NOTHING";

    CUSTOMERS = "WITH {rows:account_id text, customer_id text, member_id text, email text, \
            deleted boolean, at bigint, event_id text} \
        INSERT INTO customers (account_id, customer_id, member_id, email, deleted, at, event_id) \
        SELECT account_id, customer_id, member_id, email, deleted, at, event_id FROM r WHERE true \
        ON CONFLICT (account_id, customer_id) DO UPDATE SET member_id = excluded.member_id, \
            email = excluded.email, deleted = excluded.deleted, at = excluded.at, \
            event_id = excluded.event_id";

    SUBSCRIPTIONS = "WITH {rows:account_id text, subscription_id text, customer_id text, \
            member_id text, contenders text, status text, current_period_start bigint, \
            current_period_end bigint, cancel_at bigint, ended_at bigint, trial_end bigint, \
            uncertain boolean} \
        INSERT INTO subscriptions (account_id, subscription_id, customer_id, member_id, \
            contenders, status, current_period_start, current_period_end, cancel_at, ended_at, \
            trial_end, uncertain) \
        SELECT account_id, subscription_id, customer_id, member_id, contenders, status, \
            current_period_start, current_period_end, cancel_at, ended_at, trial_end, uncertain \
        FROM r WHERE true \
        ON CONFLICT (account_id, subscription_id) DO UPDATE SET \
            customer_id = excluded.customer_id, member_id = excluded.member_id, \
            contenders = excluded.contenders, status = excluded.status, \
            current_period_start = excluded.current_period_start, \
            current_period_end = excluded.current_period_end, cancel_at = excluded.cancel_at, \
            ended_at = excluded.ended_at, trial_end = excluded.trial_end, \
            uncertain = excluded.uncertain";

    /// An observation that is there already stays. The account is locked, so looking first is
    /// safe, and it is cheaper than ON CONFLICT, which writes two log records for each row.
    STATES = "WITH {rows:account_id text, subscription_id text, at bigint, \
            lifecycle_rank bigint, event_id text, state text} \
        INSERT INTO subscription_states (account_id, subscription_id, at, lifecycle_rank, \
            event_id, state) \
        SELECT account_id, subscription_id, at, lifecycle_rank, event_id, state FROM r \
        WHERE NOT EXISTS (SELECT 1 FROM subscription_states t \
            WHERE t.account_id = r.account_id AND t.subscription_id = r.subscription_id \
                AND t.at = r.at AND t.lifecycle_rank = r.lifecycle_rank \
                AND t.event_id = r.event_id)";

    INVOICES = "WITH {rows:account_id text, invoice_id text, subscription_id text, status text, \
            amount_due bigint, amount_paid bigint, currency text, attempt_count bigint, \
            billing_reason text, collection_method text, hosted_url text, period_start bigint, \
            period_end bigint, created bigint, paid_at bigint, failed_attempts text, at bigint, \
            event_id text} \
        INSERT INTO subscription_invoices (account_id, invoice_id, subscription_id, status, \
            amount_due, amount_paid, currency, attempt_count, billing_reason, \
            collection_method, hosted_url, period_start, period_end, created, paid_at, \
            failed_attempts, at, event_id) \
        SELECT account_id, invoice_id, subscription_id, status, amount_due, amount_paid, \
            currency, attempt_count, billing_reason, collection_method, hosted_url, \
            period_start, period_end, created, paid_at, failed_attempts, at, event_id \
        FROM r WHERE true \
        ON CONFLICT (account_id, invoice_id) DO UPDATE SET \
            subscription_id = excluded.subscription_id, status = excluded.status, \
            amount_due = excluded.amount_due, amount_paid = excluded.amount_paid, \
            currency = excluded.currency, attempt_count = excluded.attempt_count, \
            billing_reason = excluded.billing_reason, \
            collection_method = excluded.collection_method, hosted_url = excluded.hosted_url, \
            period_start = excluded.period_start, period_end = excluded.period_end, \
            created = excluded.created, paid_at = excluded.paid_at, \
            failed_attempts = excluded.failed_attempts, at = excluded.at, \
            event_id = excluded.event_id";

    PURCHASES = "WITH {rows:account_id text, session_id text, mode text, kind text, \
            claimed_plan text, member_id text, subscription_id text, payment_intent text, \
            prices text, subtotal bigint, subtotal_currency text, total bigint, \
            total_currency text, status text, paid_at bigint, failed_at bigint, event_id text} \
        INSERT INTO purchases (account_id, session_id, mode, kind, claimed_plan, member_id, \
            subscription_id, payment_intent, prices, subtotal, subtotal_currency, total, \
            total_currency, status, paid_at, failed_at, event_id) \
        SELECT account_id, session_id, mode, kind, claimed_plan, member_id, subscription_id, \
            payment_intent, prices, subtotal, subtotal_currency, total, total_currency, \
            status, paid_at, failed_at, event_id \
        FROM r WHERE true \
        ON CONFLICT (account_id, session_id) DO UPDATE SET mode = excluded.mode, \
            kind = excluded.kind, claimed_plan = excluded.claimed_plan, \
            member_id = excluded.member_id, subscription_id = excluded.subscription_id, \
            payment_intent = excluded.payment_intent, prices = excluded.prices, \
            subtotal = excluded.subtotal, subtotal_currency = excluded.subtotal_currency, \
            total = excluded.total, total_currency = excluded.total_currency, \
            status = excluded.status, paid_at = excluded.paid_at, \
            failed_at = excluded.failed_at, event_id = excluded.event_id";

    ADJUSTMENTS = "WITH {rows:account_id text, adjustment_id text, kind text, \
            payment_intent text, charge text, amount bigint, currency text, status text, \
            at bigint, event_id text, effective_at bigint} \
        INSERT INTO payment_adjustments (account_id, adjustment_id, kind, payment_intent, \
            charge, amount, currency, status, at, event_id, effective_at) \
        SELECT account_id, adjustment_id, kind, payment_intent, charge, amount, currency, \
            status, at, event_id, effective_at \
        FROM r WHERE true \
        ON CONFLICT (account_id, adjustment_id) DO UPDATE SET kind = excluded.kind, \
            payment_intent = excluded.payment_intent, charge = excluded.charge, \
            amount = excluded.amount, currency = excluded.currency, status = excluded.status, \
            at = excluded.at, event_id = excluded.event_id, \
            effective_at = excluded.effective_at";

    /// A note that is there already stays.
    NOTES = "WITH {rows:account_id text, note text} \
        INSERT INTO noted_facts (account_id, note) SELECT account_id, note FROM r WHERE true \
        ON CONFLICT DO NOTHING";
}

/// What a batch writes of one kind, by account and key, the last write of each.
type Saved<'a, T> = BTreeMap<(&'a str, &'a str), &'a T>;

/// What a batch writes.
#[derive(Default)]
struct Batch<'a> {
    links: BTreeMap<&'a str, &'a Link>,
    customers: Saved<'a, Customer>,
    subscriptions: Saved<'a, Subscription>,
    states: BTreeMap<(&'a str, &'a str, i64, i64, &'a str), &'a SubscriptionState>,
    invoices: Saved<'a, Invoice>,
    purchases: Saved<'a, Purchase>,
    adjustments: Saved<'a, Adjustment>,
    waivers: Saved<'a, Waiver>,
    grants: Saved<'a, Grant>,
    boosts: Saved<'a, BoostGrant>,
    overrides: Saved<'a, Override>,
    notes: Saved<'a, String>,
}

impl<'a> Batch<'a> {
    fn take(&mut self, account: &'a str, change: &'a Change) {
        match change {
            Change::CreateAccount => {}
            Change::Link(link) => {
                self.links.entry(link.object.as_str()).or_insert(link);
            }
            Change::SaveCustomer(one) => put(&mut self.customers, account, &one.id, one),
            Change::SaveSubscription(one) => put(&mut self.subscriptions, account, &one.id, one),
            Change::AppendSubscriptionState(id, state) => {
                let version = &state.version;
                let (at, rank) = (version.at.millis(), version.rank.as_i64());
                let key = (account, id.as_str(), at, rank, version.event.as_str());
                self.states.entry(key).or_insert(state);
            }
            Change::SaveInvoice(one) => put(&mut self.invoices, account, &one.id, one),
            Change::SavePurchase(one) => put(&mut self.purchases, account, &one.id, one),
            Change::SaveAdjustment(one) => put(&mut self.adjustments, account, &one.id, one),
            Change::SaveWaiver(one) => put(&mut self.waivers, account, &one.id, one),
            Change::SaveGrant(one) => put(&mut self.grants, account, &one.id, one),
            Change::SaveBoost(one) => put(&mut self.boosts, account, &one.id, one),
            Change::SaveOverride(one) => put(&mut self.overrides, account, &one.id, one),
            Change::Note(key) => {
                self.notes.insert((account, key), key);
            }
        }
    }
}

fn put<'a, T>(saved: &mut Saved<'a, T>, account: &'a str, id: &'a impl Key, one: &'a T) {
    saved.insert((account, id.text()), one);
}

/// A row of a kind: account, key, fact.
pub(super) type Keyed<'a, T> = ((&'a str, &'a str), &'a T);

fn rows<T>(saved: Saved<'_, T>) -> Vec<Keyed<'_, T>> {
    saved.into_iter().collect()
}

pub(super) async fn changes(
    tx: &mut Tx,
    all: &[(&AccountId, &[Change])],
) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    for (account, changes) in all {
        for change in *changes {
            batch.take(account.as_str(), change);
        }
    }
    links(tx, batch.links.into_values().collect()).await?;
    customers(tx, rows(batch.customers)).await?;
    subscriptions(tx, rows(batch.subscriptions)).await?;
    states(tx, batch.states.into_iter().collect()).await?;
    invoices(tx, rows(batch.invoices)).await?;
    purchases(tx, rows(batch.purchases)).await?;
    adjustments(tx, rows(batch.adjustments)).await?;
    waivers(tx, rows(batch.waivers)).await?;
    grants(tx, rows(batch.grants)).await?;
    boosts(tx, rows(batch.boosts)).await?;
    overrides(tx, rows(batch.overrides)).await?;
    notes(tx, rows(batch.notes)).await
}

pub(super) async fn note(tx: &mut Tx, account: &AccountId, key: &str) -> Result<bool, StoreError> {
    let one = [(account.as_str(), key)];
    let rows = Rows::of(&one).text(|(account, _)| account).prose(|(_, key)| key);
    Ok(NOTES.on(tx).rows(rows).execute().await? == 1)
}

pub(super) fn opt<K: Key>(key: Option<&K>) -> Option<&str> {
    key.map(Key::text)
}

pub(super) fn millis(at: Option<tollgate_domain::Timestamp>) -> Option<i64> {
    at.map(tollgate_domain::Timestamp::millis)
}

async fn links(tx: &mut Tx, links: Vec<&Link>) -> Result<(), StoreError> {
    if links.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&links)
        .text(|link| link.object.as_str())
        .text(|link| link.account.as_str())
        .opt_text(|link| opt(link.member.as_ref()));
    LINKS.on(tx).rows(rows).execute().await.map(|_| ())
}

async fn customers(tx: &mut Tx, facts: Vec<Keyed<'_, Customer>>) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .opt_text(|(_, fact)| opt(fact.member.as_ref()))
        .opt_prose(|(_, fact)| fact.email.as_deref())
        .boolean(|(_, fact)| fact.deleted)
        .opt_bigint(|(_, fact)| millis(fact.at))
        .opt_text(|(_, fact)| opt(fact.event.as_ref()));
    CUSTOMERS.on(tx).rows(rows).execute().await.map(|_| ())
}

async fn subscriptions(tx: &mut Tx, facts: Vec<Keyed<'_, Subscription>>) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = facts.iter().map(|(key, fact)| (*key, *fact, fact.state())).collect();
    let rows = Rows::of(&shown)
        .text(|((account, _), _, _)| account)
        .text(|((_, id), _, _)| id)
        .opt_text(|(_, fact, _)| opt(fact.customer.as_ref()))
        .opt_text(|(_, fact, _)| opt(fact.member.as_ref()))
        .made_text(|(_, fact, _)| Cow::Owned(wire::states_to_json(&fact.contenders)))
        .prose(|(_, _, state)| state.map_or("", |state| state.status.as_str()))
        .opt_bigint(|(_, _, state)| millis(state.and_then(SubscriptionState::period_start)))
        .opt_bigint(|(_, _, state)| millis(state.and_then(SubscriptionState::period_end)))
        .opt_bigint(|(_, _, state)| millis(state.and_then(SubscriptionState::pending_end)))
        .opt_bigint(|(_, _, state)| millis(state.and_then(|state| state.ended_at)))
        .opt_bigint(|(_, _, state)| millis(state.and_then(|state| state.trial_end)))
        .boolean(|(_, fact, _)| fact.is_uncertain());
    SUBSCRIPTIONS.on(tx).rows(rows).execute().await.map(|_| ())
}

/// A row of the history: (account, subscription, time, rank, event), observation.
type StateRow<'a> = ((&'a str, &'a str, i64, i64, &'a str), &'a SubscriptionState);

async fn states(tx: &mut Tx, states: Vec<StateRow<'_>>) -> Result<(), StoreError> {
    if states.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&states)
        .text(|((account, ..), _)| account)
        .text(|((_, id, ..), _)| id)
        .bigint(|((_, _, at, ..), _)| *at)
        .bigint(|((.., rank, _), _)| *rank)
        .text(|((.., event), _)| event)
        .made_text(|(_, state)| Cow::Owned(wire::to_json(&wire::StateRef(state))));
    STATES.on(tx).rows(rows).execute().await.map(|_| ())
}

async fn invoices(tx: &mut Tx, facts: Vec<Keyed<'_, Invoice>>) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .opt_text(|(_, fact)| opt(fact.subscription.as_ref()))
        .text(|(_, fact)| fact.state.status.as_str())
        .bigint(|(_, fact)| fact.state.amount_due_minor)
        .bigint(|(_, fact)| fact.state.amount_paid_minor)
        .text(|(_, fact)| fact.state.currency.as_str())
        .bigint(|(_, fact)| i64::from(fact.state.attempt_count))
        .opt_prose(|(_, fact)| fact.state.billing_reason.as_deref())
        .opt_prose(|(_, fact)| fact.state.collection_method.as_deref())
        .opt_prose(|(_, fact)| fact.state.hosted_url.as_deref())
        .opt_bigint(|(_, fact)| millis(fact.state.period_start))
        .opt_bigint(|(_, fact)| millis(fact.state.period_end))
        .opt_bigint(|(_, fact)| millis(fact.state.created))
        .opt_bigint(|(_, fact)| millis(fact.paid_at))
        .made_text(|(_, fact)| Cow::Owned(wire::attempts_to_json(&fact.failed_attempts)))
        .bigint(|(_, fact)| fact.state.at.millis())
        .text(|(_, fact)| fact.state.event.as_str());
    INVOICES.on(tx).rows(rows).execute().await.map(|_| ())
}

async fn purchases(tx: &mut Tx, facts: Vec<Keyed<'_, Purchase>>) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .text(|(_, fact)| mode(fact.mode))
        .text(|(_, fact)| kind(&fact.kind).0)
        .opt_text(|(_, fact)| kind(&fact.kind).1)
        .opt_text(|(_, fact)| opt(fact.member.as_ref()))
        .opt_text(|(_, fact)| opt(fact.subscription.as_ref()))
        .opt_text(|(_, fact)| opt(fact.payment_intent.as_ref()))
        .made_text(|(_, fact)| Cow::Owned(wire::prices_to_json(&fact.prices)))
        .opt_bigint(|(_, fact)| fact.subtotal.map(|money| money.amount_minor))
        .opt_text(|(_, fact)| fact.subtotal.as_ref().map(|money| money.currency.as_str()))
        .opt_bigint(|(_, fact)| fact.total.map(|money| money.amount_minor))
        .opt_text(|(_, fact)| fact.total.as_ref().map(|money| money.currency.as_str()))
        .text(|(_, fact)| fact.status.as_str())
        .opt_bigint(|(_, fact)| millis(fact.paid_at))
        .opt_bigint(|(_, fact)| millis(fact.failed_at))
        .text(|(_, fact)| fact.event.as_str());
    PURCHASES.on(tx).rows(rows).execute().await.map(|_| ())
}

const fn mode(mode: SessionMode) -> &'static str {
    match mode {
        SessionMode::Payment => "payment",
        SessionMode::Subscription => "subscription",
        SessionMode::Setup => "setup",
    }
}

fn kind(kind: &PurchaseKind) -> (&'static str, Option<&str>) {
    match kind {
        PurchaseKind::Badge => ("badge", None),
        PurchaseKind::Grant { claimed } => ("grant", opt(claimed.as_ref())),
        PurchaseKind::Boost => ("boost", None),
        PurchaseKind::Other => ("other", None),
    }
}

async fn adjustments(tx: &mut Tx, facts: Vec<Keyed<'_, Adjustment>>) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .text(|(_, fact)| fact.kind.as_str())
        .opt_text(|(_, fact)| opt(fact.payment_intent.as_ref()))
        .opt_text(|(_, fact)| opt(fact.charge.as_ref()))
        .bigint(|(_, fact)| fact.amount.amount_minor)
        .text(|(_, fact)| fact.amount.currency.as_str())
        .prose(|(_, fact)| &fact.status)
        .bigint(|(_, fact)| fact.at.millis())
        .text(|(_, fact)| fact.event.as_str())
        .opt_bigint(|(_, fact)| millis(fact.effective_at));
    ADJUSTMENTS.on(tx).rows(rows).execute().await.map(|_| ())
}

async fn notes(tx: &mut Tx, notes: Vec<Keyed<'_, String>>) -> Result<(), StoreError> {
    if notes.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&notes).text(|((account, _), _)| account).prose(|((_, key), _)| key);
    NOTES.on(tx).rows(rows).execute().await.map(|_| ())
}
