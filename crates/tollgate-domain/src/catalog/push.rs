//! From what a catalog offers and what is for sale to what is to be done. Owns: the steps that make
//! the two agree, what stands in the way, and what is left alone. Must not know: how a step is done.
//!
//! Amounts of prices cannot be changed. So a changed amount is a new price that takes over the
//! lookup key, and the old price, when it is ours, is withdrawn from sale; who pays it goes on
//! paying it. What is not marked as ours is used where it is exactly right and never altered.
//!
//! The steps are what is missing now. Doing the first and asking again, until nothing is missing,
//! ends in the same state from wherever an earlier run broke off.

use super::stock::{Mark, Stock, StockPrice, StockProduct};
use super::{Catalog, CurrencyOptions, Interval, Offer};
use crate::ids::PriceId;
use crate::money::Money;

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Name a price in the catalog before it loses its lookup key, so that those who pay it keep
    /// what they pay for.
    KeepPrice {
        /// The plan's id, `badge` or `boost`.
        key: String,
        /// The price.
        price: PriceId,
    },
    /// Make a product.
    CreateProduct {
        /// Its id, which makes it unique.
        id: String,
        /// Its name.
        name: String,
        /// Whose it is.
        mark: Mark,
    },
    /// Give a product of ours its name, and put it on sale.
    UpdateProduct {
        /// The product.
        id: String,
        /// Its name.
        name: String,
    },
    /// Make a price.
    CreatePrice {
        /// The product it is a price of.
        product: String,
        /// The name it is found by; taken over from the price that has it.
        lookup_key: String,
        /// What it asks for.
        money: Money,
        /// What it asks for in further currencies.
        options: CurrencyOptions,
        /// How often.
        interval: Interval,
        /// Whose it is.
        mark: Mark,
    },
    /// Give a price of ours amounts in currencies it does not have yet.
    AddCurrencies {
        /// The price.
        price: PriceId,
        /// The amounts.
        options: CurrencyOptions,
    },
    /// Put a price of ours on sale and give it its lookup key.
    UsePrice {
        /// The price.
        price: PriceId,
        /// The name it is found by; taken over from the price that has it.
        lookup_key: Option<String>,
    },
    /// Show another price of a product of ours first: the one shown is to be withdrawn.
    ShowFirst {
        /// The product.
        product: String,
        /// The price to be shown.
        price: PriceId,
    },
    /// Withdraw a price of ours from sale.
    WithdrawPrice {
        /// The price.
        price: PriceId,
    },
    /// Withdraw a product of ours from sale.
    WithdrawProduct {
        /// The product.
        id: String,
    },
}

/// What stands in the way of an offer and only people can settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The catalog names no lookup key that could stand for this price.
    NoLookupKey,
    /// Somebody else's price has the lookup key and asks for something else, or is withdrawn.
    KeyTaken {
        /// The price.
        price: PriceId,
    },
    /// Somebody else's product has the id ours would have.
    ProductTaken {
        /// The product.
        id: String,
    },
}

/// How an offer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A price of ours sells it.
    Sold(PriceId),
    /// Somebody else's price sells it and is left as it is.
    Adopted(PriceId),
    /// It will be sold once the steps are done.
    Missing,
    /// It cannot be sold.
    Blocked(Obstacle),
}

/// What is to be done, and how everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agenda<'c> {
    /// Each offer with its standing, in the order of [`Catalog::offers`].
    pub offers: Vec<(Offer<'c>, Standing)>,
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// Products and prices of ours, on sale and in no catalog any more: withdrawn only when asked.
    pub surplus: Vec<Step>,
    /// Prices the catalog names by id and that are not there.
    pub unknown_prices: Vec<String>,
    /// Products the catalog names and that are not there.
    pub unknown_products: Vec<String>,
}

impl Agenda<'_> {
    /// Whether catalog and stock agree.
    pub fn is_settled(&self) -> bool {
        let blocked = |(_, standing): &(_, Standing)| matches!(standing, Standing::Blocked(_));
        self.steps.is_empty() && !self.offers.iter().any(blocked)
    }
}

/// The id of the product that is made for a plan, `badge` or `boost`.
pub fn product_id(catalog: &Catalog, key: &str) -> String {
    let name: String = catalog
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .collect();
    format!("tollgate_{name}_{key}")
}

