//! Ids. Owns: how the ids of made-up objects are derived from what they stand for. Must not know:
//! the objects.
//!
//! An id is a hash of the account and a key, so that two scenarios for one account speak of the
//! same customer and subscription, and a scenario built twice has the same ids.

use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Derives the ids of one story.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    scope: String,
    /// Text every id starts with after its prefix; set where ids are to be replaced later.
    marker: &'static str,
}

impl Ids {
    /// Ids of the objects of a scope, such as an account.
    pub(crate) fn new(scope: &str) -> Self {
        Self { scope: scope.to_owned(), marker: "" }
    }

    /// Ids that all carry a marker, for templates.
    pub(crate) fn marked(scope: &str, marker: &'static str) -> Self {
        Self { scope: scope.to_owned(), marker }
    }

    /// The id of the object that `key` names: `prefix`, then `length` letters and digits.
    pub(crate) fn make(&self, prefix: &str, length: usize, key: &str) -> String {
        let mut id = format!("{prefix}{}", self.marker);
        let wanted = prefix.len() + length.max(self.marker.len());
        let mut block: u32 = 0;
        while id.len() < wanted {
            let text = format!("{}\0{prefix}\0{key}\0{block}", self.scope);
            let letters = Sha256::digest(text.as_bytes())
                .into_iter()
                .filter_map(|byte| ALPHABET.get(usize::from(byte) % ALPHABET.len()))
                .map(|letter| char::from(*letter));
            id.extend(letters.take(wanted.saturating_sub(id.len())));
            block = block.saturating_add(1);
        }
        id
    }

    /// An id in the form of most objects: 24 letters and digits.
    pub(crate) fn long(&self, prefix: &str, key: &str) -> String {
        self.make(prefix, 24, key)
    }

    /// An id in the form of customers, items and products: 14 letters and digits.
    pub(crate) fn short(&self, prefix: &str, key: &str) -> String {
        self.make(prefix, 14, key)
    }
}

/// A number as exactly `width` letters and digits (its lowest digits where it is larger).
pub(crate) fn base62(mut number: u64, width: usize) -> String {
    let mut letters = Vec::with_capacity(width);
    for _ in 0..width {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        letters.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
        number /= 62;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_scope_prefix_and_key_alone() {
        let ids = Ids::new("acme");
        assert_eq!(ids.long("sub_", "a"), Ids::new("acme").long("sub_", "a"));
        assert_ne!(ids.long("sub_", "a"), ids.long("sub_", "b"));
        assert_ne!(ids.long("sub_", "a"), Ids::new("globex").long("sub_", "a"));
        assert_eq!(ids.make("cs_test_", 58, "a").len(), 66);
        assert!(ids.long("sub_", "a").bytes().skip(4).all(|b| b.is_ascii_alphanumeric()));
        assert!(Ids::marked("x", "0123456789").short("cus_", "a").starts_with("cus_0123456789"));
    }

    #[test]
    fn numbers_have_their_width_and_differ() {
        assert_eq!(base62(0, 4), "0000");
        assert_eq!(base62(61, 2), "0z");
        assert_eq!(base62(62, 2), "10");
    }
}
