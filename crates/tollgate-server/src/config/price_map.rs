//! The price map. Owns: the forms of `STRIPE_PRODUCT_PRICE_MAP`. Must not know: the catalog.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use tollgate_domain::ids::PriceId;

use super::fault::Trouble;
use super::value::{Raw, not_placeholder};

/// What some prices sell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceMapEntry {
    /// A plan's id, `badge` or `boost`.
    pub target: String,
    /// Stripe price ids or lookup keys; never empty.
    pub prices: Vec<String>,
}

const FORMS: &str = r#"write {"premium": ["price_m", "price_y"], "badge": "price_b"} or premium=price_m,badge:price_b"#;

/// Reads the map from JSON, from a comma-separated list, or from a table. Entries for the same
/// target are joined. Everything wrong is told at once.
pub fn parse(raw: &Raw) -> Result<Vec<PriceMapEntry>, Vec<Trouble>> {
    let pairs = match raw {
        Raw::Text(text) if text.trim().is_empty() => return Ok(Vec::new()),
        Raw::Text(text) if text.trim_start().starts_with('{') => from_json(text)?,
        Raw::Text(text) => from_list(text)?,
        Raw::Table(entries) => from_table(entries)?,
        Raw::List(_) => {
            return Err(vec![Trouble::new("a list stands where a table belongs", FORMS)]);
        }
    };
    let troubles: Vec<Trouble> =
        pairs.iter().filter_map(|(target, price)| check(target, price).err()).collect();
    if !troubles.is_empty() {
        return Err(troubles);
    }
    Ok(join(pairs))
}

type Pairs = Vec<(String, String)>;

fn join(pairs: Pairs) -> Vec<PriceMapEntry> {
    let mut entries: Vec<PriceMapEntry> = Vec::new();
    for (target, price) in pairs {
        match entries.iter_mut().find(|entry| entry.target == target) {
            Some(entry) if entry.prices.contains(&price) => {}
            Some(entry) => entry.prices.push(price),
            None => entries.push(PriceMapEntry { target, prices: vec![price] }),
        }
    }
    entries
}

fn check(target: &str, price: &str) -> Result<(), Trouble> {
    not_placeholder(price).map_err(|trouble| Trouble {
        what: format!("entry {target:?}: {}", trouble.what),
        ..trouble
    })?;
    PriceId::parse(price).map(|_| ()).map_err(|error| {
        Trouble::new(format!("entry {target:?}: {price:?} is no price id: {error}"), FORMS)
    })
}

fn from_list(text: &str) -> Result<Pairs, Vec<Trouble>> {
    let (mut pairs, mut troubles) = (Pairs::new(), Vec::new());
    for (number, part) in (1_usize..).zip(text.split(',')) {
        match part.split_once(['=', ':']).map(|(target, price)| (target.trim(), price.trim())) {
            Some((target, price)) if !target.is_empty() && !price.is_empty() => {
                pairs.push((target.to_owned(), price.to_owned()));
            }
            _ => troubles.push(Trouble::new(
                format!("entry {number}, {:?}, lacks a plan or a price", part.trim()),
                FORMS,
            )),
        }
    }
    if troubles.is_empty() { Ok(pairs) } else { Err(troubles) }
}

fn from_table(entries: &[(String, Raw)]) -> Result<Pairs, Vec<Trouble>> {
    let (mut pairs, mut troubles) = (Pairs::new(), Vec::new());
    for (target, prices) in entries {
        let prices = match prices {
            Raw::List(prices) => prices.as_slice(),
            one @ (Raw::Text(_) | Raw::Table(_)) => std::slice::from_ref(one),
        };
        let texts: Option<Vec<&str>> = prices
            .iter()
            .map(|price| match price {
                Raw::Text(text) if !text.trim().is_empty() => Some(text.trim()),
                Raw::Text(_) | Raw::List(_) | Raw::Table(_) => None,
            })
            .collect();
        match texts {
            Some(texts) if !texts.is_empty() && !target.trim().is_empty() => {
                pairs.extend(
                    texts.into_iter().map(|price| (target.trim().to_owned(), price.to_owned())),
                );
            }
            _ => troubles
                .push(Trouble::new(format!("entry {target:?} lacks a plan or a price"), FORMS)),
        }
    }
    if troubles.is_empty() { Ok(pairs) } else { Err(troubles) }
}

fn from_json(text: &str) -> Result<Pairs, Vec<Trouble>> {
    let JsonPairs(entries) = serde_json::from_str(text).map_err(|error| {
        vec![Trouble::new(format!("the price map is no JSON object: {error}"), FORMS)]
    })?;
    from_table(&entries)
}

/// A JSON object with its entries in order, repeated names kept.
struct JsonPairs(Vec<(String, Raw)>);

impl<'de> Deserialize<'de> for JsonPairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = JsonPairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of plan ids with a price id or a list of price ids each")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonPairs, A::Error> {
                let mut entries = Vec::new();
                while let Some((target, prices)) = map.next_entry::<String, JsonPrices>()? {
                    let prices = match prices {
                        JsonPrices::One(price) => Raw::Text(price),
                        JsonPrices::Several(prices) => {
                            Raw::List(prices.into_iter().map(Raw::Text).collect())
                        }
                    };
                    entries.push((target, prices));
                }
                Ok(JsonPairs(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a price id or a list of price ids")]
enum JsonPrices {
    One(String),
    Several(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let told = |troubles: Vec<Trouble>| {
            troubles.into_iter().map(|trouble| trouble.what).collect::<Vec<_>>().join("; ")
        };
        parse(&Raw::Text(text.to_owned())).map_err(told).map(|entries| {
            entries.into_iter().map(|entry| (entry.target, entry.prices.join("+"))).collect()
        })
    }

    #[test]
    fn every_form_is_read() {
        let both = vec![
            ("premium".to_owned(), "price_m+price_y".to_owned()),
            ("badge".to_owned(), "price_b".to_owned()),
        ];
        for text in [
            r#"{"premium": ["price_m", "price_y"], "badge": "price_b"}"#,
            "premium=price_m,premium:price_y, badge = price_b",
            r#" {"premium": "price_m", "badge": ["price_b"], "premium": ["price_y", "price_m"]}"#,
        ] {
            assert_eq!(read(text).as_ref(), Ok(&both), "{text}");
        }
        assert_eq!(read(" "), Ok(Vec::new()));
        assert!(read("premium=price_1,premium:prod_2").is_ok(), "a product stands for its prices");
    }

    #[test]
    fn what_is_wrong_is_named_entry_by_entry() {
        for (text, told) in [
            ("premium=price_1,,", "entry 2, \"\", lacks a plan or a price; entry 3"),
            ("premium=", "entry 1, \"premium=\", lacks"),
            ("=price_1", "entry 1, \"=price_1\", lacks"),
            ("premium", "entry 1, \"premium\", lacks"),
            ("premium=price_xxx,basic=price_...", "price_xxx is a placeholder; entry \"basic\""),
            ("premium=price 1", "is no price id"),
            (r#"{"premium": }"#, "no JSON object"),
            (r#"{"premium": 5}"#, "a price id or a list"),
            (r#"{"premium": []}"#, "entry \"premium\" lacks"),
            (r#"{"premium": ""}"#, "entry \"premium\" lacks"),
            (r#"{"": "price_1"}"#, "entry \"\" lacks"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
