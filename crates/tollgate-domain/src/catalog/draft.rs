//! From what is for sale to a catalog's text. Owns: which product becomes which plan, and writing
//! it so that the parser takes it. Must not know: where the text goes.
//!
//! A draft is a beginning: it maps whole products, so that whoever pays any of their prices, withdrawn
//! and negotiated ones included, keeps what they pay for; what the plans give is for people to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::parse::{FEATURES_MAX, NAME_CHARS_MAX, PLANS_MAX, PRICE_MINOR_MAX, PRICES_MAX};
use super::stock::{Stock, StockPrice, StockProduct};
use super::{Interval, PRICE_ID_PREFIX};
use crate::ids::ProductId;
use crate::money::Currency;

/// Longest key of a plan or feature, in bytes.
const KEY_BYTES_MAX: usize = 64;
/// Longest lookup key or price id a catalog takes, in characters.
const PRICE_CHARS_MAX: usize = 255;

/// A catalog's text, and what it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The text of a catalog file.
    pub text: String,
    /// Products with their plans.
    pub plans: Vec<(String, String)>,
    /// Products that became no plan, with the reason.
    pub left_out: Vec<(String, &'static str)>,
}

/// A product as it becomes a plan.
struct Drafted<'s> {
    product: &'s StockProduct,
    id: String,
    currency: Currency,
    monthly: Option<i64>,
    yearly: Option<i64>,
    /// Amounts in further currencies, by the key of the price.
    options: BTreeMap<Currency, Vec<(&'static str, i64)>>,
    features: Vec<String>,
    lookup_keys: Vec<&'s str>,
}

impl Drafted<'_> {
    /// What a month costs, the order of plans.
    fn cost(&self) -> i64 {
        self.monthly.or_else(|| self.yearly.map(|yearly| yearly / 12)).unwrap_or(0)
    }
}

/// Writes a catalog from everything that is sold by month or by year. A free plan, `free`, is the
/// default; features are what customers read on the products.
pub fn draft(stock: &Stock) -> Draft {
    let mut left_out = Vec::new();
    let mut features: BTreeMap<String, String> = BTreeMap::new();
    let mut taken: BTreeSet<String> = ["free", "badge", "boost"].map(str::to_owned).into();
    let mut drafted = Vec::new();
    let mut prices_left = PRICES_MAX;
    // Lists are newest first; the oldest product keeps the plainest id.
    for product in stock.products.iter().rev() {
        match drafted_of(stock, product, &mut prices_left) {
            Err(reason) => left_out.push((product.id.clone(), reason)),
            Ok(_) if drafted.len() + 1 >= PLANS_MAX => {
                left_out.push((product.id.clone(), "a catalog has no room for so many plans"));
            }
            Ok(mut plan) => {
                let wish = product.mark.as_ref().map_or(product.name.as_str(), |mark| &mark.key);
                plan.id = unique(&slug(wish, "plan"), &mut taken);
                plan.features = feature_keys(product, &mut features);
                drafted.push(plan);
            }
        }
    }
    drafted.sort_by(|one, other| (one.cost(), &one.id).cmp(&(other.cost(), &other.id)));
    Draft {
        text: text(&drafted, &features),
        plans: drafted.iter().map(|plan| (plan.product.id.clone(), plan.id.clone())).collect(),
        left_out,
    }
}

