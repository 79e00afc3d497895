//! Errors name their cause once.
//!
//! Owns finding those that have it in their text and hand it on as their source as well: whoever prints
//! the chain would print it twice.

use crate::tidy::Finding;
use crate::tree::Tree;

/// How a text shows what the variant holds.
const SHOWN: [&str; 3] = ["{0}", "{source}", "(.0)"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts(&["rs"]).flat_map(|(path, text)| faults(path, text)).collect()
}

fn faults(path: &str, text: &str) -> Vec<Finding> {
    let (mut findings, mut place) = (Vec::new(), Place::Elsewhere);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("#[error(") {
            place = Place::Text { shows: false };
        }
        if let Place::Text { shows } = place {
            let shows = shows || SHOWN.iter().any(|cause| line.contains(cause));
            place = match (line.ends_with(")]"), shows) {
                (false, _) => Place::Text { shows },
                (true, true) => Place::Variant,
                (true, false) => Place::Elsewhere,
            };
        } else if place == Place::Variant && !line.starts_with("//") {
            if SOURCES.iter().any(|source| line.contains(source)) {
                let what = "the text names the cause, so it is no source as well: name it once";
                findings.push(Finding::new(path, number + 1, what));
            }
            // A struct's fields follow; a tuple or a unit is over with its line.
            if line.starts_with('}') || line.ends_with("),") || line.ends_with("},") {
                place = Place::Elsewhere;
            }
        }
    }
    findings
}

/// What makes a field a source.
const SOURCES: [&str; 3] = ["#[source]", "#[from]", "source:"];

/// Where a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Elsewhere,
    /// In the attribute, which shows the cause or not so far.
    Text {
        shows: bool,
    },
    /// In a variant whose text shows its cause.
    Variant,
}

#[cfg(test)]
mod tests {
    use super::faults;

    #[test]
    fn a_cause_that_is_named_and_handed_on_is_found() {
        let at = |text: &str| faults("a.rs", text).iter().map(|one| one.line).collect::<Vec<_>>();
        assert_eq!(at("#[error(\"no: {0}\")]\nNo(#[from] Io),\n"), [2]);
        assert_eq!(
            at("#[error(\n    \"no: {}\", words(.0)\n)]\n/// Why.\nNo(#[source] Io),\n"),
            [5]
        );
        assert_eq!(
            at("#[error(\"no: {source}\")]\nNo {\n    /// Why.\n    source: Io,\n},\n"),
            [4]
        );
        assert_eq!(
            at("#[error(\"no: {why}\", why = words(.0))]\nNo {\n    #[source]\n    why: Io,\n},\n"),
            [3]
        );
        assert!(at("#[error(\"no: {0}\")]\nNo(Io),\n#[error(\"x\")]\nX(#[from] Io),\n").is_empty());
        assert!(at("#[error(\"no\")]\nNo(#[from] Io),\n").is_empty());
        assert!(at("#[error(transparent)]\nNo(#[from] Io),\n").is_empty());
    }
}
