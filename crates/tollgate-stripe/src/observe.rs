//! From an event to an observation. Owns: which event types have effects and which object each
//! carries. Must not know: the shapes of the objects, what the effects are.

use tollgate_domain::{EventKind, Observation};

use crate::event::Envelope;
use crate::object;

/// What an event comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart at once; a box would be an allocation per event"
)]
pub enum Observed {
    /// It tells something that has effects.
    Effect(Observation),
    /// It is to be stored and has no effects.
    Ignored {
        /// A stable label, free of anything the sender wrote.
        reason: &'static str,
    },
}

/// Why an event with effects cannot be read. The text is stable and quotes nothing of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ObserveError {
    /// A field that is needed is not there, or null.
    #[error("{object}.{field} is missing")]
    Missing {
        /// Stripe's name of the object.
        object: &'static str,
        /// Path of the field in it.
        field: &'static str,
    },
    /// A field has a form or value that cannot be right.
    #[error("{object}.{field} is garbled")]
    Garbled {
        /// Stripe's name of the object.
        object: &'static str,
        /// Path of the field in it.
        field: &'static str,
    },
    /// The object is no readable JSON (a lone surrogate, a repeated field).
    #[error("{object} is unreadable")]
    Unreadable {
        /// Stripe's name of the object.
        object: &'static str,
    },
}

impl ObserveError {
    /// A stable label for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing_field",
            Self::Garbled { .. } => "garbled_field",
            Self::Unreadable { .. } => "unreadable_object",
        }
    }
}

/// The event types that have effects: what a webhook endpoint of ours is sent.
pub const EVENT_TYPES: [&str; 50] = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.refund.updated",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.created",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "entitlements.active_entitlement_summary.updated",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.updated",
    "invoice.voided",
    "invoice_payment.paid",
    "plan.created",
    "plan.deleted",
    "plan.updated",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "subscription_schedule.aborted",
    "subscription_schedule.canceled",
    "subscription_schedule.completed",
    "subscription_schedule.created",
    "subscription_schedule.released",
    "subscription_schedule.updated",
];

/// The kind of an event type; `None` for a type without effects.
pub fn event_kind(event_type: &str) -> Option<EventKind> {
    Some(match event_type {
        "checkout.session.completed" => EventKind::CheckoutCompleted,
        "checkout.session.async_payment_succeeded" => EventKind::CheckoutAsyncSucceeded,
        "checkout.session.async_payment_failed" => EventKind::CheckoutAsyncFailed,
        "checkout.session.expired" => EventKind::CheckoutExpired,
        "customer.created" => EventKind::CustomerCreated,
        "customer.updated" => EventKind::CustomerUpdated,
        "customer.deleted" => EventKind::CustomerDeleted,
        "customer.subscription.created" => EventKind::SubscriptionCreated,
        "customer.subscription.updated" => EventKind::SubscriptionUpdated,
        "customer.subscription.deleted" => EventKind::SubscriptionDeleted,
        "customer.subscription.paused" => EventKind::SubscriptionPaused,
        "customer.subscription.resumed" => EventKind::SubscriptionResumed,
        "customer.subscription.trial_will_end" => EventKind::SubscriptionTrialWillEnd,
        "customer.subscription.pending_update_applied" => {
            EventKind::SubscriptionPendingUpdateApplied
        }
        "customer.subscription.pending_update_expired" => {
            EventKind::SubscriptionPendingUpdateExpired
        }
        "subscription_schedule.created" => EventKind::ScheduleCreated,
        "subscription_schedule.updated"
        | "subscription_schedule.released"
        | "subscription_schedule.canceled"
        | "subscription_schedule.completed"
        | "subscription_schedule.aborted" => EventKind::ScheduleChanged,
        "invoice.finalized" => EventKind::InvoiceFinalized,
        "invoice.paid" => EventKind::InvoicePaid,
        "invoice.payment_succeeded" => EventKind::InvoicePaymentSucceeded,
        "invoice.payment_failed" => EventKind::InvoicePaymentFailed,
        "invoice.payment_action_required" => EventKind::InvoicePaymentActionRequired,
        "invoice.updated" => EventKind::InvoiceUpdated,
        "invoice.voided" => EventKind::InvoiceVoided,
        "invoice.marked_uncollectible" => EventKind::InvoiceMarkedUncollectible,
        "invoice_payment.paid" => EventKind::InvoicePaymentPaid,
        "charge.refunded" => EventKind::ChargeRefunded,
        "refund.created" => EventKind::RefundCreated,
        "refund.updated" | "charge.refund.updated" => EventKind::RefundUpdated,
        "refund.failed" => EventKind::RefundFailed,
        "charge.dispute.created" => EventKind::DisputeCreated,
        "charge.dispute.updated" => EventKind::DisputeUpdated,
        "charge.dispute.closed" => EventKind::DisputeClosed,
        "charge.dispute.funds_withdrawn" => EventKind::DisputeFundsWithdrawn,
        "charge.dispute.funds_reinstated" => EventKind::DisputeFundsReinstated,
        "price.created" | "price.updated" | "price.deleted" | "product.created"
        | "product.updated" | "product.deleted" | "plan.created" | "plan.updated"
        | "plan.deleted" => EventKind::CatalogChanged,
        "entitlements.active_entitlement_summary.updated" => EventKind::EntitlementSummaryUpdated,
        _ => return None,
    })
}

/// Reads what an event tells. Two events that show one object in the shapes of two API versions
/// give the same observation.
///
/// Of an event of a connected account, lookup keys and products are left out: whoever runs that
/// account chooses them, so they must not name what is sold here.
pub fn observe(envelope: &Envelope<'_>) -> Result<Observed, ObserveError> {
    match event_kind(&envelope.event_type) {
        None => Ok(Observed::Ignored { reason: "type_without_effects" }),
        Some(kind) => object::read(kind, envelope).map(|mut seen| {
            if envelope.account.is_some() {
                seen.forget_chosen_names();
            }
            Observed::Effect(seen)
        }),
    }
}
