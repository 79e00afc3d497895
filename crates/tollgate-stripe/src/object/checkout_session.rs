//! Checkout sessions. Owns: mode, status and payment status, and what the metadata says is sold.
//! Must not know: whether a price confirms it.
//!
//! `payment_status` alone says whether there is money. `status` came in 2021 and `mode` in 2019;
//! shapes without them are told by what else is there.

use serde::Deserialize;
use tollgate_domain::ids::{AccountId, CustomerId, ObjectId, SessionId, SubscriptionId};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::observation::SeenSession;
use tollgate_domain::payment::{SessionMode, SessionStatus};
use tollgate_domain::{EventKind, OwnerClaim, Seen};

use super::{Price, Reader, References, Told, distinct_prices};
use crate::event::Envelope;
use crate::field::{Field, List, Reference, Text, object_value};
use crate::observe::ObserveError;
use crate::owner::Metadata;

const READER: Reader = Reader { object: "checkout.session" };

#[derive(Default, Deserialize)]
#[serde(default)]
struct Session<'a> {
    #[serde(borrow)]
    id: Field<Reference<'a>>,
    #[serde(borrow)]
    object: Field<Text<'a>>,
    #[serde(borrow)]
    mode: Field<Text<'a>>,
    #[serde(borrow)]
    status: Field<Text<'a>>,
    #[serde(borrow)]
    payment_status: Field<Text<'a>>,
    #[serde(borrow)]
    customer: Field<Reference<'a>>,
    #[serde(borrow)]
    subscription: Field<Reference<'a>>,
    #[serde(borrow)]
    payment_intent: Field<Reference<'a>>,
    #[serde(borrow)]
    setup_intent: Field<Reference<'a>>,
    #[serde(borrow)]
    invoice: Field<Reference<'a>>,
    amount_subtotal: Field<i64>,
    amount_total: Field<i64>,
    #[serde(borrow)]
    currency: Field<Text<'a>>,
    #[serde(borrow)]
    client_reference_id: Field<Text<'a>>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
    #[serde(borrow)]
    line_items: Field<List<Line<'a>>>,
    #[serde(borrow)]
    display_items: Field<List<Line<'a>>>,
}

/// A line: a price since 2020, a plan in the `display_items` before.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    price: Field<Price<'a>>,
    #[serde(borrow)]
    plan: Field<Price<'a>>,
}
object_value!(Line);

pub(super) fn read(kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Session<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let id = READER.id(&object.id, "id", SessionId::parse)?;
    let customer = READER.optional_id(&object.customer, "customer", CustomerId::parse)?;
    let subscription =
        READER.optional_id(&object.subscription, "subscription", SubscriptionId::parse)?;
    let payment_intent =
        READER.optional_id(&object.payment_intent, "payment_intent", ObjectId::parse)?;
    let lines = object.line_items.or(&object.display_items).given();
    let prices = lines
        .into_iter()
        .flat_map(List::given)
        .filter_map(|line| line.price.or(&line.plan).given());
    Ok(Told {
        claim: claim(&object),
        references: References::of([
            Some(id.as_str()),
            subscription.as_ref().map(SubscriptionId::as_str),
            customer.as_ref().map(CustomerId::as_str),
            payment_intent.as_ref().map(ObjectId::as_str),
            object.invoice.given().map(|invoice| invoice.0.as_ref()),
        ]),
        customer,
        seen: Seen::Session(SeenSession {
            id,
            mode: mode(&object)?,
            kind: object
                .metadata
                .given()
                .map_or(tollgate_domain::payment::PurchaseKind::Other, Metadata::purchase_kind),
            subscription,
            payment_intent,
            prices: distinct_prices(prices),
            subtotal: money(&object.amount_subtotal, "amount_subtotal", &object.currency)?,
            total: money(&object.amount_total, "amount_total", &object.currency)?,
            status: status(&object, kind),
            paid: matches!(
                READER.word(&object.payment_status, "payment_status")?,
                "paid" | "no_payment_required"
            ),
        }),
    })
}

/// The metadata's account, else the `client_reference_id` the application gave the session.
fn claim(object: &Session<'_>) -> Option<OwnerClaim> {
    let metadata = object.metadata.given();
    metadata.and_then(Metadata::claim).or_else(|| {
        let account = AccountId::parse(object.client_reference_id.given()?.as_str()).ok()?;
        Some(OwnerClaim { account, member: metadata.and_then(Metadata::member) })
    })
}

fn mode(object: &Session<'_>) -> Result<SessionMode, ObserveError> {
    match READER.optional(&object.mode, "mode")?.map(Text::as_str) {
        Some("payment") => Ok(SessionMode::Payment),
        Some("subscription") => Ok(SessionMode::Subscription),
        Some("setup") => Ok(SessionMode::Setup),
        Some(_) => Err(READER.garbled("mode")),
        None if object.subscription.given().is_some() => Ok(SessionMode::Subscription),
        None if object.payment_intent.given().is_some() => Ok(SessionMode::Payment),
        None if object.setup_intent.given().is_some() => Ok(SessionMode::Setup),
        None => Err(READER.missing("mode")),
    }
}

/// The status, or what the event's name implies where the object has none that is known. It grants
/// nothing by itself.
fn status(object: &Session<'_>, kind: EventKind) -> SessionStatus {
    object.status.given().and_then(|text| SessionStatus::parse(text.as_str())).unwrap_or(
        if kind == EventKind::CheckoutExpired {
            SessionStatus::Expired
        } else {
            SessionStatus::Complete
        },
    )
}

/// An amount, where there is one; a session that only saves a card has none.
fn money(
    amount: &Field<i64>,
    name: &'static str,
    currency: &Field<Text<'_>>,
) -> Result<Option<Money>, ObserveError> {
    let amount = READER.optional(amount, name)?;
    let currency = READER
        .optional(currency, "currency")?
        .map(|text| Currency::parse(text.as_str()).ok_or(READER.garbled("currency")))
        .transpose()?;
    Ok(amount.zip(currency).map(|(amount, currency)| Money { amount_minor: *amount, currency }))
}
