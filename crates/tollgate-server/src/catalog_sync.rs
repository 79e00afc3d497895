//! Bringing Stripe up to the catalog. Owns: doing the steps the domain asks for, one after the
//! other, and what customers may change to in the portal. Must not know: why a step is needed, who
//! asked, how it is shown.
//!
//! After each step it is asked again what is missing, from what Stripe answered. So nothing is
//! remembered between runs: a run that broke off anywhere is finished by the next one.

use tollgate_domain::Catalog;
use tollgate_domain::catalog::push::{Agenda, Standing, Step, agenda};
use tollgate_domain::catalog::stock::Stock;
use tollgate_domain::catalog::stock::{StockPrice, StockProduct};
use tollgate_domain::catalog::{CatalogErrors, Interval, PriceTarget};
use tollgate_domain::ids::PriceId;
use tollgate_stripe::shop::{
    self, Portal, PortalProduct, PortalQuantity, PortalWish, PriceWish, ShopError, create_portal,
    list_portals, update_portal,
};
use tollgate_stripe::{StripeClient, StripeError};

/// More steps than any catalog needs: 64 plans with three prices, each made, moved and withdrawn.
const STEPS_MAX: usize = 1_000;

/// Why Stripe could not be brought up to the catalog.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// What is for sale could not be read.
    #[error(transparent)]
    Shop(#[from] ShopError),
    /// A step failed; those before it are done.
    #[error("{what}: {error}{}", explained(error))]
    Step {
        /// The step in words.
        what: String,
        /// Why.
        error: StripeError,
    },
    /// A price could not be named in the catalog.
    #[error(
        "{price} must be named in the catalog before it loses its lookup key, or those who pay it lose {key}: {why}"
    )]
    Keep {
        /// The price.
        price: PriceId,
        /// What it sells.
        key: String,
        /// Why not.
        why: String,
    },
    /// A price named in the catalog sells something else there.
    #[error(transparent)]
    Catalog(#[from] CatalogErrors),
    /// What Stripe answers does not become what was asked for.
    #[error("Stripe does not become what was asked for; last tried: {0}")]
    NeverSettles(String),
}

/// Stripe's own sentence, which its error leaves out of logs.
fn explained(error: &StripeError) -> String {
    let StripeError::Refused { refusal } = error else { return String::new() };
    refusal.message.as_ref().map_or_else(String::new, |text| format!(" ({text})"))
}

/// A step in words.
pub fn in_words(step: &Step) -> String {
    match step {
        Step::KeepPrice { key, price } => format!("name {price} in the catalog, for {key}"),
        Step::CreateProduct { id, name, .. } => format!("make the product {name:?} ({id})"),
        Step::UpdateProduct { id, name } => format!("call the product {id} {name:?} and sell it"),
        Step::CreatePrice { lookup_key, money, interval, product, .. } => format!(
            "make the price {lookup_key} of {product}: {} {} {}",
            money.amount_minor,
            money.currency.as_str(),
            interval.word()
        ),
        Step::AddCurrencies { price, options } => {
            let amounts =
                options.iter().map(|(code, amount)| format!("{amount} {}", code.as_str()));
            format!("sell {price} also for {}", amounts.collect::<Vec<_>>().join(", "))
        }
        Step::UsePrice { price, lookup_key: Some(lookup_key) } => {
            format!("sell {price} again, as {lookup_key}")
        }
        Step::UsePrice { price, lookup_key: None } => format!("sell {price} again"),
        Step::ShowFirst { product, price } => format!("show {price} first on {product}"),
        Step::WithdrawPrice { price } => format!("withdraw the price {price}"),
        Step::WithdrawProduct { id } => format!("withdraw the product {id}"),
    }
}

/// One run of pushing a catalog.
#[derive(Debug)]
pub struct Push<'p> {
    /// The way to Stripe.
    pub client: &'p StripeClient,
    /// The catalog; grows by the prices that are kept.
    pub catalog: Catalog,
    /// What is for sale; becomes what Stripe answers.
    pub stock: Stock,
    /// Different for each run; see `tollgate_stripe::shop`.
    pub nonce: String,
}

