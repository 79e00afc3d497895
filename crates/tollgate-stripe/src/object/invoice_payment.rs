//! Payments of invoices (since basil). Owns: which payment intent or charge pays which invoice.
//! Must not know: whether the invoice is paid by it in full.

use serde::Deserialize;
use tollgate_domain::ids::{InvoiceId, ObjectId};
use tollgate_domain::observation::SeenInvoicePayment;
use tollgate_domain::{EventKind, Seen};

use super::{Reader, References, Told};
use crate::event::Envelope;
use crate::field::{Field, Reference, Text, object_value};
use crate::observe::ObserveError;
use crate::owner::Named;

const READER: Reader = Reader { object: "invoice_payment" };

/// A payment, as an event's object or as an element of an expanded invoice.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Payment<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow)]
    invoice: Field<Reference<'a>>,
    #[serde(borrow)]
    status: Field<Text<'a>>,
    #[serde(borrow)]
    payment: Field<Means<'a>>,
}
object_value!(Payment);

/// What carried the money. A `payment_record` (money from elsewhere) leads to no owner.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Means<'a> {
    #[serde(borrow)]
    payment_intent: Field<Reference<'a>>,
    #[serde(borrow)]
    charge: Field<Reference<'a>>,
}
object_value!(Means);

impl Payment<'_> {
    /// Whether it paid: an expanded invoice shows those that are open or were canceled, too.
    pub(super) fn is_paid(&self) -> bool {
        self.status.given().is_none_or(|status| status.as_str() == "paid")
    }

    /// Adds the payment intent and the charge, each once.
    pub(super) fn collect(
        &self,
        reader: Reader,
        into: &mut Vec<ObjectId>,
    ) -> Result<(), ObserveError> {
        let Some(means) = reader.optional(&self.payment, "payment")? else { return Ok(()) };
        for (field, name) in
            [(&means.payment_intent, "payment.payment_intent"), (&means.charge, "payment.charge")]
        {
            if let Some(id) = reader.optional_id(field, name, ObjectId::parse)?
                && !into.contains(&id)
            {
                into.push(id);
            }
        }
        Ok(())
    }
}

pub(super) fn read(_kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Payment<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let id = READER.optional_id(&object.id, "id", ObjectId::parse)?;
    let invoice = READER.id(&object.invoice, "invoice", InvoiceId::parse)?;
    let mut payments = Vec::new();
    object.collect(READER, &mut payments)?;
    let mut references = References::of([id.as_ref().map(ObjectId::as_str)]);
    for payment in &payments {
        references.add(payment.as_str());
    }
    references.add(invoice.as_str());
    Ok(Told {
        named: Named::default(),
        references,
        customer: None,
        customer_account: None,
        email: None,
        seen: Seen::InvoicePayment(SeenInvoicePayment { invoice, payments }),
    })
}
