//! Subscriptions over the API. Owns: their routes, reading what is asked for, and refusing what
//! Stripe refuses. Must not know: what the changes do to invoices and money.

use serde_json::Value;

use super::Sandbox;
use super::billing::end::{Resume, end_of_period, is_over};
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use crate::object::customer::Customer;
use crate::object::subscription::Subscription;

mod create;
pub(super) mod items;
pub(super) mod terms;
mod update;

/// What can be said of an item of a subscription.
macro_rules! item_fields {
    () => {
        "price plan price_data{currency! product! unit_amount unit_amount_decimal tax_behavior \
         recurring{interval! interval_count}} quantity metadata{*} tax_rates[] discounts[]{coupon \
         discount promotion_code} billing_thresholds{usage_gte}"
    };
}
pub(super) use item_fields;

/// What can be said of a subscription both when it begins and later.
macro_rules! common_fields {
    () => {
        "metadata{*} description collection_method days_until_due default_payment_method \
         default_source default_tax_rates[] cancel_at cancel_at_period_end off_session \
         payment_behavior proration_behavior trial_end trial_from_plan \
         trial_settings{end_behavior{missing_payment_method billing_cycle_anchor}} \
         automatic_tax{enabled liability{type account}} application_fee_percent on_behalf_of \
         payment_settings{payment_method_types[] save_default_payment_method \
         payment_method_options{card{request_three_d_secure network}}} \
         invoice_settings{account_tax_ids[] issuer{type account} description footer} \
         discounts[]{coupon discount promotion_code} transfer_data{destination amount_percent} \
         billing_thresholds{amount_gte reset_billing_cycle_anchor} \
         pending_invoice_item_interval{interval interval_count} "
    };
}

const CREATE: &str = concat!(
    common_fields!(),
    "customer! items[]{",
    item_fields!(),
    "} trial_period_days billing_cycle_anchor currency ",
    "billing_mode{type flexible{proration_discounts}}"
);

const UPDATE: &str = concat!(
    common_fields!(),
    "items[]{id deleted clear_usage ",
    item_fields!(),
    "} billing_cycle_anchor?{type} proration_date ",
    "pause_collection{behavior resumes_at} cancellation_details{comment feedback}"
);

const LIST: &str = "customer price plan status collection_method test_clock \
    created?{gt gte lt lte} current_period_start?{gt gte lt lte} \
    current_period_end?{gt gte lt lte}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/subscriptions", CREATE, create::create),
    Route::list("/v1/subscriptions", LIST, list),
    Route::get("/v1/subscriptions/{subscription}", retrieve),
    Route::post("/v1/subscriptions/{subscription}", UPDATE, update::update),
    Route::delete(
        "/v1/subscriptions/{subscription}",
        "prorate invoice_now cancellation_details{comment feedback}",
        cancel,
    ),
    Route::post(
        "/v1/subscriptions/{subscription}/pause",
        "type bill_for{outstanding_usage_through{type} unused_time_from{type}} invoicing_behavior",
        pause,
    ),
    Route::post(
        "/v1/subscriptions/{subscription}/resume",
        "billing_cycle_anchor?{type} payment_behavior proration_behavior proration_date",
        resume,
    ),
];

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Subscription>(call.id())?.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let customer = sandbox.referred::<Customer>(params, "customer")?.map(|one| one.id.as_str());
    let status = params.choice(
        "status",
        &[
            "active",
            "all",
            "canceled",
            "ended",
            "incomplete",
            "incomplete_expired",
            "past_due",
            "paused",
            "trialing",
            "unpaid",
        ],
    )?;
    let price = params.text("price").or_else(|| params.text("plan"));
    let method = params.text("collection_method");
    let created = Span::of(params, "created")?;
    let starts = Span::of(params, "current_period_start")?;
    let ends = Span::of(params, "current_period_end")?;
    let wanted = |one: &&Subscription| {
        let has_status = match status {
            Some("all") => true,
            Some("ended") => is_over(one),
            Some(status) => one.status == status,
            None => one.status != "canceled",
        };
        let mut items = one.items.iter();
        has_status
            && customer.is_none_or(|customer| one.customer == customer)
            && price.is_none_or(|price| items.clone().any(|item| item.price.id == price))
            && method.is_none_or(|method| one.terms.collection_method() == method)
            && params
                .text("test_clock")
                .is_none_or(|id| one.terms.test_clock.as_deref() == Some(id))
            && created.has(one.created)
            && items.any(|item| starts.has(item.period_start) && ends.has(item.period_end))
    };
    let mut found = sandbox.world.objects.newest_first::<Subscription>();
    found.retain(wanted);
    page::objects(call, &found, Subscription::show)
}

