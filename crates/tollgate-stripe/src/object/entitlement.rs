//! Stripe's own summary of a customer's features. Owns: the features it lists. Must not know: what
//! our answer is; the summary is compared with it, never believed.
//!
//! The summary has no id; its customer is its key. Its list may be cut.

use serde::Deserialize;
use tollgate_domain::ids::CustomerId;
use tollgate_domain::observation::SeenEntitlementSummary;
use tollgate_domain::{EventKind, Seen};

use super::{Reader, References, Told, optional_text};
use crate::event::Envelope;
use crate::field::{Field, List, Reference, Text, object_value};
use crate::observe::ObserveError;
use crate::owner::Named;

const READER: Reader = Reader { object: "entitlements.active_entitlement_summary" };

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary<'a> {
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow)]
    customer: Field<Reference<'a>>,
    #[serde(borrow)]
    entitlements: Field<List<Entitlement<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entitlement<'a> {
    #[serde(borrow)]
    lookup_key: Field<Text<'a>>,
}
object_value!(Entitlement);

pub(super) fn read(_kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Summary<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let customer = READER.id(&object.customer, "customer", CustomerId::parse)?;
    let entitlements = READER.required(&object.entitlements, "entitlements")?;
    let lookup_keys =
        entitlements.given().filter_map(|one| optional_text(&one.lookup_key)).collect();
    Ok(Told {
        named: Named::default(),
        references: References::of([Some(customer.as_str())]),
        customer: Some(customer),
        customer_account: None,
        email: None,
        seen: Seen::EntitlementSummary(SeenEntitlementSummary { lookup_keys }),
    })
}
