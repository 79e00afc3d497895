//! Customers over the API. Owns: making, changing, deleting and listing them. Must not know: what
//! they buy.

use serde_json::{Value, json};

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::route::{Call, Route};
use crate::object::customer::{Address, Customer};
use crate::object::test_clock::TestClock;
use crate::object::test_method;
use crate::object::{Metadata, Object};

/// What can be said of a customer.
macro_rules! fields {
    () => {
        "name email description phone metadata{*} preferred_locales[] \
         address{city country line1 line2 postal_code state} balance tax_exempt \
         payment_method source invoice_settings{default_payment_method}"
    };
}

/// What can be said of a customer that is made: also the clock its time goes by.
const CREATE: &str = concat!(fields!(), " test_clock");

/// What can be changed of it.
const FIELDS: &str = fields!();

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/customers", CREATE, create),
    Route::list("/v1/customers", "email test_clock created?{gt gte lt lte}", list),
    Route::get("/v1/customers/{customer}", retrieve),
    Route::post("/v1/customers/{customer}", FIELDS, update),
    Route::delete("/v1/customers/{customer}", "", delete),
];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut customer = sandbox.new_customer();
    fill(&mut customer, call.params)?;
    if let Some(clock) = sandbox.referred::<TestClock>(call.params, "test_clock")? {
        customer.created = clock.frozen_time;
        customer.test_clock = Some(clock.id.clone());
    }
    sandbox.world.keep(customer.clone());
    customer.payment_method = default_method(sandbox, &customer, call.params)?;
    sandbox.world.emit("customer.created", Object::Customer(customer.clone()));
    Ok(customer.show(call.version))
}

/// Attaches the payment methods that the parameters name; gives the customer's default.
fn default_method(
    sandbox: &mut Sandbox,
    customer: &Customer,
    params: &Params,
) -> Result<Option<String>, ApiError> {
    if let Some(token) = params.text("source") {
        let test = test_method::by_name(token).filter(|_| token.starts_with("tok_"));
        let test = test.ok_or_else(|| ApiError::no_such("token", token, "source"))?;
        let mut method = sandbox.new_method(test);
        sandbox.attach_method(&mut method, &customer.id)?;
        return Ok(Some(method.id));
    }
    let mut attached = None;
    if let Some(mut method) = sandbox.method_of(params, "payment_method")? {
        sandbox.attach_method(&mut method, &customer.id)?;
        attached = Some(method.id);
    }
    let name = "default_payment_method";
    let Some(settings) = params.get("invoice_settings").filter(|settings| settings.has(name))
    else {
        return Ok(customer.payment_method.clone());
    };
    if attached.is_some() && settings.text(name) == params.text("payment_method") {
        return Ok(attached);
    }
    Ok(sandbox.own_method(&customer.id, settings, name)?.map(|method| method.id))
}

/// Writes what the parameters say into a customer.
fn fill(customer: &mut Customer, params: &Params) -> Result<(), ApiError> {
    params.write_text("email", &mut customer.email);
    params.write_text("name", &mut customer.name);
    params.write_text("description", &mut customer.description);
    params.write_text("phone", &mut customer.phone);
    if let Some(email) = customer.email.as_deref().filter(|email| !email.contains('@')) {
        let message = format!("Invalid email address: {email}");
        return Err(ApiError::invalid(message).code("email_invalid").param("email"));
    }
    if let Some(balance) = params.integer("balance")? {
        customer.balance_minor = balance;
    }
    if let Some(exempt) = params.choice("tax_exempt", &["none", "exempt", "reverse"])? {
        customer.tax_exempt = exempt;
    }
    if params.has("preferred_locales") {
        customer.preferred_locales =
            params.texts("preferred_locales").into_iter().map(str::to_owned).collect();
    }
    if let Some(address) = params.get("address") {
        customer.address = (!params.unsets("address")).then(|| read_address(address));
    }
    params.merge_metadata(&mut customer.metadata);
    Ok(())
}

/// Reads an address.
pub(super) fn read_address(params: &Params) -> Address {
    let text = |name: &str| params.text(name).map(str::to_owned);
    Address {
        city: text("city"),
        country: text("country"),
        line1: text("line1"),
        line2: text("line2"),
        postal_code: text("postal_code"),
        state: text("state"),
    }
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let email = call.params.text("email");
    let mut customers = sandbox.world.objects.newest_first::<Customer>();
    customers.retain(|customer| {
        !customer.deleted
            && span.has(customer.created)
            && email.is_none_or(|email| customer.email.as_deref() == Some(email))
    });
    page::objects(call, &customers, Customer::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Customer>(call.id())?.show(call.version))
}

impl Sandbox {
    /// A new customer of whom nothing is known, not kept yet.
    pub(super) fn new_customer(&mut self) -> Customer {
        let id = self.world.new_short_id("cus_");
        let invoice_prefix = self.world.ids.make("", 8, &id).to_uppercase();
        Customer {
            id,
            email: None,
            name: None,
            description: None,
            phone: None,
            address: None,
            preferred_locales: Vec::new(),
            tax_exempt: "none",
            balance_minor: 0,
            created: self.world.now,
            metadata: Metadata::new(),
            currency: None,
            delinquent: false,
            payment_method: None,
            invoice_prefix,
            next_invoice_sequence: 1,
            test_clock: None,
            deleted: false,
        }
    }

    /// A customer the path names and that is not deleted.
    pub(crate) fn customer(&self, id: &str) -> Result<Customer, ApiError> {
        let customer = self.named::<Customer>(id)?;
        if customer.deleted {
            return Err(ApiError::missing_resource("customer", id));
        }
        Ok(customer.clone())
    }
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut customer = sandbox.customer(call.id())?;
    let mut changed = customer.clone();
    fill(&mut changed, call.params)?;
    changed.payment_method = default_method(sandbox, &customer, call.params)?;
    sandbox.world.change_customer(&mut customer, |customer| *customer = changed);
    Ok(customer.show(call.version))
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    sandbox.customer(call.id())?;
    sandbox.in_time_of(call.id(), |sandbox| sandbox.end_subscriptions_of(call.id()));
    let mut customer = sandbox.customer(call.id())?;
    sandbox.world.emit("customer.deleted", Object::Customer(customer.clone()));
    customer.deleted = true;
    let id = customer.id.clone();
    sandbox.world.keep(customer);
    Ok(json!({"id": id, "object": "customer", "deleted": true}))
}
