//! Payment intents over the API. Owns: making, confirming, capturing and cancelling them, and the
//! settling of those that take their time. Must not know: invoices and sessions.

use serde_json::{Value, json};

use super::Sandbox;
use super::billing::collect::Attempt;
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::payment_methods::{KINDS, card_error};
use super::prices::currency;
use super::route::{Call, Route};
use super::time::Timer;
use crate::object::Object;
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::payment_intent::{PaymentIntent, Terms};
use crate::object::payment_method::PaymentMethod;
use crate::object::test_method::{AUTHENTICATION, DEBIT_RETURNED};

/// What can be said of an intent when it is made.
const CREATE: &str = "amount! currency! customer description metadata{*} payment_method \
     payment_method_types[] allowed_payment_method_types[] receipt_email setup_future_usage \
     automatic_payment_methods{enabled! allow_redirects} capture_method confirmation_method \
     confirm off_session return_url error_on_requires_action statement_descriptor \
     shipping{name! phone carrier tracking_number \
     address!{city country line1 line2 postal_code state}}";

/// What can be changed of it.
const UPDATE: &str = "amount currency customer description metadata{*} payment_method \
     receipt_email setup_future_usage statement_descriptor \
     shipping{name! phone carrier tracking_number \
     address!{city country line1 line2 postal_code state}}";

const CONFIRM: &str = "payment_method off_session return_url receipt_email setup_future_usage \
     error_on_requires_action";

const LIST: &str = "customer created?{gt gte lt lte}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/payment_intents", CREATE, create),
    Route::list("/v1/payment_intents", LIST, list),
    Route::get("/v1/payment_intents/{intent}", retrieve),
    Route::post("/v1/payment_intents/{intent}", UPDATE, update),
    Route::post("/v1/payment_intents/{intent}/confirm", CONFIRM, confirm),
    Route::post("/v1/payment_intents/{intent}/capture", "amount_to_capture", capture),
    Route::post("/v1/payment_intents/{intent}/cancel", "cancellation_reason", cancel),
];

/// Payments that take their time are settled by themselves.
pub(super) const TIMERS: &[Timer] = &[Timer {
    next: |sandbox| {
        let intents = sandbox.world.objects.all::<PaymentIntent>();
        let waiting = intents.filter_map(|one| Some((one.terms.settles?.0, one.id.clone())));
        waiting.min()
    },
    ring: |sandbox, id| {
        let intent = sandbox.world.objects.get::<PaymentIntent>(id).cloned();
        if let Some(intent) = intent
            && let Some((_, succeeds)) = intent.terms.settles
        {
            sandbox.settle_intent(intent, succeeds);
        }
    },
}];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let amount_minor = amount(params)?;
    let customer = sandbox.referred::<Customer>(params, "customer")?.map(|one| one.id.clone());
    let method = sandbox.method_of(params, "payment_method")?.map(|method| method.id);
    let id = sandbox.world.new_long_id("pi_3");
    let mut intent = PaymentIntent {
        amount_minor,
        currency: currency(params)?,
        customer,
        description: None,
        metadata: params.metadata(),
        invoice: None,
        charge: None,
        status: waiting(method.as_deref()),
        payment_method: method,
        decline: None,
        created: sandbox.world.now,
        terms: Terms::default(),
        id,
    };
    fill(&mut intent, params)?;
    let secret = sandbox.world.ids.make("", 25, &intent.id);
    intent.terms.client_secret = Some(format!("{}_secret_{secret}", intent.id));
    sandbox.world.emit("payment_intent.created", Object::PaymentIntent(intent.clone()));
    if params.boolean("confirm")?.unwrap_or(false) {
        return confirm_with(sandbox, intent, call);
    }
    Ok(intent.show(call.version))
}

/// What an intent waits for before its first attempt.
fn waiting(method: Option<&str>) -> &'static str {
    if method.is_some() { "requires_confirmation" } else { "requires_payment_method" }
}

fn amount(params: &Params) -> Result<i64, ApiError> {
    let amount = params.amount("amount")?.unwrap_or(0);
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(ApiError::invalid(message).code("parameter_invalid_integer").param("amount"));
    }
    Ok(amount)
}

