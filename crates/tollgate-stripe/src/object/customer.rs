//! Customers. Owns: e-mail and deletion. Must not know: cards, balances, addresses.

use serde::Deserialize;
use tollgate_domain::ids::{CustomerId, ObjectId};
use tollgate_domain::observation::SeenCustomer;
use tollgate_domain::{EventKind, Seen};

use super::{Reader, References, Told, optional_text};
use crate::event::Envelope;
use crate::field::{Field, Reference, Text};
use crate::observe::ObserveError;
use crate::owner::Metadata;

const READER: Reader = Reader { object: "customer" };

#[derive(Default, Deserialize)]
#[serde(default)]
struct Customer<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow)]
    customer_account: Field<Reference<'a>>,
    #[serde(borrow)]
    email: Field<Text<'a>>,
    deleted: Field<bool>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
}

/// A deletion shows the customer as it last was, without saying `deleted`, so here the event's
/// name has to count as well.
pub(super) fn read(kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Customer<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let id = READER.id(&object.id, "id", CustomerId::parse)?;
    let customer_account = READER.payer(&object.customer_account)?;
    let email = optional_text(&object.email);
    Ok(Told {
        named: object.metadata.given().map(Metadata::named).unwrap_or_default(),
        references: References::of([
            Some(id.as_str()),
            customer_account.as_ref().map(ObjectId::as_str),
        ]),
        customer: Some(id.clone()),
        customer_account,
        email: email.clone(),
        seen: Seen::Customer(SeenCustomer {
            id,
            email,
            deleted: kind == EventKind::CustomerDeleted || object.deleted == Field::Given(true),
        }),
    })
}
