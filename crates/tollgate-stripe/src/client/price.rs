//! Prices. Owns: reading them by id and by lookup key. Must not know: what they sell.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_domain::buying::KnownPrice;
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::{PriceId, ProductId};
use tollgate_domain::money::{Currency, Money};

use crate::client::StripeClient;
use crate::client::error::StripeError;
use crate::client::request::{ApiPath, Form, Operation};

const RETRIEVE: Operation = Operation::get("prices.retrieve");
const LIST: Operation = Operation::get("prices.list");
const PATH: &str = "/v1/prices";
/// Lookup keys Stripe takes in one question.
const KEYS_MAX: usize = 10;

#[derive(Deserialize)]
pub(super) struct Body {
    id: String,
    lookup_key: Option<String>,
    #[serde(default)]
    product: serde_json::Value,
    unit_amount: Option<i64>,
    currency: String,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    livemode: bool,
    recurring: Option<Recurring>,
}

#[derive(Deserialize)]
struct Recurring {
    interval: String,
    #[serde(default = "one")]
    interval_count: i64,
}

const fn one() -> i64 {
    1
}

impl Body {
    /// The price; `None` when its id or currency cannot be right.
    pub(super) fn known(self) -> Option<KnownPrice> {
        let currency = Currency::parse(&self.currency)?;
        Some(KnownPrice {
            id: PriceId::parse(&self.id).ok()?,
            lookup_key: self.lookup_key.map(Into::into),
            product: product_of(&self.product),
            unit: self.unit_amount.map(|amount_minor| Money { amount_minor, currency }),
            currency,
            interval: match self.recurring {
                None => Some(Interval::OneTime),
                Some(every) => Interval::of_recurring(&every.interval, every.interval_count),
            },
            active: self.active,
            live: self.livemode,
        })
    }
}

/// The product a price belongs to: its id, or the object with its id.
fn product_of(value: &serde_json::Value) -> Option<ProductId> {
    let id = value.as_str().or_else(|| value.get("id")?.as_str())?;
    ProductId::parse(id).ok()
}

fn read(item: &RawValue) -> Option<KnownPrice> {
    serde_json::from_str::<Body>(item.get()).ok()?.known()
}

impl StripeClient {
    /// A price; `None` where there is none of that id.
    pub async fn price(&self, id: &str) -> Result<Option<KnownPrice>, StripeError> {
        let path = ApiPath::new(PATH).id(id);
        match self.call(RETRIEVE, &path, &Form::new(), None).await {
            Ok(fetched) => Ok(fetched.json::<Body>()?.known()),
            Err(error) if error.is_missing() && !error.is_wrong_mode() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The prices that have these lookup keys; keys nobody has are absent.
    pub async fn prices_with_keys(&self, keys: &[&str]) -> Result<Vec<KnownPrice>, StripeError> {
        let mut prices = Vec::new();
        for some in keys.chunks(KEYS_MAX) {
            let mut filter = Form::new();
            for key in some {
                filter = filter.with("lookup_keys[]", *key);
            }
            let (items, _) = self.list(LIST, &ApiPath::new(PATH), &filter, 100).await?;
            prices.extend(items.iter().filter_map(|item| read(item)));
        }
        Ok(prices)
    }

    /// The newest hundred prices of a product that are still sold.
    pub async fn prices_of_product(&self, product: &str) -> Result<Vec<KnownPrice>, StripeError> {
        let filter = Form::new().with("product", product).with("active", "true");
        let (items, _) = self.list(LIST, &ApiPath::new(PATH), &filter, 100).await?;
        Ok(items.iter().filter_map(|item| read(item)).collect())
    }
}
