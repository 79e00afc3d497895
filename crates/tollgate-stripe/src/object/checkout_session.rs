//! Checkout sessions. Owns: mode, status and payment status, lines, what the goods may have cost, and
//! what the metadata says is sold. Must not know: whether a price confirms it.
//!
//! `payment_status` alone says whether there is money. `status` came in 2021 and `mode` in 2019;
//! shapes without them are told by what else is there.
//!
//! With Adaptive Pricing, sessions made before 2025-03-31 have their amounts in the customer's
//! currency and ours in `currency_conversion`; later ones keep ours, and `presentment_details` (not
//! read) has the customer's.

use std::collections::BTreeSet;

use serde::Deserialize;
use tollgate_domain::ids::{AccountId, CustomerId, ObjectId, SessionId, SubscriptionId};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::observation::SeenSession;
use tollgate_domain::payment::{PurchaseLine, SessionMode, SessionStatus};
use tollgate_domain::{EventKind, Seen};

use super::{Price, Reader, References, Told, optional_text};
use crate::event::Envelope;
use crate::field::{Field, List, Reference, Text, Value, object_value, read_map};
use crate::observe::ObserveError;
use crate::owner::{Metadata, Named};

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
    customer_account: Field<Reference<'a>>,
    #[serde(borrow)]
    customer_details: Field<CustomerDetails<'a>>,
    #[serde(borrow)]
    customer_email: Field<Text<'a>>,
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
    total_details: Field<TotalDetails>,
    #[serde(borrow)]
    currency_conversion: Field<Conversion<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CustomerDetails<'a> {
    #[serde(borrow)]
    email: Field<Text<'a>>,
}
object_value!(CustomerDetails);

/// A line: a price since 2020, a plan in the `display_items` before, which have no id.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    id: Field<Text<'a>>,
    #[serde(borrow)]
    price: Field<Price<'a>>,
    #[serde(borrow)]
    plan: Field<Price<'a>>,
    quantity: Field<i64>,
    amount_total: Field<i64>,
    #[serde(borrow)]
    currency: Field<Text<'a>>,
}
object_value!(Line);

/// What the total has more or less than the goods cost.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TotalDetails {
    amount_discount: Field<i64>,
    amount_tax: Field<i64>,
    amount_shipping: Field<i64>,
}

impl<'de> Value<'de> for TotalDetails {
    fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        read_map(map).map(Some)
    }
}

/// The amounts in the currency of the price, where the session's own are in the customer's.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Conversion<'a> {
    amount_subtotal: Field<i64>,
    amount_total: Field<i64>,
    #[serde(borrow)]
    source_currency: Field<Text<'a>>,
}
object_value!(Conversion);

pub(super) fn read(kind: EventKind, envelope: &Envelope<'_>) -> Result<Told, ObserveError> {
    let object: Session<'_> = READER.object(envelope)?;
    READER.named(&object.object)?;
    let id = READER.id(&object.id, "id", SessionId::parse)?;
    let customer = READER.optional_id(&object.customer, "customer", CustomerId::parse)?;
    let customer_account = READER.payer(&object.customer_account)?;
    let subscription =
        READER.optional_id(&object.subscription, "subscription", SubscriptionId::parse)?;
    let payment_intent =
        READER.optional_id(&object.payment_intent, "payment_intent", ObjectId::parse)?;
    let list = object.line_items.or(&object.display_items).given();
    let lines = list.into_iter().flat_map(List::given).enumerate();
    let subtotal = money(&object.amount_subtotal, "amount_subtotal", &object.currency)?;
    let total = money(&object.amount_total, "amount_total", &object.currency)?;
    Ok(Told {
        named: named(&object),
        references: References::of([
            Some(id.as_str()),
            subscription.as_ref().map(SubscriptionId::as_str),
            customer.as_ref().map(CustomerId::as_str),
            payment_intent.as_ref().map(ObjectId::as_str),
            object.invoice.given().map(|invoice| invoice.0.as_ref()),
            customer_account.as_ref().map(ObjectId::as_str),
        ]),
        customer,
        customer_account,
        email: email(&object),
        seen: Seen::Session(SeenSession {
            id,
            mode: mode(&object)?,
            kind: object
                .metadata
                .given()
                .map_or(tollgate_domain::payment::PurchaseKind::Other, Metadata::purchase_kind),
            subscription,
            payment_intent,
            lines: lines.filter_map(|(place, one)| line(one, place)).collect(),
            lines_cut: list.is_some_and(|list| list.cut),
            amounts: amounts(&object, subtotal, total),
            total,
            status: status(&object, kind),
            paid: matches!(
                READER.word(&object.payment_status, "payment_status")?,
                "paid" | "no_payment_required"
            ),
        }),
    })
}

/// `None` for a line without a price, such as one of a product that was made for it alone.
fn line(line: &Line<'_>, place: usize) -> Option<PurchaseLine> {
    let price = line.price.or(&line.plan).given()?;
    let currency = line.currency.given().and_then(|text| Currency::parse(text.as_str()));
    let total = line.amount_total.given().copied().zip(currency);
    Some(PurchaseLine {
        id: optional_text(&line.id).unwrap_or_else(|| format!("#{place}").into()),
        price: price.price_id()?,
        lookup_key: optional_text(&price.lookup_key),
        product: price.product(),
        quantity: line.quantity.given().map_or(Some(1), |number| u64::try_from(*number).ok())?,
        total: total.map(|(amount_minor, currency)| Money { amount_minor, currency }),
    })
}

/// Every amount the goods may have cost: the subtotal, the total, the total without discounts,
/// shipping and taxes (which a price may include or not), and the same in the currency of the price
/// where the session's own is the customer's.
fn amounts(object: &Session<'_>, subtotal: Option<Money>, total: Option<Money>) -> BTreeSet<Money> {
    let mut amounts: BTreeSet<Money> = subtotal.into_iter().chain(total).collect();
    if let Some((total, details)) = total.zip(object.total_details.given()) {
        let of = |field: &Field<i64>| field.given().copied().unwrap_or(0);
        let goods = total
            .amount_minor
            .saturating_add(of(&details.amount_discount))
            .saturating_sub(of(&details.amount_shipping));
        for amount_minor in [goods, goods.saturating_sub(of(&details.amount_tax))] {
            amounts.insert(Money { amount_minor, ..total });
        }
    }
    if let Some(conversion) = object.currency_conversion.given() {
        let source = conversion.source_currency.given();
        let source = source.and_then(|text| Currency::parse(text.as_str()));
        for amount in [&conversion.amount_subtotal, &conversion.amount_total] {
            let money = amount.given().copied().zip(source);
            amounts.extend(money.map(|(amount_minor, currency)| Money { amount_minor, currency }));
        }
    }
    amounts.retain(|money| money.amount_minor > 0);
    amounts
}

/// The metadata's account, else the `client_reference_id` the application gave the session.
fn named(object: &Session<'_>) -> Named {
    let metadata = object.metadata.given();
    metadata.map(Metadata::named).unwrap_or_default().or_else(|| {
        let given = object.client_reference_id.given().map(Text::as_str);
        match given.filter(|text| !text.is_empty()).map(AccountId::parse) {
            Some(Ok(account)) => Named::account(account, metadata.and_then(Metadata::member)),
            Some(Err(_)) => Named { claim: None, invalid: Some("client_reference_id") },
            None => Named::default(),
        }
    })
}

/// What the customer gave on the page, else what the page was made with.
fn email(object: &Session<'_>) -> Option<Box<str>> {
    let given = object.customer_details.given().and_then(|details| optional_text(&details.email));
    given.or_else(|| optional_text(&object.customer_email))
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
