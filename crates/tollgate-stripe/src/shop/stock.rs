//! Products and prices. Owns: reading all of them, and each change of one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tollgate_domain::catalog::stock::{Mark, Stock, StockPrice, StockProduct};
use tollgate_domain::catalog::{CurrencyOptions, Interval};
use tollgate_domain::ids::PriceId;
use tollgate_domain::money::{Currency, Money};

use super::{Metadata, id_of, key, mark_of, read_all, with_mark};
use crate::client::{ApiPath, Fetched, Form, Operation, StripeClient, StripeError};

/// Most products, and most prices, that are read.
pub const PRICES_READ_MAX: usize = 20_000;

/// Why what is for sale is not known, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The call failed.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// There is more than can be compared.
    #[error("the account has more than {PRICES_READ_MAX} {0}")]
    TooMany(&'static str),
}

#[derive(Deserialize)]
struct Product {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    default_price: Value,
    #[serde(default)]
    marketing_features: Vec<MarketingFeature>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct MarketingFeature {
    name: Option<String>,
}

impl Product {
    fn stock(self) -> StockProduct {
        let first = id_of(&self.default_price).and_then(|id| PriceId::parse(&id).ok());
        StockProduct {
            id: self.id,
            name: self.name,
            active: self.active,
            default_price: first,
            features: self.marketing_features.into_iter().filter_map(|one| one.name).collect(),
            mark: mark_of(self.metadata.as_ref()),
        }
    }
}

#[derive(Deserialize)]
struct Price {
    id: String,
    #[serde(default)]
    product: Value,
    lookup_key: Option<String>,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    currency: String,
    #[serde(default)]
    currency_options: BTreeMap<String, CurrencyOption>,
    unit_amount: Option<i64>,
    recurring: Option<Recurring>,
    #[serde(default)]
    custom_unit_amount: Value,
    #[serde(default)]
    transform_quantity: Value,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct CurrencyOption {
    unit_amount: Option<i64>,
}

#[derive(Deserialize)]
struct Recurring {
    #[serde(default)]
    interval: String,
    #[serde(default)]
    interval_count: i64,
    usage_type: Option<String>,
}

impl Price {
    /// `None` for a price whose id no catalog could name.
    fn stock(self) -> Option<StockPrice> {
        let plain = self.custom_unit_amount.is_null() && self.transform_quantity.is_null();
        let currency = Currency::parse(&self.currency);
        let money = self.unit_amount.filter(|_| plain).zip(currency);
        let interval = match &self.recurring {
            None => Some(Interval::OneTime),
            Some(recurring) if recurring.usage_type.as_deref() == Some("metered") => None,
            Some(recurring) => {
                Interval::of_recurring(&recurring.interval, recurring.interval_count)
            }
        };
        let options = self.currency_options.iter().filter_map(|(code, option)| {
            let known = Currency::parse(code).filter(|code| Some(*code) != currency)?;
            Some((known, option.unit_amount?))
        });
        Some(StockPrice {
            options: options.collect(),
            id: PriceId::parse(&self.id).ok()?,
            product: id_of(&self.product).unwrap_or_default(),
            lookup_key: self.lookup_key,
            active: self.active,
            money: money.map(|(amount_minor, currency)| Money { amount_minor, currency }),
            interval,
            mark: mark_of(self.metadata.as_ref()),
        })
    }
}

/// Reads every product and price, withdrawn ones included.
pub async fn fetch_stock(client: &StripeClient) -> Result<Stock, ShopError> {
    let plain = Form::new();
    let products: Vec<Product> =
        all(client, "products", "products.list", "/v1/products", &plain).await?;
    // Stripe leaves further currencies out unless asked.
    let whole = Form::new().expand("data.currency_options");
    let prices: Vec<Price> = all(client, "prices", "prices.list", "/v1/prices", &whole).await?;
    let mut stock = Stock {
        products: products.into_iter().map(Product::stock).collect(),
        prices: prices.into_iter().filter_map(Price::stock).collect(),
    };
    // Lists are no snapshots: an object can show up on two pages.
    let mut seen = std::collections::BTreeSet::new();
    stock.products.retain(|product| seen.insert(product.id.clone()));
    stock.prices.retain(|price| seen.insert(price.id.to_string()));
    Ok(stock)
}

async fn all<T: DeserializeOwned>(
    client: &StripeClient,
    what: &'static str,
    operation: &'static str,
    path: &'static str,
    form: &Form,
) -> Result<Vec<T>, ShopError> {
    let (operation, path) = (Operation::get(operation), ApiPath::new(path));
    let (items, more) = client.list(operation, &path, form, PRICES_READ_MAX).await?;
    if more {
        return Err(ShopError::TooMany(what));
    }
    Ok(read_all(&items)?)
}

fn read_product(fetched: &Fetched) -> Result<StockProduct, StripeError> {
    fetched.json::<Product>().map(Product::stock)
}

fn read_price(fetched: &Fetched) -> Result<StockPrice, StripeError> {
    let price: Price = fetched.json()?;
    price.stock().ok_or(StripeError::Garbled {
        what: "the price has no id that can be named",
        request_id: fetched.request_id.clone(),
    })
}

/// Makes a product under an id of ours. One that is there already (an earlier answer was lost) is
/// read instead, if it is ours: one that somebody else made meanwhile stays theirs.
pub async fn create_product(
    client: &StripeClient,
    id: &str,
    name: &str,
    mark: &Mark,
    nonce: &str,
) -> Result<StockProduct, StripeError> {
    let form = with_mark(Form::new().with("id", id).with("name", name), mark);
    let path = ApiPath::new("/v1/products");
    let key = key("product", &form, nonce);
    match client.call(Operation::post("products.create"), &path, &form, key.as_ref()).await {
        Ok(fetched) => read_product(&fetched),
        Err(StripeError::Refused { refusal })
            if refusal.code.as_deref() == Some("resource_already_exists") =>
        {
            let operation = Operation::get("products.retrieve");
            let found =
                read_product(&client.call(operation, &path.id(id), &Form::new(), None).await?)?;
            if found.mark.as_ref() == Some(mark) {
                Ok(found)
            } else {
                Err(StripeError::Refused { refusal })
            }
        }
        Err(error) => Err(error),
    }
}

/// Gives a product its name and puts it on sale.
pub async fn update_product(
    client: &StripeClient,
    id: &str,
    name: &str,
    nonce: &str,
) -> Result<StockProduct, StripeError> {
    let form = Form::new().with("name", name).with("active", "true");
    change_product(client, id, &form, nonce).await
}

/// Makes a price the one a product shows first.
pub async fn show_first(
    client: &StripeClient,
    id: &str,
    price: &PriceId,
    nonce: &str,
) -> Result<StockProduct, StripeError> {
    let form = Form::new().with("default_price", price.as_str());
    change_product(client, id, &form, nonce).await
}

/// Withdraws a product from sale.
pub async fn withdraw_product(
    client: &StripeClient,
    id: &str,
    nonce: &str,
) -> Result<StockProduct, StripeError> {
    change_product(client, id, &Form::new().with("active", "false"), nonce).await
}

async fn change_product(
    client: &StripeClient,
    id: &str,
    form: &Form,
    nonce: &str,
) -> Result<StockProduct, StripeError> {
    let path = ApiPath::new("/v1/products").id(id);
    let key = key("product", form, &format!("{id} {nonce}"));
    let operation = Operation::post("products.update");
    read_product(&client.call(operation, &path, form, key.as_ref()).await?)
}

/// What a new price asks for.
#[derive(Debug, Clone, Copy)]
pub struct PriceWish<'w> {
    /// The product it is a price of.
    pub product: &'w str,
    /// The name it is found by.
    pub lookup_key: &'w str,
    /// A price of ours has the name now and gives it up. Without this a name that somebody else's
    /// price has taken meanwhile stays there, and no price is made.
    pub takes_over: bool,
    /// Amount and currency.
    pub money: Money,
    /// Amounts in further currencies.
    pub options: &'w CurrencyOptions,
    /// How often.
    pub interval: Interval,
    /// Whose it is.
    pub mark: &'w Mark,
}

/// Makes a price. The key holds no nonce: until the price shows up in a list, asking for the same
/// one gives the same one.
pub async fn create_price(
    client: &StripeClient,
    wish: PriceWish<'_>,
) -> Result<StockPrice, StripeError> {
    let PriceWish { product, lookup_key, takes_over, money, options, interval, mark } = wish;
    let form = Form::new()
        .with("product", product)
        .with("currency", money.currency.as_str())
        .with("unit_amount", money.amount_minor.to_string())
        .with("lookup_key", lookup_key)
        .with_some("transfer_lookup_key", takes_over.then_some("true"))
        .with("nickname", interval.word());
    let form = with_options(form, options);
    let form = match interval {
        Interval::Month => form.with("recurring[interval]", "month"),
        Interval::Year => form.with("recurring[interval]", "year"),
        Interval::OneTime => form,
    };
    let form = with_mark(form, mark).expand("currency_options");
    let key = key("price", &form, "");
    let path = ApiPath::new("/v1/prices");
    read_price(&client.call(Operation::post("prices.create"), &path, &form, key.as_ref()).await?)
}

/// Puts a price on sale, and gives it its lookup key where it lacks it; with the key it is said
/// whether a price of ours has it now and gives it up.
pub async fn use_price(
    client: &StripeClient,
    id: &PriceId,
    lookup_key: Option<(&str, bool)>,
    nonce: &str,
) -> Result<StockPrice, StripeError> {
    let mut form = Form::new().with("active", "true");
    if let Some((lookup_key, takes_over)) = lookup_key {
        form = form
            .with("lookup_key", lookup_key)
            .with_some("transfer_lookup_key", takes_over.then_some("true"));
    }
    change_price(client, id, &form, nonce).await
}

/// Gives a price amounts in currencies it does not have yet.
pub async fn add_currencies(
    client: &StripeClient,
    id: &PriceId,
    options: &CurrencyOptions,
    nonce: &str,
) -> Result<StockPrice, StripeError> {
    change_price(client, id, &with_options(Form::new(), options), nonce).await
}

fn with_options(form: Form, options: &CurrencyOptions) -> Form {
    options.iter().fold(form, |form, (currency, amount_minor)| {
        let name = format!("currency_options[{}][unit_amount]", currency.as_str());
        form.with(name, amount_minor.to_string())
    })
}

/// Withdraws a price from sale; who pays it goes on paying it.
pub async fn withdraw_price(
    client: &StripeClient,
    id: &PriceId,
    nonce: &str,
) -> Result<StockPrice, StripeError> {
    change_price(client, id, &Form::new().with("active", "false"), nonce).await
}

async fn change_price(
    client: &StripeClient,
    id: &PriceId,
    form: &Form,
    nonce: &str,
) -> Result<StockPrice, StripeError> {
    let path = ApiPath::new("/v1/prices").id(id.as_str());
    let form = &form.clone().expand("currency_options");
    let key = key("price", form, &format!("{id} {nonce}"));
    let operation = Operation::post("prices.update");
    read_price(&client.call(operation, &path, form, key.as_ref()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(json: &str) -> StockPrice {
        serde_json::from_str::<Price>(json).unwrap().stock().unwrap()
    }

    #[test]
    fn only_plain_amounts_at_intervals_a_catalog_knows_can_be_sold() {
        let of = |more: &str| {
            price(&format!(r#"{{"id":"price_1","product":"prod_1","currency":"usd",{more}}}"#))
        };
        let month = of(r#""unit_amount":900,"recurring":{"interval":"month","interval_count":1}"#);
        assert_eq!(
            (month.money.unwrap().amount_minor, month.interval),
            (900, Some(Interval::Month))
        );
        let once = of(r#""unit_amount":900,"recurring":null"#);
        assert_eq!(once.interval, Some(Interval::OneTime));
        let weekly = of(r#""unit_amount":900,"recurring":{"interval":"week","interval_count":1}"#);
        assert_eq!(weekly.interval, None);
        let metered = r#""unit_amount":1,"recurring":{"interval":"month","interval_count":1,"usage_type":"metered"}"#;
        assert_eq!(of(metered).interval, None);
        assert_eq!(of(r#""unit_amount":null"#).money, None, "tiers");
        let euros = of(
            r#""unit_amount":9,"currency_options":{"usd":{"unit_amount":9},"eur":{"unit_amount":8},"jpy":{"unit_amount":null}}"#,
        );
        let options: Vec<_> =
            euros.options.iter().map(|(code, amount)| (code.as_str(), *amount)).collect();
        assert_eq!(options, [("eur", 8)]);
        assert_eq!(of(r#""unit_amount":5,"transform_quantity":{"divide_by":10}"#).money, None);
    }

    #[test]
    fn references_are_ids_or_objects_and_marks_need_both_words() {
        let one = price(
            r#"{"id":"price_1","product":{"id":"prod_1"},"metadata":{"tollgate_catalog":"c","tollgate_plan":"p"}}"#,
        );
        assert_eq!(one.product, "prod_1");
        assert_eq!(one.mark, Some(Mark { catalog: "c".to_owned(), key: "p".to_owned() }));
        let half = price(r#"{"id":"price_1","metadata":{"tollgate_catalog":"c"}}"#);
        assert_eq!(half.mark, None);
        let product = r#"{"id":"prod_1","name":"A","active":true,"default_price":{"id":"price_9"},
            "marketing_features":[{"name":"B"},{}],"metadata":{}}"#;
        let product = serde_json::from_str::<Product>(product).unwrap().stock();
        assert_eq!(product.default_price.unwrap().as_str(), "price_9");
        assert_eq!(product.features, ["B"]);
    }
}
