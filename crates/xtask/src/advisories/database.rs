//! A checkout of RustSec's advisory database: read to make the snapshot, and written from it for tools
//! that want one.
//!
//! Owns the form of the database's files. Must not know the form of the snapshot.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::str::FromStr as _;

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use toml_edit::{DocumentMut, Item};

use crate::advisories::snapshot::{Advisory, Snapshot};

/// What encloses the facts at the head of an advisory's file.
const FENCE: &str = "```";
const FENCE_TOML: &str = "```toml";

/// Reads a checkout: every advisory on a crate that has not been withdrawn.
///
/// # Errors
/// When git cannot tell its commit, or a file cannot be read.
pub(crate) fn read(checkout: &Path) -> anyhow::Result<Snapshot> {
    let head = git(checkout, &["log", "-1", "--format=%H %cs"])?;
    let (commit, day) = head.trim().split_once(' ').context("git told no commit")?;
    let as_of: Date = day.parse().context("the day of the commit")?;
    let mut advisories = Vec::new();
    for folder in entries(&checkout.join("crates"))? {
        for file in entries(&folder)? {
            if file.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&file)?;
                let advisory = facts(&text).with_context(|| file.display().to_string())?;
                advisories.extend(advisory);
            }
        }
    }
    ensure!(!advisories.is_empty(), "{}: no advisory in crates/", checkout.display());
    advisories.sort();
    Ok(Snapshot { as_of, commit: commit.to_owned(), advisories })
}

/// Writes the snapshot as the files of a checkout.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(snapshot: &Snapshot, folder: &Path) -> anyhow::Result<()> {
    for advisory in &snapshot.advisories {
        let crates = folder.join("crates").join(&advisory.package);
        std::fs::create_dir_all(&crates)?;
        std::fs::write(crates.join(format!("{}.md", advisory.id)), file(advisory))?;
    }
    Ok(())
}

fn git(checkout: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").arg("-C").arg(checkout).args(arguments).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git in {}: {}", checkout.display(), told.trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = folder.read_dir().with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// What the head of a file says; nothing for an advisory that was withdrawn.
fn facts(text: &str) -> anyhow::Result<Option<Advisory>> {
    let inside = text.split_once(FENCE_TOML).and_then(|(_, rest)| rest.split_once(FENCE));
    let (head, _) = inside.context("no TOML at its head")?;
    let document = DocumentMut::from_str(head)?;
    let table = |name: &str| document.get(name).and_then(Item::as_table_like);
    let advisory = table("advisory").context("no [advisory]")?;
    if advisory.contains_key("withdrawn") {
        return Ok(None);
    }
    let field = |key: &str| advisory.get(key).and_then(Item::as_str).map(str::trim);
    let needed = |key: &str| field(key).with_context(|| format!("no `{key}`")).map(str::to_owned);
    let versions = |key: &str| -> Vec<String> {
        let list = table("versions").and_then(|table| table.get(key)?.as_array());
        let texts = list.into_iter().flat_map(|list| list.iter().filter_map(|one| one.as_str()));
        texts.map(str::to_owned).collect()
    };
    Ok(Some(Advisory {
        package: needed("package")?,
        id: needed("id")?,
        date: needed("date")?,
        kind: field("informational").unwrap_or("vulnerability").to_owned(),
        patched: versions("patched"),
        unaffected: versions("unaffected"),
    }))
}

/// One advisory as a file of the database.
fn file(advisory: &Advisory) -> String {
    let mut text = format!("{FENCE_TOML}\n[advisory]\n");
    let Advisory { package, id, date, kind, patched, unaffected } = advisory;
    let _ = writeln!(text, "id = \"{id}\"\npackage = \"{package}\"\ndate = \"{date}\"");
    if kind != "vulnerability" {
        let _ = writeln!(text, "informational = \"{kind}\"");
    }
    // Requirements are versions and signs of comparison: nothing in them needs to be escaped.
    let _ = writeln!(text, "\n[versions]\npatched = {patched:?}\nunaffected = {unaffected:?}");
    let _ = writeln!(text, "{FENCE}\n\n# {id} on {package}");
    text
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const FILE: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2020-0071\"\npackage = \"time\"\ndate = \
                        \"2020-11-18\"\n\n[affected.functions]\n\"time::at\" = [\"^0.1\"]\n\n[versions]\n\
                        patched = [\">= 0.2.23\"]\nunaffected = [\"=0.2.0\"]\n```\n\n# Prose\n\nMore.\n";

    #[test]
    fn facts_are_read_and_prose_is_left() {
        let advisory = facts(FILE).unwrap().unwrap();
        assert_eq!(advisory.id, "RUSTSEC-2020-0071");
        assert_eq!(advisory.kind, "vulnerability");
        assert_eq!(advisory.patched, [">= 0.2.23"]);
        assert!(!file(&advisory).contains("Prose"));
        assert_eq!(facts(&file(&advisory)).unwrap().unwrap(), advisory, "both ways are one form");
    }

    #[test]
    fn what_was_withdrawn_is_left_out_and_what_is_no_advisory_is_refused() {
        let withdrawn = FILE.replace("date =", "withdrawn = \"2021-01-01\"\ndate =");
        assert_eq!(facts(&withdrawn).unwrap(), None);
        assert!(facts("# Prose alone\n").is_err());
        assert!(facts(&FILE.replace("package", "packages")).is_err());
    }

    #[test]
    fn a_checkout_becomes_a_snapshot_and_a_snapshot_a_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let advisory = facts(FILE).unwrap().unwrap();
        let notice = Advisory {
            package: "aaa".to_owned(),
            kind: "unmaintained".to_owned(),
            patched: Vec::new(),
            unaffected: Vec::new(),
            ..advisory.clone()
        };
        let written = Snapshot {
            as_of: date(2026, 8, 21),
            commit: String::new(),
            advisories: vec![notice, advisory],
        };
        write(&written, folder.path()).unwrap();
        git(folder.path(), &["init", "-q"]).unwrap();
        git(folder.path(), &["add", "-A"]).unwrap();
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        git(folder.path(), &[&who[..], &["commit", "-q", "-m", "x"]].concat()).unwrap();
        let read = read(folder.path()).unwrap();
        assert_eq!(read.advisories, written.advisories);
        assert_eq!(read.commit.len(), 40);
    }
}
