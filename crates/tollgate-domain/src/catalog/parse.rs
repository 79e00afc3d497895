//! From text to catalog. Owns: the format of a catalog file (explained in the built-in `sietch`)
//! and the rules a catalog obeys. Must not know: where the text came from; TOML beyond `read`.
//!
//! Every fault is collected, so that a file is mended in one go. The result is a catalog or all
//! that is wrong with it, never half a catalog.

use std::cell::RefCell;
use std::collections::BTreeMap;

use toml_edit::{Document, Item};

use self::plans::PlanDraft;
use super::checkout::CheckoutTerms;
use super::fault::{CatalogErrors, Faults, did_you_mean};
use super::read::{Placed, Section, shortened};
use super::{
    Badge, BoostLevel, BoostProgram, Catalog, CollectionPauseAccess, CurrencyOptions,
    PRICE_ID_PREFIX, PRODUCT_ID_PREFIX, PlanIndex, PriceTarget, StalePolicy,
};
use crate::ids::ProductId;
use crate::money::{Currency, Money};

mod features;
mod plans;

/// Longest catalog text, in bytes.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Most plans.
pub const PLANS_MAX: usize = 64;
/// Most features.
pub const FEATURES_MAX: usize = 512;
/// Most Stripe prices, lookup keys and products together, mapped ones included.
pub const PRICES_MAX: usize = 2_000;
/// Most boost levels.
pub const BOOST_LEVELS_MAX: usize = 32;
/// Longest name of a plan or feature, in characters.
pub const NAME_CHARS_MAX: usize = 80;
/// Longest upgrade URL template, in characters.
pub const URL_CHARS_MAX: usize = 2_000;
/// Highest price, in minor units (Stripe takes twelve digits).
pub const PRICE_MINOR_MAX: i64 = 999_999_999_999;
/// Longest trial, in days (Stripe's own limit).
pub const TRIAL_DAYS_MAX: u32 = 730;
/// Longest grace, in hours: 90 days.
pub const GRACE_HOURS_MAX: u32 = 2_160;
/// Longest one-time grant, in days: 100 years.
pub const GRANT_DAYS_MAX: u32 = 36_525;
/// Longest sustain of a boost level, in days.
pub const SUSTAIN_DAYS_MAX: u32 = 90;
/// Longest time a reader may keep an answer, in seconds: a day.
pub const CACHE_SECONDS_MAX: u32 = 86_400;
/// Longest key, price id or lookup key, in characters.
pub(super) const KEY_CHARS_MAX: usize = 255;
/// Grace of a plan where nothing is said, in hours.
const GRACE_HOURS_DEFAULT: u32 = 24;
/// Cache time where nothing is said, in seconds.
const CACHE_SECONDS_DEFAULT: u32 = 300;
/// Sustain where nothing is said, in days.
const SUSTAIN_DAYS_DEFAULT: u32 = 7;

/// Reads a catalog. `name` is what it is called from now on, `file` what faults call the text.
///
/// Errors: every fault of the text with its place; never empty.
pub fn parse(name: &str, file: &str, text: &str) -> Result<Catalog, CatalogErrors> {
    let faults = RefCell::new(Faults::default());
    let catalog = read(name, text, &faults);
    let faults = faults.into_inner();
    match catalog {
        Some(catalog) if faults.is_empty() => Ok(catalog.with_version()),
        _ => Err(faults.into_errors(file, text)),
    }
}

fn read(name: &str, text: &str, faults: &RefCell<Faults>) -> Option<Catalog> {
    if text.len() > TEXT_BYTES_MAX {
        let what = format!("the text has {} bytes, at most {TEXT_BYTES_MAX} are read", text.len());
        faults.borrow_mut().add(None, what, None);
        return None;
    }
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let what = format!("this is not TOML: {}", error.message().replace('\n', "; "));
            faults.borrow_mut().add(error.span(), what, None);
            return None;
        }
    };
    let root = Section::new(faults, "the catalog", document.as_table(), Some(0..0));
    let settings = Settings::read(&root);
    let mut prices = Prices::default();
    let features = features::read(&root, &mut prices);
    let drafts = plans::read(&root, &settings, &features);
    let plans = plans::assemble(&drafts, &mut prices);
    let badge = read_badge(&root, &settings, &mut prices);
    let boost = read_boost(&root, &settings, &drafts, &mut prices);
    let default_plan =
        settings.default_plan.as_ref().and_then(|wanted| find_plan(&root, &drafts, wanted));
    let checkout = CheckoutTerms::read(&root);
    root.finish();
    Some(Catalog {
        name: name.to_owned(),
        version: String::new(),
        currency: settings.currency?,
        plans,
        default_plan: default_plan?,
        features,
        upgrade_url: settings.upgrade_url?,
        cache_seconds: settings.cache_seconds,
        stale: settings.stale,
        collection_pause_access: settings.collection_pause_access,
        checkout,
        badge,
        boost,
        prices: prices.prices,
        products: prices.products,
    })
}

