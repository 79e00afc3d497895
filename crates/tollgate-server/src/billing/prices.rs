//! Stripe's prices in memory. Owns: reading those the catalog names, and for how long what was read
//! is believed. Must not know: which of them is chosen.
//!
//! Amount, currency and interval of a price never change at Stripe; which price has a lookup key and
//! whether it is still sold do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tollgate_domain::Timestamp;
use tollgate_domain::buying::{KnownPrice, PlanWish};
use tollgate_domain::catalog::{Interval, PRICE_ID_PREFIX, PriceTarget};
use tollgate_stripe::StripeClient;
use tollgate_stripe::client::KeyMode;

use super::BillingError;
use crate::app::App;

/// How long what was read is believed.
const BELIEVED_MS: i64 = 300_000;

/// Prices by what they sell, with the instant they were read at.
#[derive(Debug, Default)]
pub struct PriceCache {
    sold: Mutex<HashMap<PriceTarget, (Timestamp, Vec<KnownPrice>)>>,
}

impl PriceCache {
    fn find(&self, target: PriceTarget, now: Timestamp) -> Option<Vec<KnownPrice>> {
        let sold = self.sold.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, prices) = sold.get(&target)?;
        (read_at.plus_ms(BELIEVED_MS) > now && *read_at <= now).then(|| prices.clone())
    }

    fn keep(&self, target: PriceTarget, now: Timestamp, prices: Vec<KnownPrice>) {
        let mut sold = self.sold.lock().unwrap_or_else(PoisonError::into_inner);
        sold.insert(target, (now, prices));
    }

    /// Forgets what is known of prices.
    pub(crate) fn forget(&self, target: PriceTarget) {
        self.sold.lock().unwrap_or_else(PoisonError::into_inner).remove(&target);
    }
}

impl App {
    /// The price at which a plan is sold.
    pub(crate) async fn price_of(
        &self,
        stripe: &StripeClient,
        wish: PlanWish<'_>,
    ) -> Result<KnownPrice, BillingError> {
        let catalog = &self.config.catalog;
        let known = self.prices_selling(stripe, PriceTarget::Plan(wish.index)).await?;
        let chosen = catalog.choose_price(wish, &known);
        let chosen = chosen.map_err(BillingError::offer(wish.plan.id.as_str()))?.clone();
        if chosen.live != (stripe.mode() == KeyMode::Live) {
            return Err(BillingError::WrongKeyMode);
        }
        Ok(chosen)
    }

    /// The price at which an add-on is sold beside a plan.
    pub(crate) async fn price_of_add_on(
        &self,
        stripe: &StripeClient,
        (name, target): (&str, PriceTarget),
        interval: Interval,
    ) -> Result<KnownPrice, BillingError> {
        let known = self.prices_selling(stripe, target).await?;
        let chosen = self.config.catalog.choose_add_on_price(target, interval, &known);
        Ok(chosen.map_err(BillingError::offer(name))?.clone())
    }

    async fn prices_selling(
        &self,
        stripe: &StripeClient,
        target: PriceTarget,
    ) -> Result<Vec<KnownPrice>, BillingError> {
        let now = self.clock.now();
        if let Some(known) = self.prices.find(target, now) {
            return Ok(known);
        }
        let names = self.config.catalog.names_selling(target);
        let (ids, keys): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| name.starts_with(PRICE_ID_PREFIX));
        let mut prices = Vec::new();
        if !keys.is_empty() {
            prices.extend(stripe.prices_with_keys(&keys).await?);
        }
        for id in ids {
            prices.extend(stripe.price(id).await?);
        }
        for product in self.config.catalog.products_selling(target) {
            prices.extend(stripe.prices_of_product(product).await?);
        }
        self.prices.keep(target, now, prices.clone());
        Ok(prices)
    }
}
