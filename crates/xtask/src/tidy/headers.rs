//! Every Rust file opens by saying what it owns and what it must not know.
//!
//! Owns the rule about `//!`; rustdoc owns the rest of the documentation.

use crate::tidy::Finding;
use crate::tree::Tree;

/// Shorter than this is a label, not a sentence.
const HEADER_CHARS_MIN: usize = 10;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts(&["rs"])
        .filter_map(|(path, text)| fault(text).map(|why| Finding::new(path, 1, why)))
        .collect()
}

fn fault(text: &str) -> Option<&'static str> {
    let header: usize = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.trim().chars().count())
        .sum();
    match header {
        0 => Some("opens without `//!`: say what the file owns and what it must not know"),
        short if short < HEADER_CHARS_MIN => Some("the `//!` opening says too little"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn a_sentence_is_asked_for_and_a_label_refused() {
        assert_eq!(fault("//! Owns the order of events.\n"), None);
        assert!(fault("use std::fmt;\n//! Too late to be an opening of this file.\n").is_some());
        assert!(fault("//! Events.\n").is_some());
        assert!(fault("").is_some());
    }
}
