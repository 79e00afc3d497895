//! What a thin event makes us ask for.

use super::*;

const SNAPSHOT: Option<&str> = Some("evt_1");

fn event<'a>(name: &'a str, related: Option<(&'a str, &str)>, snapshot: Option<&str>) -> Task {
    thin(name, related, snapshot).task()
}

fn thin<'a>(
    name: &'a str,
    related: Option<(&'a str, &str)>,
    snapshot: Option<&str>,
) -> ThinEvent<'a> {
    let related_object = related.map(|(object_type, id)| RelatedObject {
        id: ObjectId::parse(id).ok(),
        object_type: object_type.into(),
    });
    ThinEvent {
        id: EventId::parse("evt_thin_1").unwrap(),
        event_type: name.into(),
        created: Timestamp::from_unix_seconds(1),
        livemode: false,
        context: None,
        related_object: Ok(related_object),
        snapshot_event: snapshot.map(|id| EventId::parse(id).unwrap()),
    }
}

fn object(kind: FetchedKind, id: &str) -> Task {
    Task::Object(kind, ObjectId::parse(id).unwrap())
}

fn happening(object: Option<&str>) -> Task {
    let object = object.map(|id| ObjectId::parse(id).unwrap());
    Task::Happening(EventId::parse("evt_1").unwrap(), object)
}

fn nothing(reason: &'static str) -> Task {
    Task::Nothing { reason }
}

#[test]
fn the_object_is_asked_for_whatever_the_name_says() {
    for (name, object_type, id, kind) in [
        ("v1.customer.subscription.updated", "subscription", "sub_1", FetchedKind::Subscription),
        ("v1.customer.subscription.deleted", "subscription", "sub_1", FetchedKind::Subscription),
        (
            "v1.customer.subscription.item_quantity_changed",
            "subscription",
            "sub_1",
            FetchedKind::Subscription,
        ),
        ("v1.customer.subscription.past_due", "subscription", "sub_1", FetchedKind::Subscription),
        ("v1.customer.updated", "customer", "cus_1", FetchedKind::Customer),
        ("v1.checkout.session.completed", "checkout.session", "cs_1", FetchedKind::Session),
        ("v1.invoice.paid", "invoice", "in_1", FetchedKind::Invoice),
        ("v1.invoice.line_item_added", "invoice", "in_1", FetchedKind::Invoice),
        ("v1.invoice_payment.paid", "invoice_payment", "inpay_1", FetchedKind::InvoicePayment),
        ("v1.refund.created", "refund", "re_1", FetchedKind::Refund),
        ("v1.charge.refund.updated", "refund", "re_1", FetchedKind::Refund),
        ("v1.charge.dispute.closed", "dispute", "du_1", FetchedKind::Dispute),
        ("v1.charge.refunded", "charge", "ch_1", FetchedKind::Charge),
    ] {
        for snapshot in [SNAPSHOT, None] {
            assert_eq!(event(name, Some((object_type, id)), snapshot), object(kind, id), "{name}");
        }
    }
}

#[test]
fn a_name_that_tells_more_than_the_object_is_looked_up_as_its_snapshot() {
    for (name, object_type, id, kind) in [
        ("v1.invoice.payment_failed", "invoice", "in_1", FetchedKind::Invoice),
        ("v1.customer.created", "customer", "cus_1", FetchedKind::Customer),
        ("v1.invoice.payment_action_required", "invoice", "in_1", FetchedKind::Invoice),
        (
            "v1.customer.subscription.trial_will_end",
            "subscription",
            "sub_1",
            FetchedKind::Subscription,
        ),
        ("v1.customer.subscription.created", "subscription", "sub_1", FetchedKind::Subscription),
        (
            "v1.checkout.session.async_payment_failed",
            "checkout.session",
            "cs_1",
            FetchedKind::Session,
        ),
    ] {
        let related = Some((object_type, id));
        assert_eq!(event(name, related, SNAPSHOT), happening(Some(id)), "{name}");
        assert_eq!(event(name, related, None), object(kind, id), "{name} without a snapshot");
    }
    let summary = "v1.entitlements.active_entitlement_summary.updated";
    assert_eq!(event(summary, None, SNAPSHOT), happening(None));
    assert_eq!(event(summary, None, None), nothing("type_without_effects"));
}

