//! Prices mapped by configuration. Owns: adding `STRIPE_PRODUCT_PRICE_MAP` and other settings to a
//! catalog. Must not know: how the configuration is written.

use super::fault::{CatalogErrors, Fault, did_you_mean};
use super::parse::{GRACE_HOURS_MAX, PRICES_MAX};
use super::{Catalog, PRODUCT_ID_PREFIX, PriceTarget};
use crate::ids::{FeatureKey, PriceId};

/// What faults call the place prices were mapped in.
const SOURCE: &str = "price map";

impl Catalog {
    /// The same catalog with more prices: `(target, price ids, lookup keys or product ids)`, where a
    /// target is a plan's id, `badge`, `boost` or the key of a metered feature. A text that begins with `prod_` is a product, any
    /// price of which sells the target. What the catalog already sells as the same thing is not a
    /// fault.
    ///
    /// Errors: every target that does not exist, every text that is not an id, every price or
    /// product that would sell two things.
    pub fn with_prices(mut self, mapped: &[(String, Vec<String>)]) -> Result<Self, CatalogErrors> {
        let mut faults = Vec::new();
        for (target, prices) in mapped {
            let found = self.mapped_target(target);
            if found.is_none() {
                faults.push(self.unknown_target(target));
            }
            for price in prices {
                let checked = PriceId::parse(price);
                match (checked, found) {
                    (Err(error), _) => {
                        faults.push(fault(format!("price of `{target}`: {error}"), None));
                    }
                    (Ok(_), None) => {}
                    (Ok(price), Some(sells)) => faults.extend(self.map_price(&price, sells).err()),
                }
            }
        }
        if self.prices.len() + self.products.len() > PRICES_MAX {
            let what = format!("more than {PRICES_MAX} prices, lookup keys and products");
            faults.push(fault(what, None));
        }
        if faults.is_empty() {
            Ok(self.with_version())
        } else {
            Err(CatalogErrors { faults, left_out: 0 })
        }
    }

    /// The same catalog with one grace for all plans and boosts, in hours; more than the longest
    /// grace a catalog may have is cut to it.
    pub fn with_grace_hours(mut self, hours: u32) -> Self {
        let hours = hours.min(GRACE_HOURS_MAX);
        for plan in &mut self.plans {
            plan.grace_hours = hours;
        }
        if let Some(program) = &mut self.boost {
            program.grace_hours = hours;
        }
        self.with_version()
    }

    fn mapped_target(&self, target: &str) -> Option<PriceTarget> {
        match target {
            "badge" if self.badge.is_some() => Some(PriceTarget::Badge),
            "boost" if self.boost.is_some() => Some(PriceTarget::Boost),
            name => self.find_plan(name).map_or_else(
                || self.find_metered(name).map(PriceTarget::Usage),
                |(index, _)| Some(PriceTarget::Plan(index)),
            ),
        }
    }

    fn unknown_target(&self, target: &str) -> Fault {
        let addons = self.badge.iter().map(|_| "badge").chain(self.boost.iter().map(|_| "boost"));
        let known = self.plans.iter().map(|plan| plan.id.as_str()).chain(addons);
        let hint = did_you_mean(target, known);
        let target: String = target.chars().take(64).collect();
        fault(format!("the catalog `{}` has no `{target}`", self.name), hint)
    }

    fn map_price(&mut self, price: &PriceId, sells: PriceTarget) -> Result<(), Fault> {
        let (all, word) = if price.as_str().starts_with(PRODUCT_ID_PREFIX) {
            (&mut self.products, "product")
        } else {
            (&mut self.prices, "price")
        };
        let before = *all.entry(price.as_str().to_owned()).or_insert(sells);
        if before == sells {
            return Ok(());
        }
        let what = format!(
            "{word} `{price}` cannot sell {} and {}",
            self.target_name(before),
            self.target_name(sells)
        );
        Err(fault(what, Some(format!("one {word} sells one thing"))))
    }

    fn target_name(&self, target: PriceTarget) -> &str {
        match target {
            PriceTarget::Plan(index) => self.plan(index).map_or("a plan", |plan| plan.id.as_str()),
            PriceTarget::Badge => "badge",
            PriceTarget::Boost => "boost",
            PriceTarget::Usage(index) => {
                self.feature_key(index).map_or("a feature", FeatureKey::as_str)
            }
        }
    }
}

