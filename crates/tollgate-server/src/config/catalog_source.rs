//! The catalog as configured. Owns: finding its text by name or path, and applying the settings
//! that add to it. Must not know: what a catalog may say.

use std::path::{Path, PathBuf};

use tollgate_domain::Catalog;
use tollgate_domain::catalog::{self, BUILTIN_NAMES, CatalogErrors};

use super::fault::{Fault, Origin, Trouble, nearest};
use super::price_map::PriceMapEntry;

/// What the configuration says of the catalog.
#[derive(Debug)]
pub(super) struct CatalogWishes<'a> {
    /// The working directory.
    pub(super) directory: &'a Path,
    /// A built-in name, or a path.
    pub(super) source: &'a str,
    /// Where `source` came from; a path in a file is relative to that file.
    pub(super) source_origin: &'a Origin,
    /// Prices to add.
    pub(super) price_map: &'a [PriceMapEntry],
    /// Where they came from.
    pub(super) price_map_origin: &'a Origin,
    /// One grace for all plans.
    pub(super) grace_hours: Option<u32>,
    /// Another upgrade URL.
    pub(super) upgrade_url: Option<&'a str>,
    /// Where that came from.
    pub(super) upgrade_url_origin: &'a Origin,
}

/// The catalog with everything applied. `None` after a fault.
pub(super) fn load(wishes: &CatalogWishes<'_>, faults: &mut Vec<Fault>) -> Option<Catalog> {
    let mut catalog = read(wishes, faults)?;
    if let Some(hours) = wishes.grace_hours {
        catalog = catalog.with_grace_hours(hours);
    }
    if let Some(url) = wishes.upgrade_url {
        match catalog.clone().with_upgrade_url(url) {
            Ok(changed) => catalog = changed,
            Err(what) => {
                let mend = "write an address such as https://example.com/upgrade?tier={plan}";
                let origin = wishes.upgrade_url_origin.clone();
                faults.push(Fault::new(origin, "catalog.upgrade_url", Trouble::new(what, mend)));
            }
        }
    }
    let mapped: Vec<(String, Vec<String>)> =
        wishes.price_map.iter().map(|entry| (entry.target.clone(), entry.prices.clone())).collect();
    match catalog.with_prices(&mapped) {
        Ok(catalog) => Some(catalog),
        Err(errors) => {
            let fault = |fault: catalog::Fault| {
                let mend = fault.hint.unwrap_or_else(|| "see the plans of the catalog".to_owned());
                let trouble = Trouble::new(fault.what, mend);
                Fault::new(wishes.price_map_origin.clone(), "stripe.price_map", trouble)
            };
            faults.extend(errors.faults.into_iter().map(fault));
            None
        }
    }
}

fn read(wishes: &CatalogWishes<'_>, faults: &mut Vec<Fault>) -> Option<Catalog> {
    if BUILTIN_NAMES.contains(&wishes.source) {
        return catalog::builtin(wishes.source);
    }
    let shown = path_of(wishes);
    let text = match std::fs::read_to_string(wishes.directory.join(&shown)) {
        Ok(text) => text,
        Err(error) => {
            let trouble = unreadable(wishes.source, &shown, &error);
            faults.push(Fault::new(wishes.source_origin.clone(), "catalog.source", trouble));
            return None;
        }
    };
    let name =
        shown.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    catalog::parse::parse(&name, &shown.to_string_lossy(), &text)
        .map_err(|errors| faults.extend(told(&shown, errors)))
        .ok()
}

fn path_of(wishes: &CatalogWishes<'_>) -> PathBuf {
    match wishes.source_origin {
        Origin::File { path, .. } => match path.parent() {
            Some(parent) => parent.join(wishes.source),
            None => PathBuf::from(wishes.source),
        },
        Origin::Default | Origin::Variable(_) | Origin::DotEnv { .. } | Origin::Flag(_) => {
            PathBuf::from(wishes.source)
        }
    }
}

fn unreadable(source: &str, path: &Path, error: &std::io::Error) -> Trouble {
    let built_in = BUILTIN_NAMES.join(", ");
    let mend = match nearest(source, BUILTIN_NAMES) {
        Some(meant) => format!("did you mean {meant}? Built in are {built_in}"),
        None => format!("give the path of a catalog file, or one of {built_in}"),
    };
    Trouble::new(format!("the catalog {} cannot be read: {error}", path.display()), mend)
}

fn told(path: &Path, errors: CatalogErrors) -> Vec<Fault> {
    let fault = |fault: catalog::Fault| {
        let line = (fault.line > 0).then_some(fault.line);
        let mend = fault.hint.unwrap_or_else(|| "see docs/catalog.md".to_owned());
        let origin = Origin::File { path: path.to_path_buf(), line };
        Fault::new(origin, "catalog.source", Trouble::new(fault.what, mend))
    };
    errors.faults.into_iter().map(fault).collect()
}
