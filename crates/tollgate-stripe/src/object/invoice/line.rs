//! Lines of an invoice. Owns: price, subscription, period and metadata of a line in every shape.
//! Must not know: what the invoice makes of them.

use serde::Deserialize;
use tollgate_domain::Timestamp;

use crate::field::{Field, Reference, object_value};
use crate::object::Price;
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
    /// What it bills.
    pub(super) fn price(&self) -> Option<&Price<'a>> {
        let newest = self.pricing.given().and_then(|pricing| pricing.price_details.given());
        newest
            .and_then(|details| details.price.given())
            .or_else(|| self.price.given())
            .or_else(|| self.plan.given())
    }

    /// The subscription it belongs to.
    pub(super) fn subscription(&self) -> Option<&Reference<'a>> {
        let newest = self.parent.given().and_then(|parent| {
            let of_item = parent.subscription_item_details.given();
            of_item.or_else(|| parent.invoice_item_details.given())
        });
        newest
            .and_then(|details| details.subscription.given())
            .or_else(|| self.subscription.given())
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
