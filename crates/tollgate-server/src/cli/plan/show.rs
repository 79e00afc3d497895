//! `tollgate plan show`. Owns: the matrix of plans and the coverage of prices as tables. Must not
//! know: what Stripe has.

use serde_json::json;
use tollgate_domain::Catalog;
use tollgate_domain::catalog::{
    Allowance, FeatureKind, Interval, Limit, MeterPeriod, Offer, PerUnit, Plan,
};
use tollgate_domain::money::Money;

use super::super::context::Context;
use super::super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, styled, table};
use super::super::{Ending, Outcome};
use crate::api::plans::plan_out;

pub(super) fn run(context: &Context) -> Outcome {
    let config = context.load_for_data()?;
    let catalog = &config.catalog;
    let offers = catalog.offers();
    let value = json!({
        "catalog": catalog.name,
        "catalogVersion": catalog.version,
        "plans": catalog.plans.iter().map(|plan| plan_out(catalog, plan)).collect::<Vec<_>>(),
        "offers": offers.iter().map(offer_value).collect::<Vec<_>>(),
    });
    context.output.either(&value, || {
        let version: String = catalog.version.chars().take(12).collect();
        let heading = format!(
            "{} {}",
            styled(STRONG, &catalog.name),
            styled(FAINT, format_args!("version {version}"))
        );
        format!("{heading}\n\n{}\n\n{}", matrix(catalog), coverage(&offers))
    })?;
    Ok(Ending::Done)
}

fn offer_value(offer: &Offer<'_>) -> serde_json::Value {
    json!({
        "sells": offer.key,
        "name": offer.name,
        "interval": offer.interval.word(),
        "amountCents": offer.money.amount_minor,
        "currency": offer.money.currency.as_str(),
        "lookupKey": offer.lookup_key,
        "priceIds": offer.price_ids,
        "covered": is_covered(offer),
    })
}

/// Whether anything in Stripe is named that could sell it.
fn is_covered(offer: &Offer<'_>) -> bool {
    offer.lookup_key.is_some() || !offer.price_ids.is_empty() || !offer.products.is_empty()
}

/// One row per feature, one column per plan.
fn matrix(catalog: &Catalog) -> String {
    let heading: Vec<&str> =
        std::iter::once("").chain(catalog.plans.iter().map(|plan| plan.id.as_str())).collect();
    let mut rows = Vec::new();
    for interval in [Interval::Month, Interval::Year, Interval::OneTime] {
        let sold = |plan: &Plan| plan.prices.iter().any(|price| price.interval == interval);
        if catalog.plans.iter().any(sold) {
            rows.push(row(catalog, interval.word(), |plan| {
                let price = plan.prices.iter().find(|price| price.interval == interval);
                price.map_or_else(String::new, |price| money_text(price.money))
            }));
        }
    }
    rows.push(row(catalog, "self-serve", |plan| mark(plan.self_serve)));
    if catalog.plans.iter().any(|plan| plan.trial_days > 0) {
        rows.push(row(catalog, "trial", |plan| match plan.trial_days {
            0 => String::new(),
            days => format!("{days} d"),
        }));
    }
    rows.push(row(catalog, "grace", |plan| format!("{} h", plan.grace_hours)));
    for feature in catalog.features.values() {
        let period = match feature.kind {
            FeatureKind::Boolean | FeatureKind::Limit => "",
            FeatureKind::Metered(MeterPeriod::CalendarMonth) => " / month",
            FeatureKind::Metered(MeterPeriod::BillingPeriod) => " / period",
        };
        rows.push(row(catalog, feature.key.as_str(), |plan| {
            match plan.allowances.get(&feature.key) {
                None => styled(FAINT, "-"),
                Some(Allowance::On) => mark(true),
                Some(Allowance::Limit(Limit::Unlimited)) => "unlimited".to_owned(),
                Some(Allowance::Limit(Limit::Count(count))) => format!("{count}{period}"),
                Some(Allowance::PerUnit(PerUnit { each, max: None })) => {
                    format!("{each} per unit{period}")
                }
                Some(Allowance::PerUnit(PerUnit { each, max: Some(max) })) => {
                    format!("{each} per unit, at most {max}{period}")
                }
            }
        }));
    }
    table(&heading, rows)
}

fn row(catalog: &Catalog, name: &str, cell: impl Fn(&Plan) -> String) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(catalog.plans.iter().map(cell)).collect()
}

fn mark(yes: bool) -> String {
    if yes { styled(GOOD, "✓") } else { styled(FAINT, "-") }
}

/// Which names in Stripe stand for what is sold.
fn coverage(offers: &[Offer<'_>]) -> String {
    if offers.is_empty() {
        return styled(FAINT, "nothing is sold");
    }
    let rows = offers.iter().map(|offer| {
        let mut names: Vec<&str> = offer.lookup_key.into_iter().collect();
        names.extend(&offer.price_ids);
        names.extend(&offer.products);
        let names = match names.as_slice() {
            [] => styled(BAD, "no lookup key and no price: buying it gives nothing"),
            names => names.join(", "),
        };
        let interval = offer.interval.word().to_owned();
        vec![offer.key.to_owned(), interval, money_text(offer.money), names]
    });
    let mut text = table(&["sells", "interval", "price", "stripe price"], rows.collect());
    let without = offers.iter().filter(|offer| !is_covered(offer)).count();
    if without > 0 {
        let hint = "add lookup_keys to the catalog, then `tollgate plan push` makes the prices";
        text.push('\n');
        text.push_str(&styled(NOTICE, hint));
    }
    text
}

/// An amount as people write it, without knowing how many decimals the currency has: minor units
/// for those that have none.
pub(in crate::cli) fn money_text(money: Money) -> String {
    let currency = money.currency.as_str().to_uppercase();
    if ZERO_DECIMAL.contains(&money.currency.as_str()) {
        return format!("{} {currency}", money.amount_minor);
    }
    format!("{}.{:02} {currency}", money.amount_minor / 100, money.amount_minor % 100)
}

/// Currencies Stripe counts in whole units.
const ZERO_DECIMAL: [&str; 16] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
];