/// `[catalog]`.
struct Settings<'t> {
    currency: Option<Currency>,
    default_plan: Option<Placed<&'t str>>,
    upgrade_url: Option<String>,
    cache_seconds: u32,
    grace_hours: u32,
    stale: StalePolicy,
    collection_pause_access: CollectionPauseAccess,
}

impl<'t> Settings<'t> {
    fn read(root: &Section<'t>) -> Self {
        let mut settings = Self {
            currency: None,
            default_plan: None,
            upgrade_url: None,
            cache_seconds: CACHE_SECONDS_DEFAULT,
            grace_hours: GRACE_HOURS_DEFAULT,
            stale: StalePolicy::Hold,
            collection_pause_access: CollectionPauseAccess::Keep,
        };
        let Some(section) = root.section("catalog", "[catalog]") else {
            if !root.has("catalog") {
                root.missing("catalog", "[catalog]");
            }
            return settings;
        };
        require(&section, "currency", "currency = \"usd\"");
        settings.currency = read_currency(&section);
        require(&section, "default_plan", "default_plan = \"free\"");
        settings.default_plan = section.text("default_plan", KEY_CHARS_MAX);
        require(
            &section,
            "upgrade_url",
            "upgrade_url = \"/upgrade?tier={plan}&account={account}\"",
        );
        settings.upgrade_url = section.text("upgrade_url", URL_CHARS_MAX).and_then(|url| {
            if let Err(what) = super::upgrade::check_template(url.value) {
                section.fault(url.span, what, None);
                return None;
            }
            Some(url.value.to_owned())
        });
        if let Some(seconds) = section.integer("cache_seconds", 1..=i64::from(CACHE_SECONDS_MAX)) {
            settings.cache_seconds = u32::try_from(seconds.value).unwrap_or(CACHE_SECONDS_DEFAULT);
        }
        if let Some(hours) = section.number("grace_hours", GRACE_HOURS_MAX) {
            settings.grace_hours = hours;
        }
        let stale = [StalePolicy::Hold, StalePolicy::End];
        if let Some(stale) = read_choice(&section, "stale", &stale, StalePolicy::as_str) {
            settings.stale = stale;
        }
        let access = [CollectionPauseAccess::Keep, CollectionPauseAccess::None];
        let name = CollectionPauseAccess::as_str;
        if let Some(access) = read_choice(&section, "pause_collection_access", &access, name) {
            settings.collection_pause_access = access;
        }
        section.finish();
        settings
    }
}

fn require(section: &Section<'_>, key: &str, example: &str) {
    if !section.has(key) {
        section.missing(key, example);
    }
}

/// One of a few words under `key`. `None` without a fault when the key is absent.
fn read_choice<T: Copy>(
    section: &Section<'_>,
    key: &'static str,
    choices: &[T],
    name: impl Fn(T) -> &'static str,
) -> Option<T> {
    let text = section.text(key, KEY_CHARS_MAX)?;
    let found = choices.iter().copied().find(|choice| name(*choice) == text.value);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|choice| name(*choice)).collect();
        let hint = did_you_mean(text.value, names.iter().copied());
        let what = format!("`{}` is none of {}", shortened(text.value), names.join(", "));
        section.fault(text.span, what, hint.as_deref());
    }
    found
}

fn read_currency(section: &Section<'_>) -> Option<Currency> {
    let text = section.text("currency", 3)?;
    let currency = Currency::parse(text.value);
    if currency.is_none() {
        section.fault(text.span, "a currency has three letters", Some("such as \"usd\""));
    }
    currency
}

