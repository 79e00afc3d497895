//! Thin events. Owns: what one names, and what has to be asked for because of it. Must not know:
//! how Stripe is asked, what the object means.
//!
//! A thin event carries no object, so its state comes from asking for the object it names: once for
//! all events of it that are there by then, for the reply shows what became of all of them. The
//! state is never read from the name. A few names tell what no state shows (that an attempt to pay
//! failed, that a trial is about to end); for those the snapshot event of the same happening is
//! asked for instead, which is the same event in the other form and so counts once.

use std::borrow::Cow;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{EventId, ObjectId};

use crate::fetched::FetchedKind;
use crate::observe::EVENT_TYPES;

/// What the names of thin events of v1 objects begin with.
const V1: &str = "v1.";
/// Stripe failed to make events, which are then in no list either.
const EVENTS_NOT_MADE: &str = "v2.core.health.event_generation_failure.";
/// Billing on pricing plans, rate cards and cadences, which is not read yet.
const BILLING_V2: &str = "v2.billing.";

/// The type by which Stripe says that it failed to make events; an account has to be admitted to
/// it.
pub const EVENTS_NOT_MADE_TYPE: &str = "v2.core.health.event_generation_failure.resolved";

/// A thin event. Texts are borrowed from the body and free of NUL.
#[derive(Debug, Clone)]
pub struct ThinEvent<'a> {
    /// Stripe's id.
    pub id: EventId,
    /// The type, such as `v1.customer.subscription.updated`.
    pub event_type: Cow<'a, str>,
    /// When Stripe made the event, in milliseconds.
    pub created: Timestamp,
    /// Live mode or test mode.
    pub livemode: bool,
    /// The account whose object it is, where that is not the endpoint's own.
    pub context: Option<ObjectId>,
    /// The object it is about; an error where what should name it does not.
    pub related_object: Result<Option<RelatedObject<'a>>, BadReference>,
    /// The snapshot event of the same happening.
    pub snapshot_event: Option<EventId>,
}

/// The object a thin event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedObject<'a> {
    /// Its id; a few objects have none.
    pub id: Option<ObjectId>,
    /// Stripe's name of such objects, such as `subscription` or `checkout.session`.
    pub object_type: Cow<'a, str>,
}

/// `related_object` is no object with a type, or its id is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadReference;

/// What a thin event asks of whoever gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// To look at an object.
    Object(FetchedKind, ObjectId),
    /// To look at the snapshot event of the same happening, or at the object where Stripe does not
    /// show that event any more.
    Happening(EventId, Option<ObjectId>),
    /// To compare everything: events were not made.
    CompareAll,
    /// To tell people that something of Billing v2 is sold, which is not read.
    SoldByBillingV2,
    /// To tell people that something of Billing v2 is sold no more.
    EndedInBillingV2,
    /// To set it aside as one that cannot be read: it tells of something that matters, and what
    /// should name the object does not.
    Unreadable,
    /// Nothing.
    Nothing {
        /// A stable label, free of anything the sender wrote.
        reason: &'static str,
    },
}

