//! `Cargo.lock`, read.
//!
//! Owns what a locked package is. Must not know what is asked of it.

use std::str::FromStr as _;

use anyhow::Context as _;
use toml_edit::{DocumentMut, Item};

/// One package as it is locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where it is from; none for a crate of the workspace.
    pub(crate) source: Option<String>,
    /// SHA-256 of its archive, in hex, for what is from a registry.
    pub(crate) checksum: Option<String>,
}

/// Every package of the text of a `Cargo.lock`, in its order.
///
/// # Errors
/// When it is not TOML, or a package has no name or version.
pub(crate) fn read(text: &str) -> anyhow::Result<Vec<Locked>> {
    let document = DocumentMut::from_str(text).context("the lock file is not TOML")?;
    let packages = document.get("package").and_then(Item::as_array_of_tables);
    let packages = packages.context("the lock file names no package")?;
    let field = |table: &toml_edit::Table, key: &str| {
        table.get(key).and_then(Item::as_str).map(str::to_owned)
    };
    packages
        .iter()
        .map(|table| {
            Ok(Locked {
                name: field(table, "name").context("a package without a name")?,
                version: field(table, "version").context("a package without a version")?,
                source: field(table, "source"),
                checksum: field(table, "checksum"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_with_and_without_a_source() {
        let text = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \
                    \"b\"\nversion = \"2.0.0\"\nsource = \"registry+x\"\nchecksum = \"00ff\"\n";
        let packages = read(text).unwrap();
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].source, None);
        assert_eq!(packages[1].checksum.as_deref(), Some("00ff"));
        assert!(read("version = 4\n").is_err(), "a lock file without packages is none");
        assert!(read("[[package]]\nname = \"a\"\n").is_err());
    }
}
