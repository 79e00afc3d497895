//! Invoices. Owns: status against the flags before 2018, the subscription's many paths, lines.
//! Must not know: whether an unpaid invoice takes access away.
//!
//! | value | newest path first |
//! |---|---|
//! | subscription | `parent.subscription_details.subscription` (basil), `subscription`, then the lines' `parent.….subscription` and `subscription` |
//! | owner | metadata of `parent.subscription_details` (basil), of `subscription_details`, of the invoice, then of the lines when all that name an owner name the same |
//! | status | `status` (2018-10-31), else told from `paid`, `forgiven`, `closed`, `attempted` |
//! | created | `created` (2019-02-19), `date` |
//! | collection method | `collection_method` (2019-10-17), `billing` |
//! | lines | `lines.data`, see `line` |
//! | payments | `payments.data[].payment` of those that are paid, where expanded (basil), `payment_intent`, `charge` |

use serde::Deserialize;
use tollgate_domain::ids::{CustomerId, InvoiceId, ObjectId, SubscriptionId};
use tollgate_domain::observation::{SeenInvoice, SeenLines};
use tollgate_domain::payment::{InvoiceState, InvoiceStatus};
use tollgate_domain::{EventKind, Seen, Timestamp};

use super::invoice_payment::Payment;
use super::{Reader, References, Told, optional_text, optional_word};
use crate::event::Envelope;
use crate::field::{Field, List, Reference, Text, object_value};
use crate::observe::ObserveError;
use crate::owner::{Metadata, Named};

mod line;

use line::Line;

const READER: Reader = Reader { object: "invoice" };

#[derive(Default, Deserialize)]
#[serde(default)]
struct Invoice<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow)]
    customer: Field<Reference<'a>>,
    #[serde(borrow)]
    customer_account: Field<Reference<'a>>,
    #[serde(borrow)]
    status: Field<Text<'a>>,
    paid: Field<bool>,
    forgiven: Field<bool>,
    closed: Field<bool>,
    attempted: Field<bool>,
    #[serde(borrow)]
    currency: Field<Text<'a>>,
    amount_due: Field<i64>,
    amount_paid: Field<i64>,
    attempt_count: Field<i64>,
    #[serde(borrow)]
    billing_reason: Field<Text<'a>>,
    #[serde(borrow)]
    collection_method: Field<Text<'a>>,
    #[serde(borrow)]
    billing: Field<Text<'a>>,
    #[serde(borrow)]
    hosted_invoice_url: Field<Text<'a>>,
    period_start: Field<Timestamp>,
    period_end: Field<Timestamp>,
    created: Field<Timestamp>,
    date: Field<Timestamp>,
    #[serde(borrow)]
    parent: Field<Parent<'a>>,
    #[serde(borrow)]
    subscription: Field<Reference<'a>>,
    #[serde(borrow)]
    subscription_details: Field<SubscriptionDetails<'a>>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
    #[serde(borrow)]
    lines: Field<List<Line<'a>>>,
    #[serde(borrow)]
    payments: Field<List<Payment<'a>>>,
    #[serde(borrow)]
    payment_intent: Field<Reference<'a>>,
    #[serde(borrow)]
    charge: Field<Reference<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parent<'a> {
    #[serde(borrow)]
    subscription_details: Field<SubscriptionDetails<'a>>,
}
object_value!(Parent);

#[derive(Default, Deserialize)]
#[serde(default)]
struct SubscriptionDetails<'a> {
    #[serde(borrow)]
    subscription: Field<Reference<'a>>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
}
object_value!(SubscriptionDetails);

pub(super) fn read(_kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Invoice<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let id = READER.id(&object.id, "id", InvoiceId::parse)?;
    let customer = READER.optional_id(&object.customer, "customer", CustomerId::parse)?;
    let customer_account = READER.payer(&object.customer_account)?;
    let subscription = subscription(&object)?;
    let payments = payments(&object)?;
    let mut references = References::of([
        Some(id.as_str()),
        subscription.as_ref().map(SubscriptionId::as_str),
        customer.as_ref().map(CustomerId::as_str),
    ]);
    for payment in payments.iter().chain(&customer_account) {
        references.add(payment.as_str());
    }
    Ok(Told {
        named: named(&object),
        references,
        customer,
        customer_account,
        email: None,
        seen: Seen::Invoice(SeenInvoice {
            id,
            subscription,
            state: state(&object, envelope)?,
            lines: object.lines.given().map(|list| SeenLines {
                all: list.given().filter_map(Line::billed).collect(),
                cut: list.cut,
            }),
            payments,
        }),
    })
}

impl<'a> Invoice<'a> {
    fn lines(&self) -> impl Iterator<Item = &Line<'a>> {
        self.lines.given().into_iter().flat_map(List::given)
    }

    fn parent_details(&self) -> Option<&SubscriptionDetails<'a>> {
        self.parent.given()?.subscription_details.given()
    }
}

