//! Reading facts. Owns: the two statements that read any kind of fact in one round trip, and the
//! way back from their rows. Must not know: what follows from facts.
//!
//! Every row is (kind, account, JSON list of the columns): one shape for all tables, so that one
//! statement, and with it one instant, covers them all.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_domain::Facts;
use tollgate_domain::ids::{AccountId, SubscriptionId};
use tollgate_domain::subscription::{Subscription, SubscriptionState};

use super::cells::{
    AdjustmentCells, BoostCells, CustomerCells, GrantCells, InvoiceCells, OverrideCells,
    PurchaseCells, StateCells, SubscriptionCells, WaiverCells,
};
use super::{HISTORY_STATES_MAX, Touched};
use crate::accounts::AccountHead;
use crate::db::Tx;
use crate::error::StoreError;
use crate::prose;
use crate::statement::{Cells, Handle, Row, Rows, statements};
use crate::wire::{self, Key, StateCell};

// What a row is; the numbers stand in the statements.
const ACCOUNT: i64 = 0;
const CUSTOMER: i64 = 1;
const SUBSCRIPTION: i64 = 2;
const STATE: i64 = 3;
const INVOICE: i64 = 4;
const PURCHASE: i64 = 5;
const ADJUSTMENT: i64 = 6;
const WAIVER: i64 = 7;
const GRANT: i64 = 8;
const BOOST: i64 = 9;
const OVERRIDE: i64 = 10;
const NOTE: i64 = 11;

macro_rules! customer_columns {
    () => {
        "CAST(1 AS BIGINT), t.account_id, {json:t.customer_id, t.member_id, t.email, \
         CASE WHEN t.deleted THEN 1 ELSE 0 END, t.at, t.event_id}"
    };
}
macro_rules! subscription_columns {
    () => {
        "CAST(2 AS BIGINT), t.account_id, {json:t.subscription_id, t.customer_id, t.member_id, \
         t.contenders}"
    };
}
macro_rules! invoice_columns {
    () => {
        "CAST(4 AS BIGINT), t.account_id, {json:t.invoice_id, t.subscription_id, t.status, \
         t.amount_due, t.amount_paid, t.currency, t.attempt_count, t.billing_reason, \
         t.collection_method, t.hosted_url, t.period_start, t.period_end, t.created, t.paid_at, \
         t.failed_attempts, t.at, t.event_id}"
    };
}
macro_rules! purchase_columns {
    () => {
        "CAST(5 AS BIGINT), t.account_id, {json:t.session_id, t.mode, t.kind, t.claimed_plan, \
         t.member_id, t.subscription_id, t.payment_intent, t.prices, t.subtotal, \
         t.subtotal_currency, t.total, t.total_currency, t.status, t.paid_at, t.failed_at, \
         t.event_id}"
    };
}
macro_rules! adjustment_columns {
    () => {
        "CAST(6 AS BIGINT), t.account_id, {json:t.adjustment_id, t.kind, t.payment_intent, \
         t.charge, t.amount, t.currency, t.status, t.at, t.event_id, t.effective_at}"
    };
}
macro_rules! note_branch {
    () => {
        " UNION ALL SELECT CAST(11 AS BIGINT), t.account_id, {json:t.note} \
         FROM r CROSS JOIN noted_facts t WHERE t.account_id = r.account_id"
    };
}

