//! Prices over the API, and the plans that mirror them. Owns: making, changing and listing them,
//! and whose a lookup key is. Must not know: who pays them.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_domain::money::Currency;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::price::{Price, Product};
use crate::object::subscription::Subscription;

/// What can be said of a price when it is made.
const CREATE: &str = "currency! product unit_amount unit_amount_decimal nickname lookup_key \
     transfer_lookup_key active tax_behavior metadata{*} billing_scheme \
     currency_options{*{unit_amount! tax_behavior}} \
     recurring{interval! interval_count trial_period_days usage_type} \
     product_data{name! id active metadata{*} statement_descriptor tax_code unit_label}";

/// What can be changed of it: nothing that would change what is paid.
const UPDATE: &str = "active nickname lookup_key transfer_lookup_key metadata{*} tax_behavior \
     currency_options{*{unit_amount! tax_behavior}}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/prices", CREATE, create),
    Route::list(
        "/v1/prices",
        "active product currency type lookup_keys[] recurring{interval usage_type} \
         created?{gt gte lt lte}",
        list,
    ),
    Route::get("/v1/prices/{price}", retrieve),
    Route::post("/v1/prices/{price}", UPDATE, update),
    Route::get("/v1/plans/{plan}", retrieve_plan),
];

/// The units of time a price can recur in.
const INTERVALS: [&str; 4] = ["day", "week", "month", "year"];

/// How tax relates to a price.
const TAX_BEHAVIORS: [&str; 3] = ["inclusive", "exclusive", "unspecified"];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let product = product(sandbox, call.params)?;
    Ok(make(sandbox, product, call.params)?.show(call.version))
}

/// The product a price is made for: one that is there, or a new one.
pub(super) fn product(sandbox: &mut Sandbox, params: &Params) -> Result<Product, ApiError> {
    if let Some(product) = sandbox.referred::<Product>(params, "product")? {
        return Ok(product.clone());
    }
    let Some(data) = params.get("product_data") else {
        return Err(ApiError::missing_param(&params.path_of("product")));
    };
    let id = data.text("id").map(str::to_owned);
    let id = id.unwrap_or_else(|| sandbox.world.new_short_id("prod_"));
    let name = data.required("name")?.to_owned();
    let mut product = Product::named(id, name, sandbox.world.now);
    product.active = data.boolean("active")?.unwrap_or(true);
    data.write_text("statement_descriptor", &mut product.statement_descriptor);
    data.write_text("tax_code", &mut product.tax_code);
    data.write_text("unit_label", &mut product.unit_label);
    data.merge_metadata(&mut product.metadata);
    sandbox.world.emit("product.created", Object::Product(product.clone()));
    Ok(product)
}

/// Makes a price of a product by what the parameters say, and tells of it.
pub(super) fn make(
    sandbox: &mut Sandbox,
    product: Product,
    params: &Params,
) -> Result<Price, ApiError> {
    let mut price = Price {
        id: sandbox.world.new_long_id("price_1"),
        lookup_key: None,
        nickname: params.text("nickname").map(str::to_owned),
        product: product.into(),
        currency: currency(params)?,
        unit_amount_minor: unit_amount(params)?,
        currency_options: BTreeMap::new(),
        interval: None,
        interval_count: 1,
        trial_period_days: None,
        tax_behavior: params.choice("tax_behavior", &TAX_BEHAVIORS)?.unwrap_or("unspecified"),
        metadata: params.metadata(),
        active: params.boolean("active")?.unwrap_or(true),
        created: sandbox.world.now,
    };
    params.choice("billing_scheme", &["per_unit"])?;
    fill_currency_options(&mut price, params)?;
    if let Some(recurring) = params.get("recurring") {
        fill_recurring(&mut price, recurring)?;
    }
    take_lookup_key(sandbox, &mut price, params)?;
    sandbox.world.emit("price.created", Object::Price(price.clone()));
    if price.interval.is_some() {
        sandbox.world.emit("plan.created", Object::Plan(price.clone()));
    }
    Ok(price)
}

/// `currency`, in lower case.
pub(super) fn currency(params: &Params) -> Result<String, ApiError> {
    let text = params.required("currency")?;
    let currency = Currency::parse(text).ok_or_else(|| {
        let message = format!("Invalid currency: {text}. It must be a three-letter ISO code.");
        ApiError::invalid(message).param(params.path_of("currency"))
    })?;
    Ok(currency.as_str().to_owned())
}

/// What one unit costs, from either of two parameters.
pub(super) fn unit_amount(params: &Params) -> Result<i64, ApiError> {
    if let Some(amount) = params.amount("unit_amount")? {
        return Ok(amount);
    }
    let Some(decimal) = params.text("unit_amount_decimal") else {
        return Err(ApiError::missing_param(&params.path_of("unit_amount")));
    };
    let whole = decimal.split_once('.').map_or(decimal, |(whole, fraction)| {
        if fraction.bytes().all(|digit| digit == b'0') { whole } else { decimal }
    });
    whole.parse().ok().filter(|amount| *amount >= 0).ok_or_else(|| {
        let message = format!("Invalid decimal: {decimal}. The sandbox knows whole minor units.");
        ApiError::invalid(message)
            .code("parameter_invalid_integer")
            .param(params.path_of("unit_amount_decimal"))
    })
}

/// Writes `currency_options` into a price; currencies that are not named stay as they are.
fn fill_currency_options(price: &mut Price, params: &Params) -> Result<(), ApiError> {
    let Some(options) = params.get("currency_options") else { return Ok(()) };
    for (code, option) in options.children() {
        let known = Currency::parse(code).filter(|known| known.as_str() != price.currency);
        let known = known.ok_or_else(|| {
            let message = format!("Invalid currency: {code}.");
            ApiError::invalid(message).param(option.path())
        })?;
        if let Some(amount) = option.amount("unit_amount")? {
            price.currency_options.insert(known.as_str().to_owned(), amount);
        }
    }
    Ok(())
}

