//! What can be bought. Owns: which Stripe price stands for a plan, a badge or a boost of a
//! catalog. Must not know: who buys.

use tollgate_domain::Catalog;
use tollgate_domain::catalog::{CurrencyOptions, Interval, Plan, PlanIndex, PriceTarget};
use tollgate_domain::money::Money;

use crate::id::Ids;
use crate::object::Metadata;
use crate::object::price::{Price, Product};
use crate::scenario::ScenarioError;

/// When the made-up products were made: 2025-01-06T09:00:00Z.
const PRODUCTS_CREATED: i64 = 1_736_154_000;

/// The price id the sandbox gives a plan that has none: `price_sietch_premium_monthly`.
pub fn sandbox_price_id(catalog: &Catalog, plan: &str, interval: Interval) -> String {
    format!("price_{}_{plan}_{}", catalog.name, interval_word(interval))
}

/// All prices of the sandbox: for each plan that is sold, and for `badge` and `boost`, the price
/// ids. The form is that of the configuration's price map, so that an engine can be told.
pub fn sandbox_price_map(catalog: &Catalog) -> Vec<(String, Vec<String>)> {
    let plans = catalog.plans.iter().filter(|plan| !plan.prices.is_empty()).map(|plan| {
        let id = |price: &tollgate_domain::catalog::PlanPrice| {
            sandbox_price_id(catalog, plan.id.as_str(), price.interval)
        };
        (plan.id.as_str().to_owned(), plan.prices.iter().map(id).collect())
    });
    let badge = catalog
        .badge
        .as_ref()
        .map(|_| ("badge".to_owned(), vec![sandbox_price_id(catalog, "badge", Interval::OneTime)]));
    let boost = catalog
        .boost
        .as_ref()
        .map(|_| ("boost".to_owned(), vec![sandbox_price_id(catalog, "boost", Interval::Month)]));
    plans.chain(badge).chain(boost).collect()
}

fn interval_word(interval: Interval) -> &'static str {
    match interval {
        Interval::Month => "monthly",
        Interval::Year => "yearly",
        Interval::OneTime => "once",
    }
}

/// The plans that are sold at an interval, lowest rank first.
pub(crate) fn sold(catalog: &Catalog, interval: Interval) -> Vec<&Plan> {
    let priced = |plan: &&Plan| {
        plan.self_serve && plan.prices.iter().any(|price| price.interval == interval)
    };
    catalog.plans.iter().filter(priced).collect()
}

/// The plan taken when none is asked for: the second that is sold, so that there is a way up and a
/// way down, else the first.
pub(crate) fn usual_plan(catalog: &Catalog, interval: Interval) -> Result<&Plan, ScenarioError> {
    let sold = sold(catalog, interval);
    sold.get(1)
        .or_else(|| sold.first())
        .copied()
        .ok_or_else(|| ScenarioError::NothingSold { interval: interval_word(interval) })
}

/// A plan by id, or the usual one.
pub(crate) fn plan<'a>(
    catalog: &'a Catalog,
    id: Option<&str>,
    interval: Interval,
) -> Result<&'a Plan, ScenarioError> {
    let Some(id) = id else { return usual_plan(catalog, interval) };
    let known = || catalog.plans.iter().map(|plan| plan.id.as_str());
    catalog.find_plan(id).map(|(_, plan)| plan).ok_or_else(|| ScenarioError::UnknownPlan {
        plan: id.to_owned(),
        known: known().collect::<Vec<_>>().join(", "),
    })
}

