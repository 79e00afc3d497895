//! What may be bought, and at which of Stripe's prices. Owns: choosing a plan, an interval and the
//! price that sells them. Must not know: how prices are read from Stripe.
//!
//! The catalog says which names (price ids and lookup keys) sell a plan; only Stripe's price says
//! how often it is paid, in which currency, and whether it is still sold.

use crate::catalog::{Allowance, Catalog, Interval, PerUnit, Plan, PlanIndex, PriceTarget};
use crate::ids::{PriceId, PriceRef, ProductId};
use crate::money::{Currency, Money};

/// A price as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPrice {
    /// Stripe's id.
    pub id: PriceId,
    /// Its lookup key.
    pub lookup_key: Option<Box<str>>,
    /// The product it is a price of.
    pub product: Option<ProductId>,
    /// What one unit costs; `None` for tiered and custom prices.
    pub unit: Option<Money>,
    /// The currency, whatever the scheme.
    pub currency: Currency,
    /// How often it is paid; `None` for an interval no plan has (weekly, every three months).
    pub interval: Option<Interval>,
    /// Whether it is still sold.
    pub active: bool,
    /// Whether it belongs to the world of real money.
    pub live: bool,
}

impl KnownPrice {
    /// What the catalog is asked about it.
    pub fn price_ref(&self) -> PriceRef<'_> {
        let (lookup_key, product) = (self.lookup_key.as_deref(), self.product.as_ref());
        PriceRef { id: &self.id, lookup_key, product }
    }
}

/// A plan somebody wants to buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanWish<'c> {
    /// Its index.
    pub index: PlanIndex,
    /// The plan.
    pub plan: &'c Plan,
    /// How often it is to be paid.
    pub interval: Interval,
}

/// Why something cannot be bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferRefusal {
    /// The catalog has no such plan.
    UnknownPlan,
    /// Customers cannot buy the plan by themselves.
    NotSelfServe,
    /// The plan is not sold at this interval.
    NotSoldAt(Interval),
    /// The plan is not sold by the unit, so more than one would be paid for nothing.
    NotByUnit,
    /// More units than the plan gives anything for.
    TooManyUnits {
        /// The most of use.
        max: u64,
    },
    /// The catalog names no Stripe price for the plan.
    NoPriceMapped,
    /// None of the prices named exists at Stripe, is still sold and is paid at this interval.
    NoPriceAtStripe(Interval),
    /// The price at Stripe has another currency than the catalog's.
    Currency {
        /// The catalog's.
        wanted: Currency,
        /// Stripe's.
        found: Currency,
    },
}

impl Catalog {
    /// The plan that is wished for, if customers can buy it. Without an interval it is the
    /// shortest the plan is sold at: monthly, else yearly, else once.
    pub fn plan_wish(
        &self,
        plan: &str,
        interval: Option<Interval>,
    ) -> Result<PlanWish<'_>, OfferRefusal> {
        let (index, plan) = self.find_plan(plan).ok_or(OfferRefusal::UnknownPlan)?;
        if !plan.self_serve {
            return Err(OfferRefusal::NotSelfServe);
        }
        let sold = |interval: &Interval| {
            plan.prices.is_empty() || plan.prices.iter().any(|price| price.interval == *interval)
        };
        let interval = match interval {
            Some(interval) if sold(&interval) => interval,
            Some(interval) => return Err(OfferRefusal::NotSoldAt(interval)),
            None => plan.prices.iter().map(|price| price.interval).min().unwrap_or(Interval::Month),
        };
        Ok(PlanWish { index, plan, interval })
    }

    /// The names under which Stripe's prices sell something.
    pub fn names_selling(&self, target: PriceTarget) -> Vec<&str> {
        let selling = self.prices.iter().filter(|(_, sold)| **sold == target);
        selling.map(|(name, _)| name.as_str()).collect()
    }

    /// The products any price of which sells something.
    pub fn products_selling(&self, target: PriceTarget) -> Vec<&str> {
        let selling = self.products.iter().filter(|(_, sold)| **sold == target);
        selling.map(|(product, _)| product.as_str()).collect()
    }

    /// The price at which a plan is sold, among those Stripe has.
    ///
    /// Of several that fit, one with the catalog's amount goes first, then the one with the least
    /// id, so that every instance takes the same. A price that only its product maps fits with the
    /// catalog's amount only: others are negotiated for somebody.
    pub fn choose_price<'p>(
        &self,
        wish: PlanWish<'_>,
        known: &'p [KnownPrice],
    ) -> Result<&'p KnownPrice, OfferRefusal> {
        let target = PriceTarget::Plan(wish.index);
        if !self.sells(target) {
            return Err(OfferRefusal::NoPriceMapped);
        }
        let listed = wish.plan.prices.iter().find(|price| price.interval == wish.interval);
        let public = |price: &KnownPrice| {
            let named = PriceRef { product: None, ..price.price_ref() };
            self.price_target(named) == Some(target)
                || (price.unit.is_some() && price.unit == listed.map(|listed| listed.money))
        };
        let fitting = known.iter().filter(|price| {
            price.active
                && price.interval == Some(wish.interval)
                && self.price_target(price.price_ref()) == Some(target)
                && public(price)
        });
        let Some(listed) = listed else {
            let least = fitting.min_by(|a, b| a.id.cmp(&b.id));
            return least.ok_or(OfferRefusal::NoPriceAtStripe(wish.interval));
        };
        let wanted = listed.money.currency;
        let order = |price: &&KnownPrice| {
            let same_currency = price.currency == wanted;
            (!same_currency, price.unit != Some(listed.money), price.id.clone())
        };
        match fitting.min_by_key(order) {
            None => Err(OfferRefusal::NoPriceAtStripe(wish.interval)),
            Some(price) if price.currency != wanted => {
                Err(OfferRefusal::Currency { wanted, found: price.currency })
            }
            Some(price) => Ok(price),
        }
    }
}

