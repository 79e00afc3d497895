//! Items of subscriptions: over the API, and as parameters of a subscription. Owns: reading them,
//! their prices and quantities. Must not know: what a change of them costs.

use serde_json::{Value, json};

use super::super::Sandbox;
use super::super::billing::begin::NewItem;
use super::super::billing::change::Manner;
use super::super::billing::end::is_over;
use super::super::billing::end_after;
use super::super::error::ApiError;
use super::super::params::Params;
use super::super::route::{Call, Route};
use super::super::{page, prices};
use super::{item_fields, terms};
use crate::object::price::Price;
use crate::object::subscription::{Item, Subscription};

/// The most items of one subscription.
const MOST_ITEMS: usize = 20;

const CREATE: &str = concat!(
    "subscription! payment_behavior proration_behavior proration_date off_session ",
    item_fields!()
);
const UPDATE: &str =
    concat!("payment_behavior proration_behavior proration_date off_session ", item_fields!());

pub(in super::super) const ROUTES: &[Route] = &[
    Route::post("/v1/subscription_items", CREATE, create),
    Route::list("/v1/subscription_items", "subscription!", list),
    Route::get("/v1/subscription_items/{item}", retrieve),
    Route::post("/v1/subscription_items/{item}", UPDATE, update),
    Route::delete(
        "/v1/subscription_items/{item}",
        "clear_usage payment_behavior proration_behavior proration_date off_session",
        delete,
    ),
];

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let subscription = sandbox.must_refer::<Subscription>(call.params, "subscription")?;
    let show = |item: &Item| item.show(&subscription.id, call.version);
    page::page(call, "subscription_item", &subscription.items, |item| item.id.as_str(), show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let subscription = holding(sandbox, call.id())?;
    Ok(shown(&subscription, call.id(), call))
}

fn shown(subscription: &Subscription, item: &str, call: &Call<'_>) -> Value {
    let found = subscription.items.iter().find(|one| one.id == item);
    found.map_or(Value::Null, |item| item.show(&subscription.id, call.version))
}

/// The subscription that has an item.
fn holding(sandbox: &Sandbox, item: &str) -> Result<Subscription, ApiError> {
    let mut all = sandbox.world.objects.all::<Subscription>();
    let found = all.find(|one| one.items.iter().any(|own| own.id == item));
    found.cloned().ok_or_else(|| ApiError::missing_resource("subscription_item", item))
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = sandbox.must_refer::<Subscription>(call.params, "subscription")?.clone();
    let mut after = before.clone();
    let id = sandbox.add_item(&mut after, call.params)?;
    let changed = sandbox.change_items(&before, after, call)?;
    Ok(shown(&changed, &id, call))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = holding(sandbox, call.id())?;
    let mut after = before.clone();
    if let Some(item) = after.items.iter_mut().find(|item| item.id == call.id()) {
        sandbox.read_item(call.params, item)?;
    }
    let changed = sandbox.change_items(&before, after, call)?;
    Ok(shown(&changed, call.id(), call))
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = holding(sandbox, call.id())?;
    let mut after = before.clone();
    after.items.retain(|item| item.id != call.id());
    sandbox.change_items(&before, after, call)?;
    Ok(json!({"id": call.id(), "object": "subscription_item", "deleted": true}))
}

/// How the parameters want a change to be made.
pub(in super::super) fn manner(params: &Params) -> Result<Manner, ApiError> {
    Ok(Manner {
        proration: terms::proration(params)?,
        proration_at: params.integer("proration_date")?,
        behavior: terms::payment_behavior(params)?,
        new_period: false,
    })
}

impl Sandbox {
    fn change_items(
        &mut self,
        before: &Subscription,
        after: Subscription,
        call: &Call<'_>,
    ) -> Result<Subscription, ApiError> {
        if is_over(before) {
            return Err(ApiError::missing_resource("subscription", &before.id));
        }
        fits(&after.items, call.params)?;
        let manner = manner(call.params)?;
        let customer = before.customer.as_str();
        self.in_time_of(customer, |sandbox| sandbox.change_subscription(before, after, manner))
    }

    /// The price a parameter names, which must be one that recurs and is for sale.
    pub(in super::super) fn recurring_price(&mut self, params: &Params) -> Result<Price, ApiError> {
        let name = if params.has("plan") && !params.has("price") { "plan" } else { "price" };
        let price = if let Some(data) = params.get("price_data") {
            let product = prices::product(self, data)?;
            prices::make(self, product, data)?
        } else {
            self.must_refer::<Price>(params, name)?.clone()
        };
        let path = params.path_of(name);
        if price.interval.is_none() {
            let message = "The price specified is set to `type=one_time` but this field only \
                           accepts prices with `type=recurring`.";
            return Err(ApiError::invalid(message).param(path));
        }
        if !price.active {
            let message = format!(
                "The price specified is inactive. This field only accepts active prices ({}).",
                price.id
            );
            return Err(ApiError::invalid(message).param(path));
        }
        Ok(price)
    }

