//! What is sold. Owns: each plan and add-on with one price of it, and which of the catalog's names
//! for Stripe prices stands for it. Must not know: what Stripe has.

use super::{Catalog, CurrencyOptions, Interval, PriceTarget};
use crate::catalog::PlanIndex;
use crate::money::Money;

/// What ids of Stripe prices begin with; every other name of a catalog is a lookup key.
pub const PRICE_ID_PREFIX: &str = "price_";
/// What ids of Stripe products begin with, unless their maker chose another id.
pub const PRODUCT_ID_PREFIX: &str = "prod_";

/// One thing at one price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer<'c> {
    /// What is sold.
    pub target: PriceTarget,
    /// The plan's id, `badge` or `boost`.
    pub key: &'c str,
    /// Its name for people.
    pub name: &'c str,
    /// What it costs.
    pub money: Money,
    /// What it costs in further currencies.
    pub options: &'c CurrencyOptions,
    /// How often.
    pub interval: Interval,
    /// The lookup key of its price; `None` where the catalog names none.
    pub lookup_key: Option<&'c str>,
    /// Ids of Stripe prices that sell the same thing, at this interval or another.
    pub price_ids: Vec<&'c str>,
    /// Ids of Stripe products any price of which sells the same thing.
    pub products: Vec<&'c str>,
}

/// An amount, how often it is paid, and the same in further currencies.
struct Priced<'c>(Money, Interval, &'c CurrencyOptions);

impl Interval {
    /// The word for it in names: `monthly`, `yearly`, `once`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Month => "monthly",
            Self::Year => "yearly",
            Self::OneTime => "once",
        }
    }

    /// The interval a name speaks of.
    pub(crate) fn said_by(name: &str) -> Option<Self> {
        let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if says(&["year", "annual"]) {
            Some(Self::Year)
        } else if says(&["month"]) {
            Some(Self::Month)
        } else if says(&["once", "one_time"]) {
            Some(Self::OneTime)
        } else {
            None
        }
    }
}

impl Catalog {
    /// Everything that is sold: plans by rising rank, then the badge, then boosts.
    ///
    /// A catalog maps lookup keys to what they sell without saying how often it is paid. A key
    /// that speaks of an interval stands for that price; a single key that speaks of none stands
    /// for the first price left.
    pub fn offers(&self) -> Vec<Offer<'_>> {
        let plans = self.plans.iter().enumerate().flat_map(|(index, plan)| {
            let prices: Vec<Priced<'_>> = plan
                .prices
                .iter()
                .map(|price| Priced(price.money, price.interval, &price.options))
                .collect();
            let target = PriceTarget::Plan(PlanIndex(index));
            self.offers_of(target, plan.id.as_str(), &plan.name, &prices)
        });
        let badge = self.badge.iter().flat_map(|badge| {
            let prices = [Priced(badge.price, Interval::OneTime, &badge.options)];
            self.offers_of(PriceTarget::Badge, "badge", "Score badge", &prices)
        });
        let boost = self.boost.iter().flat_map(|boost| {
            let prices = [Priced(boost.price, Interval::Month, &boost.options)];
            self.offers_of(PriceTarget::Boost, "boost", "Community boost", &prices)
        });
        plans.chain(badge).chain(boost).collect()
    }

    fn offers_of<'c>(
        &'c self,
        target: PriceTarget,
        key: &'c str,
        name: &'c str,
        prices: &[Priced<'c>],
    ) -> Vec<Offer<'c>> {
        let products: Vec<&str> = self.products_selling(target);
        let names = self.prices.iter().filter(|(_, sold)| **sold == target);
        let (price_ids, lookup_keys): (Vec<&str>, Vec<&str>) = names
            .map(|(name, _)| name.as_str())
            .partition(|name| name.starts_with(PRICE_ID_PREFIX));
        let speaking = |interval: Interval| {
            lookup_keys.iter().copied().find(|name| Interval::said_by(name) == Some(interval))
        };
        let silent: Vec<&str> =
            lookup_keys.iter().copied().filter(|name| Interval::said_by(name).is_none()).collect();
        let mut spare = match silent.as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        let offer = |Priced(money, interval, options): &Priced<'c>| Offer {
            target,
            key,
            name,
            money: *money,
            options,
            interval: *interval,
            lookup_key: speaking(*interval).or_else(|| spare.take()),
            price_ids: price_ids.clone(),
            products: products.clone(),
        };
        prices.iter().map(offer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use super::super::parse::parse;
    use super::*;

    fn keys(catalog: &Catalog, of: &str) -> Vec<(Interval, Option<String>)> {
        let offers = catalog.offers();
        let own = offers.iter().filter(|offer| offer.key == of);
        own.map(|offer| (offer.interval, offer.lookup_key.map(str::to_owned))).collect()
    }

    fn plan(lookup_keys: &str) -> Vec<(Interval, Option<String>)> {
        let text = format!(
            "[catalog]\ncurrency = \"usd\"\ndefault_plan = \"pro\"\nupgrade_url = \"/up\"\n\
             [features.a]\n[[plans]]\nid = \"pro\"\nrank = 0\nmonthly = 100\nyearly = 1000\n\
             lookup_keys = {lookup_keys}\n"
        );
        keys(&parse("t", "t.toml", &text).unwrap(), "pro")
    }

    #[test]
    fn every_price_of_the_built_in_catalogs_has_its_lookup_key() {
        let sietch = builtin("sietch").unwrap();
        assert_eq!(sietch.offers().len(), 10);
        let basic = [
            (Interval::Month, Some("sietch_basic_monthly".to_owned())),
            (Interval::Year, Some("sietch_basic_yearly".to_owned())),
        ];
        assert_eq!(keys(&sietch, "basic"), basic);
        assert_eq!(
            keys(&builtin("levels").unwrap(), "pro"),
            [
                (Interval::Month, Some("levels_pro_monthly".to_owned())),
                (Interval::OneTime, Some("levels_pro".to_owned())),
            ]
        );
        for name in super::super::BUILTIN_NAMES {
            let catalog = builtin(name).unwrap();
            let offers = catalog.offers();
            assert!(offers.iter().all(|offer| offer.lookup_key.is_some()), "{name}");
        }
    }

    #[test]
    fn a_key_stands_for_one_price_only() {
        let key = |text: &str| Some(text.to_owned());
        let (month, year) = (Interval::Month, Interval::Year);
        assert_eq!(plan("[\"pro\"]"), [(month, key("pro")), (year, None)]);
        assert_eq!(
            plan("[\"pro\", \"pro_month\"]"),
            [(month, key("pro_month")), (year, key("pro"))]
        );
        assert_eq!(plan("[\"one\", \"two\"]"), [(month, None), (year, None)], "which is which?");
        assert_eq!(plan("[\"price_1\"]"), [(month, None), (year, None)], "an id is no key");
    }
}
