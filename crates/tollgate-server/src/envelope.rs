//! The one envelope of billing events. Owns: its JSON. Must not know: who consumes it.
//!
//! It shows our merged state after the change, never Stripe's raw object. The entitlements of the
//! moment are added by whoever publishes, from the account's facts at that moment.

use serde::Serialize;
use tollgate_domain::change::{BillingEvent, FieldChange};
use tollgate_domain::payment::Invoice;
use tollgate_domain::subscription::Subscription;
use tollgate_domain::{Facts, Timestamp};
use tollgate_store::accounts::AccountHead;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    id: String,
    sequence: u64,
    account_id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    occurred_at: String,
    recorded_at: String,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripe_event_id: Option<&'a str>,
    status: &'a str,
    summary: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<SubscriptionOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<InvoiceOut<'a>>,
    usage: [(); 0],
    changes: Vec<ChangeOut<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionOut<'a> {
    subscription_id: &'a str,
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

#[derive(Serialize)]
struct ChangeOut<'a> {
    field: &'static str,
    from: Option<&'a str>,
    to: Option<&'a str>,
}

/// The envelope of an event that has just got its sequence from the head.
pub(crate) fn render(
    event: &BillingEvent,
    head: &AccountHead,
    facts: &Facts,
    now: Timestamp,
) -> String {
    let subscription = event.subscription.as_ref().and_then(|id| facts.subscriptions.get(id));
    let invoice = event.invoice.as_ref().and_then(|id| facts.invoices.get(id));
    let status = invoice
        .map(|invoice| invoice.state.status.as_str())
        .or_else(|| subscription.and_then(Subscription::state).map(|state| state.status.as_str()));
    let envelope = Envelope {
        id: format!("{}:{}", head.account, head.sequence),
        sequence: head.sequence,
        account_id: head.account.as_str(),
        kind: event.kind.as_str(),
        occurred_at: event.occurred_at.to_string(),
        recorded_at: now.to_string(),
        revision: head.revision,
        stripe_event_id: event.stripe_event.as_ref().map(AsRef::as_ref),
        status: status.unwrap_or("done"),
        summary: &event.summary,
        subscription: subscription.and_then(subscription_out),
        invoice: invoice.map(invoice_out),
        usage: [],
        changes: event.changes.iter().map(change_out).collect(),
    };
    serde_json::to_string(&envelope).unwrap_or_default()
}

fn subscription_out(subscription: &Subscription) -> Option<SubscriptionOut<'_>> {
    let state = subscription.state()?;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    Some(SubscriptionOut {
        subscription_id: subscription.id.as_str(),
        status: state.status.as_str(),
        prices: state.items.iter().map(|item| item.price.as_str()).collect(),
        seat_count: state.items.iter().map(|item| item.quantity).max().unwrap_or(0),
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

fn change_out(change: &FieldChange) -> ChangeOut<'_> {
    ChangeOut { field: change.field, from: change.from.as_deref(), to: change.to.as_deref() }
}