    /// The items of a new subscription.
    pub(in super::super) fn new_items(
        &mut self,
        list: &[&Params],
    ) -> Result<Vec<NewItem>, ApiError> {
        let mut items = Vec::with_capacity(list.len());
        for params in list {
            items.push(NewItem {
                price: self.recurring_price(params)?,
                quantity: quantity(params)?.unwrap_or(1),
                metadata: params.metadata(),
            });
        }
        Ok(items)
    }

    /// Adds the item that the parameters describe; returns its id.
    pub(super) fn add_item(
        &mut self,
        subscription: &mut Subscription,
        params: &Params,
    ) -> Result<String, ApiError> {
        let price = self.recurring_price(params)?;
        if subscription.items.iter().any(|item| item.price.id == price.id) {
            let message =
                format!("Cannot add multiple subscription items with the same plan: {}", price.id);
            return Err(ApiError::invalid(message).param(params.path_of("price")));
        }
        let now = self.world.now;
        let like = subscription.items.iter().find(|item| item.price.interval == price.interval);
        let anchor = subscription.billing_cycle_anchor;
        let own_end = end_after(&price, anchor, now);
        let id = self.world.new_short_id("si_");
        subscription.items.push(Item {
            id: id.clone(),
            quantity: quantity(params)?.unwrap_or(1),
            created: now,
            period_start: like.map_or(now, |item| item.period_start),
            period_end: like.map_or(own_end, |item| item.period_end),
            metadata: params.metadata(),
            price,
        });
        Ok(id)
    }

    /// Writes what the parameters say of an item into it.
    pub(super) fn read_item(&mut self, params: &Params, item: &mut Item) -> Result<(), ApiError> {
        if ["price", "plan", "price_data"].into_iter().any(|name| params.has(name)) {
            item.price = self.recurring_price(params)?;
        }
        if let Some(quantity) = quantity(params)? {
            item.quantity = quantity;
        }
        params.merge_metadata(&mut item.metadata);
        Ok(())
    }

    /// Writes the `items` of a change into a subscription.
    pub(in super::super) fn read_items(
        &mut self,
        params: &Params,
        subscription: &mut Subscription,
    ) -> Result<(), ApiError> {
        for given in params.list("items") {
            let Some(id) = given.text("id") else {
                self.add_item(subscription, given)?;
                continue;
            };
            let path = given.path_of("id");
            let missing = || ApiError::no_such("subscription_item", id, &path);
            if given.boolean("deleted")? == Some(true) {
                let count = subscription.items.len();
                subscription.items.retain(|item| item.id != id);
                if subscription.items.len() == count {
                    return Err(missing());
                }
                continue;
            }
            let found = subscription.items.iter_mut().find(|item| item.id == id);
            self.read_item(given, found.ok_or_else(missing)?)?;
        }
        fits(&subscription.items, params)
    }
}

/// A quantity that is not below zero.
pub(in super::super) fn quantity(params: &Params) -> Result<Option<u32>, ApiError> {
    let Some(quantity) = params.amount("quantity")? else { return Ok(None) };
    let too_large = |_| {
        let message = format!("Invalid quantity: {quantity} is too large.");
        ApiError::invalid(message).param(params.path_of("quantity"))
    };
    u32::try_from(quantity).map(Some).map_err(too_large)
}

/// Whether items can stand in one subscription.
pub(in super::super) fn fits(items: &[Item], params: &Params) -> Result<(), ApiError> {
    let prices: Vec<&Price> = items.iter().map(|item| &item.price).collect();
    fits_prices(&prices, params)
}

/// Whether prices can stand in one subscription: at least one, not too many, of one currency.
pub(in super::super) fn fits_prices(prices: &[&Price], params: &Params) -> Result<(), ApiError> {
    let path = params.path_of("items");
    let Some((first, others)) = prices.split_first() else {
        let message = "A subscription must have at least one active item.";
        return Err(ApiError::invalid(message).param(path));
    };
    if prices.len() > MOST_ITEMS {
        let message = format!("A subscription can have at most {MOST_ITEMS} items.");
        return Err(ApiError::invalid(message).param(path));
    }
    if let Some(other) = others.iter().find(|other| other.currency != first.currency) {
        let message = format!(
            "The price specified supports the currency `{}`, but the other items are in `{}`. You \
             cannot combine currencies on a single subscription.",
            other.currency, first.currency
        );
        return Err(ApiError::invalid(message).param(path));
    }
    Ok(())
}
