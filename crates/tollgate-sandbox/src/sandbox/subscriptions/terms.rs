//! Terms of a subscription. Owns: reading what is agreed beside the items: collection, cancellation,
//! trial, pause of collection. Must not know: what a change of them does.

use super::super::Sandbox;
use super::super::billing::{PaymentBehavior, Proration};
use super::super::error::ApiError;
use super::super::params::Params;
use crate::object::subscription::{PauseCollection, Subscription, TrialEnd};

const BEHAVIORS: [&str; 4] =
    ["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"];

pub(in super::super) fn payment_behavior(params: &Params) -> Result<PaymentBehavior, ApiError> {
    Ok(match params.choice("payment_behavior", &BEHAVIORS)? {
        Some("default_incomplete") => PaymentBehavior::Leave,
        Some("error_if_incomplete") => PaymentBehavior::Refuse,
        Some("pending_if_incomplete") => PaymentBehavior::Suspend,
        _ => PaymentBehavior::Allow,
    })
}

pub(in super::super) fn proration(params: &Params) -> Result<Proration, ApiError> {
    let word = params.choice("proration_behavior", &Proration::WORDS)?;
    Ok(word.map_or_else(Proration::default, Proration::of))
}

/// `billing_cycle_anchor` of a change: `now` or `unchanged`, as a word or, since endive, in a hash.
pub(in super::super) fn anchor(params: &Params) -> Result<Option<&'static str>, ApiError> {
    let words = ["now", "unchanged"];
    match params.get("billing_cycle_anchor") {
        Some(hash) if !hash.children().is_empty() => hash.choice("type", &words),
        _ => params.choice("billing_cycle_anchor", &words),
    }
}

/// `trial_end`: an instant that is still to come, or `now`, which is given as now.
pub(in super::super) fn trial_end(params: &Params, now: i64) -> Result<Option<i64>, ApiError> {
    if params.text("trial_end") == Some("now") {
        return Ok(Some(now));
    }
    let end = params.integer("trial_end")?;
    if end.is_some_and(|end| end <= now) {
        let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
        return Err(ApiError::invalid(message).param("trial_end"));
    }
    Ok(end)
}

/// What a customer says on leaving.
pub(in super::super) fn read_farewell(params: &Params, subscription: &mut Subscription) {
    let Some(details) = params.get("cancellation_details") else { return };
    if details.has("feedback") {
        subscription.terms.feedback = details.text("feedback").map(str::to_owned);
    }
    if details.has("comment") {
        subscription.terms.comment = details.text("comment").map(str::to_owned);
    }
}

impl Sandbox {
    /// Writes what the parameters say of collection, trial, cancellation and description into a
    /// subscription.
    pub(in super::super) fn read_terms(
        &mut self,
        params: &Params,
        subscription: &mut Subscription,
    ) -> Result<(), ApiError> {
        let now = self.world.now;
        if params.has("description") {
            subscription.terms.description = params.text("description").map(str::to_owned);
        }
        params.merge_metadata(&mut subscription.metadata);
        self.read_collection(params, subscription)?;
        let behavior = params.get("trial_settings").and_then(|one| one.get("end_behavior"));
        if let Some(behavior) = behavior {
            let words = ["create_invoice", "pause", "cancel"];
            subscription.terms.trial_end =
                match behavior.choice("missing_payment_method", &words)? {
                    Some("pause") => TrialEnd::Pause,
                    Some("cancel") => TrialEnd::Cancel,
                    _ => TrialEnd::CreateInvoice,
                };
        }
        if let Some(later) = params.boolean("cancel_at_period_end")? {
            if params.has("cancel_at") {
                let message = "You may only specify one of these parameters: cancel_at, \
                               cancel_at_period_end.";
                return Err(ApiError::invalid(message).param("cancel_at_period_end"));
            }
            subscription.cancel_at_period_end = later;
            let end = Self::period_end_of(subscription).filter(|_| later);
            self.cancel_later(subscription, end);
        }
        if params.has("cancel_at") {
            let at = cancel_at(params, subscription)?;
            if at.is_some_and(|at| at <= now) {
                let message = "The cancel_at timestamp must be in the future.";
                return Err(ApiError::invalid(message).param("cancel_at"));
            }
            subscription.cancel_at_period_end = false;
            self.cancel_later(subscription, at);
        }
        read_pause(params, subscription)?;
        read_farewell(params, subscription);
        Ok(())
    }

    fn read_collection(
        &mut self,
        params: &Params,
        subscription: &mut Subscription,
    ) -> Result<(), ApiError> {
        let methods = ["charge_automatically", "send_invoice"];
        let method = params.choice("collection_method", &methods)?;
        let days = params.amount("days_until_due")?.and_then(|days| u32::try_from(days).ok());
        let sends = method.unwrap_or_else(|| subscription.terms.collection_method());
        if sends == "send_invoice" {
            let days = days.or(subscription.terms.days_until_due);
            let Some(days) = days else {
                let message = "You must pass `days_until_due` when `collection_method` is set to \
                               `send_invoice`.";
                return Err(ApiError::invalid(message).param("days_until_due"));
            };
            subscription.terms.days_until_due = Some(days);
        } else {
            subscription.terms.days_until_due = None;
        }
        if params.has("default_payment_method") {
            let name = "default_payment_method";
            let method = self.own_method(&subscription.customer, params, name)?;
            subscription.payment_method = method.map(|method| method.id);
        }
        Ok(())
    }
}

/// `cancel_at`: an instant, or the end of a period by name.
fn cancel_at(params: &Params, subscription: &Subscription) -> Result<Option<i64>, ApiError> {
    let ends = subscription.items.iter().map(|item| item.period_end);
    match params.text("cancel_at") {
        Some("min_period_end") => Ok(ends.min()),
        Some("max_period_end") => Ok(ends.max()),
        _ => params.integer("cancel_at"),
    }
}

fn read_pause(params: &Params, subscription: &mut Subscription) -> Result<(), ApiError> {
    if params.unsets("pause_collection") {
        subscription.terms.pause_collection = None;
    }
    let Some(pause) = params.get("pause_collection").filter(|one| !one.children().is_empty())
    else {
        return Ok(());
    };
    let words = ["keep_as_draft", "mark_uncollectible", "void"];
    let Some(behavior) = pause.choice("behavior", &words)? else {
        return Err(ApiError::missing_param("pause_collection[behavior]"));
    };
    let resumes_at = pause.integer("resumes_at")?;
    subscription.terms.pause_collection = Some(PauseCollection { behavior, resumes_at });
    Ok(())
}