/// Writes `recurring` into a price.
fn fill_recurring(price: &mut Price, recurring: &Params) -> Result<(), ApiError> {
    price.interval = recurring.choice("interval", &INTERVALS)?;
    if let Some(count) = recurring.amount("interval_count")? {
        let known = u32::try_from(count).ok().filter(|count| *count >= 1 && *count <= 1_095);
        price.interval_count = known.ok_or_else(|| {
            let message =
                "Invalid interval_count: a period must be between one day and three years.";
            ApiError::invalid(message).param(recurring.path_of("interval_count"))
        })?;
    }
    price.trial_period_days = recurring.amount("trial_period_days")?;
    recurring.choice("usage_type", &["licensed"])?;
    Ok(())
}

/// Gives a price the lookup key asked for, taking it from another one where that is asked for.
fn take_lookup_key(
    sandbox: &mut Sandbox,
    price: &mut Price,
    params: &Params,
) -> Result<(), ApiError> {
    let transfer = params.boolean("transfer_lookup_key")?.unwrap_or(false);
    if params.unsets("lookup_key") {
        price.lookup_key = None;
    }
    let Some(key) = params.text("lookup_key") else { return Ok(()) };
    let others = |other: &&Price| other.lookup_key.as_deref() == Some(key) && other.id != price.id;
    let holder = sandbox.world.objects.all::<Price>().find(others).cloned();
    if let Some(mut holder) = holder {
        if !transfer {
            let message = format!("A price (`{}`) already uses that lookup key.", holder.id);
            let path = params.path_of("lookup_key");
            return Err(ApiError::invalid(message).code("resource_already_exists").param(path));
        }
        holder.lookup_key = None;
        sandbox.change_price(&holder);
    }
    price.lookup_key = Some(key.to_owned());
    Ok(())
}

impl Sandbox {
    /// Makes a changed price the newest, wherever it is copied to, and tells of it.
    fn change_price(&mut self, price: &Price) {
        let Some(before) = self.world.objects.get::<Price>(&price.id).cloned() else { return };
        if before == *price {
            return;
        }
        let events = (Object::Price(before.clone()), Object::Price(price.clone()));
        self.world.emit_change("price.updated", events.0, events.1);
        if price.interval.is_some() {
            let events = (Object::Plan(before), Object::Plan(price.clone()));
            self.world.emit_change("plan.updated", events.0, events.1);
        }
        self.keep_price(price.clone());
    }

    /// Makes a price the newest, also in the subscriptions that have it.
    pub(super) fn keep_price(&mut self, price: Price) {
        let has = |subscription: &&Subscription| {
            subscription.items.iter().any(|item| item.price.id == price.id)
        };
        let copies: Vec<Subscription> =
            self.world.objects.all::<Subscription>().filter(has).cloned().collect();
        for mut subscription in copies {
            for item in subscription.items.iter_mut().filter(|item| item.price.id == price.id) {
                item.price = price.clone();
            }
            self.world.keep(subscription);
        }
        self.world.keep(price);
    }
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let span = Span::of(params, "created")?;
    let active = params.boolean("active")?;
    let kind = params.choice("type", &["one_time", "recurring"])?;
    let (product, currency) = (params.text("product"), params.text("currency"));
    let keys = params.texts("lookup_keys");
    let recurring = params.get("recurring");
    let interval = recurring.map_or(Ok(None), |given| given.choice("interval", &INTERVALS))?;
    let mut prices = sandbox.world.objects.newest_first::<Price>();
    prices.retain(|price| {
        span.has(price.created)
            && active.is_none_or(|active| price.active == active)
            && kind.is_none_or(|kind| (kind == "recurring") == price.interval.is_some())
            && product.is_none_or(|product| price.product.id == product)
            && currency.is_none_or(|currency| price.currency == currency)
            && interval.is_none_or(|interval| price.interval == Some(interval))
            && (keys.is_empty()
                || price.lookup_key.as_deref().is_some_and(|key| keys.contains(&key)))
    });
    page::objects(call, &prices, Price::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Price>(call.id())?.show(call.version))
}

fn retrieve_plan(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let price = sandbox.world.objects.get::<Price>(call.id());
    let price = price.filter(|price| price.interval.is_some());
    let price = price.ok_or_else(|| ApiError::missing_resource("plan", call.id()))?;
    Ok(price.show_plan(call.version))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut price = sandbox.named::<Price>(call.id())?.clone();
    let params = call.params;
    take_lookup_key(sandbox, &mut price, params)?;
    params.write_text("nickname", &mut price.nickname);
    params.merge_metadata(&mut price.metadata);
    fill_currency_options(&mut price, params)?;
    if let Some(behavior) = params.choice("tax_behavior", &TAX_BEHAVIORS)? {
        if price.tax_behavior != "unspecified" && price.tax_behavior != behavior {
            let message = "You cannot change the tax_behavior of a price once it is set.";
            return Err(ApiError::invalid(message).param("tax_behavior"));
        }
        price.tax_behavior = behavior;
    }
    if let Some(active) = params.boolean("active")? {
        let default = price.product.default_price.as_deref() == Some(price.id.as_str());
        if !active && default {
            let message = "This price cannot be archived because it is the default price of its \
                           product.";
            return Err(ApiError::invalid(message).param("active"));
        }
        price.active = active;
    }
    sandbox.change_price(&price);
    Ok(price.show(call.version))
}