/// Writes what the parameters say into an intent.
fn fill(intent: &mut PaymentIntent, params: &Params) -> Result<(), ApiError> {
    params.write_text("description", &mut intent.description);
    params.write_text("receipt_email", &mut intent.terms.receipt_email);
    params.write_text("statement_descriptor", &mut intent.terms.statement_descriptor);
    if let Some(usage) = params.choice("setup_future_usage", &["off_session", "on_session"])? {
        intent.terms.future_usage = Some(usage);
    }
    let methods = ["automatic", "automatic_async", "manual"];
    if let Some(capture) = params.choice("capture_method", &methods)? {
        intent.terms.manual_capture = capture == "manual";
    }
    params.choice("confirmation_method", &["automatic", "manual"])?;
    if let Some(automatic) = params.get("automatic_payment_methods") {
        intent.terms.automatic_methods = automatic.boolean("enabled")?.unwrap_or(false);
    }
    intent.terms.kinds.extend(kinds(params)?);
    if let Some(shipping) = params.get("shipping") {
        intent.terms.shipping = Some(read_shipping(shipping));
    }
    Ok(())
}

/// The kinds of payment methods named, under the older or the newer name of the parameter.
pub(super) fn kinds(params: &Params) -> Result<Vec<&'static str>, ApiError> {
    let mut kinds = Vec::new();
    for name in ["payment_method_types", "allowed_payment_method_types"] {
        for kind in params.texts(name) {
            let known = KINDS.iter().find(|known| **known == kind);
            kinds.push(known.copied().ok_or_else(|| {
                let message = format!("The payment method type \"{kind}\" is invalid.");
                ApiError::invalid(message).param(params.path_of(name))
            })?);
        }
    }
    Ok(kinds)
}

pub(super) fn read_shipping(params: &Params) -> Value {
    let address = params.get("address").map(super::customers::read_address).unwrap_or_default();
    json!({
        "address": address.show(), "carrier": params.text("carrier"),
        "name": params.text("name"), "phone": params.text("phone"),
        "tracking_number": params.text("tracking_number"),
    })
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let customer = sandbox.referred::<Customer>(call.params, "customer")?.map(|one| &one.id);
    let mut intents = sandbox.world.objects.newest_first::<PaymentIntent>();
    intents.retain(|intent| {
        span.has(intent.created)
            && customer.is_none_or(|customer| intent.customer.as_ref() == Some(customer))
    });
    page::objects(call, &intents, PaymentIntent::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<PaymentIntent>(call.id())?.show(call.version))
}

/// A request that does not fit the state of an intent.
fn unexpected(intent: &PaymentIntent, what: &str) -> ApiError {
    let message = format!("This PaymentIntent's status is {}, so it {what}.", intent.status);
    ApiError::invalid(message).code("payment_intent_unexpected_state")
}

/// Whether an attempt may be made.
fn is_open(intent: &PaymentIntent) -> bool {
    matches!(intent.status, "requires_payment_method" | "requires_confirmation" | "requires_action")
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut intent = sandbox.named::<PaymentIntent>(call.id())?.clone();
    let params = call.params;
    let changes_money = ["amount", "currency", "payment_method", "customer"];
    if !is_open(&intent) && changes_money.iter().any(|name| params.has(name)) {
        return Err(unexpected(&intent, "can no longer be changed"));
    }
    if params.has("amount") {
        intent.amount_minor = amount(params)?;
    }
    if params.has("currency") {
        intent.currency = currency(params)?;
    }
    if let Some(customer) = sandbox.referred::<Customer>(params, "customer")? {
        intent.customer = Some(customer.id.clone());
    }
    if let Some(method) = sandbox.method_of(params, "payment_method")? {
        intent.payment_method = Some(method.id);
        intent.status = "requires_confirmation";
        intent.decline = None;
    }
    fill(&mut intent, params)?;
    params.merge_metadata(&mut intent.metadata);
    sandbox.world.keep(intent.clone());
    Ok(intent.show(call.version))
}

fn confirm(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut intent = sandbox.named::<PaymentIntent>(call.id())?.clone();
    if !is_open(&intent) {
        return Err(unexpected(&intent, "cannot be confirmed"));
    }
    if let Some(method) = sandbox.method_of(call.params, "payment_method")? {
        intent.payment_method = Some(method.id);
    }
    confirm_with(sandbox, intent, call)
}

