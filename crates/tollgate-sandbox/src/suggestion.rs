//! Did you mean. Owns: which of the known names a mistyped one is closest to. Must not know: what
//! the names stand for.

/// The known name closest to a mistyped one; `None` when none is close.
pub(crate) fn closest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (typed.len() / 3).max(2);
    known
        .into_iter()
        .map(|name| (distance(typed, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// A sentence ending for an error message: `, did you mean …?` or nothing.
pub(crate) fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(", did you mean {name:?}?"))
}

/// Letters to insert, delete or replace to come from one name to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = index + 1;
        next.push(left);
        for (pair, other) in row.windows(2).zip(&b) {
            let [diagonal, above] = pair else { continue };
            let replaced = diagonal + usize::from(*other != letter);
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_offered_and_far_ones_are_not() {
        assert_eq!(distance("kitten", "sitting"), 3);
        let known = ["checkout", "renewal", "dunning"];
        assert_eq!(closest("dunnign", known), Some("dunning"));
        assert_eq!(closest("chekout", known), Some("checkout"));
        assert_eq!(closest("zebra", known), None);
        assert_eq!(hint(Some("dunning")), ", did you mean \"dunning\"?");
    }
}
