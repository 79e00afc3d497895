//! Refunds, disputes, and charges with their refunds. Owns: amounts, states and which payment they
//! take back. Must not know: what is revoked by them.
//!
//! Refunds are counted by refund and by the charge's running total, never by event: several events
//! tell of one refund. A charge says `full` or `partial`.

use serde::Deserialize;
use tollgate_domain::ids::{AdjustmentId, CustomerId, ObjectId};
use tollgate_domain::money::Money;
use tollgate_domain::observation::SeenAdjustment;
use tollgate_domain::payment::AdjustmentKind;
use tollgate_domain::{EventKind, Seen};

use super::{Reader, References, Told};
use crate::event::Envelope;
use crate::field::{Field, Reference, Text};
use crate::observe::ObserveError;
use crate::owner::Metadata;

const CHARGE: Reader = Reader { object: "charge" };
const REFUND: Reader = Reader { object: "refund" };
const DISPUTE: Reader = Reader { object: "dispute" };

/// The fields of a charge, a refund or a dispute that matter; each has its own subset.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Adjustment<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow)]
    customer: Field<Reference<'a>>,
    #[serde(borrow)]
    customer_account: Field<Reference<'a>>,
    #[serde(borrow)]
    payment_intent: Field<Reference<'a>>,
    #[serde(borrow)]
    charge: Field<Reference<'a>>,
    #[serde(borrow)]
    invoice: Field<Reference<'a>>,
    amount: Field<i64>,
    amount_refunded: Field<i64>,
    refunded: Field<bool>,
    #[serde(borrow)]
    currency: Field<Text<'a>>,
    #[serde(borrow)]
    status: Field<Text<'a>>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
}

/// A charge: the total refunded. It is its own charge.
pub(super) fn read_charge(_kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Adjustment<'_> = CHARGE.object(envelope)?;
    let amount = CHARGE.money(&object.amount_refunded, "amount_refunded", &object.currency)?;
    let full = match CHARGE.optional(&object.refunded, "refunded")? {
        Some(refunded) => *refunded,
        None => amount.amount_minor >= *CHARGE.required(&object.amount, "amount")?,
    };
    let status = if full { "full" } else { "partial" };
    told(CHARGE, &object, AdjustmentKind::ChargeRefunds, amount, status)
}

/// A refund. One without a status is neither done nor failed yet.
pub(super) fn read_refund(_kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Adjustment<'_> = REFUND.object(envelope)?;
    let amount = REFUND.money(&object.amount, "amount", &object.currency)?;
    let status = match object.status {
        Field::Absent | Field::Null => "pending",
        Field::Given(_) | Field::Garbled => REFUND.word(&object.status, "status")?,
    };
    told(REFUND, &object, AdjustmentKind::Refund, amount, status)
}

/// A dispute, inquiries (`warning_…`) included.
pub(super) fn read_dispute(
    _kind: EventKind,
    envelope: &Envelope<'_>,
) -> Result<Told, ObserveError> {
    let object: Adjustment<'_> = DISPUTE.object(envelope)?;
    let amount = DISPUTE.money(&object.amount, "amount", &object.currency)?;
    let status = DISPUTE.word(&object.status, "status")?;
    told(DISPUTE, &object, AdjustmentKind::Dispute, amount, status)
}

fn told(
    reader: Reader,
    object: &Adjustment<'_>,
    kind: AdjustmentKind,
    amount: Money,
    status: &str,
) -> Result<Told, ObserveError> {
    reader.named(&object.object)?;
    let id = reader.id(&object.id, "id", AdjustmentId::parse)?;
    let customer = reader.optional_id(&object.customer, "customer", CustomerId::parse)?;
    let customer_account = reader.payer(&object.customer_account)?;
    let payment_intent =
        reader.optional_id(&object.payment_intent, "payment_intent", ObjectId::parse)?;
    let charge = match kind {
        AdjustmentKind::ChargeRefunds => Some(reader.id(&object.id, "id", ObjectId::parse)?),
        AdjustmentKind::Refund | AdjustmentKind::Dispute => {
            reader.optional_id(&object.charge, "charge", ObjectId::parse)?
        }
    };
    Ok(Told {
        named: object.metadata.given().map(Metadata::named).unwrap_or_default(),
        references: References::of([
            Some(id.as_str()),
            customer.as_ref().map(CustomerId::as_str),
            payment_intent.as_ref().map(ObjectId::as_str),
            charge.as_ref().map(ObjectId::as_str),
            object.invoice.given().map(|invoice| invoice.0.as_ref()),
            customer_account.as_ref().map(ObjectId::as_str),
        ]),
        customer,
        customer_account,
        email: None,
        seen: Seen::Adjustment(SeenAdjustment {
            id,
            kind,
            payment_intent,
            charge,
            amount,
            status: status.into(),
        }),
    })
}
