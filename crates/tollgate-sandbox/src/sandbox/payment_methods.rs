//! Payment methods over the API. Owns: making them from test names and numbers, attaching them to
//! customers and taking them off. Must not know: payments.

use serde_json::Value;

use super::Sandbox;
use super::customers::read_address;
use super::error::ApiError;
use super::page;
use super::params::Params;
use super::route::{Call, Route};
use crate::object::customer::Customer;
use crate::object::payment_method::{BillingDetails, PaymentMethod};
use crate::object::subscription::Subscription;
use crate::object::test_method::{self, Behavior, Decline, TestMethod};
use crate::object::{Metadata, Object};
use crate::world::payment::why;

/// What can be said of a payment method when it is made.
const CREATE: &str = "type! metadata{*} allow_redisplay \
     card{token number exp_month exp_year cvc} sepa_debit{iban!} \
     billing_details{email name phone address{city country line1 line2 postal_code state}}";

/// What can be changed of it.
const UPDATE: &str = "metadata{*} allow_redisplay card{exp_month exp_year} \
     billing_details{email name phone address{city country line1 line2 postal_code state}}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/payment_methods", CREATE, create),
    Route::list("/v1/payment_methods", "customer type", list),
    Route::get("/v1/payment_methods/{method}", retrieve),
    Route::post("/v1/payment_methods/{method}", UPDATE, update),
    Route::post("/v1/payment_methods/{method}/attach", "customer!", attach),
    Route::post("/v1/payment_methods/{method}/detach", "", detach),
    Route::list("/v1/customers/{customer}/payment_methods", "type", list_of_customer),
    Route::get("/v1/customers/{customer}/payment_methods/{method}", retrieve_of_customer),
];

/// The kinds of payment methods the sandbox knows.
pub(super) const KINDS: [&str; 3] = ["card", "sepa_debit", "link"];

/// When the test cards end, if nothing else is said.
const EXPIRES: (i64, i64) = (9, 2031);

/// The error of a declined payment.
pub(super) fn card_error(decline: &Decline) -> ApiError {
    ApiError::card(decline.code, decline.decline_code, decline.message)
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let kind = params.choice("type", &["card", "sepa_debit"])?;
    let details = kind.and_then(|kind| params.get(kind));
    let details =
        details.ok_or_else(|| ApiError::missing_param(&params.path_of(kind.unwrap_or("card"))))?;
    let (test, expires) = match kind {
        Some("sepa_debit") => (account(details)?, EXPIRES),
        _ => card(details)?,
    };
    let mut method = sandbox.new_method(test);
    method.expires = expires;
    method.metadata = params.metadata();
    if let Some(billing) = params.get("billing_details") {
        method.billing = read_billing(billing, BillingDetails::default());
    }
    sandbox.world.keep(method.clone());
    Ok(method.show(call.version))
}

/// The test card a token or a number stands for, and when it ends.
fn card(details: &Params) -> Result<(&'static TestMethod, (i64, i64)), ApiError> {
    if let Some(token) = details.text("token") {
        let found = test_method::by_name(token).filter(|_| token.starts_with("tok_"));
        let none = || ApiError::no_such("token", token, &details.path_of("token"));
        return Ok((found.ok_or_else(none)?, EXPIRES));
    }
    let number = details.required("number")?;
    let test = test_method::by_number(number).filter(|method| method.kind == "card");
    let test = test.ok_or_else(|| {
        let message = "Your card was declined. Your request was in test mode, but used a non test \
                       card. For a list of valid test cards, visit: \
                       https://stripe.com/docs/testing.";
        ApiError {
            keeps: false,
            ..ApiError::card("card_declined", Some("test_mode_live_card"), message)
        }
        .param(details.path_of("number"))
    })?;
    let month = details.integer("exp_month")?.unwrap_or(EXPIRES.0);
    let year = details.integer("exp_year")?.unwrap_or(EXPIRES.1);
    if !(1..=12).contains(&month) {
        let message = "Your card's expiration month is invalid.";
        let error = ApiError::card("invalid_expiry_month", None, message);
        return Err(ApiError { keeps: false, ..error }.param(details.path_of("exp_month")));
    }
    Ok((test, (month, year)))
}