statements! {
    /// Everything known of the accounts of a batch; at most `$1` states of a subscription.
    WHOLE = concat!(
        "WITH {rows:account_id text} \
         SELECT CAST(0 AS BIGINT), t.account_id, {json:t.revision} \
         FROM r CROSS JOIN accounts t WHERE t.account_id = r.account_id UNION ALL SELECT ",
        customer_columns!(),
        " FROM r CROSS JOIN customers t WHERE t.account_id = r.account_id UNION ALL SELECT ",
        subscription_columns!(),
        " FROM r CROSS JOIN subscriptions t WHERE t.account_id = r.account_id UNION ALL \
         SELECT CAST(3 AS BIGINT), s.account_id, {json:s.subscription_id, s.state} FROM ( \
            SELECT t.account_id, t.subscription_id, t.state, \
                row_number() OVER (PARTITION BY t.account_id, t.subscription_id \
                    ORDER BY t.at DESC, t.lifecycle_rank DESC, t.event_id DESC) AS place \
            FROM r CROSS JOIN subscription_states t WHERE t.account_id = r.account_id) s \
         WHERE s.place <= CAST($1 AS BIGINT) UNION ALL SELECT ",
        invoice_columns!(),
        " FROM r CROSS JOIN subscription_invoices t WHERE t.account_id = r.account_id \
         UNION ALL SELECT ",
        purchase_columns!(),
        " FROM r CROSS JOIN purchases t WHERE t.account_id = r.account_id UNION ALL SELECT ",
        adjustment_columns!(),
        " FROM r CROSS JOIN payment_adjustments t WHERE t.account_id = r.account_id \
         UNION ALL SELECT CAST(7 AS BIGINT), t.account_id, {json:t.waiver_id, t.plan, t.reason, \
            t.granted_by, t.granted_at, t.expires_at, t.internal_notes, t.revoked_at, \
            t.revoked_by, t.revoke_reason} \
         FROM r CROSS JOIN fee_waivers t WHERE t.account_id = r.account_id \
         UNION ALL SELECT CAST(8 AS BIGINT), t.account_id, {json:t.grant_id, t.plan, t.reason, \
            t.granted_by, t.granted_at, t.expires_at, t.revoked_at, t.revoked_by, \
            t.revoke_reason} \
         FROM r CROSS JOIN grants t WHERE t.account_id = r.account_id \
         UNION ALL SELECT CAST(9 AS BIGINT), t.account_id, {json:t.boost_id, t.member_id, \
            t.boost_count, t.reason, t.granted_by, t.granted_at, t.expires_at, t.revoked_at, \
            t.revoked_by, t.revoke_reason} \
         FROM r CROSS JOIN boosts t WHERE t.account_id = r.account_id \
         UNION ALL SELECT CAST(10 AS BIGINT), t.account_id, {json:t.override_id, t.feature, \
            t.effect, t.reason, t.granted_by, t.granted_at, t.expires_at, t.revoked_at, \
            t.revoked_by, t.revoke_reason} \
         FROM r CROSS JOIN overrides t WHERE t.account_id = r.account_id",
        note_branch!(),
    );

    /// The objects a batch touches, and no more. A row names an object or, for purchases and
    /// adjustments, a payment intent.
    TOUCHED = concat!(
        "WITH {rows:kind bigint, account_id text, object_id text} SELECT ",
        customer_columns!(),
        " FROM r CROSS JOIN customers t WHERE r.kind = 1 AND t.account_id = r.account_id \
         AND t.customer_id = r.object_id UNION ALL SELECT ",
        subscription_columns!(),
        " FROM r CROSS JOIN subscriptions t WHERE r.kind = 2 AND t.account_id = r.account_id \
         AND t.subscription_id = r.object_id UNION ALL SELECT ",
        invoice_columns!(),
        " FROM r CROSS JOIN subscription_invoices t WHERE r.kind = 4 \
         AND t.account_id = r.account_id AND t.invoice_id = r.object_id UNION ALL SELECT ",
        purchase_columns!(),
        " FROM r CROSS JOIN purchases t WHERE r.kind = 5 AND t.account_id = r.account_id \
         AND t.session_id = r.object_id UNION ALL SELECT ",
        purchase_columns!(),
        " FROM r CROSS JOIN purchases t WHERE r.kind = 12 AND t.account_id = r.account_id \
         AND t.payment_intent = r.object_id UNION ALL SELECT ",
        adjustment_columns!(),
        " FROM r CROSS JOIN payment_adjustments t WHERE r.kind = 6 \
         AND t.account_id = r.account_id AND t.adjustment_id = r.object_id UNION ALL SELECT ",
        adjustment_columns!(),
        " FROM r CROSS JOIN payment_adjustments t WHERE r.kind = 12 \
         AND t.account_id = r.account_id AND t.payment_intent = r.object_id",
        note_branch!(),
        " AND r.kind = 11",
    );
}

