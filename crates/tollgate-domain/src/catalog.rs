//! The catalog. Owns: plans, features, limits, prices, add-ons, and the questions asked of them.
//! Must not know: accounts, and where the text came from (a file, a name, a test).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{FeatureKey, PlanId, PriceRef};
use crate::money::{Currency, Money};

mod builtin;
pub mod checkout;
pub mod draft;
pub mod fault;
mod mapping;
mod offer;
pub mod parse;
pub mod push;
mod read;
pub mod stock;
mod upgrade;
mod version;

pub use builtin::{BUILTIN_NAMES, builtin, builtin_text};
pub use checkout::{CheckoutTerms, CheckoutWish, Locale};
pub use fault::{CatalogErrors, Fault};
pub use offer::{Offer, PRICE_ID_PREFIX, PRODUCT_ID_PREFIX};

/// Index of a plan in [`Catalog::plans`], which is sorted by rank: a greater index is a higher plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanIndex(pub usize);

/// A feature by its place among the catalog's features, which are in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureIndex(pub usize);

/// A number that may have no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// At most this many.
    Count(u64),
    /// Without bound.
    Unlimited,
}

impl Limit {
    /// The number, `None` when there is no bound.
    pub const fn count(self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(count),
            Self::Unlimited => None,
        }
    }

    /// Whether `asked` units fit.
    pub const fn allows(self, asked: u64) -> bool {
        match self {
            Self::Count(count) => asked <= count,
            Self::Unlimited => true,
        }
    }

    /// The more generous of the two.
    pub const fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Count(a), Self::Count(b)) => Self::Count(if a > b { a } else { b }),
            (Self::Unlimited, _) | (_, Self::Unlimited) => Self::Unlimited,
        }
    }
}

/// Over which span a metered feature is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeterPeriod {
    /// The calendar month in UTC.
    CalendarMonth,
    /// The billing period of the subscription that gives the plan, else the calendar month.
    BillingPeriod,
}

/// What kind of gate a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeatureKind {
    /// On or off.
    Boolean,
    /// A static number.
    Limit,
    /// A number of uses per period.
    Metered(MeterPeriod),
}

/// A feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its key.
    pub key: FeatureKey,
    /// Its name for people.
    pub name: String,
    /// What kind of gate it is.
    pub kind: FeatureKind,
}

/// What a plan gives of one feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Allowance {
    /// A boolean feature is on.
    On,
    /// A limit or a metered quota.
    Limit(Limit),
    /// A limit or quota that grows with the units bought, such as seats. Only plans have these: what
    /// an account has is always a plain limit (see [`Plan::allowances_for`]).
    PerUnit(PerUnit),
}

impl Allowance {
    /// What it comes to with so many units.
    pub fn for_units(self, units: u64) -> Self {
        match self {
            Self::PerUnit(per_unit) => Self::Limit(Limit::Count(per_unit.of(units))),
            Self::On | Self::Limit(_) => self,
        }
    }

    /// Whether some number of units allows less by this than by the other at its best.
    fn can_give_less_than(self, other: Self) -> bool {
        let less = |one: Limit, other: Limit| one != other && one.max(other) == other;
        match (self, other) {
            (Self::On, _) | (_, Self::On) => false,
            (Self::Limit(one), Self::Limit(other)) => less(one, other),
            (Self::PerUnit(one), Self::Limit(other)) => less(Limit::Count(one.of(1)), other),
            (Self::Limit(one), Self::PerUnit(other)) => less(one, other.most()),
            (Self::PerUnit(one), Self::PerUnit(other)) => {
                one.each < other.each || less(one.most(), other.most())
            }
        }
    }
}

/// A limit that is multiplied by the units bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PerUnit {
    /// How many for each unit.
    pub each: u64,
    /// At most so many in all; `None` without bound.
    pub max: Option<u64>,
}

impl PerUnit {
    /// How many with so many units.
    pub fn of(self, units: u64) -> u64 {
        let all = self.each.saturating_mul(units);
        self.max.map_or(all, |max| all.min(max))
    }

    /// How many at most, however many units are bought.
    pub fn most(self) -> Limit {
        self.max.map_or(Limit::Unlimited, Limit::Count)
    }
}

/// One of a plan's prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanPrice {
    /// Amount and currency.
    pub money: Money,
    /// How often it is paid.
    pub interval: Interval,
    /// Amounts in further currencies (Stripe's `currency_options`).
    pub options: CurrencyOptions,
}

