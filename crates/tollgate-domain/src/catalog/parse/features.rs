//! `[features]` of a catalog. Owns: their keys, kinds and periods. Must not know: what plans give of
//! them.

use std::collections::BTreeMap;

use super::{FEATURES_MAX, KEY_CHARS_MAX, NAME_CHARS_MAX, Prices, read_sold_as};
use crate::catalog::fault::did_you_mean;
use crate::catalog::read::{Section, shortened};
use crate::catalog::{Feature, FeatureIndex, FeatureKind, MeterPeriod, PriceTarget};
use crate::ids::FeatureKey;

/// The features by key; the prices that bill their uses are added to what is sold.
pub(super) fn read(root: &Section<'_>, prices: &mut Prices) -> BTreeMap<FeatureKey, Feature> {
    let mut features = BTreeMap::new();
    let Some(all) = root.section("features", "[features]") else {
        if !root.has("features") {
            root.missing("features", "[features.api_access]");
        }
        return features;
    };
    let entries = all.entries();
    if entries.len() > FEATURES_MAX {
        all.fault(all.span.clone(), format!("more than {FEATURES_MAX} features"), None);
        return features;
    }
    let mut billed = Vec::new();
    for (key, item) in entries {
        let parsed = FeatureKey::parse(key.value);
        if let Err(error) = &parsed {
            all.fault(key.span.clone(), format!("a feature key {error}"), None);
        }
        let Some(section) = all.entry_section(&key, item, "[features.KEY]") else { continue };
        let name = section.text("name", NAME_CHARS_MAX);
        let kind = read_kind(&section);
        if let (Ok(key), Some(kind)) = (parsed, kind) {
            let name = name.map_or_else(|| key.to_string(), |name| name.value.to_owned());
            if matches!(kind, FeatureKind::Metered(_)) {
                let sold_as = read_sold_as(&section);
                section.finish();
                billed.push((key.clone(), section, sold_as));
            } else {
                section.finish();
            }
            features.insert(key.clone(), Feature { key, name, kind });
        } else {
            section.finish();
        }
    }
    for (key, section, sold_as) in &billed {
        if let Some(place) = features.keys().position(|known| known == key) {
            prices.add(section, sold_as, PriceTarget::Usage(FeatureIndex(place)));
        }
    }
    features
}

fn read_kind(section: &Section<'_>) -> Option<FeatureKind> {
    let period = section.text("period", KEY_CHARS_MAX);
    let kind = match section.text("kind", KEY_CHARS_MAX) {
        None if section.has("kind") => return None,
        None => FeatureKind::Boolean,
        Some(kind) => match kind.value {
            "boolean" => FeatureKind::Boolean,
            "limit" => FeatureKind::Limit,
            "metered" => FeatureKind::Metered(MeterPeriod::CalendarMonth),
            other => {
                let hint = did_you_mean(other, ["boolean", "limit", "metered"]);
                let what = format!("`{}` is no kind of feature", shortened(other));
                section.fault(kind.span, what, hint.as_deref());
                return None;
            }
        },
    };
    let Some(period) = period else { return Some(kind) };
    if !matches!(kind, FeatureKind::Metered(_)) {
        let hint = Some("add kind = \"metered\", or remove the period");
        section.fault(period.span, "only a metered feature has a `period`", hint);
        return None;
    }
    match period.value {
        "calendar_month" => Some(FeatureKind::Metered(MeterPeriod::CalendarMonth)),
        "billing_period" => Some(FeatureKind::Metered(MeterPeriod::BillingPeriod)),
        other => {
            let hint = did_you_mean(other, ["calendar_month", "billing_period"]);
            section.fault(
                period.span,
                format!("`{}` is no period", shortened(other)),
                hint.as_deref(),
            );
            None
        }
    }
}