/// Makes an attempt.
fn confirm_with(
    sandbox: &mut Sandbox,
    mut intent: PaymentIntent,
    call: &Call<'_>,
) -> Result<Value, ApiError> {
    if intent.payment_method.is_none()
        || intent.decline.is_some() && !call.params.has("payment_method")
    {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method. \
                       Update the PaymentIntent with a payment method and then confirm it again.";
        let error = ApiError::invalid(message).code("payment_intent_unexpected_state");
        return Err(error);
    }
    if let Some(invoice) = intent.invoice.clone() {
        return confirm_invoice(sandbox, &intent, &invoice, call);
    }
    let params = call.params;
    let off_session = params.text("off_session").is_some_and(|text| text != "false");
    let strict = params.boolean("error_on_requires_action")?.unwrap_or(false);
    sandbox.pay_intent(&mut intent, off_session || strict).map_err(|error| {
        let shown = ("payment_intent", intent.show(call.version));
        ApiError { shown: vec![shown], ..error }
    })?;
    Ok(intent.show(call.version))
}

/// Makes an attempt for an invoice, which is paid by it or stays open.
fn confirm_invoice(
    sandbox: &mut Sandbox,
    intent: &PaymentIntent,
    invoice: &str,
    call: &Call<'_>,
) -> Result<Value, ApiError> {
    let method = intent.payment_method.clone().unwrap_or_default();
    let known = sandbox.world.objects.get::<PaymentMethod>(&method).cloned();
    if let (Some(mut known), Some(customer)) = (known, &intent.customer) {
        sandbox.attach_method(&mut known, customer)?;
    }
    let collected = sandbox.collect_invoice(invoice, Some(&method), Attempt::Asked);
    let shown = sandbox.named::<PaymentIntent>(&intent.id)?.show(call.version);
    match collected {
        Ok(()) => Ok(shown),
        Err(error) => Err(ApiError { shown: vec![("payment_intent", shown)], ..error }),
    }
}

impl Sandbox {
    /// Charges the method of an intent. The attempt stays, whatever comes of it.
    pub(crate) fn pay_intent(
        &mut self,
        intent: &mut PaymentIntent,
        off_session: bool,
    ) -> Result<Charge, ApiError> {
        let charge = self.world.attempt(intent, off_session);
        intent.decline.map_or(Ok(charge), |decline| Err(card_error(decline)))
    }

    /// A payment that took its time arrives, or does not, and so does what was bought with it.
    pub(crate) fn settle_intent(&mut self, mut intent: PaymentIntent, succeeds: bool) {
        self.world.settle(&mut intent, (!succeeds).then_some(&DEBIT_RETURNED));
        self.after_settling(&intent.id, succeeds);
    }

    /// The cardholder confirms on the bank's page, or does not.
    pub fn confirm_action(&mut self, intent: &str, confirms: bool) -> bool {
        let found = self.world.objects.get::<PaymentIntent>(intent);
        let Some(mut intent) = found.filter(|one| one.status == "requires_action").cloned() else {
            return false;
        };
        self.world.by_request();
        self.world.finish_action(&mut intent, (!confirms).then_some(&AUTHENTICATION));
        true
    }
}

fn capture(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut intent = sandbox.named::<PaymentIntent>(call.id())?.clone();
    if intent.status != "requires_capture" {
        return Err(unexpected(&intent, "could not be captured"));
    }
    let amount = call.params.amount("amount_to_capture")?.unwrap_or(intent.amount_minor);
    if amount > intent.amount_minor || amount == 0 {
        let message = "The amount to capture must be positive and at most the amount capturable.";
        return Err(ApiError::invalid(message).code("amount_too_large").param("amount_to_capture"));
    }
    sandbox.world.capture(&mut intent, amount);
    Ok(intent.show(call.version))
}

fn cancel(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut intent = sandbox.named::<PaymentIntent>(call.id())?.clone();
    if !is_open(&intent) && intent.status != "requires_capture" {
        return Err(unexpected(&intent, "cannot be canceled"));
    }
    let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    intent.terms.cancellation_reason = call.params.choice("cancellation_reason", &reasons)?;
    intent.terms.canceled_at = Some(sandbox.world.now);
    intent.status = "canceled";
    sandbox.world.emit("payment_intent.canceled", Object::PaymentIntent(intent.clone()));
    Ok(intent.show(call.version))
}
