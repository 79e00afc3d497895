//! Faults of a catalog text. Owns: where a fault is, what it is, how to mend it, and the nearest
//! known word for a mistyped one. Must not know: which rules a catalog obeys.

use std::fmt;
use std::ops::Range;

/// Most faults reported of one text; a text with more is wrong as a whole.
pub const FAULTS_MAX: usize = 100;

/// One fault of a catalog text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Name of the file, as the caller gave it.
    pub file: String,
    /// Line, from 1; 0 where the fault is in no text (prices mapped by configuration).
    pub line: usize,
    /// Column in characters, from 1; 0 with line 0.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what)?,
            line => write!(f, "{}:{line}:{}: {}", self.file, self.column, self.what)?,
        }
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All faults found in a catalog, by place; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogErrors {
    /// The faults, at most [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// How many more there were.
    pub left_out: usize,
}

impl fmt::Display for CatalogErrors {
    /// One line per fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Collects faults while a text is read, by the byte they begin at.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: Vec<(usize, String, Option<String>)>,
    left_out: usize,
}

impl Faults {
    /// Notes a fault; `span` is a range of bytes of the text, `None` the whole text.
    pub(super) fn add(&mut self, span: Option<Range<usize>>, what: String, hint: Option<String>) {
        if self.found.len() == FAULTS_MAX {
            self.left_out += 1;
        } else {
            self.found.push((span.map_or(0, |span| span.start), what, hint));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The faults by their place in the text.
    pub(super) fn into_errors(mut self, file: &str, text: &str) -> CatalogErrors {
        self.found.sort_by_key(|(byte, ..)| *byte);
        let fault = |(byte, what, hint)| {
            let (line, column) = place(text, byte);
            Fault { file: file.to_owned(), line, column, what, hint }
        };
        CatalogErrors {
            faults: self.found.into_iter().map(fault).collect(),
            left_out: self.left_out,
        }
    }
}

/// Line and column, both from 1, of a byte of the text.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// A hint naming the known word nearest to a mistyped one, else all known words when they are few.
pub(super) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4);
    match nearest {
        Some((_, candidate)) => Some(format!("did you mean \"{candidate}\"?")),
        None if (1..=16).contains(&known.len()) => Some(format!("known: {}", known.join(", "))),
        None => None,
    }
}

/// Number of letters to insert, remove or replace between two words, a swap of neighbours
/// counting as two; words beyond 64 bytes are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.iter().skip(1)) {
            let replace = diagonal + usize::from(from != to);
            left = replace.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        assert_eq!(place("", 0), (1, 1));
        assert_eq!(place("a\nbé = 1", 0), (1, 1));
        assert_eq!(place("a\nbé = 1", 2), (2, 1));
        assert_eq!(place("a\nbé = 1", 5), (2, 3));
        assert_eq!(place("a\n", 99), (2, 1));
    }

    #[test]
    fn the_nearest_word_is_offered_when_near_enough() {
        let known = ["grace_hours", "grant_days", "rank"];
        let hint = |word| did_you_mean(word, known).unwrap();
        assert_eq!(hint("grace_hour"), "did you mean \"grace_hours\"?");
        assert_eq!(hint("price"), "known: grace_hours, grant_days, rank");
        assert_eq!(hint("ranks"), "did you mean \"rank\"?");
        assert_eq!(hint(&"x".repeat(99)), "known: grace_hours, grant_days, rank");
    }

    #[test]
    fn distances_are_numbers_of_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("abc", "abd", 1),
            ("abc", "bc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
