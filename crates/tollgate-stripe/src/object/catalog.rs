//! Prices, products and legacy plans. Owns: that one of them changed. Must not know: amounts and
//! names; the catalog comparison fetches those when it needs them.

use serde::Deserialize;
use tollgate_domain::ids::ObjectId;
use tollgate_domain::observation::SeenCatalogObject;
use tollgate_domain::{EventKind, Seen};

use super::{Reader, References, Told};
use crate::event::Envelope;
use crate::field::{Field, Reference, Text};
use crate::observe::ObserveError;
use crate::owner::Named;

#[derive(Default, Deserialize)]
#[serde(default)]
struct CatalogObject<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
}

/// An object of the catalog has no owner, so nothing leads to one.
pub(super) fn read(_kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let reader = Reader {
        object: match envelope.event_type.split_once('.') {
            Some(("product", _)) => "product",
            Some(("plan", _)) => "plan",
            Some(_) | None => "price",
        },
    };
    let object: CatalogObject<'_> = reader.object(envelope)?;
    reader.named(&object.object)?;
    let id = reader.id(&object.id, "id", ObjectId::parse)?;
    Ok(Told {
        named: Named::default(),
        references: References::default(),
        customer: None,
        customer_account: None,
        email: None,
        seen: Seen::CatalogObject(SeenCatalogObject { object: reader.object, id }),
    })
}