impl Plan {
    /// The most units that give anything; `None` without bound. 1 for a plan that is not sold by the
    /// unit.
    pub fn units_max(&self) -> Option<u64> {
        let mut most = 1;
        for allowance in self.allowances.values() {
            if let Allowance::PerUnit(PerUnit { each, max }) = allowance {
                most = most.max((*max)?.div_ceil((*each).max(1)));
            }
        }
        Some(most)
    }

    /// How many units are to be bought: what is asked for; else, of a plan that is sold by the unit,
    /// as many as there are now; else one.
    pub fn units(&self, asked: Option<u64>, present: Option<u64>) -> Result<u64, OfferRefusal> {
        match (asked, self.units_max()) {
            (Some(units), Some(max)) if units > max && !self.is_per_unit() => {
                Err(OfferRefusal::NotByUnit)
            }
            (Some(units), Some(max)) if units > max => Err(OfferRefusal::TooManyUnits { max }),
            (Some(units), _) => Ok(units),
            (None, max) => Ok(present.map_or(1, |now| max.map_or(now, |max| now.min(max))).max(1)),
        }
    }
}

crate::names!(Interval {
    Month => "month",
    Year => "year",
    OneTime => "once",
});

impl Interval {
    /// The words people use, with what they mean.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("month", Self::Month),
        ("monthly", Self::Month),
        ("year", Self::Year),
        ("yearly", Self::Year),
        ("annual", Self::Year),
        ("annually", Self::Year),
        ("once", Self::OneTime),
        ("one_time", Self::OneTime),
    ];

    /// Reads one of the [words](Self::WORDS) people use.
    pub fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, interval)| *interval)
    }

    /// Stripe's `recurring` interval and count; `None` for one no plan has.
    pub fn of_recurring(interval: &str, count: i64) -> Option<Self> {
        match (interval, count) {
            ("month", 1) => Some(Self::Month),
            ("year", 1) | ("month", 12) => Some(Self::Year),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse::parse;
    use crate::catalog::{builtin, builtin_text};

    fn catalog() -> Catalog {
        builtin("sietch").unwrap()
    }

    fn price(id: &str, key: &str, amount_minor: i64, interval: Interval) -> KnownPrice {
        let currency = Currency::parse("usd").unwrap();
        KnownPrice {
            id: PriceId::parse(id).unwrap(),
            lookup_key: Some(key.into()),
            product: None,
            unit: Some(Money { amount_minor, currency }),
            currency,
            interval: Some(interval),
            active: true,
            live: false,
        }
    }

    #[test]
    fn only_what_is_sold_can_be_wished_for() {
        let catalog = catalog();
        let wish = |plan, interval| catalog.plan_wish(plan, interval).map(|wish| wish.interval);
        assert_eq!(wish("premium", None), Ok(Interval::Month));
        assert_eq!(wish("premium", Some(Interval::Year)), Ok(Interval::Year));
        assert_eq!(
            wish("premium", Some(Interval::OneTime)),
            Err(OfferRefusal::NotSoldAt(Interval::OneTime))
        );
        assert_eq!(wish("gold", None), Err(OfferRefusal::UnknownPlan));
        assert_eq!(wish("enterprise", None), Err(OfferRefusal::NotSelfServe));
        assert_eq!(wish("starter", None), Err(OfferRefusal::NotSelfServe));
    }

    #[test]
    fn the_price_of_plan_and_interval_is_found_among_stripes() {
        let catalog = catalog();
        let known = [
            price("price_b", "sietch_premium_monthly", 3500, Interval::Month),
            price("price_a", "sietch_premium_monthly", 3400, Interval::Month),
            price("price_y", "sietch_premium_yearly", 35_000, Interval::Year),
            price("price_c", "sietch_basic_monthly", 1500, Interval::Month),
            price("price_d", "of_somebody_else", 3500, Interval::Month),
        ];
        let chosen = |interval, known: &[KnownPrice]| {
            let wish = catalog.plan_wish("premium", Some(interval)).unwrap();
            catalog.choose_price(wish, known).map(|price| price.id.to_string())
        };
        assert_eq!(
            chosen(Interval::Month, &known).as_deref(),
            Ok("price_b"),
            "the catalog's amount"
        );
        assert_eq!(chosen(Interval::Year, &known).as_deref(), Ok("price_y"));
        let mut retired = known.clone();
        retired[0].active = false;
        assert_eq!(chosen(Interval::Month, &retired).as_deref(), Ok("price_a"));
        assert_eq!(
            chosen(Interval::Year, &known[..2]),
            Err(OfferRefusal::NoPriceAtStripe(Interval::Year))
        );
    }

    #[test]
    fn another_currency_is_told_unless_a_price_in_the_right_one_is_there() {
        let catalog = catalog();
        let wish = catalog.plan_wish("premium", None).unwrap();
        let euro = Currency::parse("eur").unwrap();
        let foreign = KnownPrice {
            currency: euro,
            unit: Some(Money { amount_minor: 3500, currency: euro }),
            ..price("price_a", "sietch_premium_monthly", 3500, Interval::Month)
        };
        let wanted = Currency::parse("usd").unwrap();
        assert_eq!(
            catalog.choose_price(wish, std::slice::from_ref(&foreign)),
            Err(OfferRefusal::Currency { wanted, found: euro })
        );
        let right = price("price_z", "sietch_premium_monthly", 9900, Interval::Month);
        let known = [foreign, right];
        assert_eq!(catalog.choose_price(wish, &known).unwrap().id.as_str(), "price_z");
    }

    #[test]
    fn a_price_that_only_its_product_maps_is_sold_at_the_listed_amount_alone() {
        let mapped = [("premium".to_owned(), vec!["prod_1".to_owned()])];
        let catalog = catalog().with_prices(&mapped).unwrap();
        let wish = catalog.plan_wish("premium", None).unwrap();
        let product = Some(ProductId::parse("prod_1").unwrap());
        let of = |id, amount| KnownPrice {
            lookup_key: None,
            product: product.clone(),
            ..price(id, "", amount, Interval::Month)
        };
        let (negotiated, listed) = (of("price_a", 2000), of("price_b", 3500));
        let refused = Err(OfferRefusal::NoPriceAtStripe(Interval::Month));
        assert_eq!(catalog.choose_price(wish, std::slice::from_ref(&negotiated)), refused);
        let known = [negotiated, listed];
        assert_eq!(catalog.choose_price(wish, &known).unwrap().id.as_str(), "price_b");
    }

    #[test]
    fn a_plan_without_a_mapped_price_says_so() {
        let mut catalog = catalog();
        catalog.prices.clear();
        let wish = catalog.plan_wish("premium", None).unwrap();
        assert_eq!(catalog.choose_price(wish, &[]), Err(OfferRefusal::NoPriceMapped));
    }

    #[test]
    fn units_are_bought_where_they_give_something() {
        let text = builtin_text("saas").unwrap();
        let capped = text.replace("{ per_unit = 1 }", "{ per_unit = 2, max = 9 }");
        let capped = parse("saas", "saas", &capped).unwrap();
        let saas = builtin("saas").unwrap();
        let units = |catalog: &Catalog, plan, asked, present| {
            catalog.find_plan(plan).unwrap().1.units(asked, present)
        };
        assert_eq!(units(&saas, "pro", None, None), Ok(1));
        assert_eq!(units(&saas, "pro", None, Some(12)), Ok(12), "seats go with the account");
        assert_eq!(units(&saas, "pro", Some(3), Some(12)), Ok(3));
        assert_eq!(
            units(&saas, "starter", None, Some(12)),
            Ok(1),
            "and end where they give nothing"
        );
        assert_eq!(units(&saas, "starter", Some(1), None), Ok(1));
        assert_eq!(units(&saas, "starter", Some(2), None), Err(OfferRefusal::NotByUnit));
        assert_eq!(units(&capped, "pro", Some(5), None), Ok(5));
        assert_eq!(
            units(&capped, "pro", Some(6), None),
            Err(OfferRefusal::TooManyUnits { max: 5 })
        );
        assert_eq!(units(&capped, "pro", None, Some(12)), Ok(5));
    }

    #[test]
    fn intervals_are_read_from_words_and_from_stripe() {
        assert_eq!(Interval::parse("monthly"), Some(Interval::Month));
        assert_eq!(Interval::parse("weekly"), None);
        assert_eq!(Interval::of_recurring("month", 12), Some(Interval::Year));
        assert_eq!(Interval::of_recurring("month", 3), None);
    }
}