/// The price of a plan.
pub(crate) fn plan_price(
    catalog: &Catalog,
    plan: &Plan,
    interval: Interval,
) -> Result<Price, ScenarioError> {
    let sold_at = plan.prices.iter().find(|price| price.interval == interval).ok_or_else(|| {
        ScenarioError::NotSold {
            plan: plan.id.to_string(),
            interval: interval_word(interval),
            sold: sold(catalog, interval)
                .iter()
                .map(|plan| plan.id.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }
    })?;
    let target = catalog
        .find_plan(plan.id.as_str())
        .map_or(PriceTarget::Plan(PlanIndex(0)), |(index, _)| PriceTarget::Plan(index));
    Ok(price(
        catalog,
        target,
        plan.id.as_str(),
        &plan.name,
        interval,
        (sold_at.money, &sold_at.options),
    ))
}

/// Every price of a catalog, with its product.
pub(crate) fn all(catalog: &Catalog) -> Vec<Price> {
    let plans = catalog.plans.iter().flat_map(|plan| {
        let intervals = plan.prices.iter().map(|price| price.interval);
        intervals.filter_map(|interval| plan_price(catalog, plan, interval).ok())
    });
    plans.chain(badge_price(catalog).ok()).chain(boost_price(catalog).ok()).collect()
}

/// The price of a badge.
pub(crate) fn badge_price(catalog: &Catalog) -> Result<Price, ScenarioError> {
    let badge = catalog.badge.as_ref().ok_or(ScenarioError::NotOffered { what: "badge" })?;
    let once = Interval::OneTime;
    Ok(price(
        catalog,
        PriceTarget::Badge,
        "badge",
        "Score badge",
        once,
        (badge.price, &badge.options),
    ))
}

/// The price of one boost.
pub(crate) fn boost_price(catalog: &Catalog) -> Result<Price, ScenarioError> {
    let boost = catalog.boost.as_ref().ok_or(ScenarioError::NotOffered { what: "boost" })?;
    let monthly = Interval::Month;
    Ok(price(
        catalog,
        PriceTarget::Boost,
        "boost",
        "Community boost",
        monthly,
        (boost.price, &boost.options),
    ))
}

/// Where a product of a catalog says what it stands for.
const SOLD_AS: &str = "tollgate";

/// Whether a price of a catalog sells something beside the plans.
pub(crate) fn is_extra(price: &Price) -> bool {
    let sold = price.product.metadata.get(SOLD_AS);
    sold.is_some_and(|sold| sold == "badge" || sold == "boost")
}

fn price(
    catalog: &Catalog,
    target: PriceTarget,
    key: &str,
    name: &str,
    interval: Interval,
    (money, options): (Money, &CurrencyOptions),
) -> Price {
    let own = sandbox_price_id(catalog, key, interval);
    let mapped = |ours: &dyn Fn(&str) -> bool| {
        let names = catalog.prices.iter().filter(|(_, sold)| **sold == target);
        let names: Vec<&str> =
            names.map(|(name, _)| name.as_str()).filter(|name| ours(name)).collect();
        pick(&names, interval).map(str::to_owned)
    };
    let id = if catalog.prices.get(&own) == Some(&target) {
        own
    } else {
        mapped(&|name| name.starts_with("price_")).unwrap_or(own)
    };
    let product = Ids::new(&catalog.name).short("prod_", key);
    let mut product = Product::named(product, name.to_owned(), PRODUCTS_CREATED);
    product.metadata.insert(SOLD_AS.to_owned(), key.to_owned());
    Price {
        id,
        lookup_key: mapped(&|name| !name.starts_with("price_")),
        nickname: Some(format!("{name}, {}", interval_word(interval))),
        product: product.into(),
        currency: money.currency.as_str().to_owned(),
        unit_amount_minor: money.amount_minor,
        currency_options: options
            .iter()
            .map(|(currency, amount)| (currency.as_str().to_owned(), *amount))
            .collect(),
        interval: match interval {
            Interval::Month => Some("month"),
            Interval::Year => Some("year"),
            Interval::OneTime => None,
        },
        interval_count: 1,
        trial_period_days: None,
        tax_behavior: "unspecified",
        metadata: Metadata::new(),
        active: true,
        created: PRODUCTS_CREATED,
    }
}

/// Which of several names of one plan's prices is the one of an interval, going by its words. A
/// catalog maps names to plans without their interval.
fn pick<'a>(names: &[&'a str], interval: Interval) -> Option<&'a str> {
    let says = |name: &str, words: &[&str]| words.iter().any(|word| name.contains(word));
    let of = |name: &str| {
        if says(name, &["year", "annual"]) {
            Some(Interval::Year)
        } else if says(name, &["month"]) {
            Some(Interval::Month)
        } else if says(name, &["once", "one_time"]) {
            Some(Interval::OneTime)
        } else {
            None
        }
    };
    let named = |wanted: Option<Interval>| names.iter().find(|name| of(name) == wanted).copied();
    named(Some(interval)).or_else(|| named(None))
}
