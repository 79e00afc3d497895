//! Migrations are numbered from 1 without gaps, and each has its way back.
//!
//! Owns their names: `0003_inbox.up.sql` beside `0003_inbox.down.sql`. A new one can only be appended,
//! because a number is taken once. Must not know what they say.

use std::collections::BTreeMap;

use crate::tidy::Finding;
use crate::tree::Tree;

const FOLDER: &str = "crates/tollgate-store/migrations/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let names = tree.files.iter().filter_map(|file| file.path.strip_prefix(FOLDER));
    faults(names)
        .into_iter()
        .map(|(name, why)| Finding::new(&format!("{FOLDER}{name}"), 0, why))
        .collect()
}

/// (file name, what is wrong with it).
fn faults<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    // number -> (title, has a way there, has a way back)
    let mut found: BTreeMap<usize, (&str, bool, bool)> = BTreeMap::new();
    for name in names {
        let Some((number, title, up)) = parse(name) else {
            faults.push((name.to_owned(), "name it NNNN_title.up.sql or .down.sql".to_owned()));
            continue;
        };
        let entry = found.entry(number).or_insert((title, false, false));
        if entry.0 != title {
            faults.push((name.to_owned(), format!("number {number} is taken by `{}`", entry.0)));
        } else if up {
            entry.1 = true;
        } else {
            entry.2 = true;
        }
    }
    for (expected, (number, (title, up, down))) in (1..).zip(&found) {
        let name = format!("{number:04}_{title}");
        if *number != expected {
            faults.push((name, format!("number {expected} is missing before it")));
            break;
        }
        if !up || !down {
            faults.push((
                name,
                "needs both a way there (.up.sql) and a way back (.down.sql)".to_owned(),
            ));
        }
    }
    faults
}

/// Number, title, and whether it leads up.
fn parse(name: &str) -> Option<(usize, &str, bool)> {
    let (stem, up) = match (name.strip_suffix(".up.sql"), name.strip_suffix(".down.sql")) {
        (Some(stem), _) => (stem, true),
        (_, Some(stem)) => (stem, false),
        (None, None) => return None,
    };
    let (digits, title) = stem.split_once('_')?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if digits.len() != 4 || title.is_empty() || !title.bytes().all(plain) {
        return None;
    }
    Some((digits.parse().ok()?, title, up))
}

#[cfg(test)]
mod tests {
    use super::faults;

    fn count(names: &[&str]) -> usize {
        faults(names.iter().copied()).len()
    }

    #[test]
    fn pairs_without_gaps_pass() {
        assert_eq!(count(&[]), 0);
        assert_eq!(
            count(&["0001_a.down.sql", "0001_a.up.sql", "0002_b_c.down.sql", "0002_b_c.up.sql"]),
            0
        );
    }

    #[test]
    fn a_gap_a_number_taken_twice_and_a_missing_way_back_are_found() {
        assert_eq!(count(&["0002_b.down.sql", "0002_b.up.sql"]), 1);
        assert_eq!(count(&["0001_a.down.sql", "0001_a.up.sql", "0001_b.up.sql"]), 1);
        assert_eq!(count(&["0001_a.up.sql"]), 1);
    }

    #[test]
    fn odd_names_are_found() {
        for name in ["1_a.up.sql", "0001_A.up.sql", "0001_.up.sql", "0001_a.sql", "notes.txt"] {
            assert_eq!(count(&[name]), 1, "{name}");
        }
    }
}
