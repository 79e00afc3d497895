//! Invoices. Owns: what a change would cost, where an open one can be paid, and voiding one. Must not
//! know: whether a change is made.

use serde::Deserialize;
use tollgate_domain::ids::SubscriptionId;
use tollgate_domain::money::{Currency, Money};

use crate::client::StripeClient;
use crate::client::error::StripeError;
use crate::client::exchange::Fetched;
use crate::client::request::{ApiPath, Form, Operation};
use crate::client::secret::IdempotencyKey;
use crate::client::subscription::{ItemChange, UPDATE_REASON};

const PREVIEW: Operation = Operation::post("invoices.create_preview");
const VOID: Operation = Operation::post("invoices.void");
const LIST: Operation = Operation::get("invoices.list");
const PATH: &str = "/v1/invoices";

/// What would be billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// To be paid in all.
    pub due: Money,
    /// What it consists of.
    pub lines: Vec<PreviewLine>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewLine {
    /// Stripe's words for it.
    pub description: String,
    /// What it adds; negative for what is given back.
    pub amount: Money,
}

#[derive(Deserialize)]
struct Body {
    amount_due: i64,
    currency: String,
    lines: Lines,
}

#[derive(Deserialize)]
struct Lines {
    data: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    description: Option<String>,
    amount: i64,
}

#[derive(Deserialize)]
struct Open {
    id: String,
    billing_reason: Option<String>,
    hosted_invoice_url: Option<String>,
}

/// An open invoice for a change of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeInvoice {
    /// Stripe's id, `in_…`.
    pub id: String,
    /// Where it can be paid.
    pub url: Option<String>,
}

impl StripeClient {
    /// Where the newest open invoice of a subscription can be paid; `None` where there is none.
    pub async fn open_invoice_url(
        &self,
        subscription: &SubscriptionId,
    ) -> Result<Option<String>, StripeError> {
        let open = self.open_invoices(subscription).await?;
        Ok(open.into_iter().find_map(|one| one.hosted_invoice_url))
    }

    /// The newest open invoice for a change of a subscription; `None` where there is none.
    pub async fn open_change_invoice(
        &self,
        subscription: &SubscriptionId,
    ) -> Result<Option<ChangeInvoice>, StripeError> {
        let mut open = self.open_invoices(subscription).await?.into_iter();
        let found = open.find(|one| one.billing_reason.as_deref() == Some(UPDATE_REASON));
        Ok(found.map(|one| ChangeInvoice { id: one.id, url: one.hosted_invoice_url }))
    }

    async fn open_invoices(&self, subscription: &SubscriptionId) -> Result<Vec<Open>, StripeError> {
        let filter = Form::new().with("subscription", subscription.as_str()).with("status", "open");
        let (items, _) = self.list(LIST, &ApiPath::new(PATH), &filter, 100).await?;
        Ok(items.iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect())
    }

    /// Voids an open invoice: it cannot be paid any more, and a change that waits for it is
    /// discarded. Returns the invoice.
    pub async fn void_invoice(
        &self,
        id: &str,
        key: &IdempotencyKey,
    ) -> Result<Fetched, StripeError> {
        let path = ApiPath::new(PATH).id(id).then("/void");
        self.call(VOID, &path, &Form::new(), Some(key)).await
    }

    /// What a change of a subscription would bill: now (with the difference), or with the first
    /// invoice after it.
    pub async fn preview_change(
        &self,
        subscription: &SubscriptionId,
        change: ItemChange<'_>,
        now: bool,
        key: &IdempotencyKey,
    ) -> Result<Preview, StripeError> {
        let details = "subscription_details";
        let form = Form::new()
            .with("subscription", subscription.as_str())
            .with(format!("{details}[items][0][id]"), change.item)
            .with(format!("{details}[items][0][price]"), change.price)
            .with(format!("{details}[items][0][quantity]"), change.quantity.to_string())
            .with(
                format!("{details}[proration_behavior]"),
                if now { "always_invoice" } else { "none" },
            );
        let path = ApiPath::new("/v1/invoices/create_preview");
        let fetched = self.call(PREVIEW, &path, &form, Some(key)).await?;
        let body: Body = fetched.json()?;
        let currency = Currency::parse(&body.currency).ok_or(StripeError::Garbled {
            what: "the preview has no usable currency",
            request_id: fetched.request_id,
        })?;
        let money = |amount_minor| Money { amount_minor, currency };
        let lines = body.lines.data.into_iter().map(|line| PreviewLine {
            description: line.description.unwrap_or_default(),
            amount: money(line.amount),
        });
        Ok(Preview { due: money(body.amount_due), lines: lines.collect() })
    }
}
