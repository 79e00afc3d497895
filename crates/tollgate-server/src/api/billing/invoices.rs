//! `GET /api/v1/billing/invoices`. Owns: its JSON and pages. Reads what is known here; Stripe is not
//! asked.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use tollgate_domain::Catalog;
use tollgate_domain::ids::{InvoiceId, SubscriptionId};
use tollgate_domain::payment::Invoice;
use tollgate_domain::payment::usage::BilledUsage;
use tollgate_store::facts;

use super::{answer, caller};
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::query::Query;
use crate::app::App;

/// Invoices on a page unless asked otherwise.
const LIMIT_DEFAULT: u64 = 25;
/// Most invoices on a page.
const LIMIT_MAX: u64 = 100;

/// Invoices, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Invoices)]
pub struct InvoicesOut<'a> {
    /// One page.
    pub data: Vec<InvoiceOut<'a>>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<&'a str>,
}

/// One invoice.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Invoice)]
pub struct InvoiceOut<'a> {
    /// Stripe's id.
    pub id: &'a str,
    /// The subscription it bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<&'a str>,
    /// `draft`, `open`, `paid`, `void` or `uncollectible`.
    pub status: &'a str,
    /// Minor units to pay in all.
    pub amount_due: i64,
    /// Minor units paid.
    pub amount_paid: i64,
    /// ISO 4217, lower case.
    pub currency: &'a str,
    /// Why it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_reason: Option<&'a str>,
    /// Start of what it bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub period_start: Option<String>,
    /// End of what it bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub period_end: Option<String>,
    /// Uses of metered features it bills, line by line.
    pub usage: Vec<UsageOut<'a>>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    /// When it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub paid_at: Option<String>,
    /// Stripe's page of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosted_invoice_url: Option<&'a str>,
}

/// Uses of a metered feature on one line of an invoice.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BilledUsage)]
pub struct UsageOut<'a> {
    /// The feature.
    pub feature: &'a str,
    /// How many.
    pub quantity: u64,
    /// Start of the span they happened in.
    #[schema(format = DateTime)]
    pub period_start: String,
    /// End of that span.
    #[schema(format = DateTime)]
    pub period_end: String,
    /// Minor units in the invoice's currency, before discounts and taxes.
    pub amount: i64,
}

/// `GET /api/v1/billing/invoices`
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let mut query = Query::parse(request.uri().query());
    let account = query.account();
    let limit = query.number("limit").unwrap_or(LIMIT_DEFAULT);
    let cursor = query.text("cursor");
    query.finish()?;
    let account = account.ok_or_else(|| ApiError::field("accountId", "is missing"))?;
    caller.may_ask_about(account.as_str())?;
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be from 1 to {LIMIT_MAX}")));
    }
    let unknown = || ApiError::field("cursor", "is not one that a reply gave");
    let after =
        cursor.map(|cursor| InvoiceId::parse(&cursor).map_err(|_| unknown())).transpose()?;
    // One more than asked for tells whether there is another page.
    let most = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let found = facts::list_invoices(&app.engine.db, &account, after.as_ref(), most).await?;
    let mut page = found.ok_or_else(unknown)?;
    let more = page.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        page.pop();
    }
    let catalog = &app.engine.catalog;
    let last = page.last().map(|invoice| invoice.id.as_str());
    answer(&InvoicesOut {
        data: page.iter().map(|invoice| shown(invoice, catalog)).collect(),
        next_cursor: last.filter(|_| more),
    })
}

fn shown<'a>(invoice: &'a Invoice, catalog: &'a Catalog) -> InvoiceOut<'a> {
    let state = &invoice.state;
    InvoiceOut {
        id: invoice.id.as_str(),
        subscription_id: invoice.subscription.as_ref().map(SubscriptionId::as_str),
        status: state.status.as_str(),
        amount_due: state.amount_due_minor,
        amount_paid: state.amount_paid_minor,
        currency: state.currency.as_str(),
        billing_reason: state.billing_reason.as_deref(),
        period_start: state.period_start.map(|at| at.to_string()),
        period_end: state.period_end.map(|at| at.to_string()),
        usage: invoice.billed_usage(catalog).map(usage_out).collect(),
        created_at: state.created.map(|at| at.to_string()),
        paid_at: invoice.paid_at.map(|at| at.to_string()),
        hosted_invoice_url: state.hosted_url.as_deref(),
    }
}

fn usage_out(billed: BilledUsage<'_>) -> UsageOut<'_> {
    UsageOut {
        feature: billed.feature.as_str(),
        quantity: billed.quantity,
        period_start: billed.start.to_string(),
        period_end: billed.end.to_string(),
        amount: billed.amount_minor,
    }
}
