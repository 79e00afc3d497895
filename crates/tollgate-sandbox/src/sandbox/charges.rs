//! Charges over the API. Owns: reading and annotating them. Must not know: how they come about.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::charge::Charge;

pub(super) const ROUTES: &[Route] = &[
    Route::list("/v1/charges", "customer payment_intent created?{gt gte lt lte}", list),
    Route::get("/v1/charges/{charge}", retrieve),
    Route::post("/v1/charges/{charge}", "description metadata{*} receipt_email", update),
    Route::list("/v1/charges/{charge}/refunds", "", list_refunds),
];

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let (customer, intent) = (call.params.text("customer"), call.params.text("payment_intent"));
    let mut charges = sandbox.world.objects.newest_first::<Charge>();
    charges.retain(|charge| {
        span.has(charge.created)
            && customer.is_none_or(|customer| charge.customer.as_deref() == Some(customer))
            && intent.is_none_or(|intent| charge.payment_intent == intent)
    });
    page::objects(call, &charges, Charge::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Charge>(call.id())?.show(call.version))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = sandbox.named::<Charge>(call.id())?.clone();
    let mut charge = before.clone();
    call.params.write_text("description", &mut charge.description);
    call.params.write_text("receipt_email", &mut charge.email);
    call.params.merge_metadata(&mut charge.metadata);
    if charge != before {
        let events = (Object::Charge(before), Object::Charge(charge.clone()));
        sandbox.world.emit_change("charge.updated", events.0, events.1);
    }
    Ok(charge.show(call.version))
}

fn list_refunds(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let charge = sandbox.named::<Charge>(call.id())?;
    let refunds: Vec<_> = charge.refunds.iter().rev().collect();
    page::objects(call, &refunds, crate::object::adjustment::Refund::show)
}
