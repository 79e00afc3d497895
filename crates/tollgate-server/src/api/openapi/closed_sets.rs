//! Fields with a closed set of values, described. Owns: which fields these are, and where their values come
//! from. Must not know: any single route.

use serde_json::Value;
use tollgate_domain::FindingCode;
use tollgate_domain::buying::{ChangeTiming, TimingWish};
use tollgate_domain::catalog::Interval;
use tollgate_domain::entitlement::{Absence, ReasonCode, SourceKind};
use tollgate_domain::payment::InvoiceStatus;
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr};

use crate::api::error::ApiError;
use crate::intake::ReplyStatus;
use crate::reconcile;

/// A schema, its field, and the values the field may have.
type ClosedSet = (&'static str, &'static str, Vec<&'static str>);

macro_rules! names_of {
    ($type:ty) => {
        <$type>::ALL.iter().map(|one| one.as_str()).collect::<Vec<&str>>()
    };
}

/// Every field with a closed set of values.
fn closed_sets() -> Vec<ClosedSet> {
    let sources = || names_of!(SourceKind);
    let with_override = || sources().into_iter().chain(["override"]).collect();
    let words = || Interval::WORDS.iter().map(|(word, _)| *word).collect();
    vec![
        ("CheckReason", "code", names_of!(ReasonCode)),
        ("Source", "type", with_override()),
        ("SourceTrace", "type", sources()),
        ("SourceTrace", "whyNot", names_of!(Absence)),
        ("OverrideTrace", "whyNot", names_of!(Absence)),
        ("BillingSource", "type", sources()),
        ("Feature", "type", vec!["boolean", "limit", "metered"]),
        ("Feature", "period", vec!["calendar_month", "billing_period"]),
        ("PlanPrice", "interval", vec!["month", "year", "one_time"]),
        ("Checkout", "interval", words()),
        ("SubscriptionChange", "interval", words()),
        ("PendingChange", "interval", vec!["month", "year"]),
        ("SubscriptionChange", "timing", names_of!(TimingWish)),
        ("ChangePreview", "timing", names_of!(ChangeTiming)),
        ("Invoice", "status", names_of!(InvoiceStatus)),
        ("CheckoutSync", "status", vec!["open", "complete"]),
        ("WayOn", "action", vec!["pay", "portal", "resume", "change"]),
        ("WebhookReply", "status", names_of!(ReplyStatus)),
        ("DuplicateSubscription", "action", vec!["keep", "end", "by_hand"]),
        ("Finding", "code", names_of!(FindingCode)),
        ("Finding", "state", vec!["open", "closed"]),
        ("ReconciliationBegun", "status", vec!["running"]),
        ("ReconciliationRun", "kind", names_of!(reconcile::Kind)),
        ("ReconciliationRun", "status", vec!["running", "done", "stopped", "failed"]),
        ("Health", "status", vec!["healthy", "degraded", "unhealthy"]),
        ("Component", "status", vec!["ok", "off", "failing", "unknown"]),
        ("Problem", "code", ApiError::codes()),
    ]
}

/// Says of each such field which values it may have.
pub(super) struct ClosedSets;

impl utoipa::Modify for ClosedSets {
    fn modify(&self, document: &mut OpenApi) {
        for (schema, field, values) in closed_sets() {
            if let Some(property) = property(document, schema, field) {
                close(property, &values);
            }
        }
    }
}

/// The description of a field.
fn property<'d>(document: &'d mut OpenApi, schema: &str, field: &str) -> Option<&'d mut Object> {
    let schemas = &mut document.components.as_mut()?.schemas;
    let RefOr::T(Schema::Object(object)) = schemas.get_mut(schema)? else { return None };
    match object.properties.get_mut(field)? {
        RefOr::T(Schema::Object(property)) => Some(property),
        RefOr::T(_) | RefOr::Ref(_) => None,
    }
}

fn close(property: &mut Object, values: &[&str]) {
    let texts = values.iter().map(|value| Value::from(*value));
    // A field that may be null says so among its values.
    let is_nullable =
        matches!(&property.schema_type, SchemaType::Array(types) if types.contains(&Type::Null));
    let null = is_nullable.then_some(Value::Null);
    property.enum_values = Some(texts.chain(null).collect());
}

#[cfg(test)]
mod tests {
    use utoipa::OpenApi as _;

    use super::*;

    #[test]
    fn every_closed_set_is_a_field_of_the_document() {
        let mut document = crate::api::openapi::Document::openapi();
        for (schema, field, values) in closed_sets() {
            let found = property(&mut document, schema, field).expect(field);
            let known = found.enum_values.as_ref().map_or(0, Vec::len);
            assert!(known >= values.len() && !values.is_empty(), "{schema}.{field}: {known}");
        }
    }
}