/// The test account of an IBAN.
fn account(details: &Params) -> Result<&'static TestMethod, ApiError> {
    let iban = details.required("iban")?;
    let found = test_method::by_number(iban).filter(|method| method.kind == "sepa_debit");
    found.ok_or_else(|| {
        let message = "The IBAN you provided is invalid: it is none of the test IBANs.";
        ApiError::invalid(message).code("invalid_bank_account_iban").param(details.path_of("iban"))
    })
}

fn read_billing(params: &Params, mut billing: BillingDetails) -> BillingDetails {
    params.write_text("email", &mut billing.email);
    params.write_text("name", &mut billing.name);
    params.write_text("phone", &mut billing.phone);
    if let Some(address) = params.get("address") {
        billing.address = (!params.unsets("address")).then(|| read_address(address));
    }
    billing
}

impl Sandbox {
    /// A new payment method, not kept yet.
    pub(super) fn new_method(&mut self, test: &'static TestMethod) -> PaymentMethod {
        PaymentMethod {
            id: self.world.new_long_id("pm_1"),
            test,
            billing: BillingDetails::default(),
            expires: EXPIRES,
            customer: None,
            metadata: Metadata::new(),
            created: self.world.now,
        }
    }

    /// The payment method a parameter names: one that is there, or a new one of a test name such
    /// as `pm_card_visa`.
    pub(crate) fn method_of(
        &mut self,
        params: &Params,
        name: &str,
    ) -> Result<Option<PaymentMethod>, ApiError> {
        let Some(id) = params.text(name) else { return Ok(None) };
        if let Some(known) = self.world.objects.get::<PaymentMethod>(id) {
            return Ok(Some(known.clone()));
        }
        let test = test_method::by_name(id).filter(|_| id.starts_with("pm_"));
        let test =
            test.ok_or_else(|| ApiError::no_such("PaymentMethod", id, &params.path_of(name)))?;
        let method = self.new_method(test);
        self.world.keep(method.clone());
        Ok(Some(method))
    }

    /// Attaches a payment method to a customer and tells of it.
    pub(crate) fn attach_method(
        &mut self,
        method: &mut PaymentMethod,
        customer: &str,
    ) -> Result<(), ApiError> {
        if method.customer.as_deref() == Some(customer) {
            return Ok(());
        }
        if method.customer.is_some() {
            let message =
                "The payment method you provided has already been attached to a customer.";
            return Err(ApiError::invalid(message).code("payment_method_unexpected_state"));
        }
        if let Behavior::DeclinesAtOnce(decline) = method.test.behavior {
            return Err(ApiError { keeps: false, ..card_error(decline) });
        }
        method.customer = Some(customer.to_owned());
        self.world.emit("payment_method.attached", Object::PaymentMethod(method.clone()));
        Ok(())
    }

    /// The payment method a parameter names, attached to the customer: test names are attached on
    /// the way, those of others are refused.
    pub(crate) fn own_method(
        &mut self,
        customer: &str,
        params: &Params,
        name: &str,
    ) -> Result<Option<PaymentMethod>, ApiError> {
        let known = params.text(name).and_then(|id| self.world.objects.get::<PaymentMethod>(id));
        if known.is_some_and(|known| known.customer.as_deref() != Some(customer)) {
            let message = format!(
                "The customer does not have a payment method with the ID {}. The payment method \
                 must be attached to the customer.",
                params.text(name).unwrap_or_default()
            );
            let path = params.path_of(name);
            return Err(ApiError::invalid(message).code("resource_missing").param(path));
        }
        let Some(mut method) = self.method_of(params, name)? else { return Ok(None) };
        self.attach_method(&mut method, customer)?;
        Ok(Some(method))
    }

    /// The refusal that charging a payment method without its owner gives; `None` if it pays.
    pub(crate) fn declines(&self, method: &str) -> Option<ApiError> {
        let method = self.world.objects.get::<PaymentMethod>(method)?;
        why(method.test.behavior).map(card_error)
    }

