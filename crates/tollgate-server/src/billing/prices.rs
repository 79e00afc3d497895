//! Stripe's prices in memory. Owns: reading those the catalog names, and for how long what was read
//! is believed. Must not know: which of them is chosen.
//!
//! Amount, currency and interval of a price never change at Stripe; which price has a lookup key and
//! whether it is still sold do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tollgate_domain::Timestamp;
use tollgate_domain::buying::{KnownPrice, PlanWish};
use tollgate_domain::catalog::{PRICE_ID_PREFIX, PlanIndex, PriceTarget};
use tollgate_stripe::StripeClient;
use tollgate_stripe::client::KeyMode;

use super::BillingError;
use crate::app::App;

/// How long what was read is believed.
const BELIEVED_MS: i64 = 300_000;

/// Prices by the plan they sell, with the instant they were read at.
#[derive(Debug, Default)]
pub struct PriceCache {
    plans: Mutex<HashMap<PlanIndex, (Timestamp, Vec<KnownPrice>)>>,
}

impl PriceCache {
    fn find(&self, plan: PlanIndex, now: Timestamp) -> Option<Vec<KnownPrice>> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, prices) = plans.get(&plan)?;
        (read_at.plus_ms(BELIEVED_MS) > now && *read_at <= now).then(|| prices.clone())
    }

    fn keep(&self, plan: PlanIndex, now: Timestamp, prices: Vec<KnownPrice>) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.insert(plan, (now, prices));
    }

    /// Forgets what is known of a plan's prices.
    pub(crate) fn forget(&self, plan: PlanIndex) {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).remove(&plan);
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
        let known = self.prices_selling(stripe, wish.index).await?;
        let chosen = catalog.choose_price(wish, &known);
        let chosen = chosen.map_err(BillingError::offer(wish.plan.id.as_str()))?.clone();
        if chosen.live != (stripe.mode() == KeyMode::Live) {
            return Err(BillingError::WrongKeyMode);
        }
        Ok(chosen)
    }

    async fn prices_selling(
        &self,
        stripe: &StripeClient,
        plan: PlanIndex,
    ) -> Result<Vec<KnownPrice>, BillingError> {
        let now = self.clock.now();
        if let Some(known) = self.prices.find(plan, now) {
            return Ok(known);
        }
        let names = self.config.catalog.names_selling(PriceTarget::Plan(plan));
        let (ids, keys): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| name.starts_with(PRICE_ID_PREFIX));
        let mut prices = Vec::new();
        if !keys.is_empty() {
            prices.extend(stripe.prices_with_keys(&keys).await?);
        }
        for id in ids {
            prices.extend(stripe.price(id).await?);
        }
        for product in self.config.catalog.products_selling(PriceTarget::Plan(plan)) {
            prices.extend(stripe.prices_of_product(product).await?);
        }
        self.prices.keep(plan, now, prices.clone());
        Ok(prices)
    }
}