impl PlanPrice {
    /// What it costs, in every currency.
    pub fn amounts(&self) -> impl Iterator<Item = Money> + use<> {
        every_amount(self.money, &self.options)
    }
}

/// Amounts of one price in further currencies, in minor units.
pub type CurrencyOptions = BTreeMap<Currency, i64>;

fn every_amount(money: Money, options: &CurrencyOptions) -> impl Iterator<Item = Money> + use<> {
    let option = |(currency, amount_minor)| Money { amount_minor, currency };
    std::iter::once(money).chain(options.clone().into_iter().map(option))
}

/// How often a price is paid.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
    /// Once, for a span of time.
    OneTime,
}

/// One tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its id, such as `premium`.
    pub id: PlanId,
    /// Its name for people.
    pub name: String,
    /// Its rank; higher ranks give more. Unique in a catalog.
    pub rank: u32,
    /// Its prices; empty for a free plan or one sold by hand.
    pub prices: Vec<PlanPrice>,
    /// Customers may buy it by themselves.
    pub self_serve: bool,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
    /// Hours of access after the first failed payment.
    pub grace_hours: u32,
    /// Days a one-time purchase of this plan lasts; `None`: it cannot be bought one-time.
    pub grant_days: Option<u32>,
    /// Everything it gives, inherited from lower ranks included; shared with the resolutions of
    /// the accounts that have the plan.
    pub allowances: Arc<BTreeMap<FeatureKey, Allowance>>,
}

impl Plan {
    /// Whether it is sold by the unit (seats): the quantity bought decides a limit or quota.
    pub fn is_per_unit(&self) -> bool {
        self.allowances.values().any(|allowance| matches!(allowance, Allowance::PerUnit(_)))
    }

    /// Everything it gives to whoever has so many units of it. Shared where units do not matter.
    pub fn allowances_for(&self, units: u64) -> Arc<BTreeMap<FeatureKey, Allowance>> {
        if !self.is_per_unit() {
            return Arc::clone(&self.allowances);
        }
        let given = self.allowances.iter();
        Arc::new(given.map(|(key, one)| (key.clone(), one.for_units(units))).collect())
    }
}

/// What a Stripe price, lookup key or product sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PriceTarget {
    /// A plan.
    Plan(PlanIndex),
    /// A member's score badge.
    Badge,
    /// Boosts, one per unit.
    Boost,
    /// Uses of a metered feature, billed by Stripe after they happened. It gives nothing by itself.
    Usage(FeatureIndex),
}

/// What becomes of an active subscription whose paid period is over without any news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StalePolicy {
    /// It keeps its access, and operators hear of it.
    Hold,
    /// It ends a grace after the period.
    End,
}

impl StalePolicy {
    /// Its name in a catalog.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::End => "end",
        }
    }
}

/// What a subscription gives while collecting its invoices is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CollectionPauseAccess {
    /// What it sells, as Stripe's guide has it.
    Keep,
    /// Nothing.
    None,
}

impl CollectionPauseAccess {
    /// Its name in a catalog.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::None => "none",
        }
    }
}

/// The score badge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// One-time price.
    pub price: Money,
    /// Amounts in further currencies.
    pub options: CurrencyOptions,
}

impl Badge {
    /// What it costs, in every currency.
    pub fn amounts(&self) -> impl Iterator<Item = Money> + use<> {
        every_amount(self.price, &self.options)
    }
}

/// One level of boosting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoostLevel {
    /// Boosts needed.
    pub boosts: u64,
    /// The plan it gives.
    pub plan: PlanIndex,
}

/// Boosting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoostProgram {
    /// Monthly price of one boost.
    pub price: Money,
    /// Amounts in further currencies.
    pub options: CurrencyOptions,
    /// Levels by rising threshold.
    pub levels: Vec<BoostLevel>,
    /// Days a level holds after the boosts that made it are gone.
    pub sustain_days: u32,
    /// Hours boosts count after the first failed payment, where no plan is sold with them.
    pub grace_hours: u32,
}

