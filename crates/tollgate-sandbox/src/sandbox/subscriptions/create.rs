//! Beginning a subscription over the API. Owns: reading what is wanted. Must not know: how it
//! begins.

use serde_json::Value;

use super::super::Sandbox;
use super::super::billing::begin::NewSubscription;
use super::super::error::ApiError;
use super::super::params::Params;
use super::super::route::Call;
use super::{items, terms};
use crate::object::customer::Customer;
use crate::object::price::Price;
use crate::object::subscription::Subscription;
use crate::time::DAY;

/// The longest trial, in days.
const LONGEST_TRIAL_DAYS: i64 = 730;

pub(super) fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let customer = sandbox.must_refer::<Customer>(call.params, "customer")?;
    if customer.deleted {
        return Err(ApiError::no_such("customer", &customer.id, "customer"));
    }
    let (customer, currency) = (customer.id.clone(), customer.currency.clone());
    let begun = sandbox.in_time_of(&customer, |sandbox| {
        let new = sandbox.read_new(&customer, call.params)?;
        let prices: Vec<&Price> = new.items.iter().map(|item| &item.price).collect();
        items::fits_prices(&prices, call.params)?;
        fits_customer(&prices, currency.as_deref())?;
        sandbox.begin_subscription(new)
    })?;
    Ok(begun.show(call.version))
}

/// A customer pays in one currency.
fn fits_customer(prices: &[&Price], currency: Option<&str>) -> Result<(), ApiError> {
    let other = prices.iter().find(|price| currency.is_some_and(|own| own != price.currency));
    other.map_or(Ok(()), |price| {
        let message = format!(
            "You cannot combine currencies on a single customer. This customer has had a \
             subscription, coupon, or invoice item with currency {}, and the price is in {}.",
            currency.unwrap_or_default(),
            price.currency
        );
        Err(ApiError::invalid(message).param("items[0][price]"))
    })
}

impl Sandbox {
    fn read_new(&mut self, customer: &str, params: &Params) -> Result<NewSubscription, ApiError> {
        let items = params.list("items");
        if items.is_empty() {
            return Err(ApiError::missing_param("items"));
        }
        let items = self.new_items(&items)?;
        let mut new = NewSubscription::to(customer, items);
        let mut draft = self.blank(customer, &new);
        self.read_terms(params, &mut draft)?;
        new.metadata = draft.metadata;
        new.terms = draft.terms;
        new.payment_method = draft.payment_method;
        new.cancel_at = draft.cancel_at.filter(|_| !draft.cancel_at_period_end);
        new.cancel_at_period_end = draft.cancel_at_period_end;
        new.behavior = terms::payment_behavior(params)?;
        new.trial_end = self.trial_of(params)?;
        new.anchor = params.integer("billing_cycle_anchor")?;
        Ok(new)
    }

    /// What terms are read into before there is a subscription.
    fn blank(&self, customer: &str, new: &NewSubscription) -> Subscription {
        Subscription {
            id: String::new(),
            customer: customer.to_owned(),
            status: "active",
            items: Vec::new(),
            created: self.world.now,
            billing_cycle_anchor: self.world.now,
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            cancellation_reason: None,
            trial_start: None,
            trial_end: None,
            paused: None,
            latest_invoice: None,
            payment_method: None,
            pending_update: None,
            metadata: new.metadata.clone(),
            terms: new.terms.clone(),
        }
    }

    /// The end of the trial that is asked for, by its days or its end.
    pub(in super::super) fn trial_of(&self, params: &Params) -> Result<Option<i64>, ApiError> {
        let now = self.world.now;
        let end = terms::trial_end(params, now)?.filter(|end| *end > now);
        let Some(days) = params.amount("trial_period_days")? else { return Ok(end) };
        if params.has("trial_end") {
            let message = "You may only specify one of these parameters: trial_end, \
                           trial_period_days.";
            return Err(ApiError::invalid(message).param("trial_period_days"));
        }
        if days > LONGEST_TRIAL_DAYS {
            let message = format!("Trial periods can be at most {LONGEST_TRIAL_DAYS} days.");
            return Err(ApiError::invalid(message).param("trial_period_days"));
        }
        Ok((days > 0).then(|| now.saturating_add(days.saturating_mul(DAY))))
    }
}
