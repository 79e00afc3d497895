//! Stripe's objects, normalised. Owns: reading each object in every shape since 2017, one file per
//! object; the rules all of them share. Must not know: the envelope's outer shape, effects.
//!
//! A field that is needed and not there, or there in an impossible form, is an error that names it;
//! fields nobody needs are never looked at. Texts for people and for storage come out without NUL
//! and bounded in length: an optional one that is not so is dropped, a needed one is an error.

use serde::Deserialize;
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::{CustomerId, IdError, ObjectId, PriceId, ProductId};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::{EventKind, Observation, Seen};

use crate::event::Envelope;
use crate::field::{Field, Present, Reference, Text, Value, object_value, read_map};
use crate::observe::ObserveError;
use crate::owner::Named;

mod adjustment;
mod catalog;
mod checkout_session;
mod customer;
mod entitlement;
mod invoice;
mod invoice_payment;
mod schedule;
mod subscription;

/// Longest status or reason kept, in bytes.
const WORD_BYTES_MAX: usize = 64;
/// Longest free text kept (e-mail, lookup key, link), in bytes.
const TEXT_BYTES_MAX: usize = 2048;

/// Reads the object of an event with effects.
pub(crate) fn read(kind: EventKind, envelope: &Envelope<'_>) -> Result<Observation, ObserveError> {
    let read = match kind {
        EventKind::CheckoutCompleted
        | EventKind::CheckoutAsyncSucceeded
        | EventKind::CheckoutAsyncFailed
        | EventKind::CheckoutExpired
        | EventKind::SessionFetched => checkout_session::read,
        EventKind::CustomerCreated
        | EventKind::CustomerUpdated
        | EventKind::CustomerDeleted
        | EventKind::CustomerFetched => customer::read,
        EventKind::SubscriptionCreated
        | EventKind::SubscriptionUpdated
        | EventKind::SubscriptionDeleted
        | EventKind::SubscriptionPaused
        | EventKind::SubscriptionResumed
        | EventKind::SubscriptionTrialWillEnd
        | EventKind::SubscriptionPendingUpdateApplied
        | EventKind::SubscriptionPendingUpdateExpired
        | EventKind::SubscriptionFetched => subscription::read,
        EventKind::ScheduleCreated | EventKind::ScheduleChanged => schedule::read,
        EventKind::InvoiceFinalized
        | EventKind::InvoicePaid
        | EventKind::InvoicePaymentSucceeded
        | EventKind::InvoicePaymentFailed
        | EventKind::InvoicePaymentActionRequired
        | EventKind::InvoiceUpdated
        | EventKind::InvoiceVoided
        | EventKind::InvoiceMarkedUncollectible
        | EventKind::InvoiceFetched => invoice::read,
        EventKind::InvoicePaymentPaid | EventKind::InvoicePaymentFetched => invoice_payment::read,
        EventKind::ChargeRefunded | EventKind::ChargeFetched => adjustment::read_charge,
        EventKind::RefundCreated
        | EventKind::RefundUpdated
        | EventKind::RefundFailed
        | EventKind::RefundFetched => adjustment::read_refund,
        EventKind::DisputeCreated
        | EventKind::DisputeUpdated
        | EventKind::DisputeClosed
        | EventKind::DisputeFundsWithdrawn
        | EventKind::DisputeFundsReinstated
        | EventKind::DisputeFetched => adjustment::read_dispute,
        EventKind::CatalogChanged => catalog::read,
        EventKind::EntitlementSummaryUpdated => entitlement::read,
    };
    let told = read(kind, envelope)?;
    let Named { mut claim, invalid } = told.named;
    if let Some(claim) = &mut claim {
        claim.edited = edits_metadata(envelope);
    }
    Ok(Observation {
        event: envelope.id.clone(),
        at: envelope.created,
        kind,
        fetched: None,
        claim,
        invalid_claim: invalid,
        references: told.references.0,
        customer: told.customer,
        customer_account: told.customer_account,
        email: told.email,
        seen: told.seen,
    })
}

/// What an object tells, before the envelope's part is added.
struct Told {
    named: Named,
    references: References,
    customer: Option<CustomerId>,
    customer_account: Option<ObjectId>,
    email: Option<Box<str>>,
    seen: Seen,
}

/// Whether the event says that the object's metadata was something else before.
fn edits_metadata(envelope: &Envelope<'_>) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Before {
        metadata: Field<Present>,
    }
    let before: Option<Before> =
        envelope.previous_attributes.and_then(|raw| serde_json::from_str(raw.get()).ok());
    before.is_some_and(|before| before.metadata.is_listed())
}

/// The objects that may lead to the owner, each once, the most telling first.
#[derive(Default)]
struct References(Vec<ObjectId>);

impl References {
    fn of<'i>(ids: impl IntoIterator<Item = Option<&'i str>>) -> Self {
        let mut references = Self::default();
        for id in ids.into_iter().flatten() {
            references.add(id);
        }
        references
    }

    fn add(&mut self, id: &str) {
        if !self.0.iter().any(|known| known.as_str() == id)
            && let Ok(id) = ObjectId::parse(id)
        {
            self.0.push(id);
        }
    }
}

/// Reads fields of one object and words the errors.
#[derive(Clone, Copy)]
struct Reader {
    object: &'static str,
}

impl Reader {
    /// Reads the event's object into its struct.
    fn object<'a, T: Deserialize<'a>>(self, envelope: &Envelope<'a>) -> Result<T, ObserveError> {
        serde_json::from_str(envelope.object.get())
            .map_err(|_| ObserveError::Unreadable { object: self.object })
    }

