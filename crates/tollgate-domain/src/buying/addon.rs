//! Add-ons that are bought with a plan. Owns: which there are, and at which of Stripe's prices. Must not
//! know: how prices are read, what an add-on gives.

use super::offer::{KnownPrice, OfferRefusal};
use crate::catalog::{Catalog, Interval, PriceTarget};

/// Most units of one add-on in one purchase.
pub const ADD_ON_UNITS_MAX: u64 = 10_000;

impl Catalog {
    /// What an add-on of this name sells, if it can be bought together with a plan: `boost`. A badge
    /// is a member's and is bought alone.
    pub fn add_on(&self, name: &str) -> Option<PriceTarget> {
        (name == "boost" && self.boost.is_some()).then_some(PriceTarget::Boost)
    }

    /// The price at which an add-on is sold, paid as often as the plan beside it; of several the one
    /// with the least id.
    pub fn choose_add_on_price<'p>(
        &self,
        target: PriceTarget,
        interval: Interval,
        known: &'p [KnownPrice],
    ) -> Result<&'p KnownPrice, OfferRefusal> {
        if !self.sells(target) {
            return Err(OfferRefusal::NoPriceMapped);
        }
        let sold = known
            .iter()
            .filter(|price| price.active && self.price_target(price.price_ref()) == Some(target));
        let sold: Vec<&KnownPrice> = sold.collect();
        let fitting = sold.iter().filter(|price| price.interval == Some(interval));
        match fitting.min_by(|one, other| one.id.cmp(&other.id)) {
            Some(price) => Ok(price),
            None if sold.is_empty() => Err(OfferRefusal::NoPriceAtStripe(interval)),
            None => Err(OfferRefusal::NotSoldAt(interval)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::builtin;
    use crate::ids::PriceId;
    use crate::money::{Currency, Money};

    #[test]
    fn an_add_on_is_sold_at_the_interval_of_its_plan() {
        let catalog = builtin("sietch").unwrap();
        let currency = Currency::parse("usd").unwrap();
        let known = [KnownPrice {
            id: PriceId::parse("price_boost").unwrap(),
            lookup_key: Some("sietch_boost".into()),
            product: None,
            unit: Some(Money { amount_minor: 299, currency }),
            currency,
            interval: Some(Interval::Month),
            active: true,
            live: false,
        }];
        let boost = catalog.add_on("boost").unwrap();
        let chosen = |interval, known: &[KnownPrice]| {
            catalog.choose_add_on_price(boost, interval, known).map(|price| price.id.to_string())
        };
        assert_eq!(chosen(Interval::Month, &known).as_deref(), Ok("price_boost"));
        assert_eq!(chosen(Interval::Year, &known), Err(OfferRefusal::NotSoldAt(Interval::Year)));
        assert_eq!(
            chosen(Interval::Month, &[]),
            Err(OfferRefusal::NoPriceAtStripe(Interval::Month))
        );
        assert_eq!(catalog.add_on("badge"), None);
        assert_eq!(builtin("propiq").unwrap().add_on("boost"), None);
    }
}
