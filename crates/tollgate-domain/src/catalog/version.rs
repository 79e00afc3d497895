//! The version of a catalog. Owns: its canonical form and the hash of it. Must not know: the text
//! it was read from; comments, order and spelling of a file do not change its version.

use sha2::{Digest, Sha256};

use super::checkout::Locale;
use super::{
    Allowance, Catalog, CurrencyOptions, FeatureKind, Interval, Limit, MeterPeriod, PerUnit,
    PlanIndex, PriceTarget,
};
use crate::money::Money;

impl Catalog {
    /// The same catalog with `version` made from everything else in it.
    pub(super) fn with_version(mut self) -> Self {
        self.version = Canonical::of(&self).hex();
        self
    }
}

/// Feeds fields to the hash, each with its length, so that no two catalogs read the same.
struct Canonical(Sha256);

impl Canonical {
    fn of(catalog: &Catalog) -> Self {
        let mut all = Self(Sha256::new());
        all.text("tollgate catalog 2").text(&catalog.name).text(catalog.currency.as_str());
        all.text(&catalog.upgrade_url).number(u64::from(catalog.cache_seconds));
        all.text(catalog.stale.as_str()).text(catalog.collection_pause_access.as_str());
        all.plan(catalog.default_plan);
        all.checkout(catalog);
        all.list(catalog.features.len());
        for feature in catalog.features.values() {
            all.text(feature.key.as_str()).text(&feature.name).text(kind(feature.kind));
        }
        all.plans(catalog);
        all.addons(catalog);
        for sold in [&catalog.prices, &catalog.products] {
            all.list(sold.len());
            for (name, target) in sold {
                all.text(name);
                match target {
                    PriceTarget::Plan(plan) => all.text("plan").plan(*plan),
                    PriceTarget::Badge => all.text("badge"),
                    PriceTarget::Boost => all.text("boost"),
                    PriceTarget::Usage(feature) => all.text("usage").list(feature.0),
                };
            }
        }
        all
    }

    fn checkout(&mut self, catalog: &Catalog) {
        let mut terms = catalog.checkout.clone();
        let locale = terms.locale.take();
        for (name, flag) in terms.flags() {
            self.text(name).number(u64::from(*flag));
        }
        self.text(locale.as_ref().map_or("", Locale::as_str));
    }

    fn plans(&mut self, catalog: &Catalog) {
        self.list(catalog.plans.len());
        for plan in &catalog.plans {
            self.text(plan.id.as_str()).text(&plan.name).number(u64::from(plan.rank));
            self.list(plan.prices.len());
            for price in &plan.prices {
                self.money(price.money).options(&price.options).text(match price.interval {
                    Interval::Month => "month",
                    Interval::Year => "year",
                    Interval::OneTime => "one_time",
                });
            }
            self.number(u64::from(plan.self_serve)).number(u64::from(plan.trial_days));
            self.number(u64::from(plan.grace_hours));
            self.list(plan.grant_days.iter().len());
            self.number(u64::from(plan.grant_days.unwrap_or(0)));
            self.list(plan.allowances.len());
            for (key, allowance) in plan.allowances.iter() {
                self.text(key.as_str());
                match allowance {
                    Allowance::On => self.text("on"),
                    Allowance::Limit(Limit::Count(count)) => self.text("count").number(*count),
                    Allowance::Limit(Limit::Unlimited) => self.text("unlimited"),
                    Allowance::PerUnit(PerUnit { each, max }) => {
                        self.text("per_unit").number(*each).list(max.iter().len());
                        self.number(max.unwrap_or(0))
                    }
                };
            }
        }
    }

    fn addons(&mut self, catalog: &Catalog) {
        self.list(catalog.badge.iter().len());
        if let Some(badge) = &catalog.badge {
            self.money(badge.price).options(&badge.options);
        }
        self.list(catalog.boost.iter().len());
        if let Some(boost) = &catalog.boost {
            self.money(boost.price).options(&boost.options).number(u64::from(boost.sustain_days));
            self.number(u64::from(boost.grace_hours));
            self.list(boost.levels.len());
            for level in &boost.levels {
                self.number(level.boosts).plan(level.plan);
            }
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.list(text.len());
        self.0.update(text.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(number.to_be_bytes());
        self
    }

    fn list(&mut self, length: usize) -> &mut Self {
        self.number(u64::try_from(length).unwrap_or(u64::MAX))
    }

    fn plan(&mut self, plan: PlanIndex) -> &mut Self {
        self.list(plan.0)
    }

    fn money(&mut self, money: Money) -> &mut Self {
        self.0.update(money.amount_minor.to_be_bytes());
        self.text(money.currency.as_str())
    }

    fn options(&mut self, options: &CurrencyOptions) -> &mut Self {
        self.list(options.len());
        for (currency, amount_minor) in options {
            self.money(Money { amount_minor: *amount_minor, currency: *currency });
        }
        self
    }

    fn hex(self) -> String {
        let nibble = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or('0');
        self.0.finalize().iter().flat_map(|byte| [nibble(byte >> 4), nibble(byte & 15)]).collect()
    }
}

const fn kind(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Boolean => "boolean",
        FeatureKind::Limit => "limit",
        FeatureKind::Metered(MeterPeriod::CalendarMonth) => "metered calendar_month",
        FeatureKind::Metered(MeterPeriod::BillingPeriod) => "metered billing_period",
    }
}