impl ThinEvent<'_> {
    /// What has to be done because of it.
    pub fn task(&self) -> Task {
        if self.event_type.starts_with(EVENTS_NOT_MADE) {
            return Task::CompareAll;
        }
        if let Some(name) = self.event_type.strip_prefix(BILLING_V2) {
            return of_billing_v2(name);
        }
        let Some(name) = self.event_type.strip_prefix(V1) else {
            return Task::Nothing { reason: "type_without_effects" };
        };
        if is_of_catalog(name) {
            return Task::Nothing { reason: "catalog_notice" };
        }
        let related = self.related();
        let object = related.and_then(|related| {
            let kind = FetchedKind::of_object_type(&related.object_type)?;
            related.id.clone().map(|id| (kind, id))
        });
        match (object, self.twin()) {
            // An id of no usual form does not say where its object is found.
            (Some((kind, id)), Some(twin)) if FetchedKind::of_id(id.as_str()) != Some(kind) => {
                Task::Happening(twin.clone(), None)
            }
            (Some((kind, id)), None) if FetchedKind::of_id(id.as_str()) != Some(kind) => {
                Task::Nothing { reason: "id_of_no_known_kind" }
            }
            (Some((_, id)), Some(twin)) if tells_by_name(name) => {
                Task::Happening(twin.clone(), Some(id))
            }
            (Some((kind, id)), _) if changes_the_object(kind, name) => Task::Object(kind, id),
            (None, Some(twin)) => Task::Happening(twin.clone(), None),
            (None, None) if self.names_nothing(name) => Task::Unreadable,
            _ => Task::Nothing { reason: "type_without_effects" },
        }
    }

    /// The object it is about, as far as it is named.
    pub fn related(&self) -> Option<&RelatedObject<'_>> {
        self.related_object.as_ref().ok()?.as_ref()
    }

    /// Whether an event of this name (without `v1.`) should name an object and does not. Of the
    /// entitlements Stripe keeps there is only a summary, which has no id.
    fn names_nothing(&self, name: &str) -> bool {
        match &self.related_object {
            Err(BadReference) => true,
            Ok(None) => EVENT_TYPES.contains(&name) && !name.starts_with("entitlements."),
            Ok(Some(related)) => {
                related.id.is_none() && FetchedKind::of_object_type(&related.object_type).is_some()
            }
        }
    }

    /// The snapshot event of the same happening, where such events are taken in: one that is not
    /// tells nothing of what happened.
    pub fn twin(&self) -> Option<&EventId> {
        let name = self.event_type.strip_prefix(V1)?;
        self.snapshot_event.as_ref().filter(|_| EVENT_TYPES.contains(&name))
    }
}

/// Names (without `v1.`) that tell what the object's state does not. What a customer was made with
/// names its account from then on, against whatever names another one later.
fn tells_by_name(name: &str) -> bool {
    matches!(
        name,
        "checkout.session.async_payment_failed"
            | "customer.created"
            | "customer.subscription.created"
            | "customer.subscription.paused"
            | "customer.subscription.resumed"
            | "customer.subscription.trial_will_end"
            | "invoice.payment_action_required"
            | "invoice.payment_failed"
    )
}

/// Of Billing v2 it matters what somebody has, such as a `pricing_plan_subscription`; plans, rate
/// cards and the like are what is for sale.
fn of_billing_v2(name: &str) -> Task {
    match name.split_once('.') {
        Some((object, "servicing_canceled")) if object.ends_with("_subscription") => {
            Task::EndedInBillingV2
        }
        Some((object, _)) if object.ends_with("_subscription") => Task::SoldByBillingV2,
        Some(_) | None => Task::Nothing { reason: "type_without_effects" },
    }
}

fn is_of_catalog(name: &str) -> bool {
    ["price.", "product.", "plan."].iter().any(|start| name.starts_with(start))
}

/// Whether an event of an object can have changed what we keep of it. Subscriptions, refunds and
/// the like: always, whatever names Stripe may add. Invoices: once they are no drafts. Of charges
/// and of the payments of invoices only one thing each is kept.
fn changes_the_object(kind: FetchedKind, name: &str) -> bool {
    match kind {
        FetchedKind::Customer
        | FetchedKind::Subscription
        | FetchedKind::Session
        | FetchedKind::Refund
        | FetchedKind::Dispute => true,
        FetchedKind::Invoice => !matches!(name, "invoice.created" | "invoice.deleted"),
        FetchedKind::Charge => name == "charge.refunded",
        FetchedKind::InvoicePayment => name == "invoice_payment.paid",
    }
}

/// The types a destination of ours is sent in the thin form: those of the snapshot form.
pub fn thin_event_types() -> Vec<String> {
    EVENT_TYPES.iter().map(|name| format!("{V1}{name}")).collect()
}

#[cfg(test)]
mod tests;
