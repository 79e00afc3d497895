//! Single events. Owns: which event types can be made alone, and from which story each is taken.
//! Must not know: what the stories tell.

use tollgate_domain::Catalog;

use crate::event::{Happening, StripeEvent};
use crate::overrides::Override;
use crate::scenario::{Scenario, ScenarioError, ScenarioOptions, Telling, odds};
use crate::suggestion::{closest, hint};

/// Event types and the story each is taken from; `None` for those no story has.
const SOURCES: [(&str, Option<&str>); 55] = [
    ("charge.dispute.closed", Some("dispute")),
    ("charge.dispute.created", Some("dispute")),
    ("charge.dispute.funds_reinstated", None),
    ("charge.dispute.funds_withdrawn", Some("dispute")),
    ("charge.dispute.updated", Some("dispute")),
    ("charge.failed", Some("dunning")),
    ("charge.refund.updated", None),
    ("charge.refunded", Some("refund")),
    ("charge.succeeded", Some("renewal")),
    ("checkout.session.async_payment_failed", Some("async_payment_failed")),
    ("checkout.session.async_payment_succeeded", Some("async_payment")),
    ("checkout.session.completed", Some("checkout")),
    ("checkout.session.expired", None),
    ("customer.created", Some("checkout")),
    ("customer.deleted", None),
    ("customer.subscription.created", Some("checkout")),
    ("customer.subscription.deleted", Some("cancel")),
    ("customer.subscription.paused", Some("pause")),
    ("customer.subscription.pending_update_applied", None),
    ("customer.subscription.pending_update_expired", None),
    ("customer.subscription.resumed", Some("resume")),
    ("customer.subscription.trial_will_end", Some("trial_converted")),
    ("customer.subscription.updated", Some("renewal")),
    ("customer.updated", Some("checkout")),
    ("entitlements.active_entitlement_summary.updated", None),
    ("invoice.created", Some("renewal")),
    ("invoice.finalized", Some("renewal")),
    ("invoice.marked_uncollectible", Some("dunning_canceled")),
    ("invoice.paid", Some("renewal")),
    ("invoice.payment_action_required", None),
    ("invoice.payment_failed", Some("dunning")),
    ("invoice.payment_succeeded", Some("renewal")),
    ("invoice.updated", Some("renewal")),
    ("invoice.voided", None),
    ("invoice_payment.paid", Some("renewal")),
    ("payment_intent.payment_failed", Some("dunning")),
    ("payment_intent.succeeded", Some("renewal")),
    ("plan.created", None),
    ("plan.deleted", None),
    ("plan.updated", None),
    ("price.created", None),
    ("price.deleted", None),
    ("price.updated", None),
    ("product.created", None),
    ("product.deleted", None),
    ("product.updated", None),
    ("refund.created", Some("refund")),
    ("refund.failed", None),
    ("refund.updated", None),
    ("subscription_schedule.aborted", None),
    ("subscription_schedule.canceled", None),
    ("subscription_schedule.completed", None),
    ("subscription_schedule.created", None),
    ("subscription_schedule.released", None),
    ("subscription_schedule.updated", None),
];

/// The event types that can be made alone, sorted.
pub fn event_types() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|(kind, _)| *kind)
}

/// The type a name stands for: Stripe's own command line takes some by other names.
fn canonical(kind: &str) -> &str {
    match kind.strip_prefix("v1.").unwrap_or(kind) {
        "subscription.payment_failed" => "invoice.payment_failed",
        "subscription.payment_succeeded" => "invoice.payment_succeeded",
        other => other,
    }
}

/// One event of a type, as of the options' time, with its object edited.
pub fn event(
    kind: &str,
    catalog: &Catalog,
    options: &ScenarioOptions,
    overrides: &[Override],
) -> Result<StripeEvent, ScenarioError> {
    let happening = alone(kind, catalog, options)?;
    let mut object = happening.object.show(options.api_version);
    for edit in overrides {
        edit.apply(&mut object)?;
    }
    Ok(happening.finish(object, options.api_version))
}

/// What happens in one event of a type, as of the options' time.
pub(crate) fn alone(
    kind: &str,
    catalog: &Catalog,
    options: &ScenarioOptions,
) -> Result<Happening, ScenarioError> {
    let mut happening = happening(canonical(kind), catalog, options)?;
    happening.created = options.at.unix_seconds();
    Ok(happening)
}

fn happening(
    kind: &str,
    catalog: &Catalog,
    options: &ScenarioOptions,
) -> Result<Happening, ScenarioError> {
    let unknown = || ScenarioError::UnknownEvent {
        kind: kind.chars().take(80).collect(),
        hint: hint(closest(kind, event_types())),
    };
    let (_, story) = SOURCES.iter().find(|(known, _)| *known == kind).ok_or_else(unknown)?;
    let mut telling = Telling::new(&format!("event/{kind}"), catalog, options);
    match story {
        Some(story) => Scenario::find(story)?.tell(&mut telling)?,
        None => odds::tell(&mut telling)?,
    }
    let happenings = telling.world.into_happenings();
    happenings.into_iter().rev().find(|happening| happening.kind == kind).ok_or_else(unknown)
}
