//! What a request wants of a checkout session. Owns: its parameters and what is wrong with them.
//! Must not know: how a session is paid.

use super::super::Sandbox;
use super::super::error::ApiError;
use super::super::pages::Page;
use super::super::params::Params;
use super::super::payment_intents::{kinds, read_shipping};
use super::super::prices;
use super::collected;
use crate::object::customer::Customer;
use crate::object::price::Price;
use crate::object::session::{LineItem, PaymentData, Session, SubscriptionData, Terms, UiMode};
use crate::time::{DAY, HOUR};

/// What can be said of a session. `payment_method_types` is taken in all versions, as the official
/// command line sends it without naming one.
pub(super) const FIELDS: &str = "mode! success_url cancel_url return_url ui_mode customer \
    customer_email customer_creation client_reference_id currency expires_at locale metadata{*} \
    allow_promotion_codes billing_address_collection payment_method_types[] \
    allowed_payment_method_types[] payment_method_collection submit_type redirect_on_completion \
    customer_update{address name shipping} phone_number_collection{enabled!} \
    automatic_tax{enabled! liability{type! account}} tax_id_collection{enabled! required} \
    consent_collection{promotions terms_of_service} \
    line_items[]{price quantity adjustable_quantity{enabled! minimum maximum} price_data{currency! product unit_amount unit_amount_decimal \
    tax_behavior recurring{interval! interval_count} \
    product_data{name! description images[] metadata{*} tax_code unit_label}}} \
    subscription_data{metadata{*} description trial_period_days trial_end \
    billing_mode{type! flexible{proration_discounts}} \
    trial_settings{end_behavior!{missing_payment_method!}}} \
    payment_intent_data{metadata{*} description setup_future_usage receipt_email capture_method \
    statement_descriptor shipping{name! phone carrier tracking_number \
    address!{city country line1 line2 postal_code state}}}";

/// How soon and how late a session may run out, in seconds from now.
const LIFE: (i64, i64) = (30 * 60, DAY);

/// Sessions with more lines are refused.
const LINES_MAX: usize = 100;

/// The session that the parameters ask for; not kept yet.
pub(super) fn session(sandbox: &mut Sandbox, params: &Params) -> Result<Session, ApiError> {
    let modes = ["payment", "subscription"];
    let mode = params.choice("mode", &modes)?.unwrap_or("payment");
    let customer = customer(sandbox, params)?;
    let mut lines = lines(sandbox, mode, params)?;
    let currency = one_currency(&mut lines, params)?;
    if mode == "subscription" {
        fits_customer(customer.as_ref(), &currency)?;
    }
    let subscription = subscription_data(sandbox, mode, params)?;
    let trial = subscription.trial_end.is_some() || subscription.trial_days.is_some();
    let amount = if trial {
        0
    } else {
        lines.iter().map(LineItem::amount_minor).fold(0, i64::saturating_add)
    };
    let id = new_id(sandbox);
    let mut terms = terms(mode, params)?;
    terms.collected = collected::collected(customer.as_ref(), params)?;
    terms.lines = lines;
    terms.subscription = subscription;
    terms.payment = payment_data(mode, params)?;
    if terms.ui_mode == UiMode::Hosted {
        terms.url = Some(sandbox.page_url(Page::Checkout, &id));
    } else {
        terms.client_secret = Some(format!("{id}_secret_{}", sandbox.world.ids.make("", 24, &id)));
    }
    let email = customer.as_ref().and_then(|one| one.email.clone());
    Ok(Session {
        mode,
        status: "open",
        payment_status: "unpaid",
        amount_minor: amount,
        currency,
        email: email.or_else(|| terms.customer_email.clone()),
        name: customer.as_ref().and_then(|one| one.name.clone()),
        customer: customer.map(|one| one.id),
        client_reference_id: reference(params)?,
        metadata: params.metadata(),
        subscription: None,
        invoice: None,
        payment_intent: None,
        payment_method: "card",
        created: sandbox.world.now,
        expires_at: expires_at(sandbox.world.now, params)?,
        terms: Box::new(terms),
        id,
    })
}

fn new_id(sandbox: &mut Sandbox) -> String {
    let number = sandbox.world.new_long_id("");
    sandbox.world.ids.make("cs_test_a1", 56, &number)
}

fn customer(sandbox: &Sandbox, params: &Params) -> Result<Option<Customer>, ApiError> {
    let customer = sandbox.referred::<Customer>(params, "customer")?.cloned();
    if let Some(gone) = customer.as_ref().filter(|customer| customer.deleted) {
        return Err(ApiError::no_such("customer", &gone.id, "customer"));
    }
    if customer.is_some() && params.has("customer_email") {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(ApiError::invalid(message).param("customer"));
    }
    Ok(customer)
}

