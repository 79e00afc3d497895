//! Changing a subscription over the API. Owns: reading what is to be different, and which changes a
//! status allows. Must not know: what a change costs.

use serde_json::Value;

use super::super::Sandbox;
use super::super::error::ApiError;
use super::super::params::Params;
use super::super::route::Call;
use super::{is_over, items, retrieve, terms};
use crate::object::subscription::{Subscription, TrialEnd};

/// What can be changed while the first payment is missing.
const WHILE_INCOMPLETE: [&str; 5] =
    ["metadata", "default_payment_method", "default_source", "description", "expand"];

/// What can be changed when it is over.
const WHEN_OVER: [&str; 3] = ["metadata", "cancellation_details", "expand"];

pub(super) fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = sandbox.named::<Subscription>(call.id())?.clone();
    let customer = before.customer.as_str();
    sandbox.in_time_of(customer, |sandbox| sandbox.update_subscription(&before, call.params))?;
    retrieve(sandbox, call)
}

impl Sandbox {
    fn update_subscription(
        &mut self,
        before: &Subscription,
        params: &Params,
    ) -> Result<(), ApiError> {
        allows(before, params)?;
        let mut after = before.clone();
        self.read_items(params, &mut after)?;
        let now = self.world.now;
        if let Some(end) = terms::trial_end(params, now)? {
            after.trial_end = Some(end);
            after.trial_start = after.trial_start.or(Some(now));
            if end > now {
                after.status = "trialing";
                after.billing_cycle_anchor = end;
                after.items.iter_mut().for_each(|item| item.period_end = end);
            }
        }
        let mut manner = items::manner(params)?;
        manner.new_period = terms::anchor(params)? == Some("now");
        self.read_terms(params, &mut after)?;
        if self.ends_trial_with_nothing(before, &after) {
            return Ok(());
        }
        let changed = self.change_subscription(before, after, manner)?;
        let told = changed.terms.trial_end_told == changed.trial_end;
        if changed.status == "trialing" && !told && self.trial_is_short(&changed) {
            self.tell_trial_end(&changed.id);
        }
        Ok(())
    }

    /// A trial that ends at once for whom nothing can be charged ends by what was agreed for that;
    /// false where it goes the usual way.
    fn ends_trial_with_nothing(&mut self, before: &Subscription, after: &Subscription) -> bool {
        let now = self.world.now;
        let ends = before.status == "trialing" && after.trial_end.is_some_and(|end| end <= now);
        let agreed = after.terms.trial_end;
        if !ends || agreed == TrialEnd::CreateInvoice || self.can_collect(after) {
            return false;
        }
        self.write(before, after.clone());
        if agreed == TrialEnd::Pause {
            self.pause_subscription(&before.id, "trial_end_without_payment_method");
        } else {
            self.end_subscription(&before.id, "payment_failed");
        }
        true
    }
}

/// Refuses changes that a subscription's status or another change does not allow.
fn allows(subscription: &Subscription, params: &Params) -> Result<(), ApiError> {
    let mut given = params.children().iter().map(|(name, _)| name.as_str());
    if is_over(subscription)
        && let Some(name) = given.clone().find(|name| !WHEN_OVER.contains(name))
    {
        let message =
            "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(ApiError::invalid(message).param(name));
    }
    if subscription.status == "incomplete"
        && let Some(name) = given.clone().find(|name| !WHILE_INCOMPLETE.contains(name))
    {
        let message = format!(
            "You cannot update `{name}` of a subscription in `incomplete` status. Only the default \
             payment method, the description and metadata can be updated."
        );
        return Err(ApiError::invalid(message).param(name));
    }
    let pending = params.text("payment_behavior") == Some("pending_if_incomplete");
    let taken = [
        "expand",
        "items",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "billing_cycle_anchor",
        "trial_end",
        "trial_from_plan",
        "off_session",
    ];
    if pending && let Some(name) = given.find(|name| !taken.contains(name)) {
        let message = format!(
            "`{name}` cannot be updated together with `payment_behavior` \
             `pending_if_incomplete`."
        );
        return Err(ApiError::invalid(message).param(name));
    }
    Ok(())
}