    /// Whether a payment method is only charged after its holder has confirmed it.
    pub(crate) fn asks_to_confirm(&self, method: &str) -> bool {
        let method = self.world.objects.get::<PaymentMethod>(method);
        method.is_some_and(|method| method.test.behavior == Behavior::Asks)
    }
}

/// Payment methods of a customer (or all), by kind.
fn page_of(sandbox: &Sandbox, call: &Call<'_>, customer: Option<&str>) -> Result<Value, ApiError> {
    let kind = call.params.choice("type", &KINDS)?;
    let mut methods = sandbox.world.objects.newest_first::<PaymentMethod>();
    methods.retain(|method| {
        customer.is_none_or(|customer| method.customer.as_deref() == Some(customer))
            && kind.is_none_or(|kind| method.test.kind == kind)
    });
    page::objects(call, &methods, PaymentMethod::show)
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let customer = sandbox.referred::<Customer>(call.params, "customer")?;
    page_of(sandbox, call, customer.map(|customer| customer.id.as_str()))
}

fn list_of_customer(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let customer = sandbox.customer(call.id())?;
    page_of(sandbox, call, Some(&customer.id))
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(known(sandbox, call.id())?.show(call.version))
}

fn retrieve_of_customer(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let method = known(sandbox, call.second_id())?;
    if method.customer.as_deref() != Some(call.id()) {
        return Err(ApiError::missing_resource("PaymentMethod", call.second_id()));
    }
    Ok(method.show(call.version))
}

fn known(sandbox: &Sandbox, id: &str) -> Result<PaymentMethod, ApiError> {
    let found = sandbox.world.objects.get::<PaymentMethod>(id).cloned();
    found.ok_or_else(|| ApiError::missing_resource("PaymentMethod", id))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = known(sandbox, call.id())?;
    let mut method = before.clone();
    call.params.merge_metadata(&mut method.metadata);
    if let Some(billing) = call.params.get("billing_details") {
        method.billing = read_billing(billing, method.billing);
    }
    if let Some(card) = call.params.get("card") {
        let (month, year) = method.expires;
        method.expires = (
            card.integer("exp_month")?.unwrap_or(month),
            card.integer("exp_year")?.unwrap_or(year),
        );
    }
    if method != before {
        let events = (Object::PaymentMethod(before), Object::PaymentMethod(method.clone()));
        sandbox.world.emit_change("payment_method.updated", events.0, events.1);
    }
    Ok(method.show(call.version))
}

fn attach(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let customer = sandbox.must_refer::<Customer>(call.params, "customer")?.id.clone();
    let mut method = match test_method::by_name(call.id()).filter(|_| call.id().starts_with("pm_"))
    {
        Some(test) => sandbox.new_method(test),
        None => known(sandbox, call.id())?,
    };
    sandbox.attach_method(&mut method, &customer)?;
    Ok(method.show(call.version))
}

fn detach(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = known(sandbox, call.id())?;
    let Some(customer) = before.customer.clone() else {
        let message = "The payment method you provided is not attached to a customer so detachment \
                       is impossible.";
        return Err(ApiError::invalid(message).code("payment_method_unexpected_state"));
    };
    let method = PaymentMethod { customer: None, ..before.clone() };
    let events = (Object::PaymentMethod(before), Object::PaymentMethod(method.clone()));
    sandbox.world.emit_change("payment_method.detached", events.0, events.1);
    sandbox.forget_method(&customer, &method.id);
    Ok(method.show(call.version))
}

impl Sandbox {
    /// A payment method that was taken off is nobody's default any more.
    fn forget_method(&mut self, customer: &str, method: &str) {
        if let Some(mut customer) = self.world.objects.get::<Customer>(customer).cloned()
            && customer.payment_method.as_deref() == Some(method)
        {
            self.world.change_customer(&mut customer, |customer| customer.payment_method = None);
        }
        let of = |one: &&Subscription| {
            one.customer == customer && one.payment_method.as_deref() == Some(method)
        };
        let found: Vec<Subscription> =
            self.world.objects.all::<Subscription>().filter(of).cloned().collect();
        for mut subscription in found {
            self.world.update(&mut subscription, |one| one.payment_method = None);
        }
    }
}
