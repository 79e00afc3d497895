//! Secrets in memory. Owns: that a secret is never printed whole. Must not know: which secrets exist.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text. Prints as [`mask`] shows it; [`Secret::expose`] is the only way to the text. Its memory
/// is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

/// What a secret begins with, and is no secret.
const PREFIXES: [&str; 7] =
    ["whsec_", "sk_test_", "sk_live_", "rk_test_", "rk_live_", "pk_test_", "pk_live_"];

/// The prefix that says what kind of secret it is, and stars that do not say how long it is.
pub fn mask(text: &str) -> String {
    let prefix = PREFIXES.iter().find(|prefix| text.starts_with(**prefix)).unwrap_or(&"");
    if text.is_empty() { String::new() } else { format!("{prefix}****") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_show_what_kind_of_secret_it_is_and_nothing_else() {
        for (text, shown) in [
            ("", ""),
            ("abcd", "****"),
            ("grüße, a long password", "****"),
            ("whsec_0123456789", "whsec_****"),
            ("sk_live_tollgate1", "sk_live_****"),
            ("rk_test_", "rk_test_****"),
        ] {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn debug_and_display_never_show_the_text() {
        let secret = Secret::new("whsec_tollgate_very_secret");
        assert_eq!(format!("{secret:?} {secret}").matches("very").count(), 0);
        assert_eq!(secret.expose(), "whsec_tollgate_very_secret");
    }
}