/// A price under `key` in the section's own currency, else the catalog's. `None` without a fault
/// when the key is absent.
fn read_money(
    section: &Section<'_>,
    key: &'static str,
    currency: Option<Currency>,
) -> Option<Money> {
    let amount = section.integer(key, 0..=PRICE_MINOR_MAX)?;
    Some(Money { amount_minor: amount.value, currency: currency? })
}

/// One entry of a `currency_options` table.
struct CurrencyOption<'t> {
    key: Placed<&'t str>,
    currency: Currency,
    item: &'t Item,
}

/// The currencies of a `currency_options` table with their values; faults for what is not a currency
/// and for the currency the price has anyway.
fn read_currency_options<'t>(
    section: &Section<'t>,
    own: Option<Currency>,
) -> Option<(Section<'t>, Vec<CurrencyOption<'t>>)> {
    let options = section.section("currency_options", "currency_options")?;
    let mut found: Vec<CurrencyOption<'t>> = Vec::new();
    for (key, item) in options.entries() {
        let Some(currency) = Currency::parse(key.value) else {
            options.fault(key.span, "a currency has three letters", Some("such as \"eur\""));
            continue;
        };
        if Some(currency) == own {
            let hint = Some("remove it; the amount is that of the price itself");
            options.fault(key.span, "this is the currency the price has anyway", hint);
        } else if found.iter().any(|known| known.currency == currency) {
            options.fault(key.span, "this currency is listed twice", None);
        } else {
            found.push(CurrencyOption { key, currency, item });
        }
    }
    Some((options, found))
}

/// The `currency_options` of an add-on: an amount for each currency.
fn read_addon_options(section: &Section<'_>, own: Option<Currency>) -> CurrencyOptions {
    let Some((options, found)) = read_currency_options(section, own) else {
        return CurrencyOptions::new();
    };
    let amount = |CurrencyOption { key, currency, item }: CurrencyOption<'_>| {
        let amount = item.as_integer().filter(|amount| (1..=PRICE_MINOR_MAX).contains(amount));
        if amount.is_none() {
            let what = format!("this must be a whole number from 1 to {PRICE_MINOR_MAX}");
            options.fault(item.span().or(key.span), what, None);
        }
        Some((currency, amount?))
    };
    found.into_iter().filter_map(amount).collect()
}

/// What Stripe prices, lookup keys and products sell, as it is collected.
#[derive(Default)]
struct Prices {
    prices: BTreeMap<String, PriceTarget>,
    products: BTreeMap<String, PriceTarget>,
}

impl Prices {
    fn add(&mut self, section: &Section<'_>, sold_as: &SoldAs<'_>, target: PriceTarget) {
        for price in &sold_as.prices {
            self.add_one(section, price, target, "price", |all| &mut all.prices);
        }
        for product in &sold_as.products {
            self.add_one(section, product, target, "product", |all| &mut all.products);
        }
    }

    fn add_one(
        &mut self,
        section: &Section<'_>,
        name: &Placed<&str>,
        target: PriceTarget,
        word: &str,
        list: impl Fn(&mut Self) -> &mut BTreeMap<String, PriceTarget>,
    ) {
        let fault = |what: String, hint: Option<String>| {
            section.fault(name.span.clone(), what, hint.as_deref());
        };
        if self.prices.len() + self.products.len() >= PRICES_MAX {
            return fault(format!("more than {PRICES_MAX} prices, lookup keys and products"), None);
        }
        match list(self).insert(name.value.to_owned(), target) {
            None => {}
            Some(before) if before == target => {
                fault(format!("this {word} is listed twice"), None);
            }
            Some(_) => {
                let hint = format!("one {word} sells one thing; remove it from one of the two");
                fault(format!("this {word} is sold as something else above"), Some(hint));
            }
        }
    }
}

/// Stripe's names of what sells a section.
struct SoldAs<'t> {
    /// Price ids and lookup keys.
    prices: Vec<Placed<&'t str>>,
    /// Product ids.
    products: Vec<Placed<&'t str>>,
}