/// What a row of a batch asks for beside the kinds above: what belongs to a payment intent.
const PAYMENT_INTENT: i64 = 12;

pub(super) async fn whole(
    handle: Handle<'_>,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    let mut sorted: Vec<&AccountId> = accounts.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut all = empty(sorted.iter().copied());
    if sorted.is_empty() {
        return Ok(all);
    }
    let rows = Rows::of(&sorted).text(|account| account.as_str());
    let limit = i64::from(HISTORY_STATES_MAX);
    for row in WHOLE.on(handle).bigint(limit).rows(rows).fetch().await? {
        take_row(&row, &mut all)?;
    }
    all.values_mut().for_each(sort);
    Ok(all)
}

/// Puts lists in their order: observations by version, our own facts by age.
fn sort(facts: &mut Facts) {
    for subscription in facts.subscriptions.values_mut() {
        subscription.history.sort_unstable_by(|a, b| {
            let key = |state: &SubscriptionState| (state.version.at, state.version.rank);
            key(a).cmp(&key(b)).then_with(|| a.version.event.cmp(&b.version.event))
        });
    }
    facts.waivers.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
    facts.grants.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
    facts.boosts.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
    facts.overrides.sort_unstable_by(|a, b| (a.granted_at, &a.id).cmp(&(b.granted_at, &b.id)));
}

pub(super) async fn touched<'h>(
    tx: &mut Tx,
    touched: &Touched,
    head_of: impl Fn(&AccountId) -> Option<&'h AccountHead>,
) -> Result<BTreeMap<AccountId, Facts>, StoreError> {
    let mut all = empty(touched.accounts.keys());
    for (account, facts) in &mut all {
        if let Some(head) = head_of(account) {
            facts.known = head.known;
            facts.revision = head.revision;
        }
    }
    let asked = asked(touched);
    if asked.is_empty() {
        return Ok(all);
    }
    let rows = Rows::of(&asked)
        .bigint(|(kind, _, _)| *kind)
        .text(|(_, account, _)| account)
        .text(|(_, _, object)| object);
    for row in TOUCHED.on(tx).rows(rows).fetch().await? {
        take_row(&row, &mut all)?;
    }
    Ok(all)
}

fn empty<'a>(accounts: impl Iterator<Item = &'a AccountId>) -> BTreeMap<AccountId, Facts> {
    accounts.map(|account| (account.clone(), Facts::unknown(account.clone()))).collect()
}

/// A row of a batch of [`TOUCHED`]: kind, account, object.
type Asked<'a> = (i64, &'a str, &'a str);

/// The rows of a batch of [`TOUCHED`], sorted and each once.
fn asked(touched: &Touched) -> Vec<Asked<'_>> {
    let mut all = Vec::new();
    for (account, objects) in &touched.accounts {
        let account = account.as_str();
        all.push((NOTE, account, ""));
        ask(&mut all, CUSTOMER, account, &objects.customers);
        ask(&mut all, SUBSCRIPTION, account, &objects.subscriptions);
        ask(&mut all, INVOICE, account, &objects.invoices);
        ask(&mut all, PURCHASE, account, &objects.purchases);
        ask(&mut all, ADJUSTMENT, account, &objects.adjustments);
        ask(&mut all, PAYMENT_INTENT, account, &objects.payment_intents);
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn ask<'a, K: Key>(all: &mut Vec<Asked<'a>>, kind: i64, account: &'a str, ids: &'a [K]) {
    all.extend(ids.iter().map(|id| (kind, account, id.text())));
}

