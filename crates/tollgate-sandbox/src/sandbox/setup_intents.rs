//! Setup intents over the API. Owns: attaching a payment method to a customer without a payment.
//! Must not know: payments.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::payment_intents::kinds;
use super::payment_methods::card_error;
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::payment_method::PaymentMethod;
use crate::object::setup_intent::SetupIntent;
use crate::object::test_method::Behavior;

const CREATE: &str = "customer payment_method payment_method_types[] usage confirm description \
     metadata{*} automatic_payment_methods{enabled! allow_redirects} return_url \
     allowed_payment_method_types[]";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/setup_intents", CREATE, create),
    Route::list("/v1/setup_intents", "customer payment_method created?{gt gte lt lte}", list),
    Route::get("/v1/setup_intents/{intent}", retrieve),
    Route::post(
        "/v1/setup_intents/{intent}",
        "customer payment_method description metadata{*}",
        update,
    ),
    Route::post("/v1/setup_intents/{intent}/confirm", "payment_method return_url", confirm),
    Route::post("/v1/setup_intents/{intent}/cancel", "cancellation_reason", cancel),
];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let customer = sandbox.referred::<Customer>(params, "customer")?.map(|one| one.id.clone());
    let method = sandbox.method_of(params, "payment_method")?.map(|method| method.id);
    let id = sandbox.world.new_long_id("seti_1");
    let secret = sandbox.world.ids.make("", 25, &id);
    let mut intent = SetupIntent {
        client_secret: format!("{id}_secret_{secret}"),
        id,
        customer,
        status: waiting(method.as_deref()),
        payment_method: method,
        description: params.text("description").map(str::to_owned),
        usage: params.choice("usage", &["off_session", "on_session"])?.unwrap_or("off_session"),
        decline: None,
        kinds: kinds(params)?,
        cancellation_reason: None,
        metadata: params.metadata(),
        created: sandbox.world.now,
    };
    sandbox.world.emit("setup_intent.created", Object::SetupIntent(intent.clone()));
    if params.boolean("confirm")?.unwrap_or(false) {
        set_up(sandbox, &mut intent, call)?;
    }
    Ok(intent.show(call.version))
}

fn waiting(method: Option<&str>) -> &'static str {
    if method.is_some() { "requires_confirmation" } else { "requires_payment_method" }
}

/// Attaches the method. A declined attempt stays.
fn set_up(
    sandbox: &mut Sandbox,
    intent: &mut SetupIntent,
    call: &Call<'_>,
) -> Result<(), ApiError> {
    let method = intent.payment_method.as_deref();
    let method = method.and_then(|id| sandbox.world.objects.get::<PaymentMethod>(id)).cloned();
    let Some(mut method) = method else {
        let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
        return Err(ApiError::invalid(message).code("setup_intent_unexpected_state"));
    };
    if let Behavior::DeclinesAtOnce(decline) = method.test.behavior {
        intent.decline = Some(decline);
        intent.status = "requires_payment_method";
        intent.payment_method = None;
        sandbox.world.emit("setup_intent.setup_failed", Object::SetupIntent(intent.clone()));
        let shown = vec![("setup_intent", intent.show(call.version))];
        return Err(ApiError { shown, ..card_error(decline) });
    }
    if let Some(customer) = &intent.customer {
        sandbox.attach_method(&mut method, customer)?;
    }
    intent.status = "succeeded";
    intent.decline = None;
    sandbox.world.emit("setup_intent.succeeded", Object::SetupIntent(intent.clone()));
    Ok(())
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let (customer, method) = (call.params.text("customer"), call.params.text("payment_method"));
    let mut intents = sandbox.world.objects.newest_first::<SetupIntent>();
    intents.retain(|intent| {
        span.has(intent.created)
            && customer.is_none_or(|one| intent.customer.as_deref() == Some(one))
            && method.is_none_or(|one| intent.payment_method.as_deref() == Some(one))
    });
    page::objects(call, &intents, SetupIntent::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<SetupIntent>(call.id())?.show(call.version))
}

/// An intent that is not over.
fn open(sandbox: &Sandbox, id: &str) -> Result<SetupIntent, ApiError> {
    let intent = sandbox.named::<SetupIntent>(id)?.clone();
    if matches!(intent.status, "succeeded" | "canceled") {
        let message = format!("This SetupIntent's status is {}, so it is over.", intent.status);
        return Err(ApiError::invalid(message).code("setup_intent_unexpected_state"));
    }
    Ok(intent)
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut intent = open(sandbox, call.id())?;
    if let Some(customer) = sandbox.referred::<Customer>(call.params, "customer")? {
        intent.customer = Some(customer.id.clone());
    }
    if let Some(method) = sandbox.method_of(call.params, "payment_method")? {
        intent.payment_method = Some(method.id);
        intent.status = "requires_confirmation";
    }
    call.params.write_text("description", &mut intent.description);
    call.params.merge_metadata(&mut intent.metadata);
    sandbox.world.keep(intent.clone());
    Ok(intent.show(call.version))
}

fn confirm(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut intent = open(sandbox, call.id())?;
    if let Some(method) = sandbox.method_of(call.params, "payment_method")? {
        intent.payment_method = Some(method.id);
    }
    set_up(sandbox, &mut intent, call)?;
    Ok(intent.show(call.version))
}

fn cancel(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut intent = open(sandbox, call.id())?;
    let reasons = ["abandoned", "duplicate", "requested_by_customer"];
    intent.cancellation_reason = call.params.choice("cancellation_reason", &reasons)?;
    intent.status = "canceled";
    sandbox.world.emit("setup_intent.canceled", Object::SetupIntent(intent.clone()));
    Ok(intent.show(call.version))
}
