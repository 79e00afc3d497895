//! What a payment provider has for sale, as far as a catalog cares. Owns: products and prices free
//! of the provider's field names, and the marks that say which of them are ours. Must not know: how
//! they are read or made, what a catalog wants.

use super::{CurrencyOptions, Interval, Offer};
use crate::ids::PriceId;
use crate::money::Money;

/// Whose a product or price is: written when we make one, and on nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Name of the catalog it was made for.
    pub catalog: String,
    /// The plan's id, `badge` or `boost`.
    pub key: String,
}

/// A product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockProduct {
    /// Its id.
    pub id: String,
    /// Its name for customers.
    pub name: String,
    /// Whether it is for sale.
    pub active: bool,
    /// The price it shows first.
    pub default_price: Option<PriceId>,
    /// What it is said to have, for customers to read.
    pub features: Vec<String>,
    /// Ours, when there is one.
    pub mark: Option<Mark>,
}

/// A price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockPrice {
    /// Its id.
    pub id: PriceId,
    /// The product it is a price of.
    pub product: String,
    /// The name that can move to another price.
    pub lookup_key: Option<String>,
    /// Whether it can be bought.
    pub active: bool,
    /// Amount and currency; `None` where it has no single amount (tiers, free choice).
    pub money: Option<Money>,
    /// Amounts in further currencies, its own left out.
    pub options: CurrencyOptions,
    /// How often it is paid; `None` for what no catalog sells, such as every week.
    pub interval: Option<Interval>,
    /// Ours, when there is one.
    pub mark: Option<Mark>,
}

impl StockPrice {
    /// Whether it asks for exactly what an offer asks for.
    pub fn suits(&self, offer: &Offer<'_>) -> bool {
        self.money == Some(offer.money) && self.interval == Some(offer.interval)
    }

    /// The amounts in further currencies that an offer has and the price has not.
    pub(super) fn lacks(&self, offer: &Offer<'_>) -> CurrencyOptions {
        let missing =
            offer.options.iter().filter(|(currency, _)| !self.options.contains_key(*currency));
        missing.map(|(currency, amount)| (*currency, *amount)).collect()
    }

    pub(super) fn is_marked(&self, catalog: &str, key: &str) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.catalog == catalog && mark.key == key)
    }
}

/// Everything for sale, the newest first as lists come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Products, inactive ones included.
    pub products: Vec<StockProduct>,
    /// Prices, inactive ones included.
    pub prices: Vec<StockPrice>,
}

impl Stock {
    /// A product by id.
    pub fn product(&self, id: &str) -> Option<&StockProduct> {
        self.products.iter().find(|product| product.id == id)
    }

    /// A price by id.
    pub fn price(&self, id: &str) -> Option<&StockPrice> {
        self.prices.iter().find(|price| price.id.as_str() == id)
    }

    /// The price that has a lookup key; there is at most one.
    pub fn holder(&self, lookup_key: &str) -> Option<&StockPrice> {
        self.prices.iter().find(|price| price.lookup_key.as_deref() == Some(lookup_key))
    }

    /// Takes in a product that was made or changed.
    pub fn take_product(&mut self, product: StockProduct) {
        match self.products.iter_mut().find(|known| known.id == product.id) {
            Some(known) => *known = product,
            None => self.products.insert(0, product),
        }
    }

    /// Takes in a price that was made or changed. A lookup key it has is no other's any more.
    pub fn take_price(&mut self, price: StockPrice) {
        for other in self.prices.iter_mut().filter(|other| other.id != price.id) {
            if price.lookup_key.is_some() && other.lookup_key == price.lookup_key {
                other.lookup_key = None;
            }
        }
        match self.prices.iter_mut().find(|known| known.id == price.id) {
            Some(known) => *known = price,
            None => self.prices.insert(0, price),
        }
    }
}