/// Plans, features and prices: what can be had and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Its name, such as `sietch`.
    pub name: String,
    /// SHA-256 of its meaning (prices mapped by configuration included), in lower-case hex.
    pub version: String,
    /// The currency of prices given without one.
    pub currency: Currency,
    /// Plans by rising rank. Never empty.
    pub plans: Vec<Plan>,
    /// The plan of whoever has no other.
    pub default_plan: PlanIndex,
    /// All features by key.
    pub features: BTreeMap<FeatureKey, Feature>,
    /// Where to upgrade; `{plan}` and `{account}` are filled in.
    pub upgrade_url: String,
    /// Longest time a reader may keep an answer, in seconds.
    pub cache_seconds: u32,
    /// What becomes of subscriptions on stale evidence.
    pub stale: StalePolicy,
    /// What subscriptions give while collecting their invoices is paused.
    pub collection_pause_access: CollectionPauseAccess,
    /// What checkouts ask for and offer, where a purchase does not say otherwise.
    pub checkout: CheckoutTerms,
    /// The score badge, when sold.
    pub badge: Option<Badge>,
    /// Boosting, when offered.
    pub boost: Option<BoostProgram>,
    /// What Stripe price ids and lookup keys sell.
    pub prices: BTreeMap<String, PriceTarget>,
    /// What every price of a Stripe product sells that `prices` does not name: for prices that are
    /// negotiated per customer.
    pub products: BTreeMap<String, PriceTarget>,
}

impl Catalog {
    /// A plan by index. `None` for an index of another catalog.
    pub fn plan(&self, index: PlanIndex) -> Option<&Plan> {
        self.plans.get(index.0)
    }

    /// A plan by id.
    pub fn find_plan(&self, id: &str) -> Option<(PlanIndex, &Plan)> {
        self.plans
            .iter()
            .enumerate()
            .find(|(_, plan)| plan.id.as_str() == id)
            .map(|(index, plan)| (PlanIndex(index), plan))
    }

    /// The key of a feature by index. `None` for an index of another catalog.
    pub fn feature_key(&self, index: FeatureIndex) -> Option<&FeatureKey> {
        self.features.keys().nth(index.0)
    }

    /// A feature of which uses are counted, by key.
    pub fn find_metered(&self, key: &str) -> Option<FeatureIndex> {
        let index = self.features.keys().position(|known| known.as_str() == key)?;
        let metered = matches!(self.features.get(key)?.kind, FeatureKind::Metered(_));
        metered.then_some(FeatureIndex(index))
    }

    /// What a price sells: by its id, else by its lookup key, else by its product. `None` for a
    /// price that is not ours.
    pub fn price_target(&self, price: PriceRef<'_>) -> Option<PriceTarget> {
        let named = self.prices.get(price.id.as_str());
        let by_key = || self.prices.get(price.lookup_key?);
        let by_product = || self.products.get(price.product?.as_str());
        named.or_else(by_key).or_else(by_product).copied()
    }

    /// Whether any Stripe price, lookup key or product is mapped at all.
    pub fn sells_anything(&self) -> bool {
        !self.prices.is_empty() || !self.products.is_empty()
    }

    /// Whether anything of Stripe's is mapped to this.
    pub fn sells(&self, target: PriceTarget) -> bool {
        self.prices.values().chain(self.products.values()).any(|sold| *sold == target)
    }

    /// The cheapest plan that has a feature: the lowest rank among what customers can get by
    /// themselves (self-serve plans and the default plan), else among all.
    pub fn cheapest_plan_with(&self, feature: &str) -> Option<(PlanIndex, &Plan)> {
        self.cheapest_plan_allowing(feature, 0)
    }

    /// The cheapest plan, in the same sense, that allows so many units of a feature (a boolean
    /// feature allows any number, one sold by the unit as many as can be bought).
    pub fn cheapest_plan_allowing(&self, feature: &str, units: u64) -> Option<(PlanIndex, &Plan)> {
        let allows = |(_, plan): &(PlanIndex, &Plan)| match plan.allowances.get(feature) {
            Some(Allowance::On) => true,
            Some(Allowance::Limit(limit)) => limit.allows(units),
            Some(Allowance::PerUnit(per_unit)) => per_unit.most().allows(units),
            None => false,
        };
        let open =
            |(index, plan): &(PlanIndex, &Plan)| plan.self_serve || *index == self.default_plan;
        let plans = || self.plans.iter().enumerate().map(|(index, plan)| (PlanIndex(index), plan));
        plans().filter(open).find(allows).or_else(|| plans().find(allows))
    }
}
