//! The one envelope of billing events. Owns: its JSON. Must not know: who consumes it.
//!
//! It shows our merged state as the decision left it that it tells of, never Stripe's raw object and
//! never what the next event of the same batch made of it. That state is kept with the journal entry;
//! everything else in the envelope is the entry's own.

use serde::Serialize;
use tollgate_domain::change::{BillingEvent, FieldChange};
use tollgate_domain::entitlement::plan_sold;
use tollgate_domain::payment::Invoice;
use tollgate_domain::payment::usage::BilledUsage;
use tollgate_domain::subscription::Subscription;
use tollgate_domain::{Catalog, Facts, Resolution, Timestamp};
use tollgate_store::StoreError;
use tollgate_store::journal::JournalRow;

/// What the entry itself has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place<'a> {
    id: String,
    sequence: u64,
    account_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    occurred_at: String,
    recorded_at: String,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripe_event_id: Option<&'a str>,
}

/// What is kept with the entry.
#[derive(Serialize)]
struct State<'a> {
    status: &'a str,
    summary: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<SubscriptionOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<InvoiceOut<'a>>,
    usage: Vec<UsageOut<'a>>,
    entitlements: &'a EntitlementsOut<'a>,
    changes: Vec<ChangeOut<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionOut<'a> {
    subscription_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_code: Option<&'a str>,
    status: &'a str,
    prices: Vec<&'a str>,
    seat_count: u64,
    auto_renew: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_period_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_period_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial_ends_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvoiceOut<'a> {
    invoice_id: &'a str,
    status: &'static str,
    amount_due_cents: i64,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosted_invoice_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection_method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period_end: Option<String>,
}

/// Uses billed by one line of the invoice.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageOut<'a> {
    feature_key: &'a str,
    quantity: u64,
    period_start: String,
    period_end: String,
    amount_cents: i64,
}

/// What the account has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EntitlementsOut<'a> {
    tier: &'a str,
    source: SourceOut<'a>,
    in_grace_period: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
}

#[derive(Debug, Serialize)]
struct SourceOut<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

#[derive(Serialize)]
struct ChangeOut<'a> {
    field: &'static str,
    from: Option<&'a str>,
    to: Option<&'a str>,
}

/// The state of an account as a decision left it: what its billing events show.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    facts: &'a Facts,
    catalog: &'a Catalog,
    entitlements: EntitlementsOut<'a>,
}

impl<'a> Shown<'a> {
    /// Of facts that hold whatever can matter now, and what they give.
    pub(crate) fn of(facts: &'a Facts, resolution: &'a Resolution, catalog: &'a Catalog) -> Self {
        let entitlements = EntitlementsOut {
            tier: catalog.plan(resolution.plan).map_or("", |plan| plan.id.as_str()),
            source: SourceOut {
                kind: resolution.source.as_str(),
                id: resolution.source_id.as_deref(),
            },
            in_grace_period: resolution.in_grace,
            valid_until: resolution.valid_until.map(|at| at.to_string()),
        };
        Self { facts, catalog, entitlements }
    }
}

/// The state that is kept with the entry of a billing event.
pub(crate) fn state(event: &BillingEvent, shown: &Shown<'_>) -> Result<String, StoreError> {
    let facts = shown.facts;
    let subscription = event.subscription.as_ref().and_then(|id| facts.subscriptions.get(id));
    let invoice = event.invoice.as_ref().and_then(|id| facts.invoices.get(id));
    let status = invoice
        .map(|invoice| invoice.state.status.as_str())
        .or_else(|| subscription.and_then(Subscription::state).map(|state| state.status.as_str()));
    let state = State {
        status: status.unwrap_or("done"),
        summary: &event.summary,
        subscription: subscription.and_then(|one| subscription_out(one, shown.catalog)),
        invoice: invoice.map(invoice_out),
        usage: invoice
            .iter()
            .flat_map(|one| one.billed_usage(shown.catalog))
            .map(usage_out)
            .collect(),
        entitlements: &shown.entitlements,
        changes: event.changes.iter().map(change_out).collect(),
    };
    Ok(serde_json::to_string(&state)?)
}

/// The envelope of an entry; `None` for one that consumers are not told of.
pub fn render(row: &JournalRow) -> Option<String> {
    let told = row.billing.as_ref()?;
    let place = Place {
        id: format!("{}:{}", row.account, row.sequence),
        sequence: row.sequence,
        account_id: row.account.as_str(),
        kind: &told.kind,
        occurred_at: row.occurred_at.to_string(),
        recorded_at: row.recorded_at.to_string(),
        revision: row.revision,
        stripe_event_id: row.event().map(AsRef::as_ref),
    };
    // Both are JSON objects.
    let mut envelope = serde_json::to_string(&place).ok()?;
    envelope.pop();
    envelope.push(',');
    envelope.push_str(told.state.strip_prefix('{')?);
    Some(envelope)
}

fn subscription_out<'a>(
    subscription: &'a Subscription,
    catalog: &'a Catalog,
) -> Option<SubscriptionOut<'a>> {
    let state = subscription.state()?;
    let items = subscription.items_of(state);
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    Some(SubscriptionOut {
        subscription_id: subscription.id.as_str(),
        plan_code: plan_sold(subscription, catalog).map(|plan| plan.id.as_str()),
        status: state.status.as_str(),
        prices: items.iter().map(|item| item.price.as_str()).collect(),
        seat_count: items.iter().map(|item| item.quantity).max().unwrap_or(0),
        auto_renew: state.pending_end().is_none() && !state.status.is_terminal(),
        current_period_start: text(state.period_start()),
        current_period_end: text(state.period_end()),
        trial_ends_at: text(state.trial_end),
        cancel_at: text(state.pending_end()),
    })
}

fn invoice_out(invoice: &Invoice) -> InvoiceOut<'_> {
    let state = &invoice.state;
    InvoiceOut {
        invoice_id: invoice.id.as_str(),
        status: state.status.as_str(),
        amount_due_cents: state.amount_due_minor,
        currency: state.currency.as_str(),
        billing_reason: state.billing_reason.as_deref(),
        hosted_invoice_url: state.hosted_url.as_deref(),
        collection_method: state.collection_method.as_deref(),
        period_start: state.period_start.map(|at| at.to_string()),
        period_end: state.period_end.map(|at| at.to_string()),
    }
}

fn usage_out(billed: BilledUsage<'_>) -> UsageOut<'_> {
    UsageOut {
        feature_key: billed.feature.as_str(),
        quantity: billed.quantity,
        period_start: billed.start.to_string(),
        period_end: billed.end.to_string(),
        amount_cents: billed.amount_minor,
    }
}

fn change_out(change: &FieldChange) -> ChangeOut<'_> {
    ChangeOut { field: change.field, from: change.from.as_deref(), to: change.to.as_deref() }
}
