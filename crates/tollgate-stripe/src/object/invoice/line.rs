//! Lines of an invoice. Owns: price, subscription, period and metadata of a line in every shape.
//! Must not know: what the invoice makes of them.
//!
//! | value | newest path first |
//! |---|---|
//! | price, product | `pricing.price_details.price` and `.product` (basil), `price`, `plan` with their `product` |
//! | subscription item | `parent.….subscription_item` (basil), `subscription_item` |
//! | proration | `parent.….proration` (basil), `proration` |

use serde::Deserialize;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::{ObjectId, ProductId};
use tollgate_domain::payment::InvoiceLine;

use crate::field::{Field, Reference, object_value};
use crate::object::{Price, optional_text};
use crate::owner::{Metadata, Named};

/// One line.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pricing: Field<Pricing<'a>>,
    #[serde(borrow)]
    price: Field<Price<'a>>,
    #[serde(borrow)]
    plan: Field<Price<'a>>,
    #[serde(borrow)]
    parent: Field<LineParent<'a>>,
    #[serde(borrow)]
    subscription: Field<Reference<'a>>,
    #[serde(borrow)]
    subscription_item: Field<Reference<'a>>,
    quantity: Field<i64>,
    amount: Field<i64>,
    proration: Field<bool>,
    period: Field<Period>,
    #[serde(borrow)]
    metadata: Field<Metadata<'a>>,
}
object_value!(Line);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pricing<'a> {
    #[serde(borrow)]
    price_details: Field<PriceDetails<'a>>,
}
object_value!(Pricing);

#[derive(Default, Deserialize)]
#[serde(default)]
struct PriceDetails<'a> {
    #[serde(borrow)]
    price: Field<Price<'a>>,
    #[serde(borrow)]
    product: Field<Reference<'a>>,
}
object_value!(PriceDetails);

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineParent<'a> {
    #[serde(borrow)]
    subscription_item_details: Field<LineDetails<'a>>,
    #[serde(borrow)]
    invoice_item_details: Field<LineDetails<'a>>,
}
object_value!(LineParent);

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineDetails<'a> {
    #[serde(borrow)]
    subscription: Field<Reference<'a>>,
    #[serde(borrow)]
    subscription_item: Field<Reference<'a>>,
    proration: Field<bool>,
}
object_value!(LineDetails);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Period {
    start: Field<Timestamp>,
    end: Field<Timestamp>,
}

impl<'de> crate::field::Value<'de> for Period {
    fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        crate::field::read_map(map).map(Some)
    }
}

impl<'a> Line<'a> {
    /// What it bills; `None` without a readable price, amount or span, for then it proves nothing.
    pub(super) fn billed(&self) -> Option<InvoiceLine> {
        let price = self.price()?;
        let (start, end) = self.period()?;
        let details = self.details();
        let item = details.and_then(|details| details.subscription_item.given());
        let item = item.or_else(|| self.subscription_item.given());
        let proration = details.and_then(|details| details.proration.given());
        let quantity = match &self.quantity {
            Field::Given(number) => u64::try_from(*number).ok()?,
            Field::Absent | Field::Null => 1,
            Field::Garbled => return None,
        };
        Some(InvoiceLine {
            price: price.price_id()?,
            lookup_key: optional_text(&price.lookup_key),
            product: self.product(),
            quantity,
            amount_minor: *self.amount.given()?,
            start,
            end,
            proration: proration.or_else(|| self.proration.given()).is_some_and(|flag| *flag),
            item: item.and_then(|id| ObjectId::parse(&id.0).ok()),
        })
    }

    fn price_details(&self) -> Option<&PriceDetails<'a>> {
        self.pricing.given()?.price_details.given()
    }

    fn price(&self) -> Option<&Price<'a>> {
        self.price_details()
            .and_then(|details| details.price.given())
            .or_else(|| self.price.given())
            .or_else(|| self.plan.given())
    }

    fn product(&self) -> Option<ProductId> {
        let newest = self.price_details().and_then(|details| details.product.given());
        let newest = newest.and_then(|id| ProductId::parse(&id.0).ok());
        newest.or_else(|| self.price()?.product())
    }

    fn details(&self) -> Option<&LineDetails<'a>> {
        let parent = self.parent.given()?;
        parent.subscription_item_details.given().or_else(|| parent.invoice_item_details.given())
    }

    /// The subscription it belongs to.
    pub(super) fn subscription(&self) -> Option<&Reference<'a>> {
        let newest = self.details().and_then(|details| details.subscription.given());
        newest.or_else(|| self.subscription.given())
    }

    /// Its span.
    pub(super) fn period(&self) -> Option<(Timestamp, Timestamp)> {
        let period = self.period.given()?;
        Some((*period.start.given()?, *period.end.given()?))
    }

    /// The owner it names; lines of a subscription mirror the subscription's metadata.
    pub(super) fn named(&self) -> Named {
        self.metadata.given().map(Metadata::named).unwrap_or_default()
    }
}