fn drafted_of<'s>(
    stock: &'s Stock,
    product: &'s StockProduct,
    prices_left: &mut usize,
) -> Result<Drafted<'s>, &'static str> {
    if product.mark.as_ref().is_some_and(|mark| mark.key == "badge" || mark.key == "boost") {
        return Err("badges and boosts are add-ons; write [badge] and [boost] by hand");
    }
    let prices: Vec<&StockPrice> =
        stock.prices.iter().filter(|price| price.product == product.id).collect();
    let recurring = |price: &&&StockPrice| {
        matches!(price.interval, Some(Interval::Month | Interval::Year))
            && price.money.is_some_and(|money| (0..=PRICE_MINOR_MAX).contains(&money.amount_minor))
    };
    let sold: Vec<&StockPrice> = prices
        .iter()
        .filter(recurring)
        .filter(|price| product.active && price.active)
        .copied()
        .collect();
    let Some(first) = sold
        .iter()
        .find(|price| product.default_price.as_ref() == Some(&price.id))
        .or(sold.first())
    else {
        return Err("it has no active price by month or by year");
    };
    let currency = first.money.map(|money| money.currency).ok_or("it has no single amount")?;
    let chosen = |interval: Interval| {
        let of = |price: &&&StockPrice| {
            price.interval == Some(interval)
                && price.money.is_some_and(|money| money.currency == currency)
        };
        let default = |price: &&&StockPrice| product.default_price.as_ref() == Some(&price.id);
        sold.iter().filter(of).find(|p| default(p)).or_else(|| sold.iter().find(of))
    };
    let (month, year) = (chosen(Interval::Month), chosen(Interval::Year));
    let amount = |price: Option<&&StockPrice>| Some(price?.money?.amount_minor);
    let options = options_of(currency, [("monthly", month), ("yearly", year)]);
    let writable = |text: &&str| {
        (1..=PRICE_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    let lookup_keys: Vec<&str> = prices
        .iter()
        .filter_map(|price| price.lookup_key.as_deref())
        .filter(|key| writable(key) && !key.starts_with(PRICE_ID_PREFIX))
        .collect();
    if ProductId::parse(&product.id).is_err() {
        return Err("its id cannot be named in a catalog");
    }
    let names = lookup_keys.len() + 1;
    *prices_left =
        prices_left.checked_sub(names).ok_or("a catalog has no room for so many prices")?;
    Ok(Drafted {
        product,
        id: String::new(),
        currency,
        monthly: amount(month),
        yearly: amount(year),
        options,
        features: Vec::new(),
        lookup_keys,
    })
}

/// The amounts of prices in other currencies than their own.
fn options_of(
    currency: Currency,
    prices: [(&'static str, Option<&&StockPrice>); 2],
) -> BTreeMap<Currency, Vec<(&'static str, i64)>> {
    let mut options: BTreeMap<Currency, Vec<(&'static str, i64)>> = BTreeMap::new();
    for (key, price) in prices {
        let found = price.into_iter().flat_map(|price| &price.options);
        for (other, minor) in found.filter(|(_, minor)| (0..=PRICE_MINOR_MAX).contains(*minor)) {
            if *other != currency {
                options.entry(*other).or_default().push((key, *minor));
            }
        }
    }
    options
}

/// Keys of what a product is said to have; new ones are added to the features.
fn feature_keys(product: &StockProduct, features: &mut BTreeMap<String, String>) -> Vec<String> {
    let mut keys = Vec::new();
    for name in &product.features {
        let key = slug(name, "feature");
        if !features.contains_key(&key) && features.len() == FEATURES_MAX {
            continue;
        }
        features.entry(key.clone()).or_insert_with(|| name.clone());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// A text as lower-case words joined by single underscores.
fn slug(text: &str, otherwise: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if slug.len() >= KEY_BYTES_MAX - 8 {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
    }
    let slug = slug.trim_end_matches('_');
    if slug.is_empty() { otherwise.to_owned() } else { slug.to_owned() }
}

fn unique(wish: &str, taken: &mut BTreeSet<String>) -> String {
    let mut key = wish.to_owned();
    let mut number = 2;
    while !taken.insert(key.clone()) {
        key = format!("{wish}_{number}");
        number += 1;
    }
    key
}

fn text(plans: &[Drafted<'_>], features: &BTreeMap<String, String>) -> String {
    let mut text = String::from(
        "# Drafted from what is for sale in Stripe. Products are mapped whole, withdrawn prices and\n\
         # those negotiated with somebody included, so that whoever pays keeps their plan. Ranks follow prices. What each plan gives is for you to\n\
         # say: features, limits and quotas are explained at the top of the catalog \"sietch\".\n\n",
    );
    let currency = plans.first().map_or("usd", |plan| plan.currency.as_str());
    let _ = writeln!(text, "[catalog]\ncurrency = {}\ndefault_plan = \"free\"", quoted(currency));
    text.push_str("upgrade_url = \"/upgrade?tier={plan}&account={account}\"\n\n[features]\n");
    for (key, name) in features {
        let _ = writeln!(text, "\n[features.{key}]\nname = {}", quoted(&named(name, key)));
    }
    text.push_str("\n[[plans]]\nid = \"free\"\nname = \"Free\"\nrank = 0\n");
    for (rank, plan) in plans.iter().enumerate() {
        let name = named(&plan.product.name, &plan.id);
        let _ = writeln!(text, "\n# {}", plan.product.id.replace(char::is_control, "?"));
        let _ = writeln!(text, "[[plans]]\nid = {}\nname = {}", quoted(&plan.id), quoted(&name));
        let _ = writeln!(text, "rank = {}", rank + 1);
        for (key, amount) in [("monthly", plan.monthly), ("yearly", plan.yearly)] {
            if let Some(amount) = amount {
                let _ = writeln!(text, "{key} = {amount}");
            }
        }
        if plan.currency.as_str() != currency {
            let _ = writeln!(text, "currency = {}", quoted(plan.currency.as_str()));
        }
        if !plan.options.is_empty() {
            let one = |(code, amounts): (&Currency, &Vec<(&str, i64)>)| {
                let amounts = amounts.iter().map(|(key, minor)| format!("{key} = {minor}"));
                let amounts: Vec<String> = amounts.collect();
                format!("{} = {{ {} }}", code.as_str(), amounts.join(", "))
            };
            let all: Vec<String> = plan.options.iter().map(one).collect();
            let _ = writeln!(text, "currency_options = {{ {} }}", all.join(", "));
        }
        let products = vec![plan.product.id.as_str()];
        for (key, names) in [("lookup_keys", &plan.lookup_keys), ("stripe_products", &products)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                let _ = writeln!(text, "{key} = [{}]", names.join(", "));
            }
        }
        if !plan.features.is_empty() {
            let keys: Vec<String> = plan.features.iter().map(|key| quoted(key)).collect();
            // What a product does not claim, its plan does not give.
            let _ = writeln!(text, "inherits = false\nfeatures = [{}]", keys.join(", "));
        }
    }
    text
}

/// A name as a catalog takes it.
fn named(name: &str, otherwise: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    if name.is_empty() { otherwise.to_owned() } else { name }
}

/// A TOML text in quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