    /// Refuses an object that says it is something else. Shapes without a name for themselves pass.
    fn named(self, name: &Field<Text<'_>>) -> Result<(), ObserveError> {
        match name {
            Field::Given(name) if name.as_str() != self.object => Err(self.garbled("object")),
            Field::Given(_) | Field::Absent | Field::Null => Ok(()),
            Field::Garbled => Err(self.garbled("object")),
        }
    }

    const fn missing(self, field: &'static str) -> ObserveError {
        ObserveError::Missing { object: self.object, field }
    }

    const fn garbled(self, field: &'static str) -> ObserveError {
        ObserveError::Garbled { object: self.object, field }
    }

    fn required<'f, T>(
        self,
        field: &'f Field<T>,
        name: &'static str,
    ) -> Result<&'f T, ObserveError> {
        self.optional(field, name)?.ok_or(self.missing(name))
    }

    fn optional<'f, T>(
        self,
        field: &'f Field<T>,
        name: &'static str,
    ) -> Result<Option<&'f T>, ObserveError> {
        match field {
            Field::Given(value) => Ok(Some(value)),
            Field::Absent | Field::Null => Ok(None),
            Field::Garbled => Err(self.garbled(name)),
        }
    }

    fn id<I>(
        self,
        field: &Field<Reference<'_>>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<I, IdError>,
    ) -> Result<I, ObserveError> {
        self.optional_id(field, name, parse)?.ok_or(self.missing(name))
    }

    /// The account (`acct_…`) that stands for the customer in newer versions of the API.
    fn payer(self, field: &Field<Reference<'_>>) -> Result<Option<ObjectId>, ObserveError> {
        self.optional_id(field, "customer_account", ObjectId::parse)
    }

    fn optional_id<I>(
        self,
        field: &Field<Reference<'_>>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<I, IdError>,
    ) -> Result<Option<I>, ObserveError> {
        self.optional(field, name)?
            .map(|reference| parse(&reference.0).map_err(|_| self.garbled(name)))
            .transpose()
    }

    /// A status: 1 to 64 of `a-z 0-9 _`, so that one nobody knows yet is safe in every output.
    fn word<'f>(
        self,
        field: &'f Field<Text<'_>>,
        name: &'static str,
    ) -> Result<&'f str, ObserveError> {
        let text = self.required(field, name)?.as_str();
        if is_word(text) { Ok(text) } else { Err(self.garbled(name)) }
    }

    fn currency(self, field: &Field<Text<'_>>) -> Result<Currency, ObserveError> {
        let text = self.required(field, "currency")?;
        Currency::parse(text.as_str()).ok_or(self.garbled("currency"))
    }

    fn money(
        self,
        amount: &Field<i64>,
        name: &'static str,
        currency: &Field<Text<'_>>,
    ) -> Result<Money, ObserveError> {
        Ok(Money {
            amount_minor: *self.required(amount, name)?,
            currency: self.currency(currency)?,
        })
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= WORD_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// An optional word (see [`Reader::word`]); anything else is dropped.
fn optional_word(field: &Field<Text<'_>>) -> Option<Box<str>> {
    field.given().map(Text::as_str).filter(|text| is_word(text)).map(Into::into)
}

/// An optional text for people: not empty, bounded, without control characters; else dropped.
fn optional_text(field: &Field<Text<'_>>) -> Option<Box<str>> {
    let fit = |text: &&str| {
        !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control)
    };
    field.given().map(Text::as_str).filter(fit).map(Into::into)
}

/// A price or legacy plan, as an object or by its id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Price<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    lookup_key: Field<Text<'a>>,
    #[serde(borrow)]
    product: Field<Reference<'a>>,
    #[serde(borrow)]
    recurring: Field<Recurring<'a>>,
    /// Of a legacy plan, which has no `recurring`.
    #[serde(borrow)]
    usage_type: Field<Text<'a>>,
    /// See `usage_type`.
    #[serde(borrow)]
    interval: Field<Text<'a>>,
    /// See `usage_type`.
    interval_count: Field<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Recurring<'a> {
    #[serde(borrow)]
    usage_type: Field<Text<'a>>,
    #[serde(borrow)]
    interval: Field<Text<'a>>,
    interval_count: Field<i64>,
}
object_value!(Recurring);

impl<'de: 'a, 'a> Value<'de> for Price<'a> {
    fn from_text(text: std::borrow::Cow<'de, str>) -> Option<Self> {
        Some(Self { id: Field::Given(Reference(text)), ..Self::default() })
    }

    fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        read_map(map).map(Some)
    }
}

impl Price<'_> {
    fn price_id(&self) -> Option<PriceId> {
        self.id.given().and_then(|id| PriceId::parse(&id.0).ok())
    }

    /// The product it is a price of; plans before 2018-02-05 have none.
    fn product(&self) -> Option<ProductId> {
        self.product.given().and_then(|id| ProductId::parse(&id.0).ok())
    }

    /// How often it is paid; `None` where that is not shown, or no plan is sold so.
    fn interval(&self) -> Option<Interval> {
        let (name, count) = match self.recurring.given() {
            Some(recurring) => (&recurring.interval, &recurring.interval_count),
            None => (&self.interval, &self.interval_count),
        };
        Interval::of_recurring(name.given()?.as_str(), count.given().copied().unwrap_or(1))
    }

    /// Whether it is paid by use, so that an item of it has no quantity.
    fn is_metered(&self) -> bool {
        let recurring = self.recurring.given().and_then(|recurring| recurring.usage_type.given());
        recurring.or(self.usage_type.given()).is_some_and(|usage| usage.as_str() == "metered")
    }
}

#[cfg(test)]
mod tests;
