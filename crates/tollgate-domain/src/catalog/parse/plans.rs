//! `[[plans]]`. Owns: reading plans, their order by rank, and the matrix of what each gives. Must
//! not know: add-ons, settings beyond the defaults it is handed.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml_edit::Item;

use super::super::fault::did_you_mean;
use super::super::read::{Placed, Section, shortened};
use super::super::{
    Allowance, CurrencyOptions, Feature, FeatureKind, Interval, Limit, PerUnit, Plan, PlanIndex,
    PlanPrice, PriceTarget,
};
use super::{
    CurrencyOption, GRACE_HOURS_MAX, GRANT_DAYS_MAX, KEY_CHARS_MAX, NAME_CHARS_MAX, PLANS_MAX,
    PRICE_MINOR_MAX, Prices, Settings, SoldAs, TRIAL_DAYS_MAX, read_currency,
    read_currency_options, read_money, read_sold_as, require,
};
use crate::ids::{FeatureKey, PlanId};
use crate::money::Currency;

type Features = BTreeMap<FeatureKey, Feature>;

/// A plan as written, before it is placed among the others.
pub(super) struct PlanDraft<'t> {
    section: Section<'t>,
    pub(super) id: PlanId,
    name: String,
    rank: u32,
    prices: Vec<PlanPrice>,
    sold_as: SoldAs<'t>,
    self_serve: bool,
    trial_days: u32,
    grace_hours: u32,
    grant_days: Option<u32>,
    inherits: bool,
    /// What the plan itself lists.
    own: BTreeMap<FeatureKey, Placed<Allowance>>,
}

/// All plans that could be read, by rising rank.
pub(super) fn read<'t>(
    root: &Section<'t>,
    settings: &Settings<'_>,
    features: &Features,
) -> Vec<PlanDraft<'t>> {
    let sections = root.sections("plans", "[[plans]]");
    if sections.is_empty() && !root.has("plans") {
        root.missing("plans", "[[plans]]");
    }
    if sections.len() > PLANS_MAX {
        root.fault(root.key_span("plans"), format!("more than {PLANS_MAX} plans"), None);
        return Vec::new();
    }
    let mut drafts: Vec<PlanDraft<'_>> =
        sections.into_iter().filter_map(|section| read_one(section, settings, features)).collect();
    drafts.sort_by_key(|draft| draft.rank);
    refuse_twins(&drafts);
    drafts
}

fn refuse_twins(drafts: &[PlanDraft<'_>]) {
    for (place, draft) in drafts.iter().enumerate() {
        let earlier = drafts.iter().take(place);
        for other in earlier {
            let section = &draft.section;
            if other.rank == draft.rank {
                let what = format!("plans `{}` and `{}` have the same rank", other.id, draft.id);
                section.fault(section.key_span("rank"), what, Some("ranks are unique"));
            }
            if other.id == draft.id {
                let what = format!("there are two plans `{}`", draft.id);
                section.fault(section.key_span("id"), what, None);
            }
        }
    }
}

fn read_one<'t>(
    section: Section<'t>,
    settings: &Settings<'_>,
    features: &Features,
) -> Option<PlanDraft<'t>> {
    require(&section, "id", "id = \"pro\"");
    require(&section, "rank", "rank = 1");
    let id = section.text("id", KEY_CHARS_MAX).and_then(|text| {
        PlanId::parse(text.value)
            .map_err(|error| section.fault(text.span, format!("a plan id {error}"), None))
            .ok()
    });
    let name = section.text("name", NAME_CHARS_MAX);
    let rank = section.number("rank", 1_000_000);
    let prices = read_prices(&section, settings);
    let sold_as = read_sold_as(&section);
    let self_serve = section.boolean("self_serve").unwrap_or(!prices.is_empty());
    let trial_days = section.number("trial_days", TRIAL_DAYS_MAX).unwrap_or(0);
    let grace_hours =
        section.number("grace_hours", GRACE_HOURS_MAX).unwrap_or(settings.grace_hours);
    let grant_days = read_grant_days(&section);
    let inherits = section.boolean("inherits").unwrap_or(true);
    let own = read_allowances(&section, features);
    section.finish();
    let id = id?;
    Some(PlanDraft {
        name: name.map_or_else(|| id.to_string(), |name| name.value.to_owned()),
        section,
        id,
        rank: rank?,
        prices,
        sold_as,
        self_serve,
        trial_days,
        grace_hours,
        grant_days,
        inherits,
        own,
    })
}

