//! The catalog as configured. Owns: finding its text by name or path, and the settings that add to
//! it. Must not know: what a catalog may say.

use std::path::{Path, PathBuf};

use tollgate_domain::Catalog;
use tollgate_domain::catalog::{self, BUILTIN_NAMES, CatalogErrors};

use super::fault::{Fault, Origin, Trouble, nearest};

/// What the configuration adds to a catalog's text. Kept, so that it can be added to another text
/// too: a proposed catalog is judged as this deployment would run it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogOverlay {
    /// Prices to add: a plan's id, `badge` or `boost`, with price ids or lookup keys.
    pub price_map: Vec<(String, Vec<String>)>,
    /// One grace for all plans.
    pub grace_hours: Option<u32>,
    /// Another upgrade URL.
    pub upgrade_url: Option<String>,
    /// The site that paths are of.
    pub public_url: Option<String>,
    /// The prices of the built-in sandbox count, as they do under `tollgate dev`.
    pub sandbox_prices: bool,
}

/// Why something cannot be added to a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverlayFault {
    /// The upgrade URL is none.
    UpgradeUrl(String),
    /// The price map does not fit the catalog.
    Price(catalog::Fault),
}

impl CatalogOverlay {
    /// The catalog with everything added, or all that does not fit.
    pub fn apply(&self, mut catalog: Catalog) -> Result<Catalog, Vec<OverlayFault>> {
        let mut faults = Vec::new();
        if let Some(hours) = self.grace_hours {
            catalog = catalog.with_grace_hours(hours);
        }
        if let Some(url) = &self.upgrade_url {
            match catalog.clone().with_upgrade_url(url) {
                Ok(changed) => catalog = changed,
                Err(what) => faults.push(OverlayFault::UpgradeUrl(what)),
            }
        }
        if let Some(site) = &self.public_url {
            catalog = catalog.with_public_url(site);
        }
        let mut mapped = self.price_map.clone();
        if self.sandbox_prices {
            mapped.extend(tollgate_sandbox::sandbox_price_map(&catalog));
        }
        match catalog.with_prices(&mapped) {
            Ok(catalog) if faults.is_empty() => Ok(catalog),
            Ok(_) => Err(faults),
            Err(errors) => {
                faults.extend(errors.faults.into_iter().map(OverlayFault::Price));
                Err(faults)
            }
        }
    }
}

/// What the configuration says of the catalog.
#[derive(Debug)]
pub(super) struct CatalogWishes<'a> {
    /// The working directory.
    pub(super) directory: &'a Path,
    /// A built-in name, or a path.
    pub(super) source: &'a str,
    /// Where `source` came from; a path in a file is relative to that file.
    pub(super) source_origin: &'a Origin,
    /// What is added.
    pub(super) overlay: &'a CatalogOverlay,
    /// Where the price map came from.
    pub(super) price_map_origin: &'a Origin,
    /// Where the upgrade URL came from.
    pub(super) upgrade_url_origin: &'a Origin,
}

/// The catalog with everything applied. `None` after a fault.
pub(super) fn load(wishes: &CatalogWishes<'_>, faults: &mut Vec<Fault>) -> Option<Catalog> {
    match wishes.overlay.apply(read(wishes, faults)?) {
        Ok(catalog) => Some(catalog),
        Err(found) => {
            faults.extend(found.into_iter().map(|fault| overlay_fault(wishes, fault)));
            None
        }
    }
}

fn overlay_fault(wishes: &CatalogWishes<'_>, fault: OverlayFault) -> Fault {
    match fault {
        OverlayFault::UpgradeUrl(what) => {
            let mend = "write an address such as https://example.com/upgrade?tier={plan}";
            let origin = wishes.upgrade_url_origin.clone();
            Fault::new(origin, "catalog.upgrade_url", Trouble::new(what, mend))
        }
        OverlayFault::Price(fault) => {
            let mend = fault.hint.unwrap_or_else(|| "see the plans of the catalog".to_owned());
            let trouble = Trouble::new(fault.what, mend);
            Fault::new(wishes.price_map_origin.clone(), "stripe.price_map", trouble)
        }
    }
}

/// The file of a catalog that is no built-in one, as it would be opened from the working directory.
pub(super) fn file_of(source: &str, origin: &Origin) -> Option<PathBuf> {
    (!BUILTIN_NAMES.contains(&source)).then(|| path_of(source, origin))
}

fn read(wishes: &CatalogWishes<'_>, faults: &mut Vec<Fault>) -> Option<Catalog> {
    if BUILTIN_NAMES.contains(&wishes.source) {
        return catalog::builtin(wishes.source);
    }
    let shown = path_of(wishes.source, wishes.source_origin);
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

fn path_of(source: &str, origin: &Origin) -> PathBuf {
    match origin {
        Origin::File { path, .. } => match path.parent() {
            Some(parent) => parent.join(source),
            None => PathBuf::from(source),
        },
        Origin::Default
        | Origin::Variable(_)
        | Origin::DotEnv { .. }
        | Origin::SecretFile { .. }
        | Origin::Flag(_) => PathBuf::from(source),
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
        let mend = fault.hint.unwrap_or_else(|| "see docs/guides/catalog.md".to_owned());
        let origin = Origin::File { path: path.to_path_buf(), line };
        Fault::new(origin, "catalog.source", Trouble::new(fault.what, mend))
    };
    errors.faults.into_iter().map(fault).collect()
}
