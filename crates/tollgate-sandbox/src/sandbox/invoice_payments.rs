//! Payments of invoices over the API. Owns: reading and listing them, which is how a payment's
//! invoice is found since basil. Must not know: how an invoice is paid.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use crate::object::invoice::InvoicePayment;

const LIST: &str = "invoice status payment{type! payment_intent charge} created?{gt gte lt lte}";

pub(super) const ROUTES: &[Route] = &[
    Route::list("/v1/invoice_payments", LIST, list),
    Route::get("/v1/invoice_payments/{payment}", retrieve),
];

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let span = Span::of(params, "created")?;
    let invoice = params.text("invoice");
    let status = params.choice("status", &["open", "paid", "canceled"])?;
    let payment = params.get("payment");
    let intent = payment.and_then(|payment| payment.text("payment_intent"));
    let charge = payment.and_then(|payment| payment.text("charge"));
    let mut payments = sandbox.world.objects.newest_first::<InvoicePayment>();
    payments.retain(|payment| {
        span.has(payment.created)
            && invoice.is_none_or(|one| payment.invoice == one)
            && status.is_none_or(|one| payment.status() == one)
            && intent.is_none_or(|one| payment.payment_intent == one)
            && charge.is_none()
    });
    page::objects(call, &payments, |payment, _| payment.show())
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<InvoicePayment>(call.id())?.show())
}
