//! Size limits with a ratchet: what is over a limit today is listed, and may only shrink.
//!
//! Owns the limits and `ratchet.toml`. Nothing enters that file by itself: a new function or file over
//! the limit is a finding, and so is a listed one that grew. One that shrank is a finding too, until
//! `tidy --bless` has lowered its number, so that the room it left cannot be taken again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr as _;

use anyhow::Context as _;
use toml_edit::DocumentMut;

use crate::tidy::{Finding, sizes};
use crate::tree::{self, Tree};

const FILE: &str = "crates/xtask/ratchet.toml";
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

const OPENING: &str = "\
# What is over a size limit (500 lines a file without its tests, 70 a function), and by how much.
# Entries may only shrink; `cargo run -p xtask -- tidy --bless` lowers them, nothing raises them.
";

/// What to do with an entry that is higher than what the tree measures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    Lower,
}

/// Key -> lines. The key is a path, or `path::function`.
type Sizes = BTreeMap<String, usize>;

#[derive(Default, PartialEq, Eq, Debug)]
struct Ratchet {
    files: Sizes,
    functions: Sizes,
}

pub(super) fn check(tree: &Tree, mode: Mode) -> anyhow::Result<Vec<Finding>> {
    let recorded = Ratchet::parse(tree.text(FILE).unwrap_or_default())?;
    let (measured, mut findings) = measure(tree);
    let (lowered, overruns) = compare(&recorded, &measured);
    findings.extend(overruns);
    if lowered != recorded {
        match mode {
            Mode::Lower => std::fs::write(tree::root().join(FILE), lowered.print())?,
            Mode::Check => findings.push(Finding::new(
                FILE,
                0,
                "lists more than the tree needs: run `cargo run -p xtask -- tidy --bless`",
            )),
        }
    }
    Ok(findings)
}

/// Everything over a limit.
fn measure(tree: &Tree) -> (Ratchet, Vec<Finding>) {
    let mut over = Ratchet::default();
    let mut findings = Vec::new();
    for (path, text) in tree.texts(&["rs"]).filter(|(path, _)| !sizes::is_test_file(path)) {
        match sizes::measure(text) {
            Err(error) => findings.push(Finding::new(path, 0, format!("is not Rust: {error}"))),
            Ok(size) => {
                if size.lines > FILE_LINES_MAX {
                    over.files.insert(path.to_owned(), size.lines);
                }
                for (name, _, lines) in size.functions {
                    if lines > FUNCTION_LINES_MAX {
                        let entry = over.functions.entry(format!("{path}::{name}")).or_default();
                        *entry = lines.max(*entry);
                    }
                }
            }
        }
    }
    (over, findings)
}

/// What the ratchet may be at most from now on, and what is above it.
fn compare(recorded: &Ratchet, measured: &Ratchet) -> (Ratchet, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut lower = |recorded: &Sizes, measured: &Sizes, limit: usize| {
        for (key, &lines) in measured {
            let allowed = recorded.get(key).copied().unwrap_or(limit);
            if lines > allowed {
                findings.push(Finding::new(
                    key,
                    0,
                    format!("{lines} lines; {allowed} are allowed"),
                ));
            }
        }
        recorded
            .iter()
            .filter_map(|(key, &allowed)| Some((key.clone(), allowed.min(*measured.get(key)?))))
            .collect()
    };
    let files = lower(&recorded.files, &measured.files, FILE_LINES_MAX);
    let functions = lower(&recorded.functions, &measured.functions, FUNCTION_LINES_MAX);
    (Ratchet { files, functions }, findings)
}

impl Ratchet {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let document = DocumentMut::from_str(text).context(FILE)?;
        let section = |name: &str| -> anyhow::Result<Sizes> {
            let Some(table) = document.get(name).and_then(|item| item.as_table_like()) else {
                return Ok(Sizes::new());
            };
            table
                .iter()
                .map(|(key, item)| {
                    let lines = item.as_integer().and_then(|lines| usize::try_from(lines).ok());
                    Ok((
                        key.to_owned(),
                        lines.with_context(|| format!("{FILE}: {key} needs a number"))?,
                    ))
                })
                .collect()
        };
        Ok(Self { files: section("files")?, functions: section("functions")? })
    }

    fn print(&self) -> String {
        let mut text = OPENING.to_owned();
        for (name, sizes) in [("files", &self.files), ("functions", &self.functions)] {
            let _ = writeln!(text, "\n[{name}]");
            for (key, lines) in sizes {
                let _ = writeln!(text, "\"{key}\" = {lines}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, usize)]) -> Ratchet {
        let files = entries.iter().map(|&(key, lines)| (key.to_owned(), lines)).collect();
        Ratchet { files, functions: Sizes::new() }
    }

    #[test]
    fn a_new_overrun_and_a_grown_one_are_found() {
        let (_, findings) = compare(&files(&[]), &files(&[("a.rs", 501)]));
        assert_eq!(findings.len(), 1);
        let (kept, findings) = compare(&files(&[("a.rs", 510)]), &files(&[("a.rs", 511)]));
        assert_eq!(findings.len(), 1);
        assert_eq!(kept, files(&[("a.rs", 510)]), "blessing never raises");
    }

    #[test]
    fn a_shrunk_entry_is_lowered_and_a_mended_one_leaves() {
        let recorded = files(&[("a.rs", 600), ("b.rs", 700)]);
        let (lowered, findings) = compare(&recorded, &files(&[("a.rs", 550)]));
        assert_eq!(findings, []);
        assert_eq!(lowered, files(&[("a.rs", 550)]));
    }

    #[test]
    fn what_is_printed_reads_back() {
        let ratchet = files(&[("crates/a/src/b.rs", 600)]);
        assert_eq!(Ratchet::parse(&ratchet.print()).unwrap(), ratchet);
        assert!(Ratchet::parse("[files]\n\"a.rs\" = \"many\"\n").is_err());
    }
}
