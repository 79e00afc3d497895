//! Naming prices in the catalog's file. Owns: the edit that keeps everything else as it was
//! written. Must not know: why a price is named.

use std::cell::RefCell;
use std::path::PathBuf;

use anyhow::Context as _;
use tollgate_domain::catalog::parse::parse;
use tollgate_domain::catalog::push::Step;
use tollgate_domain::ids::PriceId;
use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

use super::super::context::Context;
use crate::config::Config;

/// The catalog's file, where there is one.
#[derive(Debug)]
pub(in super::super) struct Keeper {
    name: String,
    file: Option<PathBuf>,
    kept: RefCell<Vec<String>>,
}

impl Keeper {
    pub(in super::super) fn new(context: &Context, config: &Config) -> Self {
        Self {
            name: config.catalog.name.clone(),
            file: config.catalog_file.as_ref().map(|file| context.path(file)),
            kept: RefCell::new(Vec::new()),
        }
    }

    /// Refuses to begin what could not be finished: a built-in catalog cannot be written to.
    pub(in super::super) fn check(&self, steps: &[Step]) -> anyhow::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let named: Vec<String> = steps
            .iter()
            .filter_map(|step| {
                let Step::KeepPrice { key, price } = step else { return None };
                Some(format!("{key}={price}"))
            })
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        anyhow::bail!(
            "prices that are paid would lose their lookup key, and the built-in catalog cannot name \
             them: add STRIPE_PRODUCT_PRICE_MAP={} to .env, or copy the catalog out with `tollgate \
             init`, and run it again",
            named.join(",")
        )
    }

    /// Prices named so far.
    pub(in super::super) fn kept(&self) -> Vec<String> {
        self.kept.borrow().clone()
    }

    /// Adds a price to the `stripe_prices` of what it sells.
    pub(in super::super) fn keep(&self, key: &str, price: &PriceId) -> Result<(), String> {
        self.write(key, price).map_err(|error| format!("{error:#}"))?;
        self.kept.borrow_mut().push(price.to_string());
        Ok(())
    }

    fn write(&self, key: &str, price: &PriceId) -> anyhow::Result<()> {
        let file = self.file.as_ref().context("the catalog is a built-in one")?;
        let shown = file.display();
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
        let text = with_price(&text, key, price)?;
        parse(&self.name, &shown.to_string(), &text)?;
        replace(file, &text).with_context(|| format!("{shown} cannot be written"))
    }
}

/// Writes a file over, whole or not at all, with the permissions it had.
fn replace(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    let target = std::fs::canonicalize(file)?;
    let partial = target.with_extension("partial");
    std::fs::write(&partial, text)?;
    std::fs::set_permissions(&partial, std::fs::metadata(&target)?.permissions())?;
    std::fs::File::open(&partial)?.sync_all()?;
    std::fs::rename(&partial, &target)
}

/// A catalog's text with one more price for a plan, `badge` or `boost`.
fn with_price(text: &str, key: &str, price: &PriceId) -> anyhow::Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let section = section(&mut document, key)
        .with_context(|| format!("the file has no plan {key:?} any more"))?;
    if section.get("stripe_prices").is_none() {
        section.insert("stripe_prices", Item::Value(Value::Array(Array::new())));
    }
    let prices = section
        .get_mut("stripe_prices")
        .and_then(Item::as_array_mut)
        .context("stripe_prices is no list")?;
    if !prices.iter().any(|known| known.as_str() == Some(price.as_str())) {
        prices.push(price.as_str());
    }
    Ok(document.to_string())
}

fn section<'d>(document: &'d mut DocumentMut, key: &str) -> Option<&'d mut dyn TableLike> {
    let is_plan = |table: &dyn TableLike| table.get("id").and_then(Item::as_str) == Some(key);
    if document.contains_key(key) && (key == "badge" || key == "boost") {
        return document.get_mut(key)?.as_table_like_mut();
    }
    let plans = document.get_mut("plans")?;
    if plans.is_array_of_tables() {
        let found = plans.as_array_of_tables_mut()?.iter_mut().find(|table| is_plan(&**table))?;
        return Some(found);
    }
    let mut tables = plans.as_array_mut()?.iter_mut().filter_map(Value::as_inline_table_mut);
    let found = tables.find(|table| is_plan(&**table))?;
    Some(found)
}

#[cfg(test)]
mod tests {
    use tollgate_domain::catalog::{BUILTIN_NAMES, builtin_text};
    use tollgate_domain::ids::PriceRef;

    use super::*;

    fn price(id: &str) -> PriceId {
        PriceId::parse(id).unwrap()
    }

    fn named(price: &PriceId) -> PriceRef<'_> {
        PriceRef { id: price, lookup_key: None, product: None }
    }

    #[test]
    fn a_price_is_added_and_every_other_line_stays() {
        let text = builtin_text("sietch").unwrap();
        let once = with_price(text, "premium", &price("price_1")).unwrap();
        let more: Vec<&str> =
            once.lines().filter(|line| !text.lines().any(|l| l == *line)).collect();
        assert_eq!(more, ["stripe_prices = [\"price_1\"]"]);
        assert_eq!(once.lines().count(), text.lines().count() + 1);
        let twice = with_price(&once, "premium", &price("price_2")).unwrap();
        assert!(twice.contains("stripe_prices = [\"price_1\", \"price_2\"]"), "{twice}");
        assert_eq!(with_price(&twice, "premium", &price("price_1")).unwrap(), twice);
        let catalog = parse("c", "c", &twice).unwrap();
        let (index, _) = catalog.find_plan("premium").unwrap();
        let sold = catalog.price_target(named(&price("price_2")));
        assert_eq!(sold, Some(tollgate_domain::catalog::PriceTarget::Plan(index)));
    }

    #[test]
    fn plans_and_addons_are_found_in_every_form() {
        for name in BUILTIN_NAMES {
            let text = builtin_text(name).unwrap();
            let catalog = parse(name, name, text).unwrap();
            for offer in catalog.offers() {
                let after = with_price(text, offer.key, &price("price_1")).unwrap();
                let after = parse(name, name, &after).unwrap();
                let sold = after.price_target(named(&price("price_1")));
                assert_eq!(sold, Some(offer.target));
            }
        }
        let inline = "plans = [{ id = \"free\", rank = 0 }, { id = \"pro\", rank = 1 }]\n";
        let after = with_price(inline, "pro", &price("price_1")).unwrap();
        assert!(after.ends_with("stripe_prices = [\"price_1\"] }]\n"), "{after}");
        assert!(with_price(inline, "gone", &price("price_1")).is_err());
        assert!(with_price("plans = 1", "gone", &price("price_1")).is_err());
    }
}