impl Push<'_> {
    /// Does what is missing, and withdraws what is ours and offered no more when `prune` says so.
    /// `keep` writes a price into the catalog's file; `told` hears of each step before it is done.
    pub async fn run(
        &mut self,
        prune: bool,
        mut keep: impl FnMut(&str, &PriceId) -> Result<(), String>,
        mut told: impl FnMut(&Step),
    ) -> Result<Vec<Step>, SyncError> {
        let mut done = Vec::new();
        loop {
            let Agenda { steps, surplus, .. } = agenda(&self.catalog, &self.stock);
            let surplus = surplus.into_iter().filter(|_| prune);
            let Some(step) = steps.into_iter().chain(surplus).next() else { return Ok(done) };
            if done.len() == STEPS_MAX {
                return Err(SyncError::NeverSettles(in_words(&step)));
            }
            told(&step);
            self.execute(&step, &mut keep).await?;
            done.push(step);
        }
    }

    async fn execute(
        &mut self,
        step: &Step,
        keep: &mut impl FnMut(&str, &PriceId) -> Result<(), String>,
    ) -> Result<(), SyncError> {
        if let Step::KeepPrice { key, price } = step {
            keep(key, price).map_err(|why| SyncError::Keep {
                price: price.clone(),
                key: key.clone(),
                why,
            })?;
            let named = [(key.clone(), vec![price.to_string()])];
            self.catalog = self.catalog.clone().with_prices(&named)?;
            return Ok(());
        }
        let made = self.call(step).await;
        match made.map_err(|error| SyncError::Step { what: in_words(step), error })? {
            Made::Nothing => {}
            Made::Product(product) => self.stock.take_product(product),
            Made::Price(price) => self.stock.take_price(price),
        }
        Ok(())
    }

    /// Whether a lookup key is at a price of ours, by what was read.
    fn is_ours(&self, lookup_key: &str) -> bool {
        let mark = self.stock.holder(lookup_key).and_then(|holder| holder.mark.as_ref());
        mark.is_some_and(|mark| mark.catalog == self.catalog.name)
    }

    async fn call(&self, step: &Step) -> Result<Made, StripeError> {
        let (client, nonce) = (self.client, self.nonce.as_str());
        Ok(match step {
            Step::KeepPrice { .. } => Made::Nothing,
            Step::CreateProduct { id, name, mark } => {
                Made::Product(shop::create_product(client, id, name, mark, nonce).await?)
            }
            Step::UpdateProduct { id, name } => {
                Made::Product(shop::update_product(client, id, name, nonce).await?)
            }
            Step::ShowFirst { product, price } => {
                Made::Product(shop::show_first(client, product, price, nonce).await?)
            }
            Step::WithdrawProduct { id } => {
                Made::Product(shop::withdraw_product(client, id, nonce).await?)
            }
            Step::CreatePrice { product, lookup_key, money, options, interval, mark } => {
                let (money, interval) = (*money, *interval);
                let takes_over = self.is_ours(lookup_key);
                let wish =
                    PriceWish { product, lookup_key, takes_over, money, options, interval, mark };
                Made::Price(shop::create_price(client, wish).await?)
            }
            Step::AddCurrencies { price, options } => {
                Made::Price(shop::add_currencies(client, price, options, nonce).await?)
            }
            Step::UsePrice { price, lookup_key } => {
                let lookup_key = lookup_key.as_deref().map(|key| (key, self.is_ours(key)));
                Made::Price(shop::use_price(client, price, lookup_key, nonce).await?)
            }
            Step::WithdrawPrice { price } => {
                Made::Price(shop::withdraw_price(client, price, nonce).await?)
            }
        })
    }
}

/// What a step left.
enum Made {
    Nothing,
    Product(StockProduct),
    Price(StockPrice),
}

/// What customers may change to: every plan they can buy by themselves, at its current prices.
pub fn portal_wish(catalog: &Catalog, stock: &Stock, return_url: Option<&str>) -> PortalWish {
    let mut products: Vec<PortalProduct> = Vec::new();
    for (offer, standing) in agenda(catalog, stock).offers {
        let PriceTarget::Plan(index) = offer.target else { continue };
        let Some(plan) = catalog.plan(index) else { continue };
        let (Standing::Sold(id) | Standing::Adopted(id)) = standing else { continue };
        let Some(price) = stock.price(id.as_str()) else { continue };
        if !plan.self_serve || offer.interval == Interval::OneTime {
            continue;
        }
        match products.iter_mut().find(|product| product.id == price.product) {
            Some(product) => product.prices.push(id),
            None => products.push(PortalProduct {
                id: price.product.clone(),
                prices: vec![id],
                quantity: if plan.is_per_unit() {
                    PortalQuantity::UpTo(plan.units_max())
                } else {
                    PortalQuantity::Fixed
                },
            }),
        }
    }
    PortalWish {
        catalog: catalog.name.clone(),
        products,
        return_url: return_url.map(str::to_owned),
    }
}

/// How the portal stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortalStanding {
    /// Ours, as it should be.
    Right(String),
    /// Ours, to be changed.
    Differs(String),
    /// There is none of ours.
    Missing,
}

/// Compares the portal with what is wanted.
pub async fn look_at_portal(
    client: &StripeClient,
    wish: &PortalWish,
) -> Result<PortalStanding, StripeError> {
    let portals = list_portals(client).await?;
    let ours: Vec<&Portal> =
        portals.iter().filter(|portal| portal.catalog.as_ref() == Some(&wish.catalog)).collect();
    // The oldest, were there several: lists are newest first.
    let best = ours.iter().rev().find(|portal| portal.active).or(ours.last());
    Ok(match best {
        Some(portal) if portal.is_as(wish) => PortalStanding::Right(portal.id.clone()),
        Some(portal) => PortalStanding::Differs(portal.id.clone()),
        None => PortalStanding::Missing,
    })
}

/// Makes the portal what is wanted; returns its id.
pub async fn settle_portal(
    client: &StripeClient,
    wish: &PortalWish,
    standing: &PortalStanding,
    nonce: &str,
) -> Result<String, StripeError> {
    Ok(match standing {
        PortalStanding::Right(id) => id.clone(),
        PortalStanding::Differs(id) => update_portal(client, id, wish, nonce).await?.id,
        PortalStanding::Missing => create_portal(client, wish).await?.id,
    })
}