/// The subscription the path names, which must not be over.
fn living(sandbox: &Sandbox, call: &Call<'_>) -> Result<Subscription, ApiError> {
    let subscription = sandbox.named::<Subscription>(call.id())?;
    if is_over(subscription) {
        // Stripe does not find what is over, when it is to be changed.
        return Err(ApiError::missing_resource("subscription", call.id()));
    }
    Ok(subscription.clone())
}

fn cancel(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = living(sandbox, call)?;
    let mut after = before.clone();
    terms::read_farewell(call.params, &mut after);
    let prorates = call.params.boolean("prorate")?.unwrap_or(false);
    let bills = call.params.boolean("invoice_now")?.unwrap_or(false);
    sandbox.world.keep(after);
    let customer = before.customer.as_str();
    sandbox.in_time_of(customer, |sandbox| sandbox.cancel_now(&before.id, prorates, bills));
    retrieve(sandbox, call)
}

fn pause(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let subscription = living(sandbox, call)?;
    call.params.choice("type", &["subscription"])?;
    let customer = subscription.customer.as_str();
    sandbox.in_time_of(customer, |sandbox| sandbox.pause_on_request(&subscription))?;
    retrieve(sandbox, call)
}

fn resume(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let subscription = living(sandbox, call)?;
    let anchor = terms::anchor(call.params)?;
    let behavior = call
        .params
        .choice("payment_behavior", &["resume_on_payment_attempt", "resume_on_payment_success"])?;
    let how = Resume {
        new_period: anchor == Some("now"),
        on_success: behavior == Some("resume_on_payment_success"),
    };
    let customer = subscription.customer.as_str();
    sandbox.in_time_of(customer, |sandbox| sandbox.resume_on_request(&subscription, how))?;
    retrieve(sandbox, call)
}

impl Sandbox {
    /// A subscription ends now, at somebody's wish; what is left of its period is given back or
    /// not, and what waits is billed or not.
    pub(super) fn cancel_now(&mut self, id: &str, prorates: bool, bills: bool) {
        let Some(subscription) = self.copy::<Subscription>(id) else { return };
        if prorates && subscription.status != "trialing" {
            self.credit_rest(&subscription);
        }
        let invoice = bills.then(|| self.world.new_long_id("in_1"));
        if let Some(invoice) = &invoice {
            self.bill(&subscription, invoice.clone(), "subscription_update", Vec::new());
        }
        self.end_subscription(id, "cancellation_requested");
        if let Some(invoice) = invoice {
            self.finalize_invoice(&invoice);
            // What is not paid stays open.
            drop(self.collect_invoice(&invoice, None, super::billing::collect::Attempt::Asked));
        }
    }

    /// Pauses a subscription if it can be paused.
    pub(super) fn pause_on_request(&mut self, one: &Subscription) -> Result<(), ApiError> {
        if one.terms.schedule.is_some() {
            let message = "You cannot pause a subscription that is attached to a schedule. \
                           Release the schedule first.";
            return Err(ApiError::invalid(message));
        }
        if !matches!(one.status, "active" | "trialing" | "past_due") {
            let message =
                format!("You cannot pause a subscription with the status {}.", one.status);
            return Err(ApiError::invalid(message));
        }
        self.pause_subscription(&one.id, "pause_requested");
        Ok(())
    }

    /// Resumes a subscription if it is paused.
    pub(super) fn resume_on_request(
        &mut self,
        one: &Subscription,
        how: Resume,
    ) -> Result<(), ApiError> {
        if one.status != "paused" {
            let message = format!(
                "You can only resume a subscription with the status paused, not {}.",
                one.status
            );
            return Err(ApiError::invalid(message));
        }
        self.resume_subscription(&one.id, how)
    }

    /// When a subscription that is cancelled to the end of its period ends.
    pub(super) fn period_end_of(subscription: &Subscription) -> Option<i64> {
        subscription
            .trial_end
            .filter(|_| subscription.status == "trialing")
            .or_else(|| end_of_period(subscription))
    }
}