/// What is to be done so that everything the catalog offers is for sale.
pub fn agenda<'c>(catalog: &'c Catalog, stock: &Stock) -> Agenda<'c> {
    let offers = catalog.offers();
    let mut planner = Planner { catalog, stock, steps: Vec::new(), current: Vec::new() };
    let standings: Vec<Standing> = offers.iter().map(|offer| planner.take(offer)).collect();
    for offer in &offers {
        planner.withdraw_others(offer);
    }
    let unknown_prices = catalog
        .prices
        .keys()
        .filter(|name| name.starts_with(super::PRICE_ID_PREFIX) && stock.price(name).is_none())
        .cloned()
        .collect();
    let unknown_products =
        catalog.products.keys().filter(|id| stock.product(id).is_none()).cloned().collect();
    Agenda {
        surplus: planner.surplus(&offers),
        steps: planner.steps,
        offers: offers.into_iter().zip(standings).collect(),
        unknown_prices,
        unknown_products,
    }
}

struct Planner<'p> {
    catalog: &'p Catalog,
    stock: &'p Stock,
    steps: Vec<Step>,
    /// Prices that sell an offer now or will after the steps.
    current: Vec<PriceId>,
}

impl Planner<'_> {
    fn take(&mut self, offer: &Offer<'_>) -> Standing {
        let holder = offer.lookup_key.and_then(|key| self.stock.holder(key));
        if let Some(holder) = holder.filter(|holder| holder.suits(offer) && holder.active) {
            return self.sold_by(holder, offer);
        }
        let named = offer.price_ids.iter().filter_map(|id| self.stock.price(id));
        let of_product = |price: &&StockPrice| offer.products.contains(&price.product.as_str());
        let named = named.chain(self.stock.prices.iter().filter(of_product)).find(|price| {
            // One of ours is given its lookup key below instead.
            let ends_here = offer.lookup_key.is_none() || !self.is_ours(price, offer);
            price.active && price.suits(offer) && ends_here
        });
        if let (None, Some(named)) = (holder, named) {
            return self.sold_by(named, offer);
        }
        let Some(lookup_key) = offer.lookup_key else {
            return Standing::Blocked(Obstacle::NoLookupKey);
        };
        if let Some(holder) = holder {
            if !self.is_ours(holder, offer) {
                return Standing::Blocked(Obstacle::KeyTaken { price: holder.id.clone() });
            }
            self.keep(holder, offer);
        }
        self.make(offer, lookup_key)
    }

    fn is_ours(&self, price: &StockPrice, offer: &Offer<'_>) -> bool {
        price.is_marked(&self.catalog.name, offer.key)
    }

    fn sold_by(&mut self, price: &StockPrice, offer: &Offer<'_>) -> Standing {
        self.current.push(price.id.clone());
        if !self.is_ours(price, offer) {
            return Standing::Adopted(price.id.clone());
        }
        if let Some(product) = self.stock.product(&price.product) {
            self.refresh(product, offer);
        }
        let options = price.lacks(offer);
        if !options.is_empty() {
            self.steps.push(Step::AddCurrencies { price: price.id.clone(), options });
        }
        Standing::Sold(price.id.clone())
    }

    /// A price that is about to lose its lookup key and is known by nothing else.
    fn keep(&mut self, holder: &StockPrice, offer: &Offer<'_>) {
        let known = self.catalog.prices.get(holder.id.as_str()) == Some(&offer.target);
        if !holder.suits(offer) && !known {
            let (key, price) = (offer.key.to_owned(), holder.id.clone());
            self.steps.push(Step::KeepPrice { key, price });
        }
    }

    fn make(&mut self, offer: &Offer<'_>, lookup_key: &str) -> Standing {
        // A price of ours that was right before, when the amount went there and back.
        let right = |price: &&StockPrice| price.suits(offer) && self.is_ours(price, offer);
        if let Some(price) = self.stock.prices.iter().find(right) {
            if let Some(product) = self.stock.product(&price.product) {
                self.refresh(product, offer);
            }
            self.current.push(price.id.clone());
            let lookup_key =
                (price.lookup_key.as_deref() != Some(lookup_key)).then(|| lookup_key.to_owned());
            self.steps.push(Step::UsePrice { price: price.id.clone(), lookup_key });
            return Standing::Missing;
        }
        let product = match self.product_for(offer) {
            Ok(product) => product,
            Err(obstacle) => return Standing::Blocked(obstacle),
        };
        self.steps.push(Step::CreatePrice {
            product,
            lookup_key: lookup_key.to_owned(),
            money: offer.money,
            options: offer.options.clone(),
            interval: offer.interval,
            mark: self.mark(offer),
        });
        Standing::Missing
    }

    fn mark(&self, offer: &Offer<'_>) -> Mark {
        Mark { catalog: self.catalog.name.clone(), key: offer.key.to_owned() }
    }

    /// The product prices of an offer are made for: ours, or one to be made.
    fn product_for(&mut self, offer: &Offer<'_>) -> Result<String, Obstacle> {
        let mark = self.mark(offer);
        let ours = self.stock.products.iter().filter(|one| one.mark.as_ref() == Some(&mark));
        if let Some(product) = ours.min_by_key(|product| (!product.active, &product.id)) {
            self.refresh(product, offer);
            return Ok(product.id.clone());
        }
        let id = product_id(self.catalog, offer.key);
        if self.stock.product(&id).is_some() {
            return Err(Obstacle::ProductTaken { id });
        }
        self.once(Step::CreateProduct { id: id.clone(), name: offer.name.to_owned(), mark });
        Ok(id)
    }

    /// A product of ours has the catalog's name and is on sale.
    fn refresh(&mut self, product: &StockProduct, offer: &Offer<'_>) {
        let ours = product.mark.as_ref() == Some(&self.mark(offer));
        if ours && (product.name != offer.name || !product.active) {
            let (id, name) = (product.id.clone(), offer.name.to_owned());
            self.once(Step::UpdateProduct { id, name });
        }
    }

    fn once(&mut self, step: Step) {
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    /// Prices of ours that sold the same before.
    fn withdraw_others(&mut self, offer: &Offer<'_>) {
        let sells = |id: &PriceId| self.current.contains(id);
        let sold_now = self.stock.prices.iter().any(|price| price.suits(offer) && sells(&price.id));
        let to_be_sold = self.steps.iter().any(|step| {
            matches!(step, Step::CreatePrice { lookup_key, .. }
                if Some(lookup_key.as_str()) == offer.lookup_key)
        });
        if !sold_now && !to_be_sold {
            return;
        }
        let stock = self.stock;
        let old = stock.prices.iter().filter(|price| {
            price.active
                && price.interval == Some(offer.interval)
                && price.is_marked(&self.catalog.name, offer.key)
                && !self.current.contains(&price.id)
        });
        let mut steps = Vec::new();
        for price in old {
            let first = stock
                .product(&price.product)
                .filter(|product| product.mark == Some(self.mark(offer)))
                .filter(|product| product.default_price.as_ref() == Some(&price.id));
            let instead = self.current.iter().find(|id| {
                let of = |one: &StockPrice| one.product == price.product && one.suits(offer);
                stock.price(id.as_str()).is_some_and(of)
            });
            if let (Some(product), Some(instead)) = (first, instead) {
                let (product, price) = (product.id.clone(), instead.clone());
                steps.push(Step::ShowFirst { product, price });
            }
            steps.push(Step::WithdrawPrice { price: price.id.clone() });
        }
        for step in steps {
            self.once(step);
        }
    }

    /// What is ours, on sale and not offered.
    fn surplus(&self, offers: &[Offer<'_>]) -> Vec<Step> {
        let ours =
            |mark: &Option<Mark>| mark.as_ref().filter(|m| m.catalog == self.catalog.name).cloned();
        let withdrawn = |id: &PriceId| {
            let is = |step: &Step| matches!(step, Step::WithdrawPrice { price } if price == id);
            self.steps.iter().any(is)
        };
        let offered = |key: &str, interval: Option<Interval>| {
            let same = |offer: &Offer<'_>| {
                offer.key == key && interval.is_none_or(|interval| offer.interval == interval)
            };
            offers.iter().any(same)
        };
        let prices = self.stock.prices.iter().filter(|price| {
            price.active
                && !withdrawn(&price.id)
                && !self.current.contains(&price.id)
                && ours(&price.mark).is_some_and(|mark| !offered(&mark.key, price.interval))
        });
        let prices = prices.map(|price| Step::WithdrawPrice { price: price.id.clone() });
        let products = self.stock.products.iter().filter(|product| {
            product.active && ours(&product.mark).is_some_and(|mark| !offered(&mark.key, None))
        });
        let products = products.map(|product| Step::WithdrawProduct { id: product.id.clone() });
        // A product shows its first price, so it goes before its prices.
        products.chain(prices).collect()
    }
}

#[cfg(test)]
mod tests;