fn state(object: &Invoice<'_>, envelope: &Envelope<'_>) -> Result<InvoiceState, ObserveError> {
    let status = status(object)?;
    let amount_due_minor = *READER.required(&object.amount_due, "amount_due")?;
    let amount_paid_minor = match READER.optional(&object.amount_paid, "amount_paid")? {
        Some(amount) => *amount,
        // Shapes without the field knew only paid in full or not at all.
        None if status == InvoiceStatus::Paid => amount_due_minor,
        None => 0,
    };
    let attempt_count =
        READER.optional(&object.attempt_count, "attempt_count")?.copied().unwrap_or(0);
    let (period_start, period_end) = period(object);
    Ok(InvoiceState {
        at: envelope.created,
        event: envelope.id.clone(),
        status,
        amount_due_minor,
        amount_paid_minor,
        currency: READER.currency(&object.currency)?,
        attempt_count: u32::try_from(attempt_count).map_err(|_| READER.garbled("attempt_count"))?,
        billing_reason: optional_word(&object.billing_reason),
        collection_method: optional_word(object.collection_method.or(&object.billing)),
        hosted_url: optional_text(&object.hosted_invoice_url),
        period_start,
        period_end,
        created: READER.optional(object.created.or(&object.date), "created")?.copied(),
    })
}

/// The status. Before there was one, an unpaid invoice whose collection had been tried, or stopped
/// by closing it, was open: closing ended the attempts, not the debt.
fn status(object: &Invoice<'_>) -> Result<InvoiceStatus, ObserveError> {
    if let Some(text) = READER.optional(&object.status, "status")? {
        return InvoiceStatus::parse(text.as_str()).ok_or(READER.garbled("status"));
    }
    let is = |flag: &Field<bool>| *flag == Field::Given(true);
    if object.paid.given().is_none() {
        Err(READER.missing("status"))
    } else if is(&object.paid) {
        Ok(InvoiceStatus::Paid)
    } else if is(&object.forgiven) {
        Ok(InvoiceStatus::Uncollectible)
    } else if is(&object.closed) || is(&object.attempted) {
        Ok(InvoiceStatus::Open)
    } else {
        Ok(InvoiceStatus::Draft)
    }
}

/// What is billed: the period of the line that ends last (of those the longest). The invoice's own
/// period is that of the items gathered, for a renewal the one before.
fn period(object: &Invoice<'_>) -> (Option<Timestamp>, Option<Timestamp>) {
    let latest = object
        .lines()
        .filter_map(Line::period)
        .max_by_key(|(start, end)| (*end, std::cmp::Reverse(*start)));
    match latest {
        Some((start, end)) => (Some(start), Some(end)),
        None => (object.period_start.given().copied(), object.period_end.given().copied()),
    }
}

fn subscription(object: &Invoice<'_>) -> Result<Option<SubscriptionId>, ObserveError> {
    object
        .parent_details()
        .and_then(|details| details.subscription.given())
        .or_else(|| object.subscription.given())
        .or_else(|| object.lines().find_map(Line::subscription))
        .map(|id| SubscriptionId::parse(&id.0).map_err(|_| READER.garbled("subscription")))
        .transpose()
}

/// The subscription's metadata as the invoice shows it comes before the invoice's own: the object
/// that is paid for says whose it is.
fn named(object: &Invoice<'_>) -> Named {
    let of =
        |metadata: &Field<Metadata<'_>>| metadata.given().map(Metadata::named).unwrap_or_default();
    let details = |details: Option<&SubscriptionDetails<'_>>| {
        details.map(|details| of(&details.metadata)).unwrap_or_default()
    };
    details(object.parent_details())
        .or_else(|| details(object.subscription_details.given()))
        .or_else(|| of(&object.metadata))
        .or_else(|| named_by_lines(object))
}

fn named_by_lines(object: &Invoice<'_>) -> Named {
    let named: Vec<Named> = object.lines().map(Line::named).collect();
    let invalid = named.iter().find_map(|one| one.invalid);
    let mut claims = named.into_iter().filter_map(|one| one.claim);
    let first = claims.next();
    let agree = claims.all(|other| first.as_ref().is_some_and(|one| one.account == other.account));
    Named { invalid: invalid.filter(|_| first.is_none()), claim: first.filter(|_| agree) }
}

fn payments(object: &Invoice<'_>) -> Result<Vec<ObjectId>, ObserveError> {
    let mut payments = Vec::new();
    let shown = object.payments.given().into_iter().flat_map(List::given);
    for payment in shown.filter(|payment| payment.is_paid()) {
        payment.collect(READER, &mut payments)?;
    }
    for (field, name) in [(&object.payment_intent, "payment_intent"), (&object.charge, "charge")] {
        if let Some(id) = READER.optional_id(field, name, ObjectId::parse)?
            && !payments.contains(&id)
        {
            payments.push(id);
        }
    }
    Ok(payments)
}