fn fault(what: String, hint: Option<String>) -> Fault {
    Fault { file: SOURCE.to_owned(), line: 0, column: 0, what, hint }
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use super::*;
    use crate::catalog::PlanIndex;
    use crate::ids::{PriceRef, ProductId};

    fn map(entries: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        entries
            .iter()
            .map(|(target, prices)| {
                ((*target).to_owned(), prices.iter().map(|p| (*p).to_owned()).collect())
            })
            .collect()
    }

    fn sells(catalog: &Catalog, price: &str) -> Option<PriceTarget> {
        let id = PriceId::parse(price).unwrap();
        catalog.price_target(PriceRef { id: &id, lookup_key: None, product: None })
    }

    #[test]
    fn mapped_prices_add_to_the_catalogs_own_and_change_its_version() {
        let before = builtin("sietch").unwrap();
        let after = before
            .clone()
            .with_prices(&map(&[
                ("premium", &["price_m", "price_y"]),
                ("badge", &["price_b"]),
                ("boost", &["price_x"]),
            ]))
            .unwrap();
        assert_eq!(sells(&after, "price_y"), Some(PriceTarget::Plan(PlanIndex(2))));
        assert_eq!(sells(&after, "price_b"), Some(PriceTarget::Badge));
        assert_eq!(sells(&after, "price_x"), Some(PriceTarget::Boost));
        assert_eq!(sells(&after, "sietch_boost"), Some(PriceTarget::Boost));
        assert_eq!(sells(&before, "price_y"), None);
        assert_ne!(before.version, after.version);
        assert_eq!(after.clone().with_prices(&map(&[("premium", &["price_m"])])).unwrap(), after);
    }

    #[test]
    fn a_mapped_product_sells_by_any_of_its_prices_that_is_not_named() {
        let map = map(&[("premium", &["prod_1"]), ("basic", &["price_1"])]);
        let catalog = builtin("sietch").unwrap().with_prices(&map).unwrap();
        let (product, other) = (ProductId::parse("prod_1"), ProductId::parse("prod_2"));
        let (product, other) = (product.unwrap(), other.unwrap());
        let sells = |price: &str, key, product| {
            let id = PriceId::parse(price).unwrap();
            catalog.price_target(PriceRef { id: &id, lookup_key: key, product })
        };
        let plan = |index| Some(PriceTarget::Plan(PlanIndex(index)));
        assert_eq!(sells("price_negotiated", None, Some(&product)), plan(2));
        assert_eq!(sells("price_1", None, Some(&product)), plan(1), "a named price goes first");
        assert_eq!(sells("price_9", Some("sietch_elite_monthly"), Some(&product)), plan(4));
        assert_eq!(sells("price_negotiated", None, Some(&other)), None);
        assert_eq!(sells("price_negotiated", None, None), None);
        let twice = self::map(&[("premium", &["prod_1"]), ("elite", &["prod_1"])]);
        let errors = builtin("sietch").unwrap().with_prices(&twice).unwrap_err().to_string();
        assert!(errors.contains("product `prod_1` cannot sell premium and elite"), "{errors}");
    }

    #[test]
    fn a_metered_feature_is_what_its_prices_bill() {
        let saas = builtin("saas").unwrap();
        let calls = saas.find_metered("api_calls").unwrap();
        assert_eq!(saas.feature_key(calls).map(FeatureKey::as_str), Some("api_calls"));
        let mapped = saas.clone().with_prices(&map(&[("api_calls", &["price_c"])])).unwrap();
        assert_eq!(sells(&mapped, "price_c"), Some(PriceTarget::Usage(calls)));
        assert_ne!(saas.version, mapped.version);
        for not_metered in ["seats", "workspace", "nothing"] {
            let refused = saas.clone().with_prices(&map(&[(not_metered, &["price_c"])]));
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(&format!("has no `{not_metered}`")), "{refused}");
        }
        let both = map(&[("api_calls", &["price_c"]), ("pro", &["price_c"])]);
        let refused = saas.with_prices(&both).unwrap_err().to_string();
        assert!(refused.contains("price `price_c` cannot sell api_calls and pro"), "{refused}");
    }

    #[test]
    fn every_fault_of_a_map_is_told() {
        let wrong = map(&[
            ("premum", &["price_1"]),
            ("basic", &["price_2", "a price"]),
            ("elite", &["price_2"]),
        ]);
        let errors = builtin("sietch").unwrap().with_prices(&wrong).unwrap_err();
        let text = errors.to_string();
        assert_eq!(errors.faults.len(), 3, "{text}");
        for part in [
            "did you mean \"premium\"?",
            "found ' '",
            "price `price_2` cannot sell basic and elite",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let no_addons = builtin("propiq").unwrap().with_prices(&map(&[("boost", &["price_1"])]));
        assert!(no_addons.unwrap_err().to_string().contains("has no `boost`"));
    }

    #[test]
    fn one_grace_can_be_set_for_all_plans() {
        let catalog = builtin("sietch").unwrap().with_grace_hours(72);
        assert!(catalog.plans.iter().all(|plan| plan.grace_hours == 72));
        assert_eq!(catalog.boost.as_ref().map(|program| program.grace_hours), Some(72));
        assert_ne!(catalog.version, builtin("sietch").unwrap().version);
    }
}