/// Puts one row where it belongs.
fn take_row(row: &Row, all: &mut BTreeMap<AccountId, Facts>) -> Result<(), StoreError> {
    let mut cells: Cells<'_> = row.cells();
    let (kind, account, json) = (cells.bigint()?, cells.text()?, cells.text()?);
    let Some(facts) = all.get_mut(account) else { return Ok(()) };
    let row = Json { table: table(kind), account, json };
    match kind {
        ACCOUNT => {
            let (revision,): (i64,) = row.read()?;
            facts.known = true;
            facts.revision = wire::uncount(revision);
        }
        CUSTOMER => {
            let customer = row.read::<CustomerCells>()?.fact();
            facts.customers.insert(customer.id.clone(), customer);
        }
        SUBSCRIPTION => {
            let cells: SubscriptionCells = row.read()?;
            let contenders = wire::states_from_json(&cells.contenders).map_err(|e| row.bad(&e))?;
            let known = facts.subscriptions.entry(cells.id).or_insert_with_key(no_subscription);
            known.customer = cells.customer;
            known.member = cells.member;
            known.contenders = contenders;
        }
        STATE => {
            let cells: StateCells = row.read()?;
            let state: StateCell = serde_json::from_str(&cells.state).map_err(|e| row.bad(&e))?;
            let known = facts.subscriptions.entry(cells.id).or_insert_with_key(no_subscription);
            known.history.push(state.0);
        }
        INVOICE => {
            let invoice = row.read::<InvoiceCells>()?.fact().map_err(|e| row.bad(&e))?;
            facts.invoices.insert(invoice.id.clone(), invoice);
        }
        PURCHASE => {
            let purchase = row.read::<PurchaseCells>()?.fact().map_err(|e| row.bad(&e))?;
            facts.purchases.insert(purchase.id.clone(), purchase);
        }
        ADJUSTMENT => {
            let adjustment = row.read::<AdjustmentCells>()?.fact().map_err(|e| row.bad(&e))?;
            facts.adjustments.insert(adjustment.id.clone(), adjustment);
        }
        other => take_own_row(other, &row, facts)?,
    }
    Ok(())
}

/// Puts one row of our own facts where it belongs.
fn take_own_row(kind: i64, row: &Json<'_>, facts: &mut Facts) -> Result<(), StoreError> {
    match kind {
        WAIVER => facts.waivers.push(row.read::<WaiverCells>()?.fact()),
        GRANT => facts.grants.push(row.read::<GrantCells>()?.fact()),
        BOOST => facts.boosts.push(row.read::<BoostCells>()?.fact()),
        OVERRIDE => {
            let fact = row.read::<OverrideCells>()?.fact().map_err(|e| row.bad(&e))?;
            facts.overrides.push(fact);
        }
        _ => {
            let (note,): (String,) = row.read()?;
            facts.noted.insert(prose::from_column(&note).into_owned());
        }
    }
    Ok(())
}

const fn table(kind: i64) -> &'static str {
    match kind {
        ACCOUNT => "accounts",
        CUSTOMER => "customers",
        SUBSCRIPTION => "subscriptions",
        STATE => "subscription_states",
        INVOICE => "subscription_invoices",
        PURCHASE => "purchases",
        ADJUSTMENT => "payment_adjustments",
        WAIVER => "fee_waivers",
        GRANT => "grants",
        BOOST => "boosts",
        OVERRIDE => "overrides",
        _ => "noted_facts",
    }
}

/// A subscription of which a row is known and others are to come.
fn no_subscription(id: &SubscriptionId) -> Subscription {
    Subscription {
        id: id.clone(),
        customer: None,
        member: None,
        contenders: Vec::new(),
        history: Vec::new(),
    }
}

/// The columns of a row.
struct Json<'a> {
    table: &'static str,
    account: &'a str,
    json: &'a str,
}

impl<'a> Json<'a> {
    fn read<T: Deserialize<'a>>(&self) -> Result<T, StoreError> {
        serde_json::from_str(self.json).map_err(|error| self.bad(&error))
    }

    fn bad(&self, error: &dyn std::fmt::Display) -> StoreError {
        let row: String = self.json.chars().take(80).collect();
        StoreError::Corrupt {
            table: self.table,
            row: format!("{} {row}", self.account),
            reason: error.to_string(),
        }
    }
}
