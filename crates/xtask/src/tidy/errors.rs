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
    let (mut findings, mut inside, mut shows) = (Vec::new(), false, false);
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("#[error(") {
            (inside, shows) = (true, false);
        }
        if inside {
            shows |= SHOWN.iter().any(|cause| line.contains(cause));
            inside = !line.ends_with(")]");
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            if shows && (line.contains("#[source]") || line.contains("#[from]")) {
                let what = "the text names the cause, so it is no source as well: name it once";
                findings.push(Finding::new(path, place + 1, what));
            }
            shows = false;
        }
    }
    findings
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
        assert!(at("#[error(\"no: {0}\")]\nNo(Io),\n").is_empty());
        assert!(at("#[error(\"no\")]\nNo(#[from] Io),\n").is_empty());
        assert!(at("#[error(transparent)]\nNo(#[from] Io),\n").is_empty());
    }
}