#[test]
fn an_object_with_an_unusual_id_is_looked_up_by_its_snapshot() {
    let related = Some(("customer", "user_17"));
    assert_eq!(event("v1.customer.updated", related, SNAPSHOT), happening(None));
    // Without one there is nothing that could be asked for.
    assert_eq!(event("v1.customer.updated", related, None), nothing("id_of_no_known_kind"));
}

#[test]
fn an_event_that_should_name_an_object_and_does_not_cannot_be_read() {
    for (name, related) in [
        ("v1.customer.subscription.updated", None),
        ("v1.invoice.paid", Some(("invoice", ""))),
        ("v1.customer.subscription.past_due", Some(("subscription", ""))),
    ] {
        assert_eq!(event(name, related, None), Task::Unreadable, "{name}");
    }
    let name = "v1.customer.subscription.updated";
    assert_eq!(event(name, None, SNAPSHOT), happening(None), "its snapshot can be asked for");
    let odd = ThinEvent { related_object: Err(BadReference), ..thin(name, None, None) };
    assert_eq!(odd.task(), Task::Unreadable);
    let odd =
        ThinEvent { related_object: Err(BadReference), ..thin("v1.price.updated", None, None) };
    assert_eq!(odd.task(), nothing("catalog_notice"));
}

#[test]
fn a_snapshot_event_that_is_not_taken_in_tells_nothing() {
    let related = Some(("subscription", "sub_1"));
    for (name, tells) in [
        ("v1.customer.subscription.updated", true),
        ("v1.customer.subscription.item_quantity_changed", false),
        ("v1.price.updated", true),
        ("v2.core.account.updated", false),
    ] {
        assert_eq!(thin(name, related, SNAPSHOT).twin().is_some(), tells, "{name}");
    }
}

#[test]
fn what_changes_nothing_of_ours_asks_for_nothing() {
    for (name, related) in [
        ("v1.charge.succeeded", Some(("charge", "ch_1"))),
        ("v1.invoice.created", Some(("invoice", "in_1"))),
        ("v1.invoice.upcoming", None),
        ("v1.invoice_payment.open", Some(("invoice_payment", "inpay_1"))),
        ("v1.payment_intent.succeeded", Some(("payment_intent", "pi_1"))),
        ("v1.customer.discount.created", Some(("discount", ""))),
        ("v1.customer.tax_id.created", Some(("tax_id", "txi_1"))),
        ("v2.core.event_destination.ping", Some(("v2.core.event_destination", "ed_1"))),
        ("v2.core.account.updated", Some(("v2.core.account", "acct_1"))),
        ("v3.anything", None),
    ] {
        assert_eq!(event(name, related, SNAPSHOT), nothing("type_without_effects"), "{name}");
    }
    let price = event("v1.price.updated", Some(("price", "price_1")), SNAPSHOT);
    assert_eq!(price, nothing("catalog_notice"));
}

#[test]
fn failures_to_make_events_and_billing_v2_are_told_apart() {
    assert_eq!(event(EVENTS_NOT_MADE_TYPE, None, None), Task::CompareAll);
    let related = Some(("v2.billing.pricing_plan_subscription", "bpps_1"));
    for (name, task) in [
        ("v2.billing.pricing_plan_subscription.servicing_activated", Task::SoldByBillingV2),
        ("v2.billing.pricing_plan_subscription.collection_past_due", Task::SoldByBillingV2),
        ("v2.billing.rate_card_subscription.servicing_activated", Task::SoldByBillingV2),
        ("v2.billing.pricing_plan_subscription.servicing_canceled", Task::EndedInBillingV2),
        ("v2.billing.pricing_plan.created", nothing("type_without_effects")),
        ("v2.billing.cadence.created", nothing("type_without_effects")),
    ] {
        assert_eq!(event(name, related, None), task, "{name}");
    }
}

#[test]
fn a_destination_is_sent_in_the_thin_form_what_an_endpoint_is_sent_in_the_other() {
    let types = thin_event_types();
    assert_eq!(types.len(), EVENT_TYPES.len());
    assert!(types.contains(&"v1.invoice.paid".to_owned()));
}