/// The keys of a plan's prices.
const PRICE_KEYS: [(&str, Interval); 3] =
    [("monthly", Interval::Month), ("yearly", Interval::Year), ("one_time", Interval::OneTime)];

fn read_prices(section: &Section<'_>, settings: &Settings<'_>) -> Vec<PlanPrice> {
    let currency = read_currency(section).or(settings.currency);
    let mut prices = Vec::new();
    for (key, interval) in PRICE_KEYS {
        if let Some(money) = read_money(section, key, currency) {
            prices.push(PlanPrice { money, interval, options: CurrencyOptions::new() });
        }
    }
    read_options(section, currency, &mut prices);
    prices
}

/// The `currency_options` of a plan: for each currency the amounts of some of its prices.
fn read_options(section: &Section<'_>, own: Option<Currency>, prices: &mut [PlanPrice]) {
    let Some((options, found)) = read_currency_options(section, own) else { return };
    for CurrencyOption { key, currency, item } in found {
        let Some(amounts) = options.entry_section(&key, item, "currency_options") else { continue };
        for (name, interval) in PRICE_KEYS {
            let Some(amount) = amounts.integer(name, 0..=PRICE_MINOR_MAX) else { continue };
            if let Some(price) = prices.iter_mut().find(|price| price.interval == interval) {
                price.options.insert(currency, amount.value);
            } else {
                let what = format!("the plan has no `{name}` price to give another currency");
                amounts.fault(amount.span, what, Some("add the price, or remove this"));
            }
        }
        amounts.finish();
    }
}

fn read_grant_days(section: &Section<'_>) -> Option<u32> {
    let days = section.integer("grant_days", 1..=i64::from(GRANT_DAYS_MAX));
    if section.has("one_time") && !section.has("grant_days") {
        let hint = Some("add a line such as: grant_days = 365");
        section.fault(section.key_span("one_time"), "how long does a purchase last?", hint);
    }
    days.and_then(|days| u32::try_from(days.value).ok())
}

fn read_allowances(
    section: &Section<'_>,
    features: &Features,
) -> BTreeMap<FeatureKey, Placed<Allowance>> {
    let mut own = BTreeMap::new();
    let mut add = |key: &Placed<&str>, allowance: Option<Allowance>, wanted: &str| {
        let Some(feature) = known_feature(section, features, key) else { return };
        if kind_name(feature.kind) != wanted {
            let what = format!("`{}` is a {} feature", feature.key, kind_name(feature.kind));
            let hint = format!("list it under `{}`", list_name(feature.kind));
            section.fault(key.span.clone(), what, Some(&hint));
            return;
        }
        let Some(allowance) = allowance else { return };
        let placed = Placed { value: allowance, span: key.span.clone() };
        if own.insert(feature.key.clone(), placed).is_some() {
            section.fault(key.span.clone(), format!("`{}` is listed twice", feature.key), None);
        }
    };
    for key in section.texts("features", KEY_CHARS_MAX) {
        add(&key, Some(Allowance::On), "boolean");
    }
    for (list, wanted) in [("limits", "limit"), ("quotas", "metered")] {
        let Some(numbers) = section.section(list, list) else { continue };
        for (key, item) in numbers.entries() {
            let allowance = read_limit(&numbers, &key, item);
            add(&key, allowance, wanted);
        }
    }
    own
}