/// The `lookup_keys`, `stripe_prices` and `stripe_products` of a section.
fn read_sold_as<'t>(section: &Section<'t>) -> SoldAs<'t> {
    let mut prices = section.texts("lookup_keys", KEY_CHARS_MAX);
    prices.extend(section.texts("stripe_prices", KEY_CHARS_MAX));
    let products = section.texts("stripe_products", KEY_CHARS_MAX);
    for price in prices.iter().filter(|one| one.value.starts_with(PRODUCT_ID_PREFIX)) {
        let what = format!("`{}` is the id of a product", shortened(price.value));
        section.fault(price.span.clone(), what, Some("list it under `stripe_products`"));
    }
    for product in &products {
        if product.value.starts_with(PRICE_ID_PREFIX) {
            let what = format!("`{}` is the id of a price", shortened(product.value));
            section.fault(product.span.clone(), what, Some("list it under `stripe_prices`"));
        } else if let Err(error) = ProductId::parse(product.value) {
            section.fault(product.span.clone(), format!("a product id: {error}"), None);
        }
    }
    SoldAs { prices, products }
}

/// The price of an add-on, which must be there and above zero, and its amounts in further currencies.
fn read_addon_price(
    section: &Section<'_>,
    settings: &Settings<'_>,
) -> Option<(Money, CurrencyOptions)> {
    require(section, "price", "price = 499");
    let currency = read_currency(section).or(settings.currency);
    let options = read_addon_options(section, currency);
    let amount = section.integer("price", 1..=PRICE_MINOR_MAX)?;
    Some((Money { amount_minor: amount.value, currency: currency? }, options))
}

fn read_badge(root: &Section<'_>, settings: &Settings<'_>, prices: &mut Prices) -> Option<Badge> {
    let section = root.section("badge", "[badge]")?;
    let price = read_addon_price(&section, settings);
    prices.add(&section, &read_sold_as(&section), PriceTarget::Badge);
    section.finish();
    let (price, options) = price?;
    Some(Badge { price, options })
}

fn read_boost(
    root: &Section<'_>,
    settings: &Settings<'_>,
    drafts: &[PlanDraft<'_>],
    prices: &mut Prices,
) -> Option<BoostProgram> {
    let section = root.section("boost", "[boost]")?;
    let price = read_addon_price(&section, settings);
    prices.add(&section, &read_sold_as(&section), PriceTarget::Boost);
    let sustain_days = section.number("sustain_days", SUSTAIN_DAYS_MAX);
    let grace_hours = section.number("grace_hours", GRACE_HOURS_MAX);
    let levels = read_levels(&section, drafts);
    section.finish();
    let sustain_days = sustain_days.unwrap_or(SUSTAIN_DAYS_DEFAULT);
    let (price, options) = price?;
    let grace_hours = grace_hours.unwrap_or(settings.grace_hours);
    Some(BoostProgram { price, options, levels, sustain_days, grace_hours })
}

fn read_levels(boost: &Section<'_>, drafts: &[PlanDraft<'_>]) -> Vec<BoostLevel> {
    require(boost, "levels", "levels = [{ boosts = 2, plan = \"basic\" }]");
    let mut levels: Vec<BoostLevel> = Vec::new();
    for section in boost.sections("levels", "a boost level") {
        require(&section, "boosts", "boosts = 2");
        require(&section, "plan", "plan = \"basic\"");
        let boosts = section.integer("boosts", 1..=1_000_000);
        let plan = section
            .text("plan", KEY_CHARS_MAX)
            .and_then(|wanted| find_plan(&section, drafts, &wanted));
        if let (Some(boosts), Some(plan)) = (boosts, plan) {
            let level = BoostLevel { boosts: boosts.value.unsigned_abs(), plan };
            if levels.last().is_some_and(|l| l.boosts >= level.boosts || l.plan >= level.plan) {
                let what = "boost levels must rise, in boosts and in plan";
                section.fault(section.span.clone(), what, None);
            }
            levels.push(level);
        }
        section.finish();
    }
    if levels.len() > BOOST_LEVELS_MAX {
        boost.fault(boost.key_span("levels"), format!("more than {BOOST_LEVELS_MAX} levels"), None);
    }
    levels
}

/// The plan a text names, or a fault at the text.
fn find_plan(
    section: &Section<'_>,
    drafts: &[PlanDraft<'_>],
    wanted: &Placed<&str>,
) -> Option<PlanIndex> {
    let found = drafts.iter().position(|draft| draft.id.as_str() == wanted.value);
    if found.is_none() {
        let hint = did_you_mean(wanted.value, drafts.iter().map(|draft| draft.id.as_str()));
        let what = format!("there is no plan `{}`", shortened(wanted.value));
        section.fault(wanted.span.clone(), what, hint.as_deref());
    }
    found.map(PlanIndex)
}

#[cfg(test)]
mod tests;
