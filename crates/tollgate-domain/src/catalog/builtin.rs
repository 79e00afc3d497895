//! The catalogs that come with Tollgate. Owns: their names and texts. Must not know: how a
//! catalog is chosen, what is in them.

use super::Catalog;
use super::parse::parse;

/// Names of the built-in catalogs, the default first.
pub const BUILTIN_NAMES: [&str; 4] = ["sietch", "propiq", "levels", "saas"];

/// The text of a built-in catalog, to be copied out and changed. `None` for any other name.
pub fn builtin_text(name: &str) -> Option<&'static str> {
    match name {
        "sietch" => Some(include_str!("../../catalogs/sietch.toml")),
        "propiq" => Some(include_str!("../../catalogs/propiq.toml")),
        "levels" => Some(include_str!("../../catalogs/levels.toml")),
        "saas" => Some(include_str!("../../catalogs/saas.toml")),
        _ => None,
    }
}

/// A built-in catalog. `None` for any other name.
pub fn builtin(name: &str) -> Option<Catalog> {
    // A test reads each of them, so the only `None` is an unknown name.
    parse(name, name, builtin_text(name)?).ok()
}