/// What is bought; a recurring price must not be paid once, and the other way round.
fn lines(
    sandbox: &mut Sandbox,
    mode: &'static str,
    params: &Params,
) -> Result<Vec<LineItem>, ApiError> {
    let given = params.list("line_items");
    if given.is_empty() {
        return Err(ApiError::missing_param("line_items"));
    }
    if given.len() > LINES_MAX {
        let message = format!("Array exceeded maximum {LINES_MAX} allowed elements.");
        return Err(ApiError::invalid(message).param("line_items"));
    }
    let mut lines = Vec::with_capacity(given.len());
    for one in given {
        let line = line(sandbox, one)?;
        let path = one.path_of("price");
        match (mode, line.price.interval) {
            ("payment", Some(_)) => {
                let message = "You specified `payment` mode but passed a recurring price. Either \
                               switch to `subscription` mode or use only one-time prices.";
                return Err(ApiError::invalid(message).param(path));
            }
            ("subscription", None) => {
                let message = "The sandbox sells nothing once together with a subscription: use \
                               only recurring prices in `subscription` mode.";
                return Err(ApiError::invalid(message).param(path));
            }
            _ => lines.push(line),
        }
    }
    Ok(lines)
}

fn line(sandbox: &mut Sandbox, params: &Params) -> Result<LineItem, ApiError> {
    let price = match params.get("price_data") {
        Some(_) if params.has("price") => {
            let message = "You may only specify one of these parameters: price, price_data.";
            return Err(ApiError::invalid(message).param(params.path_of("price_data")));
        }
        Some(data) => {
            let product = prices::product(sandbox, data)?;
            prices::make(sandbox, product, data)?
        }
        None => sandbox.must_refer::<Price>(params, "price")?.clone(),
    };
    if !price.active || !price.product.active {
        let message = "The price specified is inactive. This field only accepts active prices.";
        return Err(ApiError::invalid(message).param(params.path_of("price")));
    }
    let quantity = params.integer("quantity")?;
    let quantity = quantity.map_or(Some(1), |given| u32::try_from(given).ok().filter(|n| *n > 0));
    let quantity = quantity.ok_or_else(|| {
        let path = params.path_of("quantity");
        let message = "This value must be greater than or equal to 1.";
        ApiError::invalid(message).code("parameter_invalid_integer").param(path)
    })?;
    let adjustable = collected::adjustable(quantity, params)?;
    Ok(LineItem { id: sandbox.world.new_long_id("li_1"), price, quantity, adjustable })
}

/// The currency asked for, else that of the first price; every line is paid in it.
fn one_currency(lines: &mut [LineItem], params: &Params) -> Result<String, ApiError> {
    let given = params.has("currency").then(|| prices::currency(params)).transpose()?;
    let first = lines.first().map(|line| line.price.currency.clone());
    let currency = given.or(first).unwrap_or_default();
    for line in lines {
        let Some(paid) = line.price.paid_in(&currency) else {
            let message = format!(
                "The price specified only supports `{}`. This doesn't match the expected currency: \
                 `{currency}`.",
                line.price.currency
            );
            return Err(ApiError::invalid(message).param("line_items"));
        };
        line.price = paid;
    }
    Ok(currency)
}

/// A customer pays subscriptions in one currency.
fn fits_customer(customer: Option<&Customer>, currency: &str) -> Result<(), ApiError> {
    let own = customer.and_then(|customer| customer.currency.as_deref());
    let Some(other) = own.filter(|own| *own != currency) else { return Ok(()) };
    Err(ApiError::invalid(format!(
        "You cannot combine currencies on a single customer. This customer has an active \
         subscription, subscription schedule, discount, quote, or invoice item with currency \
         {other}."
    )))
}

