//! A customer's balance over the API. Owns: adding to it by hand, and what was added so. Must not know:
//! how an invoice uses it up.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::balance_transaction::BalanceTransaction;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/customers/{customer}/balance_transactions",
        "amount! currency! description metadata{*}",
        create,
    ),
    Route::list(
        "/v1/customers/{customer}/balance_transactions",
        "invoice created?{gt gte lt lte}",
        list,
    ),
];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let mut customer = sandbox.customer(call.id())?;
    let amount_minor = params.integer("amount")?.unwrap_or(0);
    let currency = params.text("currency").unwrap_or_default().to_lowercase();
    if customer.currency.as_ref().is_some_and(|of_customer| *of_customer != currency) {
        let message = "The currency of the transaction must be that of the customer.";
        return Err(ApiError::invalid(message).param("currency"));
    }
    let ending = customer.balance_minor.saturating_add(amount_minor);
    let transaction = BalanceTransaction {
        id: sandbox.world.new_long_id("cbtxn_1"),
        customer: customer.id.clone(),
        amount_minor,
        ending_balance_minor: ending,
        currency,
        description: params.text("description").map(str::to_owned),
        metadata: params.metadata(),
        created: sandbox.world.now,
    };
    sandbox.world.keep(transaction.clone());
    let events = (customer.clone(), {
        customer.balance_minor = ending;
        customer
    });
    let events = (Object::Customer(events.0), Object::Customer(events.1));
    sandbox.world.emit_change("customer.updated", events.0, events.1);
    Ok(transaction.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let customer = sandbox.customer(call.id())?;
    let span = Span::of(call.params, "created")?;
    let mut found = sandbox.world.objects.newest_first::<BalanceTransaction>();
    found.retain(|one| one.customer == customer.id && span.has(one.created));
    page::objects(call, &found, BalanceTransaction::show)
}
