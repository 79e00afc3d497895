//! Thin events. Owns: how a happening is told without its object: a reference in its place. Must
//! not know: who is sent which form.

use serde_json::{Value, json};
use tollgate_domain::Timestamp;

use crate::event::Happening;
use crate::id::Ids;
use crate::version::ApiVersion;

/// What the types of thin events of v1 objects begin with.
pub(crate) const PREFIX: &str = "v1.";

/// In which form an endpoint is sent events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventForm {
    /// With the object, in the shape of a version.
    #[default]
    Snapshot,
    /// With a reference to the object.
    Thin,
}

impl EventForm {
    /// Stripe's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Thin => "thin",
        }
    }
}

impl Happening {
    /// The id of the event in the thin form; another than that of the snapshot.
    pub fn thin_id(&self) -> String {
        Ids::new("thin").make("evt_test_6", 44, self.id())
    }

    /// When the event was made, in milliseconds: a snapshot tells whole seconds only.
    pub(crate) fn created_ms(&self) -> i64 {
        let part = self.id().bytes().fold(0_i64, |sum, byte| (sum * 31 + i64::from(byte)) % 1_000);
        self.created().saturating_mul(1_000).saturating_add(part)
    }

    /// The event as a destination receives it that wants thin events.
    pub fn show_thin(&self) -> Value {
        let created = Timestamp::from_millis(self.created_ms());
        let reason = self.cause.as_ref().map(|cause| {
            let request = json!({"id": cause.request, "idempotency_key": cause.idempotency_key});
            json!({"type": "request", "request": request})
        });
        json!({
            "id": self.thin_id(),
            "object": "v2.core.event",
            "context": null,
            "created": with_milliseconds(created),
            "livemode": false,
            "reason": reason,
            "related_object": self.related_object(),
            "snapshot_event": self.id(),
            "type": format!("{PREFIX}{}", self.kind()),
        })
    }

    /// The reference to the object; null for objects that cannot be asked for.
    pub(crate) fn related_object(&self) -> Value {
        let shown = self.object.show(ApiVersion::default());
        let text = |name: &str| shown.get(name).and_then(Value::as_str);
        let (Some(kind), Some(id)) = (text("object"), text("id")) else { return Value::Null };
        place(kind).map_or(
            Value::Null,
            |path| json!({"id": id, "type": kind, "url": format!("{path}/{id}")}),
        )
    }
}

/// Where objects of a kind are found.
fn place(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "billing_portal.configuration" => "/v1/billing_portal/configurations",
        "billing_portal.session" => "/v1/billing_portal/sessions",
        "charge" => "/v1/charges",
        "checkout.session" => "/v1/checkout/sessions",
        "customer" => "/v1/customers",
        "dispute" => "/v1/disputes",
        "invoice" => "/v1/invoices",
        "invoice_payment" => "/v1/invoice_payments",
        "invoiceitem" => "/v1/invoiceitems",
        "payment_intent" => "/v1/payment_intents",
        "payment_method" => "/v1/payment_methods",
        "plan" => "/v1/plans",
        "price" => "/v1/prices",
        "product" => "/v1/products",
        "refund" => "/v1/refunds",
        "setup_intent" => "/v1/setup_intents",
        "subscription" => "/v1/subscriptions",
        "subscription_schedule" => "/v1/subscription_schedules",
        "test_helpers.test_clock" => "/v1/test_helpers/test_clocks",
        _ => return None,
    })
}

/// RFC 3339 with three digits of the second, as API v2 writes all times.
pub(crate) fn with_milliseconds(at: Timestamp) -> String {
    let whole = Timestamp::from_unix_seconds(at.unix_seconds()).to_string();
    let part = at.millis().rem_euclid(1_000);
    format!("{}.{part:03}Z", whole.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_of_the_second() {
        for (millis, text) in [
            (1_795_255_200_000, "2026-11-21T10:00:00.000Z"),
            (1_795_255_200_007, "2026-11-21T10:00:00.007Z"),
            (1_795_255_200_250, "2026-11-21T10:00:00.250Z"),
        ] {
            assert_eq!(with_milliseconds(Timestamp::from_millis(millis)), text);
        }
    }
}