fn terms(mode: &'static str, params: &Params) -> Result<Terms, ApiError> {
    let words = UiMode::NAMED.map(|(name, _)| name);
    let word = params.choice("ui_mode", &words)?;
    let named = UiMode::NAMED.into_iter().find(|(name, _)| Some(*name) == word);
    let ui_mode = named.map(|(_, mode)| mode).unwrap_or_default();
    let needed = if ui_mode == UiMode::Hosted { "success_url" } else { "return_url" };
    if ui_mode != UiMode::Elements {
        params.required(needed)?;
    }
    let creation = ["always", "if_required"];
    let guest = mode == "payment" && !params.has("customer");
    let creation = params.choice("customer_creation", &creation)?;
    Ok(Terms {
        success_url: url(params, "success_url")?,
        cancel_url: url(params, "cancel_url")?,
        return_url: url(params, "return_url")?,
        ui_mode,
        customer_email: params.text("customer_email").map(str::to_owned),
        customer_creation: creation.or(guest.then_some("if_required")),
        locale: collected::locale(params)?,
        submit_type: params
            .choice("submit_type", &["auto", "book", "donate", "pay", "subscribe"])?,
        collection: params.choice("payment_method_collection", &["always", "if_required"])?,
        address_collection: params
            .choice("billing_address_collection", &["auto", "required"])?
            .unwrap_or("auto"),
        allow_promotion_codes: params.boolean("allow_promotion_codes")?,
        kinds: kinds(params)?,
        ..Terms::default()
    })
}

/// An address of a page; the placeholder for the session's id may stand in it.
pub(crate) fn url(params: &Params, name: &str) -> Result<Option<String>, ApiError> {
    let Some(url) = params.text(name) else { return Ok(None) };
    let known = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if known.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || url.contains(' ')) {
        let message = "Not a valid URL";
        return Err(ApiError::invalid(message).code("url_invalid").param(params.path_of(name)));
    }
    Ok(Some(url.to_owned()))
}

fn reference(params: &Params) -> Result<Option<String>, ApiError> {
    let Some(text) = params.text("client_reference_id") else { return Ok(None) };
    if text.chars().count() > 200 {
        let message = "Invalid string: must be at most 200 characters.";
        return Err(ApiError::invalid(message).param("client_reference_id"));
    }
    Ok(Some(text.to_owned()))
}

fn expires_at(now: i64, params: &Params) -> Result<i64, ApiError> {
    let (least, most) = LIFE;
    let Some(at) = params.integer("expires_at")? else { return Ok(now.saturating_add(DAY)) };
    // A request takes its time; an hour over a day is what Stripe bears with, too.
    if !(least..=most.saturating_add(HOUR)).contains(&at.saturating_sub(now)) {
        let message = "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours \
                       from Checkout Session creation.";
        return Err(ApiError::invalid(message).param("expires_at"));
    }
    Ok(at)
}

fn subscription_data(
    sandbox: &Sandbox,
    mode: &'static str,
    params: &Params,
) -> Result<SubscriptionData, ApiError> {
    let Some(data) = params.get("subscription_data") else {
        return Ok(SubscriptionData::default());
    };
    if mode != "subscription" {
        let message = "You can only use `subscription_data` in `subscription` mode.";
        return Err(ApiError::invalid(message).param("subscription_data"));
    }
    let (trial_end, trial_days) = (data.integer("trial_end")?, data.integer("trial_period_days")?);
    if trial_days.is_some_and(|days| !(1..=730).contains(&days)) {
        let message = "The trial must have between 1 and 730 days.";
        let path = data.path_of("trial_period_days");
        return Err(ApiError::invalid(message).code("parameter_invalid_integer").param(path));
    }
    if trial_end.is_some_and(|end| end < sandbox.world.now.saturating_add(2 * DAY)) {
        let message = "The `trial_end` date has to be at least 2 days in the future.";
        return Err(ApiError::invalid(message).param(data.path_of("trial_end")));
    }
    let end = data.get("trial_settings").and_then(|settings| settings.get("end_behavior"));
    let ways = ["cancel", "create_invoice", "pause"];
    Ok(SubscriptionData {
        metadata: data.metadata(),
        description: data.text("description").map(str::to_owned),
        trial_end,
        trial_days,
        missing_payment_method: end
            .map_or(Ok(None), |end| end.choice("missing_payment_method", &ways))?,
    })
}

fn payment_data(mode: &'static str, params: &Params) -> Result<PaymentData, ApiError> {
    let Some(data) = params.get("payment_intent_data") else { return Ok(PaymentData::default()) };
    if mode != "payment" {
        let message = "You can only use `payment_intent_data` in `payment` mode.";
        return Err(ApiError::invalid(message).param("payment_intent_data"));
    }
    let captures = ["automatic", "automatic_async", "manual"];
    Ok(PaymentData {
        metadata: data.metadata(),
        description: data.text("description").map(str::to_owned),
        future_usage: data.choice("setup_future_usage", &["off_session", "on_session"])?,
        receipt_email: data.text("receipt_email").map(str::to_owned),
        statement_descriptor: data.text("statement_descriptor").map(str::to_owned),
        manual_capture: data.choice("capture_method", &captures)? == Some("manual"),
        shipping: data.get("shipping").map(read_shipping),
    })
}