fn known_feature<'f>(
    section: &Section<'_>,
    features: &'f Features,
    key: &Placed<&str>,
) -> Option<&'f Feature> {
    let found = features.get(key.value);
    if found.is_none() {
        let hint = did_you_mean(key.value, features.keys().map(FeatureKey::as_str));
        let what = format!("there is no feature `{}`", shortened(key.value));
        let declare = "declare it: [features.KEY]";
        section.fault(key.span.clone(), what, hint.as_deref().or(Some(declare)));
    }
    found
}

fn read_limit<'t>(
    section: &Section<'t>,
    key: &Placed<&'t str>,
    item: &'t Item,
) -> Option<Allowance> {
    if item.is_table_like() {
        return read_per_unit(&section.entry_section(key, item, "a limit per unit")?);
    }
    let count = item.as_integer().and_then(|number| u64::try_from(number).ok());
    match (count, item.as_str()) {
        (Some(count), _) => Some(Allowance::Limit(Limit::Count(count))),
        (None, Some("unlimited")) => Some(Allowance::Limit(Limit::Unlimited)),
        (None, _) => {
            let what = "this must be a whole number from 0, \"unlimited\", or { per_unit = 1 }";
            section.fault(item.span().or_else(|| key.span.clone()), what, None);
            None
        }
    }
}

/// `{ per_unit = 1, max = 100 }`: so many for each unit bought, at most so many in all.
fn read_per_unit(section: &Section<'_>) -> Option<Allowance> {
    require(section, "per_unit", "per_unit = 1");
    let each = section.integer("per_unit", 1..=i64::MAX);
    let max = section.integer("max", 1..=i64::MAX);
    section.finish();
    let (each, max) = (each?.value.unsigned_abs(), max.map(|max| (max.value.unsigned_abs(), max)));
    if let Some((_, placed)) = max.as_ref().filter(|(max, _)| *max < each) {
        let what = "`max` is less than one unit gives";
        section.fault(placed.span.clone(), what, Some("raise it, or lower `per_unit`"));
        return None;
    }
    Some(Allowance::PerUnit(PerUnit { each, max: max.map(|(max, _)| max) }))
}

const fn kind_name(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Boolean => "boolean",
        FeatureKind::Limit => "limit",
        FeatureKind::Metered(_) => "metered",
    }
}

const fn list_name(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Boolean => "features",
        FeatureKind::Limit => "limits",
        FeatureKind::Metered(_) => "quotas",
    }
}

/// The plans with all they give. A plan that inherits has everything any lower plan has.
pub(super) fn assemble(drafts: &[PlanDraft<'_>], prices: &mut Prices) -> Vec<Plan> {
    let mut below: BTreeMap<FeatureKey, Allowance> = BTreeMap::new();
    let mut plans = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        prices.add(&draft.section, &draft.sold_as, PriceTarget::Plan(PlanIndex(index)));
        let mut given = if draft.inherits { below.clone() } else { BTreeMap::new() };
        for (key, own) in &draft.own {
            if given.get(key).is_some_and(|inherited| own.value.can_give_less_than(*inherited)) {
                let what = format!("`{}` has less of `{key}` than a lower plan", draft.id);
                let hint = Some("raise it, or say inherits = false");
                draft.section.fault(own.span.clone(), what, hint);
            }
            given.insert(key.clone(), own.value);
        }
        for (key, allowance) in &given {
            let best = below.entry(key.clone()).or_insert(*allowance);
            if best.can_give_less_than(*allowance) && !allowance.can_give_less_than(*best) {
                *best = *allowance;
            }
        }
        plans.push(draft.plan(given));
    }
    plans
}

impl PlanDraft<'_> {
    fn plan(&self, allowances: BTreeMap<FeatureKey, Allowance>) -> Plan {
        Plan {
            id: self.id.clone(),
            name: self.name.clone(),
            rank: self.rank,
            prices: self.prices.clone(),
            self_serve: self.self_serve,
            trial_days: self.trial_days,
            grace_hours: self.grace_hours,
            grant_days: self.grant_days,
            allowances: Arc::new(allowances),
        }
    }
}
